//! `/v1/vector_stores/{id}/file_batches`: a batch is a job.

use http::StatusCode;
use ragtime_api::json::Fault;
use ragtime_api::limits;
use ragtime_api::problem::{Code, Problem};
use ragtime_api::resource::documents::{NewDocument, Rejected};
use ragtime_api::resource::openai::files::{self as facts, List};
use ragtime_api::resource::openai::listing::Listing;
use ragtime_api::resource::openai::store::{Chunking, Counts, FileBatch, FileError, StoreFile};
use ragtime_api::resource::openai::stores::{self as api, Attach};

use super::{files, store_files, store_path};
use crate::bindings::admission::Permit;
use crate::bindings::details;
use crate::bindings::listing::{self, Fate};
use crate::bindings::store::{self, Job, JobState, Wait};
use crate::call::Call;
use crate::reply;
use crate::routes::RouteResult;
use crate::routes::ingest::prepare;

/// Documents of a job that one call to the host lists.
const ITEMS_AT_ONCE: u32 = 1_000;

/// The reason that the host gives for what was taken out of a job.
const CANCELLED: &str = "cancelled";

/// Files that were read, and those that cannot be.
#[derive(Default)]
pub(super) struct Files {
    documents: Vec<(u32, NewDocument)>,
    failures: Vec<store::Failure>,
}

impl Files {
    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.documents.is_empty() && self.failures.is_empty()
    }
}

/// `POST …/file_batches`
pub(in crate::routes) async fn create(mut call: Call) -> RouteResult {
    let collection = store_path::collection(&mut call).await?;
    let attached = api::read_batch(&call.json_body().await?)?;
    let attached = read(&mut call, attached).await?;
    let job = ingest(&call.permit, collection, attached).await?;
    Ok(reply::json(StatusCode::OK, &batch(&job)))
}

/// `GET …/file_batches/{batch}`
pub(in crate::routes) async fn get(mut call: Call) -> RouteResult {
    let job = found(&mut call).await?;
    Ok(reply::json(StatusCode::OK, &batch(&job)))
}

/// `POST …/file_batches/{batch}/cancel`
pub(in crate::routes) async fn cancel(mut call: Call) -> RouteResult {
    let job = found(&mut call).await?;
    let job = store::cancel_job(&call.permit, job.id).await.map_err(unknown)?;
    Ok(reply::json(StatusCode::OK, &batch(&job)))
}

/// `GET …/file_batches/{batch}/files`
pub(in crate::routes) async fn list(mut call: Call) -> RouteResult {
    let job = found(&mut call).await?;
    let wanted = Listing::read(call.query(), limits::OPENAI_PAGE_ITEMS)?;
    let mut files = files_of(&call.permit, &job).await?;
    files.retain(|file| wanted.filter.as_deref().is_none_or(|status| status == file.status));
    let by_id = |file: &StoreFile| file.id.clone();
    let (files, more) = wanted.page_of(files, by_id, |id| Some(id.to_owned()));
    Ok(reply::json(StatusCode::OK, &List::new(files, |file| &file.id, more)))
}

/// The files of a batch: those that are in the store still, and those that could
/// not be taken.
async fn files_of(permit: &Permit, job: &Job) -> Result<Vec<StoreFile>, Problem> {
    let chunking = store_files::chunked(permit, &job.collection).await?;
    let (mut files, mut first) = (Vec::new(), Some(0));
    while let Some(position) = first {
        let items = listing::job_items(permit, job.id.clone(), position, ITEMS_AT_ONCE).await;
        let items = items.map_err(unknown)?;
        let whole = items.len() == ITEMS_AT_ONCE as usize;
        first = items.last().filter(|_| whole).map(|item| item.position + 1);
        let mut stored = Vec::with_capacity(items.len());
        for item in items {
            match (item.id, item.fate) {
                (Some(id), Fate::Failed(reason)) => files.push(refused(job, id, reason, chunking)),
                (Some(id), Fate::Pending | Fate::Indexed) => stored.push(id),
                // What never had an id cannot be asked for either.
                (None, _) => {}
            }
        }
        let found = listing::summaries(permit, job.collection.clone(), stored).await;
        let found = found.map_err(store_path::unknown)?.into_iter().flatten();
        files.extend(found.map(|one| store_files::store_file(&job.collection, &one, chunking)));
    }
    Ok(files)
}

/// A file that is not in the store.
fn refused(job: &Job, id: String, reason: String, chunking_strategy: Chunking) -> StoreFile {
    let cancelled = reason == CANCELLED;
    StoreFile {
        id,
        object: "vector_store.file",
        usage_bytes: 0,
        created_at: job.created_at,
        vector_store_id: api::id(&job.collection),
        status: if cancelled { "cancelled" } else { "failed" },
        last_error: (!cancelled).then_some(FileError { code: "invalid_file", message: reason }),
        chunking_strategy,
        attributes: facts::attributes("{}"),
    }
}

async fn found(call: &mut Call) -> Result<Job, Problem> {
    let collection = store_path::collection(call).await?;
    let id = call.named("batch").await?;
    let id = api::job(&id).ok_or(Code::UnknownFileBatch)?.to_owned();
    let job = store::get_job(&call.permit, id).await.map_err(unknown)?;
    match job.collection == collection {
        true => Ok(job),
        false => Err(Code::UnknownFileBatch.into()),
    }
}

fn unknown(error: store::Error) -> Problem {
    match error {
        store::Error::UnknownJob => Code::UnknownFileBatch.into(),
        error => store_path::unknown(error),
    }
}

/// Reads the files to attach and pays for the work that they make. Together they
/// are no longer than a body may be, so that they fit in memory.
pub(super) async fn read(call: &mut Call, attached: Vec<Attach>) -> Result<Files, Problem> {
    let (mut files, mut bytes) = (Files::default(), 0_usize);
    for (position, attach) in (0..).zip(attached) {
        let kept = files::kept(&call.permit, &attach.file_id).await?;
        bytes = bytes.saturating_add(kept.source.len());
        if bytes > limits::MAX_BODY_BYTES {
            let most = limits::MAX_BODY_BYTES;
            let detail = format!("must be of files that have at most {most} bytes together");
            return Err(Problem::invalid(vec![Fault::at("#/file_ids", detail)]));
        }
        let id = attach.file_id;
        match files::document(id.clone(), &kept.facts, &attach.attributes, &kept.source) {
            Ok(document) => files.documents.push((position, document)),
            Err(reason) => files.failures.push(Rejected { position, id: Some(id), reason }.into()),
        }
    }
    call.pay(bytes).await?;
    Ok(files)
}

/// Puts files into a store as one job.
pub(super) async fn ingest(
    permit: &Permit,
    collection: String,
    files: Files,
) -> Result<Job, Problem> {
    let spec = store::wanted_cut(permit, collection.clone()).await.map_err(store_path::unknown)?;
    let mut prepared = prepare(permit, files.documents, &spec).await?;
    prepared.failures.extend(files.failures);
    prepared.failures.sort_unstable_by_key(|failure| failure.position);
    let (documents, failures) = (prepared.documents, prepared.failures);
    let job = details::ingest(permit, collection, documents, failures, Wait::Durable).await;
    job.map_err(store_path::unknown)
}

fn batch(job: &Job) -> FileBatch {
    let cancelled = job.failed.iter().filter(|failure| failure.reason == CANCELLED).count() as u64;
    let [total, completed, in_progress] = [job.received, job.indexed, job.pending].map(u64::from);
    let failed = total.saturating_sub(completed + in_progress + cancelled);
    FileBatch {
        id: api::batch_id(&job.id),
        object: "vector_store.file_batch",
        created_at: job.created_at,
        vector_store_id: api::id(&job.collection),
        status: match job.state {
            JobState::Running => "in_progress",
            JobState::Done if cancelled > 0 => "cancelled",
            JobState::Done => "completed",
        },
        file_counts: Counts { in_progress, completed, failed, cancelled, total },
    }
}
