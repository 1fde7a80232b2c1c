//! What stands behind the last layer: a vector of a text, or a number of a pair.

use crate::EmbedError;
use crate::encoder::add;
use crate::linear::{Kernels, Linear};
use crate::modules::Pooling;

/// A vector of unit length for each sequence of so many rows.
pub(crate) fn pool(
    pooling: Pooling,
    lengths: impl Iterator<Item = usize>,
    hidden: &[f32],
    width: usize,
) -> Vec<Vec<f32>> {
    let mut rows = hidden.chunks_exact(width);
    lengths
        .map(|length| {
            let mut sum = vec![0.0; width];
            let own = rows.by_ref().take(length);
            // A mean is the sum at another length, and that is made 1 below.
            match pooling {
                Pooling::Mean => own.for_each(|row| add(&mut sum, row)),
                Pooling::Cls => own.enumerate().for_each(|(place, row)| {
                    if place == 0 {
                        add(&mut sum, row);
                    }
                }),
            }
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
    /// A logit for each sequence of so many rows.
    pub(crate) fn logits(
        &self,
        kernels: &Kernels,
        lengths: &[usize],
        hidden: &[f32],
        width: usize,
    ) -> Result<Vec<f32>, EmbedError> {
        let mut first = Vec::with_capacity(lengths.len() * width);
        let mut start = 0;
        for length in lengths {
            first.extend_from_slice(hidden.get(start..start + width).unwrap_or_default());
            start += length * width;
        }
        let mut inner = vec![0.0; first.len()];
        self.dense.apply(kernels, &first, &mut inner)?;
        inner.iter_mut().for_each(|value| *value = value.tanh());
        let mut logits = vec![0.0; lengths.len()];
        self.output.apply(kernels, &inner, &mut logits)?;
        Ok(logits)
    }

    /// Bytes of its weights.
    pub(crate) fn bytes(&self) -> usize {
        self.dense.bytes() + self.output.bytes()
    }
}
