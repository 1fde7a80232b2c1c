//! `ragtime:documents/store`

mod convert;

use ragtime_policy::scope::Scope;
use ragtime_store as store;
use wasmtime::component::{Accessor, Resource};

use super::bindings::ragtime::documents::store as wit;
use super::call::Call;
use super::error::ImportError;
use super::rate_limit::Permit;
use crate::runtime::state::{Capabilities, CapabilityView};
use convert::{
    chunk_from_wit, chunk_to_wit, chunking_from_wit, collection_to_wit, condition_from_wit,
    cut_from_wit, cut_to_wit, failure_from_wit, job_to_wit, outcome_to_wit, uncut_to_wit,
};
pub(super) use convert::{document_from_wit, summary_to_wit};

/// Documents, jobs or collections asked about at once, so that one call cannot fill the
/// memory.
const MAX_IDS: usize = 1_000;

/// What a call about documents returns.
pub(super) type DocumentsResult<R> = Result<R, ImportError<wit::Error>>;

impl wit::Host for CapabilityView<'_> {
    fn convert_error(&mut self, error: ImportError<wit::Error>) -> wasmtime::Result<wit::Error> {
        error.into_error()
    }
}

impl<T: Send + 'static> wit::HostWithStore<T> for Capabilities {
    async fn collections(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
    ) -> DocumentsResult<Vec<wit::Collection>> {
        let call = Call::of(accessor, &permit)?.with(Scope::Read)?;
        call.read(|call| {
            let mut collections = call.services.store.collections()?;
            collections
                .retain(|collection| call.permit.key().record.allows_collection(&collection.name));
            Ok(collections.into_iter().map(collection_to_wit).collect())
        })
        .await
    }

    async fn create_collection(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        name: String,
        chunking: Option<wit::Chunking>,
    ) -> DocumentsResult<wit::Collection> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Write, &name)?.writing();
        let chunking = chunking.map(chunking_from_wit);
        let created = call.services.store.create_collection(&name, chunking, None).await?;
        Ok(collection_to_wit(created))
    }

    async fn update_collection(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        name: String,
        chunking: wit::Chunking,
    ) -> DocumentsResult<wit::Collection> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Write, &name)?.writing();
        call.services.store.set_chunking(&name, chunking_from_wit(chunking)).await?;
        call.services.rechunk.notify_one();
        call.read(move |call| Ok(collection_to_wit(call.services.store.collection(&name)?))).await
    }

    async fn wanted_cut(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
    ) -> DocumentsResult<wit::Cut> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Write, &collection)?;
        call.read(move |call| Ok(cut_to_wit(call.services.store.wanted_cut(&collection)?))).await
    }

    async fn uncut_documents(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        page: wit::Page,
    ) -> DocumentsResult<(Vec<wit::UncutDocument>, Option<String>)> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Write, &collection)?;
        call.read(move |call| {
            let (store, limit) = (&call.services.store, limit(&page)?);
            let (documents, next) = store.stale(&collection, page.cursor.as_deref(), limit)?;
            Ok((documents.into_iter().map(uncut_to_wit).collect(), next))
        })
        .await
    }

    async fn recut(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        id: String,
        sha256: String,
        chunks: Vec<wit::ChunkInput>,
        cut: wit::Cut,
    ) -> DocumentsResult<bool> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Write, &collection)?.writing();
        let chunks = chunks.into_iter().map(chunk_from_wit).collect();
        let store = &call.services.store;
        Ok(store.rechunk(&collection, &id, &sha256, chunks, cut_from_wit(cut)).await?)
    }

    async fn get_collection(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        name: String,
    ) -> DocumentsResult<wit::Collection> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Read, &name)?;
        call.read(move |call| Ok(collection_to_wit(call.services.store.collection(&name)?))).await
    }

    async fn delete_collection(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        name: String,
    ) -> DocumentsResult<()> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Write, &name)?.writing();
        Ok(call.services.store.delete_collection(&name).await?)
    }

    async fn put(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        document: wit::DocumentInput,
        condition: wit::Condition,
        wait: wit::Wait,
    ) -> DocumentsResult<wit::PutResult> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Write, &collection)?;
        let document = document_from_wit(document, store::Details::default());
        put(call, collection, document, condition, wait).await
    }

    async fn ingest(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        documents: Vec<wit::DocumentInput>,
        failures: Vec<wit::Failure>,
        wait: wit::Wait,
    ) -> DocumentsResult<wit::Job> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Write, &collection)?;
        let plain = |document| document_from_wit(document, store::Details::default());
        let documents = documents.into_iter().map(plain).collect();
        ingest(call, collection, documents, failures, wait).await
    }

    async fn list_documents(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        page: wit::Page,
    ) -> DocumentsResult<(Vec<wit::DocumentSummary>, Option<String>)> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Read, &collection)?;
        call.read(move |call| {
            let store = &call.services.store;
            let (documents, next) =
                store.documents(&collection, page.cursor.as_deref(), limit(&page)?)?;
            Ok((documents.into_iter().map(summary_to_wit).collect(), next))
        })
        .await
    }

    async fn get_document(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        id: String,
    ) -> DocumentsResult<wit::Document> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Read, &collection)?;
        call.read(move |call| {
            let document = call.services.store.document(&collection, &id)?;
            Ok(wit::Document { summary: summary_to_wit(document.summary), text: document.text })
        })
        .await
    }

    async fn list_chunks(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        id: String,
        page: wit::Page,
    ) -> DocumentsResult<(Vec<wit::Chunk>, Option<String>)> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Read, &collection)?;
        call.read(move |call| {
            let store = &call.services.store;
            let (chunks, next) =
                store.chunks(&collection, &id, page.cursor.as_deref(), limit(&page)?)?;
            Ok((chunks.into_iter().map(chunk_to_wit).collect(), next))
        })
        .await
    }

    async fn delete_document(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        id: String,
        condition: wit::Condition,
    ) -> DocumentsResult<()> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Write, &collection)?.writing();
        let condition = condition_from_wit(condition);
        Ok(call.services.store.delete_document(&collection, &id, condition).await?)
    }

    async fn list_jobs(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        page: wit::Page,
    ) -> DocumentsResult<(Vec<wit::Job>, Option<String>)> {
        let call = Call::of(accessor, &permit)?.with(Scope::Write)?;
        call.read(move |call| {
            let visible = call.permit.key().record.collections.as_ref();
            let (jobs, next) =
                call.services.store.jobs(visible, page.cursor.as_deref(), limit(&page)?)?;
            Ok((jobs.into_iter().map(job_to_wit).collect(), next))
        })
        .await
    }

    async fn get_job(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        id: String,
    ) -> DocumentsResult<wit::Job> {
        let call = Call::of(accessor, &permit)?.with(Scope::Write)?;
        call.read(move |call| visible_job(call, &id)).await
    }

    async fn cancel_job(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        id: String,
    ) -> DocumentsResult<wit::Job> {
        let call = Call::of(accessor, &permit)?.with(Scope::Write)?;
        change_job(call, id, Change::Cancel).await
    }

    async fn retry_job(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        id: String,
    ) -> DocumentsResult<wit::Job> {
        let call = Call::of(accessor, &permit)?.with(Scope::Write)?;
        change_job(call, id, Change::Retry).await
    }
}

/// Stores one document, under a call that may write there.
pub(super) async fn put(
    call: Call,
    collection: String,
    document: store::NewDocument,
    condition: wit::Condition,
    wait: wit::Wait,
) -> DocumentsResult<wit::PutResult> {
    call.request.set_wrote();
    let store = &call.services.store;
    let condition = condition_from_wit(condition);
    let codes = warning_codes([&document]);
    let put = store.put(&collection, document, condition).await?;
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
) -> DocumentsResult<wit::Job> {
    call.request.set_wrote();
    let store = &call.services.store;
    let failures = failures.into_iter().map(failure_from_wit).collect();
    let codes = warning_codes(&documents);
    let (job, seq) = store.ingest(&collection, documents, failures).await?;
    let stored = job.indexed.saturating_add(job.pending);
    let failed = job.received.saturating_sub(stored);
    call.services.telemetry.metrics.documents(stored as usize, failed as usize);
    call.services.telemetry.metrics.warned(codes);
    if wait == wit::Wait::Durable {
        return Ok(job_to_wit(job));
    }
    until_searchable(&call, store.wait_job_searchable(&job.id, seq)).await?;
    call.read(move |call| Ok(job_to_wit(call.services.store.job(&job.id)?))).await
}

/// Waits for what was stored to be searchable, as long as a write may wait for it and
/// the client does: whether it is. What is stored is no error, so that there is no 504 for it.
async fn until_searchable(
    call: &Call,
    searchable: impl Future<Output = ()>,
) -> DocumentsResult<bool> {
    let wait = call.request.time_to_wait(call.services.searchable_timeout);
    Ok(call.until_gone(tokio::time::timeout(wait, searchable)).await?.is_ok())
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

/// Changes a job that the key may see, and returns the changed job.
async fn change_job(call: Call, id: String, change: Change) -> DocumentsResult<wit::Job> {
    let wanted = id.clone();
    call.read(move |call| visible_job(call, &wanted)).await?;
    call.request.set_wrote();
    let store = &call.services.store;
    match change {
        Change::Cancel => store.cancel_job(&id).await?,
        Change::Retry => store.retry_job(&id).await?,
    }
    call.read(move |call| visible_job(call, &id)).await
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

/// Refuses more than are asked about at once.
pub(super) fn bounded(ids: &[String]) -> Result<(), store::Error> {
    match ids.len() <= MAX_IDS {
        true => Ok(()),
        false => Err(store::Error::Invalid(format!("at most {MAX_IDS} ids are taken at once"))),
    }
}
