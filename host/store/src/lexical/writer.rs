//! Changing a lexical index, and how far it has come.

use ragtime_text::{self as text, KnownStems, Words};
use tantivy::{IndexWriter, TantivyDocument, Term};

use super::listed::List;
use super::{Fields, code};
use crate::types::Error;

/// How far an index has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Every chunk up to this id is in.
    pub chunk: u64,
    /// Every removal up to this number is done.
    pub removal: i64,
}

/// What was committed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) progress: Progress,
    /// Chunks in the index.
    pub(crate) chunks: u64,
}

impl Progress {
    pub(super) fn parse(payload: &str) -> Option<Self> {
        let (chunk, removal) = payload.split_once(' ')?;
        Some(Self { chunk: chunk.parse().ok()?, removal: removal.parse().ok()? })
    }
}

/// Changes a collection's lexical index.
pub(crate) struct LexicalWriter {
    pub(super) writer: IndexWriter,
    pub(super) fields: Fields,
    /// Stems of the chunks before: most words come again, and a stem costs more than
    /// finding it.
    pub(super) known: KnownStems,
}

impl LexicalWriter {
    pub(crate) fn add(&mut self, chunk: u64, words: &Words) -> Result<(), Error> {
        let mut document = TantivyDocument::default();
        document.add_u64(self.fields.chunk, chunk);
        let mut lists: [List; 3] = Default::default();
        if self.known.is_full() {
            self.known = KnownStems::default();
        }
        words.terms(&mut self.known, |field, position, term| {
            if let Some(list) = lists.get_mut(field as usize) {
                list.push(position, term);
            }
        });
        for (field, list) in text::Field::ALL.into_iter().zip(lists) {
            if let Some(field) = self.fields.get(field).filter(|_| !list.is_empty()) {
                document.add_text(field, list.into_text());
            }
        }
        if let Some(field) = self.fields.language {
            document.add_text(field, code(&words.language));
        }
        self.writer.add_document(document)?;
        Ok(())
    }

    pub(crate) fn remove(&self, chunk: u64) {
        self.writer.delete_term(Term::from_field_u64(self.fields.chunk, chunk));
    }

    /// Lets the index go once what it is merging is merged, or an index that is
    /// often closed would never be merged.
    pub(crate) fn close(self) {
        if let Err(error) = self.writer.wait_merging_threads() {
            tracing::warn!(%error, "segments of a lexical index were not merged");
        }
    }

    /// Makes the changes last, together with how far they reach.
    pub(crate) fn commit(&mut self, progress: Progress) -> Result<(), Error> {
        let mut prepared = self.writer.prepare_commit()?;
        prepared.set_payload(&format!("{} {}", progress.chunk, progress.removal));
        prepared.commit()?;
        Ok(())
    }
}
