//! The best hits of a search among the chunks that a filter takes.
//!
//! Tantivy's own collector for a filter scores each chunk that matches. This one asks the
//! filter only about chunks whose score is above the worst that is kept, and so lets tantivy
//! skip blocks of chunks that cannot score as high (block-max WAND: S. Ding and T. Suel,
//! "Faster top-k document retrieval using block-max indexes", 2011).

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::Column;
use tantivy::query::Weight;
use tantivy::{DocAddress, DocId, Score, SegmentOrdinal, SegmentReader};

use super::CHUNK;

/// A score, and where its chunk is.
type Hit = (Score, DocAddress);

/// Collects the places of the best `limit` chunks that `accept` takes, best first.
pub(super) struct Best<F> {
    limit: usize,
    accept: F,
    floor: Floor,
}

/// The score that `limit` chunks of one segment reach, the highest of all segments so far.
/// Others need not look for less. As no score is negative, the bits are in the order of
/// the scores.
#[derive(Clone, Default)]
struct Floor(Arc<AtomicU32>);

impl Floor {
    fn get(&self) -> Score {
        Score::from_bits(self.0.load(Relaxed))
    }

    /// Raises the floor and returns where it is then.
    fn raise(&self, to: Score) -> Score {
        let before = self.0.fetch_max(to.to_bits(), Relaxed);
        Score::from_bits(before).max(to)
    }
}

impl<F> Best<F> {
    pub(super) fn new(limit: usize, accept: F) -> Self {
        Self { limit: limit.max(1), accept, floor: Floor::default() }
    }
}

/// The best of one segment.
pub(super) struct BestOfSegment<F> {
    segment: SegmentOrdinal,
    chunks: Column<u64>,
    accept: F,
    limit: usize,
    /// At most twice as many as are wanted.
    hits: Vec<(Score, DocId)>,
    /// What a hit has to exceed.
    threshold: Score,
    floor: Floor,
}

impl<F: Fn(u64) -> bool> BestOfSegment<F> {
    /// Takes a hit and returns what the next has to exceed.
    fn push(&mut self, doc: DocId, score: Score) -> Score {
        if score > self.threshold && self.chunks.first(doc).is_some_and(&self.accept) {
            self.hits.push((score, doc));
            if self.hits.len() >= 2 * self.limit {
                self.keep_best();
            }
        }
        self.threshold
    }

    /// Lets go what is not among the best; of equals the first places are kept.
    fn keep_best(&mut self) {
        let last = self.limit - 1;
        if last >= self.hits.len() {
            return;
        }
        let best_first =
            |a: &(Score, DocId), b: &(Score, DocId)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        let (_, worst, _) = self.hits.select_nth_unstable_by(last, best_first);
        self.threshold = self.floor.raise(worst.0);
        self.hits.truncate(self.limit);
    }
}

impl<F> Collector for Best<F>
where
    F: Fn(u64) -> bool + Send + Sync + Clone + 'static,
{
    type Fruit = Vec<DocAddress>;
    type Child = BestOfSegment<F>;

    fn for_segment(
        &self,
        segment: SegmentOrdinal,
        reader: &SegmentReader,
    ) -> tantivy::Result<Self::Child> {
        Ok(BestOfSegment {
            segment,
            chunks: reader.fast_fields().u64(CHUNK)?,
            accept: self.accept.clone(),
            limit: self.limit,
            hits: Vec::new(),
            threshold: self.floor.get(),
            floor: self.floor.clone(),
        })
    }

    fn requires_scoring(&self) -> bool {
        true
    }

    fn merge_fruits(&self, segments: Vec<Vec<Hit>>) -> tantivy::Result<Vec<DocAddress>> {
        let mut hits = segments.concat();
        hits.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        hits.truncate(self.limit);
        Ok(hits.into_iter().map(|(_, at)| at).collect())
    }

    fn collect_segment(
        &self,
        weight: &dyn Weight,
        segment: SegmentOrdinal,
        reader: &SegmentReader,
    ) -> tantivy::Result<Vec<Hit>> {
        let mut best = self.for_segment(segment, reader)?;
        let deleted = reader.alive_bitset();
        weight.for_each_pruning(best.threshold, reader, &mut |doc, score| match deleted
            .is_some_and(|alive| alive.is_deleted(doc))
        {
            true => best.threshold,
            false => best.push(doc, score),
        })?;
        Ok(best.harvest())
    }
}

impl<F: Fn(u64) -> bool + 'static> SegmentCollector for BestOfSegment<F> {
    type Fruit = Vec<Hit>;

    fn collect(&mut self, doc: DocId, score: Score) {
        self.push(doc, score);
    }

    fn harvest(mut self) -> Vec<Hit> {
        self.keep_best();
        let segment = self.segment;
        self.hits.into_iter().map(|(score, doc)| (score, DocAddress::new(segment, doc))).collect()
    }
}
