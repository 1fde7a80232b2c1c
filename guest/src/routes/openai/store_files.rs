//! `/v1/vector_stores/{id}/files`

use http::StatusCode;
use ragtime_api::json::Fault;
use ragtime_api::limits;
use ragtime_api::problem::{Code, Problem};
use ragtime_api::resource::documents::NewDocument;
use ragtime_api::resource::openai::files::{self as facts, Deleted, List};
use ragtime_api::resource::openai::listing::Listing;
use ragtime_api::resource::openai::store::{Chunking, Content, ContentPage, Lengths, StoreFile};
use ragtime_api::resource::openai::stores as api;

use super::{files, store_path};
use crate::bindings::admission::Permit;
use crate::bindings::details;
use crate::bindings::store::{self, Condition, DocumentSummary, Wait};
use crate::call::Call;
use crate::reply;
use crate::routes::RouteResult;
use crate::routes::ingest::prepare;

/// `GET …/files`
pub(in crate::routes) async fn list(mut call: Call) -> RouteResult {
    let collection = store_path::collection(&mut call).await?;
    let wanted = Listing::read(call.query(), limits::OPENAI_PAGE_ITEMS)?;
    let status = wanted.filter.as_deref();
    let store = chunked(&call.permit, &collection).await?;
    let fits = |summary: &DocumentSummary| {
        let file = store_file(&collection, summary, store);
        status.is_none_or(|status| status == file.status).then_some(file)
    };
    let (files, more) = files::page(&call.permit, &collection, &wanted, fits).await?;
    Ok(reply::json(StatusCode::OK, &List::new(files, |file| &file.id, more)))
}

/// `POST …/files`
pub(in crate::routes) async fn attach(mut call: Call) -> RouteResult {
    let collection = store_path::collection(&mut call).await?;
    let attach = api::read_attach(&call.json_body().await?)?;
    let store = chunked(&call.permit, &collection).await?;
    let kept = files::kept(&call.permit, &attach.file_id).await?;
    call.pay(kept.source.len()).await?;
    let document = files::document(attach.file_id, &kept.facts, &attach.attributes, &kept.source)
        .map_err(|reason| unreadable("#/file_id", reason))?;
    put(&call.permit, collection, document, store).await
}

/// `GET …/files/{file}`
pub(in crate::routes) async fn get(mut call: Call) -> RouteResult {
    let (collection, document) = found(&mut call).await?;
    let store = chunked(&call.permit, &collection).await?;
    Ok(reply::json(StatusCode::OK, &store_file(&collection, &document.summary, store)))
}

/// `POST …/files/{file}`: the file is put in again with other attributes.
pub(in crate::routes) async fn update(mut call: Call) -> RouteResult {
    let attributes = api::read_attributes(&call.json_body().await?)?;
    let (collection, document) = found(&mut call).await?;
    let store = chunked(&call.permit, &collection).await?;
    // A document that came by another route has no file to be read again.
    let id = document.summary.id;
    let kept = files::kept(&call.permit, &id).await?;
    call.pay(kept.source.len()).await?;
    let document = files::document(id, &kept.facts, &attributes, &kept.source)
        .map_err(|reason| unreadable("#/attributes", reason))?;
    put(&call.permit, collection, document, store).await
}

/// `DELETE …/files/{file}`. The uploaded file stays.
pub(in crate::routes) async fn detach(mut call: Call) -> RouteResult {
    let (collection, id) = named(&mut call).await?;
    let always = Condition { must_be: None, must_not_be: None };
    let deleted = store::delete_document(&call.permit, collection, id.clone(), always).await;
    deleted.map_err(store_path::unknown)?;
    let deleted = Deleted { id, object: "vector_store.file.deleted", deleted: true };
    Ok(reply::json(StatusCode::OK, &deleted))
}

/// `GET …/files/{file}/content`
pub(in crate::routes) async fn content(mut call: Call) -> RouteResult {
    let (_, document) = found(&mut call).await?;
    let page = ContentPage {
        object: "vector_store.file_content.page",
        data: [Content { r#type: "text", text: &document.text }],
        has_more: false,
        next_page: None,
    };
    Ok(reply::json(StatusCode::OK, &page))
}

async fn put(
    permit: &Permit,
    collection: String,
    document: NewDocument,
    store: Chunking,
) -> RouteResult {
    let spec = store::wanted_cut(permit, collection.clone()).await.map_err(store_path::unknown)?;
    let mut prepared = prepare(permit, vec![(0, document)], &spec).await?;
    let Some(document) = prepared.documents.pop() else {
        let reason = prepared.failures.pop().map(|failure| failure.reason).unwrap_or_default();
        return Err(unreadable("#/file_id", reason));
    };
    let always = Condition { must_be: None, must_not_be: None };
    let stored = details::put(permit, collection.clone(), document, always, Wait::Durable).await;
    let stored = stored.map_err(store_path::unknown)?;
    Ok(reply::json(StatusCode::OK, &store_file(&collection, &stored.summary, store)))
}

fn unreadable(place: &str, reason: String) -> Problem {
    Problem::invalid(vec![Fault::at(place, reason)])
}

/// The collection and the id that the path names.
async fn named(call: &mut Call) -> Result<(String, String), Problem> {
    let collection = store_path::collection(call).await?;
    let id = call.named("file").await?;
    match files::is_id(&id) {
        true => Ok((collection, id)),
        false => Err(Code::UnknownFile.into()),
    }
}

async fn found(call: &mut Call) -> Result<(String, store::Document), Problem> {
    let (collection, id) = named(call).await?;
    let found = store::get_document(&call.permit, collection.clone(), id).await;
    Ok((collection, found.map_err(store_path::unknown)?))
}

/// How a store's texts are cut.
pub(super) async fn chunked(permit: &Permit, collection: &str) -> Result<Chunking, Problem> {
    let found = store::get_collection(permit, collection.to_owned()).await;
    let store::Chunking { tokens, overlap } = found.map_err(store_path::unknown)?.chunking;
    let lengths = Lengths { max_chunk_size_tokens: tokens, chunk_overlap_tokens: overlap };
    Ok(Chunking { r#type: "static", r#static: lengths })
}

pub(super) fn store_file(
    collection: &str,
    summary: &DocumentSummary,
    chunking_strategy: Chunking,
) -> StoreFile {
    StoreFile {
        id: summary.id.clone(),
        object: "vector_store.file",
        usage_bytes: summary.bytes,
        created_at: summary.created_at,
        vector_store_id: api::id(collection),
        status: if summary.searchable { "completed" } else { "in_progress" },
        last_error: None,
        chunking_strategy,
        attributes: facts::attributes(&summary.metadata),
    }
}
