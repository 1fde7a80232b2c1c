//! The forward pass of BERT and XLM-RoBERTa (Devlin et al. 2019; Conneau et al.
//! 2020).
//!
//! Sequences of a pass lie behind each other as rows of one matrix, so that
//! the linear maps, which look at each row alone, need no padding. Only
//! attention goes sequence by sequence.

use rten_simd::SimdOp;
use rten_vecmath::{Normalize, NormalizeOptions, Sum, SumSquareSub};

use crate::EmbedError;
use crate::attention::{Shape, attend};
use crate::checkpoint::Table;
use crate::config::{Activation, Config, Family};
use crate::linear::{Kernels, Linear};

/// Rows that go through the feed-forward part together: their wide form stays
/// in the second-level cache, and a long text takes no more memory than that.
const FEED_FORWARD_ROWS: usize = 256;

/// The token ids of a text, or of a pair of texts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sequence<'a> {
    pub(crate) ids: &'a [u32],
    /// The type of each token, or nothing if all are of the first.
    pub(crate) kinds: &'a [u32],
}

/// Which rows of the last layer are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    /// That of every token.
    All,
    /// Each sequence's first. Nothing is computed of the others behind the last
    /// layer's attention, which is most of that layer.
    First,
}

impl Rows {
    /// Of how many rows of a sequence there are.
    pub(crate) fn of(self, tokens: usize) -> usize {
        match self {
            Self::All => tokens,
            Self::First => tokens.min(1),
        }
    }
}

/// The network without what stands behind its last layer.
pub(crate) struct Encoder {
    pub(crate) config: Config,
    pub(crate) words: Table,
    pub(crate) positions: Table,
    /// A row for each token type.
    pub(crate) kinds: Vec<f32>,
    pub(crate) norm: Norm,
    pub(crate) layers: Vec<Layer>,
}

pub(crate) struct Layer {
    pub(crate) attention: Linear,
    pub(crate) attention_output: Linear,
    pub(crate) attention_norm: Norm,
    pub(crate) expand: Linear,
    pub(crate) contract: Linear,
    pub(crate) output_norm: Norm,
}

/// Normalization of rows (Ba et al. 2016).
pub(crate) struct Norm {
    pub(crate) scale: Vec<f32>,
    pub(crate) bias: Vec<f32>,
    pub(crate) epsilon: f32,
}

struct Scratch {
    /// Query, key and value of a row, side by side.
    attention: Vec<f32>,
    mixed: Vec<f32>,
    wide: Vec<f32>,
    narrow: Vec<f32>,
}

impl Encoder {
    /// The last layer's rows, one for each token or for each sequence's first,
    /// sequence behind sequence, as long as they are wanted: `wanted` is asked
    /// before each layer.
    pub(crate) fn rows(
        &self,
        kernels: &Kernels,
        sequences: &[Sequence<'_>],
        needed: Rows,
        wanted: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<f32>, EmbedError> {
        sequences.iter().try_for_each(|sequence| self.check(sequence))?;
        let rows: usize = sequences.iter().map(|sequence| sequence.ids.len()).sum();
        let width = self.config.hidden;
        let mut hidden = self.look_up(sequences, rows);
        self.norm.apply(&mut hidden);
        let mut scratch = Scratch {
            attention: vec![0.0; rows * 3 * width],
            mixed: vec![0.0; rows * width],
            wide: vec![0.0; rows.min(FEED_FORWARD_ROWS) * self.config.feed_forward],
            narrow: vec![0.0; rows * width],
        };
        let lengths: Vec<usize> = sequences.iter().map(|sequence| sequence.ids.len()).collect();
        let shape = Shape { hidden: width, heads: self.config.heads };
        for (place, layer) in self.layers.iter().enumerate() {
            if !wanted() {
                return Err(EmbedError::CalledOff);
            }
            layer.attention.apply(kernels, &hidden, &mut scratch.attention)?;
            attend(kernels, shape, &lengths, &scratch.attention, &mut scratch.mixed)?;
            if needed == Rows::First && place + 1 == self.layers.len() {
                hidden = first_rows(&hidden, &lengths, width);
                scratch.mixed = first_rows(&scratch.mixed, &lengths, width);
            }
            layer.merge(kernels, &mut hidden, &mut scratch)?;
            layer.feed_forward(kernels, self.config.activation, &mut hidden, &mut scratch)?;
        }
        Ok(hidden)
    }

    /// Bytes of the weights that are held in memory. The tables of words and
    /// positions stay in their file, of which only the rows in use are read.
    pub(crate) fn bytes(&self) -> usize {
        self.layers.iter().map(Layer::bytes).sum()
    }

    fn check(&self, sequence: &Sequence<'_>) -> Result<(), EmbedError> {
        let (tokens, most) = (sequence.ids.len(), self.config.max_tokens());
        if tokens > most {
            return Err(EmbedError::TooLong { tokens, most });
        }
        let vocabulary = self.config.vocabulary;
        match sequence.ids.iter().find(|id| **id as usize >= vocabulary) {
            Some(id) => Err(EmbedError::UnknownToken { id: *id, vocabulary }),
            None => Ok(()),
        }
    }

    fn look_up(&self, sequences: &[Sequence<'_>], rows: usize) -> Vec<f32> {
        let width = self.config.hidden;
        let mut hidden = vec![0.0; rows * width];
        let mut places = hidden.chunks_exact_mut(width);
        for sequence in sequences {
            let positions = positions(&self.config, sequence.ids);
            let kinds = sequence.kinds.iter().copied().chain(std::iter::repeat(0));
            let tokens = sequence.ids.iter().zip(positions).zip(kinds);
            for ((id, position), kind) in tokens {
                let Some(row) = places.next() else { break };
                self.words.add_row(*id as usize, row);
                self.positions.add_row(position, row);
                if let Some(kind) = self.kinds.chunks_exact(width).nth(kind as usize) {
                    add(row, kind);
                }
            }
        }
        hidden
    }
}

/// The first row of each sequence.
fn first_rows(rows: &[f32], lengths: &[usize], width: usize) -> Vec<f32> {
    let mut first = Vec::with_capacity(lengths.len() * width);
    let mut rest = rows.chunks_exact(width);
    for length in lengths {
        let own = rest.by_ref().take(*length).enumerate();
        own.filter(|(place, _)| *place == 0).for_each(|(_, row)| first.extend_from_slice(row));
    }
    first
}

/// The row of the table of positions for each token. XLM-RoBERTa counts from
/// behind the padding token's id, and gives a padding token, which a text may
/// spell out, the position of that id.
fn positions(config: &Config, ids: &[u32]) -> impl Iterator<Item = usize> {
    let (family, padding, first) = (config.family, config.padding, config.first_position());
    let mut before = 0;
    ids.iter().map(move |id| match family {
        Family::XlmRoberta if *id == padding => padding as usize,
        Family::XlmRoberta | Family::Bert => {
            before += 1;
            first + before - 1
        }
    })
}

impl Layer {
    /// Adds what attention found to the rows.
    fn merge(
        &self,
        kernels: &Kernels,
        hidden: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), EmbedError> {
        let narrow = scratch.narrow.get_mut(..hidden.len()).unwrap_or_default();
        self.attention_output.apply(kernels, &scratch.mixed, narrow)?;
        add(hidden, narrow);
        self.attention_norm.apply(hidden);
        Ok(())
    }

    fn feed_forward(
        &self,
        kernels: &Kernels,
        activation: Activation,
        hidden: &mut [f32],
        scratch: &mut Scratch,
    ) -> Result<(), EmbedError> {
        let width = self.output_norm.scale.len();
        for rows in hidden.chunks_mut(FEED_FORWARD_ROWS * width) {
            let count = rows.len() / width;
            let wide = count * self.expand.outputs();
            let wide = scratch.wide.get_mut(..wide).unwrap_or_default();
            let narrow = scratch.narrow.get_mut(..rows.len()).unwrap_or_default();
            self.expand.activate(kernels, rows, wide, activation)?;
            self.contract.apply(kernels, wide, narrow)?;
            add(rows, narrow);
            self.output_norm.apply(rows);
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        [&self.attention, &self.attention_output, &self.expand, &self.contract]
            .iter()
            .map(|linear| linear.bytes())
            .sum()
    }
}

pub(crate) fn add(to: &mut [f32], what: &[f32]) {
    to.iter_mut().zip(what).for_each(|(to, what)| *to += what);
}

impl Norm {
    fn apply(&self, rows: &mut [f32]) {
        let width = self.scale.len();
        for row in rows.chunks_exact_mut(width) {
            let mean = Sum::new(row).dispatch() / width as f32;
            let variance = SumSquareSub::new(row, mean).dispatch() / width as f32;
            let options = NormalizeOptions {
                pre_scale_bias: mean,
                scale: (variance + self.epsilon).sqrt().recip(),
                element_scale: Some(&self.scale),
                element_bias: Some(&self.bias),
                ..NormalizeOptions::default()
            };
            Normalize::new_mut(row, options).dispatch();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_start_behind_the_padding_token_and_leave_it_out() {
        let mut config = Config::mini_lm();
        assert_eq!(positions(&config, &[7, 0, 8]).collect::<Vec<_>>(), [0, 1, 2]);
        config.family = Family::XlmRoberta;
        config.padding = 1;
        assert_eq!(positions(&config, &[0, 7, 1, 8]).collect::<Vec<_>>(), [2, 3, 1, 4]);
    }
}
