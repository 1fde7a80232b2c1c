//! What search works on: for each collection its live chunks, its vectors and
//! its lexical index.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};

use rusqlite::Connection;

use crate::lexical::Lexical;
use crate::reader::Readers;
use crate::types::{Candidate, CandidateQuery, Error};
use crate::vectors::Vectors;

/// The indexes of all collections, loaded when first asked for.
pub(crate) struct Indexes {
    dir: PathBuf,
    readers: Arc<Readers>,
    loaded: Mutex<HashMap<i64, Arc<CollectionIndex>>>,
}

/// One collection's indexes.
pub(crate) struct CollectionIndex {
    pub(crate) lexical: Lexical,
    live: Arc<RwLock<Live>>,
}

/// The chunks that search may return. Ids ascend, so a chunk is found by
/// bisection.
#[derive(Default)]
struct Live {
    entries: Vec<Entry>,
    vectors: Vectors,
    /// Removed before the indexer brought them.
    doomed: HashSet<u64>,
}

struct Entry {
    chunk: u64,
    document: u64,
    /// Row in the vectors, once there is one.
    row: Option<u32>,
    alive: bool,
}

impl Indexes {
    pub(crate) fn new(dir: PathBuf, readers: Arc<Readers>) -> Self {
        Self { dir, readers, loaded: Mutex::new(HashMap::new()) }
    }

    /// The indexes of a collection; when they are not in memory yet, with all
    /// chunks up to `through`. Read under the lock that [`Self::remove`] takes,
    /// so that no removal slips between the snapshot and the map.
    pub(crate) fn get(&self, collection: i64, through: u64) -> Result<Arc<CollectionIndex>, Error> {
        let mut loaded = self.lock();
        if let Some(index) = loaded.get(&collection) {
            return Ok(Arc::clone(index));
        }
        let index = Arc::new(CollectionIndex {
            lexical: open_lexical(&self.folder(collection))?,
            live: Arc::new(RwLock::new(
                self.readers.read(|connection| Live::load(connection, collection, through))?,
            )),
        });
        loaded.insert(collection, Arc::clone(&index));
        Ok(index)
    }

    /// Hides chunks, at once.
    pub(crate) fn remove(&self, removed: &[(i64, u64)]) {
        let loaded = self.lock();
        for (collection, chunk) in removed {
            if let Some(index) = loaded.get(collection) {
                index.write().remove(*chunk);
            }
        }
    }

    /// Forgets a collection and deletes its files.
    pub(crate) fn drop_collection(&self, collection: i64) {
        self.lock().remove(&collection);
        if let Err(error) = std::fs::remove_dir_all(self.folder(collection))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, collection, "the index of a deleted collection could not be removed");
        }
    }

    /// Whether a collection's indexes are in memory.
    pub(crate) fn is_loaded(&self, collection: i64) -> bool {
        self.lock().contains_key(&collection)
    }

    /// Forgets all vectors: they are of another model.
    pub(crate) fn unload_all(&self) {
        self.lock().clear();
    }

    /// Where a collection's lexical index lives.
    pub(crate) fn folder(&self, collection: i64) -> PathBuf {
        self.dir.join(collection.to_string())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<i64, Arc<CollectionIndex>>> {
        self.loaded.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// An index that cannot be opened is made anew: it holds nothing that the
/// database does not.
fn open_lexical(folder: &std::path::Path) -> Result<Lexical, Error> {
    Lexical::open(folder).or_else(|error| {
        tracing::warn!(%error, "a lexical index is damaged and will be rebuilt");
        std::fs::remove_dir_all(folder).map_err(|error| Error::Internal(error.to_string()))?;
        Lexical::open(folder)
    })
}

impl CollectionIndex {
    /// Makes chunks findable: id, document and, if there is one, vector. Ids
    /// must ascend from call to call.
    pub(crate) fn add(&self, chunks: &[(u64, u64, Option<&[f32]>)]) {
        let mut live = self.write();
        for (chunk, document, vector) in chunks {
            live.add(*chunk, *document, *vector);
        }
    }

    /// Adds vectors to chunks that had none.
    pub(crate) fn add_vectors(&self, vectors: &[(u64, Vec<f32>)]) {
        let mut live = self.write();
        for (chunk, vector) in vectors {
            live.add_vector(*chunk, vector);
        }
    }

    /// Runs the legs of a query. `documents` are the ones a filter allows.
    pub(crate) fn candidates(
        &self,
        query: &CandidateQuery<'_>,
        documents: Option<HashSet<u64>>,
    ) -> Result<Vec<Candidate>, Error> {
        let documents = documents.map(Arc::new);
        let search = if query.lexical { self.lexical.search(query.text)? } else { None };
        let mut found: HashMap<u64, Candidate> = HashMap::new();
        if let Some(search) = &search {
            let (live, documents) = (Arc::clone(&self.live), documents.clone());
            let alive = move |chunk| {
                let live = live.read().unwrap_or_else(|poisoned| poisoned.into_inner());
                live.accepts(chunk, documents.as_deref())
            };
            for (chunk, score) in search.top(query.depth, alive)? {
                entry(&mut found, chunk).lexical = Some(score);
            }
        }
        let live = self.read();
        if let Some(vector) = query.vector {
            let alive = |chunk| live.accepts(chunk, documents.as_deref());
            for (chunk, similarity) in live.vectors.top(vector, query.depth, &alive) {
                entry(&mut found, chunk).vector = Some(similarity);
            }
        }
        if let Some(search) = &search {
            let missing: Vec<_> =
                found.values().filter(|one| one.lexical.is_none()).map(|one| one.chunk).collect();
            for (chunk, score) in search.scores(&missing)? {
                if let Some(candidate) = found.get_mut(&chunk) {
                    candidate.lexical = Some(score);
                }
            }
        }
        Ok(found
            .into_values()
            .filter_map(|candidate| live.complete(candidate, query.vector))
            .collect())
    }

    /// The vectors of chunks, of those that have one.
    pub(crate) fn vectors(&self, chunks: &[u64]) -> Vec<Vec<f32>> {
        let live = self.read();
        let rows = chunks.iter().filter_map(|chunk| live.find(*chunk)?.row);
        rows.filter_map(|row| live.vectors.row(row as usize).map(<[f32]>::to_vec)).collect()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Live> {
        self.live.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Live> {
        self.live.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn entry(found: &mut HashMap<u64, Candidate>, chunk: u64) -> &mut Candidate {
    found.entry(chunk).or_insert(Candidate { chunk, document: 0, lexical: None, vector: None })
}

impl Live {
    fn load(connection: &Connection, collection: i64, through: u64) -> Result<Self, Error> {
        let mut live = Self::default();
        let mut statement = connection.prepare(
            "SELECT chunks.id, chunks.document, vectors.vector FROM chunks
             LEFT JOIN vectors ON vectors.chunk = chunks.id
             WHERE chunks.collection = ?1 AND chunks.id <= ?2 ORDER BY chunks.id",
        )?;
        let mut rows = statement.query((collection, through))?;
        let mut vector = Vec::new();
        while let Some(row) = rows.next()? {
            let bytes = row.get_ref(2)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
            let has_vector = bytes.is_some_and(|bytes| decode_vector(bytes, &mut vector));
            live.add(row.get(0)?, row.get(1)?, has_vector.then_some(vector.as_slice()));
        }
        Ok(live)
    }

    fn add(&mut self, chunk: u64, document: u64, vector: Option<&[f32]>) {
        let row = vector.and_then(|vector| self.push_vector(chunk, vector));
        let alive = !self.doomed.remove(&chunk);
        self.entries.push(Entry { chunk, document, row, alive });
    }

    fn add_vector(&mut self, chunk: u64, vector: &[f32]) {
        if self.find(chunk).is_none_or(|entry| entry.row.is_some()) {
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

    fn remove(&mut self, chunk: u64) {
        match self.find_mut(chunk) {
            Some(entry) => entry.alive = false,
            None => {
                self.doomed.insert(chunk);
            }
        }
    }

    fn accepts(&self, chunk: u64, documents: Option<&HashSet<u64>>) -> bool {
        self.find(chunk).is_some_and(|entry| {
            entry.alive && documents.is_none_or(|documents| documents.contains(&entry.document))
        })
    }

    /// Fills in what the legs left out; `None` for a chunk that has gone since.
    fn complete(&self, mut candidate: Candidate, query: Option<&[f32]>) -> Option<Candidate> {
        let entry = self.find(candidate.chunk).filter(|entry| entry.alive)?;
        candidate.document = entry.document;
        if let (None, Some(query), Some(row)) = (candidate.vector, query, entry.row) {
            candidate.vector = self.vectors.similarity(row as usize, query);
        }
        Some(candidate)
    }

    fn find(&self, chunk: u64) -> Option<&Entry> {
        let at = self.entries.binary_search_by_key(&chunk, |entry| entry.chunk).ok()?;
        self.entries.get(at)
    }

    fn find_mut(&mut self, chunk: u64) -> Option<&mut Entry> {
        let at = self.entries.binary_search_by_key(&chunk, |entry| entry.chunk).ok()?;
        self.entries.get_mut(at)
    }
}

/// Little-endian `f32`s, as the database keeps them.
pub(crate) fn encode_vector(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn decode_vector(bytes: &[u8], into: &mut Vec<f32>) -> bool {
    let (values, rest) = bytes.as_chunks::<4>();
    into.clear();
    into.extend(values.iter().map(|value| f32::from_le_bytes(*value)));
    rest.is_empty() && !into.is_empty()
}
