//! What search works on: for each collection its live chunks, its vectors and
//! its lexical index.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use lru::LruCache;
use ragtime_text::Language;
use tokio::sync::watch;

use crate::details;
use crate::documents;
use crate::folders;
use crate::lexical::{Constraint, Lexical, LexicalSearch};
use crate::live::Live;
use crate::models;
use crate::pending::Pending;
use crate::reader::Readers;
use crate::types::{Candidate, CandidateQuery, Error, Settings};

/// The indexes of collections, loaded when asked for and unloaded when others
/// need the room. One that somebody holds stays: what is added to it must be
/// found by the next search.
pub(crate) struct Indexes {
    dir: PathBuf,
    readers: Arc<Readers>,
    watermark: watch::Receiver<u64>,
    loaded: Mutex<Loaded>,
    max_loaded: usize,
    max_bytes: usize,
}

type Loaded = LruCache<i64, Arc<CollectionIndex>>;

/// One collection's indexes.
pub(crate) struct CollectionIndex {
    /// Replaced when it has been made anew.
    lexical: RwLock<Arc<Lexical>>,
    /// Where that is.
    folder: Mutex<PathBuf>,
    live: Arc<RwLock<Live>>,
    /// Being read to take its place, with the vectors of another model.
    incoming: Mutex<Option<Live>>,
}

/// Chunks that are read in one step while the lock of what is read is held, which a
/// deletion waits for: some milliseconds.
const READ_AT_ONCE: i64 = 4_096;

impl Indexes {
    pub(crate) fn new(
        dir: PathBuf,
        readers: Arc<Readers>,
        watermark: watch::Receiver<u64>,
        settings: &Settings,
    ) -> Self {
        Self {
            dir,
            readers,
            watermark,
            loaded: Mutex::new(LruCache::unbounded()),
            max_loaded: settings.loaded_indexes.max(1),
            max_bytes: settings.loaded_index_bytes,
        }
    }

    /// The indexes of a collection; when they are not in memory yet, with all
    /// chunks up to the watermark. Read under the lock that [`Self::remove`]
    /// takes, so that no removal slips between the snapshot and the map.
    pub(crate) fn get(&self, collection: i64) -> Result<Arc<CollectionIndex>, Error> {
        let mut loaded = self.lock();
        if let Some(index) = loaded.get(&collection) {
            return Ok(Arc::clone(index));
        }
        // One that is being deleted must not leave a folder behind.
        let there = self.readers.read(|db| documents::exists(db, collection))?;
        if !there {
            return Err(Error::UnknownCollection);
        }
        let through = *self.watermark.borrow();
        let folder = folders::in_use(&self.folder(collection), self.language(collection)?);
        let index = Arc::new(CollectionIndex {
            lexical: RwLock::new(Arc::new(open_lexical(&folder)?)),
            folder: Mutex::new(folder),
            live: Arc::new(RwLock::new(
                self.readers.read(|connection| Live::load(connection, collection, through))?,
            )),
            incoming: Mutex::new(None),
        });
        loaded.put(collection, Arc::clone(&index));
        self.make_room(&mut loaded);
        Ok(index)
    }

    /// The same; `None` when the collection has been deleted.
    pub(crate) fn get_if_any(
        &self,
        collection: i64,
    ) -> Result<Option<Arc<CollectionIndex>>, Error> {
        match self.get(collection) {
            Ok(index) => Ok(Some(index)),
            Err(Error::UnknownCollection) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The language of a collection's texts that do not give their own.
    fn language(&self, collection: i64) -> Result<Option<Language>, Error> {
        self.readers.read(|db| details::collection_language(db, collection))
    }

    /// Where the next lexical index of a collection is to be made, if the one in use
    /// is of an earlier analysis.
    pub(crate) fn unfinished(&self, collection: i64) -> Result<Option<PathBuf>, Error> {
        let language = self.language(collection)?;
        let folder = self.folder(collection);
        let in_use = match self.lock().get(&collection) {
            Some(index) => index.folder(),
            None => folders::in_use(&folder, language),
        };
        Ok(folders::unfinished(&folder, &in_use, language).filter(|_| in_use.exists()))
    }

    /// Puts that index in the place of the one in use.
    pub(crate) fn finish(&self, collection: i64) -> Result<(), Error> {
        let language = self.language(collection)?;
        let mut loaded = self.lock();
        let folder = self.folder(collection);
        folders::finish(&folder, language)?;
        if let Some(index) = loaded.get(&collection) {
            let in_use = folders::in_use(&folder, language);
            let lexical = Arc::new(open_lexical(&in_use)?);
            *index.lexical.write().unwrap_or_else(|poisoned| poisoned.into_inner()) = lexical;
            *index.folder.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = in_use;
        }
        Ok(())
    }

    /// Hides chunks, at once.
    pub(crate) fn remove(&self, removed: &[(i64, u64)]) {
        let loaded = self.lock();
        for (collection, chunk) in removed {
            if let Some(index) = loaded.peek(collection) {
                index.write().remove(*chunk);
                if let Some(incoming) = index.incoming().as_mut() {
                    incoming.remove(*chunk);
                }
            }
        }
    }

    /// Forgets a collection and deletes its files.
    pub(crate) fn drop_collection(&self, collection: i64) {
        self.lock().pop(&collection);
        if let Err(error) = std::fs::remove_dir_all(self.folder(collection))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, collection, "the index of a deleted collection could not be removed");
        }
    }

    /// Whether a collection's indexes are in memory.
    pub(crate) fn is_loaded(&self, collection: i64) -> bool {
        self.lock().contains(&collection)
    }

    /// The indexes of a collection, if they are in memory.
    pub(crate) fn loaded(&self, collection: i64) -> Option<Arc<CollectionIndex>> {
        self.lock().get(&collection).cloned()
    }

    /// Unloads what is too much by now: loaded indexes grow.
    pub(crate) fn shrink(&self) {
        self.make_room(&mut self.lock());
    }

    /// Unloads the indexes that were not used for longest, of those that nobody
    /// holds; nobody can take hold of one meanwhile.
    fn make_room(&self, loaded: &mut Loaded) {
        let mut bytes: usize = loaded.iter().map(|(_, index)| index.bytes()).sum();
        let is_too_much = |count: usize, bytes: usize| {
            count > self.max_loaded || (count > 1 && bytes > self.max_bytes)
        };
        if !is_too_much(loaded.len(), bytes) {
            return;
        }
        let free = |(collection, index): (&i64, &Arc<CollectionIndex>)| {
            (Arc::strong_count(index) == 1).then(|| (*collection, index.bytes()))
        };
        let oldest_first: Vec<_> = loaded.iter().rev().filter_map(free).collect();
        for (collection, freed) in oldest_first {
            if !is_too_much(loaded.len(), bytes) {
                break;
            }
            loaded.pop(&collection);
            bytes = bytes.saturating_sub(freed);
        }
    }

    /// Reads the chunks and vectors of a collection anew, after another model's have
    /// taken their place. Searches go on with the old ones until the new ones are read;
    /// only the indexer calls this, so that no chunk comes meanwhile.
    pub(crate) fn reread(&self, collection: i64) -> Result<(), Error> {
        let Some(index) = self.loaded(collection) else { return Ok(()) };
        let through = *self.watermark.borrow();
        *index.incoming() = Some(Live::default());
        let read = self.readers.read(|db| {
            let model = models::of(db, collection)?.serving;
            // Removals that came since are kept.
            if let Some(incoming) = index.incoming().as_mut() {
                incoming.set_model(model);
            }
            let mut last = Some(0);
            while let Some(after) = last {
                let mut incoming = index.incoming();
                let Some(incoming) = incoming.as_mut() else { break };
                last = incoming.extend(db, collection, (after, through), READ_AT_ONCE)?;
            }
            Ok(())
        });
        let _loaded = self.lock();
        let incoming = index.incoming().take();
        if let (Ok(()), Some(mut incoming)) = (&read, incoming) {
            incoming.caught_up(through);
            *index.write() = incoming;
        }
        read
    }

    /// The folder of a collection's lexical index, in use or not.
    fn folder(&self, collection: i64) -> PathBuf {
        self.dir.join(collection.to_string())
    }

    /// The folder of the one in use.
    pub(crate) fn in_use(&self, collection: i64) -> Result<PathBuf, Error> {
        Ok(folders::in_use(&self.folder(collection), self.language(collection)?))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// An index that cannot be opened is made anew: it holds nothing that the
/// database does not.
pub(crate) fn open_lexical(folder: &Path) -> Result<Lexical, Error> {
    Lexical::open(folder).or_else(|error| {
        tracing::warn!(%error, "a lexical index is damaged and will be rebuilt");
        std::fs::remove_dir_all(folder).map_err(|error| Error::Internal(error.to_string()))?;
        Lexical::open(folder)
    })
}

impl CollectionIndex {
    /// The lexical index in use.
    pub(crate) fn lexical(&self) -> Arc<Lexical> {
        Arc::clone(&self.lexical.read().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    fn folder(&self) -> PathBuf {
        self.folder.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// Makes chunks findable, all that there are up to `through`.
    pub(crate) fn add(&self, chunks: &[Pending], through: u64) {
        let mut live = self.write();
        for new in chunks {
            live.add(new.chunk, new.document, new.vector.as_deref());
        }
        live.caught_up(through);
    }

    /// The model that the vectors are of.
    pub(crate) fn model(&self) -> Option<String> {
        self.read().model().map(str::to_owned)
    }

    /// Adds vectors of `model` to chunks that had none, if theirs are of it.
    pub(crate) fn add_vectors(&self, model: &str, chunks: &[Pending]) {
        let mut live = self.write();
        if !live.adopt(model) {
            return;
        }
        for new in chunks {
            if let Some(vector) = &new.vector {
                live.add_vector(new.chunk, vector);
            }
        }
    }

    /// Runs the legs of a query. `documents` are the ones a filter allows.
    pub(crate) fn candidates(
        &self,
        query: &CandidateQuery<'_>,
        documents: Option<HashSet<u64>>,
    ) -> Result<Vec<Candidate>, Error> {
        let documents = documents.map(Arc::new);
        let lexical = self.lexical();
        // Another model's vectors may have come to serve since this one was made.
        let vector = query
            .vector
            .filter(|_| query.model.is_none_or(|model| self.read().model() == Some(model)));
        let constraint = lexical.constraint(query.required, query.excluded)?.map(Arc::new);
        let search = if query.lexical { lexical.search(query.text)? } else { None };
        let by_words = || match &search {
            Some(search) => self.by_words(search, query.depth, &documents, &constraint),
            None => Ok(Vec::new()),
        };
        let by_vector = || match vector {
            Some(vector) => self.by_vector(vector, query.depth, &documents, &constraint),
            None => Vec::new(),
        };
        let both = search.is_some() && vector.is_some();
        let (words, vectors) = if both && self.read().is_large() {
            std::thread::scope(|scope| {
                let words = scope.spawn(by_words);
                let vectors = by_vector();
                let died = || Err(Error::Internal("the lexical leg of a search died".into()));
                (words.join().unwrap_or_else(|_| died()), vectors)
            })
        } else {
            (by_words(), by_vector())
        };
        let mut found: HashMap<u64, Candidate> = HashMap::new();
        for (chunk, score) in words? {
            entry(&mut found, chunk).lexical = Some(score);
        }
        for (chunk, similarity) in vectors {
            entry(&mut found, chunk).vector = Some(similarity);
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
        let chunks: Vec<_> = found.keys().copied().collect();
        let silent = match query.known.filter(|_| both) {
            Some(known) => lexical.in_other_languages(known, &chunks)?,
            None => HashSet::new(),
        };
        let live = self.read();
        let complete = |candidate| live.complete(candidate, vector);
        let voted = |mut candidate: Candidate| {
            candidate.vector = candidate.vector.filter(|_| !silent.contains(&candidate.chunk));
            candidate
        };
        Ok(found.into_values().filter_map(complete).map(voted).collect())
    }

    /// The lexical leg: chunks and scores, best first.
    fn by_words(
        &self,
        search: &LexicalSearch,
        depth: usize,
        documents: &Option<Arc<HashSet<u64>>>,
        constraint: &Option<Arc<Constraint>>,
    ) -> Result<Vec<(u64, f32)>, Error> {
        let (documents, constraint) = (documents.clone(), constraint.clone());
        let filtered = documents.is_some() || constraint.is_some();
        let live = Arc::clone(&self.live);
        let alive = move |chunk| {
            let live = live.read().unwrap_or_else(|poisoned| poisoned.into_inner());
            constraint.as_ref().is_none_or(|constraint| constraint.allows(chunk))
                && live.accepts(chunk, documents.as_deref())
        };
        if filtered { search.top_of(depth, alive) } else { search.top(depth, alive) }
    }

    /// The vector leg: chunks and cosines, best first.
    fn by_vector(
        &self,
        vector: &[f32],
        depth: usize,
        documents: &Option<Arc<HashSet<u64>>>,
        constraint: &Option<Arc<Constraint>>,
    ) -> Vec<(u64, f32)> {
        let live = self.read();
        let alive = |chunk| {
            constraint.as_ref().is_none_or(|constraint| constraint.allows(chunk))
                && live.accepts(chunk, documents.as_deref())
        };
        live.nearest(vector, depth, &alive)
    }

    /// The vectors of chunks, of those that have one.
    pub(crate) fn vectors(&self, chunks: &[u64]) -> Vec<Vec<f32>> {
        let live = self.read();
        chunks.iter().filter_map(|chunk| live.vector(*chunk).map(<[f32]>::to_vec)).collect()
    }

    fn bytes(&self) -> usize {
        self.read().bytes()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Live> {
        self.live.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn incoming(&self) -> std::sync::MutexGuard<'_, Option<Live>> {
        self.incoming.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Live> {
        self.live.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn entry(found: &mut HashMap<u64, Candidate>, chunk: u64) -> &mut Candidate {
    found.entry(chunk).or_insert(Candidate { chunk, document: 0, lexical: None, vector: None })
}

/// Little-endian `f32`s, as the database keeps them.
pub(crate) fn encode_vector(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|value| value.to_le_bytes()).collect()
}

pub(crate) fn decode_vector(bytes: &[u8]) -> Option<Vec<f32>> {
    let (values, rest) = bytes.as_chunks::<4>();
    let whole = rest.is_empty() && !values.is_empty();
    whole.then(|| values.iter().map(|value| f32::from_le_bytes(*value)).collect())
}
