//! A model that reads a query and a passage together and says how well the
//! passage answers (Nogueira and Cho 2019).

use std::path::Path;

use crate::checkpoint;
use crate::config::{Purpose, bound};
use crate::embedder::{Options, TOKENIZER, describe, max_tokens, read_config};
use crate::encoder::{Encoder, Rows, Sequence};
use crate::folder::{Folder, MAX_TOKENIZER_BYTES, Manifest};
use crate::head::Head;
use crate::linear::{Kernels, Precision};
use crate::passes::Batches;
use crate::tokens::{Pairing, Tokens};
use crate::{EmbedError, LoadError, modules, weights};

/// A cross-encoder, and its tokenizer.
pub struct Reranker {
    encoder: Encoder,
    head: Head,
    tokens: Tokens,
    pairing: Pairing,
    precision: Precision,
    batches: Batches,
    manifest: Option<Manifest>,
}

/// The tokens of a query and a passage, as the model reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    ids: Vec<u32>,
    kinds: Vec<u32>,
}

impl Pair {
    /// The number of tokens, special ones included: what a score costs is in
    /// proportion to it.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.ids.len()
    }
}

/// How well a passage answers a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// What the model gives: any number, the higher the better. Numbers of
    /// different models cannot be compared.
    pub logit: f32,
    /// The logistic function of the logit, 0 to 1.
    pub relevance: f32,
}

impl Score {
    fn new(logit: f32) -> Self {
        Self { logit, relevance: (1.0 + (-logit).exp()).recip() }
    }
}

impl Reranker {
    /// Opens a cross-encoder of the family of BERT or of XLM-RoBERTa with one
    /// label from a folder with the files that its hub has: `config.json`,
    /// `tokenizer.json` and `model.safetensors` (or several files and their
    /// index). A model of another form is refused with the name of what is not
    /// supported; so are prompts and pooling in the options. Blocking.
    pub fn open(folder: &Path, options: Options) -> Result<Self, LoadError> {
        if options.query_prompt.is_some() || options.passage_prompt.is_some() {
            return Err(LoadError::unsupported("for reranking,", "a prompt"));
        }
        if options.pooling.is_some() {
            return Err(LoadError::unsupported("for reranking,", "pooling"));
        }
        let folder = Folder::open(folder)?;
        let config = read_config(&folder, Purpose::Classification)?;
        let length = modules::tokenizer_length(&folder)?;
        let max_tokens = max_tokens(&config, length, options.max_tokens)?;
        let files = checkpoint::files(&folder)?;
        let tokenizer = folder.required(TOKENIZER, MAX_TOKENIZER_BYTES)?;
        let (vocabulary, kinds, precision) = (config.vocabulary, config.kinds, options.precision);
        let (network, tokens) = rayon::join(
            || weights::classifier(&files, config, precision),
            || Tokens::parse(&tokenizer, max_tokens),
        );
        let ((encoder, head), tokens) = (network?, tokens?);
        tokens.fit(vocabulary)?;
        let mut pairing = tokens.pairing()?;
        if kinds == 1 {
            // Such a model gets no type that separates the texts of a pair.
            pairing.forget_kinds();
        }
        let last = u64::from(pairing.last_kind());
        bound("the tokenizer's last token type", last, 0, kinds as u64 - 1)?;
        let (batches, manifest) = (Batches::new()?, folder.into_manifest());
        Ok(Self { encoder, head, tokens, pairing, precision, batches, manifest })
    }

    /// Where the model's files came from, if its folder has a manifest.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// Tokens of a pair that are read, special ones included.
    pub fn max_tokens(&self) -> usize {
        self.tokens.max_tokens()
    }

    /// The most tokens that a query may have: half of what is left of
    /// [`Self::max_tokens`] without the special ones. A passage always has the
    /// other half at least.
    pub fn max_query_tokens(&self) -> usize {
        self.room() / 2
    }

    /// Tokens that query and passage have together.
    fn room(&self) -> usize {
        self.tokens.max_tokens().saturating_sub(self.pairing.len())
    }

    /// Bytes of memory that the packed weights take, as for
    /// [`Embedder::memory_bytes`](crate::Embedder::memory_bytes).
    pub fn memory_bytes(&self) -> usize {
        self.encoder.bytes() + self.head.bytes()
    }

    /// The model's form in a few words, for listings: "BERT, 6 layers of 384,
    /// cross-encoder, f32".
    pub fn form(&self) -> String {
        let encoder = describe(&self.encoder.config);
        format!("{encoder}, cross-encoder, {}", self.precision.name())
    }

    /// A score for each passage, as long as they are wanted: `wanted` is asked
    /// before each layer of each pass, which is some milliseconds of a small
    /// model. Blocking; uses all cores for many passages and one for a single one.
    ///
    /// A pair that is too long loses the passage's end. A query is never cut: one
    /// of more than [`Self::max_query_tokens`] is refused.
    pub fn score(
        &self,
        query: &str,
        passages: &[&str],
        wanted: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<Score>, EmbedError> {
        self.score_tokens(&self.tokens(query, passages)?, wanted)
    }

    /// The tokens of the query with each passage, cut as [`Self::score`] says.
    /// Blocking.
    pub fn tokens(&self, query: &str, passages: &[&str]) -> Result<Vec<Pair>, EmbedError> {
        let most = self.max_query_tokens();
        let query = self.tokens.some(query, most + 1)?;
        if query.len() > most {
            return Err(EmbedError::QueryTooLong { most });
        }
        let room = self.room().saturating_sub(query.len());
        self.batches.map(passages, |passage| {
            let (ids, kinds) = self.pairing.write(&query, &self.tokens.some(passage, room)?);
            Ok(Pair { ids, kinds })
        })
    }

    /// A score for each of [`Self::tokens`], as [`Self::score`] gives them.
    /// Blocking.
    pub fn score_tokens(
        &self,
        pairs: &[Pair],
        wanted: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<Score>, EmbedError> {
        self.batches.run(pairs, Pair::len, |pass| {
            let kernels = Kernels::new();
            let sequences: Vec<Sequence<'_>> =
                pass.iter().map(|pair| Sequence { ids: &pair.ids, kinds: &pair.kinds }).collect();
            let rows = self.encoder.rows(&kernels, &sequences, Rows::First, wanted)?;
            let logits = self.head.logits(&kernels, &rows)?;
            Ok(logits.into_iter().map(Score::new).collect())
        })
    }
}
