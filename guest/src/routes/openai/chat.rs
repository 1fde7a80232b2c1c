//! `POST /v1/chat/completions`

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use http::StatusCode;
use ragtime_api::problem::{Code, Problem};
use ragtime_api::resource::openai;
use ragtime_api::resource::openai::chat::{self as api, ChatRequest, Choice, Completion, Message};
use ragtime_api::resource::query::Usage;
use ragtime_api::variety::Variety;

use super::chunks::{self, Head};
use super::whole::finish;
use crate::call::Call;
use crate::reply;
use crate::routes::Answer;
use crate::routes::answer::Answering;
use crate::routes::query::{Question, prepare};

/// What is said when nothing was found, as clients of this API show nothing but
/// the text.
pub(super) const NOTHING: &str = "The documents do not hold an answer.";

/// `POST /v1/chat/completions`
pub(in crate::routes) async fn complete(mut call: Call) -> Answer {
    let started = Instant::now();
    let request = api::read(&call.json_body().await?)?;
    let collection = openai::collection(&request.model).ok_or(Code::UnknownModel)?.to_owned();
    let ChatRequest { model, conversation, stream, include_usage, max_tokens, .. } = request;
    let question = Question {
        collection,
        search: conversation.search_text(),
        earlier: conversation.before(),
        question: conversation.question,
        top_k: request.top_k,
        filter: request.filter,
        generator: request.generator,
        variety: Variety::default(),
    };
    let (permit, origin) = call.into_leave();
    let answering = prepare(permit, origin, question, started).await.map_err(unknown)?;
    let head = Head { id: id(&answering), created: now(), model, include_usage, max_tokens };
    match stream {
        true => Ok(reply::events(Body::from_stream(chunks::stream(answering, head).await?))),
        false => whole(answering, head).await,
    }
}

async fn whole(answering: Answering, head: Head) -> Answer {
    let whole = finish(&answering, head.max_tokens).await?;
    let content = if whole.text.is_empty() { NOTHING } else { &whole.text };
    let message = Message {
        role: "assistant",
        content,
        refusal: None,
        citations: &whole.citations,
        abstained: whole.completion.abstained,
        confidence: whole.known.confidence,
        statements: &whole.known.statements,
    };
    let finish_reason = whole.known.finish_reason;
    let choice = Choice { index: 0, message, finish_reason, logprobs: None };
    let completion = Completion {
        id: head.id,
        object: "chat.completion",
        created: head.created,
        model: &head.model,
        choices: [choice],
        usage: Usage::from(whole.completion.usage).into(),
    };
    Ok(reply::json(StatusCode::OK, &completion))
}

pub(super) fn unknown(problem: Problem) -> Problem {
    match problem.code {
        Code::UnknownCollection => Code::UnknownModel.into(),
        _ => problem,
    }
}

fn id(answering: &Answering) -> String {
    format!("chatcmpl-{}", answering.origin.request_id)
}

/// Seconds since the Unix epoch.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
