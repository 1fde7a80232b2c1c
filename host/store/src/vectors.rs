//! The vector index of one collection: an exact scan. Up to some tens of
//! thousands of vectors nothing is faster, and nothing is more exact.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use multiversion::multiversion;

/// Vectors a thread scans; below this, starting a second thread costs more
/// than it saves.
const ROWS_PER_THREAD: usize = 16_384;

/// Vectors of unit length, row by row.
#[derive(Default)]
pub(crate) struct Vectors {
    dimensions: usize,
    values: Vec<f32>,
    chunks: Vec<u64>,
}

impl Vectors {
    /// Adds a vector. Vectors of another length than the first are refused.
    pub(crate) fn push(&mut self, chunk: u64, vector: &[f32]) -> bool {
        if self.chunks.is_empty() {
            self.dimensions = vector.len();
        }
        if vector.len() != self.dimensions || vector.is_empty() {
            return false;
        }
        self.values.extend_from_slice(vector);
        self.chunks.push(chunk);
        true
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.chunks.len()
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
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let parts = self.chunks.len().div_ceil(ROWS_PER_THREAD).min(cores).max(1);
        let rows = self.chunks.len().div_ceil(parts);
        let slices = self.chunks.chunks(rows).zip(self.values.chunks(rows * self.dimensions));
        let scan = |chunks: &[u64], values: &[f32]| scan(query, chunks, values, depth, alive);
        let mut best: Vec<Near> = std::thread::scope(|scope| {
            let mut slices = slices;
            let first = slices.next();
            let others: Vec<_> =
                slices.map(|(chunks, values)| scope.spawn(move || scan(chunks, values))).collect();
            let mut best = first.map_or_else(Vec::new, |(chunks, values)| scan(chunks, values));
            best.extend(others.into_iter().filter_map(|part| part.join().ok()).flatten());
            best
        });
        best.sort_unstable();
        best.truncate(depth);
        best.into_iter().map(|near| (near.chunk, near.similarity)).collect()
    }
}

/// Ordered so that the greatest is the farthest: the top of the heap is what a
/// nearer one replaces.
#[derive(Clone, Copy, PartialEq)]
struct Near {
    similarity: f32,
    chunk: u64,
}

impl Eq for Near {}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> Ordering {
        other.similarity.total_cmp(&self.similarity).then(self.chunk.cmp(&other.chunk))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn scan(
    query: &[f32],
    chunks: &[u64],
    values: &[f32],
    depth: usize,
    alive: &(dyn Fn(u64) -> bool + Sync),
) -> Vec<Near> {
    let mut nearest: BinaryHeap<Near> = BinaryHeap::with_capacity(depth + 1);
    for (chunk, vector) in chunks.iter().zip(values.chunks_exact(query.len())) {
        let near = Near { similarity: dot(vector, query), chunk: *chunk };
        let full = nearest.len() >= depth;
        if full && nearest.peek().is_some_and(|farthest| near >= *farthest) || !alive(*chunk) {
            continue;
        }
        nearest.push(near);
        if full {
            nearest.pop();
        }
    }
    nearest.into_vec()
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
        let vectors = vectors(40_000);
        let query = [0.6, 0.8, 0.0];
        let mut all: Vec<_> =
            (0..40_000).map(|row| (row as u64, vectors.similarity(row, &query).unwrap())).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        assert_eq!(vectors.top(&query, 25, &|_| true), all[..25]);
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
