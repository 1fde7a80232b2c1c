//! The vector index of one collection.
//!
//! Vectors come into a segment in memory. One that is full goes to a mapped file, and the
//! rows of those go into inverted lists, both in the background. A search compares each
//! vector exactly where there are up to some tens of thousands, or its filter lets no more
//! through: nothing is faster there, and nothing is more exact. Beyond that it looks at
//! codes of one bit a component, in the lists that are nearest to the query and in the
//! segments that are in no list yet, and compares the best exactly. Either way a vector is
//! found as soon as it is in, a deleted one is not, and a search that gets too few for its
//! filter goes on to further lists.

mod file;
mod home;
mod kmeans;
mod lists;
mod maintenance;
mod nearest;
mod parts;
mod segment;

use std::sync::Arc;

pub(crate) use home::{FOLDER, Home};
pub(crate) use lists::Lists;
use lists::{place_of, row_of};
pub(crate) use maintenance::{Listing, Save, Saved};
use nearest::{Near, Nearest, best, dot};
use parts::{Part, in_parallel};
use segment::{Rows, SEGMENT_ROWS, Segment};

use crate::quantization::{CodedQuery, Quantizer};

/// The most rows that are scanned exactly, of all or of those that a filter lets through:
/// 50 MB of 384 dimensions, some milliseconds on two cores.
const EXACT_ROWS: usize = 2 * SEGMENT_ROWS;
/// Rows whose exact cosine is taken for each one asked for, and at the least.
/// Estimates of 384 bits are off by some hundredths, so the true best are
/// among the first few hundred.
const RESCORED_PER_HIT: usize = 8;
const MIN_RESCORED: usize = 800;
/// Codes a thread scans, for the same reason as [`ROWS_PER_THREAD`]: about a
/// quarter of a millisecond.
const CODES_PER_THREAD: usize = 131_072;
/// Vectors a thread scans; below this, starting a second thread costs more
/// than it saves.
const ROWS_PER_THREAD: usize = SEGMENT_ROWS;
/// Rows that are tried to see how many a filter lets through: one in a hundred is seen
/// with a few of them.
const FILTER_SAMPLE: usize = 1_024;

/// Says of a chunk and its document whether a search may return it.
pub(crate) type Accept<'a> = &'a (dyn Fn(u64, u64) -> bool + Sync);

/// Vectors of unit length. A row keeps its number as long as it is alive, but for those
/// that are moved together.
pub(crate) struct Vectors {
    home: Option<Home>,
    /// Lists that a search looks through.
    search_lists: usize,
    dimensions: usize,
    quantizer: Quantizer,
    /// By number; none where a segment was given up.
    full: Vec<Option<Full>>,
    /// The segment after those.
    rows: Segment,
    owners: Owners,
    lists: Option<Arc<Lists>>,
}

/// A segment that takes no more rows.
struct Full {
    segment: Arc<Segment>,
    owners: Owners,
}

/// The document of each row; 0 for one that is not alive.
#[derive(Default)]
struct Owners {
    documents: Vec<u64>,
    alive: usize,
}

impl Owners {
    fn nobody(rows: usize) -> Self {
        Self { documents: vec![0; rows], alive: 0 }
    }

    fn push(&mut self, document: u64) {
        self.documents.push(document);
        self.alive += 1;
    }

    fn set(&mut self, row: usize, document: u64) {
        if let Some(owner) = self.documents.get_mut(row) {
            self.alive -= usize::from(*owner != 0);
            self.alive += usize::from(document != 0);
            *owner = document;
        }
    }

    fn deleted(&self) -> usize {
        self.documents.len() - self.alive
    }
}

impl Vectors {
    /// None yet. Without a home they stay in memory.
    pub(crate) fn new(home: Option<Home>, search_lists: usize) -> Self {
        Self {
            home,
            search_lists,
            dimensions: 0,
            quantizer: Quantizer::default(),
            full: Vec::new(),
            rows: Segment::Held(Rows::default()),
            owners: Owners::default(),
            lists: None,
        }
    }

    /// Those that are in the files of `home`. None of them is alive until it is
    /// [claimed](Self::claim).
    pub(crate) fn open(home: Home, search_lists: usize) -> Self {
        let mut vectors = Self::new(Some(home.clone()), search_lists);
        let segments = home.open_segments();
        let Some(dimensions) = segments.values().next().map(|segment| segment.dimensions()) else {
            return vectors;
        };
        vectors.set_dimensions(dimensions);
        let lists = home.open_lists(&segments).filter(|lists| lists.dimensions() == dimensions);
        // A number that lists know is never given to another segment.
        let listed = lists.iter().flat_map(Lists::segments).map(|(number, _)| number).max();
        let last = segments.keys().next_back().copied().max(listed).unwrap_or(0);
        vectors.full.resize_with(last as usize + 1, || None);
        for (number, segment) in segments {
            if segment.dimensions() != dimensions {
                home.remove_segment(number);
            } else if let Some(place) = vectors.full.get_mut(number as usize) {
                *place = Some(Full { owners: Owners::nobody(segment.len()), segment });
            }
        }
        vectors.lists = lists.map(Arc::new);
        vectors
    }

    fn set_dimensions(&mut self, dimensions: usize) {
        self.dimensions = dimensions;
        self.quantizer = Quantizer::new(dimensions);
        self.rows = Segment::Held(Rows::new(&self.quantizer));
        self.lists = None;
    }

    /// Whether there is room for nothing yet, so that the next vector says the length.
    fn is_empty(&self) -> bool {
        self.rows.len() == 0 && self.full.iter().all(Option::is_none)
    }

    /// Adds a vector; its row. Vectors of another length than the first are refused.
    pub(crate) fn push(&mut self, chunk: u64, document: u64, vector: &[f32]) -> Option<u32> {
        if self.is_empty() && vector.len() != self.dimensions {
            self.set_dimensions(vector.len());
        }
        if vector.len() != self.dimensions || vector.is_empty() {
            return None;
        }
        let row = row_of(self.number(), self.rows.len());
        if let Segment::Held(rows) = &mut self.rows {
            rows.push(&self.quantizer, chunk, vector);
        }
        self.owners.push(document);
        if self.rows.len() == SEGMENT_ROWS {
            self.close_segment();
        }
        Some(row)
    }

    fn close_segment(&mut self) {
        let rows = Segment::Held(Rows::new(&self.quantizer));
        let segment = Arc::new(std::mem::replace(&mut self.rows, rows));
        let owners = std::mem::take(&mut self.owners);
        self.full.push(Some(Full { segment, owners }));
    }

    /// The number of the segment that takes rows.
    fn number(&self) -> u32 {
        u32::try_from(self.full.len()).unwrap_or(u32::MAX)
    }

    /// The chunk of each row in the files, with the row.
    pub(crate) fn stored(&self) -> Vec<(u64, u32)> {
        let of = |(number, full): (u32, &Full)| {
            let chunks = full.segment.chunks().to_vec();
            chunks
                .into_iter()
                .enumerate()
                .map(move |(offset, chunk)| (chunk, row_of(number, offset)))
        };
        self.segments().flat_map(of).collect()
    }

    /// The first and the last row of each segment, by whose vectors a start sees
    /// whether they are still the truth: segment, chunk and vector.
    pub(crate) fn samples(&self) -> Vec<(u32, u64, &[f32])> {
        let of = |(number, full): (u32, &'_ Full)| {
            [0, SEGMENT_ROWS - 1].map(|row| (number, full.segment.chunks().get(row).copied(), row))
        };
        let samples = self.segments().flat_map(of);
        samples
            .filter_map(|(number, chunk, row)| {
                Some((number, chunk?, self.vector(row_of(number, row))?))
            })
            .collect()
    }

    fn segments(&self) -> impl Iterator<Item = (u32, &Full)> {
        (0..).zip(&self.full).filter_map(|(number, full)| Some((number, full.as_ref()?)))
    }

    /// Makes a row alive.
    pub(crate) fn claim(&mut self, row: u32, document: u64) {
        self.set_owner(row, document);
    }

    /// Hides a row.
    pub(crate) fn remove(&mut self, row: u32) {
        self.set_owner(row, 0);
    }

    fn set_owner(&mut self, row: u32, document: u64) {
        let (number, offset) = place_of(row);
        if number == self.number() {
            self.owners.set(offset, document);
        } else if let Some(Some(full)) = self.full.get_mut(number as usize) {
            full.owners.set(offset, document);
        }
    }

    /// Rows of the segment that takes rows which are not alive, and all of it.
    pub(crate) fn deleted_of_open(&self) -> (usize, usize) {
        (self.owners.deleted(), self.rows.len())
    }

    /// Copies the rows together of the segment that takes rows; what became of each that
    /// is alive.
    pub(crate) fn compact_open(&mut self) -> Vec<Moved> {
        let old = std::mem::replace(&mut self.rows, Segment::Held(Rows::new(&self.quantizer)));
        let owners = std::mem::take(&mut self.owners);
        let rows = old.chunks().iter().zip(&owners.documents).enumerate();
        let alive = rows.filter(|(_, (_, document))| **document != 0);
        let mut moved = Vec::new();
        for (offset, (chunk, document)) in alive {
            let vector = old.vector(offset, self.dimensions).unwrap_or_default();
            moved.extend(
                self.push(*chunk, *document, vector).map(|row| Moved { chunk: *chunk, row }),
            );
        }
        moved
    }

    /// Number of rows, alive or not.
    pub(crate) fn len(&self) -> usize {
        self.rows.len() + self.segments().map(|(_, full)| full.segment.len()).sum::<usize>()
    }

    /// What it takes of the heap, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let of_full = |(_, full): (u32, &Full)| {
            full.segment.heap_bytes() + size_of_val(full.owners.documents.as_slice())
        };
        let lists = self.lists.as_ref().map_or(0, |lists| lists.heap_bytes());
        let open = self.rows.heap_bytes() + size_of_val(self.owners.documents.as_slice());
        self.segments().map(of_full).sum::<usize>() + lists + open
    }

    /// Whether there are so few that each is compared exactly.
    pub(crate) fn is_exact(&self) -> bool {
        self.len() <= EXACT_ROWS
    }

    /// One vector.
    pub(crate) fn vector(&self, row: u32) -> Option<&[f32]> {
        let (number, offset) = place_of(row);
        self.segment(number)?.0.vector(offset, self.dimensions)
    }

    fn segment(&self, number: u32) -> Option<(&Segment, &Owners)> {
        if number == self.number() {
            return Some((&self.rows, &self.owners));
        }
        let full = self.full.get(number as usize)?.as_ref()?;
        Some((&full.segment, &full.owners))
    }

    /// The document of a row that is alive.
    fn owner(&self, row: u32) -> Option<u64> {
        let (number, offset) = place_of(row);
        let (_, owners) = self.segment(number)?;
        owners.documents.get(offset).copied().filter(|document| *document != 0)
    }

    /// The chunk of a row.
    fn chunk(&self, row: u32) -> Option<u64> {
        let (number, offset) = place_of(row);
        self.segment(number)?.0.chunks().get(offset).copied()
    }

    /// The cosine of a row to `query`.
    pub(crate) fn similarity(&self, row: u32, query: &[f32]) -> Option<f32> {
        let vector = self.vector(row)?;
        (vector.len() == query.len()).then(|| dot(vector, query))
    }

    /// The `depth` rows nearest to `query` that are alive and accepted: chunk and
    /// cosine, best first.
    pub(crate) fn top(
        &self,
        query: &[f32],
        depth: usize,
        accept: Option<Accept<'_>>,
    ) -> Vec<(u64, f32)> {
        if query.len() != self.dimensions || self.is_empty() || depth == 0 {
            return Vec::new();
        }
        // Where all are few, it does not matter how many a filter lets through.
        let share = match accept {
            Some(accept) if !self.is_exact() => self.share_of(accept),
            Some(_) | None => 1.0,
        };
        let found = if share * self.len() as f64 <= EXACT_ROWS as f64 {
            let all = self.segments().map(|(number, _)| number).chain([self.number()]);
            let all: Vec<_> = all.map(Part::Segment).collect();
            let scan = |parts: &[Part]| self.scan(query, parts, depth, accept);
            in_parallel(&all, ROWS_PER_THREAD, |part| self.rows_in(part), &scan)
        } else {
            self.estimated(query, depth, accept, share)
        };
        best(found, depth).into_iter().map(|near| (near.key, near.similarity)).collect()
    }

    /// The segments whose rows are in no list.
    fn unlisted(&self) -> Vec<Part> {
        let is_listed = |number| self.lists.as_ref().is_some_and(|lists| lists.covers(number));
        let full = self.segments().map(|(number, _)| number);
        let all = full.filter(|number| !is_listed(*number));
        all.chain([self.number()]).map(Part::Segment).collect()
    }

    fn rows_in(&self, part: Part) -> usize {
        match part {
            Part::Segment(number) => self.segment(number).map_or(0, |(segment, _)| segment.len()),
            Part::List(list) => self.lists.as_ref().map_or(0, |lists| lists.rows_in(list)),
        }
    }

    /// The best of some segments by their exact cosines, by chunk.
    fn scan(
        &self,
        query: &[f32],
        parts: &[Part],
        depth: usize,
        accept: Option<Accept<'_>>,
    ) -> Vec<Near> {
        let mut nearest = Nearest::new(depth);
        for part in parts {
            let Part::Segment(number) = part else { continue };
            let Some((segment, owners)) = self.segment(*number) else { continue };
            let vectors = segment.values().chunks_exact(self.dimensions);
            let rows = segment.chunks().iter().zip(&owners.documents);
            for ((chunk, document), vector) in rows.zip(vectors) {
                // A filter is asked first: the vectors of what it leaves out, which may not
                // be in memory, need not be read.
                if *document != 0 && accept.is_none_or(|accept| accept(*chunk, *document)) {
                    nearest.offer(dot(vector, query), *chunk, || true);
                }
            }
        }
        nearest.into_vec()
    }

    /// The rows with the best estimates, with their exact cosines, by chunk.
    fn estimated(
        &self,
        query: &[f32],
        depth: usize,
        accept: Option<Accept<'_>>,
        share: f64,
    ) -> Vec<Near> {
        let coded = self.quantizer.query(query);
        let wanted = depth.saturating_mul(RESCORED_PER_HIT).max(MIN_RESCORED);
        let scan = |parts: &[Part]| self.scan_codes(&coded, parts, wanted, accept);
        let scan =
            |parts: &[Part]| in_parallel(parts, CODES_PER_THREAD, |part| self.rows_in(part), &scan);
        let lists = self.lists.as_ref().map_or_else(Vec::new, |lists| lists.nearest(query, &coded));
        let lists: Vec<_> = lists.into_iter().map(Part::List).collect();
        let mut upto = self.lists_for(share).min(lists.len());
        let mut parts = self.unlisted();
        parts.extend(lists.iter().take(upto));
        let mut found = best(scan(&parts), wanted);
        // What a filter lets through, and what is not deleted, may be elsewhere.
        while found.len() < wanted && upto < lists.len() {
            let next = lists.get(upto..lists.len().min(upto * 2)).unwrap_or_default();
            found.extend(scan(next));
            found = best(found, wanted);
            upto += next.len();
        }
        self.rescored(found, query)
    }

    /// Exact cosines in the place of estimates, and chunks in that of rows.
    fn rescored(&self, mut found: Vec<Near>, query: &[f32]) -> Vec<Near> {
        // In the order of memory.
        found.sort_unstable_by_key(|near| near.key);
        let exact = |near: Near| {
            let row = near.key as u32;
            Some(Near { similarity: self.similarity(row, query)?, key: self.chunk(row)? })
        };
        found.into_iter().filter_map(exact).collect()
    }

    fn scan_codes(
        &self,
        query: &CodedQuery,
        parts: &[Part],
        wanted: usize,
        accept: Option<Accept<'_>>,
    ) -> Vec<Near> {
        let mut nearest = Nearest::new(wanted);
        let mut offer = |row: u32, similarity: f32| {
            nearest.offer(similarity, u64::from(row), || self.accepts(row, accept));
        };
        for part in parts {
            match part {
                Part::Segment(number) => {
                    let Some((segment, _)) = self.segment(*number) else { continue };
                    segment.codes().estimate(query, |offset, similarity| {
                        offer(row_of(*number, offset), similarity);
                    });
                }
                Part::List(list) => {
                    let Some(lists) = &self.lists else { continue };
                    lists.estimate(*list, query, &mut offer);
                }
            }
        }
        nearest.into_vec()
    }

    fn accepts(&self, row: u32, accept: Option<Accept<'_>>) -> bool {
        let Some(document) = self.owner(row) else { return false };
        let allows = |accept: Accept<'_>| self.chunk(row).is_some_and(|one| accept(one, document));
        accept.is_none_or(allows)
    }

    /// The share of the rows that are alive that a filter lets through, by a sample.
    fn share_of(&self, accept: Accept<'_>) -> f64 {
        let step = (self.len() / FILTER_SAMPLE).max(1);
        let rows = self.segments().flat_map(|(number, full)| {
            let rows = (0..full.segment.len()).step_by(step);
            rows.map(move |offset| row_of(number, offset))
        });
        let (mut alive, mut accepted) = (0_u32, 0_u32);
        for row in rows.filter(|row| self.owner(*row).is_some()) {
            alive += 1;
            accepted += u32::from(self.accepts(row, Some(accept)));
        }
        f64::from(accepted) / f64::from(alive.max(1))
    }

    /// How many lists a search looks through of which a filter lets such a share through.
    /// The ten nearest of what it lets through lie as far out as the hundred nearest of all
    /// where it lets a tenth through; the root of that was found to keep the recall.
    fn lists_for(&self, share: f64) -> usize {
        (self.search_lists as f64 / share.sqrt()) as usize
    }
}

/// Where a row is now.
pub(crate) struct Moved {
    /// Its chunk.
    pub(crate) chunk: u64,
    /// Its number.
    pub(crate) row: u32,
}

#[cfg(test)]
mod tests;
