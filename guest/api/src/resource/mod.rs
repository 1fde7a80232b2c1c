//! The bodies of requests and responses, one module a resource.

pub mod collections;
pub mod documents;
pub mod health;
pub mod keys;
pub mod openai;
pub mod query;
pub mod rerank;
pub mod rules;
pub mod search;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

/// A half-open range of bytes of a document's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Span {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

/// The words of a set of choices.
fn words<T>(choices: &[(&'static str, T)]) -> Vec<&'static str> {
    choices.iter().map(|(word, _)| *word).collect()
}

/// Stored JSON as it is; null if the store should hold something else.
pub fn raw(json: &str) -> &RawValue {
    serde_json::from_str(json).unwrap_or(RawValue::NULL)
}
