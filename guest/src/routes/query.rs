//! `POST /v1/collections/{collection}/query`

use std::time::Instant;

use axum::body::Body;
use http::StatusCode;
use ragtime_api::diversity::Diversity;
use ragtime_api::fusion::Ranking;
use ragtime_api::problem::{Code, Problem};
use ragtime_api::resource::query::{self as api, QueryResponse};
use ragtime_api::resource::rules;
use ragtime_api::resource::search::Mode;
use ragtime_api::{json, limits, parameters, prompt};

use super::answer::{Answering, Whole, sources};
use super::search::{Found, Wanted, retrieve, took_ms};
use super::{RouteResult, events};
use crate::bindings::admission::Permit;
use crate::bindings::{generation, rewriting};
use crate::call::{Call, Origin};
use crate::reply;

/// `POST …/query`
pub(super) async fn query(mut call: Call) -> RouteResult {
    let started = Instant::now();
    parameters::none(call.query())?;
    let collection = call.collection().await?;
    let request = api::read(&call.json_body().await?)?;
    let question = Question {
        collection,
        search: request.query.clone(),
        question: request.query,
        earlier: Vec::new(),
        top_k: request.top_k,
        filter: request.filter,
        generator: request.generator,
        diversity: request.diversity,
        rerank: request.rerank,
    };
    let (permit, origin) = call.into_leave();
    let answering = prepare(permit, origin, question, started).await?;
    if request.stream { stream(answering).await } else { whole(answering).await }
}

/// What is asked, in whatever format.
pub(super) struct Question {
    /// Where the passages are.
    pub(super) collection: String,
    /// What to search for, as far as the questions before it show.
    pub(super) search: String,
    /// What to answer.
    pub(super) question: String,
    /// What was said before it.
    pub(super) earlier: Vec<prompt::Message>,
    /// Sources to answer from.
    pub(super) top_k: u32,
    /// A filter on metadata, as JSON.
    pub(super) filter: Option<String>,
    /// By which generator.
    pub(super) generator: Option<String>,
    /// How little the sources may repeat each other.
    pub(super) diversity: Diversity,
    /// How many of the best passages are reranked, if any.
    pub(super) rerank: Option<u32>,
}

/// Finds the passages to answer from.
pub(super) async fn prepare(
    permit: Permit,
    origin: Origin,
    asked: Question,
    started: Instant,
) -> Result<Answering, Problem> {
    let generator = generator(asked.generator.as_deref())?;
    let understood = understood(&permit, &asked).await;
    let wanted = Wanted {
        collection: asked.collection.clone(),
        text: understood.clone(),
        // A question is prose; its quotation marks quote.
        required: Vec::new(),
        excluded: Vec::new(),
        filter: asked.filter,
        ranking: Ranking {
            mode: Mode::Hybrid,
            vector_weight: Ranking::EQUAL,
            // Two chunks of one document may hold two halves of an answer.
            per_document: false,
            top_k: asked.top_k as usize,
            min_score: None,
            depth: limits::depth(asked.top_k) as usize,
        },
        diversity: asked.diversity,
        rerank: asked.rerank,
    };
    let Found { hits, reranked, .. } = retrieve(&permit, wanted).await?;
    let Question { collection, question, earlier, .. } = asked;
    Ok(Answering {
        permit,
        origin,
        collection,
        question,
        understood,
        earlier,
        generator,
        hits,
        reranked,
        started,
    })
}

/// The question as who has not heard what was said before can understand it: as the
/// language model puts it where it is set to, else with the questions before it.
async fn understood(permit: &Permit, asked: &Question) -> String {
    if !asked.earlier.is_empty() {
        let messages = prompt::rewriting(&asked.question, &asked.earlier);
        let messages = messages.into_iter().map(generation::Message::from).collect();
        let rewritten = rewriting::rewrite(permit, messages).await;
        if let Some(question) = rewritten.filter(|question| rules::query(question).is_ok()) {
            return question;
        }
    }
    asked.search.clone()
}

/// The generator's name, which must be known before there is work for it.
fn generator(named: Option<&str>) -> Result<String, Problem> {
    let names = generation::generators();
    let found = match named {
        Some(named) => names.into_iter().find(|name| name == named),
        None => names.into_iter().next(),
    };
    found.ok_or_else(|| match named {
        Some(_) => Code::UnknownGenerator.into(),
        None => Code::GeneratorUnavailable.into(),
    })
}

/// The whole answer; without passages no generator runs.
pub(super) async fn finish(answering: &Answering) -> Result<Whole, Problem> {
    match answering.hits.is_empty() {
        true => Ok(Whole::abstained(&answering.generator)),
        false => answering.complete().await,
    }
}

async fn whole(answering: Answering) -> RouteResult {
    let body = Body::from(answer(&answering).await?);
    Ok(reply::with_type(StatusCode::OK, "application/json", body))
}

/// The whole answer, as JSON.
pub(super) async fn answer(answering: &Answering) -> Result<String, Problem> {
    let Whole { text, citations, completion, known } = finish(answering).await?;
    Ok(json::encode(&QueryResponse {
        answer: &text,
        abstained: completion.abstained,
        known: known.for_response(),
        citations: &citations,
        sources: sources(&answering.hits),
        reranked: answering.reranked.as_ref(),
        generator: &completion.generator,
        usage: completion.usage.into(),
        took_ms: took_ms(answering.started),
    }))
}

/// Errors up to the first event are problems; later ones are events.
async fn stream(answering: Answering) -> RouteResult {
    let events = match answering.hits.is_empty() {
        true => events::abstained(&answering),
        false => events::stream(answering).await?,
    };
    Ok(reply::events(Body::from_stream(events)))
}
