//! `POST /v1/responses`

use std::time::Instant;

use axum::body::Body;
use http::StatusCode;
use ragtime_api::diversity::Diversity;
use ragtime_api::limits;
use ragtime_api::problem::Code;
use ragtime_api::resource::openai;
use ragtime_api::resource::openai::response::Annotation;
use ragtime_api::resource::openai::responses::{self as api, ResponseRequest};
use ragtime_api::resource::query;

use super::NOTHING;
use super::chat::unknown;
use super::response_events;
use super::response_head::{Head, annotation};
use super::whole::{self, Whole};
use crate::call::Call;
use crate::reply;
use crate::routes::RouteResult;
use crate::routes::answer::Answering;
use crate::routes::query::{Question, prepare};
use ragtime_api::time::unix_now;

/// `POST /v1/responses`
pub(in crate::routes) async fn create(mut call: Call) -> RouteResult {
    let started = Instant::now();
    let request = api::read(&call.json_body().await?)?;
    let ResponseRequest { model, conversation, file_search, stream, filter, .. } = request;
    let (collection, top_k, by_tool) = match file_search {
        Some(search) => (Some(search.collection), search.max_num_results, Some(search.filter)),
        None => (openai::collection(&model).map(str::to_owned), None, None),
    };
    let searched = by_tool.is_some().then(|| conversation.question.clone());
    let question = Question {
        collection: collection.ok_or(Code::UnknownModel)?,
        search: conversation.search_text(),
        earlier: conversation.before(),
        question: conversation.question,
        top_k: top_k.unwrap_or(limits::DEFAULT_QUERY_TOP_K),
        filter: both(filter, by_tool.flatten()),
        generator: request.generator,
        diversity: Diversity::default(),
        rerank: None,
    };
    let (permit, origin) = call.into_leave();
    let id = origin.request_id.clone();
    let answering = prepare(permit, origin, question, started).await;
    let answering = match searched {
        Some(_) => answering?,
        None => answering.map_err(unknown)?,
    };
    let head = Head {
        id: format!("resp_{id}"),
        search_id: format!("fs_{id}"),
        message_id: format!("msg_{id}"),
        created_at: unix_now(),
        model,
        searched,
        include_results: request.include_results,
        max_tokens: request.max_output_tokens,
        echo: request.echo,
    };
    if stream {
        let events = response_events::stream(answering, head).await?;
        return Ok(reply::events(Body::from_stream(events)));
    }
    let whole = whole::finish(&answering, head.max_tokens).await?;
    let annotations = annotations(&answering, &whole);
    let text = if whole.text.is_empty() { NOTHING } else { &whole.text };
    let usage = query::Usage::from(whole.completion.usage).into();
    let response = head.ended(&answering, text, &annotations, usage, whole.known.is_cut_short());
    Ok(reply::json(StatusCode::OK, &response))
}

/// A filter that asks for both.
fn both(one: Option<String>, other: Option<String>) -> Option<String> {
    match (one, other) {
        (Some(one), Some(other)) => Some(format!("{{\"and\":[{one},{other}]}}")),
        (one, other) => one.or(other),
    }
}

/// What an answer rests on, each where its quote ends.
fn annotations(answering: &Answering, whole: &Whole) -> Vec<Annotation> {
    let places = whole.places.iter().copied().chain(std::iter::repeat(whole.text.chars().count()));
    let cited = whole.citations.iter().cloned().zip(places);
    cited.map(|(citation, index)| annotation(answering, citation, index)).collect()
}
