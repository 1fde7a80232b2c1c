//! The best of what a scan offers, and the measure it is compared by.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use multiversion::multiversion;

/// Ordered so that the greatest is the farthest: the top of the heap is what a
/// nearer one replaces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Near {
    pub(super) similarity: f32,
    /// What it is known by; of equals the one with the lesser stands first.
    pub(super) key: u64,
}

impl Eq for Near {}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> Ordering {
        other.similarity.total_cmp(&self.similarity).then(self.key.cmp(&other.key))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The best of what is offered.
pub(super) struct Nearest {
    limit: usize,
    heap: BinaryHeap<Near>,
    /// What a row must reach, once there are enough.
    bar: f32,
}

impl Nearest {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::with_capacity(limit + 1), bar: f32::NEG_INFINITY }
    }

    /// The order of the offers has no effect.
    #[inline]
    pub(super) fn offer(&mut self, similarity: f32, key: u64, accept: impl FnOnce() -> bool) {
        if similarity >= self.bar && accept() {
            self.heap.push(Near { similarity, key });
            if self.heap.len() > self.limit {
                self.heap.pop();
            }
            if self.heap.len() == self.limit {
                self.bar = self.heap.peek().map_or(f32::NEG_INFINITY, |near| near.similarity);
            }
        }
    }

    pub(super) fn into_vec(self) -> Vec<Near> {
        self.heap.into_vec()
    }
}

/// The best `limit`, in order.
pub(super) fn best(mut found: Vec<Near>, limit: usize) -> Vec<Near> {
    if found.len() > limit && limit > 0 {
        found.select_nth_unstable(limit - 1);
    }
    found.truncate(limit);
    found.sort_unstable();
    found
}

/// Independent sums, so that the additions need not wait for each other.
const LANES: usize = 32;

#[multiversion(targets("x86_64+avx512f", "x86_64+avx2+fma", "aarch64+neon"))]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
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

    #[test]
    fn dot_products_are_right_for_any_length() {
        for length in [0, 1, 31, 32, 33, 384, 385] {
            let a: Vec<f32> = (0..length).map(|i| i as f32 % 7.0).collect();
            let b: Vec<f32> = (0..length).map(|i| i as f32 % 5.0).collect();
            let plain: f32 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            assert_eq!(dot(&a, &b), plain);
        }
    }

    #[test]
    fn the_best_are_those_of_sorting_everything() {
        let similarity = |key: u64| (key * 37 % 11) as f32;
        let mut nearest = Nearest::new(20);
        (0..100).rev().for_each(|key| nearest.offer(similarity(key), key, || key % 2 == 0));
        let mut all: Vec<_> =
            (0..100).step_by(2).map(|key| Near { similarity: similarity(key), key }).collect();
        all.sort();
        assert_eq!(best(nearest.into_vec(), 10), all[..10]);
        assert_eq!(best(all.clone(), 0), []);
    }
}
