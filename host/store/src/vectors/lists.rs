//! Inverted lists (IVF; Jégou, Douze and Schmid, PAMI 2011): each vector's code stands in
//! the list of the centroid that it is nearest to, and a search looks through the lists
//! of the centroids that are nearest to the query.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::file::{self, FileKind, Identity, Mapped, Refused};
use super::kmeans::{self, Centroids, Sample, codes_of};
use super::nearest::Near;
use super::segment::{SEGMENT_ROWS, Segment};
use crate::quantization::{Block, CodedQuery, Codes, CodesRef, LANES, Quantizer};

/// Sections of the file, in order.
const CENTROIDS: usize = 0;
const CENTROID_FACTORS: usize = 1;
const CENTROID_WORDS: usize = 2;
const STARTS: usize = 3;
const ROWS: usize = 4;
const FACTORS: usize = 5;
const WORDS: usize = 6;
const COVERED: usize = 7;

/// The row that stands where a list ends within a block.
const NO_ROW: u32 = u32::MAX;

/// How much the rows may grow before the centroids are computed again: there are as many
/// as twice the square root of the rows then. A list is that much longer at most.
const GROWTH: usize = 4;

/// Where lists are.
pub(crate) struct Lists {
    storage: Storage,
    dimensions: usize,
}

enum Storage {
    Held(Parts),
    Mapped(Mapped),
}

/// Lists in memory.
#[derive(Default)]
struct Parts {
    centroids: Vec<f32>,
    centroid_codes: Codes,
    /// Where each list begins, and where the last ends, in rows; whole blocks.
    starts: Vec<u32>,
    rows: Vec<u32>,
    codes: Codes,
    /// The numbers of the segments whose rows are in, ascending, each with the checksum of
    /// its file; then how many rows the centroids were found for.
    covered: Vec<u32>,
}

/// What lists are made of.
pub(super) struct Plan {
    /// The segments whose rows will be in, by number.
    pub(super) segments: BTreeMap<u32, Arc<Segment>>,
    /// Lists whose centroids are kept, and whose rows where they have them.
    pub(super) from: Option<Arc<Lists>>,
    pub(super) dimensions: usize,
}

impl Plan {
    /// Makes the lists, some seconds for a million rows; none when asked to `stop`.
    pub(super) fn carry_out(mut self, quantizer: &Quantizer, stop: &AtomicBool) -> Option<Lists> {
        let count = self.segments.len() * SEGMENT_ROWS;
        self.from = self.from.filter(|lists| lists.suit(count));
        let (centroids, trained) = match &self.from {
            Some(lists) => (lists.centroids().to_vec(), lists.trained()),
            None => {
                let sample = Sample { segments: &self.segments, dimensions: self.dimensions };
                (kmeans::centroids(&sample, quantizer, 2 * count.isqrt(), stop)?, count)
            }
        };
        let centroid_codes = codes_of(quantizer, &centroids);
        let dimensions = self.dimensions;
        let found = Centroids { values: &centroids, codes: centroid_codes.all(), dimensions };
        let members = self.members(found, quantizer, stop)?;
        let mut parts = Parts { centroids, centroid_codes, ..Parts::default() };
        parts.fill(quantizer, &self.segments, &members, trained);
        Some(Lists { storage: Storage::Held(parts), dimensions })
    }

    /// The rows of each list.
    fn members(
        &self,
        centroids: Centroids<'_>,
        quantizer: &Quantizer,
        stop: &AtomicBool,
    ) -> Option<Vec<Vec<u32>>> {
        let mut members = match &self.from {
            Some(lists) => lists.members(&self.segments),
            None => vec![Vec::new(); centroids.len()],
        };
        let is_in = |number| self.from.as_ref().is_some_and(|lists| lists.covers(number));
        for (number, segment) in self.segments.iter().filter(|(number, _)| !is_in(**number)) {
            for (offset, vector) in segment.values().chunks_exact(self.dimensions).enumerate() {
                let nearest = centroids.nearest_to(quantizer, vector);
                if let Some(list) = members.get_mut(nearest) {
                    list.push(row_of(*number, offset));
                }
            }
            if stop.load(Relaxed) {
                return None;
            }
        }
        Some(members)
    }
}

/// The number of a row of a segment among all.
pub(super) fn row_of(segment: u32, offset: usize) -> u32 {
    let first = u64::from(segment) * SEGMENT_ROWS as u64;
    u32::try_from(first + offset as u64).unwrap_or(NO_ROW)
}

/// The segment of a row, and its place there.
pub(super) fn place_of(row: u32) -> (u32, usize) {
    let row = row as usize;
    (u32::try_from(row / SEGMENT_ROWS).unwrap_or(u32::MAX), row % SEGMENT_ROWS)
}

impl Parts {
    fn fill(
        &mut self,
        quantizer: &Quantizer,
        segments: &BTreeMap<u32, Arc<Segment>>,
        members: &[Vec<u32>],
        trained: usize,
    ) {
        self.codes = quantizer.codes();
        for rows in members {
            self.starts.push(self.length());
            for row in rows {
                let (number, offset) = place_of(*row);
                if let Some(segment) = segments.get(&number) {
                    self.codes.push_row(segment.codes(), offset);
                    self.rows.push(*row);
                }
            }
            self.codes.pad();
            self.rows.resize(self.codes.len(), NO_ROW);
        }
        self.starts.push(self.length());
        for (number, segment) in segments {
            self.covered.extend([*number, segment.checksum().unwrap_or(0)]);
        }
        self.covered.push(u32::try_from(trained).unwrap_or(u32::MAX));
    }

    fn length(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }
}

impl Lists {
    /// Maps a file.
    pub(super) fn open(path: &Path, identity: &Identity) -> Result<Self, Refused> {
        let mapped = Mapped::open(path, FileKind::Lists, identity, CENTROIDS..COVERED + 1)?;
        let dimensions = mapped.dimensions();
        Ok(Self { storage: Storage::Mapped(mapped), dimensions })
    }

    /// Writes them to a file.
    pub(super) fn save(&self, path: &Path, identity: &Identity) -> std::io::Result<()> {
        let (centroids, codes) = (self.found(), self.codes());
        let sections = [
            bytemuck::cast_slice(centroids.values),
            bytemuck::cast_slice(centroids.codes.factors),
            bytemuck::cast_slice(centroids.codes.words),
            bytemuck::cast_slice(self.starts()),
            bytemuck::cast_slice(self.rows()),
            bytemuck::cast_slice(codes.factors),
            bytemuck::cast_slice(codes.words),
            bytemuck::cast_slice(self.covered()),
        ];
        file::write(path, FileKind::Lists, identity, self.dimensions, &sections)
    }

    /// Number of lists.
    pub(super) fn len(&self) -> usize {
        self.starts().len().saturating_sub(1)
    }

    /// Length of the vectors.
    pub(super) fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Whether the rows of a segment are in.
    pub(super) fn covers(&self, segment: u32) -> bool {
        let covered = self.covered().as_chunks::<2>().0;
        covered.binary_search_by_key(&segment, |[number, _]| *number).is_ok()
    }

    /// Whether the segments that they have are these, as far as those are there.
    pub(super) fn fit<'a>(&self, segment: impl Fn(u32) -> Option<&'a Segment>) -> bool {
        self.segments().all(|(number, checksum)| {
            segment(number).is_none_or(|segment| segment.checksum().unwrap_or(0) == checksum)
        })
    }

    /// The segments whose rows are in, with the checksums of their files.
    pub(super) fn segments(&self) -> impl Iterator<Item = (u32, u32)> {
        self.covered().as_chunks::<2>().0.iter().map(|[number, checksum]| (*number, *checksum))
    }

    /// Whether the centroids suit so many rows.
    fn suit(&self, count: usize) -> bool {
        let trained = self.trained();
        count < trained.saturating_mul(GROWTH) && trained < count.saturating_mul(GROWTH)
    }

    /// How many rows the centroids were found for.
    fn trained(&self) -> usize {
        self.covered().last().map_or(0, |count| *count as usize)
    }

    /// The lists, those whose centroids are nearest to the query first.
    pub(super) fn nearest(&self, query: &[f32], coded: &CodedQuery) -> Vec<u32> {
        let found = self.found();
        let mut all = Vec::with_capacity(self.len());
        found.codes.estimate(coded, |list, similarity| {
            all.push(Near { similarity, key: list as u64 });
        });
        all.sort_unstable();
        // The order of the first counts, and estimates are off by some hundredths.
        let exact = all.len().min(EXACT_LISTS);
        if let Some(first) = all.get_mut(..exact) {
            for near in first.iter_mut() {
                near.similarity = found.similarity(near.key as usize, query);
            }
            first.sort_unstable();
        }
        all.into_iter().map(|near| near.key as u32).collect()
    }

    /// Calls `visit` with each row of a list and its estimated cosine.
    pub(super) fn estimate(&self, list: u32, query: &CodedQuery, mut visit: impl FnMut(u32, f32)) {
        let (start, end) = self.range(list);
        let words_per_row = self.dimensions.div_ceil(64);
        let codes = self.codes();
        let blocks = start / LANES * words_per_row..end / LANES * words_per_row;
        let (Some(rows), Some(factors), Some(words)) =
            (self.rows().get(start..end), codes.factors.get(start..end), codes.words.get(blocks))
        else {
            return;
        };
        CodesRef { words, factors }.estimate(query, |at, similarity| {
            if let Some(row) = rows.get(at).filter(|row| **row != NO_ROW) {
                visit(*row, similarity);
            }
        });
    }

    /// Rows in a list, and what fills its last block.
    pub(super) fn rows_in(&self, list: u32) -> usize {
        let (start, end) = self.range(list);
        end - start
    }

    /// What it takes of the heap, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        match &self.storage {
            Storage::Held(parts) => {
                size_of_val(parts.centroids.as_slice())
                    + size_of_val(parts.codes.all().words)
                    + parts.rows.len() * (size_of::<u32>() + size_of::<f32>())
            }
            Storage::Mapped(_) => 0,
        }
    }

    fn range(&self, list: u32) -> (usize, usize) {
        let at = list as usize;
        match self.starts().get(at..at + 2) {
            Some([start, end]) if start <= end => (*start as usize, *end as usize),
            _ => (0, 0),
        }
    }

    /// The rows of each list, of those segments that are still there.
    fn members(&self, segments: &BTreeMap<u32, Arc<Segment>>) -> Vec<Vec<u32>> {
        let is_there = |row: &&u32| **row != NO_ROW && segments.contains_key(&place_of(**row).0);
        let of = |list: u32| {
            let (start, end) = self.range(list);
            let rows = self.rows().get(start..end).unwrap_or_default();
            rows.iter().filter(is_there).copied().collect()
        };
        (0..u32::try_from(self.len()).unwrap_or(0)).map(of).collect()
    }

    fn found(&self) -> Centroids<'_> {
        let (values, codes) = match &self.storage {
            Storage::Held(parts) => (parts.centroids.as_slice(), parts.centroid_codes.all()),
            Storage::Mapped(mapped) => {
                let (factors, words): (_, &[Block]) =
                    (mapped.section(CENTROID_FACTORS), mapped.section(CENTROID_WORDS));
                (mapped.section(CENTROIDS), CodesRef { words, factors })
            }
        };
        Centroids { values, codes, dimensions: self.dimensions }
    }

    fn centroids(&self) -> &[f32] {
        self.found().values
    }

    fn starts(&self) -> &[u32] {
        match &self.storage {
            Storage::Held(parts) => &parts.starts,
            Storage::Mapped(mapped) => mapped.section(STARTS),
        }
    }

    fn rows(&self) -> &[u32] {
        match &self.storage {
            Storage::Held(parts) => &parts.rows,
            Storage::Mapped(mapped) => mapped.section(ROWS),
        }
    }

    fn covered(&self) -> &[u32] {
        match &self.storage {
            Storage::Held(parts) => &parts.covered,
            Storage::Mapped(mapped) => mapped.section(COVERED),
        }
    }

    fn codes(&self) -> CodesRef<'_> {
        match &self.storage {
            Storage::Held(parts) => parts.codes.all(),
            Storage::Mapped(mapped) => {
                let (factors, words): (_, &[Block]) =
                    (mapped.section(FACTORS), mapped.section(WORDS));
                CodesRef { words, factors }
            }
        }
    }
}

/// Lists whose order is exact: those that a search looks through, and some more.
const EXACT_LISTS: usize = 256;
