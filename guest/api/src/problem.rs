//! The problem catalogue (RFC 9457): every error this server answers, with a
//! stable code, in one exhaustive table.

use schemars::JsonSchema;
use serde::Serialize;

use crate::json::Fault;
use crate::resource::openai;

/// What a client and an operator need to know about one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ProblemEntry")]
pub struct Entry {
    /// Stable, in snake case.
    pub code: &'static str,
    /// HTTP status.
    pub status: u16,
    /// The same for every occurrence.
    pub title: &'static str,
    /// What to do about it.
    pub detail: &'static str,
}

macro_rules! catalogue {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:literal, $title:literal, $detail:literal;)*) => {
        /// What went wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The catalogue's entry.
            pub fn entry(self) -> Entry {
                match self {
                    $(Self::$variant => Entry { code: $code, status: $status, title: $title, detail: $detail },)*
                }
            }
        }
    };
}

catalogue! {
    Unauthenticated = "unauthenticated", 401, "A key is required",
        "Send a key as `Authorization: Bearer KEY` or as `X-API-Key: KEY`.";
    InvalidCredential = "invalid_credential", 401, "The key is not valid",
        "Check that the key is complete and has not been revoked, or ask an administrator for a new one.";
    ExpiredCredential = "expired_credential", 401, "The key has expired",
        "Ask an administrator for a new key.";
    ConflictingCredentials = "conflicting_credentials", 400, "Two different keys were sent",
        "Send the key once: as `Authorization: Bearer KEY` or as `X-API-Key: KEY`.";
    ScopeRequired = "scope_required", 403, "The key lacks a scope",
        "Use a key that has the scope named in `detail`.";
    CollectionForbidden = "collection_forbidden", 403, "The key is limited to other collections",
        "Use a key that may reach this collection.";
    OriginForbidden = "origin_forbidden", 403, "The request comes from another site's page",
        "Send it from a program, or from a page of this server.";
    RateLimited = "rate_limited", 429, "The key's budget is spent",
        "Try again after `Retry-After` seconds. `RateLimit` says what is left, `RateLimit-Policy` what the budget is.";
    NotFound = "not_found", 404, "No such route",
        "Check the path.";
    MethodNotAllowed = "method_not_allowed", 405, "The route does not take this method",
        "Use one of the methods in `Allow`.";
    UnsupportedMediaType = "unsupported_media_type", 415, "The body's media type is not supported",
        "Send `Content-Type: application/json`. Batches of documents may also be `application/x-ndjson`.";
    MalformedJson = "malformed_json", 400, "The body is not JSON",
        "Correct the body at the place named in `detail`.";
    JsonTooComplex = "json_too_complex", 422, "The body has too many values",
        "Send smaller batches, or fewer and flatter values.";
    InvalidUtf8 = "invalid_utf8", 400, "The body is not UTF-8",
        "Encode the body as UTF-8.";
    BodyTooLarge = "body_too_large", 413, "The body is too large",
        "Send smaller documents or smaller batches.";
    BodyBroken = "body_broken", 400, "The body broke off",
        "Send the request again.";
    BodyTimeout = "body_timeout", 408, "The body did not arrive in time",
        "Send it faster or in smaller pieces.";
    ValidationFailed = "validation_failed", 422, "The request is not valid",
        "Correct the places named in `detail`; `errors` has all of them for programs.";
    InvalidRequest = "invalid_request", 422, "The request breaks a rule of the store",
        "Correct what `detail` names.";
    InvalidValue = "invalid_value", 400, "A parameter cannot be served",
        "Correct the parameter named in `detail`.";
    UnknownCollection = "unknown_collection", 404, "No collection has this name",
        "Create it with `POST /v1/collections`, or list what exists with `GET /v1/collections`.";
    CollectionExists = "collection_exists", 409, "A collection of this name exists",
        "Use the one that exists, or choose another name.";
    CollectionProtected = "collection_protected", 409, "The collection cannot be deleted",
        "The collection `default` always exists. Delete its documents instead.";
    UnknownDocument = "unknown_document", 404, "No document has this id",
        "List what exists with `GET /v1/collections/{collection}/documents`.";
    PreconditionFailed = "precondition_failed", 412, "The document has another version",
        "Read the document, look at what has changed, and send the request again with its `ETag`.";
    InvalidPrecondition = "invalid_precondition", 400, "If-Match or If-None-Match is invalid",
        "Send `*`, or what `ETag` said with its quotation marks, as in `If-Match: \"1f2e\"`.";
    UnknownFile = "unknown_file", 404, "No file has this id",
        "List what exists with `GET /v1/files`, or the files of a store with `GET /v1/vector_stores/{id}/files`.";
    UnknownVectorStore = "unknown_vector_store", 404, "No vector store has this id",
        "List what exists with `GET /v1/vector_stores`; a collection is the store `vs_{collection}`.";
    UnknownFileBatch = "unknown_file_batch", 404, "No batch of files has this id",
        "Use the id that attaching the files answered, with the same store.";
    UnknownJob = "unknown_job", 404, "No job has this id",
        "List what exists with `GET /v1/jobs`.";
    UnknownKey = "unknown_key", 404, "No key has this id",
        "List what exists with `GET /v1/keys`.";
    LastAdminKey = "last_admin_key", 409, "The last unlimited key with the scope `admin` cannot be revoked or limited",
        "First create another key with every scope that neither ends nor is limited to collections.";
    InvalidCursor = "invalid_cursor", 400, "The cursor is not valid",
        "Use `next_cursor` of the page before, unchanged, with the same list; or start again without a cursor.";
    Busy = "busy", 503, "The store cannot take more now",
        "Try again after `Retry-After` seconds.";
    StoreUnwritable = "store_unwritable", 507, "The server cannot write to its disk",
        "Nothing was changed, and reading goes on. Tell the operator that the disk is full, read-only or failing, and send the request again later.";
    EmbeddingUnavailable = "embedding_unavailable", 503, "No embedding model is loaded",
        "Search with `\"mode\": \"lexical\"`, or have the operator load a model.";
    UnknownModel = "unknown_model", 404, "No model has this name",
        "List what exists with `GET /v1/models`; a collection is the model `ragtime/{collection}`.";
    UnknownReranker = "unknown_reranker", 422, "No reranker has this name",
        "Leave `rerank` or `model` out, or ask the operator which rerankers are configured.";
    RerankingUnavailable = "reranking_unavailable", 503, "The reranker cannot be reached",
        "Try again later, or leave `rerank` out.";
    UnknownGenerator = "unknown_generator", 422, "No generator has this name",
        "Leave `generator` out to use the default, or ask the operator which are configured.";
    GeneratorUnavailable = "generator_unavailable", 503, "The generator cannot be reached",
        "Try again after `Retry-After` seconds, or use `\"generator\": \"extractive\"`.";
    GenerationFailed = "generation_failed", 502, "The generator broke off",
        "The answer is not complete. Send the request again.";
    UnsupportedEncoding = "unsupported_encoding", 415, "The body is encoded",
        "Send it without `Content-Encoding`, or as `gzip`.";
    InvalidHost = "invalid_host", 400, "Host is missing or not one name",
        "Send the header `Host` once, with the name of the server and its port.";
    TooManyFailures = "too_many_failures", 429, "Too many credentials were not accepted",
        "Check the key, and try again after `Retry-After` seconds.";
    TooManyAtOnce = "too_many_at_once", 429, "The key has too many requests at work",
        "Wait for some of them.";
    TooManyFromAddress = "too_many_from_address", 429, "The address has too many requests at work",
        "Read the responses, and wait for some of them.";
    TooManyBytesAtOnce = "too_many_bytes_at_once", 429, "The key sends too many bytes at once",
        "Send fewer large bodies at once.";
    BodyBudgetExhausted = "body_budget_exhausted", 503, "The server holds too many bytes",
        "Try again after `Retry-After` seconds.";
    ChangeInterrupted = "change_interrupted", 500, "The change was begun, and its answer was lost",
        "Look at what it changed before it is sent again. A `PUT` or `DELETE` may be sent again as it is.";
    InvalidDeadline = "invalid_deadline", 400, "Request-Timeout is invalid",
        "Send a number of seconds above 0, as in `Request-Timeout: 2.5`.";
    DeadlineExceeded = "deadline_exceeded", 504, "The deadline has passed",
        "Allow more time in `Request-Timeout`, or ask for less at once.";
    InvalidIdempotencyKey = "invalid_idempotency_key", 400, "Idempotency-Key is invalid",
        "Send 1 to 255 visible ASCII characters, for example a UUID.";
    IdempotencyInProgress = "idempotency_in_progress", 409, "The same request is at work",
        "Try again after `Retry-After` seconds.";
    IdempotencyKeyReused = "idempotency_key_reused", 422, "The Idempotency-Key was another request's",
        "Use a new key for a new request, and the same bytes for a repetition.";
    IdempotencyResponseNotKept = "idempotency_response_not_kept", 409, "The request was done before",
        "Its response held a secret or was too large to keep. Look at what it made.";
    Unavailable = "unavailable", 503, "The server cannot do this now",
        "Try again after `Retry-After` seconds.";
    Overloaded = "overloaded", 503, "The server has too much to do",
        "Try again after `Retry-After` seconds.";
    NoInstance = "no_instance", 503, "Every handler instance is busy",
        "Try again after `Retry-After` seconds.";
    NoMemory = "no_memory", 503, "The handlers' memory is spent",
        "Try again after `Retry-After` seconds, or ask for less at once.";
    Draining = "draining", 503, "The server is shutting down",
        "Try again after `Retry-After` seconds; another instance may answer.";
    HandlerTimeout = "handler_timeout", 504, "The handler did not answer in time",
        "Try again, or ask for less at once.";
    HandlerFailed = "handler_failed", 500, "The handler failed",
        "Tell the operator the request id; the log says what happened.";
    Internal = "internal", 500, "The server failed",
        "Tell the operator the request id; the log says what happened.";
}

impl Code {
    /// The code of this name.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.entry().code == code)
    }
}

/// One occurrence of a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What went wrong.
    pub code: Code,
    /// What is special about this occurrence; the catalogue's advice when absent.
    pub detail: Option<String>,
    /// The places that are wrong, for `validation_failed`.
    pub faults: Vec<Fault>,
    /// Seconds after which another try makes sense.
    pub retry_after: Option<u32>,
    /// The scope that is missing, for `scope_required`.
    pub scope: Option<&'static str>,
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        Self { code, detail: None, faults: Vec::new(), retry_after: None, scope: None }
    }
}

impl Problem {
    /// A problem that says what is special about this occurrence.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..code.into() }
    }

    /// A request with faults; at least one.
    pub fn invalid(faults: Vec<Fault>) -> Self {
        Self { faults, ..Code::ValidationFailed.into() }
    }

    /// A request that breaks a rule of the host, in the host's words: `detail`,
    /// or `/json/pointer: detail` where the host knows the place in the body.
    pub fn rule(text: &str) -> Self {
        match text.split_once(": ") {
            Some((pointer, detail)) if pointer.starts_with('/') => {
                Self::invalid(vec![Fault::at(crate::json::fragment(pointer), detail)])
            }
            _ => Self::new(Code::InvalidRequest, text),
        }
    }

    /// The problem as the clients of a path know it: those of OpenAI's API look
    /// for 400 where a request is not valid.
    pub fn told_at(self, path: &str) -> Self {
        match self.code {
            Code::ValidationFailed | Code::InvalidRequest if openai::owns(path) => {
                Self { code: Code::InvalidValue, ..self }
            }
            _ => self,
        }
    }

    /// A key without this scope.
    pub fn scope_required(scope: &'static str) -> Self {
        let detail = format!("This needs a key with the scope `{scope}`.");
        Self { scope: Some(scope), ..Self::new(Code::ScopeRequired, detail) }
    }

    /// A problem that passes with time.
    pub fn retry(code: Code, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..code.into() }
    }

    /// The body of an `application/problem+json` response.
    pub fn json(&self, instance: &str, request_id: &str) -> String {
        let entry = self.code.entry();
        let Entry { code, status, title, detail } = entry;
        let faults = (!self.faults.is_empty()).then(|| sentences(&self.faults));
        let detail = self.detail.as_deref().or(faults.as_deref()).unwrap_or(detail);
        let param = self.faults.first().and_then(Fault::place);
        crate::json::encode(&Body {
            r#type: format!("/problems/{code}"),
            title,
            status,
            detail,
            instance,
            code,
            request_id,
            errors: &self.faults,
            error: openai::owns(instance)
                .then(|| openai::Error::of(entry, detail, param.as_deref())),
        })
    }

    /// The value of `WWW-Authenticate` (RFC 6750 section 3), where the status
    /// calls for one.
    pub fn challenge(&self) -> Option<String> {
        const REALM: &str = "Bearer realm=\"ragtime\"";
        match (self.code, self.scope) {
            (Code::Unauthenticated, _) => Some(REALM.to_owned()),
            (Code::InvalidCredential | Code::ExpiredCredential, _) => {
                Some(format!("{REALM}, error=\"invalid_token\""))
            }
            (Code::ScopeRequired, Some(scope)) => {
                Some(format!("{REALM}, error=\"insufficient_scope\", scope=\"{scope}\""))
            }
            _ => None,
        }
    }
}

/// Faults that are told in a sentence; the rest is in `errors`.
const MAX_TOLD_FAULTS: usize = 3;

/// What is wrong, for those who show one text.
fn sentences(faults: &[Fault]) -> String {
    let mut said: Vec<_> = faults.iter().take(MAX_TOLD_FAULTS).map(Fault::sentence).collect();
    match faults.len().saturating_sub(MAX_TOLD_FAULTS) {
        0 => {}
        1 => said.push("`errors` names one more place.".to_owned()),
        more => said.push(format!("`errors` names {more} more places.")),
    }
    said.join(" ")
}

/// What went wrong (RFC 9457).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct Body<'a> {
    /// Where the code is explained.
    r#type: String,
    /// The same for every occurrence.
    title: &'a str,
    /// HTTP status.
    status: u16,
    /// What to do about it.
    detail: &'a str,
    /// The path of the request.
    instance: &'a str,
    /// Stable, for programs.
    #[schemars(extend("enum" = codes()))]
    code: &'a str,
    /// Stands in the server's log.
    request_id: &'a str,
    /// The places that are wrong.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Fault],
    /// The same for clients of OpenAI's API, on its routes.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<openai::Error<'a>>,
}

fn codes() -> Vec<&'static str> {
    Code::ALL.iter().map(|code| code.entry().code).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn every_code_is_found_by_its_name_alone() {
        for code in Code::ALL {
            assert_eq!(Code::parse(code.entry().code), Some(*code));
        }
        assert_eq!(Code::parse("no_such_code"), None);
    }

    #[test]
    fn every_code_is_snake_case_and_has_an_error_status() {
        for entry in Code::ALL.iter().map(|code| code.entry()) {
            assert!(
                entry
                    .code
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte == b'8')
            );
            assert!((400..600).contains(&entry.status), "{entry:?}");
            assert!(entry.detail.ends_with('.'), "{entry:?}");
        }
    }

    #[test]
    fn a_problem_names_its_type_code_and_request() {
        let fault = Fault::at("#/top_k", "must be 1 to 100");
        let body = Problem::invalid(vec![fault]).json("/v1/x", "r-1");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["type"], "/problems/validation_failed");
        assert_eq!(body["status"], 422);
        assert_eq!(body["request_id"], "r-1");
        assert_eq!(body["errors"][0]["pointer"], "#/top_k");
        assert_eq!(body["detail"], "`top_k` must be 1 to 100.");
    }

    #[test]
    fn clients_of_openai_find_the_error_where_they_look() {
        let body = Problem::from(Code::UnknownModel).json("/v1/chat/completions", "r-1");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["error"]["code"], "unknown_model");
        assert_eq!(body["error"]["message"], body["detail"]);
        let unknown = Problem::from(Code::NotFound).json("/v1/assistants", "r-1");
        assert!(unknown.contains("\"error\":"));
        let other = Problem::from(Code::UnknownKey).json("/v1/keys/a", "r-1");
        assert!(!other.contains("\"error\":"));
    }

    #[test]
    fn a_detail_says_what_is_wrong_however_much_it_is() {
        let faults: Vec<_> =
            (0..5).map(|index| Fault::at(format!("#/texts/{index}"), "is required")).collect();
        let problem = Problem::invalid(faults).told_at("/v1/responses");
        let body: serde_json::Value =
            serde_json::from_str(&problem.json("/v1/responses", "r-1")).unwrap();
        assert_eq!((&body["status"], &body["code"]), (&400.into(), &"invalid_value".into()));
        let detail = "`texts[0]` is required. `texts[1]` is required. `texts[2]` is required. `errors` names 2 more places.";
        assert_eq!(body["detail"], detail);
        assert_eq!(body["error"]["param"], "texts[0]");
    }

    #[test]
    fn a_rule_of_the_host_keeps_its_pointer() {
        let problem = Problem::rule("/filter/a b/zz: no such operator");
        assert_eq!(problem.faults, [Fault::at("#/filter/a%20b/zz", "no such operator")]);
        assert_eq!(Problem::rule("the depth is 1 to 9").code, Code::InvalidRequest);
    }

    #[test]
    fn a_challenge_tells_a_missing_key_from_a_bad_one() {
        let challenge = |code: Code| Problem::from(code).challenge();
        assert_eq!(challenge(Code::Unauthenticated).unwrap(), "Bearer realm=\"ragtime\"");
        assert!(challenge(Code::InvalidCredential).unwrap().contains("invalid_token"));
        assert!(Problem::scope_required("write").challenge().unwrap().contains("scope=\"write\""));
        assert_eq!(challenge(Code::NotFound), None);
    }
}
