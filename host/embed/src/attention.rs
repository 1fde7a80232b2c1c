//! Attention of several heads (Vaswani et al. 2017).

use rten_gemm::{GemmInputA, GemmInputB, GemmOptions};
use rten_simd::SimdOp;
use rten_tensor::{Matrix, NdTensorView};
use rten_vecmath::Softmax;

use crate::EmbedError;
use crate::linear::Kernels;

/// Queries that are held against all keys together: what a long text's scores
/// take of memory grows with its length, not with the square of it.
const QUERY_ROWS: usize = 512;

/// The sizes of attention.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Width of a row of one of queries, keys and values.
    pub(crate) hidden: usize,
    pub(crate) heads: usize,
}

impl Shape {
    /// Columns of a head.
    fn head(self) -> usize {
        self.hidden / self.heads
    }

    /// Columns of a query, a key and a value side by side.
    fn row(self) -> usize {
        3 * self.hidden
    }
}

/// softmax(Q Kᵀ / √d) V, for each sequence and head. `attention` has Q, K and V
/// of a row side by side; `mixed` has a row of `hidden` for each.
pub(crate) fn attend(
    kernels: &Kernels,
    shape: Shape,
    lengths: &[usize],
    attention: &[f32],
    mixed: &mut [f32],
) -> Result<(), EmbedError> {
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let block = longest.min(QUERY_ROWS);
    let mut buffer =
        Buffer { scores: vec![0.0; block * longest], output: vec![0.0; block * shape.head()] };
    let mut start = 0;
    for tokens in lengths {
        let end = start + tokens;
        let own = attention.get(start * shape.row()..end * shape.row()).unwrap_or_default();
        let mixed = mixed.get_mut(start * shape.hidden..end * shape.hidden).unwrap_or_default();
        for head in 0..shape.heads {
            let head = Head { shape, attention: own, tokens: *tokens, first: head * shape.head() };
            head.attend(kernels, mixed, &mut buffer)?;
        }
        start = end;
    }
    Ok(())
}

struct Buffer {
    scores: Vec<f32>,
    output: Vec<f32>,
}

/// A head of a sequence.
struct Head<'a> {
    shape: Shape,
    /// The sequence's rows.
    attention: &'a [f32],
    tokens: usize,
    /// The head's first column.
    first: usize,
}

impl<'a> Head<'a> {
    fn attend(
        &self,
        kernels: &Kernels,
        mixed: &mut [f32],
        buffer: &mut Buffer,
    ) -> Result<(), EmbedError> {
        let width = self.shape.head();
        let key = self.columns(self.shape.hidden, 0, self.tokens)?;
        let value = self.columns(2 * self.shape.hidden, 0, self.tokens)?;
        for (block, mixed) in mixed.chunks_mut(QUERY_ROWS * self.shape.hidden).enumerate() {
            let rows = mixed.len() / self.shape.hidden;
            let query = self.columns(0, block * QUERY_ROWS, rows)?;
            let scores = buffer.scores.get_mut(..rows * self.tokens).unwrap_or_default();
            let output = buffer.output.get_mut(..rows * width).unwrap_or_default();
            let scale =
                GemmOptions { alpha: (width as f32).sqrt().recip(), ..GemmOptions::default() };
            let transposed = GemmInputB::Unpacked(key.transposed());
            kernels.multiply(scores, GemmInputA::Unpacked(query), transposed, scale)?;
            for row in scores.chunks_exact_mut(self.tokens) {
                Softmax::new_mut(row).dispatch();
            }
            let weights = NdTensorView::from_data([rows, self.tokens], &*scores);
            let value = GemmInputB::Unpacked(value);
            let plain = GemmOptions::default();
            kernels.multiply(output, GemmInputA::Unpacked(weights), value, plain)?;
            for (row, output) in
                mixed.chunks_exact_mut(self.shape.hidden).zip(output.chunks_exact(width))
            {
                if let Some(place) = row.get_mut(self.first..self.first + width) {
                    place.copy_from_slice(output);
                }
            }
        }
        Ok(())
    }

    /// The head's columns of `rows` rows, of queries, keys or values by where
    /// these begin in a row.
    fn columns(&self, which: usize, row: usize, rows: usize) -> Result<Matrix<'a>, EmbedError> {
        let stride = self.shape.row();
        let data = self.attention.get(row * stride + which + self.first..).unwrap_or_default();
        NdTensorView::from_data_with_strides([rows, self.shape.head()], data, [stride, 1])
            .map_err(|error| EmbedError::Kernel(format!("{error:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The formula as it is written, in double precision.
    fn plain(shape: Shape, tokens: usize, attention: &[f32]) -> Vec<f64> {
        let at = |row: usize, which: usize, column: usize| {
            f64::from(attention[row * shape.row() + which * shape.hidden + column])
        };
        let mut mixed = vec![0.0; tokens * shape.hidden];
        for (place, mixed) in mixed.iter_mut().enumerate() {
            let (row, column) = (place / shape.hidden, place % shape.hidden);
            let head = column / shape.head() * shape.head();
            let score = |other: usize| {
                let products = (head..head + shape.head()).map(|c| at(row, 0, c) * at(other, 1, c));
                (products.sum::<f64>() / (shape.head() as f64).sqrt()).exp()
            };
            let total: f64 = (0..tokens).map(score).sum();
            *mixed =
                (0..tokens).map(|other| score(other) * at(other, 2, column)).sum::<f64>() / total;
        }
        mixed
    }

    #[test]
    fn more_queries_than_a_block_are_as_the_formula_says() {
        let shape = Shape { hidden: 4, heads: 2 };
        let lengths = [3, QUERY_ROWS + 7];
        let rows: usize = lengths.iter().sum();
        let attention: Vec<f32> =
            (0..rows * shape.row()).map(|n| (n * 37 % 101) as f32 / 50.0 - 1.0).collect();
        let mut mixed = vec![0.0; rows * shape.hidden];
        attend(&Kernels::new(), shape, &lengths, &attention, &mut mixed).unwrap();
        let (first, second) = attention.split_at(3 * shape.row());
        let expected = [plain(shape, 3, first), plain(shape, lengths[1], second)].concat();
        for (found, expected) in mixed.iter().zip(&expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} {expected}");
        }
    }
}
