//! `/v1/vector_stores`

use std::collections::HashMap;

use http::StatusCode;
use ragtime_api::diversity::Diversity;
use ragtime_api::fusion::Ranking;
use ragtime_api::limits;
use ragtime_api::problem::{Code, Problem};
use ragtime_api::query_syntax::ParsedQuery;
use ragtime_api::resource::openai::files::{self, Deleted, List};
use ragtime_api::resource::openai::listing::Listing;
use ragtime_api::resource::openai::store::{Content, Counts, Found, Results, Store};
use ragtime_api::resource::openai::stores::{self as api, Attach};
use ragtime_api::resource::search::Mode;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::store_path::{collection, unknown};
use super::{batches, filename, files as kept};
use crate::bindings::admission::Permit;
use crate::bindings::listing;
use crate::bindings::reranking;
use crate::bindings::store::{self, Collection, Condition, JobState, Page};
use crate::call::Call;
use crate::reply;
use crate::routes::RouteResult;
use crate::routes::search::{Wanted, retrieve};

/// Jobs, newest first, among which those of a store are looked for that are
/// still on their way.
const RECENT_JOBS: u32 = 100;

/// `GET /v1/vector_stores`, by the time at which they were made.
pub(in crate::routes) async fn list(call: Call) -> RouteResult {
    let wanted = Listing::read(call.query(), limits::OPENAI_PAGE_ITEMS)?;
    let mut all = store::collections(&call.permit).await?;
    all.retain(|collection| collection.name != files::COLLECTION);
    let made = |collection: &Collection| {
        (api::made(&collection.name, Some(collection.created_at)), collection.name.clone())
    };
    // One that is not there any more, as when all are deleted one after another,
    // has its place by its name.
    let places: HashMap<_, _> = all.iter().map(|one| (api::id(&one.name), made(one))).collect();
    let place = |id: &str| {
        places.get(id).cloned().or_else(|| {
            let name = api::collection(id)?;
            api::made(name, None).map(|at| (Some(at), name.to_owned()))
        })
    };
    let (page, more) = wanted.page_of(all, made, place);
    let stores = described(&call.permit, page).await?;
    Ok(reply::json(StatusCode::OK, &List::new(stores, |store| &store.id, more)))
}

/// `POST /v1/vector_stores`
pub(in crate::routes) async fn create(mut call: Call) -> RouteResult {
    let new = api::read(&call.optional_json_body().await?)?;
    let name = new.name.unwrap_or_default();
    let collection = api::collection_name(&name, Uuid::now_v7().as_u128());
    let attached =
        new.file_ids.into_iter().map(|file_id| Attach { file_id, attributes: "{}".to_owned() });
    // Read before anything is made, so that a file that is missing leaves nothing.
    let attached = batches::read(&mut call, attached.collect()).await?;
    let chunking = new.chunking.map(|(tokens, overlap)| store::Chunking { tokens, overlap });
    let permit = &call.permit;
    let made = store::create_collection(permit, collection.clone(), chunking).await?;
    let metadata = files::store_metadata(&name, &new.metadata);
    let kept = name_store(permit, &collection, metadata).await;
    if let Err(problem) = kept {
        // A store without its name would be one that nobody finds again.
        let _ = store::delete_collection(permit, collection).await;
        return Err(problem);
    }
    if !attached.is_empty() {
        batches::ingest(permit, collection, attached).await?;
    }
    answer(permit, made.name).await
}

/// Notes what a store is called. The note has no chunks, so no search finds it.
async fn name_store(permit: &Permit, collection: &str, metadata: String) -> Result<(), Problem> {
    let (id, text) = (files::store_document(collection), collection.to_owned());
    kept::keep(permit, id, text, metadata).await.map(drop)
}

/// `GET /v1/vector_stores/{id}`
pub(in crate::routes) async fn get(mut call: Call) -> RouteResult {
    let collection = collection(&mut call).await?;
    answer(&call.permit, collection).await
}

/// `POST /v1/vector_stores/{id}`
pub(in crate::routes) async fn update(mut call: Call) -> RouteResult {
    let collection = collection(&mut call).await?;
    let change = api::read_change(&call.optional_json_body().await?)?;
    let permit = &call.permit;
    // One that is not there gets no name.
    store::get_collection(permit, collection.clone()).await.map_err(unknown)?;
    let (name, notes) = named(permit, &collection).await?;
    let name = change.name.unwrap_or(name);
    let notes = change.metadata.unwrap_or_else(|| notes.get().to_owned());
    name_store(permit, &collection, files::store_metadata(&name, &notes)).await?;
    answer(permit, collection).await
}

/// `DELETE /v1/vector_stores/{id}`. Uploaded files stay.
pub(in crate::routes) async fn delete(mut call: Call) -> RouteResult {
    let collection = collection(&mut call).await?;
    store::delete_collection(&call.permit, collection.clone()).await.map_err(unknown)?;
    let always = Condition { must_be: None, must_not_be: None };
    let (notes, note) = (files::COLLECTION.to_owned(), files::store_document(&collection));
    match store::delete_document(&call.permit, notes, note, always).await {
        // A collection that was made by another route has no note.
        Ok(()) | Err(store::Error::UnknownDocument | store::Error::UnknownCollection) => {}
        Err(store::Error::CollectionForbidden) => {}
        Err(error) => return Err(error.into()),
    }
    let id = api::id(&collection);
    let deleted = Deleted { id, object: "vector_store.deleted", deleted: true };
    Ok(reply::json(StatusCode::OK, &deleted))
}

/// `POST /v1/vector_stores/{id}/search`
pub(in crate::routes) async fn search(mut call: Call) -> RouteResult {
    let collection = collection(&mut call).await?;
    let request = api::read_search(&call.json_body().await?)?;
    let top_k = request.max_num_results;
    let ranking = Ranking {
        mode: Mode::Hybrid,
        vector_weight: Ranking::EQUAL,
        per_document: false,
        top_k: top_k as usize,
        min_score: request.min_score,
        depth: limits::depth(top_k) as usize,
    };
    let ParsedQuery { text, required, excluded } = ParsedQuery::parse(&request.query);
    let diversity = Diversity::default();
    let wanted = Wanted {
        collection,
        text,
        required,
        excluded,
        filter: request.filter,
        ranking,
        diversity,
        // OpenAI's clients name a ranker of theirs, which this server has not.
        rerank: (request.rerank && !reranking::rerankers().is_empty())
            .then_some(limits::DEFAULT_RERANK_DEPTH),
    };
    let found = retrieve(&call.permit, wanted).await.map_err(unknown_problem)?;
    let data = found.hits.iter().map(|(passage, score)| Found {
        file_id: &passage.document_id,
        filename: filename(passage),
        score: *score,
        attributes: files::attributes(&passage.metadata),
        content: [Content { r#type: "text", text: &passage.text }],
    });
    let results = Results {
        object: "vector_store.search_results.page",
        search_query: [&request.query],
        data: data.collect(),
        has_more: false,
        next_page: None,
    };
    Ok(reply::json(StatusCode::OK, &results))
}

fn unknown_problem(problem: Problem) -> Problem {
    match problem.code {
        Code::UnknownCollection => Code::UnknownVectorStore.into(),
        _ => problem,
    }
}

async fn answer(permit: &Permit, collection: String) -> RouteResult {
    let found = store::get_collection(permit, collection).await.map_err(unknown)?;
    let store = described(permit, vec![found]).await?.pop();
    Ok(reply::json(StatusCode::OK, &store.ok_or(Code::UnknownVectorStore)?))
}

/// Collections as stores.
async fn described(permit: &Permit, found: Vec<Collection>) -> Result<Vec<Store>, Problem> {
    let pending = pending(permit).await;
    let names = found.iter().map(|collection| collection.name.clone()).collect();
    let bytes = listing::bytes(permit, names).await.map_err(unknown)?;
    let mut stores = Vec::with_capacity(found.len());
    for (collection, bytes) in found.into_iter().zip(bytes) {
        stores.push(store(permit, collection, bytes, &pending).await?);
    }
    Ok(stores)
}

/// Files on their way, by collection. Only those who may write see jobs; others
/// see a store as it is.
async fn pending(permit: &Permit) -> Vec<(String, u64)> {
    let page = Page { cursor: None, limit: RECENT_JOBS };
    let jobs = store::list_jobs(permit, page).await.map_or_else(|_| Vec::new(), |(jobs, _)| jobs);
    let running = jobs.into_iter().filter(|job| job.state == JobState::Running);
    running.map(|job| (job.collection, u64::from(job.pending))).collect()
}

/// What a store is called, and its client's notes.
async fn named(permit: &Permit, collection: &str) -> Result<(String, Box<RawValue>), Problem> {
    let (notes, note) = (files::COLLECTION.to_owned(), files::store_document(collection));
    let known = match store::get_document(permit, notes, note).await {
        Ok(document) => files::store_facts(&document.summary.metadata),
        // A collection that was made by another route, or a key that sees no other.
        Err(
            store::Error::UnknownDocument
            | store::Error::UnknownCollection
            | store::Error::CollectionForbidden
            | store::Error::ScopeRequired(_),
        ) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(known.unwrap_or_else(|| (collection.to_owned(), files::attributes("{}"))))
}

async fn store(
    permit: &Permit,
    collection: Collection,
    usage_bytes: u64,
    pending: &[(String, u64)],
) -> Result<Store, Problem> {
    let (name, metadata) = named(permit, &collection.name).await?;
    let of_store = pending.iter().filter(|(name, _)| *name == collection.name);
    let in_progress = of_store.map(|(_, count)| count).sum::<u64>().min(collection.documents);
    Ok(Store {
        id: api::id(&collection.name),
        object: "vector_store",
        created_at: collection.created_at,
        name,
        usage_bytes,
        file_counts: Counts {
            in_progress,
            completed: collection.documents - in_progress,
            total: collection.documents,
            ..Counts::default()
        },
        status: if in_progress > 0 { "in_progress" } else { "completed" },
        expires_after: None,
        expires_at: None,
        last_active_at: collection.created_at,
        metadata,
    })
}
