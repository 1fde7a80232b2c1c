//! The forward pass (Devlin et al. 2019, with the sizes of MiniLM-L6: Wang et
//! al. 2020).
//!
//! Sequences of a pass lie behind each other as rows of one matrix, so that
//! the linear maps, which look at each row alone, need no padding. Only
//! attention goes sequence by sequence.

use memmap2::Mmap;
use rten_gemm::{BiasVector, GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_simd::{SimdOp, SimdUnaryOp};
use rten_tensor::{Matrix, NdTensorView};
use rten_vecmath::{Gelu, Normalize, NormalizeOptions, Softmax, Sum, SumSquareSub};

use crate::EmbedError;

/// Width of a row.
pub(crate) const HIDDEN: usize = 384;
/// Width inside the feed-forward part.
pub(crate) const FEED_FORWARD: usize = 1_536;
/// Number of layers.
pub(crate) const LAYERS: usize = 6;
const HEADS: usize = 12;
const HEAD: usize = HIDDEN / HEADS;
/// Query, key and value of a row, side by side.
const ATTENTION: usize = 3 * HIDDEN;
const LAYER_NORM_EPSILON: f32 = 1e-12;

pub(crate) struct Bert {
    pub(crate) words: Table,
    pub(crate) positions: Table,
    /// Every text is of the first kind.
    pub(crate) first_kind: Vec<f32>,
    pub(crate) norm: Norm,
    pub(crate) layers: Vec<Layer>,
    pub(crate) map: Mmap,
}

/// An embedding table in the mapped file.
pub(crate) struct Table {
    /// First byte.
    pub(crate) start: usize,
    pub(crate) rows: usize,
}

pub(crate) struct Layer {
    pub(crate) attention: Linear,
    pub(crate) attention_output: Linear,
    pub(crate) attention_norm: Norm,
    pub(crate) expand: Linear,
    pub(crate) contract: Linear,
    pub(crate) output_norm: Norm,
}

pub(crate) struct Linear {
    pub(crate) weights: PackedBMatrix<f32>,
    pub(crate) bias: Vec<f32>,
}

pub(crate) struct Norm {
    pub(crate) scale: Vec<f32>,
    pub(crate) bias: Vec<f32>,
}

impl Bert {
    /// One vector of unit length for each sequence of token ids.
    pub(crate) fn embed(&self, sequences: &[&[u32]]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let rows: usize = sequences.iter().map(|sequence| sequence.len()).sum();
        let mut hidden = self.look_up(sequences, rows);
        self.norm.apply(&mut hidden);
        let mut scratch = Scratch {
            attention: vec![0.0; rows * ATTENTION],
            mixed: vec![0.0; rows * HIDDEN],
            wide: vec![0.0; rows * FEED_FORWARD],
            narrow: vec![0.0; rows * HIDDEN],
        };
        // Executors stay on their thread; making one only picks the kernel.
        let gemm = GemmExecutor::new();
        for layer in &self.layers {
            layer.apply(&gemm, sequences, &mut hidden, &mut scratch)?;
        }
        Ok(pool(sequences, &hidden))
    }

    fn look_up(&self, sequences: &[&[u32]], rows: usize) -> Vec<f32> {
        let mut hidden = Vec::with_capacity(rows * HIDDEN);
        for sequence in sequences {
            for (position, id) in sequence.iter().enumerate() {
                let word = self.row(&self.words, *id as usize);
                let place = self.row(&self.positions, position);
                let sum = word.iter().zip(place).zip(&self.first_kind);
                hidden.extend(sum.map(|((word, place), kind)| {
                    f32::from_le_bytes(*word) + f32::from_le_bytes(*place) + kind
                }));
            }
        }
        hidden
    }

    /// The tokenizer knows as many words as the table has rows, and cuts at
    /// fewer positions, so a row outside cannot be asked for.
    fn row(&self, table: &Table, row: usize) -> &[[u8; 4]] {
        let start = table.start + row.min(table.rows - 1) * HIDDEN * 4;
        self.map.get(start..start + HIDDEN * 4).unwrap_or_default().as_chunks::<4>().0
    }
}

impl Layer {
    fn apply(
        &self,
        gemm: &GemmExecutor,
        sequences: &[&[u32]],
        hidden: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), EmbedError> {
        self.attention.apply(gemm, hidden, &mut scratch.attention)?;
        attend(gemm, sequences, &scratch.attention, &mut scratch.mixed)?;
        self.attention_output.apply(gemm, &scratch.mixed, &mut scratch.narrow)?;
        add(hidden, &scratch.narrow);
        self.attention_norm.apply(hidden);
        self.expand.apply(gemm, hidden, &mut scratch.wide)?;
        Gelu {}.map_mut(&mut scratch.wide);
        self.contract.apply(gemm, &scratch.wide, &mut scratch.narrow)?;
        add(hidden, &scratch.narrow);
        self.output_norm.apply(hidden);
        Ok(())
    }
}

impl Linear {
    fn apply(
        &self,
        gemm: &GemmExecutor,
        input: &[f32],
        output: &mut [f32],
    ) -> Result<(), EmbedError> {
        let width = self.weights.rows();
        let input = NdTensorView::from_data([input.len() / width, width], input);
        let options =
            GemmOptions { bias: Some(BiasVector::Row(&self.bias)), ..GemmOptions::default() };
        multiply(
            gemm,
            output,
            GemmInputA::Unpacked(input),
            GemmInputB::Packed(&self.weights),
            options,
        )
    }
}

fn multiply(
    gemm: &GemmExecutor,
    output: &mut [f32],
    a: GemmInputA<'_, f32>,
    b: GemmInputB<'_, f32>,
    options: GemmOptions<'_, f32, f32, f32>,
) -> Result<(), EmbedError> {
    gemm.gemm(output, a, b, options).map_err(|error| EmbedError::Kernel(error.to_string()))
}

/// softmax(Q Kᵀ / √d) V, for each sequence and head.
fn attend(
    gemm: &GemmExecutor,
    sequences: &[&[u32]],
    attention: &[f32],
    mixed: &mut [f32],
) -> Result<(), EmbedError> {
    let longest = sequences.iter().map(|sequence| sequence.len()).max().unwrap_or(0);
    let mut scores = vec![0.0; longest * longest];
    let mut head_output = vec![0.0; longest * HEAD];
    let mut start = 0;
    for sequence in sequences {
        let tokens = sequence.len();
        let own = start * ATTENTION..(start + tokens) * ATTENTION;
        let own = attention.get(own).unwrap_or_default();
        let scores = scores.get_mut(..tokens * tokens).unwrap_or_default();
        let head_output = head_output.get_mut(..tokens * HEAD).unwrap_or_default();
        for head in 0..HEADS {
            let part = |which: usize| columns(own, tokens, which * HIDDEN + head * HEAD);
            let scale =
                GemmOptions { alpha: (HEAD as f32).sqrt().recip(), ..GemmOptions::default() };
            let (query, key, value) = (part(0)?, part(1)?, part(2)?);
            multiply(
                gemm,
                scores,
                GemmInputA::Unpacked(query),
                GemmInputB::Unpacked(key.transposed()),
                scale,
            )?;
            for row in scores.chunks_exact_mut(tokens) {
                Softmax::new_mut(row).dispatch();
            }
            let weights = NdTensorView::from_data([tokens, tokens], &*scores);
            multiply(
                gemm,
                head_output,
                GemmInputA::Unpacked(weights),
                GemmInputB::Unpacked(value),
                GemmOptions::default(),
            )?;
            let rows = mixed.chunks_exact_mut(HIDDEN).skip(start);
            for (row, output) in rows.zip(head_output.chunks_exact(HEAD)) {
                if let Some(place) = row.get_mut(head * HEAD..(head + 1) * HEAD) {
                    place.copy_from_slice(output);
                }
            }
        }
        start += tokens;
    }
    Ok(())
}

struct Scratch {
    attention: Vec<f32>,
    mixed: Vec<f32>,
    wide: Vec<f32>,
    narrow: Vec<f32>,
}

/// One head's query, key or value: `HEAD` columns of the rows in `attention`.
fn columns(attention: &[f32], rows: usize, from: usize) -> Result<Matrix<'_>, EmbedError> {
    let data = attention.get(from..).unwrap_or_default();
    NdTensorView::from_data_with_strides([rows, HEAD], data, [ATTENTION, 1])
        .map_err(|error| EmbedError::Kernel(format!("{error:?}")))
}

fn add(to: &mut [f32], what: &[f32]) {
    to.iter_mut().zip(what).for_each(|(to, what)| *to += what);
}

impl Norm {
    fn apply(&self, rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(HIDDEN) {
            let mean = Sum::new(row).dispatch() / HIDDEN as f32;
            let variance = SumSquareSub::new(row, mean).dispatch() / HIDDEN as f32;
            let options = NormalizeOptions {
                pre_scale_bias: mean,
                scale: (variance + LAYER_NORM_EPSILON).sqrt().recip(),
                element_scale: Some(&self.scale),
                element_bias: Some(&self.bias),
                ..NormalizeOptions::default()
            };
            Normalize::new_mut(row, options).dispatch();
        }
    }
}

/// The mean of each sequence's rows, at unit length.
fn pool(sequences: &[&[u32]], hidden: &[f32]) -> Vec<Vec<f32>> {
    let mut rows = hidden.chunks_exact(HIDDEN);
    sequences
        .iter()
        .map(|sequence| {
            let mut sum = vec![0.0; HIDDEN];
            rows.by_ref().take(sequence.len()).for_each(|row| add(&mut sum, row));
            let norm = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
            // Of no token there is no mean; the tokenizer always gives two.
            let norm = if norm > 0.0 { norm } else { 1.0 };
            sum.iter_mut().for_each(|value| *value /= norm);
            sum
        })
        .collect()
}
