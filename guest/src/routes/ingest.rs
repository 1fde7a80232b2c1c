//! `/v1/collections/{collection}/documents`: writing.

use http::StatusCode;
use http::header::CONTENT_TYPE;
use ragtime_api::body::{self, BodyType};
use ragtime_api::chunk::{Lengths, chunk};
use ragtime_api::extract::{Extracted, Hints, MediaType, Warning, extract_with};
use ragtime_api::json::Fault;
use ragtime_api::parameters::{self, Wait};
use ragtime_api::problem::{Code, Problem};
use ragtime_api::resource::collections::Rechunked;
use ragtime_api::resource::documents::{self, Batch, NewDocument, Rejected};
use ragtime_api::resource::rules;
use ragtime_api::{limits, records};

use super::{RouteResult, documents::summary, jobs};
use crate::bindings::admission::Permit;
use crate::bindings::details::{self, DetailedInput, Details};
use crate::bindings::embedding::{self, Measured};
use crate::bindings::store::{self, ChunkInput, Cut as ChunkingSpec, DocumentInput, Outcome};
use crate::call::Call;
use crate::{multipart, reply};

/// Texts whose tokens are asked for at once: few calls, and no more than a
/// part of a large batch in memory twice.
const TEXTS_PER_CALL: usize = 256;

/// `PUT …/documents/{id}`
pub(super) async fn put(mut call: Call) -> RouteResult {
    let choices = [("durable", Wait::Durable), ("searchable", Wait::Searchable)];
    let written = parameters::write(call.query(), &choices, Wait::Searchable, true)?;
    let (collection, id) = (call.collection().await?, call.document_id().await?);
    let condition = call.condition()?;
    let path = format!("/v1/collections/{collection}/documents/{}", parameters::encode(&id));
    let charset = body::charset(call.header(CONTENT_TYPE));
    let hints = Hints { charset, keep_boilerplate: written.keep_boilerplate, ..Hints::default() };
    let (body_type, body) = call.body().await?;
    call.pay(body.len()).await?;
    let media_type = match body_type {
        BodyType::Json => None,
        BodyType::Document(media_type) => Some(media_type),
        BodyType::Csv => Some(MediaType::Csv),
        BodyType::Lines => Some(MediaType::Json),
        BodyType::Multipart => return Err(Code::UnsupportedMediaType.into()),
    };
    let mut document = match media_type {
        None => NewDocument { id: Some(id), hints, ..documents::read(&body)? },
        declared => documents::of_file(Some(id), written.title, declared, None, hints, &body)
            .map_err(|reason| Problem::invalid(vec![Fault::at("#", reason)]))?,
    };
    document.language = document.language.or(written.language);
    let spec = store::wanted_cut(&call.permit, collection.clone()).await?;
    let mut prepared = prepare(&call.permit, vec![(0, document)], &spec).await?;
    let Some(document) = prepared.documents.pop() else {
        let reason = prepared.failures.pop().map(|failure| failure.reason);
        return Err(Problem::invalid(vec![Fault::at("#", reason.unwrap_or_default())]));
    };
    let mut described = document.details.clone();
    let wait = written.wait.into();
    let stored = details::put(&call.permit, collection.clone(), document, condition, wait).await?;
    let ids = vec![stored.summary.id.clone()];
    // The host knows the language of a text that came without one. A key that may only
    // write does not get to know it, and what is stored is stored whatever becomes of this.
    if let Ok(known) = details::of_documents(&call.permit, collection, ids).await
        && let [known] = known.as_slice()
    {
        described.language.clone_from(&known.language);
    }
    let created = stored.outcome == Outcome::Created;
    let status = match written.wait {
        // It is stored, and search has not come to it in the time there was.
        Wait::Searchable if !stored.summary.searchable => StatusCode::ACCEPTED,
        Wait::Searchable | Wait::Durable if created => StatusCode::CREATED,
        Wait::Searchable | Wait::Durable => StatusCode::OK,
    };
    let mut response = reply::json(status, &summary(&stored.summary, &described));
    reply::add_etag(&mut response, &stored.summary.version);
    if created {
        reply::add_location(&mut response, &path);
    }
    Ok(response)
}

/// `POST …/documents`
pub(super) async fn batch(mut call: Call) -> RouteResult {
    let choices = [("indexed", Wait::Searchable)];
    let parameters::Write { wait, keep_boilerplate, language, title: _ } =
        parameters::write(call.query(), &choices, Wait::Durable, false)?;
    let collection = call.collection().await?;
    let content_type = call.header(CONTENT_TYPE).map(<[u8]>::to_vec);
    let (body_type, body) = call.body().await?;
    call.pay(body.len()).await?;
    let Batch { mut documents, rejected } = match body_type {
        BodyType::Json => documents::read_batch(&body)?,
        BodyType::Lines => documents::read_lines(&body)?,
        BodyType::Csv => records::read(&body, body::charset(content_type.as_deref()).as_deref())?,
        BodyType::Multipart => {
            multipart::read(content_type.as_deref(), body, keep_boilerplate).await?
        }
        BodyType::Document(_) => return Err(Code::UnsupportedMediaType.into()),
    };
    for (_, document) in &mut documents {
        document.language = document.language.take().or_else(|| language.clone());
    }
    let spec = store::wanted_cut(&call.permit, collection.clone()).await?;
    let mut prepared = prepare(&call.permit, documents, &spec).await?;
    prepared.failures.extend(rejected.into_iter().map(store::Failure::from));
    prepared.failures.sort_unstable_by_key(|failure| failure.position);
    let Prepared { documents, failures } = prepared;
    let job = details::ingest(&call.permit, collection, documents, failures, wait.into()).await?;
    let path = format!("/v1/jobs/{}", parameters::encode(&job.id));
    let done = wait == Wait::Searchable && job.pending == 0;
    let status = if done { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut response = reply::json(status, &jobs::described(&call.permit, job).await?);
    reply::add_location(&mut response, &path);
    Ok(response)
}

/// Documents ready to store, and those that are not.
#[derive(Default)]
pub(super) struct Prepared {
    /// In order.
    pub(super) documents: Vec<DetailedInput>,
    /// In order.
    pub(super) failures: Vec<store::Failure>,
}

/// Extracts the text of documents, asks the host for its tokens and makes its chunks.
pub(super) async fn prepare(
    permit: &Permit,
    documents: Vec<(u32, NewDocument)>,
    spec: &ChunkingSpec,
) -> Result<Prepared, Problem> {
    let mut prepared =
        Prepared { documents: Vec::with_capacity(documents.len()), failures: Vec::new() };
    let mut readable = Vec::with_capacity(documents.len());
    for (position, mut document) in documents {
        let source = std::mem::take(&mut document.source);
        let reason = match extract_with(&source, document.media_type, &document.hints) {
            Ok(extracted) if !extracted.text.trim().is_empty() => {
                readable.push((document, extracted));
                continue;
            }
            Ok(extracted) => extracted.without_text(),
            Err(unreadable) => unreadable.to_string(),
        };
        prepared.failures.push(Rejected { position, id: document.id, reason }.into());
    }
    let mut readable = readable.into_iter().peekable();
    while readable.peek().is_some() {
        let group: Vec<_> = readable.by_ref().take(TEXTS_PER_CALL).collect();
        let measured = |(document, extracted): &(NewDocument, Extracted)| Measured {
            text: extracted.text.clone(),
            language: document.given_language(),
        };
        let texts = group.iter().map(measured).collect();
        let tokens = embedding::tokens(permit, spec.model.clone(), texts).await?;
        let inputs = group
            .into_iter()
            .zip(tokens)
            .map(|((document, extracted), tokens)| input(document, extracted, &tokens, spec));
        prepared.documents.extend(inputs);
    }
    Ok(prepared)
}

fn input(
    document: NewDocument,
    extracted: Extracted,
    tokens: &[u32],
    spec: &ChunkingSpec,
) -> DetailedInput {
    let warnings = extracted.warnings.iter().map(details::Warning::from).collect();
    let language = document.given_language();
    let details = Details { language, file_name: document.file_name, warnings };
    let document = DocumentInput {
        id: document.id,
        chunks: chunks(&extracted, tokens, spec),
        outline: extracted.outline(document.media_type),
        title: document.title.or(extracted.title.filter(|title| rules::title(title).is_ok())),
        text: extracted.text,
        media_type: document.media_type.name().to_owned(),
        metadata: documents::joined(document.metadata, extracted.metadata),
        cut: spec.clone(),
    };
    DetailedInput { document, details }
}

fn chunks(extracted: &Extracted, tokens: &[u32], spec: &ChunkingSpec) -> Vec<ChunkInput> {
    let lengths =
        Lengths { tokens: spec.chunking.tokens as usize, overlap: spec.chunking.overlap as usize };
    chunk(extracted, tokens, lengths)
        .into_iter()
        .map(|chunk| ChunkInput {
            page: extracted.page_at(chunk.span.start),
            span: store::Span { start: chunk.span.start as u64, end: chunk.span.end as u64 },
            // Column names stand above rows as a heading does.
            headings: chunk.headings.into_iter().chain(chunk.context).collect(),
        })
        .collect()
}

/// `POST /v1/collections/{collection}/recut`
pub(super) async fn rechunk(mut call: Call) -> RouteResult {
    let page = parameters::page(call.query())?;
    let collection = call.collection().await?;
    let permit = &call.permit;
    let page =
        store::Page { cursor: page.cursor, limit: page.limit.min(limits::MAX_RECHUNKED_DOCUMENTS) };
    let spec = store::wanted_cut(permit, collection.clone()).await?;
    let (documents, next_cursor) = store::uncut_documents(permit, collection.clone(), page).await?;
    let ids = documents.iter().map(|document| document.id.clone()).collect();
    let known = details::of_documents(permit, collection.clone(), ids).await?;
    let texts = documents.iter().zip(known).map(|(document, known)| Measured {
        text: document.text.clone(),
        language: known.language,
    });
    let tokens = embedding::tokens(permit, spec.model.clone(), texts.collect()).await?;
    let mut rechunked = 0;
    for (document, tokens) in documents.into_iter().zip(tokens) {
        let extracted = Extracted::restored(document.text, &document.outline);
        let chunks = chunks(&extracted, &tokens, &spec);
        let (id, sha256) = (document.id, document.sha256);
        let done = store::recut(permit, collection.clone(), id, sha256, chunks, spec.clone());
        rechunked += u64::from(done.await?);
    }
    Ok(reply::json(StatusCode::OK, &Rechunked { recut: rechunked, next_cursor }))
}

impl From<&Warning> for details::Warning {
    fn from(warning: &Warning) -> Self {
        let code = warning.code.code().to_owned();
        Self { code, page: warning.page, detail: warning.detail.clone() }
    }
}

impl From<Rejected> for store::Failure {
    fn from(rejected: Rejected) -> Self {
        Self { position: rejected.position, id: rejected.id, reason: rejected.reason }
    }
}

impl From<Wait> for store::Wait {
    fn from(wait: Wait) -> Self {
        match wait {
            Wait::Durable => Self::Durable,
            Wait::Searchable => Self::Searchable,
        }
    }
}
