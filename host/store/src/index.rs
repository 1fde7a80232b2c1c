//! What search works on: for each collection its alive set with the vectors, and its
//! lexical index.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, RwLock};

use lru::LruCache;
use ragtime_text::Language;
use tokio::sync::watch;

use crate::alive::{AliveSet, Place};
use crate::details;
use crate::documents;
use crate::files;
use crate::folders;
use crate::lexical::{Constraint, Lexical, LexicalSearch};
use crate::lock_mutex;
use crate::maintainer::Call;
use crate::models;
use crate::pending::Pending;
use crate::reader::Readers;
use crate::recent::{Found, Key, Recent};
use crate::types::{Candidate, CandidateQuery, Error, Settings};
use crate::vectors::Accept;

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
    /// Inverted lists that a search by vectors looks through.
    search_lists: usize,
    /// Notified of collections whose vectors may need work in the background.
    maintenance: Sender<Call>,
}

type Loaded = LruCache<i64, Arc<CollectionIndex>>;

/// One collection's indexes.
pub(crate) struct CollectionIndex {
    /// Replaced when the index has been rebuilt.
    lexical: RwLock<Arc<Lexical>>,
    /// Where that is.
    folder: Mutex<PathBuf>,
    alive: Arc<RwLock<AliveSet>>,
    /// Being read to take its place, with the vectors of another model.
    incoming: Mutex<Option<AliveSet>>,
    /// What the words of recent queries found.
    recent: Recent,
    collection: i64,
    maintenance: Sender<Call>,
    /// Whether the maintainer was notified and has not begun yet.
    awaits_maintenance: AtomicBool,
}

/// Rows that are moved in one step while the lock is held that searches wait for: a
/// millisecond.
const MOVED_AT_ONCE: usize = 256;

/// Chunks that are read in one step while the lock of what is read is held, which a
/// deletion waits for: some milliseconds.
const READ_AT_ONCE: i64 = 4_096;

impl Indexes {
    pub(crate) fn new(
        dir: PathBuf,
        readers: Arc<Readers>,
        watermark: watch::Receiver<u64>,
        settings: &Settings,
        maintenance: Sender<Call>,
    ) -> Self {
        Self {
            dir,
            readers,
            watermark,
            loaded: Mutex::new(LruCache::unbounded()),
            max_loaded: settings.loaded_indexes.max(1),
            max_bytes: settings.loaded_index_bytes,
            search_lists: settings.vector_search_lists.max(1),
            maintenance,
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
            alive: Arc::new(RwLock::new(
                self.readers.read(|db| AliveSet::load(db, self.place(collection), through))?,
            )),
            incoming: Mutex::new(None),
            recent: Recent::default(),
            collection,
            maintenance: self.maintenance.clone(),
            awaits_maintenance: AtomicBool::new(false),
        });
        index.is_to_be_maintained();
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
            *lock_mutex(&index.folder) = in_use;
            index.recent.clear();
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
                index.recent.clear();
            }
        }
    }

    /// Forgets a collection and deletes its files.
    pub(crate) fn drop_collection(&self, collection: i64) {
        self.lock().pop(&collection);
        if let Err(error) = files::remove_folder(&self.folder(collection)) {
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

    /// Reads the chunks and vectors of a collection again, after another model's have
    /// taken their place. Searches go on with the old ones until the new ones are read;
    /// only the indexer calls this, so that no chunk comes meanwhile.
    pub(crate) fn reread(&self, collection: i64) -> Result<(), Error> {
        let Some(index) = self.loaded(collection) else { return Ok(()) };
        let through = *self.watermark.borrow();
        *index.incoming() = Some(AliveSet::new(self.place(collection)));
        let read = self.readers.read(|db| {
            let model = models::of(db, collection)?.serving;
            // Removals that came since are kept.
            if let Some(incoming) = index.incoming().as_mut() {
                incoming.begin(model);
            }
            let mut last = Some(0);
            while let Some(after) = last {
                last = match index.incoming().as_mut() {
                    Some(incoming) => incoming.extend(db, (after, through), READ_AT_ONCE)?,
                    None => None,
                };
                index.save_incoming();
            }
            Ok(())
        });
        let _loaded = self.lock();
        let incoming = index.incoming().take();
        if let (Ok(()), Some(mut incoming)) = (&read, incoming) {
            incoming.caught_up(through);
            incoming.remove_others();
            *index.write() = incoming;
            index.is_to_be_maintained();
        }
        read
    }

    fn place(&self, collection: i64) -> Place {
        Place { indexes: self.folder(collection), collection, search_lists: self.search_lists }
    }

    /// The folder of a collection's indexes, in use or not.
    fn folder(&self, collection: i64) -> PathBuf {
        self.dir.join(collection.to_string())
    }

    /// The folder of the one in use.
    pub(crate) fn in_use(&self, collection: i64) -> Result<PathBuf, Error> {
        Ok(folders::in_use(&self.folder(collection), self.language(collection)?))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Loaded> {
        lock_mutex(&self.loaded)
    }
}

/// An index that cannot be opened is rebuilt: it holds nothing that the
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
        lock_mutex(&self.folder).clone()
    }

    /// Makes chunks findable, all that there are up to `through`.
    pub(crate) fn add(&self, chunks: &[Pending], through: u64) {
        let mut alive = self.write();
        for new in chunks {
            alive.add(new.chunk, new.document, new.vector.as_deref());
        }
        alive.caught_up(through);
        drop(alive);
        self.recent.clear();
        self.is_to_be_maintained();
    }

    /// The model that the vectors are of.
    pub(crate) fn model(&self) -> Option<String> {
        self.read().model().map(str::to_owned)
    }

    /// Adds vectors of `model` to chunks that had none, if theirs are of it.
    pub(crate) fn add_vectors(&self, model: &str, chunks: &[Pending]) {
        let mut alive = self.write();
        if !alive.adopt(model) {
            return;
        }
        for new in chunks {
            if let Some(vector) = &new.vector {
                alive.add_vector(new.chunk, vector);
            }
        }
        drop(alive);
        self.is_to_be_maintained();
    }

    /// Adds vectors of `model` that another host has made, each of a chunk, if those here
    /// are of it.
    pub(crate) fn add_made(&self, model: &str, vectors: &[(u64, Vec<f32>)]) {
        let mut alive = self.write();
        if !alive.adopt(model) {
            return;
        }
        vectors.iter().for_each(|(chunk, vector)| alive.add_vector(*chunk, vector));
        drop(alive);
        self.is_to_be_maintained();
    }

    /// Runs the legs of a query. `documents` are the ones a filter allows.
    pub(crate) fn candidates(
        &self,
        query: &CandidateQuery<'_>,
        documents: Option<Arc<HashSet<u64>>>,
    ) -> Result<Vec<Candidate>, Error> {
        // Before anything of the index is read: what is read is of this version or later.
        let version = self.recent.version();
        let lexical = self.lexical();
        // Another model's vectors may have come to serve since this one was made.
        let vector = query
            .vector
            .filter(|_| query.model.is_none_or(|model| self.read().model() == Some(model)));
        let constraint = lexical.constraint(query.required, query.excluded)?.map(Arc::new);
        let key = Key::new(query, &documents);
        let known = key.as_ref().and_then(|key| self.recent.get(key));
        let is_known = known.is_some();
        let by_words = || match (known, query.lexical) {
            (Some(known), _) => Ok(Some(known)),
            (None, true) => {
                let found = self.words(query, &documents, &constraint)?;
                if let (Some(key), Some(found)) = (key, &found) {
                    self.recent.keep(version, key, found);
                }
                Ok(found)
            }
            (None, false) => Ok(None),
        };
        let by_vector = || match vector {
            Some(vector) => self.by_vector(vector, query.depth, &documents, &constraint),
            None => Vec::new(),
        };
        let asks_both = query.lexical && !is_known && vector.is_some();
        let (words, vectors) = if asks_both && self.read().is_large() {
            std::thread::scope(|scope| {
                let words = scope.spawn(by_words);
                let vectors = by_vector();
                let died = || Err(Error::Internal("the lexical leg of a search died".into()));
                (words.join().unwrap_or_else(|_| died()), vectors)
            })
        } else {
            (by_words(), by_vector())
        };
        let words = words?;
        let mut found: HashMap<u64, Candidate> = HashMap::new();
        for (chunk, similarity) in vectors {
            entry(&mut found, chunk).vector = Some(similarity);
        }
        if let Some(words) = &words {
            let missing: Vec<_> = found.keys().copied().collect();
            for (chunk, score) in words.with_scores(&missing)? {
                entry(&mut found, chunk).lexical = Some(score);
            }
        }
        let chunks: Vec<_> = found.keys().copied().collect();
        let silent = match query.known.filter(|_| words.is_some() && vector.is_some()) {
            Some(known) => lexical.in_other_languages(known, &chunks)?,
            None => HashSet::new(),
        };
        let alive = self.read();
        let complete = |candidate| alive.complete(candidate, vector);
        let voted = |mut candidate: Candidate| {
            candidate.vector = candidate.vector.filter(|_| !silent.contains(&candidate.chunk));
            candidate
        };
        Ok(found.into_values().filter_map(complete).map(voted).collect())
    }

    /// What the words of a query find; none when it has none.
    fn words(
        &self,
        query: &CandidateQuery<'_>,
        documents: &Option<Arc<HashSet<u64>>>,
        constraint: &Option<Arc<Constraint>>,
    ) -> Result<Option<Arc<Found>>, Error> {
        let Some(search) = self.lexical().search(query.text)? else { return Ok(None) };
        let hits = self.by_words(&search, query.depth, documents, constraint)?;
        Ok(Some(Arc::new(Found::new(search, hits))))
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
        let alive = Arc::clone(&self.alive);
        let accept = move |chunk| {
            let alive = alive.read().unwrap_or_else(|poisoned| poisoned.into_inner());
            constraint.as_ref().is_none_or(|constraint| constraint.allows(chunk))
                && alive.accepts(chunk, documents.as_deref())
        };
        search.top(depth, accept)
    }

    /// The vector leg: chunks and cosines, best first.
    fn by_vector(
        &self,
        vector: &[f32],
        depth: usize,
        documents: &Option<Arc<HashSet<u64>>>,
        constraint: &Option<Arc<Constraint>>,
    ) -> Vec<(u64, f32)> {
        let accept: Accept<'_> = &|chunk, document| {
            constraint.as_ref().is_none_or(|constraint| constraint.allows(chunk))
                && documents.as_ref().is_none_or(|documents| documents.contains(&document))
        };
        let filtered = documents.is_some() || constraint.is_some();
        self.read().nearest(vector, depth, filtered.then_some(accept))
    }

    /// The vectors of chunks, of those that have one.
    pub(crate) fn vectors(&self, chunks: &[u64]) -> Vec<Vec<f32>> {
        let alive = self.read();
        chunks.iter().filter_map(|chunk| alive.vector(*chunk).map(<[f32]>::to_vec)).collect()
    }

    fn bytes(&self) -> usize {
        self.read().bytes()
    }

    /// Puts the full segments of what is being read into files, so that no more than one
    /// is in memory.
    fn save_incoming(&self) {
        loop {
            let save = self.incoming().as_ref().and_then(AliveSet::next_save);
            let Some(save) = save else { return };
            match save.carry_out() {
                Ok(saved) => {
                    if let Some(incoming) = self.incoming().as_mut() {
                        incoming.set_saved(saved);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "vectors could not be written and stay in memory");
                    return;
                }
            }
        }
    }

    /// Has [`Self::maintain`] called, if there may be something to do.
    fn is_to_be_maintained(&self) {
        if self.read().has_more() && !self.awaits_maintenance.swap(true, Relaxed) {
            // The store may be closing.
            let _ = self.maintenance.send(Call::Look(self.collection));
        }
    }

    /// From now on the maintainer has to be notified again.
    pub(crate) fn is_heard(&self) {
        self.awaits_maintenance.store(false, Relaxed);
    }

    /// Puts full segments into files and rows into lists, and gives up what is mostly
    /// deleted, until there is no more to do or `stop` is set. What it copies and
    /// computes it does without a lock.
    pub(crate) fn maintain(&self, stop: &AtomicBool) -> Result<(), Error> {
        while !stop.load(Relaxed) {
            let save = self.read().next_save();
            if let Some(save) = save {
                let saved = save.carry_out().map_err(|error| Error::Internal(error.to_string()))?;
                self.write().set_saved(saved);
                continue;
            }
            if self.write().move_some(MOVED_AT_ONCE) {
                continue;
            }
            let listing = self.read().next_listing();
            match listing.and_then(|listing| listing.carry_out(stop)) {
                Some(lists) => self.write().set_lists(lists),
                None => return Ok(()),
            }
        }
        Ok(())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, AliveSet> {
        self.alive.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn incoming(&self) -> std::sync::MutexGuard<'_, Option<AliveSet>> {
        lock_mutex(&self.incoming)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, AliveSet> {
        self.alive.write().unwrap_or_else(|poisoned| poisoned.into_inner())
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
