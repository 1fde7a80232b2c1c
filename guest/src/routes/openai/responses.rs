//! `POST /v1/responses`

use std::time::Instant;

use axum::body::Body;
use http::StatusCode;
use ragtime_api::diversity::Diversity;
use ragtime_api::limits;
use ragtime_api::problem::Code;
use ragtime_api::resource::openai::response::{
    Annotation, Found, Incomplete, Item, Message, Part, Response, ResponseError, Search, Text,
    Usage,
};
use ragtime_api::resource::openai::responses::{self as api, Echo, ResponseRequest};
use ragtime_api::resource::openai::{self, files};
use ragtime_api::resource::{query, raw};

use super::chat::{NOTHING, unknown};
use super::filename;
use super::response_events;
use super::whole::{self, Whole};
use crate::call::Call;
use crate::reply;
use crate::routes::RouteResult;
use crate::routes::answer::Answering;
use crate::routes::query::{Question, prepare};
use ragtime_api::time::unix_now;

/// What an answer is besides what is said.
pub(super) struct Head {
    id: String,
    search_id: String,
    message_id: String,
    created_at: u64,
    model: String,
    /// What was searched for, where the client sees the search.
    searched: Option<String>,
    include_results: bool,
    /// The most tokens that the answer may have.
    pub(super) max_tokens: Option<u32>,
    echo: Echo,
}

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

/// What a piece of an answer rests on.
pub(super) fn annotation(
    answering: &Answering,
    citation: query::Citation,
    index: usize,
) -> Annotation {
    let mut hits = answering.hits.iter().map(|(passage, _)| passage);
    let filename = hits
        .find(|passage| passage.document_id == citation.document_id)
        .map(filename)
        .unwrap_or_else(|| citation.document_id.clone());
    Annotation::new(citation, index, filename)
}

impl Head {
    /// The answer as it is before it has come.
    pub(super) fn begun(&self) -> Response<'_> {
        self.response("in_progress", Vec::new())
    }

    /// The answer at its end.
    pub(super) fn ended<'a>(
        &'a self,
        answering: &'a Answering,
        text: &'a str,
        annotations: &'a [Annotation],
        usage: Usage,
        cut_short: bool,
    ) -> Response<'a> {
        let status = if cut_short { "incomplete" } else { "completed" };
        let search = self.search(Some(answering)).map(Item::Search);
        let message = self.message(status, vec![Part::new(text, annotations)]);
        let output = search.into_iter().chain([Item::Message(message)]).collect();
        let incomplete = Incomplete { reason: "max_output_tokens" };
        Response {
            incomplete_details: cut_short.then_some(incomplete),
            usage: Some(usage),
            ..self.response(status, output)
        }
    }

    /// The answer that failed.
    pub(super) fn failed<'a>(&'a self, error: ResponseError<'a>) -> Response<'a> {
        Response { error: Some(error), ..self.response("failed", Vec::new()) }
    }

    /// The search, where the client asked for it by a tool: at its end with what
    /// it found, else at its beginning.
    pub(super) fn search<'a>(&'a self, found: Option<&'a Answering>) -> Option<Search<'a>> {
        let query = self.searched.as_deref()?;
        let results = found.filter(|_| self.include_results).map(results);
        let status = if found.is_some() { "completed" } else { "in_progress" };
        let queries = vec![query];
        Some(Search { id: &self.search_id, r#type: "file_search_call", status, queries, results })
    }

    /// The answer as one of the steps.
    pub(super) fn message<'a>(
        &'a self,
        status: &'static str,
        content: Vec<Part<'a>>,
    ) -> Message<'a> {
        Message { id: &self.message_id, r#type: "message", status, role: "assistant", content }
    }

    fn response<'a>(&'a self, status: &'static str, output: Vec<Item<'a>>) -> Response<'a> {
        Response {
            id: &self.id,
            object: "response",
            created_at: self.created_at,
            status,
            background: false,
            error: None,
            incomplete_details: None,
            instructions: self.echo.instructions.as_deref(),
            max_output_tokens: self.max_tokens,
            model: &self.model,
            output,
            parallel_tool_calls: true,
            previous_response_id: None,
            store: false,
            text: Text::PLAIN,
            tool_choice: raw(&self.echo.tool_choice),
            tools: raw(&self.echo.tools),
            truncation: "disabled",
            usage: None,
            metadata: raw(&self.echo.metadata),
        }
    }
}

fn results(answering: &Answering) -> Vec<Found<'_>> {
    let found = answering.hits.iter().map(|(passage, score)| Found {
        file_id: &passage.document_id,
        filename: filename(passage),
        score: *score,
        text: &passage.text,
        attributes: files::attributes(&passage.metadata),
    });
    found.collect()
}
