//! The problem catalogue (RFC 9457): every error that a handler, the host or its admin API
//! answers, with a stable code, in one exhaustive table.

/// What a client and an operator need to know about one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    (
        api: {$($api:ident = $api_code:literal, $api_status:literal, $api_title:literal, $api_detail:literal;)*}
        admin: {$($admin:ident = $admin_code:literal, $admin_status:literal, $admin_title:literal, $admin_detail:literal;)*}
    ) => {
        /// What went wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $api_title] $api,)*
            $(#[doc = $admin_title] $admin,)*
        }

        impl Code {
            /// The codes of the HTTP API, some of which the admin API answers too.
            pub const API: &[Self] = &[$(Self::$api),*];
            /// The codes that the admin API alone answers.
            pub const ADMIN: &[Self] = &[$(Self::$admin),*];

            /// The catalogue's entry.
            pub const fn entry(self) -> Entry {
                match self {
                    $(Self::$api => Entry { code: $api_code, status: $api_status, title: $api_title, detail: $api_detail },)*
                    $(Self::$admin => Entry { code: $admin_code, status: $admin_status, title: $admin_title, detail: $admin_detail },)*
                }
            }
        }
    };
}

catalogue! {
    api: {
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
    DatabaseUnreachable = "database_unreachable", 503, "The hosts' database does not answer",
        "Try again after `Retry-After` seconds. Until it answers no host can tell what the others have written.";
    HostBehind = "host_behind", 503, "This host has not caught up with the others",
        "Try again after `Retry-After` seconds; another host may answer at once.";
    HandlerNotHere = "handler_not_here", 503, "This host does not have the handler of its fleet yet",
        "Try again after `Retry-After` seconds; another host may answer at once.";
    HandlerTimeout = "handler_timeout", 504, "The handler did not answer in time",
        "Try again, or ask for less at once.";
    HandlerFailed = "handler_failed", 500, "The handler failed",
        "Tell the operator the request id; the log says what happened.";
    TlsRequired = "tls_required", 400, "The server speaks TLS here",
        "Call it by https:// instead of http://.";
    Internal = "internal", 500, "The server failed",
        "Tell the operator the request id; the log says what happened.";
    }
    admin: {
    KeyEnded = "key_ended", 401, "The key has ended",
        "The key was revoked, has expired or lost a right. Sign in with a live one.";
    TooManyListeners = "too_many_listeners", 503, "Too many follow the events",
        "Close another console, or raise the setting `admin.max_event_listeners`.";
    UnknownGeneration = "unknown_generation", 404, "No such generation",
        "List the generations there are with `GET /admin/guest`.";
    SwapInProgress = "swap_in_progress", 409, "Another swap is on its way",
        "Wait until it has ended; `GET /admin/guest` says how far it is.";
    GenerationChanged = "generation_changed", 412, "Another handler serves",
        "Read `GET /admin/guest`, and send the swap again with the `ETag` that it has now.";
    NothingToRestore = "nothing_to_restore", 409, "There is nothing to go back to",
        "Send a component instead.";
    ComponentGone = "component_gone", 410, "The component is not kept any more",
        "Send the component itself.";
    HandlerNotCompiled = "handler_not_compiled", 422, "The handler does not compile",
        "Build it as a component of the world in `wit/world.wit`.";
    HandlerNotLinked = "handler_not_linked", 422, "The handler does not fit this host",
        "Build it against the world of this host, or allow what `detail` names.";
    HandlerProbeFailed = "handler_probe_failed", 422, "The handler failed its probe",
        "Correct what `detail` names; the log has what the handler wrote.";
    HandlerGateFailed = "handler_gate_failed", 422, "The handler failed its gate",
        "Correct what `detail` names.";
    HandlerTrialFailed = "handler_trial_failed", 422, "The handler failed its trial",
        "Correct what `detail` names.";
    HandlerRefusedByHost = "handler_refused_by_host", 422, "A host of the fleet cannot serve the handler",
        "`detail` says which host and why. Mend that host, or end it, and send the handler again.";
    SwapCalledOff = "swap_called_off", 409, "The swap was called off",
        "Order it again if it is still wanted.";
    }
}

impl Code {
    /// The code of this name.
    pub fn parse(code: &str) -> Option<Self> {
        let all = Self::API.iter().chain(Self::ADMIN);
        all.copied().find(|known| known.entry().code == code)
    }

    /// Where the code is explained: the `type` of a problem.
    pub fn location(self) -> String {
        format!("/problems/{}", self.entry().code)
    }
}

/// The families of routes below `/v1/` that are this server's own. All others are those
/// of OpenAI's API, also those that it does not have.
const OWN_FAMILIES: [&str; 3] = ["collections", "jobs", "keys"];

/// Whether clients of OpenAI's API ask for this path. They show a problem's member
/// `error` and nothing else.
pub fn is_for_openai(path: &str) -> bool {
    let family = path.strip_prefix("/v1/").and_then(|rest| rest.split('/').next());
    family.is_some_and(|family| !OWN_FAMILIES.contains(&family))
}

/// The `type` of the member `error` that clients of OpenAI's API look for.
pub fn openai_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_found_by_its_name_alone() {
        for code in Code::API.iter().chain(Code::ADMIN) {
            assert_eq!(Code::parse(code.entry().code), Some(*code));
        }
        assert_eq!(Code::parse("no_such_code"), None);
    }

    #[test]
    fn every_code_is_snake_case_and_has_an_error_status() {
        for entry in Code::API.iter().chain(Code::ADMIN).map(|code| code.entry()) {
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
}
