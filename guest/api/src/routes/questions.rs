//! Searches, questions and reranking.

use super::Method::Post;
use super::description::{Content, Description, fields, json_of};
use super::{ANSWER, Described, Operation, PLAIN, READ, keyed};
use crate::json::lenient_object;
use crate::problem::Code;
use crate::resource::{query, rerank, search};
use Questions as Do;

/// What can be asked for here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the descriptions below say it")]
pub enum Questions {
    Search,
    Query,
    Rerank,
}

/// Their routes and descriptions.
pub(super) const OPERATIONS: &[Described] = &[
    keyed(
        Post,
        "/v1/collections/{collection}/search",
        READ,
        PLAIN,
        Operation::Questions(Do::Search),
        || {
            about("search", "Find passages")
            .body(
                fields!(search::FIELDS),
                r#"{"query": "lift", "top_k": 3, "mode": "hybrid", "filter": {"year": {"gte": 1950}}, "min_score": 0.1, "explain": true, "highlight": true, "per_document": false}"#,
                |body| search::read(body).map(drop),
            )
            .json::<search::SearchResponse<'_>>(200, "Passages, best first.")
            .problems(&[
                Code::EmbeddingUnavailable,
                Code::UnknownReranker,
                Code::RerankingUnavailable,
            ])
        },
    ),
    keyed(
        Post,
        "/v1/collections/{collection}/query",
        READ,
        ANSWER,
        Operation::Questions(Do::Query),
        || {
            about("query", "Ask, and get an answer with citations")
            .body(
                fields!(query::FIELDS),
                r#"{"query": "What holds an aircraft in the air?", "top_k": 6, "stream": false, "filter": {"year": 1958}, "generator": "extractive"}"#,
                |body| query::read(body).map(drop),
            )
            .answer(
                200,
                "The answer; with `stream` as events `sources`, `delta`, `citation`, `usage`, `done`, `error`.",
                vec![json_of::<query::QueryResponse<'_>>(), Content::Text("text/event-stream")],
            )
            .problems(&[
                Code::UnknownGenerator,
                Code::GeneratorUnavailable,
                Code::GenerationFailed,
                Code::UnknownReranker,
                Code::RerankingUnavailable,
            ])
        },
    ),
    keyed(Post, "/v1/rerank", READ, PLAIN, Operation::Questions(Do::Rerank), || {
        about("rerank", "Order texts by how well they answer")
            .body(
                || lenient_object(rerank::FIELDS),
                r#"{"query": "What holds an aircraft in the air?", "documents": ["Lift does.", {"text": "Nothing."}], "top_n": 1, "return_documents": true}"#,
                |body| rerank::read(body).map(drop),
            )
            .json::<rerank::RerankResponse<'_>>(200, "Best first.")
            .problems(&[Code::UnknownReranker, Code::RerankingUnavailable])
    }),
];

fn about(id: &'static str, summary: &'static str) -> Description {
    Description::new(id, "questions", summary)
}
