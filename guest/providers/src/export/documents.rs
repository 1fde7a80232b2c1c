//! `ragtime:documents/store`. A commit is searchable as soon as it is durable,
//! so there is never anything to wait for; vectors are made before a call
//! returns.

mod convert;

use ragtime_policy::bounds::{MAX_FAILURES, MAX_LISTED_FAILURES, shortened};
use ragtime_policy::chunking::ChunkingSpec;
use ragtime_policy::clock::unix_now;
use ragtime_policy::details::{Details, JobWarnings};
use ragtime_policy::scope::Scope;

use super::auth::scope_to_wit;
use super::{Denied, Permit, Provider, covers};
use crate::bindings::admission::PermitBorrow;
use crate::bindings::store as wit;
use crate::catch_up::catch_up;
use crate::library::{Error, check_document};
use crate::records::{Commit, Document, Failure as Failed, Job};
use crate::state::{Failure, embedder, read, write};
use convert::{
    chunk_from_wit, chunking_to_wit, collection_to_wit, condition_from_wit, cut_from_wit,
    job_to_wit, lengths,
};
pub(super) use convert::{document_from_wit, summary_to_wit};

/// The most a page may hold, so that one list cannot fill a handler's memory.
const MAX_PAGE: usize = 1_000;
/// Seconds until a writer that others overtook tries again.
const RETRY_SECONDS: u32 = 1;

type CallResult<R> = Result<R, wit::Error>;

impl wit::Guest for Provider {
    async fn collections(permit: PermitBorrow<'_>) -> CallResult<Vec<wit::Collection>> {
        allowed(&permit, Scope::Read, None)?;
        let record = &permit.get::<Permit>().key.record;
        read(|library| {
            let seen = library.collections().filter(|(name, _)| record.allows_collection(name));
            Ok(seen.map(|(name, collection)| collection_to_wit(name, collection)).collect())
        })
        .map_err(error_to_wit)
    }

    async fn create_collection(
        permit: PermitBorrow<'_>,
        name: String,
        chunking: Option<wit::Chunking>,
    ) -> CallResult<wit::Collection> {
        allowed(&permit, Scope::Write, Some(&name))?;
        let at = unix_now();
        write(|library| {
            library.check_new_collection(&name)?;
            let chunking = chunking.map(lengths).transpose()?;
            Ok((Some(Commit::CreateCollection { name: name.clone(), at, chunking }), ()))
        })
        .map_err(error_to_wit)?;
        Self::collection(&name)
    }

    async fn update_collection(
        permit: PermitBorrow<'_>,
        name: String,
        chunking: wit::Chunking,
    ) -> CallResult<wit::Collection> {
        allowed(&permit, Scope::Write, Some(&name))?;
        write(|library| {
            library.collection(&name)?;
            let chunking = lengths(chunking)?;
            Ok((Some(Commit::Chunking { collection: name.clone(), chunking }), ()))
        })
        .map_err(error_to_wit)?;
        Self::collection(&name)
    }

    async fn wanted_cut(permit: PermitBorrow<'_>, collection: String) -> CallResult<wit::Cut> {
        allowed(&permit, Scope::Write, Some(&collection))?;
        read(|library| {
            let ChunkingSpec { chunking, model } = library.collection(&collection)?.wanted_cut();
            Ok(wit::Cut { chunking: chunking_to_wit(chunking), model })
        })
        .map_err(error_to_wit)
    }

    async fn uncut_documents(
        permit: PermitBorrow<'_>,
        collection: String,
        page: wit::Page,
    ) -> CallResult<(Vec<wit::UncutDocument>, Option<String>)> {
        allowed(&permit, Scope::Write, Some(&collection))?;
        read(|library| {
            let collection = library.collection(&collection)?;
            let (found, next) =
                collection.stale_documents(page.cursor.as_deref(), limit(&page)?)?;
            let uncut = found.into_iter().map(|document| wit::UncutDocument {
                id: document.id.clone(),
                media_type: document.media_type.clone(),
                text: document.text.clone(),
                outline: document.outline.clone(),
                sha256: document.sha256.clone(),
            });
            Ok((uncut.collect(), next))
        })
        .map_err(error_to_wit)
    }

    async fn recut(
        permit: PermitBorrow<'_>,
        collection: String,
        id: String,
        sha256: String,
        chunks: Vec<wit::ChunkInput>,
        cut: wit::Cut,
    ) -> CallResult<bool> {
        allowed(&permit, Scope::Write, Some(&collection))?;
        let chunks: Vec<_> = chunks.into_iter().map(chunk_from_wit).collect();
        let done = write(|library| {
            let document = match library.collection(&collection)?.document(&id) {
                Ok(document) if document.sha256 == sha256 => document,
                _ => return Ok((None, false)),
            };
            let cut = cut_from_wit(cut.clone()).label();
            let new = Document { chunks: chunks.clone(), cut: cut.clone(), ..document.clone() };
            check_document(&new)?;
            let (collection, id, sha256) = (collection.clone(), id.clone(), sha256.clone());
            Ok((Some(Commit::Recut { collection, id, sha256, chunks: new.chunks, cut }), true))
        })
        .map_err(error_to_wit)?;
        embed(&collection).await;
        Ok(done)
    }

    async fn get_collection(permit: PermitBorrow<'_>, name: String) -> CallResult<wit::Collection> {
        allowed(&permit, Scope::Read, Some(&name))?;
        Self::collection(&name)
    }

    async fn delete_collection(permit: PermitBorrow<'_>, name: String) -> CallResult<()> {
        allowed(&permit, Scope::Write, Some(&name))?;
        write(|library| {
            library.check_deletion(&name)?;
            Ok((Some(Commit::DeleteCollection { name: name.clone() }), ()))
        })
        .map_err(error_to_wit)
    }

    async fn put(
        permit: PermitBorrow<'_>,
        collection: String,
        document: wit::DocumentInput,
        condition: wit::Condition,
        _: wit::Wait,
    ) -> CallResult<wit::PutResult> {
        allowed(&permit, Scope::Write, Some(&collection))?;
        put(collection, document_from_wit(document, Details::default()), condition).await
    }

    async fn ingest(
        permit: PermitBorrow<'_>,
        collection: String,
        documents: Vec<wit::DocumentInput>,
        failures: Vec<wit::Failure>,
        _: wit::Wait,
    ) -> CallResult<wit::Job> {
        allowed(&permit, Scope::Write, Some(&collection))?;
        let plain = |document| document_from_wit(document, Details::default());
        ingest(collection, documents.into_iter().map(plain).collect(), failures).await
    }

    async fn list_documents(
        permit: PermitBorrow<'_>,
        collection: String,
        page: wit::Page,
    ) -> CallResult<(Vec<wit::DocumentSummary>, Option<String>)> {
        allowed(&permit, Scope::Read, Some(&collection))?;
        read(|library| {
            let collection = library.collection(&collection)?;
            let (found, next) = collection.documents(page.cursor.as_deref(), limit(&page)?)?;
            Ok((found.into_iter().map(summary_to_wit).collect(), next))
        })
        .map_err(error_to_wit)
    }

    async fn get_document(
        permit: PermitBorrow<'_>,
        collection: String,
        id: String,
    ) -> CallResult<wit::Document> {
        allowed(&permit, Scope::Read, Some(&collection))?;
        read(|library| {
            let document = library.collection(&collection)?.document(&id)?;
            Ok(wit::Document { summary: summary_to_wit(document), text: document.text.clone() })
        })
        .map_err(error_to_wit)
    }

    async fn list_chunks(
        permit: PermitBorrow<'_>,
        collection: String,
        id: String,
        page: wit::Page,
    ) -> CallResult<(Vec<wit::Chunk>, Option<String>)> {
        allowed(&permit, Scope::Read, Some(&collection))?;
        read(|library| {
            let collection = library.collection(&collection)?;
            let (found, next) = collection.chunks(&id, page.cursor.as_deref(), limit(&page)?)?;
            let chunks = found.into_iter().map(|found| wit::Chunk {
                id: found.number,
                span: wit::Span { start: found.chunk.start, end: found.chunk.end },
                headings: found.chunk.headings.clone(),
                page: found.chunk.page,
                text: found.document.chunk_text(found.chunk).to_owned(),
            });
            Ok((chunks.collect(), next))
        })
        .map_err(error_to_wit)
    }

    async fn delete_document(
        permit: PermitBorrow<'_>,
        collection: String,
        id: String,
        condition: wit::Condition,
    ) -> CallResult<()> {
        allowed(&permit, Scope::Write, Some(&collection))?;
        let condition = condition_from_wit(condition);
        write(|library| {
            library.collection(&collection)?.check(&id, &condition)?;
            library.collection(&collection)?.document(&id)?;
            Ok((Some(Commit::Delete { collection: collection.clone(), id: id.clone() }), ()))
        })
        .map_err(error_to_wit)
    }

    async fn list_jobs(
        permit: PermitBorrow<'_>,
        page: wit::Page,
    ) -> CallResult<(Vec<wit::Job>, Option<String>)> {
        allowed(&permit, Scope::Write, None)?;
        let record = &permit.get::<Permit>().key.record;
        read(|library| {
            let visible = |job: &Job| record.allows_collection(&job.collection);
            let (jobs, next) = library.jobs(page.cursor.as_deref(), limit(&page)?, visible)?;
            Ok((jobs.into_iter().map(|job| job_to_wit(job, MAX_LISTED_FAILURES)).collect(), next))
        })
        .map_err(error_to_wit)
    }

    async fn get_job(permit: PermitBorrow<'_>, id: String) -> CallResult<wit::Job> {
        allowed(&permit, Scope::Write, None)?;
        let record = &permit.get::<Permit>().key.record;
        read(|library| {
            let job = library.job(&id)?;
            // Another tenant's job does not exist, as far as this key goes.
            let visible = record.allows_collection(&job.collection);
            if visible { Ok(job_to_wit(job, MAX_FAILURES)) } else { Err(Error::UnknownJob) }
        })
        .map_err(error_to_wit)
    }

    /// Here a batch is searchable when it is stored, so nothing is left to take
    /// out.
    async fn cancel_job(permit: PermitBorrow<'_>, id: String) -> CallResult<wit::Job> {
        Self::get_job(permit, id).await
    }

    /// Here nothing fails after it was stored.
    async fn retry_job(permit: PermitBorrow<'_>, id: String) -> CallResult<wit::Job> {
        Self::get_job(permit, id).await
    }
}

impl Provider {
    fn collection(name: &str) -> CallResult<wit::Collection> {
        read(|library| Ok(collection_to_wit(name, library.collection(name)?))).map_err(error_to_wit)
    }
}

/// Stores one document, under a permit that may write there.
pub(super) async fn put(
    collection: String,
    document: Document,
    condition: wit::Condition,
) -> CallResult<wit::PutResult> {
    let condition = condition_from_wit(condition);
    let (outcome, document) = write(|library| {
        check_document(&document)?;
        let mut document = document.clone();
        library.collection(&collection)?.check(&document.id, &condition)?;
        let (outcome, old) = match library.collection(&collection)?.document(&document.id) {
            Ok(old) if old.same_content(&document) => {
                return Ok((None, (wit::Outcome::Unchanged, old.clone())));
            }
            Ok(old) => (wit::Outcome::Replaced, Some(old)),
            Err(_) => (wit::Outcome::Created, None),
        };
        document.created_at = old.map_or(document.created_at, |old| old.created_at);
        let stored = document.clone();
        let (collection, document) = (collection.clone(), Box::new(document));
        Ok((Some(Commit::Put { collection, document }), (outcome, stored)))
    })
    .map_err(error_to_wit)?;
    embed(&collection).await;
    Ok(wit::PutResult { outcome, summary: summary_to_wit(&document) })
}

/// Stores a batch as one job, under a permit that may write there.
pub(super) async fn ingest(
    collection: String,
    documents: Vec<Document>,
    failures: Vec<wit::Failure>,
) -> CallResult<wit::Job> {
    let (documents, job) = batch(collection, documents, failures);
    write(|library| {
        let collection = library.collection(&job.collection)?;
        let mut documents = documents.clone();
        for document in &mut documents {
            if let Ok(old) = collection.document(&document.id) {
                document.created_at = old.created_at;
            }
        }
        Ok((Some(Commit::Ingest { job: job.clone(), documents }), ()))
    })
    .map_err(error_to_wit)?;
    embed(&job.collection).await;
    Ok(job_to_wit(&job, MAX_FAILURES))
}

/// Makes the vectors of what was written, when there is a model.
async fn embed(collection: &str) {
    if let Some(embedder) = embedder() {
        while catch_up(&embedder, collection).await {}
    }
}

/// Whether the permit covers `scope` (in `collection`).
pub(super) fn allowed(
    permit: &PermitBorrow<'_>,
    scope: Scope,
    collection: Option<&str>,
) -> Result<(), wit::Error> {
    covers(&permit.get::<Permit>().key, scope, collection).map_err(|denied| match denied {
        Denied::Scope(scope) => wit::Error::ScopeRequired(scope_to_wit(scope)),
        Denied::Collection => wit::Error::CollectionForbidden,
    })
}

pub(super) fn error_to_wit(failure: Failure) -> wit::Error {
    match failure {
        Failure::Busy => wit::Error::Busy(RETRY_SECONDS),
        Failure::Unwritable => wit::Error::Unwritable,
        Failure::Internal(text) => wit::Error::Other(Some(text)),
        Failure::Refused(error) => match error {
            Error::UnknownCollection => wit::Error::UnknownCollection,
            Error::CollectionExists => wit::Error::CollectionExists,
            Error::CollectionProtected => wit::Error::CollectionProtected,
            Error::UnknownDocument => wit::Error::UnknownDocument,
            Error::UnknownJob => wit::Error::UnknownJob,
            Error::PreconditionFailed => wit::Error::PreconditionFailed,
            Error::InvalidCursor => wit::Error::InvalidCursor,
            Error::Invalid(rule) => wit::Error::Invalid(rule),
        },
    }
}

fn limit(page: &wit::Page) -> Result<usize, Error> {
    entries(page.limit as usize)
}

/// As many entries as one list may have.
pub(super) fn entries(wanted: usize) -> Result<usize, Error> {
    match wanted {
        1..=MAX_PAGE => Ok(wanted),
        _ => Err(Error::Invalid(format!("a page has 1 to {MAX_PAGE} entries"))),
    }
}

/// The documents of a batch that can be taken, and its account.
fn batch(
    collection: String,
    documents: Vec<Document>,
    failures: Vec<wit::Failure>,
) -> (Vec<Document>, Job) {
    let mut failed: Vec<_> = failures
        .into_iter()
        .map(|failure| Failed {
            position: failure.position,
            id: failure.id.as_deref().map(|id| shortened(id).to_owned()),
            reason: shortened(&failure.reason).to_owned(),
        })
        .collect();
    let taken: std::collections::HashSet<_> = failed.iter().map(|one| one.position).collect();
    let free = (0_u32..).filter(|position| !taken.contains(position));
    let mut kept = Vec::with_capacity(documents.len());
    let (mut warnings, mut stored) = (JobWarnings::default(), Vec::new());
    for (position, document) in free.zip(documents) {
        match check_document(&document) {
            Ok(()) => {
                warnings.add(position, &document.id, &document.details.warnings);
                stored.push((position, document.id.clone()));
                kept.push(document);
            }
            Err(error) => {
                let (id, reason) = (Some(document.id), error.to_string());
                failed.push(Failed { position, id, reason });
            }
        }
    }
    failed.sort_by_key(|failure| failure.position);
    let job = Job {
        id: uuid::Uuid::now_v7().to_string(),
        collection,
        indexed: u32::try_from(kept.len()).unwrap_or(u32::MAX),
        failed,
        created_at: unix_now(),
        warnings,
        stored,
    };
    (kept, job)
}
