//! `ragtime:documents/store`

use ragtime_policy::chunking::{Chunking, Cut};
use ragtime_policy::scope::Scope;
use ragtime_policy::version::{Condition, Versions};
use ragtime_store as store;
use wasmtime::component::{Accessor, Resource};

use super::auth::scope_to_wit;
use super::bindings::ragtime::documents::store as wit;
use super::rate_limit::{Denied, Permit};
use super::{Call, GONE, call};
use crate::runtime::state::{Capabilities, CapabilityView};

/// Documents, jobs or collections asked about at once, so that one call cannot fill the
/// memory.
const MAX_IDS: usize = 1_000;

type Answer<R> = wasmtime::Result<Result<R, wit::Error>>;

impl wit::Host for CapabilityView<'_> {}

impl<T: Send + 'static> wit::HostWithStore<T> for Capabilities {
    async fn collections(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
    ) -> Answer<Vec<wit::Collection>> {
        let call = match allowed(call(accessor, &permit)?, Scope::Read, None) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        Ok(read(call, |call| {
            let mut collections = call.services.store.collections()?;
            collections
                .retain(|collection| call.permit.key().record.allows_collection(&collection.name));
            Ok(collections.into_iter().map(collection_to_wit).collect())
        })
        .await)
    }

    async fn create_collection(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        name: String,
        chunking: Option<wit::Chunking>,
    ) -> Answer<wit::Collection> {
        let call = match allowed(call(accessor, &permit)?, Scope::Write, Some(&name)) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        call.request.set_wrote();
        let chunking = chunking.map(chunking_from_wit);
        let created = call.services.store.create_collection(&name, chunking, None).await;
        Ok(created.map(collection_to_wit).map_err(error_to_wit))
    }

    async fn update_collection(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        name: String,
        chunking: wit::Chunking,
    ) -> Answer<wit::Collection> {
        let call = match allowed(call(accessor, &permit)?, Scope::Write, Some(&name)) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        call.request.set_wrote();
        let store = &call.services.store;
        if let Err(error) = store.set_chunking(&name, chunking_from_wit(chunking)).await {
            return Ok(Err(error_to_wit(error)));
        }
        call.services.recut.notify_one();
        Ok(read(call, move |call| Ok(collection_to_wit(call.services.store.collection(&name)?)))
            .await)
    }

    async fn wanted_cut(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
    ) -> Answer<wit::Cut> {
        let call = match allowed(call(accessor, &permit)?, Scope::Write, Some(&collection)) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        Ok(read(call, move |call| Ok(cut_to_wit(call.services.store.wanted_cut(&collection)?)))
            .await)
    }

    async fn uncut_documents(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        page: wit::Page,
    ) -> Answer<(Vec<wit::UncutDocument>, Option<String>)> {
        let call = match allowed(call(accessor, &permit)?, Scope::Write, Some(&collection)) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        Ok(read(call, move |call| {
            let (store, limit) = (&call.services.store, limit(&page)?);
            let (documents, next) = store.uncut(&collection, page.cursor.as_deref(), limit)?;
            Ok((documents.into_iter().map(uncut_to_wit).collect(), next))
        })
        .await)
    }

    async fn recut(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        id: String,
        sha256: String,
        chunks: Vec<wit::ChunkInput>,
        cut: wit::Cut,
    ) -> Answer<bool> {
        let call = match allowed(call(accessor, &permit)?, Scope::Write, Some(&collection)) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        call.request.set_wrote();
        let chunks = chunks.into_iter().map(chunk_from_wit).collect();
        let store = &call.services.store;
        let done = store.recut(&collection, &id, &sha256, chunks, cut_from_wit(cut)).await;
        Ok(done.map_err(error_to_wit))
    }

    async fn get_collection(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        name: String,
    ) -> Answer<wit::Collection> {
        let call = match allowed(call(accessor, &permit)?, Scope::Read, Some(&name)) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        Ok(read(call, move |call| Ok(collection_to_wit(call.services.store.collection(&name)?)))
            .await)
    }

    async fn delete_collection(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        name: String,
    ) -> Answer<()> {
        let call = match allowed(call(accessor, &permit)?, Scope::Write, Some(&name)) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        call.request.set_wrote();
        Ok(call.services.store.delete_collection(&name).await.map_err(error_to_wit))
    }

    async fn put(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        document: wit::DocumentInput,
        condition: wit::Condition,
        wait: wit::Wait,
    ) -> Answer<wit::PutResult> {
        let call = match allowed(call(accessor, &permit)?, Scope::Write, Some(&collection)) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        let document = document_from_wit(document, store::Details::default());
        Ok(put(call, collection, document, condition, wait).await)
    }

    async fn ingest(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        documents: Vec<wit::DocumentInput>,
        failures: Vec<wit::Failure>,
        wait: wit::Wait,
    ) -> Answer<wit::Job> {
        let call = match allowed(call(accessor, &permit)?, Scope::Write, Some(&collection)) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        let plain = |document| document_from_wit(document, store::Details::default());
        let documents = documents.into_iter().map(plain).collect();
        Ok(ingest(call, collection, documents, failures, wait).await)
    }

    async fn list_documents(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        page: wit::Page,
    ) -> Answer<(Vec<wit::DocumentSummary>, Option<String>)> {
        let call = match allowed(call(accessor, &permit)?, Scope::Read, Some(&collection)) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        Ok(read(call, move |call| {
            let store = &call.services.store;
            let (documents, next) =
                store.documents(&collection, page.cursor.as_deref(), limit(&page)?)?;
            Ok((documents.into_iter().map(summary_to_wit).collect(), next))
        })
        .await)
    }

    async fn get_document(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        id: String,
    ) -> Answer<wit::Document> {
        let call = match allowed(call(accessor, &permit)?, Scope::Read, Some(&collection)) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        Ok(read(call, move |call| {
            let document = call.services.store.document(&collection, &id)?;
            Ok(wit::Document { summary: summary_to_wit(document.summary), text: document.text })
        })
        .await)
    }

    async fn list_chunks(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        id: String,
        page: wit::Page,
    ) -> Answer<(Vec<wit::Chunk>, Option<String>)> {
        let call = match allowed(call(accessor, &permit)?, Scope::Read, Some(&collection)) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        Ok(read(call, move |call| {
            let store = &call.services.store;
            let (chunks, next) =
                store.chunks(&collection, &id, page.cursor.as_deref(), limit(&page)?)?;
            Ok((chunks.into_iter().map(chunk_to_wit).collect(), next))
        })
        .await)
    }

    async fn delete_document(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        id: String,
        condition: wit::Condition,
    ) -> Answer<()> {
        let call = match allowed(call(accessor, &permit)?, Scope::Write, Some(&collection)) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        call.request.set_wrote();
        let condition = condition_from_wit(condition);
        let deleted = call.services.store.delete_document(&collection, &id, condition).await;
        Ok(deleted.map_err(error_to_wit))
    }

    async fn list_jobs(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        page: wit::Page,
    ) -> Answer<(Vec<wit::Job>, Option<String>)> {
        let call = match allowed(call(accessor, &permit)?, Scope::Write, None) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        Ok(read(call, move |call| {
            let visible = call.permit.key().record.collections.as_ref();
            let (jobs, next) =
                call.services.store.jobs(visible, page.cursor.as_deref(), limit(&page)?)?;
            Ok((jobs.into_iter().map(job_to_wit).collect(), next))
        })
        .await)
    }

    async fn get_job(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        id: String,
    ) -> Answer<wit::Job> {
        let call = match allowed(call(accessor, &permit)?, Scope::Write, None) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        Ok(read(call, move |call| visible_job(call, &id)).await)
    }

    async fn cancel_job(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        id: String,
    ) -> Answer<wit::Job> {
        Ok(change_job(call(accessor, &permit)?, id, Change::Cancel).await)
    }

    async fn retry_job(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        id: String,
    ) -> Answer<wit::Job> {
        Ok(change_job(call(accessor, &permit)?, id, Change::Retry).await)
    }
}

/// Stores one document, under a call that may write there.
pub(super) async fn put(
    call: Call,
    collection: String,
    document: store::NewDocument,
    condition: wit::Condition,
    wait: wit::Wait,
) -> Result<wit::PutResult, wit::Error> {
    call.request.set_wrote();
    let store = &call.services.store;
    let condition = condition_from_wit(condition);
    let codes = warning_codes([&document]);
    let put = store.put(&collection, document, condition).await.map_err(error_to_wit)?;
    call.services.telemetry.metrics.documents(1, 0);
    call.services.telemetry.metrics.warned(codes);
    let mut summary = put.summary;
    if wait == wit::Wait::Searchable {
        summary.searchable =
            until_searchable(&call, store.wait_document_searchable(put.seq)).await?;
    }
    Ok(wit::PutResult { outcome: outcome_to_wit(put.outcome), summary: summary_to_wit(summary) })
}

/// Stores a batch as one job, under a call that may write there.
pub(super) async fn ingest(
    call: Call,
    collection: String,
    documents: Vec<store::NewDocument>,
    failures: Vec<wit::Failure>,
    wait: wit::Wait,
) -> Result<wit::Job, wit::Error> {
    call.request.set_wrote();
    let store = &call.services.store;
    let failures = failures.into_iter().map(failure_from_wit).collect();
    let codes = warning_codes(&documents);
    let (job, seq) = store.ingest(&collection, documents, failures).await.map_err(error_to_wit)?;
    let stored = job.indexed.saturating_add(job.pending);
    let failed = job.received.saturating_sub(stored);
    call.services.telemetry.metrics.documents(stored as usize, failed as usize);
    call.services.telemetry.metrics.warned(codes);
    if wait == wit::Wait::Durable {
        return Ok(job_to_wit(job));
    }
    until_searchable(&call, store.wait_job_searchable(&job.id, seq)).await?;
    read(call, move |call| Ok(job_to_wit(call.services.store.job(&job.id)?))).await
}

/// Waits for what was stored to be searchable, as long as a write may wait for it and
/// the client does: whether it is. What is stored is no error, so that there is no 504 for it.
async fn until_searchable(
    call: &Call,
    searchable: impl Future<Output = ()>,
) -> Result<bool, wit::Error> {
    let wait = call.request.time_to_wait(call.services.searchable_timeout);
    let waited = call.until_gone(tokio::time::timeout(wait, searchable)).await.ok_or_else(gone)?;
    Ok(waited.is_ok())
}

/// The codes of the warnings of documents.
fn warning_codes<'d>(documents: impl IntoIterator<Item = &'d store::NewDocument>) -> Vec<String> {
    let warnings = documents.into_iter().flat_map(|document| &document.details.warnings);
    warnings.filter(|warning| warning.has_code()).map(|warning| warning.code.clone()).collect()
}

/// What may be done to a job.
enum Change {
    Cancel,
    Retry,
}

/// Changes a job that the key may see, and tells how it is then.
async fn change_job(
    call: Option<Call>,
    id: String,
    change: Change,
) -> Result<wit::Job, wit::Error> {
    let call = allowed(call, Scope::Write, None)?;
    let wanted = id.clone();
    read(call.clone(), move |call| visible_job(call, &wanted)).await?;
    call.request.set_wrote();
    let store = &call.services.store;
    let changed = match change {
        Change::Cancel => store.cancel_job(&id).await,
        Change::Retry => store.retry_job(&id).await,
    };
    changed.map_err(error_to_wit)?;
    read(call, move |call| visible_job(call, &id)).await
}

/// A job, if it is in a collection that the key may see: another tenant's does
/// not exist, as far as this key goes.
pub(super) fn visible_job(call: &Call, id: &str) -> Result<wit::Job, store::Error> {
    let job = call.services.store.job(id)?;
    match call.permit.allows_in(Scope::Write, &job.collection) {
        Ok(()) => Ok(job_to_wit(job)),
        Err(_) => Err(store::Error::UnknownJob),
    }
}

/// The call, if its permit covers `scope` (in `collection`).
pub(super) fn allowed(
    call: Option<Call>,
    scope: Scope,
    collection: Option<&str>,
) -> Result<Call, wit::Error> {
    let call = call.ok_or_else(gone)?;
    let verdict = match collection {
        Some(collection) => call.permit.allows_in(scope, collection),
        None => call.permit.allows(scope),
    };
    match verdict {
        Ok(()) => Ok(call),
        Err(Denied::Scope(scope)) => Err(wit::Error::ScopeRequired(scope_to_wit(scope))),
        Err(Denied::Collection) => Err(wit::Error::CollectionForbidden),
    }
}

/// The call, if its permit covers reading all of these collections.
pub(super) fn allowed_in_all(
    call: Option<Call>,
    collections: &[String],
) -> Result<Call, wit::Error> {
    let call = allowed(call, Scope::Read, None)?;
    collections.iter().try_fold(call, |call, name| allowed(Some(call), Scope::Read, Some(name)))
}

/// Reads the store, off the serving threads.
pub(super) async fn read<R, F>(call: Call, work: F) -> Result<R, wit::Error>
where
    R: Send + 'static,
    F: FnOnce(&Call) -> Result<R, store::Error> + Send + 'static,
{
    match call.blocking(work).await {
        Some(result) => result.map_err(error_to_wit),
        None => Err(gone()),
    }
}

fn gone() -> wit::Error {
    wit::Error::Other(Some(GONE.into()))
}

/// The most a page may hold, so that one list cannot fill a handler's memory.
const MAX_PAGE: usize = 1_000;

fn limit(page: &wit::Page) -> Result<usize, store::Error> {
    entries(page.limit as usize)
}

/// As many entries as one list may have.
pub(super) fn entries(wanted: usize) -> Result<usize, store::Error> {
    match wanted {
        1..=MAX_PAGE => Ok(wanted),
        _ => Err(store::Error::Invalid(format!("a page has 1 to {MAX_PAGE} entries"))),
    }
}

pub(super) fn error_to_wit(error: store::Error) -> wit::Error {
    match error {
        store::Error::UnknownCollection => wit::Error::UnknownCollection,
        store::Error::CollectionExists => wit::Error::CollectionExists,
        store::Error::CollectionProtected => wit::Error::CollectionProtected,
        store::Error::UnknownDocument => wit::Error::UnknownDocument,
        store::Error::UnknownJob => wit::Error::UnknownJob,
        store::Error::PreconditionFailed => wit::Error::PreconditionFailed,
        store::Error::InvalidCursor => wit::Error::InvalidCursor,
        store::Error::Invalid(rule) => wit::Error::Invalid(rule),
        store::Error::Busy { retry_after } => {
            wit::Error::Busy(u32::try_from(retry_after.as_secs().max(1)).unwrap_or(u32::MAX))
        }
        // The writer has told the log.
        store::Error::Unwritable(_) => wit::Error::Unwritable,
        error => wit::Error::Other(Some(error.to_string())),
    }
}

fn condition_from_wit(condition: wit::Condition) -> Condition {
    let versions = |versions| match versions {
        wit::Versions::Any => Versions::Any,
        wit::Versions::These(these) => Versions::These(these),
    };
    Condition {
        must_be: condition.must_be.map(versions),
        must_not_be: condition.must_not_be.map(versions),
    }
}

pub(super) fn document_from_wit(
    document: wit::DocumentInput,
    details: store::Details,
) -> store::NewDocument {
    store::NewDocument {
        id: document.id,
        title: document.title,
        text: document.text,
        media_type: document.media_type,
        metadata: document.metadata,
        chunks: document.chunks.into_iter().map(chunk_from_wit).collect(),
        cut: cut_from_wit(document.cut),
        outline: document.outline,
        details,
    }
}

fn chunk_from_wit(chunk: wit::ChunkInput) -> store::NewChunk {
    store::NewChunk {
        span: chunk.span.start..chunk.span.end,
        headings: chunk.headings,
        page: chunk.page,
    }
}

fn chunking_from_wit(chunking: wit::Chunking) -> Chunking {
    Chunking { tokens: chunking.tokens, overlap: chunking.overlap }
}

fn chunking_to_wit(chunking: Chunking) -> wit::Chunking {
    wit::Chunking { tokens: chunking.tokens, overlap: chunking.overlap }
}

fn cut_from_wit(cut: wit::Cut) -> Cut {
    Cut { chunking: chunking_from_wit(cut.chunking), model: cut.model }
}

fn cut_to_wit(cut: Cut) -> wit::Cut {
    wit::Cut { chunking: chunking_to_wit(cut.chunking), model: cut.model }
}

fn uncut_to_wit(document: store::Uncut) -> wit::UncutDocument {
    wit::UncutDocument {
        id: document.id,
        media_type: document.media_type,
        text: document.text,
        outline: document.outline,
        sha256: document.sha256,
    }
}

fn failure_from_wit(failure: wit::Failure) -> store::Failure {
    store::Failure { position: failure.position, id: failure.id, reason: failure.reason }
}

fn failure_to_wit(failure: store::Failure) -> wit::Failure {
    wit::Failure { position: failure.position, id: failure.id, reason: failure.reason }
}

fn outcome_to_wit(outcome: store::Outcome) -> wit::Outcome {
    match outcome {
        store::Outcome::Created => wit::Outcome::Created,
        store::Outcome::Replaced => wit::Outcome::Replaced,
        store::Outcome::Unchanged => wit::Outcome::Unchanged,
    }
}

pub(super) fn summary_to_wit(summary: store::DocumentSummary) -> wit::DocumentSummary {
    wit::DocumentSummary {
        id: summary.id,
        title: summary.title,
        media_type: summary.media_type,
        metadata: summary.metadata,
        bytes: summary.bytes,
        chunks: summary.chunks,
        sha256: summary.sha256,
        version: summary.version,
        created_at: summary.created_at,
        updated_at: summary.updated_at,
        searchable: summary.searchable,
    }
}

fn chunk_to_wit(chunk: store::Chunk) -> wit::Chunk {
    wit::Chunk {
        id: chunk.id,
        span: wit::Span { start: chunk.span.start, end: chunk.span.end },
        headings: chunk.headings,
        page: chunk.page,
        text: chunk.text,
    }
}

fn collection_to_wit(collection: store::Collection) -> wit::Collection {
    wit::Collection {
        name: collection.name,
        documents: collection.documents,
        chunks: collection.chunks,
        chunking: chunking_to_wit(collection.chunking),
        uncut: collection.uncut,
        created_at: collection.created_at,
    }
}

fn job_to_wit(job: store::Job) -> wit::Job {
    wit::Job {
        state: if job.pending == 0 { wit::JobState::Done } else { wit::JobState::Running },
        id: job.id,
        collection: job.collection,
        received: job.received,
        indexed: job.indexed,
        pending: job.pending,
        failed: job.failed.into_iter().map(failure_to_wit).collect(),
        created_at: job.created_at,
    }
}

/// Refuses more than are asked about at once.
pub(super) fn bounded(ids: &[String]) -> Result<(), store::Error> {
    match ids.len() <= MAX_IDS {
        true => Ok(()),
        false => Err(store::Error::Invalid(format!("at most {MAX_IDS} ids are taken at once"))),
    }
}
