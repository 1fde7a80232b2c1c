//! Finding chunks, and reading what was found.

use std::ops::Range;

use crate::types::{Candidate, CandidateQuery, Error, Passage, Quote};
use crate::{Store, documents};

/// Retrieval.
impl Store {
    /// The union of what both legs found, in no order. Blocking.
    pub fn candidates(
        &self,
        collection: &str,
        query: &CandidateQuery<'_>,
    ) -> Result<Vec<Candidate>, Error> {
        if let Some(fleet) = &self.0.fleet {
            fleet.wait_indexed()?;
        }
        let (key, allowed) = self.0.readers.read(|db| {
            let key = documents::collection_key(db, collection)?;
            let allowed = query.filter.map(|filter| self.0.allowed.of(db, key, filter));
            Ok((key, allowed.transpose()?))
        })?;
        self.0.indexes.get(key)?.candidates(query, allowed)
    }

    /// The language that a query is in, as far as the texts of the collection show.
    /// Blocking.
    pub fn language_of(
        &self,
        collection: &str,
        query: &str,
    ) -> Result<Option<ragtime_text::Language>, Error> {
        let key = self.0.readers.read(|db| documents::collection_key(db, collection))?;
        self.0.indexes.get(key)?.lexical().language_of(query)
    }

    /// The vectors of chunks, in the order asked; those without one are left
    /// out. Blocking.
    pub fn vectors(&self, collection: &str, chunks: &[u64]) -> Result<Vec<Vec<f32>>, Error> {
        let key = self.0.readers.read(|db| documents::collection_key(db, collection))?;
        Ok(self.0.indexes.get(key)?.vectors(chunks))
    }

    /// Chunks in the order asked; those that are gone are left out. Blocking.
    pub fn passages(&self, collection: &str, chunks: &[u64]) -> Result<Vec<Passage>, Error> {
        self.0.readers.read(|db| documents::passages(db, collection, chunks))
    }

    /// Pieces of stored texts, in the order asked. A span that its text does
    /// not have is an error. Blocking.
    pub fn quotes(
        &self,
        collection: &str,
        requests: &[(&str, Range<u64>)],
    ) -> Result<Vec<Quote>, Error> {
        self.0.readers.read(|db| documents::quotes(db, collection, requests))
    }
}
