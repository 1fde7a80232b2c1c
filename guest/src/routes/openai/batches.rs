//! `/v1/vector_stores/{id}/file_batches`: a batch is a job.

use http::StatusCode;
use ragtime_api::json::Fault;
use ragtime_api::limits;
use ragtime_api::problem::{Code, Problem};
use ragtime_api::resource::documents::{NewDocument, Rejected};
use ragtime_api::resource::openai::store::{Counts, FileBatch};
use ragtime_api::resource::openai::stores::{self as api, Attach};
use ragtime_api::routes::Work;

use super::{files, stores};
use crate::bindings::admission::Permit;
use crate::bindings::details;
use crate::bindings::store::{self, Job, JobState, Wait};
use crate::call::Call;
use crate::reply;
use crate::routes::Answer;
use crate::routes::ingest::prepare;

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
pub(in crate::routes) async fn create(mut call: Call) -> Answer {
    let collection = stores::collection(&mut call).await?;
    let attached = api::read_batch(&call.json_body().await?)?;
    let attached = read(&mut call, attached).await?;
    let job = ingest(&call.permit, collection, attached).await?;
    Ok(reply::json(StatusCode::OK, &batch(&job)))
}

/// `GET …/file_batches/{batch}`
pub(in crate::routes) async fn get(mut call: Call) -> Answer {
    let job = found(&mut call).await?;
    Ok(reply::json(StatusCode::OK, &batch(&job)))
}

/// `POST …/file_batches/{batch}/cancel`
pub(in crate::routes) async fn cancel(mut call: Call) -> Answer {
    let job = found(&mut call).await?;
    let job = store::cancel_job(&call.permit, job.id).await.map_err(unknown)?;
    Ok(reply::json(StatusCode::OK, &batch(&job)))
}

async fn found(call: &mut Call) -> Result<Job, Problem> {
    let collection = stores::collection(call).await?;
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
        error => stores::unknown(error),
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
    call.pay(Work::Bytes, bytes).await?;
    Ok(files)
}

/// Puts files into a store as one job.
pub(super) async fn ingest(
    permit: &Permit,
    collection: String,
    files: Files,
) -> Result<Job, Problem> {
    let cut = store::wanted_cut(permit, collection.clone()).await.map_err(stores::unknown)?;
    let mut prepared = prepare(permit, files.documents, &cut).await?;
    prepared.failures.extend(files.failures);
    prepared.failures.sort_unstable_by_key(|failure| failure.position);
    let (documents, failures) = (prepared.documents, prepared.failures);
    let job = details::ingest(permit, collection, documents, failures, Wait::Durable).await;
    job.map_err(stores::unknown)
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
