//! What the lexical retriever found for recent queries.
//!
//! A hybrid search asks twice: the second time with a vector that its first results have
//! moved. Its words are the same, so what they found is kept for that long. Any change of
//! the index forgets it, so an answer is the same with and without.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use roaring::RoaringTreemap;

use crate::lexical::LexicalSearch;
use crate::types::{CandidateQuery, Error};

/// Queries that are kept: as many as may be between their first and second question at
/// once. One takes some ten kilobytes.
const MAX_KEPT: usize = 64;
/// The most documents that a filter may let through for its query to be kept, as they are
/// kept with it.
const MAX_DOCUMENTS: u64 = 10_000;

/// The words of a query, with all that their result depends on beside the index.
#[derive(PartialEq, Eq)]
pub(crate) struct Key {
    text: String,
    depth: usize,
    required: Vec<String>,
    excluded: Vec<String>,
    documents: Option<Arc<RoaringTreemap>>,
}

/// What they found.
pub(crate) struct Found {
    search: LexicalSearch,
    /// Chunks and scores, best first.
    hits: Vec<(u64, f32)>,
    /// Scores of other chunks that were asked for; none for one that does not match.
    others: Mutex<HashMap<u64, Option<f32>>>,
}

/// Recent queries of one collection.
#[derive(Default)]
pub(crate) struct Recent(Mutex<State>);

#[derive(Default)]
struct State {
    /// How often the index has changed.
    version: u64,
    /// The latest first.
    kept: VecDeque<(Key, Arc<Found>)>,
}

impl Key {
    /// Of a query that another with the same words may follow: a hybrid one.
    pub(crate) fn new(
        query: &CandidateQuery<'_>,
        documents: &Option<Arc<RoaringTreemap>>,
    ) -> Option<Self> {
        let is_small = documents.as_ref().is_none_or(|all| all.len() <= MAX_DOCUMENTS);
        (query.lexical && query.vector.is_some() && is_small).then(|| Self {
            text: query.text.to_owned(),
            depth: query.depth,
            required: query.required.to_vec(),
            excluded: query.excluded.to_vec(),
            documents: documents.clone(),
        })
    }
}

impl Found {
    pub(crate) fn new(search: LexicalSearch, hits: Vec<(u64, f32)>) -> Self {
        Self { search, hits, others: Mutex::default() }
    }

    /// The chunks that the words found, and of `others` those that match, with scores.
    pub(crate) fn with_scores(&self, others: &[u64]) -> Result<HashMap<u64, f32>, Error> {
        let mut scores: HashMap<u64, f32> = self.hits.iter().copied().collect();
        let mut known = self.others.lock();
        let is_new = |chunk: &u64| !scores.contains_key(chunk) && !known.contains_key(chunk);
        let new: Vec<_> = others.iter().copied().filter(is_new).collect();
        if !new.is_empty() {
            let found = self.search.scores(&new)?;
            known.extend(new.into_iter().map(|chunk| (chunk, found.get(&chunk).copied())));
        }
        let score = |chunk: &u64| Some((*chunk, known.get(chunk).copied().flatten()?));
        scores.extend(others.iter().filter_map(score));
        Ok(scores)
    }
}

impl Recent {
    /// Forgets everything, since the index has changed.
    pub(crate) fn clear(&self) {
        let mut state = self.0.lock();
        state.version += 1;
        state.kept.clear();
    }

    /// How often the index has changed.
    pub(crate) fn version(&self) -> u64 {
        self.0.lock().version
    }

    /// What was found for these words.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<Found>> {
        let state = self.0.lock();
        let found = state.kept.iter().find(|(known, _)| known == key);
        found.map(|(_, found)| Arc::clone(found))
    }

    /// Keeps what was found in an index of this version, if it still is of it.
    pub(crate) fn keep(&self, version: u64, key: Key, found: &Arc<Found>) {
        let mut state = self.0.lock();
        if state.version == version {
            state.kept.truncate(MAX_KEPT - 1);
            state.kept.push_front((key, Arc::clone(found)));
        }
    }
}
