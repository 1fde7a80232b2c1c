//! Questions and answers.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Span, rules, search};
use crate::diversity::Diversity;
use crate::json::{self, Field, Fields, Flag, Location, Member, Text};
use crate::limits;
use crate::problem::Problem;

/// What to answer.
#[derive(Debug, PartialEq)]
pub struct QueryRequest {
    /// The user's question.
    pub query: String,
    /// Sources to answer from.
    pub top_k: u32,
    /// Whether the answer comes as events.
    pub stream: bool,
    /// A filter on metadata, as JSON.
    pub filter: Option<String>,
    /// By which generator.
    pub generator: Option<String>,
    /// How little the sources may repeat each other.
    pub diversity: Diversity,
    /// How many of the best passages are reranked, if any.
    pub rerank: Option<u32>,
}

const STREAM: Member<Flag> =
    Flag::optional("stream", "Answer as server-sent events. Default: false.");
const GENERATOR: Member<Text> =
    Text::optional("generator", &rules::GENERATOR, "Who answers. Default: the operator's setting.");
/// Members of the body of `POST …/query`.
pub const FIELDS: &[Field] = &[
    search::QUERY.field(),
    search::TOP_K.field(),
    STREAM.field(),
    search::FILTER.field(),
    GENERATOR.field(),
    search::DEDUPE.field(),
    search::DIVERSITY.field(),
    search::RERANK.field(),
];

/// Reads the body of `POST …/query`.
///
/// # Errors
///
/// See [`json::read`].
pub fn read(body: &[u8]) -> Result<QueryRequest, Problem> {
    json::read(body, |json, faults| {
        let mut fields = Fields::open(json, Location::Root, FIELDS, faults)?;
        let query = fields.string(search::QUERY, faults);
        let top_k = fields.integer(search::TOP_K, faults).unwrap_or(limits::DEFAULT_QUERY_TOP_K);
        let stream = fields.boolean(STREAM, faults).unwrap_or(false);
        let filter = fields.tree(search::FILTER, faults);
        let generator = fields.string(GENERATOR, faults).map(Into::into);
        let diversity = search::diversity(&mut fields, faults);
        let rerank = search::rerank(&mut fields, faults);
        let query = query?.into();
        Some(QueryRequest { query, top_k, stream, filter, generator, diversity, rerank })
    })
}

/// The answer of `POST …/query`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct QueryResponse<'a> {
    /// The text of the answer; empty where `abstained` says it all.
    pub answer: &'a str,
    /// Whether the sources do not hold an answer.
    pub abstained: bool,
    /// What more is known of the answer.
    #[serde(flatten)]
    pub known: Known<'a>,
    /// What the answer rests on, in its order.
    pub citations: &'a [Citation],
    /// What the generator was given, best first.
    pub sources: Vec<Source<'a>>,
    /// How the sources were reranked, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reranked: Option<&'a search::Reranked>,
    /// Who answered.
    pub generator: &'a str,
    /// What it took.
    pub usage: Usage,
    /// Milliseconds.
    pub took_ms: u64,
}

/// What more is known of an answer than its text.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Known<'a> {
    /// How likely the sources hold an answer, 0 to 1; null where a language model
    /// answered.
    pub confidence: Option<f64>,
    /// Why it ended: `stop`, `length` or `content_filter`.
    pub finish_reason: &'static str,
    /// Of a language model: what it said with marks of sources.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub statements: &'a [Statement],
}

/// A statement that names sources.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Statement {
    /// What it says.
    pub text: String,
    /// Whether a source that it names says so too.
    pub supported: bool,
}

/// A quote that the host read from the stored text.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Citation {
    /// The document's id in its collection.
    pub document_id: String,
    /// Exactly the bytes of the span.
    pub quote: String,
    /// The bytes of the document's text.
    pub span: Span,
    /// SHA-256 of the document's text, lower-case hex.
    pub sha256: String,
}

/// A passage that the generator was given.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Source<'a> {
    /// The document's id in its collection.
    pub document_id: &'a str,
    /// The chunk's id in its collection.
    pub chunk_id: String,
    /// As in a search.
    pub score: f64,
    /// The document's title.
    pub title: Option<&'a str>,
    /// Headings above the chunk, outermost first.
    pub headings: &'a [String],
    /// The page the passage begins on, from 1, where the source has pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// The text of the span.
    pub text: &'a str,
    /// The bytes of the document's text.
    pub span: Span,
    /// The document's metadata.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub metadata: &'a RawValue,
}

/// What an answer took.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct Usage {
    /// Tokens read.
    pub input_tokens: u32,
    /// Tokens written.
    pub output_tokens: u32,
}

/// Data of the event `delta`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Delta<'a> {
    /// More of the answer.
    pub text: &'a str,
}

/// Data of the event `done`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Done<'a> {
    /// Whether the sources do not hold an answer.
    pub abstained: bool,
    /// What more is known of the answer.
    #[serde(flatten)]
    pub known: Known<'a>,
    /// Who answered.
    pub generator: &'a str,
    /// Milliseconds.
    pub took_ms: u64,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_question_has_defaults() {
        let request = read(br#"{"query":"why?","generator":null}"#).unwrap();
        assert_eq!((request.top_k, request.stream, request.generator), (10, false, None));
    }

    #[test]
    fn every_fault_is_pointed_at() {
        let faults = read(br#"{"stream":"yes","generator":""}"#).unwrap_err().faults;
        let pointers: Vec<_> = faults.iter().filter_map(|fault| fault.pointer.as_deref()).collect();
        assert_eq!(pointers, ["#/query", "#/stream", "#/generator"]);
    }
}
