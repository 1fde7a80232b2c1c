//! The vector index of one collection. Up to some tens of thousands of vectors
//! an exact scan: nothing is faster there, and nothing is more exact. Beyond
//! that a scan over codes of one bit a component, then the exact cosines of the
//! best. Either way a vector is found as soon as it is in, a deleted one is not,
//! and a filter weighs on every row.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::Range;

use multiversion::multiversion;

use crate::codes::{CodedQuery, Codes, LANES as CODE_LANES};

/// The most rows that are scanned exactly: 50 MB of 384 dimensions, some
/// milliseconds on two cores.
const EXACT_ROWS: usize = 32_768;
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
const ROWS_PER_THREAD: usize = 16_384;

/// Vectors of unit length, row by row.
#[derive(Default)]
pub(crate) struct Vectors {
    dimensions: usize,
    values: Vec<f32>,
    chunks: Vec<u64>,
    codes: Codes,
}

impl Vectors {
    /// Adds a vector. Vectors of another length than the first are refused.
    pub(crate) fn push(&mut self, chunk: u64, vector: &[f32]) -> bool {
        if self.chunks.is_empty() {
            self.dimensions = vector.len();
            self.codes = Codes::new(vector.len());
        }
        if vector.len() != self.dimensions || vector.is_empty() {
            return false;
        }
        self.values.extend_from_slice(vector);
        self.codes.push(vector);
        self.chunks.push(chunk);
        true
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// What the rows take, in bytes, their codes of one bit a component among it.
    pub(crate) fn bytes(&self) -> usize {
        let of_values = std::mem::size_of_val(self.values.as_slice());
        of_values + of_values / 32 + std::mem::size_of_val(self.chunks.as_slice())
    }

    /// Whether there are so few that each is compared exactly.
    pub(crate) fn is_exact(&self) -> bool {
        self.chunks.len() <= EXACT_ROWS
    }

    /// One vector.
    pub(crate) fn row(&self, row: usize) -> Option<&[f32]> {
        let start = row.checked_mul(self.dimensions)?;
        self.values.get(start..start + self.dimensions)
    }

    /// The cosine of a row to `query`.
    pub(crate) fn similarity(&self, row: usize, query: &[f32]) -> Option<f32> {
        let vector = self.row(row)?;
        (vector.len() == query.len()).then(|| dot(vector, query))
    }

    /// The `depth` rows nearest to `query` that `alive` accepts: chunk and
    /// cosine, best first.
    pub(crate) fn top(
        &self,
        query: &[f32],
        depth: usize,
        alive: &(dyn Fn(u64) -> bool + Sync),
    ) -> Vec<(u64, f32)> {
        if query.len() != self.dimensions || self.chunks.is_empty() || depth == 0 {
            return Vec::new();
        }
        let mut best = if self.is_exact() {
            let scan = |rows: Range<usize>| self.scan(query, rows, depth, alive);
            in_parallel(self.chunks.len(), ROWS_PER_THREAD, &scan)
        } else {
            self.estimated(query, depth, alive)
        };
        best.sort_unstable();
        best.truncate(depth);
        best.into_iter()
            .filter_map(|near| Some((*self.chunks.get(near.row)?, near.similarity)))
            .collect()
    }

    fn scan(
        &self,
        query: &[f32],
        rows: Range<usize>,
        depth: usize,
        alive: &(dyn Fn(u64) -> bool + Sync),
    ) -> Vec<Near> {
        let mut nearest = Nearest::new(depth);
        let values = self.values.chunks_exact(self.dimensions);
        let all = self.chunks.iter().zip(values).enumerate();
        for (row, (chunk, vector)) in all.skip(rows.start).take(rows.len()) {
            nearest.offer(Near { similarity: dot(vector, query), row }, || alive(*chunk));
        }
        nearest.into_vec()
    }

    /// The rows with the best estimates, with their exact cosines.
    fn estimated(
        &self,
        query: &[f32],
        depth: usize,
        alive: &(dyn Fn(u64) -> bool + Sync),
    ) -> Vec<Near> {
        let coded = self.codes.query(query);
        let wanted = depth.saturating_mul(RESCORED_PER_HIT).max(MIN_RESCORED);
        let scan = |rows: Range<usize>| self.scan_codes(&coded, rows, wanted, alive);
        let mut best = in_parallel(self.chunks.len(), CODES_PER_THREAD, &scan);
        if best.len() > wanted {
            best.select_nth_unstable(wanted);
            best.truncate(wanted);
        }
        for near in &mut best {
            if let Some(similarity) = self.similarity(near.row, query) {
                near.similarity = similarity;
            }
        }
        best
    }

    fn scan_codes(
        &self,
        query: &CodedQuery,
        rows: Range<usize>,
        wanted: usize,
        alive: &(dyn Fn(u64) -> bool + Sync),
    ) -> Vec<Near> {
        let mut nearest = Nearest::new(wanted.min(rows.len()));
        self.codes.estimate(query, rows, |row, similarity| {
            let alive = || self.chunks.get(row).is_some_and(|chunk| alive(*chunk));
            nearest.offer(Near { similarity, row }, alive);
        });
        nearest.into_vec()
    }
}

/// Runs `scan` over parts of the rows on as many cores as are worth it. Parts
/// start at whole blocks of codes.
fn in_parallel(
    rows: usize,
    rows_per_thread: usize,
    scan: &(dyn Fn(Range<usize>) -> Vec<Near> + Sync),
) -> Vec<Near> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let parts = rows.div_ceil(rows_per_thread).min(cores).max(1);
    let step = rows.div_ceil(parts).next_multiple_of(CODE_LANES);
    std::thread::scope(|scope| {
        let others: Vec<_> = (step..rows)
            .step_by(step)
            .map(|from| scope.spawn(move || scan(from..rows.min(from + step))))
            .collect();
        let mut found = scan(0..rows.min(step));
        found.extend(others.into_iter().filter_map(|part| part.join().ok()).flatten());
        found
    })
}

/// Ordered so that the greatest is the farthest: the top of the heap is what a
/// nearer one replaces.
#[derive(Clone, Copy, PartialEq)]
struct Near {
    similarity: f32,
    row: usize,
}

impl Eq for Near {}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> Ordering {
        other.similarity.total_cmp(&self.similarity).then(self.row.cmp(&other.row))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The best of what is offered.
struct Nearest {
    limit: usize,
    heap: BinaryHeap<Near>,
    /// What a row must reach, once there are enough.
    bar: f32,
}

impl Nearest {
    fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::with_capacity(limit + 1), bar: f32::NEG_INFINITY }
    }

    /// Rows come in ascending order, so that one as good as the farthest comes
    /// after it.
    #[inline]
    fn offer(&mut self, near: Near, alive: impl FnOnce() -> bool) {
        if near.similarity > self.bar && alive() {
            self.heap.push(near);
            if self.heap.len() > self.limit {
                self.heap.pop();
            }
            if self.heap.len() == self.limit {
                self.bar = self.heap.peek().map_or(f32::NEG_INFINITY, |near| near.similarity);
            }
        }
    }

    fn into_vec(self) -> Vec<Near> {
        self.heap.into_vec()
    }
}

/// Independent sums, so that the additions need not wait for each other.
const LANES: usize = 32;

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum = a.mul_add(*b, *sum);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors(count: u64) -> Vectors {
        let mut vectors = Vectors::default();
        for chunk in 0..count {
            let angle = chunk as f32 * 0.37;
            assert!(vectors.push(chunk, &[angle.cos(), angle.sin(), 0.0]));
        }
        vectors
    }

    #[test]
    fn the_scan_agrees_with_sorting_everything() {
        let vectors = vectors(30_000);
        let query = [0.6, 0.8, 0.0];
        let mut all: Vec<_> =
            (0..30_000).map(|row| (row as u64, vectors.similarity(row, &query).unwrap())).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        assert_eq!(vectors.top(&query, 25, &|_| true), all[..25]);
    }

    const CENTRES: u64 = 200;

    /// Points around [`CENTRES`] centres on the sphere.
    fn clustered(point: u64) -> Vec<f32> {
        let noise = |seed: u64, at: u64| {
            let mixed = (seed * 1_000 + at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40) as f32
                / (1 << 23) as f32
                - 1.0
        };
        let centre = point % CENTRES;
        let values: Vec<f32> =
            (0..128).map(|at| noise(centre, at) + noise(CENTRES + point, at)).collect();
        let length = dot(&values, &values).sqrt();
        values.iter().map(|value| value / length).collect()
    }

    #[test]
    fn beyond_the_exact_scan_the_nearest_are_still_found() {
        let count = EXACT_ROWS + 1_001;
        let mut vectors = Vectors::default();
        (0..count as u64).for_each(|chunk| assert!(vectors.push(chunk, &clustered(chunk))));
        let odd = |chunk: u64| chunk % 2 == 1;
        let (mut right, mut wanted) = (0, 0);
        for query in 0..20 {
            let query = clustered(1_000_000 + query);
            let mut exact = vectors.scan(&query, 0..count, 10, &odd);
            exact.sort_unstable();
            let found = vectors.top(&query, 10, &odd);
            assert_eq!(found.len(), 10);
            assert!(found.iter().all(|(chunk, _)| odd(*chunk)));
            let near = |row: usize| found.iter().any(|(chunk, _)| *chunk == row as u64);
            right += exact.iter().filter(|one| near(one.row)).count();
            wanted += exact.len();
        }
        assert!(right * 100 >= wanted * 95, "{right} of {wanted}");
    }

    #[test]
    fn a_selective_filter_gets_all_that_it_accepts() {
        let count = EXACT_ROWS as u64 + 1_001;
        let mut vectors = Vectors::default();
        (0..count).for_each(|chunk| assert!(vectors.push(chunk, &clustered(chunk))));
        let found = vectors.top(&clustered(7), 50, &|chunk| chunk % 1_500 == 7);
        let mut chunks: Vec<_> = found.iter().map(|(chunk, _)| *chunk).collect();
        chunks.sort_unstable();
        assert_eq!(chunks, (7..count).step_by(1_500).collect::<Vec<_>>());
        assert_eq!(found[0].0, 7);
    }

    #[test]
    fn a_dead_row_takes_no_place() {
        let found = vectors(100).top(&[1.0, 0.0, 0.0], 10, &|chunk| chunk % 2 == 1);
        assert_eq!(found.len(), 10);
        assert!(found.iter().all(|(chunk, _)| chunk % 2 == 1));
    }

    #[test]
    fn a_vector_of_another_length_is_refused() {
        let mut vectors = vectors(1);
        assert!(!vectors.push(9, &[1.0]));
        assert!(vectors.top(&[1.0], 1, &|_| true).is_empty());
    }

    #[test]
    fn dot_products_are_right_for_any_length() {
        for length in [0, 1, 31, 32, 33, 384, 385] {
            let a: Vec<f32> = (0..length).map(|i| i as f32 % 7.0).collect();
            let b: Vec<f32> = (0..length).map(|i| i as f32 % 5.0).collect();
            let plain: f32 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            assert_eq!(dot(&a, &b), plain);
        }
    }
}
