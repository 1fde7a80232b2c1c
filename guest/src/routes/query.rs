//! `POST /v1/collections/{collection}/query`

use std::time::Instant;

use axum::body::Body;
use http::{HeaderValue, StatusCode};
use ragtime_api::fusion::Ranking;
use ragtime_api::problem::{Code, Problem};
use ragtime_api::resource::query::{self as api, QueryRequest, QueryResponse, Source};
use ragtime_api::resource::raw;
use ragtime_api::resource::search::Mode;
use ragtime_api::{limits, parameters};

use super::answer::{Answering, Whole};
use super::search::{Wanted, retrieve, took_ms};
use super::{Answer, events};
use crate::bindings::generation;
use crate::bindings::search::Passage;
use crate::call::Call;
use crate::reply;

/// `POST …/query`
pub(super) async fn query(mut call: Call) -> Answer {
    let started = Instant::now();
    parameters::none(call.query())?;
    let collection = call.collection().await?;
    let request = api::read(&call.json_body().await?)?;
    let generator = generator(&request)?;
    let wanted = Wanted {
        collection: collection.clone(),
        text: request.query.clone(),
        filter: request.filter,
        ranking: Ranking {
            mode: Mode::Hybrid,
            vector_weight: Ranking::EQUAL,
            // Two chunks of one document may hold two halves of an answer.
            per_document: false,
            top_k: request.top_k as usize,
            min_score: None,
            depth: limits::depth(request.top_k) as usize,
        },
    };
    let hits = retrieve(&call.permit, wanted).await?.hits;
    let (permit, origin) = call.into_leave();
    let answering =
        Answering { permit, origin, collection, question: request.query, generator, hits, started };
    if request.stream { stream(answering).await } else { whole(answering).await }
}

/// The generator's name, which must be known before there is work for it.
fn generator(request: &QueryRequest) -> Result<String, Problem> {
    let names = generation::generators();
    let named = request.generator.as_ref();
    let found = match named {
        Some(named) => names.into_iter().find(|name| name == named),
        None => names.into_iter().next(),
    };
    found.ok_or_else(|| match named {
        Some(_) => Code::UnknownGenerator.into(),
        None => Code::GeneratorUnavailable.into(),
    })
}

async fn whole(answering: Answering) -> Answer {
    let Whole { text, citations, completion } = match answering.hits.is_empty() {
        true => Whole::abstained(&answering.generator),
        false => answering.complete().await?,
    };
    let response = QueryResponse {
        answer: &text,
        abstained: completion.abstained,
        citations: &citations,
        sources: sources(&answering.hits),
        generator: &completion.generator,
        usage: completion.usage.into(),
        took_ms: took_ms(answering.started),
    };
    Ok(reply::json(StatusCode::OK, &response))
}

/// Errors up to the first event are problems; later ones are events.
async fn stream(answering: Answering) -> Answer {
    let events = match answering.hits.is_empty() {
        true => events::abstained(&answering),
        false => events::stream(answering).await?,
    };
    let mut response =
        reply::with_type(StatusCode::OK, "text/event-stream", Body::from_stream(events));
    let headers = response.headers_mut();
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that buffer would hold back the tokens.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// The passages that the generator was given.
pub(super) fn sources(hits: &[(Passage, f64)]) -> Vec<Source<'_>> {
    hits.iter()
        .map(|(passage, score)| Source {
            document_id: &passage.document_id,
            chunk_id: passage.chunk.to_string(),
            score: *score,
            title: passage.title.as_deref(),
            headings: &passage.headings,
            page: passage.page,
            text: &passage.text,
            span: passage.span.into(),
            metadata: raw(&passage.metadata),
        })
        .collect()
}
