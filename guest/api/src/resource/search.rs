//! Search.

use ragtime_text::Language;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Span, rules, words};
use crate::diversity::Diversity;
use crate::json::{
    self, Any, Faults, Field, Fields, Flag, Json, Location, Member, Nested, Number, Text, Tree,
    Whole, Word,
};
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
    /// Adds to each result where it says the words of the query.
    pub highlight: bool,
    /// One best chunk for each document.
    pub per_document: bool,
    /// How little the results may repeat each other.
    pub diversity: Diversity,
    /// How many of the best are reranked, if any.
    pub rerank: Option<u32>,
}

/// Whether a reranker orders what was found.
pub(crate) const RERANK: Member<Any> = Any::optional(
    "rerank",
    rerank_schema,
    "Orders the best passages by a model that reads each with the query: true, or how many. \
     Default: false.",
);

fn rerank_schema() -> Value {
    json!({"anyOf": [
        {"type": "boolean"},
        {"type": "integer", "minimum": 1, "maximum": limits::MAX_RERANK_DEPTH},
    ]})
}

/// Takes [`RERANK`].
pub(crate) fn rerank(fields: &mut Fields<'_, '_>, faults: &mut Faults) -> Option<u32> {
    let most = limits::MAX_RERANK_DEPTH;
    match fields.take(RERANK, faults)? {
        Json::Bool(true) => Some(limits::DEFAULT_RERANK_DEPTH),
        Json::Bool(false) => None,
        Json::Number(number) => {
            let depth = json::whole(&number).filter(|depth| (1..=most).contains(depth));
            if depth.is_none() {
                fields.fault(RERANK, format!("must be a whole number from 1 to {most}"), faults);
            }
            depth
        }
        other => {
            let detail = format!("must be a boolean or a number, not {}", other.kind());
            fields.fault(RERANK, detail, faults);
            None
        }
    }
}

/// How what was found was reranked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Reranked {
    /// The model that did it.
    pub model: String,
    /// How many of the best it was given.
    pub depth: u32,
    /// Whether its time ran out: those that were not scored stand behind the others, in
    /// the order in which they were found, with the score 0.
    pub cut: bool,
}

/// What to answer.
pub(crate) const QUERY: Member<Text> =
    Text::required("query", &rules::QUERY, "The question or the words to look for.");

/// What to look for. See [`crate::query_syntax`].
pub(crate) const TERMS: Member<Text> = Text::required(
    "query",
    &rules::QUERY,
    "The question or the words to look for. `\"a phrase\"` and `+word` have to be there, `-word` \
     and `-\"a phrase\"` must not.",
);

/// How many passages.
pub(crate) const TOP_K: Member<Whole> = Whole::optional(
    "top_k",
    1,
    limits::MAX_TOP_K,
    "How many passages. Default: 10 for a search, 6 for an answer.",
);

/// A condition on metadata. The host checks its meaning, as it evaluates it.
pub(crate) const FILTER: Member<Nested> = Nested::optional(
    "filter",
    Tree {
        max_bytes: limits::MAX_FILTER_BYTES,
        max_depth: limits::MAX_FILTER_DEPTH,
        schema: Some("Filter"),
    },
    "A condition on the documents' metadata.",
);

/// Whether near-duplicates are left out.
pub(crate) const DEDUPE: Member<Flag> = Flag::optional(
    "dedupe",
    "Leaves out passages that say nearly word for word what a better one says. Default: false.",
);

/// How much passages are to differ.
pub(crate) const DIVERSITY: Member<Number> = Number::optional_share(
    "diversity",
    "0 ranks by score alone, 1 by difference from the passages before alone (maximal marginal \
     relevance). Default: 0.",
);

/// Takes [`DEDUPE`] and [`DIVERSITY`].
pub(crate) fn diversity(fields: &mut Fields<'_, '_>, faults: &mut Faults) -> Diversity {
    Diversity {
        dedupe: fields.boolean(DEDUPE, faults).unwrap_or(false),
        weight: fields.number(DIVERSITY, faults).unwrap_or(0.0),
    }
}

const MODE: Member<Word> =
    Word::optional("mode", || words(Mode::WORDS), "How passages are found. Default: hybrid.");
const MIN_SCORE: Member<Number> =
    Number::optional("min_score", "Leaves out passages with a lower score.");
const EXPLAIN: Member<Flag> =
    Flag::optional("explain", "Adds how each score came about. Default: false.");
const HIGHLIGHT: Member<Flag> = Flag::optional(
    "highlight",
    "Adds where the text of each passage says the words of the query. Default: false.",
);
const PER_DOCUMENT: Member<Flag> =
    Flag::optional("per_document", "One best passage for each document. Default: true.");
/// Members of the body of `POST …/search`.
pub const FIELDS: &[Field] = &[
    TERMS.field(),
    TOP_K.field(),
    MODE.field(),
    FILTER.field(),
    MIN_SCORE.field(),
    EXPLAIN.field(),
    HIGHLIGHT.field(),
    PER_DOCUMENT.field(),
    DEDUPE.field(),
    DIVERSITY.field(),
    RERANK.field(),
];

/// Reads the body of `POST …/search`.
///
/// # Errors
///
/// See [`json::read`].
pub fn read(body: &[u8]) -> Result<SearchRequest, Problem> {
    json::read(body, |json, faults| {
        let mut fields = Fields::open(json, Location::Root, FIELDS, faults)?;
        let query = fields.string(TERMS, faults);
        let top_k = fields.integer(TOP_K, faults).unwrap_or(limits::DEFAULT_SEARCH_TOP_K);
        let mode = fields.choice(MODE, Mode::WORDS, faults).unwrap_or(Mode::Hybrid);
        let filter = fields.tree(FILTER, faults);
        let min_score = fields.number(MIN_SCORE, faults);
        let explain = fields.boolean(EXPLAIN, faults).unwrap_or(false);
        let highlight = fields.boolean(HIGHLIGHT, faults).unwrap_or(false);
        let per_document = fields.boolean(PER_DOCUMENT, faults).unwrap_or(true);
        let diversity = diversity(&mut fields, faults);
        let rerank = rerank(&mut fields, faults);
        Some(SearchRequest {
            query: query?.into(),
            top_k,
            mode,
            filter,
            min_score,
            explain,
            highlight,
            per_document,
            diversity,
            rerank,
        })
    })
}

/// The answer of `POST …/search`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SearchResponse<'a> {
    /// Best first; with `diversity`, in the order picked.
    pub results: Vec<SearchResult<'a>>,
    /// How the chunks were found: what was asked, or `lexical` where hybrid was
    /// asked and no embedding model is loaded that knows the query's language.
    pub mode: &'static str,
    /// Whether `mode` is less than what was asked.
    pub degraded: bool,
    /// How the results were reranked, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reranked: Option<&'a Reranked>,
    /// Milliseconds.
    pub took_ms: u64,
}

/// A chunk that was found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SearchResult<'a> {
    /// The document's id in its collection.
    pub document_id: &'a str,
    /// The chunk's id in its collection.
    pub chunk_id: String,
    /// Higher is better: 0 to 1 in hybrid mode, BM25 in lexical, cosine in
    /// vector; reranked, the reranker's 0 to 1.
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
    /// Where it says the words of the query: bytes of the document's text, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub highlights: Option<Vec<Span>>,
    /// How the score came about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explanation>,
}

/// Where a passage that begins at this byte of a document in a language says the words
/// of a query.
pub fn highlights(query: &str, text: &str, start: u64, language: Option<&str>) -> Vec<Span> {
    let said = ragtime_text::highlights(query, text, language.and_then(Language::parse));
    let place = |end: usize| start + end as u64;
    said.into_iter().map(|span| Span { start: place(span.start), end: place(span.end) }).collect()
}

/// How a score came about; a leg that did not find the chunk is null.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Explanation {
    /// BM25.
    pub lexical: Option<Leg>,
    /// Cosine similarity.
    pub vector: Option<Leg>,
    /// The score: in hybrid mode the sum of each leg's `weight` × `normalised`,
    /// else the raw score of the one leg.
    pub fused: f64,
    /// What the reranker says, 0 to 1, which then is the score; null where it was not
    /// asked, or not in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerank: Option<f64>,
}

/// What one leg says of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Leg {
    /// Its raw score.
    pub score: f64,
    /// Its place among the candidates, from 1.
    pub rank: u32,
    /// The raw score from 0, the lowest of the leg's candidates, to 1, the
    /// highest.
    pub normalised: f64,
    /// What the leg counts in the mode in effect, 0 to 1.
    pub weight: f64,
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
        assert_eq!(request.diversity, Diversity::default());
    }

    #[test]
    fn every_fault_is_pointed_at() {
        let body =
            br#"{"query":" ","top_k":0,"mode":"fuzzy","filter":[],"min_score":"x","diversity":1.5,"extra":1}"#;
        let faults = read(body).unwrap_err().faults;
        let pointers: Vec<_> = faults.iter().filter_map(|fault| fault.pointer.as_deref()).collect();
        assert_eq!(
            pointers,
            ["#/extra", "#/query", "#/top_k", "#/mode", "#/filter", "#/min_score", "#/diversity"]
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
