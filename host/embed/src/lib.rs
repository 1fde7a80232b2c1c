//! Sentence embeddings by all-MiniLM-L6-v2, on the CPU.
//!
//! The forward pass is our own, on well-kept kernels: the model is six small
//! layers, and what general runtimes lose on it (padding, copies, one pass over
//! memory for each operation) is most of what it costs.

mod bert;
pub mod files;
mod tokens;
mod weights;

use std::path::Path;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use bert::Bert;
use tokens::Tokens;

/// Tokens that one pass takes together: enough rows to keep the kernels busy,
/// few enough that the activations stay in the second-level cache.
const TOKENS_PER_PASS: usize = 512;

/// The model and its tokenizer.
pub struct Embedder {
    bert: Bert,
    tokens: Tokens,
    /// Threads for many texts at once, so that a query, which works on the
    /// common ones, never queues behind a batch.
    batches: ThreadPool,
}

/// Why a model could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("{path} cannot be read: {error}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The weights are not those of all-MiniLM-L6-v2.
    #[error("the weights are not those of all-MiniLM-L6-v2: {0}")]
    Weights(String),
    /// The tokenizer cannot be used.
    #[error("the tokenizer cannot be used: {0}")]
    Tokenizer(String),
    /// The operating system gave no threads.
    #[error("no threads to embed with: {0}")]
    Threads(String),
}

/// Why texts could not be embedded.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The tokenizer failed.
    #[error("a text could not be split into tokens: {0}")]
    Tokenizer(String),
    /// Nobody wants the vectors any more.
    #[error("the embedding was called off")]
    CalledOff,
    /// A kernel was given what does not fit; a bug of this crate.
    #[error("the forward pass failed: {0}")]
    Kernel(String),
}

impl Embedder {
    /// The model's name.
    pub const NAME: &str = "all-MiniLM-L6-v2";
    /// Length of a vector.
    pub const DIMENSIONS: usize = bert::HIDDEN;
    /// Tokens of a text that count, the two special ones among them.
    pub const MAX_TOKENS: usize = 256;

    /// The languages that it was trained on, by its model card.
    pub const LANGUAGES: [&str; 1] = ["en"];

    /// Loads `model.safetensors` and `tokenizer.json`. Blocking.
    pub fn load(weights: &Path, tokenizer: &Path) -> Result<Self, LoadError> {
        let (bert, tokens) =
            rayon::join(|| weights::load(weights), || Tokens::load(tokenizer, Self::MAX_TOKENS));
        let batches =
            ThreadPoolBuilder::new().thread_name(|n| format!("ragtime-embed-{n}")).build();
        let batches = batches.map_err(|error| LoadError::Threads(error.to_string()))?;
        Ok(Self { bert: bert?, tokens: tokens?, batches })
    }

    /// One vector of unit length for each text. Blocking; uses all cores for
    /// many texts and one for a single text.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.embed_tokens(&self.tokens(texts)?, &|| true)
    }

    /// The tokens of each text that the model reads, special ones included:
    /// what embedding costs is in proportion to their number. Blocking.
    pub fn tokens(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, EmbedError> {
        match texts {
            [text] => Ok(vec![self.tokens.encode(text)?]),
            texts => self
                .batches
                .install(|| texts.par_iter().map(|text| self.tokens.encode(text)).collect()),
        }
    }

    /// One vector of unit length for each list of [`Self::tokens`], as long as
    /// they are wanted: `wanted` is asked before each pass, which is some tens of
    /// milliseconds. Blocking, as [`Self::embed`] is.
    pub fn embed_tokens(
        &self,
        ids: &[Vec<u32>],
        wanted: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<Vec<f32>>, EmbedError> {
        match ids {
            [] => Ok(Vec::new()),
            [ids] => self.bert.embed(&[ids]),
            ids => self.batches.install(|| self.embed_many(ids, wanted)),
        }
    }

    fn embed_many(
        &self,
        ids: &[Vec<u32>],
        wanted: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut order: Vec<usize> = (0..ids.len()).collect();
        order.sort_by_key(|at| std::cmp::Reverse(ids.get(*at).map_or(0, Vec::len)));
        let run = |pass: &&[usize]| {
            if !wanted() {
                return Err(EmbedError::CalledOff);
            }
            let sequences: Vec<&[u32]> =
                pass.iter().filter_map(|at| ids.get(*at)).map(Vec::as_slice).collect();
            self.bert.embed(&sequences)
        };
        let embedded: Vec<Vec<Vec<f32>>> =
            passes(&order, ids).par_iter().map(run).collect::<Result<_, _>>()?;
        let mut vectors = vec![Vec::new(); ids.len()];
        for (at, vector) in order.into_iter().zip(embedded.into_iter().flatten()) {
            if let Some(place) = vectors.get_mut(at) {
                *place = vector;
            }
        }
        Ok(vectors)
    }

    /// The share of a text's tokens that the model does not know, 0 to 1.
    pub fn unknown_share(&self, text: &str) -> Result<f32, EmbedError> {
        self.tokens.unknown_share(text)
    }

    /// The byte at which each token of `text` starts, in order; special tokens
    /// left out, nothing cut.
    pub fn token_starts(&self, text: &str) -> Result<Vec<u32>, EmbedError> {
        self.tokens.starts(text)
    }
}

/// Cuts the order into runs of about [`TOKENS_PER_PASS`] tokens.
fn passes<'a>(order: &'a [usize], ids: &[Vec<u32>]) -> Vec<&'a [usize]> {
    let mut passes = Vec::new();
    let (mut start, mut tokens) = (0, 0);
    for (end, at) in order.iter().enumerate() {
        tokens += ids.get(*at).map_or(0, Vec::len);
        if tokens >= TOKENS_PER_PASS {
            passes.extend(order.get(start..=end));
            (start, tokens) = (end + 1, 0);
        }
    }
    passes.extend(order.get(start..).filter(|rest| !rest.is_empty()));
    passes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_hold_every_text_once_and_in_order() {
        let ids: Vec<Vec<u32>> = (0..40).map(|n| vec![0; 2 + 7 * n]).collect();
        let order: Vec<usize> = (0..40).rev().collect();
        let passes = passes(&order, &ids);
        assert!(passes.len() > 1);
        assert_eq!(passes.concat(), order);
    }
}
