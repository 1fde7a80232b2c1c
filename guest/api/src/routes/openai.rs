//! OpenAI's API: questions, models and embeddings.

use super::Method::{Get, Post};
use super::description::{Content, Description, json_of};
use super::{ANSWER, BY_TOKENS, Described, Operation, PLAIN, READ, keyed};
use crate::json::lenient_object;
use crate::problem::Code;
use crate::resource::openai::{chat, completions, embeddings, models, response, responses};
use OpenAi as Do;

/// What can be asked for here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the descriptions below say it")]
pub enum OpenAi {
    CompleteChat,
    CompleteText,
    CreateResponse,
    ListModels,
    GetModel,
    GetCollectionModel,
    CreateEmbeddings,
}

/// What may be wrong with a completion, in either of its formats.
const COMPLETION_PROBLEMS: &[Code] = &[
    Code::UnknownModel,
    Code::CollectionForbidden,
    Code::UnknownGenerator,
    Code::GeneratorUnavailable,
    Code::GenerationFailed,
];

/// Their routes and descriptions.
pub(super) const OPERATIONS: &[Described] = &[
    keyed(Post, "/v1/chat/completions", READ, ANSWER, Operation::OpenAi(Do::CompleteChat), || {
        about("completeChat", "Ask in OpenAI's format")
            .body(
                || lenient_object(chat::FIELDS),
                r#"{"model": "ragtime/default", "messages": [{"role": "user", "content": "What holds an aircraft in the air?"}], "stream": false}"#,
                |body| chat::read(body).map(drop),
            )
            .answer(
                200,
                "The answer; with `stream` as events that end with `[DONE]`.",
                vec![json_of::<chat::Completion<'_>>(), Content::Text("text/event-stream")],
            )
            .problems(COMPLETION_PROBLEMS)
    }),
    keyed(Post, "/v1/completions", READ, ANSWER, Operation::OpenAi(Do::CompleteText), || {
        about("completeText", "Ask in OpenAI's oldest format")
            .body(
                || lenient_object(completions::FIELDS),
                r#"{"model": "ragtime/default", "prompt": "What holds an aircraft in the air?", "stream": false}"#,
                |body| completions::read(body).map(drop),
            )
            .answer(
                200,
                "The answer; with `stream` as events that end with `[DONE]`.",
                vec![json_of::<completions::Completion<'_>>(), Content::Text("text/event-stream")],
            )
            .problems(COMPLETION_PROBLEMS)
    }),
    keyed(Post, "/v1/responses", READ, ANSWER, Operation::OpenAi(Do::CreateResponse), || {
        about("createResponse", "Ask in OpenAI's newer format")
            .body(
                || lenient_object(responses::FIELDS),
                r#"{"model": "ragtime/default", "input": "What holds an aircraft in the air?", "stream": false}"#,
                |body| responses::read(body).map(drop),
            )
            .answer(
                200,
                "The answer; with `stream` as events that end with `response.completed`.",
                vec![json_of::<response::Response<'_>>(), Content::Text("text/event-stream")],
            )
            .problems(&[
                Code::UnknownModel,
                Code::UnknownCollection,
                Code::CollectionForbidden,
                Code::UnknownGenerator,
                Code::GeneratorUnavailable,
                Code::GenerationFailed,
            ])
    }),
    keyed(Get, "/v1/models", READ, PLAIN, Operation::OpenAi(Do::ListModels), || {
        about("listModels", "What can be asked in OpenAI's format")
            .json::<models::List>(200, "Collections and the embedding model.")
    }),
    keyed(Get, "/v1/models/{id}", READ, PLAIN, Operation::OpenAi(Do::GetModel), || {
        about("getModel", "A model, its name as one segment")
            .json::<models::Model>(200, "The model.")
            .problems(&[Code::UnknownModel, Code::CollectionForbidden])
    }),
    keyed(
        Get,
        "/v1/models/ragtime/{collection}",
        READ,
        PLAIN,
        Operation::OpenAi(Do::GetCollectionModel),
        || {
            about("getCollectionModel", "A collection as a model")
                .json::<models::Model>(200, "The model.")
                .problems(&[Code::UnknownModel])
        },
    ),
    keyed(Post, "/v1/embeddings", READ, BY_TOKENS, Operation::OpenAi(Do::CreateEmbeddings), || {
        about("createEmbeddings", "Embed texts in OpenAI's format")
            .body(
                || lenient_object(embeddings::FIELDS),
                r#"{"model": "all-MiniLM-L6-v2", "input": ["Lift holds an aircraft in the air."], "encoding_format": "float"}"#,
                |body| embeddings::read(body).map(drop),
            )
            .json::<embeddings::List<'_>>(200, "Vectors of unit length.")
            .problems(&[Code::UnknownModel, Code::EmbeddingUnavailable])
    }),
];

fn about(id: &'static str, summary: &'static str) -> Description {
    Description::new(id, "openai", summary)
}
