//! Documents, collections and jobs in the words of the contract and of the store.

use ragtime_policy::chunking::{Chunking, ChunkingSpec};
use ragtime_policy::version::{Condition, Versions};
use ragtime_store as store;

use crate::capability::bindings::ragtime::documents::store as wit;

impl From<store::Error> for wit::Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::UnknownCollection => Self::UnknownCollection,
            store::Error::CollectionExists => Self::CollectionExists,
            store::Error::CollectionProtected => Self::CollectionProtected,
            store::Error::UnknownDocument => Self::UnknownDocument,
            store::Error::UnknownJob => Self::UnknownJob,
            store::Error::PreconditionFailed => Self::PreconditionFailed,
            store::Error::InvalidCursor => Self::InvalidCursor,
            store::Error::Invalid(rule) => Self::Invalid(rule),
            store::Error::Busy { retry_after } => {
                Self::Busy(u32::try_from(retry_after.as_secs().max(1)).unwrap_or(u32::MAX))
            }
            // The writer has logged the error.
            store::Error::Unwritable(_) => Self::Unwritable,
            error => Self::Other(Some(error.to_string())),
        }
    }
}

pub(super) fn condition_from_wit(condition: wit::Condition) -> Condition {
    let versions = |versions| match versions {
        wit::Versions::Any => Versions::Any,
        wit::Versions::These(these) => Versions::These(these),
    };
    Condition {
        must_be: condition.must_be.map(versions),
        must_not_be: condition.must_not_be.map(versions),
    }
}

pub(in crate::capability) fn document_from_wit(
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

pub(super) fn chunk_from_wit(chunk: wit::ChunkInput) -> store::NewChunk {
    store::NewChunk {
        span: chunk.span.start..chunk.span.end,
        headings: chunk.headings,
        page: chunk.page,
    }
}

pub(super) fn chunking_from_wit(chunking: wit::Chunking) -> Chunking {
    Chunking { tokens: chunking.tokens, overlap: chunking.overlap }
}

pub(super) fn chunking_to_wit(chunking: Chunking) -> wit::Chunking {
    wit::Chunking { tokens: chunking.tokens, overlap: chunking.overlap }
}

pub(super) fn cut_from_wit(cut: wit::Cut) -> ChunkingSpec {
    ChunkingSpec { chunking: chunking_from_wit(cut.chunking), model: cut.model }
}

pub(super) fn cut_to_wit(cut: ChunkingSpec) -> wit::Cut {
    wit::Cut { chunking: chunking_to_wit(cut.chunking), model: cut.model }
}

pub(super) fn uncut_to_wit(document: store::StaleDocument) -> wit::UncutDocument {
    wit::UncutDocument {
        id: document.id,
        media_type: document.media_type,
        text: document.text,
        outline: document.outline,
        sha256: document.sha256,
    }
}

pub(super) fn failure_from_wit(failure: wit::Failure) -> store::Failure {
    store::Failure { position: failure.position, id: failure.id, reason: failure.reason }
}

pub(super) fn failure_to_wit(failure: store::Failure) -> wit::Failure {
    wit::Failure { position: failure.position, id: failure.id, reason: failure.reason }
}

pub(super) fn outcome_to_wit(outcome: store::Outcome) -> wit::Outcome {
    match outcome {
        store::Outcome::Created => wit::Outcome::Created,
        store::Outcome::Replaced => wit::Outcome::Replaced,
        store::Outcome::Unchanged => wit::Outcome::Unchanged,
    }
}

pub(in crate::capability) fn summary_to_wit(
    summary: store::DocumentSummary,
) -> wit::DocumentSummary {
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

pub(super) fn chunk_to_wit(chunk: store::StoredChunk) -> wit::Chunk {
    wit::Chunk {
        id: chunk.id,
        span: wit::Span { start: chunk.span.start, end: chunk.span.end },
        headings: chunk.headings,
        page: chunk.page,
        text: chunk.text,
    }
}

pub(super) fn collection_to_wit(collection: store::Collection) -> wit::Collection {
    wit::Collection {
        name: collection.name,
        documents: collection.documents,
        chunks: collection.chunks,
        chunking: chunking_to_wit(collection.chunking),
        uncut: collection.uncut,
        created_at: collection.created_at,
    }
}

pub(super) fn job_to_wit(job: store::Job) -> wit::Job {
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
