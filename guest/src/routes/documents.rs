//! `/v1/collections/{collection}/documents`: reading and deleting.

use http::StatusCode;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use ragtime_api::problem::{Code, Problem};
use ragtime_api::resource::documents::{
    ChunkPage, Document, DocumentChunk, DocumentPage, Summary, Warning, chunk_id,
};
use ragtime_api::resource::{Span, raw};
use ragtime_api::{parameters, time};

use super::RouteResult;
use crate::bindings::admission::Permit;
use crate::bindings::details::{self, Details};
use crate::bindings::store;
use crate::call::Call;
use crate::reply;

/// `GET …/documents`
pub(super) async fn list(mut call: Call) -> RouteResult {
    let collection = call.collection().await?;
    let page = parameters::page(call.query())?.into();
    let (documents, next_cursor) =
        store::list_documents(&call.permit, collection.clone(), page).await?;
    let ids = documents.iter().map(|document| document.id.clone()).collect();
    let known = details::of_documents(&call.permit, collection, ids).await?;
    let documents = documents.iter().zip(&known).map(|(one, known)| summary(one, known)).collect();
    Ok(reply::json(StatusCode::OK, &DocumentPage { documents, next_cursor }))
}

/// `GET …/documents/{id}`; 304 when the caller has this version.
pub(super) async fn get(mut call: Call) -> RouteResult {
    parameters::none(call.query())?;
    let (collection, id) = (call.collection().await?, call.document_id().await?);
    let (must_be, known) = (call.tags(IF_MATCH)?, call.tags(IF_NONE_MATCH)?);
    let (document, details) = described(&call.permit, collection, id).await?;
    let version = &document.summary.version;
    if must_be.is_some_and(|tags| tags.strong().is_some_and(|tags| !tags.contains(version))) {
        return Err(Code::PreconditionFailed.into());
    }
    let mut response = match known.is_some_and(|tags| tags.name(version)) {
        true => reply::empty(StatusCode::NOT_MODIFIED),
        false => {
            let body =
                Document { summary: summary(&document.summary, &details), text: &document.text };
            reply::json(StatusCode::OK, &body)
        }
    };
    reply::add_etag(&mut response, version);
    Ok(response)
}

/// A document and its details.
pub(super) async fn described(
    permit: &Permit,
    collection: String,
    id: String,
) -> Result<(store::Document, Details), Problem> {
    let document = store::get_document(permit, collection.clone(), id.clone()).await?;
    let details = details::of_documents(permit, collection, vec![id]).await?;
    let none = Details { language: None, file_name: None, warnings: Vec::new() };
    Ok((document, details.into_iter().next().unwrap_or(none)))
}

/// `DELETE …/documents/{id}`
pub(super) async fn delete(mut call: Call) -> RouteResult {
    parameters::none(call.query())?;
    let (collection, id) = (call.collection().await?, call.document_id().await?);
    let condition = call.condition()?;
    store::delete_document(&call.permit, collection, id, condition).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `GET …/documents/{id}/chunks`
pub(super) async fn chunks(mut call: Call) -> RouteResult {
    let (collection, id) = (call.collection().await?, call.document_id().await?);
    let page = parameters::page(call.query())?.into();
    let (chunks, next_cursor) =
        store::list_chunks(&call.permit, collection, id.clone(), page).await?;
    let chunks = chunks.iter().map(|one| chunk(&id, one)).collect();
    Ok(reply::json(StatusCode::OK, &ChunkPage { chunks, next_cursor }))
}

/// A document without its text, as it is answered.
pub(super) fn summary<'a>(summary: &'a store::DocumentSummary, known: &'a Details) -> Summary<'a> {
    Summary {
        id: &summary.id,
        title: summary.title.as_deref(),
        content_type: &summary.media_type,
        metadata: raw(&summary.metadata),
        bytes: summary.bytes,
        chunks: summary.chunks,
        sha256: &summary.sha256,
        created_at: time::rfc3339(summary.created_at),
        updated_at: time::rfc3339(summary.updated_at),
        searchable: summary.searchable,
        language: known.language.as_deref(),
        file_name: known.file_name.as_deref(),
        warnings: known.warnings.iter().map(warning).collect(),
    }
}

fn warning(warning: &details::Warning) -> Warning<'_> {
    Warning { code: &warning.code, page: warning.page, detail: &warning.detail }
}

fn chunk<'a>(document: &str, chunk: &'a store::Chunk) -> DocumentChunk<'a> {
    DocumentChunk {
        id: chunk_id(document, chunk.span.into()),
        span: chunk.span.into(),
        headings: &chunk.headings,
        page: chunk.page,
        text: &chunk.text,
    }
}

impl From<store::Span> for Span {
    fn from(span: store::Span) -> Self {
        Self { start: span.start, end: span.end }
    }
}

impl From<parameters::Page> for store::Page {
    fn from(page: parameters::Page) -> Self {
        Self { cursor: page.cursor, limit: page.limit }
    }
}
