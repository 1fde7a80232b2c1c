//! `POST /v1/chat/completions`, and `POST /v1/completions`

use std::time::Instant;

use axum::body::Body;
use http::StatusCode;
use ragtime_api::diversity::Diversity;
use ragtime_api::problem::{Code, Problem};
use ragtime_api::resource::openai;
use ragtime_api::resource::openai::chat::{self as api, ChatRequest, Choice, Completion, Message};
use ragtime_api::resource::openai::completions;
use ragtime_api::resource::query::Usage;
use ragtime_api::time::unix_now;

use super::NOTHING;
use super::chunks::{self, Form, Head};
use super::whole::{Whole, finish};
use crate::call::Call;
use crate::reply;
use crate::routes::RouteResult;
use crate::routes::answer::Answering;
use crate::routes::query::{Question, prepare};

/// `POST /v1/chat/completions`
pub(in crate::routes) async fn complete(mut call: Call) -> RouteResult {
    let request = api::read(&call.json_body().await?)?;
    answer(call, request, Form::Chat).await
}

/// `POST /v1/completions`
pub(in crate::routes) async fn complete_text(mut call: Call) -> RouteResult {
    let request = completions::read(&call.json_body().await?)?;
    answer(call, request, Form::Text).await
}

async fn answer(call: Call, request: ChatRequest, form: Form) -> RouteResult {
    let started = Instant::now();
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
        diversity: Diversity::default(),
        rerank: None,
    };
    let (permit, origin) = call.into_leave();
    let answering = prepare(permit, origin, question, started).await.map_err(unknown)?;
    let id = id(&answering, form);
    let head = Head { id, created: unix_now(), model, include_usage, max_tokens, form };
    match stream {
        true => Ok(reply::events(Body::from_stream(chunks::stream(answering, head).await?))),
        false => whole(answering, head).await,
    }
}

async fn whole(answering: Answering, head: Head) -> RouteResult {
    let whole = finish(&answering, head.max_tokens).await?;
    match head.form {
        Form::Chat => Ok(reply::json(StatusCode::OK, &message(&whole, &head))),
        Form::Text => Ok(reply::json(StatusCode::OK, &text(&whole, &head))),
    }
}

fn message<'a>(whole: &'a Whole, head: &'a Head) -> Completion<'a> {
    let message = Message {
        role: "assistant",
        content: said(whole),
        refusal: None,
        citations: &whole.citations,
        abstained: whole.completion.abstained,
        confidence: whole.known.confidence,
        statements: &whole.known.statements,
    };
    let finish_reason = whole.finish_reason();
    Completion {
        id: &head.id,
        object: "chat.completion",
        created: head.created,
        model: &head.model,
        choices: [Choice { index: 0, message, finish_reason, logprobs: None }],
        usage: Usage::from(whole.completion.usage).into(),
    }
}

fn text<'a>(whole: &'a Whole, head: &'a Head) -> completions::Completion<'a> {
    let choice = completions::Choice {
        text: said(whole),
        finish_reason: Some(whole.finish_reason()),
        citations: Some(&whole.citations),
        abstained: Some(whole.completion.abstained),
        ..completions::Choice::default()
    };
    completions::Completion {
        id: &head.id,
        object: "text_completion",
        created: head.created,
        model: &head.model,
        choices: vec![choice],
        usage: Some(Some(Usage::from(whole.completion.usage).into())),
    }
}

fn said(whole: &Whole) -> &str {
    if whole.text.is_empty() { NOTHING } else { &whole.text }
}

pub(super) fn unknown(problem: Problem) -> Problem {
    match problem.code {
        Code::UnknownCollection => Code::UnknownModel.into(),
        _ => problem,
    }
}

fn id(answering: &Answering, form: Form) -> String {
    let kind = match form {
        Form::Chat => "chatcmpl",
        Form::Text => "cmpl",
    };
    format!("{kind}-{}", answering.origin.request_id)
}
