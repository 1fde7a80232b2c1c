//! The bodies of OpenAI's API, as far as a server of answers needs them.

pub mod chat;
pub mod completions;
mod conversation;
pub mod embeddings;
pub mod file_search;
pub mod files;
pub mod listing;
pub mod models;
pub mod response;
pub mod responses;
pub mod store;
pub mod stores;
mod tokens;
mod unsupported;

pub use conversation::{Conversation, Speaker};
use serde::Serialize;

use crate::problem::Entry;

/// Before the collection in the name of a model.
const PREFIX: &str = "ragtime/";

/// The name of the model that answers from a collection.
pub fn model(collection: &str) -> String {
    format!("{PREFIX}{collection}")
}

/// The collection that a model answers from.
pub fn collection(model: &str) -> Option<&str> {
    model.strip_prefix(PREFIX).filter(|name| super::rules::collection(name).is_ok())
}

/// The families of routes below `/v1/` that are this server's own.
const OURS: [&str; 3] = ["collections", "jobs", "keys"];

/// Whether a path belongs to OpenAI's API, whose clients look for `error`. A
/// route that this server has not is one that OpenAI's clients may know.
pub fn owns(path: &str) -> bool {
    let family = path.strip_prefix("/v1/").and_then(|rest| rest.split('/').next());
    family.is_some_and(|family| !OURS.contains(&family))
}

/// What OpenAI's clients show of a problem.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Error<'a> {
    /// What to do about it.
    pub message: &'a str,
    /// The kind of error, by its status.
    pub r#type: &'static str,
    /// The problem's code.
    pub code: &'a str,
    /// The parameter at fault.
    pub param: Option<&'a str>,
}

impl<'a> Error<'a> {
    /// Of a problem.
    pub fn of(entry: Entry, message: &'a str, param: Option<&'a str>) -> Self {
        let kind = match entry.status {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        Self { message, r#type: kind, code: entry.code, param }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_a_collection_and_nothing_else() {
        assert_eq!(collection(&model("papers")), Some("papers"));
        for name in ["papers", "ragtime/", "ragtime/A", "ragtime/a/b", "gpt-4o"] {
            assert_eq!(collection(name), None, "{name}");
        }
    }
}
