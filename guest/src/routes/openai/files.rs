//! `/v1/files`

use axum::body::Body;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use ragtime_api::body::{self, BodyType};
use ragtime_api::extract::{Hints, MediaType};
use ragtime_api::json::Fault;
use ragtime_api::limits;
use ragtime_api::problem::{Code, Problem};
use ragtime_api::resource::documents::{self, NewDocument};
use ragtime_api::resource::openai::files::{self as api, Deleted, Facts, File, List};
use ragtime_api::resource::openai::listing::Listing;
use ragtime_api::resource::rules;
use uuid::Uuid;

use crate::bindings::admission::Permit;
use crate::bindings::details::{self, DetailedInput, Details};
use crate::bindings::listing::{self, Range};
use crate::bindings::store::{self, Condition, DocumentInput, DocumentSummary, PutResult, Wait};
use crate::call::Call;
use crate::routes::RouteResult;
use crate::{multipart, reply};

/// Documents that one call to the host lists.
const LISTED_AT_ONCE: u32 = 1_000;

/// An uploaded file.
pub(super) struct StoredFile {
    /// Its facts.
    pub(super) facts: Facts,
    /// It, as it came.
    pub(super) source: Vec<u8>,
    created_at: u64,
}

/// `GET /v1/files`
pub(in crate::routes) async fn list(call: Call) -> RouteResult {
    let wanted = Listing::read(call.query(), limits::OPENAI_PAGE_FILES)?;
    let fits = |summary: &DocumentSummary| {
        let facts = api::facts(&summary.metadata)?;
        let purpose = wanted.purpose.as_ref();
        purpose
            .is_none_or(|purpose| *purpose == facts.purpose)
            .then(|| file(summary.id.clone(), facts, summary.created_at))
    };
    let (files, more) = page(&call.permit, api::COLLECTION, &wanted, fits).await?;
    Ok(reply::json(StatusCode::OK, &List::new(files, |file| &file.id, more)))
}

/// Those of the documents that are wanted, and whether there are more. A
/// collection that is not there has none.
pub(super) async fn page<T>(
    permit: &Permit,
    collection: &str,
    wanted: &Listing,
    fits: impl Fn(&DocumentSummary) -> Option<T>,
) -> Result<(Vec<T>, bool), Problem> {
    let (above, below) = wanted.bounds();
    let mut range = Range {
        above: above.map(str::to_owned),
        below: below.map(str::to_owned),
        descending: wanted.looks_down(),
        limit: LISTED_AT_ONCE.min(wanted.limit as u32 + 1),
    };
    let mut found = Vec::new();
    loop {
        let listed = listing::documents(permit, collection.to_owned(), range.clone()).await;
        let documents = match listed {
            Err(store::Error::UnknownCollection) => break,
            listed => listed?,
        };
        found.extend(documents.iter().filter_map(&fits).take(wanted.limit + 1 - found.len()));
        let whole = documents.len() as u32 == range.limit;
        let Some(last) = documents.into_iter().next_back().filter(|_| whole) else { break };
        if found.len() > wanted.limit {
            break;
        }
        let end = if range.descending { &mut range.below } else { &mut range.above };
        *end = Some(last.id);
        // Where few fit, many are looked at.
        range.limit = LISTED_AT_ONCE;
    }
    Ok(wanted.page(found))
}

/// `POST /v1/files`
pub(in crate::routes) async fn upload(mut call: Call) -> RouteResult {
    let content_type = call.header(CONTENT_TYPE).map(<[u8]>::to_vec);
    let (body_type, body) = call.body().await?;
    if body_type != BodyType::Multipart {
        return Err(Code::UnsupportedMediaType.into());
    }
    call.pay(body.len()).await?;
    let form = multipart::upload(content_type.as_deref(), body).await?;
    let facts = Facts {
        name: form.name,
        bytes: form.bytes.len() as u64,
        purpose: form.purpose,
        content_type: form.content_type,
    };
    let id = format!("file-{}", Uuid::now_v7().simple());
    // What is of no kind that can be read is refused while somebody looks.
    document(id.clone(), &facts, "{}", &form.bytes)
        .map_err(|reason| Problem::invalid(vec![Fault::at("#/file", reason)]))?;
    let metadata = api::metadata("{}", &facts);
    let text = api::encode(&form.bytes);
    drop(form.bytes);
    let put = keep(&call.permit, id.clone(), text, metadata).await?;
    Ok(reply::json(StatusCode::OK, &file(id, facts, put.summary.created_at)))
}

/// Puts a document without chunks into the collection that is set aside, which
/// is made if need be.
pub(super) async fn keep(
    permit: &Permit,
    id: String,
    text: String,
    metadata: String,
) -> Result<PutResult, Problem> {
    let collection = api::COLLECTION.to_owned();
    if let Err(error) = store::get_collection(permit, collection.clone()).await {
        // A key that may write and not read makes it too, or finds it made.
        match error {
            store::Error::UnknownCollection | store::Error::ScopeRequired(_) => {}
            error => return Err(error.into()),
        }
        match store::create_collection(permit, collection.clone(), None).await {
            Ok(_) | Err(store::Error::CollectionExists) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let spec = store::wanted_cut(permit, collection.clone()).await?;
    let document = DocumentInput {
        id: Some(id),
        title: None,
        text,
        media_type: "application/octet-stream".to_owned(),
        metadata,
        chunks: Vec::new(),
        cut: spec,
        outline: String::new(),
    };
    let details = Details { language: None, file_name: None, warnings: Vec::new() };
    let input = DetailedInput { document, details };
    let always = Condition { must_be: None, must_not_be: None };
    Ok(details::put(permit, collection, input, always, Wait::Durable).await?)
}

/// `GET /v1/files/{id}`
pub(in crate::routes) async fn get(mut call: Call) -> RouteResult {
    let id = call.id().await?;
    let kept = kept(&call.permit, &id).await?;
    Ok(reply::json(StatusCode::OK, &file(id, kept.facts, kept.created_at)))
}

/// `GET /v1/files/{id}/content`
pub(in crate::routes) async fn content(mut call: Call) -> RouteResult {
    let id = call.id().await?;
    let kept = kept(&call.permit, &id).await?;
    // As a download: a page that somebody uploaded is not this server's page.
    Ok(reply::with_type(StatusCode::OK, "application/octet-stream", Body::from(kept.source)))
}

/// `DELETE /v1/files/{id}`, and out of every store.
pub(in crate::routes) async fn delete(mut call: Call) -> RouteResult {
    let id = call.id().await?;
    let always = || Condition { must_be: None, must_not_be: None };
    if !is_id(&id) {
        return Err(Code::UnknownFile.into());
    }
    let kept = api::COLLECTION.to_owned();
    let deleted = store::delete_document(&call.permit, kept, id.clone(), always()).await;
    deleted.map_err(unknown)?;
    for collection in store::collections(&call.permit).await? {
        match store::delete_document(&call.permit, collection.name, id.clone(), always()).await {
            Ok(()) | Err(store::Error::UnknownDocument | store::Error::UnknownCollection) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(reply::json(StatusCode::OK, &Deleted { id, object: "file", deleted: true }))
}

/// Reads an uploaded file.
pub(super) async fn kept(permit: &Permit, id: &str) -> Result<StoredFile, Problem> {
    if !is_id(id) {
        return Err(Code::UnknownFile.into());
    }
    let collection = api::COLLECTION.to_owned();
    let document = store::get_document(permit, collection, id.to_owned()).await.map_err(unknown)?;
    let read = api::facts(&document.summary.metadata)
        .and_then(|facts| Some((facts, api::decode(&document.text)?)));
    let (facts, source) = read.ok_or(Code::UnknownFile)?;
    Ok(StoredFile { facts, source, created_at: document.summary.created_at })
}

/// Whether a document of that id may be a file.
pub(super) fn is_id(id: &str) -> bool {
    rules::document_id(id).is_ok() && api::is_file(id)
}

/// What is put into a store for a file.
pub(super) fn document(
    id: String,
    facts: &Facts,
    attributes: &str,
    source: &[u8],
) -> Result<NewDocument, String> {
    let said = facts.content_type.as_deref().map(str::as_bytes);
    let essence = said.and_then(|said| said.split(|byte| *byte == b';').next());
    let declared = essence
        .and_then(|essence| MediaType::of(essence.trim_ascii()))
        .or_else(|| MediaType::of_file(&facts.name));
    let hints = Hints { charset: body::charset(said), ..Hints::default() };
    let name = Some(facts.name.clone());
    let mut document = documents::of_file(Some(id), None, declared, name, hints, source)?;
    document.metadata = api::metadata(attributes, facts);
    Ok(document)
}

/// A document that is missing is a file that is missing.
pub(super) fn unknown(error: store::Error) -> Problem {
    match error {
        store::Error::UnknownDocument | store::Error::UnknownCollection => Code::UnknownFile.into(),
        error => error.into(),
    }
}

fn file(id: String, facts: Facts, created_at: u64) -> File {
    File {
        id,
        object: "file",
        bytes: facts.bytes,
        created_at,
        expires_at: None,
        filename: facts.name,
        purpose: facts.purpose,
        status: "processed",
        status_details: None,
    }
}
