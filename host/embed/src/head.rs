//! What stands behind the last layer: a vector of a text, or a number of a pair.

use crate::EmbedError;
use crate::encoder::add;
use crate::linear::{Kernels, Linear};

/// A vector of unit length for each sequence of so many rows, in the direction of
/// their mean. The mean is the sum at another length, and that is made 1.
pub(crate) fn pool(
    counts: impl Iterator<Item = usize>,
    rows: &[f32],
    width: usize,
) -> Vec<Vec<f32>> {
    let mut rows = rows.chunks_exact(width);
    counts
        .map(|count| {
            let mut sum = vec![0.0; width];
            rows.by_ref().take(count).for_each(|row| add(&mut sum, row));
            normalize(&mut sum);
            sum
        })
        .collect()
}

fn normalize(vector: &mut [f32]) {
    let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    // Of no token there is no direction; the tokenizer always gives two.
    let norm = if norm > 0.0 { norm } else { 1.0 };
    vector.iter_mut().for_each(|value| *value /= norm);
}

/// A classifier of one label: two maps of a pair's first row, with the
/// hyperbolic tangent between them.
pub(crate) struct Head {
    pub(crate) dense: Linear,
    pub(crate) output: Linear,
}

impl Head {
    /// A logit for each pair's first row.
    pub(crate) fn logits(&self, kernels: &Kernels, rows: &[f32]) -> Result<Vec<f32>, EmbedError> {
        let mut inner = vec![0.0; rows.len()];
        self.dense.apply(kernels, rows, &mut inner)?;
        inner.iter_mut().for_each(|value| *value = value.tanh());
        let mut logits = vec![0.0; rows.len() / self.dense.outputs()];
        self.output.apply(kernels, &inner, &mut logits)?;
        Ok(logits)
    }

    /// Bytes of its weights.
    pub(crate) fn bytes(&self) -> usize {
        self.dense.bytes() + self.output.bytes()
    }
}
