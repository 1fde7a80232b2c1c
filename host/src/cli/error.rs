//! Why a command failed, in words for a person.

use std::process::ExitCode;

use serde::Deserialize;

use super::out;

/// Exit status of a command that failed.
const FAILED: u8 = 1;
/// Exit status of a command that did its work but for a part that it named.
const INCOMPLETE: u8 = 3;
/// Exit status of a command that was interrupted: 128 + SIGINT, as shells have
/// it.
const INTERRUPTED: u8 = 130;

/// Why a command failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct CliError {
    message: String,
    hint: Option<&'static str>,
    exit: u8,
    /// The server's code, where the server refused.
    code: Option<String>,
    /// What the server found wrong first, without the rest of its answer.
    fault: Option<String>,
}

impl CliError {
    /// An error without advice.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, exit: FAILED, code: None, fault: None }
    }

    pub(super) fn with_hint(message: impl Into<String>, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..Self::new(message) }
    }

    /// The command did its work but for what it has named.
    pub(super) fn incomplete(message: impl Into<String>) -> Self {
        Self { exit: INCOMPLETE, ..Self::new(message) }
    }

    /// The person stopped the command.
    pub(super) fn interrupted() -> Self {
        Self { exit: INTERRUPTED, ..Self::new("interrupted") }
    }

    /// The same error with this advice, unless it has some.
    pub(super) fn or_hint(mut self, hint: &'static str) -> Self {
        self.hint = self.hint.or(Some(hint));
        self
    }

    /// Why in a few words, for a list of things that failed.
    pub(super) fn in_short(&self) -> &str {
        self.fault.as_deref().unwrap_or(&self.message)
    }

    /// Whether the server refused with this code.
    pub(super) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

/// Prints what went wrong, if anything.
pub fn outcome(result: Result<(), CliError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            out::fail(&error.message, error.hint);
            ExitCode::from(error.exit)
        }
    }
}

/// A problem as the server answers it (RFC 9457).
#[derive(Debug, Deserialize)]
pub(super) struct Problem {
    title: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    request_id: String,
    #[serde(default)]
    errors: Vec<ProblemError>,
}

#[derive(Debug, Deserialize)]
struct ProblemError {
    detail: String,
    #[serde(default)]
    pointer: String,
}

impl From<Problem> for CliError {
    fn from(problem: Problem) -> Self {
        let mut message = format!("{}: {}", problem.title, problem.detail);
        for ProblemError { pointer, detail } in &problem.errors {
            let place = if pointer.is_empty() { "the request" } else { pointer };
            message.push_str(&format!("\n  {place}: {detail}"));
        }
        message.push_str(&format!("\n  (code {}, request {})", problem.code, problem.request_id));
        let hint = match problem.code.as_str() {
            "unauthenticated" | "invalid_credential" | "expired_credential" => {
                Some("RAGTIME_KEY must hold a live key of this server")
            }
            "scope_required" => {
                Some("another key may do this; an admin makes one with: ragtime keys create")
            }
            "unknown_collection" => Some("ragtime ingest --collection NAME makes it"),
            _ => None,
        };
        let fault = problem.errors.into_iter().next().map(|error| error.detail);
        Self { message, hint, exit: FAILED, code: Some(problem.code), fault }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_what_where_and_what_to_do() {
        let problem: Problem = serde_json::from_str(
            r##"{"type":"/problems/unknown_collection","title":"No collection","detail":"Create it.",
                "code":"unknown_collection","request_id":"r1","status":404,
                "errors":[{"detail":"must be text","pointer":"#/query"},{"detail":"is empty"}]}"##,
        )
        .unwrap();
        let error = CliError::from(problem);
        assert_eq!(
            error.message,
            "No collection: Create it.\n  #/query: must be text\n  the request: is empty\n  (code unknown_collection, request r1)"
        );
        assert_eq!(error.hint, Some("ragtime ingest --collection NAME makes it"));
        assert!(error.is("unknown_collection") && !error.is("busy"));
        assert_eq!(error.in_short(), "must be text");
        assert_eq!(CliError::new("no server").in_short(), "no server");
    }
}
