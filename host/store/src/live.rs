//! The chunks of one collection that search may return, and their vectors.

use std::collections::HashSet;

use rusqlite::Connection;

use crate::index::decode_vector;
use crate::models;
use crate::types::{Candidate, Error};
use crate::vectors::Vectors;

/// Dead chunks to gather before the live ones are copied together. Fewer cost
/// less than the copy.
const MIN_DEAD: usize = 1_024;

/// The chunks that search may return. Ids ascend, so a chunk is found by
/// bisection.
#[derive(Default)]
pub(crate) struct Live {
    entries: Vec<Entry>,
    vectors: Vectors,
    /// The model that the vectors are of.
    model: Option<String>,
    /// Removed before the indexer brought them.
    doomed: HashSet<u64>,
    /// Entries that are not alive.
    dead: usize,
}

struct Entry {
    chunk: u64,
    document: u64,
    /// Row in the vectors, once there is one.
    row: Option<u32>,
    alive: bool,
}

impl Live {
    /// All chunks of a collection up to `through`.
    pub(crate) fn load(
        connection: &Connection,
        collection: i64,
        through: u64,
    ) -> Result<Self, Error> {
        let model = models::of(connection, collection)?.serving;
        let mut live = Self { model, ..Self::default() };
        live.extend(connection, collection, (0, through), i64::MAX)?;
        Ok(live)
    }

    /// Takes in at most `limit` chunks of a collection after the first of the range up
    /// to the second; the last of them, and none when there are no more.
    pub(crate) fn extend(
        &mut self,
        connection: &Connection,
        collection: i64,
        (after, through): (u64, u64),
        limit: i64,
    ) -> Result<Option<u64>, Error> {
        let slot = models::of(connection, collection)?.slot;
        let mut statement = connection.prepare_cached(&format!(
            "SELECT chunks.id, chunks.document, vector FROM chunks
             LEFT JOIN {} ON chunk = chunks.id
             WHERE collection = ?1 AND chunks.id > ?2 AND chunks.id <= ?3
             ORDER BY chunks.id LIMIT ?4",
            slot.vectors()
        ))?;
        let mut rows = statement.query((collection, after, through, limit))?;
        let mut last = None;
        while let Some(row) = rows.next()? {
            let blob = row.get_ref(2)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
            let vector = blob.and_then(decode_vector);
            let chunk = row.get(0)?;
            self.add(chunk, row.get(1)?, vector.as_deref());
            last = Some(chunk);
        }
        Ok(last)
    }

    /// Says whose the vectors are that will come.
    pub(crate) fn set_model(&mut self, model: Option<String>) {
        self.model = model;
    }

    /// The model that the vectors are of.
    pub(crate) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Makes a chunk findable. Ids ascend; one that is there already, since a
    /// batch is done again after a failure, only gets its vector.
    pub(crate) fn add(&mut self, chunk: u64, document: u64, vector: Option<&[f32]>) {
        if self.entries.last().is_some_and(|last| last.chunk >= chunk) {
            if let Some(vector) = vector {
                self.add_vector(chunk, vector);
            }
            return;
        }
        let alive = !self.doomed.remove(&chunk);
        let vector = vector.filter(|_| alive);
        let row = vector.and_then(|vector| self.push_vector(chunk, vector));
        self.dead += usize::from(!alive);
        self.entries.push(Entry { chunk, document, row, alive });
    }

    /// No chunk up to `through` will come any more.
    pub(crate) fn caught_up(&mut self, through: u64) {
        self.doomed.retain(|chunk| *chunk > through);
    }

    /// Gives a chunk its vector, if it has none.
    pub(crate) fn add_vector(&mut self, chunk: u64, vector: &[f32]) {
        if self.find(chunk).is_none_or(|entry| entry.row.is_some() || !entry.alive) {
            return;
        }
        let row = self.push_vector(chunk, vector);
        if let Some(entry) = self.find_mut(chunk) {
            entry.row = row;
        }
    }

    fn push_vector(&mut self, chunk: u64, vector: &[f32]) -> Option<u32> {
        let row = u32::try_from(self.vectors.len()).ok()?;
        self.vectors.push(chunk, vector).then_some(row)
    }

    /// Whether vectors of this model may come: theirs are those that are there, or
    /// there are none yet.
    pub(crate) fn adopt(&mut self, model: &str) -> bool {
        if self.model.as_deref() == Some(model) {
            return true;
        }
        if self.entries.iter().any(|entry| entry.alive && entry.row.is_some()) {
            return false;
        }
        self.vectors = Vectors::default();
        self.entries.iter_mut().for_each(|entry| entry.row = None);
        self.model = Some(model.to_owned());
        true
    }

    /// Hides a chunk.
    pub(crate) fn remove(&mut self, chunk: u64) {
        let Some(entry) = self.find_mut(chunk) else {
            self.doomed.insert(chunk);
            return;
        };
        if std::mem::replace(&mut entry.alive, false) {
            self.dead += 1;
        }
        if self.dead >= MIN_DEAD && self.dead * 2 > self.entries.len() {
            self.compact();
        }
    }

    /// Copies the live chunks together, so that documents which change often
    /// do not fill the memory.
    fn compact(&mut self) {
        let old = std::mem::take(&mut self.vectors);
        self.entries.retain(|entry| entry.alive);
        self.entries.shrink_to_fit();
        self.dead = 0;
        let mut entries = std::mem::take(&mut self.entries);
        for entry in &mut entries {
            let vector = entry.row.and_then(|row| old.row(row as usize));
            entry.row = vector.and_then(|vector| self.push_vector(entry.chunk, vector));
        }
        self.entries = entries;
    }

    /// Whether search may return a chunk; `documents` are the ones that a
    /// filter allows.
    pub(crate) fn accepts(&self, chunk: u64, documents: Option<&HashSet<u64>>) -> bool {
        self.find(chunk).is_some_and(|entry| {
            entry.alive && documents.is_none_or(|documents| documents.contains(&entry.document))
        })
    }

    /// What this takes in memory, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        std::mem::size_of_val(self.entries.as_slice()) + self.vectors.bytes()
    }

    /// Whether the legs of a search take so long that a second thread for one
    /// of them costs less than it saves.
    pub(crate) fn is_large(&self) -> bool {
        !self.vectors.is_exact()
    }

    /// The `depth` chunks nearest to `query`, with their cosines.
    pub(crate) fn nearest(
        &self,
        query: &[f32],
        depth: usize,
        accept: &(dyn Fn(u64) -> bool + Sync),
    ) -> Vec<(u64, f32)> {
        self.vectors.top(query, depth, accept)
    }

    /// The vector of a chunk, if it has one.
    pub(crate) fn vector(&self, chunk: u64) -> Option<&[f32]> {
        self.vectors.row(self.find(chunk)?.row? as usize)
    }

    /// Fills in what the legs left out; `None` for a chunk that has gone since.
    pub(crate) fn complete(
        &self,
        mut candidate: Candidate,
        query: Option<&[f32]>,
    ) -> Option<Candidate> {
        let entry = self.find(candidate.chunk).filter(|entry| entry.alive)?;
        candidate.document = entry.document;
        if let (None, Some(query), Some(row)) = (candidate.vector, query, entry.row) {
            candidate.vector = self.vectors.similarity(row as usize, query);
        }
        Some(candidate)
    }

    fn find(&self, chunk: u64) -> Option<&Entry> {
        self.entries.get(self.place(chunk)?)
    }

    fn find_mut(&mut self, chunk: u64) -> Option<&mut Entry> {
        let at = self.place(chunk)?;
        self.entries.get_mut(at)
    }

    /// Ids ascend, so no chunk is further from the first than their difference,
    /// and where none was left out it is just there. A search asks for
    /// thousands.
    fn place(&self, chunk: u64) -> Option<usize> {
        let distance = chunk.checked_sub(self.entries.first()?.chunk)?;
        let most = usize::try_from(distance).ok()?;
        if self.entries.get(most).is_some_and(|entry| entry.chunk == chunk) {
            return Some(most);
        }
        let before = self.entries.get(..most.min(self.entries.len()))?;
        before.binary_search_by_key(&chunk, |entry| entry.chunk).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(live: &Live, query: &[f32]) -> Vec<u64> {
        let found = live.nearest(query, 3, &|chunk| live.accepts(chunk, None));
        found.into_iter().map(|(chunk, _)| chunk).collect()
    }

    #[test]
    fn dead_chunks_are_given_up_and_the_others_keep_their_vectors() {
        let mut live = Live::default();
        let count = 3 * MIN_DEAD as u64;
        for chunk in 1..=count {
            let angle = chunk as f32 / count as f32;
            // Every fifth still waits for its vector.
            let vector = [angle.cos(), angle.sin()];
            live.add(chunk, chunk, (chunk % 5 != 0).then_some(&vector));
        }
        (1..=count).filter(|chunk| chunk % 3 != 0).for_each(|chunk| live.remove(chunk));
        assert!(live.entries.len() < 2 * MIN_DEAD, "{}", live.entries.len());
        assert!(live.vectors.len() < live.entries.len());
        for chunk in (3..=count).step_by(3) {
            let angle = chunk as f32 / count as f32;
            if chunk % 5 == 0 {
                assert_eq!(live.vector(chunk), None);
                live.add_vector(chunk, &[angle.cos(), angle.sin()]);
            }
            assert_eq!(live.vector(chunk), Some(&[angle.cos(), angle.sin()][..]));
        }
        assert_eq!(near(&live, &[1.0, 0.0]), [3, 6, 9]);
        assert!(!live.accepts(1, None));
    }

    #[test]
    fn a_chunk_removed_before_it_came_stays_away() {
        let mut live = Live::default();
        live.remove(2);
        live.remove(9);
        live.add(1, 1, Some(&[1.0, 0.0]));
        live.add(2, 1, Some(&[1.0, 0.0]));
        live.caught_up(2);
        assert_eq!(near(&live, &[1.0, 0.0]), [1]);
        assert_eq!(live.doomed, HashSet::from([9]));
    }

    #[test]
    fn a_batch_done_twice_is_there_once() {
        let mut live = Live::default();
        for _ in 0..2 {
            live.add(1, 1, None);
            live.add(2, 1, Some(&[0.0, 1.0]));
        }
        live.add(1, 1, Some(&[1.0, 0.0]));
        assert_eq!((live.entries.len(), live.vectors.len()), (2, 2));
        assert_eq!(near(&live, &[1.0, 0.0]), [1, 2]);
    }
}
