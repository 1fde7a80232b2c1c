//! `ragtime:retrieval/search`

use std::sync::Arc;

use ragtime_policy::scope::Scope;
use ragtime_store as store;
use wasmtime::component::{Accessor, Resource};

use super::bindings::ragtime::documents::store::{Error, Span};
use super::bindings::ragtime::retrieval::search as wit;
use super::call::Call;
use super::documents::DocumentsResult;
use super::rate_limit::Permit;
use crate::model::EmbeddingModel;
use crate::panics;
use crate::runtime::state::{Capabilities, CapabilityView};

/// Candidates from one leg. Beyond this, fusion gains nothing (Bruch et al.
/// 2022 find no gain over 1,000).
const MAX_DEPTH: u32 = 1_000;
/// Words and phrases that a search may require and exclude: each is a search
/// of its own.
const MAX_CONDITIONS: usize = 64;
/// Passages or citations of one call.
const MAX_FETCHED: usize = 1_000;

impl wit::Host for CapabilityView<'_> {}

impl<T: Send + 'static> wit::HostWithStore<T> for Capabilities {
    async fn find_candidates(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        query: wit::Query,
    ) -> DocumentsResult<wit::Candidates> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Read, &query.collection)?;
        call.pay_for_search().await.map_err(Error::Busy)?;
        panics::fail_point("import", &query.collection);
        call.read(move |call| find(call, &query)).await
    }

    async fn passages(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        chunks: Vec<u64>,
    ) -> DocumentsResult<Vec<wit::Passage>> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Read, &collection)?;
        call.read(move |call| {
            bounded(chunks.len())?;
            let passages = call.services.store.passages(&collection, &chunks)?;
            Ok(passages.into_iter().map(passage_to_wit).collect())
        })
        .await
    }

    async fn cite(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        requests: Vec<wit::CitationRequest>,
    ) -> DocumentsResult<Vec<wit::Citation>> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Read, &collection)?;
        call.read(move |call| cite(call, &collection, requests)).await
    }
}

fn find(call: &Call, query: &wit::Query) -> Result<wit::Candidates, store::Error> {
    panics::fail_point("work", &query.collection);
    if query.depth == 0 || query.depth > MAX_DEPTH {
        return Err(store::Error::Invalid(format!("the depth is 1 to {MAX_DEPTH}")));
    }
    if query.required.len() + query.excluded.len() > MAX_CONDITIONS {
        return Err(store::Error::Invalid(format!(
            "at most {MAX_CONDITIONS} words are conditions"
        )));
    }
    let filter = query.filter.as_deref().map(store::Filter::parse).transpose()?;
    let model = match query.legs.contains(wit::Legs::VECTOR) {
        true => call.services.embeddings.serving(&call.services.store, &query.collection)?,
        false => None,
    };
    let vector = match model {
        Some(model) if wants_vector(call, query, model)? => query_vector(call, query, model),
        Some(_) | None => None,
    };
    let vector = vector.map(|vector| with_feedback(call, query, &vector)).transpose()?;
    let legs = if vector.is_some() { query.legs } else { query.legs & wit::Legs::LEXICAL };
    let items = call.services.store.candidates(
        &query.collection,
        &store::CandidateQuery {
            text: &query.text,
            lexical: legs.contains(wit::Legs::LEXICAL),
            vector: vector.as_deref(),
            model: model.map(|model| model.name()),
            depth: query.depth as usize,
            filter: filter.as_ref(),
            required: &query.required,
            excluded: &query.excluded,
            known: model.map(|model| model.languages()),
        },
    )?;
    let items = items
        .into_iter()
        .map(|found| wit::Candidate {
            chunk: found.chunk,
            document: found.document,
            lexical: found.lexical,
            vector: found.vector,
        })
        .collect();
    Ok(wit::Candidates { items, legs })
}

/// Whether the vector leg is to run. Beside the lexical leg it runs only for a query
/// that the model understands: of others its order is noise, and mixed in it makes
/// the better order worse.
fn wants_vector(
    call: &Call,
    query: &wit::Query,
    model: &EmbeddingModel,
) -> Result<bool, store::Error> {
    if !query.legs.contains(wit::Legs::LEXICAL) {
        return Ok(true);
    }
    let language = call.services.store.language_of(&query.collection, &query.text)?;
    Ok(model.understands(&query.text, language))
}

/// The query's vector; none where the model fails, which leaves the search to words.
fn query_vector(call: &Call, query: &wit::Query, model: &EmbeddingModel) -> Option<Arc<[f32]>> {
    match model.query(&query.text) {
        Ok(vector) => Some(vector),
        Err(error) => {
            let request_id = &call.request.id;
            tracing::warn!(%error, request_id, model = model.name(), "a query was not embedded");
            None
        }
    }
}

/// The query's vector and the mean of the feedback's, half and half (Rocchio
/// 1971; for dense vectors Li et al. 2021).
fn with_feedback(
    call: &Call,
    query: &wit::Query,
    vector: &[f32],
) -> Result<Vec<f32>, store::Error> {
    let mut moved = vector.to_vec();
    if query.feedback.is_empty() {
        return Ok(moved);
    }
    bounded(query.feedback.len())?;
    let vectors = call.services.store.vectors(&query.collection, &query.feedback)?;
    let weight = 1.0 / vectors.len().max(1) as f32;
    for near in &vectors {
        moved.iter_mut().zip(near).for_each(|(to, from)| *to += weight * from);
    }
    let norm = moved.iter().map(|value| value * value).sum::<f32>().sqrt();
    if norm > 0.0 {
        moved.iter_mut().for_each(|value| *value /= norm);
    }
    Ok(moved)
}

/// The quote is read from the stored text, so a citation cannot say what its
/// source does not.
fn cite(
    call: &Call,
    collection: &str,
    requests: Vec<wit::CitationRequest>,
) -> Result<Vec<wit::Citation>, store::Error> {
    bounded(requests.len())?;
    let spans: Vec<_> = requests
        .iter()
        .map(|request| (request.document_id.as_str(), request.span.start..request.span.end))
        .collect();
    let quotes = call.services.store.quotes(collection, &spans)?;
    Ok(requests
        .into_iter()
        .zip(quotes)
        .map(|(request, quote)| wit::Citation {
            document_id: request.document_id,
            quote: quote.quote,
            span: request.span,
            sha256: quote.sha256,
        })
        .collect())
}

fn bounded(count: usize) -> Result<(), store::Error> {
    match count {
        0..=MAX_FETCHED => Ok(()),
        _ => Err(store::Error::Invalid(format!("at most {MAX_FETCHED} in one call"))),
    }
}

fn passage_to_wit(passage: store::Passage) -> wit::Passage {
    wit::Passage {
        chunk: passage.chunk,
        document_id: passage.document_id,
        title: passage.title,
        headings: passage.headings,
        page: passage.page,
        span: Span { start: passage.span.start, end: passage.span.end },
        text: passage.text,
        metadata: passage.metadata,
    }
}
