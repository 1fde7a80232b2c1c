//! Centroids of vectors: spherical k-means (Dhillon and Modha 2001) over a sample.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::nearest::{Nearest, best, dot};
use super::segment::{SEGMENT_ROWS, Segment};
use crate::quantization::{Codes, CodesRef, Quantizer};

/// Vectors that are looked at for each centroid: enough for its mean, few enough that
/// the centroids of a million rows take seconds.
const PER_CENTROID: usize = 32;
/// Rounds after which centroids hardly move.
const ROUNDS: usize = 5;

/// Centroids that are compared exactly for the nearest one.
const RESCORED: usize = 8;

/// What centroids are found for.
pub(super) struct Sample<'a> {
    pub(super) segments: &'a BTreeMap<u32, Arc<Segment>>,
    pub(super) dimensions: usize,
}

impl<'a> Sample<'a> {
    /// About so many rows, evenly from all.
    fn take(&self, wanted: usize) -> Vec<&'a [f32]> {
        let step = (self.segments.len() * SEGMENT_ROWS / wanted.max(1)).max(1);
        let rows = self.segments.values().flat_map(|segment| {
            let rows = segment.values().chunks_exact(self.dimensions);
            rows.step_by(step)
        });
        rows.collect()
    }
}

/// At most `wanted` directions, one after the other, around which the rows of the
/// segments lie; none when asked to `stop`. The same segments give the same.
pub(super) fn centroids(
    of: &Sample<'_>,
    quantizer: &Quantizer,
    wanted: usize,
    stop: &AtomicBool,
) -> Option<Vec<f32>> {
    let sample = of.take(wanted * PER_CENTROID);
    let step = (sample.len() / wanted.max(1)).max(1);
    let first = sample.iter().step_by(step).take(wanted);
    let mut found: Vec<f32> = first.flat_map(|vector| vector.iter().copied()).collect();
    for _ in 0..ROUNDS {
        if stop.load(Relaxed) {
            return None;
        }
        found = moved(&found, &sample, quantizer, of.dimensions);
    }
    Some(found)
}

/// Each centroid becomes the direction of the vectors that are nearest to it. One that
/// has none becomes a vector of the sample, which splits another's.
fn moved(found: &[f32], sample: &[&[f32]], quantizer: &Quantizer, dimensions: usize) -> Vec<f32> {
    let codes = codes_of(quantizer, found);
    let centroids = Centroids { values: found, codes: codes.all(), dimensions };
    let mut sums = vec![0.0; found.len()];
    let mut counts = vec![0_usize; centroids.len()];
    for vector in sample {
        let nearest = centroids.nearest_to(quantizer, vector);
        let sum = sums.iter_mut().skip(nearest * dimensions);
        sum.zip(*vector).for_each(|(sum, value)| *sum += value);
        if let Some(count) = counts.get_mut(nearest) {
            *count += 1;
        }
    }
    // No multiple of the step at which the first ones were taken.
    let mut spare = sample.iter().step_by(PER_CENTROID - 1);
    for (centroid, count) in sums.chunks_exact_mut(dimensions).zip(counts) {
        if count == 0
            && let Some(vector) = spare.next()
        {
            centroid.copy_from_slice(vector);
        }
        let length = centroid.iter().map(|value| value * value).sum::<f32>().sqrt();
        if length > 0.0 {
            centroid.iter_mut().for_each(|value| *value /= length);
        }
    }
    sums
}

pub(super) fn codes_of(quantizer: &Quantizer, vectors: &[f32]) -> Codes {
    let mut codes = quantizer.codes();
    for vector in vectors.chunks_exact(quantizer.dimensions().max(1)) {
        quantizer.push(&mut codes, vector);
    }
    codes
}

/// The centres of lists.
#[derive(Clone, Copy)]
pub(super) struct Centroids<'a> {
    pub(super) values: &'a [f32],
    pub(super) codes: CodesRef<'a>,
    pub(super) dimensions: usize,
}

impl Centroids<'_> {
    pub(super) fn len(&self) -> usize {
        self.codes.factors.len()
    }

    pub(super) fn similarity(&self, centroid: usize, vector: &[f32]) -> f32 {
        let start = centroid * self.dimensions;
        let values = self.values.get(start..start + self.dimensions);
        values.map_or(f32::NEG_INFINITY, |values| dot(values, vector))
    }

    /// The nearest one: the best of those whose codes look nearest.
    pub(super) fn nearest_to(&self, quantizer: &Quantizer, vector: &[f32]) -> usize {
        let mut nearest = Nearest::new(RESCORED);
        self.codes.estimate(&quantizer.query(vector), |centroid, similarity| {
            nearest.offer(similarity, centroid as u64, || true);
        });
        let mut found = nearest.into_vec();
        for near in &mut found {
            near.similarity = self.similarity(near.key as usize, vector);
        }
        best(found, 1).first().map_or(0, |near| near.key as usize)
    }
}
