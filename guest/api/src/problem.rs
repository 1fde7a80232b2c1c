//! Problems as a handler answers them (RFC 9457). The catalogue of their codes is
//! `ragtime_policy::problem`, which the host shares.

use ragtime_policy::fault;
use ragtime_policy::problem::{Entry, is_for_openai};
use schemars::JsonSchema;
use serde::Serialize;

use crate::json::fault::{Fault, fragment};
use crate::json::value::encode;
use crate::resource::openai::error::Error;

pub use ragtime_policy::problem::Code;

/// What a client and an operator need to know about one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "ProblemEntry")]
pub struct Explanation {
    /// Stable, in snake case.
    pub code: &'static str,
    /// HTTP status.
    pub status: u16,
    /// The same for every occurrence.
    pub title: &'static str,
    /// What to do about it.
    pub detail: &'static str,
}

impl From<Code> for Explanation {
    fn from(code: Code) -> Self {
        let Entry { code, status, title, detail } = code.entry();
        Self { code, status, title, detail }
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

    /// A request that breaks a rule of the host, as the contract carries it.
    pub fn rule(text: &str) -> Self {
        let Ok(fault::Fault { pointer, rule }) = text.parse();
        match pointer {
            Some(pointer) => Self::invalid(vec![Fault::at(fragment(&pointer), rule)]),
            None => Self::new(Code::InvalidRequest, rule),
        }
    }

    /// The problem as the clients of a path know it: those of OpenAI's API look
    /// for 400 where a request is not valid.
    pub fn told_at(self, path: &str) -> Self {
        match self.code {
            Code::ValidationFailed | Code::InvalidRequest if is_for_openai(path) => {
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
        encode(&Body {
            r#type: self.code.location(),
            title,
            status,
            detail,
            instance,
            code,
            request_id,
            errors: &self.faults,
            error: is_for_openai(instance).then(|| Error::of(entry, detail, param.as_deref())),
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

/// Faults that are listed in a sentence; the rest is in `errors`.
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
    error: Option<Error<'a>>,
}

fn codes() -> Vec<&'static str> {
    Code::API.iter().map(|code| code.entry().code).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

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
