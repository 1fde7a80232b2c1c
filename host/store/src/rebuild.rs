//! Rebuilding a lexical index, beside the one that serves.

use std::path::PathBuf;

use crate::index::{Indexes, open_lexical};
use crate::lexical::{Lexical, LexicalWriter, Progress};
use crate::reader::Readers;
use crate::types::Error;
use crate::{documents, pending};

/// An index that is being made of a collection's chunks.
pub(crate) struct Rebuild {
    collection: i64,
    folder: PathBuf,
    lexical: Lexical,
    writer: LexicalWriter,
    /// Every chunk up to this id is in.
    done: u64,
}

impl Rebuild {
    /// The first collection whose index is of an earlier analysis. What was made of
    /// the next one before a crash is gone on with.
    pub(crate) fn next(readers: &Readers, indexes: &Indexes) -> Result<Option<Self>, Error> {
        for collection in readers.read(documents::collection_keys)? {
            let Some(folder) = indexes.unfinished(collection)? else { continue };
            let lexical = open_lexical(&folder)?;
            let done = lexical.state()?.progress.chunk;
            let writer = lexical.writer()?;
            tracing::info!(collection, done, "a lexical index is being rebuilt");
            return Ok(Some(Self { collection, folder, lexical, writer, done }));
        }
        Ok(None)
    }

    /// Whether it is still what the collection wants.
    pub(crate) fn is_wanted(&self, indexes: &Indexes) -> Result<bool, Error> {
        Ok(indexes.unfinished(self.collection)?.as_ref() == Some(&self.folder))
    }

    /// Adds the next `limit` chunks; false when it has all up to `through`.
    pub(crate) fn batch(
        &mut self,
        readers: &Readers,
        through: u64,
        limit: usize,
    ) -> Result<bool, Error> {
        let chunks = readers
            .read(|db| pending::of_collection(db, self.collection, self.done, through, limit))?;
        for chunk in &chunks {
            self.writer.add(chunk.chunk, &chunk.words)?;
        }
        let more = chunks.len() == limit;
        let last = chunks.last().map(|chunk| chunk.chunk).filter(|_| more);
        self.done = last.unwrap_or(through.max(self.done));
        // The number of the last removal is that of the index in use. Every chunk that was
        // removed since this one was begun is taken out of it, and those removed before that
        // were never added.
        let removal = self.lexical.state()?.progress.removal;
        self.writer.commit(Progress { chunk: self.done, removal })?;
        Ok(more)
    }

    /// Takes out a chunk that went meanwhile.
    pub(crate) fn remove(&self, collection: i64, chunk: u64) {
        if collection == self.collection {
            self.writer.remove(chunk);
        }
    }

    /// Lets go of its files, and says whose they are.
    pub(crate) fn close(self) -> i64 {
        self.writer.close();
        self.collection
    }
}
