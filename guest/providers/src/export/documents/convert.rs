//! Between the types of the contract and those of the library.

use ragtime_policy::chunking::{Chunking, ChunkingSpec};
use ragtime_policy::clock::unix_now;
use ragtime_policy::details::Details;
use ragtime_policy::digest::sha256;
use ragtime_policy::version::{Condition, Versions};

use crate::bindings::store as wit;
use crate::library::{Collection, Error};
use crate::records::{ChunkRecord, Document, Job};

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

pub(in crate::export) fn document_from_wit(
    document: wit::DocumentInput,
    details: Details,
) -> Document {
    let now = unix_now();
    Document {
        id: document.id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
        title: document.title,
        sha256: sha256(&document.text),
        text: document.text,
        media_type: document.media_type,
        metadata: document.metadata,
        chunks: document.chunks.into_iter().map(chunk_from_wit).collect(),
        vectors: None,
        cut: cut_from_wit(document.cut).label(),
        outline: document.outline,
        details,
        created_at: now,
        updated_at: now,
    }
}

pub(super) fn chunk_from_wit(chunk: wit::ChunkInput) -> ChunkRecord {
    ChunkRecord {
        start: chunk.span.start,
        end: chunk.span.end,
        headings: chunk.headings,
        page: chunk.page,
    }
}

pub(super) fn cut_from_wit(cut: wit::Cut) -> ChunkingSpec {
    let chunking = Chunking { tokens: cut.chunking.tokens, overlap: cut.chunking.overlap };
    ChunkingSpec { chunking, model: cut.model }
}

/// Lengths as they are kept, if they can be.
pub(super) fn lengths(chunking: wit::Chunking) -> Result<(u32, u32), Error> {
    let lengths = Chunking { tokens: chunking.tokens, overlap: chunking.overlap };
    lengths.check().map_err(Error::Invalid)?;
    Ok((lengths.tokens, lengths.overlap))
}

pub(super) fn chunking_to_wit(chunking: Chunking) -> wit::Chunking {
    wit::Chunking { tokens: chunking.tokens, overlap: chunking.overlap }
}

pub(in crate::export) fn summary_to_wit(document: &Document) -> wit::DocumentSummary {
    wit::DocumentSummary {
        id: document.id.clone(),
        title: document.title.clone(),
        media_type: document.media_type.clone(),
        metadata: document.metadata.clone(),
        bytes: document.text.len() as u64,
        chunks: u32::try_from(document.chunks.len()).unwrap_or(u32::MAX),
        sha256: document.sha256.clone(),
        version: document.version(),
        created_at: document.created_at,
        updated_at: document.updated_at,
        searchable: true,
    }
}

pub(super) fn collection_to_wit(name: &str, collection: &Collection) -> wit::Collection {
    let (documents, chunks) = collection.size();
    wit::Collection {
        name: name.to_owned(),
        documents,
        chunks,
        chunking: chunking_to_wit(collection.chunking),
        uncut: collection.stale_count(),
        created_at: collection.created_at,
    }
}

pub(super) fn job_to_wit(job: &Job, most_failures: usize) -> wit::Job {
    let failed = job.failed.iter().take(most_failures).map(|failure| wit::Failure {
        position: failure.position,
        id: failure.id.clone(),
        reason: failure.reason.clone(),
    });
    wit::Job {
        id: job.id.clone(),
        collection: job.collection.clone(),
        state: wit::JobState::Done,
        received: job.indexed.saturating_add(u32::try_from(job.failed.len()).unwrap_or(u32::MAX)),
        indexed: job.indexed,
        pending: 0,
        failed: failed.collect(),
        created_at: job.created_at,
    }
}
