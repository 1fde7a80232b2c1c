//! The indexes of one collection.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Sender;

use parking_lot::{Mutex, RwLock};
use roaring::RoaringTreemap;

use super::Call;
use crate::alive::AliveSet;
use crate::lexical::{Constraint, Lexical, LexicalSearch};
use crate::pending::Pending;
use crate::recent::{Found, Key, Recent};
use crate::types::{Candidate, CandidateQuery, Error};
use crate::vectors::Accept;

/// One collection's indexes.
pub(crate) struct CollectionIndex {
    /// Replaced when the index has been rebuilt.
    pub(super) lexical: RwLock<Arc<Lexical>>,
    /// Where that is.
    pub(super) folder: Mutex<PathBuf>,
    pub(super) alive: Arc<RwLock<AliveSet>>,
    /// Being read to take its place, with the vectors of another model.
    pub(super) incoming: Mutex<Option<AliveSet>>,
    /// What the words of recent queries found.
    pub(super) recent: Recent,
    pub(super) collection: i64,
    pub(super) maintenance: Sender<Call>,
    /// Whether the maintainer was notified and has not begun yet.
    pub(super) awaits_maintenance: AtomicBool,
}

/// Rows that are moved in one step while the lock is held that searches wait for: a
/// millisecond.
const MOVED_AT_ONCE: usize = 256;

impl CollectionIndex {
    /// The lexical index in use.
    pub(crate) fn lexical(&self) -> Arc<Lexical> {
        Arc::clone(&self.lexical.read())
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.folder.lock().clone()
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
        documents: Option<Arc<RoaringTreemap>>,
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
        documents: &Option<Arc<RoaringTreemap>>,
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
        documents: &Option<Arc<RoaringTreemap>>,
        constraint: &Option<Arc<Constraint>>,
    ) -> Result<Vec<(u64, f32)>, Error> {
        let (documents, constraint) = (documents.clone(), constraint.clone());
        let alive = Arc::clone(&self.alive);
        let accept = move |chunk| {
            let alive = alive.read();
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
        documents: &Option<Arc<RoaringTreemap>>,
        constraint: &Option<Arc<Constraint>>,
    ) -> Vec<(u64, f32)> {
        let accept: Accept<'_> = &|chunk, document| {
            constraint.as_ref().is_none_or(|constraint| constraint.allows(chunk))
                && documents.as_ref().is_none_or(|documents| documents.contains(document))
        };
        let filtered = documents.is_some() || constraint.is_some();
        self.read().nearest(vector, depth, filtered.then_some(accept))
    }

    /// The vectors of chunks, of those that have one.
    pub(crate) fn vectors(&self, chunks: &[u64]) -> Vec<Vec<f32>> {
        let alive = self.read();
        chunks.iter().filter_map(|chunk| alive.vector(*chunk).map(<[f32]>::to_vec)).collect()
    }

    pub(super) fn bytes(&self) -> usize {
        self.read().bytes()
    }

    /// Puts the full segments of what is being read into files, so that no more than one
    /// is in memory.
    pub(super) fn save_incoming(&self) {
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
    pub(super) fn is_to_be_maintained(&self) {
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

    pub(super) fn read(&self) -> parking_lot::RwLockReadGuard<'_, AliveSet> {
        self.alive.read()
    }

    pub(super) fn incoming(&self) -> parking_lot::MutexGuard<'_, Option<AliveSet>> {
        self.incoming.lock()
    }

    pub(super) fn write(&self) -> parking_lot::RwLockWriteGuard<'_, AliveSet> {
        self.alive.write()
    }
}

fn entry(found: &mut HashMap<u64, Candidate>, chunk: u64) -> &mut Candidate {
    found.entry(chunk).or_insert(Candidate { chunk, document: 0, lexical: None, vector: None })
}
