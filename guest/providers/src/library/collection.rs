//! The documents of a collection: put in, taken out, listed, cut.

use std::ops::Bound;

use ragtime_policy::chunking::ChunkingSpec;
use ragtime_policy::cursor;
use ragtime_policy::version::Condition;
use ragtime_text::Language;

use super::{Collection, Error, Found, Numbered, Page};
use crate::records::Document;
use crate::vectors::Stored;

impl Collection {
    pub(super) fn add(&mut self, numbered: Numbered) {
        for (number, chunk) in numbered.chunks() {
            self.index.add(number, &numbered.document.words(chunk, numbered.language));
            self.chunks.insert(number, numbered.document.id.clone());
        }
        let stored = numbered.document.vectors.iter().flat_map(Stored::decoded);
        (numbered.number + 1..).zip(stored).for_each(|(chunk, vector)| {
            self.vectors.insert(chunk, vector);
        });
        self.documents.insert(numbered.document.id.clone(), numbered);
    }

    /// Its documents keep their numbers: what search found a moment ago is read by them.
    pub(super) fn set_language(&mut self, language: Option<Language>) {
        self.language = language;
        for numbered in self.documents.values_mut() {
            let wanted = numbered.document.language(language);
            if wanted == numbered.language {
                continue;
            }
            for (number, chunk) in (numbered.number + 1..).zip(&numbered.document.chunks) {
                let document = &numbered.document;
                self.index.remove(number, &document.words(chunk, numbered.language));
                self.index.add(number, &document.words(chunk, wanted));
            }
            numbered.language = wanted;
        }
    }

    pub(super) fn remove(&mut self, id: &str) {
        let Some(old) = self.documents.remove(id) else { return };
        for (number, chunk) in old.chunks() {
            self.index.remove(number, &old.document.words(chunk, old.language));
            self.chunks.remove(&number);
            self.vectors.remove(number);
        }
    }

    /// Keeps vectors with the document of this number, which may have gone.
    pub(super) fn embed(&mut self, number: u64, vectors: Stored) {
        let Some(id) = self.chunks.get(&(number + 1)) else { return };
        let Some(numbered) = self.documents.get_mut(id) else { return };
        if numbered.number == number && vectors.vectors.len() == numbered.document.chunks.len() {
            (number + 1..).zip(vectors.decoded()).for_each(|(chunk, vector)| {
                self.vectors.insert(chunk, vector);
            });
            numbered.document.vectors = Some(vectors);
        }
    }

    /// Up to `limit` documents that `model` has not seen, by number, with what
    /// is indexed of their chunks.
    pub fn unembedded(&self, model: &str, limit: usize) -> Vec<(u64, Vec<String>)> {
        let unseen = self.documents.values().filter(|numbered| {
            let made_by = numbered.document.vectors.as_ref().map(|stored| stored.model.as_str());
            made_by != Some(model) && !numbered.document.chunks.is_empty()
        });
        let texts = |numbered: &Numbered| {
            let chunks = numbered.document.chunks.iter();
            let texts = chunks.map(|chunk| numbered.document.indexed_text(chunk)).collect();
            (numbered.number, texts)
        };
        unseen.take(limit).map(texts).collect()
    }

    /// A query's vector, moved towards these chunks.
    pub fn moved(&self, query: &[f32], towards: &[u64]) -> Vec<f32> {
        self.vectors.moved(query, towards)
    }

    /// How its texts are to be cut: by estimate, as there is no model here that
    /// counts tokens.
    pub fn wanted_cut(&self) -> ChunkingSpec {
        ChunkingSpec { chunking: self.chunking, model: None }
    }

    fn stale(&self) -> impl Iterator<Item = &Numbered> {
        let wanted = self.wanted_cut();
        // What has no chunks was not put in to be found.
        let uncut = move |document: &Document| {
            !document.chunks.is_empty()
                && !document.cut.is_empty()
                && !wanted.is_met_by(&document.cut)
        };
        self.documents.values().filter(move |numbered| uncut(&numbered.document))
    }

    /// Number of documents that are not cut so.
    pub fn stale_count(&self) -> u64 {
        self.stale().count() as u64
    }

    /// Those documents, by id.
    pub fn stale_documents(&self, after: Option<&str>, limit: usize) -> Page<&Document> {
        const LIST: &str = "uncut";
        let after = after.map(|after| cursor::decode(LIST, after)).transpose()?;
        let documents = self.stale().map(|numbered| &numbered.document);
        let mut page: Vec<_> = documents
            .filter(|document| after.as_ref().is_none_or(|after| document.id > *after))
            .take(limit + 1)
            .collect();
        let more = page.len() > limit;
        page.truncate(limit);
        let next = page.last().filter(|_| more).map(|last| cursor::encode(LIST, &last.id));
        Ok((page, next))
    }

    /// Number of documents and of chunks.
    pub fn size(&self) -> (u64, u64) {
        (self.documents.len() as u64, self.chunks.len() as u64)
    }

    /// One document.
    pub fn document(&self, id: &str) -> Result<&Document, Error> {
        self.documents.get(id).map(|numbered| &numbered.document).ok_or(Error::UnknownDocument)
    }

    /// The language that one is in.
    pub fn language_of_document(&self, id: &str) -> Option<Language> {
        self.documents.get(id).and_then(|numbered| numbered.language)
    }

    /// Compares the document that is there with a condition.
    pub fn check(&self, id: &str, condition: &Condition) -> Result<(), Error> {
        let current = self.document(id).ok().map(Document::version);
        if condition.holds(current.as_deref()) { Ok(()) } else { Err(Error::PreconditionFailed) }
    }

    /// Documents by id.
    pub fn documents(&self, after: Option<&str>, limit: usize) -> Page<&Document> {
        const LIST: &str = "documents";
        let after = after.map(|after| cursor::decode(LIST, after)).transpose()?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.documents.range::<String, _>((from, Bound::Unbounded));
        let mut page: Vec<_> =
            rest.map(|(_, numbered)| &numbered.document).take(limit + 1).collect();
        let more = page.len() > limit;
        page.truncate(limit);
        let next = page.last().filter(|_| more).map(|last| cursor::encode(LIST, &last.id));
        Ok((page, next))
    }

    /// The first documents with ids between two, from either end.
    pub fn between(
        &self,
        above: Option<&str>,
        below: Option<&str>,
        descending: bool,
        limit: usize,
    ) -> Vec<&Document> {
        // A range of a map may not be empty by its bounds.
        if above.zip(below).is_some_and(|(above, below)| above >= below) {
            return Vec::new();
        }
        let [above, below] = [above, below].map(|id| id.map_or(Bound::Unbounded, Bound::Excluded));
        let documents = self.documents.range::<str, _>((above, below));
        let documents = documents.map(|(_, numbered)| &numbered.document);
        match descending {
            true => documents.rev().take(limit).collect(),
            false => documents.take(limit).collect(),
        }
    }

    /// The bytes of all texts.
    pub fn bytes(&self) -> u64 {
        self.documents.values().map(|numbered| numbered.document.text.len() as u64).sum()
    }

    /// The chunks of a document, in order.
    pub fn chunks(&self, id: &str, after: Option<&str>, limit: usize) -> Page<Found<'_>> {
        const LIST: &str = "chunks";
        let after = after.map(|after| cursor::decode_number::<usize>(LIST, after)).transpose()?;
        let after = after.unwrap_or(0);
        let numbered = self.documents.get(id).ok_or(Error::UnknownDocument)?;
        let rest = numbered.chunks().skip(after);
        let found = |(number, chunk)| numbered.found(number, chunk);
        let mut page: Vec<_> = rest.map(found).take(limit + 1).collect();
        let more = page.len() > limit;
        page.truncate(limit);
        let next = more.then(|| cursor::encode(LIST, &(after + page.len()).to_string()));
        Ok((page, next))
    }

    /// A chunk by number, with the number of its document.
    pub fn chunk(&self, number: u64) -> Option<(u64, Found<'_>)> {
        let numbered = self.documents.get(self.chunks.get(&number)?)?;
        let place = usize::try_from(number.checked_sub(numbered.number + 1)?).ok()?;
        let chunk = numbered.document.chunks.get(place)?;
        Some((numbered.number, numbered.found(number, chunk)))
    }
}
