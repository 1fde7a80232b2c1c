//! The alive set of one collection: the chunks that search may return, and their vectors.

use std::collections::HashSet;
use std::path::PathBuf;

use roaring::RoaringTreemap;
use rusqlite::{Connection, OptionalExtension};

use crate::index::vector::{decode_vector, encode_vector};
use crate::models::{self, slot::Slot};
use crate::types::{Candidate, Error};
use crate::vectors::{Accept, Home, Listing, Lists, Moved, Save, Saved, Vectors};

/// Deleted chunks to gather before the others are copied together. Fewer cost
/// less than the copy.
const MIN_DELETED: usize = 1_024;
/// Chunks that are read in one step between two looks at what may go to a file.
const READ_AT_ONCE: i64 = 4_096;

/// Where the vectors of a collection are kept, and how they are searched.
#[derive(Clone, Default)]
pub(crate) struct Place {
    /// The folder of the collection's indexes.
    pub(crate) indexes: PathBuf,
    /// The collection.
    pub(crate) collection: i64,
    /// Inverted lists that a search looks through.
    pub(crate) search_lists: usize,
}

impl Place {
    fn home(&self, model: &str) -> Home {
        Home::new(&self.indexes, self.collection, model)
    }
}

/// The chunks that search may return. Ids ascend, so a chunk is found by
/// bisection.
pub(crate) struct AliveSet {
    place: Place,
    entries: Vec<Entry>,
    vectors: Vectors,
    /// The model that the vectors are of.
    model: Option<String>,
    /// Chunks that were deleted before the indexer brought them.
    tombstones: HashSet<u64>,
    /// Entries that are not alive.
    deleted: usize,
}

struct Entry {
    chunk: u64,
    document: u64,
    row: Row,
    alive: bool,
}

/// The row of a chunk in the vectors, once there is one.
type Row = Option<u32>;

impl AliveSet {
    /// Nothing yet.
    pub(crate) fn new(place: Place) -> Self {
        let vectors = Vectors::new(None, place.search_lists);
        Self {
            place,
            entries: Vec::new(),
            vectors,
            model: None,
            tombstones: HashSet::new(),
            deleted: 0,
        }
    }

    /// All chunks of a collection up to `through`. Which chunks there are is read from
    /// the database; vectors are read from their files, as far as those have them.
    pub(crate) fn load(connection: &Connection, place: Place, through: u64) -> Result<Self, Error> {
        let models = models::of(connection, place.collection)?;
        let mut set = Self::new(place);
        set.entries = entries(connection, set.place.collection, through)?;
        let Some(model) = models.serving else { return Ok(set) };
        let home = set.place.home(&model);
        home.remove_others();
        set.vectors = Vectors::open(home, set.place.search_lists);
        set.model = Some(model);
        set.give_up_outdated(connection, models.slot)?;
        set.claim();
        set.read_missing(connection, models.slot)?;
        Ok(set)
    }

    /// Gives up segments of vectors that are not those of the database, as when an
    /// older copy of that was put in its place.
    fn give_up_outdated(&mut self, connection: &Connection, slot: Slot) -> Result<(), Error> {
        let mut outdated = Vec::new();
        for (segment, chunk, vector) in self.vectors.samples() {
            let stored = stored_vector(connection, slot, chunk)?;
            if stored.is_some_and(|stored| stored != encode_vector(vector)) {
                outdated.push(segment);
            }
        }
        for segment in outdated {
            tracing::warn!(
                segment,
                "a segment of vectors does not agree with the database and will be rebuilt"
            );
            self.vectors.give_up(segment);
        }
        Ok(())
    }

    /// Gives each chunk the row that the files have for it.
    fn claim(&mut self) {
        let mut stored = self.vectors.stored();
        stored.sort_unstable();
        // Of a chunk that is there twice, as after a move that was broken off, one is
        // taken.
        stored.dedup_by_key(|(chunk, _)| *chunk);
        let mut stored = stored.into_iter().peekable();
        for entry in &mut self.entries {
            while stored.next_if(|(chunk, _)| *chunk < entry.chunk).is_some() {}
            if let Some((_, row)) = stored.next_if(|(chunk, _)| *chunk == entry.chunk) {
                entry.row = Some(row);
                self.vectors.claim(row, entry.document);
            }
        }
    }

    /// Reads the vectors that the files do not have.
    fn read_missing(&mut self, connection: &Connection, slot: Slot) -> Result<(), Error> {
        let lacks = |a: &Entry, b: &Entry| a.row.is_none() == b.row.is_none();
        let runs = self.entries.chunk_by(lacks).filter_map(|run| {
            let (first, last) = (run.first()?, run.last()?);
            first.row.is_none().then_some((first.chunk, last.chunk))
        });
        for (first, last) in runs.collect::<Vec<_>>() {
            let mut after = first.saturating_sub(1);
            while let Some(read) = self.read_vectors(connection, slot, (after, last))? {
                self.save_full();
                after = read;
            }
        }
        Ok(())
    }

    /// Reads some of the vectors after the first chunk of a range up to the second; the
    /// last of their chunks, and none when there are no more.
    fn read_vectors(
        &mut self,
        connection: &Connection,
        slot: Slot,
        (after, through): (u64, u64),
    ) -> Result<Option<u64>, Error> {
        let mut statement = connection.prepare_cached(&format!(
            "SELECT chunks.id, vector FROM chunks JOIN {} ON chunk = chunks.id
             WHERE collection = ?1 AND chunks.id > ?2 AND chunks.id <= ?3
             ORDER BY chunks.id LIMIT ?4",
            slot.vectors()
        ))?;
        let mut rows = statement.query((self.place.collection, after, through, READ_AT_ONCE))?;
        let mut last = None;
        while let Some(row) = rows.next()? {
            let chunk = row.get(0)?;
            let blob = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            if let Some(vector) = decode_vector(blob) {
                self.add_vector(chunk, &vector);
            }
            last = Some(chunk);
        }
        Ok(last)
    }

    /// Puts full segments into files, so that no more than one is in memory. One that
    /// cannot be written stays there.
    fn save_full(&mut self) {
        while let Some(save) = self.vectors.next_save() {
            match save.carry_out() {
                Ok(saved) => self.vectors.set_saved(saved),
                Err(error) => {
                    tracing::warn!(%error, "vectors could not be written and stay in memory");
                    return;
                }
            }
        }
    }

    /// Takes in at most `limit` chunks of a collection after the first of the range up
    /// to the second; the last of them, and none when there are no more.
    pub(crate) fn extend(
        &mut self,
        connection: &Connection,
        (after, through): (u64, u64),
        limit: i64,
    ) -> Result<Option<u64>, Error> {
        let collection = self.place.collection;
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

    /// The model that the vectors are of.
    pub(crate) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Makes a chunk findable. Ids ascend; one that is there already, since a
    /// batch is done again after a failure, only gets its vector.
    pub(crate) fn add(&mut self, chunk: u64, document: u64, vector: Option<&[f32]>) {
        if self.entries.last().is_none_or(|last| last.chunk < chunk) {
            let alive = !self.tombstones.remove(&chunk);
            self.deleted += usize::from(!alive);
            self.entries.push(Entry { chunk, document, row: None, alive });
        }
        if let Some(vector) = vector {
            self.add_vector(chunk, vector);
        }
    }

    /// No chunk up to `through` will come any more.
    pub(crate) fn caught_up(&mut self, through: u64) {
        self.tombstones.retain(|chunk| *chunk > through);
    }

    /// Gives a chunk its vector, if it has none.
    pub(crate) fn add_vector(&mut self, chunk: u64, vector: &[f32]) {
        let Some(at) = self.position(chunk) else { return };
        if let Some(entry) = self.entries.get_mut(at)
            && entry.row.is_none()
            && entry.alive
        {
            entry.row = self.vectors.push(chunk, entry.document, vector);
        }
    }

    /// Begins with the vectors of another model; whatever is in files of its name is of
    /// an earlier life.
    pub(crate) fn begin(&mut self, model: Option<String>) {
        let home = model.as_deref().map(|model| self.place.home(model));
        if let Some(home) = &home {
            home.remove_own();
        }
        self.vectors = Vectors::new(home, self.place.search_lists);
        self.entries.iter_mut().for_each(|entry| entry.row = None);
        self.model = model;
    }

    /// Removes files of the vectors of other models.
    pub(crate) fn remove_others(&self) {
        if let Some(model) = &self.model {
            self.place.home(model).remove_others();
        }
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
        self.begin(Some(model.to_owned()));
        true
    }

    /// Hides a chunk.
    pub(crate) fn remove(&mut self, chunk: u64) {
        let Some(at) = self.position(chunk) else {
            self.tombstones.insert(chunk);
            return;
        };
        if let Some(entry) = self.entries.get_mut(at)
            && std::mem::replace(&mut entry.alive, false)
        {
            self.deleted += 1;
            if let Some(row) = entry.row {
                self.vectors.remove(row);
            }
        }
        self.compact();
    }

    /// Copies the alive chunks together, so that documents which change often
    /// do not fill the memory. Vectors in full segments are moved in the background.
    fn compact(&mut self) {
        if is_worth_it(self.deleted, self.entries.len()) {
            self.entries.retain(|entry| entry.alive);
            self.entries.shrink_to_fit();
            self.deleted = 0;
        }
        let (deleted, all) = self.vectors.deleted_of_open();
        if is_worth_it(deleted, all) {
            let moved = self.vectors.compact_open();
            self.follow(moved);
        }
    }

    fn follow(&mut self, moved: Vec<Moved>) {
        for Moved { chunk, row } in moved {
            let at = self.position(chunk);
            if let Some(entry) = at.and_then(|at| self.entries.get_mut(at)) {
                entry.row = Some(row);
            }
        }
    }

    /// Whether search may return a chunk; `documents` are the ones that a
    /// filter allows.
    pub(crate) fn accepts(&self, chunk: u64, documents: Option<&RoaringTreemap>) -> bool {
        self.find(chunk).is_some_and(|entry| {
            entry.alive && documents.is_none_or(|documents| documents.contains(entry.document))
        })
    }

    /// What this takes in memory, in bytes. Mapped files are not among it.
    pub(crate) fn bytes(&self) -> usize {
        std::mem::size_of_val(self.entries.as_slice()) + self.vectors.bytes()
    }

    /// Whether the retrievers of a search take so long that a second thread for one
    /// of them costs less than it saves.
    pub(crate) fn is_large(&self) -> bool {
        !self.vectors.is_exact()
    }

    /// The `depth` chunks nearest to `query`, with their cosines.
    pub(crate) fn nearest(
        &self,
        query: &[f32],
        depth: usize,
        accept: Option<Accept<'_>>,
    ) -> Vec<(u64, f32)> {
        self.vectors.top(query, depth, accept)
    }

    /// The vector of a chunk, if it has one.
    pub(crate) fn vector(&self, chunk: u64) -> Option<&[f32]> {
        self.vectors.vector(self.find(chunk)?.row?)
    }

    /// Fills in what the retrievers left out; `None` for a chunk that has gone since.
    pub(crate) fn complete(
        &self,
        mut candidate: Candidate,
        query: Option<&[f32]>,
    ) -> Option<Candidate> {
        let entry = self.find(candidate.chunk).filter(|entry| entry.alive)?;
        candidate.document = entry.document;
        if let (None, Some(query), Some(row)) = (candidate.vector, query, entry.row) {
            candidate.vector = self.vectors.similarity(row, query);
        }
        Some(candidate)
    }

    fn find(&self, chunk: u64) -> Option<&Entry> {
        self.entries.get(self.position(chunk)?)
    }

    /// Ids ascend, so no chunk is further from the first than their difference,
    /// and where none was left out it is just there. A search asks for
    /// thousands.
    fn position(&self, chunk: u64) -> Option<usize> {
        let distance = chunk.checked_sub(self.entries.first()?.chunk)?;
        let most = usize::try_from(distance).ok()?;
        if self.entries.get(most).is_some_and(|entry| entry.chunk == chunk) {
            return Some(most);
        }
        let before = self.entries.get(..most.min(self.entries.len()))?;
        before.binary_search_by_key(&chunk, |entry| entry.chunk).ok()
    }
}

/// What is done in the background; see [`crate::vectors`].
impl AliveSet {
    /// Whether there is something to do.
    pub(crate) fn has_more(&self) -> bool {
        self.vectors.has_more()
    }

    /// A segment that is to go to a file.
    pub(crate) fn next_save(&self) -> Option<Save> {
        self.vectors.next_save()
    }

    /// One that has.
    pub(crate) fn set_saved(&mut self, saved: Saved) {
        self.vectors.set_saved(saved);
    }

    /// Moves some rows of a segment that is mostly deleted; false when there is none.
    pub(crate) fn move_some(&mut self, limit: usize) -> bool {
        let Some(segment) = self.vectors.sparse() else { return false };
        let moved = self.vectors.move_rows(segment, limit);
        self.follow(moved);
        true
    }

    /// The lists that are to be made.
    pub(crate) fn next_listing(&self) -> Option<Listing> {
        self.vectors.next_listing()
    }

    /// Looks through these from now on.
    pub(crate) fn set_lists(&mut self, lists: Lists) {
        self.vectors.set_lists(lists);
    }
}

/// Whether so many of all are deleted that a copy of the others is worth it.
fn is_worth_it(deleted: usize, all: usize) -> bool {
    deleted >= MIN_DELETED && deleted * 2 > all
}

/// The chunks of a collection up to `through`, by id, without their vectors. Only indexes
/// are read: a chunk's row and a document's are on as many pages as there are.
fn entries(connection: &Connection, collection: i64, through: u64) -> Result<Vec<Entry>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT chunks.id, chunks.document FROM documents CROSS JOIN chunks
         ON chunks.document = documents.key WHERE documents.collection = ?1",
    )?;
    let mut rows = statement.query([collection])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let chunk: u64 = row.get(0)?;
        if chunk <= through {
            entries.push(Entry { chunk, document: row.get(1)?, row: None, alive: true });
        }
    }
    entries.sort_unstable_by_key(|entry| entry.chunk);
    entries.shrink_to_fit();
    Ok(entries)
}

/// The vector of a chunk, as the database has it.
pub(crate) fn stored_vector(
    connection: &Connection,
    slot: Slot,
    chunk: u64,
) -> Result<Option<Vec<u8>>, Error> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT vector FROM {} WHERE chunk = ?1", slot.vectors()))?;
    Ok(statement.query_row([chunk], |row| row.get(0)).optional()?)
}

#[cfg(test)]
mod tests;
