//! A document before it is written: what the store takes, and by what it knows it again.

use std::sync::Arc;

use ragtime_policy::digest::hex;
use ragtime_policy::names;
use sha2::{Digest, Sha256};

use super::{headings_to_json, slice};
use crate::models::Known;
use crate::types::{Error, MAX_OUTLINE_EXTRA, NewChunk, NewDocument, Warning};

/// What is indexed of a chunk, in bytes. A model sees far less; the bound keeps
/// the memory of an indexing step small.
const MAX_INDEXED: usize = 256 * 1_024;

/// A document checked and hashed, before the writing thread takes it.
pub(crate) struct Prepared {
    pub(super) document: NewDocument,
    pub(super) id: String,
    pub(super) sha256: String,
    /// Hash of everything a client can set, so that a document sent again is
    /// known again.
    pub(super) fingerprint: Vec<u8>,
    /// The language that is detected in the text.
    pub(super) detected: Option<ragtime_text::Language>,
    /// The models there are to embed it.
    pub(super) known: Arc<Known>,
}

/// Checks and hashes a document.
pub(crate) fn prepare(document: NewDocument, known: &Arc<Known>) -> Result<Prepared, Error> {
    let id = match &document.id {
        Some(id) => id.clone(),
        None => uuid::Uuid::now_v7().to_string(),
    };
    names::check_document_id(&id).map_err(|error| Error::Invalid(error.to_string()))?;
    for chunk in &document.chunks {
        check_chunk(&document, chunk)?;
    }
    if document.outline.len() > document.text.len() + MAX_OUTLINE_EXTRA {
        return Err(Error::Invalid("an outline is not longer than its text".into()));
    }
    document.details.check().map_err(Error::Invalid)?;
    let sha256 = Sha256::digest(&document.text);
    let mut hash = Sha256::new();
    for part in
        [document.title.as_deref().unwrap_or_default(), &document.media_type, &document.metadata]
    {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update([u8::from(document.title.is_some())]);
    hash.update(sha256);
    for chunk in &document.chunks {
        hash.update(chunk.span.start.to_le_bytes());
        hash.update(chunk.span.end.to_le_bytes());
        hash.update(headings_to_json(&chunk.headings));
        if let Some(page) = chunk.page {
            hash.update(page.to_le_bytes());
        }
    }
    if let Some(details) = document.details.canonical() {
        hash.update(details);
    }
    let sha256 = hex(&sha256);
    let detected = ragtime_text::detect(&document.text, None);
    let fingerprint = hash.finalize().to_vec();
    Ok(Prepared { id, sha256, fingerprint, known: Arc::clone(known), document, detected })
}

impl Prepared {
    pub(crate) fn fingerprint(&self) -> &[u8] {
        &self.fingerprint
    }

    pub(crate) fn chunks(&self) -> &[NewChunk] {
        &self.document.chunks
    }

    pub(crate) fn warnings(&self) -> &[Warning] {
        &self.document.details.warnings
    }
}

fn check_chunk(document: &NewDocument, chunk: &NewChunk) -> Result<(), Error> {
    let text = slice(&document.text, &chunk.span).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| {
        Error::Invalid("a chunk lies outside its text or splits a character".into())
    })?;
    let above = document.title.iter().chain(&chunk.headings).map(String::len).sum::<usize>();
    if above.saturating_add(text.len()) > MAX_INDEXED {
        return Err(Error::Invalid(format!(
            "a chunk has at most {MAX_INDEXED} bytes, with its title and headings"
        )));
    }
    Ok(())
}

/// What is indexed of a chunk: the title and the headings above it belong to
/// its meaning.
pub(crate) fn indexed_text(title: Option<&str>, headings: &[String], text: &str) -> String {
    let headings = headings.iter().map(String::as_str).filter(|heading| Some(*heading) != title);
    let lines = title.into_iter().chain(headings).filter(|line| !line.is_empty());
    lines.chain([text]).collect::<Vec<_>>().join("\n")
}
