//! Search.

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Span, rules};
use crate::json::{self, Faults, Fields, Json, Location};
use crate::limits;
use crate::problem::Problem;

/// How chunks are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By words and by meaning.
    Hybrid,
    /// By words.
    Lexical,
    /// By meaning.
    Vector,
}

impl Mode {
    /// The words of the contract.
    pub const WORDS: &[(&str, Self)] =
        &[("hybrid", Self::Hybrid), ("lexical", Self::Lexical), ("vector", Self::Vector)];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid",
            Self::Lexical => "lexical",
            Self::Vector => "vector",
        }
    }
}

/// What to look for.
#[derive(Debug, PartialEq)]
pub struct SearchRequest {
    /// The user's words.
    pub query: String,
    /// Results wanted.
    pub top_k: u32,
    /// How.
    pub mode: Mode,
    /// A filter on metadata, as JSON.
    pub filter: Option<String>,
    /// Leaves out results with a lower score.
    pub min_score: Option<f64>,
    /// Adds to each result how its score came about.
    pub explain: bool,
    /// One best chunk for each document.
    pub per_document: bool,
}

/// Reads the body of `POST …/search`.
///
/// # Errors
///
/// See [`json::read`].
pub fn read(body: &[u8]) -> Result<SearchRequest, Problem> {
    const KNOWN: &[&str] =
        &["query", "top_k", "mode", "filter", "min_score", "explain", "per_document"];
    json::read(body, |json, faults| {
        let mut fields = Fields::open(json, Location::Root, KNOWN, faults)?;
        let query = fields.required_string("query", rules::query, faults);
        let top_k = top_k(&mut fields, limits::DEFAULT_SEARCH_TOP_K, faults);
        let mode = fields.choice("mode", Mode::WORDS, faults).unwrap_or(Mode::Hybrid);
        let filter = filter(&mut fields, faults);
        let min_score = fields.number("min_score", faults);
        let explain = fields.boolean("explain", faults).unwrap_or(false);
        let per_document = fields.boolean("per_document", faults).unwrap_or(true);
        Some(SearchRequest {
            query: query?.into(),
            top_k,
            mode,
            filter,
            min_score,
            explain,
            per_document,
        })
    })
}

/// Takes `top_k`.
pub(super) fn top_k(fields: &mut Fields<'_, '_>, default: u32, faults: &mut Faults) -> u32 {
    fields.integer("top_k", 1..=limits::MAX_TOP_K, faults).unwrap_or(default)
}

/// Takes `filter`, of bounded size and depth. The host checks its meaning, as
/// it evaluates it.
pub(super) fn filter(fields: &mut Fields<'_, '_>, faults: &mut Faults) -> Option<String> {
    let filter = fields.take("filter")?;
    let detail = match &filter {
        Json::Object(_) if filter.depth() > limits::MAX_FILTER_DEPTH => {
            format!("must be at most {} levels deep", limits::MAX_FILTER_DEPTH)
        }
        Json::Object(_) => match filter.repeated() {
            Some(name) => format!("must not give `{name}` twice in one object"),
            None => {
                let encoded = json::encode(&filter);
                if encoded.len() <= limits::MAX_FILTER_BYTES {
                    return Some(encoded);
                }
                format!("must be at most {} bytes", limits::MAX_FILTER_BYTES)
            }
        },
        other => format!("must be an object, not {}", other.kind()),
    };
    fields.fault("filter", detail, faults);
    None
}

/// The answer of `POST …/search`.
#[derive(Debug, Serialize)]
pub struct SearchResponse<'a> {
    /// Best first.
    pub results: Vec<SearchResult<'a>>,
    /// How the chunks were found: what was asked, or `lexical` where hybrid was
    /// asked and no embedding model is loaded.
    pub mode: &'static str,
    /// Whether `mode` is less than what was asked.
    pub degraded: bool,
    /// Milliseconds.
    pub took_ms: u64,
}

/// A chunk that was found.
#[derive(Debug, Serialize)]
pub struct SearchResult<'a> {
    /// The document's id in its collection.
    pub document_id: &'a str,
    /// The chunk's id. A string: JSON numbers are not safe beyond 2^53.
    pub chunk_id: String,
    /// Higher is better: 0 to 1 in hybrid mode, BM25 in lexical, cosine in
    /// vector.
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
    pub metadata: &'a RawValue,
    /// How the score came about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explanation>,
}

/// How a score came about; a leg that did not find the chunk is null.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Explanation {
    /// BM25.
    pub lexical: Option<Leg>,
    /// Cosine similarity.
    pub vector: Option<Leg>,
}

/// What one leg says of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Leg {
    /// Its raw score.
    pub score: f64,
    /// Its place among the candidates, from 1.
    pub rank: u32,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_search_has_defaults() {
        let request = read(br#"{"query":"lift"}"#).unwrap();
        assert_eq!((request.top_k, request.mode, request.per_document), (10, Mode::Hybrid, true));
        assert_eq!((request.filter, request.explain), (None, false));
    }

    #[test]
    fn every_fault_is_pointed_at() {
        let body =
            br#"{"query":" ","top_k":0,"mode":"fuzzy","filter":[],"min_score":"x","extra":1}"#;
        let faults = read(body).unwrap_err().faults;
        let pointers: Vec<_> = faults.iter().filter_map(|fault| fault.pointer.as_deref()).collect();
        assert_eq!(
            pointers,
            ["#/extra", "#/query", "#/top_k", "#/mode", "#/filter", "#/min_score"]
        );
    }

    #[test]
    fn a_filter_is_bounded_in_depth() {
        let nested = |depth: usize| {
            format!(
                r#"{{"query":"a","filter":{}1{}}}"#,
                r#"{"not":"#.repeat(depth),
                "}".repeat(depth)
            )
        };
        assert!(read(nested(limits::MAX_FILTER_DEPTH).as_bytes()).is_ok());
        assert!(read(nested(limits::MAX_FILTER_DEPTH + 1).as_bytes()).is_err());
    }
}
