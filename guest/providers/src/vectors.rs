//! Vectors of chunks, as they are stored, and the exact scan over them.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};

/// The vectors of a document's chunks, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// The model that made them; those of another are of no use.
    pub model: String,
    /// For each chunk, its numbers as little-endian `f32` in base64.
    pub vectors: Vec<String>,
}

impl Stored {
    /// Of vectors that `model` made.
    pub fn new(model: &str, vectors: &[Vec<f32>]) -> Self {
        let encode = |vector: &Vec<f32>| {
            let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
            STANDARD_NO_PAD.encode(bytes)
        };
        Self { model: model.to_owned(), vectors: vectors.iter().map(encode).collect() }
    }

    /// The vectors; one that does not decode is empty, and near to nothing.
    pub fn decoded(&self) -> impl Iterator<Item = Vec<f32>> {
        self.vectors.iter().map(|text| {
            let bytes = STANDARD_NO_PAD.decode(text).unwrap_or_default();
            let (values, _) = bytes.as_chunks::<4>();
            values.iter().map(|value| f32::from_le_bytes(*value)).collect()
        })
    }
}

/// The vectors of one collection, of unit length.
#[derive(Debug, Default)]
pub struct Vectors(HashMap<u64, Vec<f32>>);

impl Vectors {
    /// Adds or replaces a chunk's.
    pub fn insert(&mut self, chunk: u64, vector: Vec<f32>) {
        self.0.insert(chunk, vector);
    }

    /// Forgets a chunk's.
    pub fn remove(&mut self, chunk: u64) {
        self.0.remove(&chunk);
    }

    /// The cosine of a chunk to `query`, when it has a vector of its length.
    pub fn similarity(&self, chunk: u64, query: &[f32]) -> Option<f32> {
        let vector = self.0.get(&chunk).filter(|vector| vector.len() == query.len())?;
        Some(vector.iter().zip(query).map(|(a, b)| a * b).sum())
    }

    /// The `depth` chunks nearest to `query` that `allowed` accepts, best first.
    pub fn nearest(
        &self,
        query: &[f32],
        depth: usize,
        allowed: impl Fn(u64) -> bool,
    ) -> Vec<(u64, f32)> {
        let chunks = self.0.keys().filter(|chunk| allowed(**chunk));
        let mut found: Vec<_> =
            chunks.filter_map(|chunk| Some((*chunk, self.similarity(*chunk, query)?))).collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found.truncate(depth);
        found
    }

    /// The query's vector and the mean of these chunks', half and half (Rocchio
    /// 1971; for dense vectors Li et al. 2021), of unit length.
    pub fn moved(&self, query: &[f32], towards: &[u64]) -> Vec<f32> {
        let near: Vec<_> = towards
            .iter()
            .filter_map(|chunk| self.0.get(chunk).filter(|near| near.len() == query.len()))
            .collect();
        let weight = 1.0 / near.len().max(1) as f32;
        let mut moved = query.to_vec();
        for vector in near {
            moved.iter_mut().zip(vector).for_each(|(to, from)| *to += weight * from);
        }
        let norm = moved.iter().map(|value| value * value).sum::<f32>().sqrt();
        if norm > 0.0 {
            moved.iter_mut().for_each(|value| *value /= norm);
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_comes_back() {
        let vectors = vec![vec![0.6, -0.8], vec![1.0, 0.0]];
        let stored = Stored::new("m", &vectors);
        assert_eq!(stored.decoded().collect::<Vec<_>>(), vectors);
    }

    #[test]
    fn the_nearest_come_first_and_another_length_never() {
        let mut vectors = Vectors::default();
        vectors.insert(1, vec![1.0, 0.0]);
        vectors.insert(2, vec![0.0, 1.0]);
        vectors.insert(3, vec![1.0]);
        assert_eq!(vectors.nearest(&[0.6, 0.8], 9, |_| true), [(2, 0.8), (1, 0.6)]);
        assert_eq!(vectors.nearest(&[0.6, 0.8], 9, |chunk| chunk == 1), [(1, 0.6)]);
        let moved = vectors.moved(&[1.0, 0.0], &[2, 3]);
        assert!((moved[0] - moved[1]).abs() < 1e-6, "{moved:?}");
        assert_eq!(vectors.moved(&[1.0, 0.0], &[]), [1.0, 0.0]);
    }
}
