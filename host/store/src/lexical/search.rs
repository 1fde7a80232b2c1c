//! A search of a lexical index, by BM25.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use tantivy::collector::Collector;
use tantivy::query::{BooleanQuery, EnableScoring, Weight};
use tantivy::schema::Field;
use tantivy::{DocAddress, DocId, DocSet, Executor, Searcher};

use super::best::Best;
use super::{CHUNK, places};
use crate::types::Error;

/// Hits to take beyond those asked for: of chunks whose scores are equal those of the
/// lowest numbers are wanted, and the index has an order of its own.
const SPARE_HITS: usize = 64;
/// Hits to take for each one asked for, where the words as they are written refine the
/// order that their stems give. Such a word adds a fifth of what its stem adds, and a
/// search by twice as many terms takes four times as long.
const REFINED: usize = 2;
/// In an index of more chunks a search takes so long that it is worth a second thread.
const CHUNKS_PER_THREAD: u64 = 131_072;
/// The threads of such searches, one for each processor; without them a search goes on
/// alone.
static SIDE_BY_SIDE: LazyLock<Executor> = LazyLock::new(|| {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Executor::multi_thread(threads, "ragtime-words-").unwrap_or(Executor::SingleThread)
});

/// A search under way, on one state of the index.
pub(crate) struct LexicalSearch {
    pub(super) searcher: Searcher,
    /// What finds chunks. A chunk may be found by more than one.
    pub(super) finders: Vec<BooleanQuery>,
    /// What scores them: each term of the query, in order.
    pub(super) weights: Vec<Box<dyn Weight>>,
    /// Whether there are terms that score chunks and do not find all they are in.
    pub(super) refined: bool,
    pub(super) chunk: Field,
}

impl LexicalSearch {
    /// The best `depth` chunks that `accept` takes, with their scores.
    pub(crate) fn top<F>(&self, depth: usize, accept: F) -> Result<Vec<(u64, f32)>, Error>
    where
        F: Fn(u64) -> bool + Send + Sync + Clone + 'static,
    {
        let limit = SPARE_HITS + if self.refined { depth * REFINED } else { depth };
        let mut hits = BTreeSet::new();
        for finder in &self.finders {
            hits.extend(self.hits(finder, &Best::new(limit, accept.clone()))?);
        }
        let mut found = self.ranked(hits)?;
        found.truncate(depth);
        Ok(found)
    }

    /// Looks through the index, through the segments of a large one side by side.
    fn hits<C: Collector>(&self, finder: &BooleanQuery, collector: &C) -> Result<C::Fruit, Error> {
        let scoring = EnableScoring::enabled_from_searcher(&self.searcher);
        let executor = match self.searcher.num_docs() {
            0..CHUNKS_PER_THREAD => &Executor::SingleThread,
            _ => &*SIDE_BY_SIDE,
        };
        Ok(self.searcher.search_with_executor(finder, collector, executor, scoring)?)
    }

    /// Chunks for places in the index, best first, equals by number. Their scores
    /// are added in the order of the query's terms: the search that found them adds
    /// in an order of its own, which shows in the last bit.
    fn ranked(&self, hits: BTreeSet<DocAddress>) -> Result<Vec<(u64, f32)>, Error> {
        let mut columns = HashMap::new();
        let mut places: HashMap<u32, Vec<(DocId, u64)>> = HashMap::new();
        for at in hits {
            let chunk = chunk_at(&self.searcher, at, &mut columns)?;
            places.entry(at.segment_ord).or_default().push((at.doc_id, chunk));
        }
        let mut scores = HashMap::new();
        for (segment, mut here) in places {
            self.add_scores(self.searcher.segment_reader(segment), &mut here, &mut scores)?;
        }
        let mut ranked: Vec<_> = scores.into_iter().collect();
        ranked.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Ok(ranked)
    }

    /// The scores of these chunks, of those that match at all.
    pub(crate) fn scores(&self, chunks: &[u64]) -> Result<HashMap<u64, f32>, Error> {
        let mut scores = HashMap::new();
        for (segment, mut here) in places(&self.searcher, self.chunk, chunks)? {
            self.add_scores(segment, &mut here, &mut scores)?;
        }
        Ok(scores)
    }

    /// Adds the scores of chunks of one segment. Each term by itself: their union
    /// scores all that lies near what it is asked for.
    fn add_scores(
        &self,
        segment: &tantivy::SegmentReader,
        here: &mut [(DocId, u64)],
        scores: &mut HashMap<u64, f32>,
    ) -> Result<(), Error> {
        here.sort_unstable();
        for weight in &self.weights {
            let mut scorer = weight.scorer(segment, 1.0)?;
            for (doc, chunk) in here.iter() {
                if scorer.doc() < *doc {
                    scorer.seek(*doc);
                }
                if scorer.doc() == *doc {
                    *scores.entry(*chunk).or_default() += scorer.score();
                }
            }
        }
        Ok(())
    }
}

/// The number of the chunk at a place in the index.
pub(super) fn chunk_at(
    searcher: &Searcher,
    at: DocAddress,
    columns: &mut HashMap<u32, tantivy::columnar::Column<u64>>,
) -> Result<u64, Error> {
    let column = match columns.entry(at.segment_ord) {
        std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
        std::collections::hash_map::Entry::Vacant(vacant) => {
            let segment = searcher.segment_reader(at.segment_ord);
            vacant.insert(segment.fast_fields().u64(CHUNK)?)
        }
    };
    column
        .first(at.doc_id)
        .ok_or_else(|| Error::Internal("a chunk in the index has no number".into()))
}
