//! A model that makes vectors of texts.

use std::borrow::Cow;
use std::path::Path;

use crate::checkpoint;
use crate::config::{self, Config, Purpose, bound};
use crate::encoder::{Encoder, Sequence};
use crate::folder::{Folder, MAX_TOKENIZER_BYTES, Manifest};
use crate::head::pool;
use crate::linear::{Kernels, Precision};
use crate::modules::{self, Pooling, Prompts, Role};
use crate::passes::Batches;
use crate::tokens::Tokens;
use crate::{EmbedError, LoadError, weights};

/// The name of the file that a tokenizer is in.
pub(crate) const TOKENIZER: &str = "tokenizer.json";

/// What the caller decides about a model; the rest is in the model's files.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What the weights are multiplied in.
    pub precision: Precision,
    /// The tokens of a text that are read, special ones included; as the model's
    /// files say if nothing is given. A model cannot read more than it has
    /// positions for.
    pub max_tokens: Option<usize>,
    /// What stands before a query, instead of what the model's files say. The
    /// files of some models, e5's among them, leave out what their cards ask for.
    pub query_prompt: Option<String>,
    /// What stands before a passage, instead of what the model's files say.
    pub passage_prompt: Option<String>,
    /// How rows are pooled, for a model whose files do not say.
    pub pooling: Option<Pooling>,
}

/// A model that makes vectors of texts, and its tokenizer.
pub struct Embedder {
    encoder: Encoder,
    tokens: Tokens,
    pooling: Pooling,
    prompts: Prompts,
    precision: Precision,
    batches: Batches,
    manifest: Option<Manifest>,
}

impl Embedder {
    /// The name of the model that [`Self::load`] loads.
    pub const NAME: &str = "all-MiniLM-L6-v2";
    /// Length of a vector of the model that [`Self::load`] loads.
    pub const DIMENSIONS: usize = 384;
    /// Tokens of a text that count with the model that [`Self::load`] loads, the
    /// two special ones among them.
    pub const MAX_TOKENS: usize = 256;
    /// The languages that the model that [`Self::load`] loads was trained on, by
    /// its model card.
    pub const LANGUAGES: [&str; 1] = ["en"];

    /// Loads all-MiniLM-L6-v2 from its `model.safetensors` and `tokenizer.json`.
    /// Blocking.
    pub fn load(weights: &Path, tokenizer: &Path) -> Result<Self, LoadError> {
        let files = [weights.to_owned()];
        let (encoder, tokens) = rayon::join(
            || weights::encoder(&files, Config::mini_lm(), Precision::F32),
            || Tokens::load(tokenizer, Self::MAX_TOKENS),
        );
        Ok(Self {
            encoder: encoder?,
            tokens: tokens?,
            pooling: Pooling::Mean,
            prompts: Prompts::default(),
            precision: Precision::F32,
            batches: Batches::new()?,
            manifest: None,
        })
    }

    /// Opens a model of the family of BERT or of XLM-RoBERTa from a folder with
    /// the files that its hub has: `config.json`, `tokenizer.json`,
    /// `model.safetensors` (or several files and their index), and those that
    /// Sentence Transformers writes. A model of another form is refused with the
    /// name of what is not supported. Blocking.
    pub fn open(folder: &Path, options: Options) -> Result<Self, LoadError> {
        let folder = Folder::open(folder)?;
        let config = read_config(&folder, Purpose::Embedding)?;
        let (pooling, with_prompt) = modules::pooling(&folder, options.pooling, config.hidden)?;
        let found = modules::prompts(&folder)?;
        let prompts = Prompts {
            query: options.query_prompt.unwrap_or(found.query),
            passage: options.passage_prompt.unwrap_or(found.passage),
        };
        if pooling == Pooling::Mean && !with_prompt && prompts != Prompts::default() {
            return Err(LoadError::unsupported("the pooling", "without the prompt"));
        }
        let length = modules::max_length(&folder)?;
        let max_tokens = max_tokens(&config, length, options.max_tokens)?;
        let files = checkpoint::files(&folder)?;
        let tokenizer = folder.required(TOKENIZER, MAX_TOKENIZER_BYTES)?;
        let (vocabulary, precision) = (config.vocabulary, options.precision);
        let (encoder, tokens) = rayon::join(
            || weights::encoder(&files, config, precision),
            || Tokens::parse(&tokenizer, max_tokens),
        );
        let (encoder, tokens) = (encoder?, tokens?);
        tokens.fit(vocabulary)?;
        let (batches, manifest) = (Batches::new()?, folder.into_manifest());
        Ok(Self { encoder, tokens, pooling, prompts, precision, batches, manifest })
    }

    /// Where the model's files came from, if its folder has a manifest.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// Length of a vector.
    pub fn dimensions(&self) -> usize {
        self.encoder.config.hidden
    }

    /// Tokens of a text that are read, special ones and the prompt's included.
    pub fn max_tokens(&self) -> usize {
        self.tokens.max_tokens()
    }

    /// What is put before a query, empty for nothing.
    pub fn query_prompt(&self) -> &str {
        self.prompts.of(Role::Query)
    }

    /// What is put before a passage, empty for nothing.
    pub fn passage_prompt(&self) -> &str {
        self.prompts.of(Role::Passage)
    }

    /// Bytes of memory that the packed weights take. The tables of words and
    /// positions stay in their file, of which the rows in use are in the
    /// system's cache.
    pub fn memory_bytes(&self) -> usize {
        self.encoder.bytes()
    }

    /// The model's form in a few words, for listings: "BERT, 6 layers of 384,
    /// mean pooling, f32".
    pub fn form(&self) -> String {
        let encoder = describe(&self.encoder.config);
        format!("{encoder}, {} pooling, {}", self.pooling.name(), self.precision.name())
    }

    /// One vector of unit length for each text, as passages. Blocking; uses all
    /// cores for many texts and one for a single text.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.embed_tokens(&self.tokens(texts)?, &|| true)
    }

    /// A vector of unit length for a query. Blocking.
    pub fn embed_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        let tokens = self.tokens_as(Role::Query, &[text])?;
        let vectors = self.embed_tokens(&tokens, &|| true)?;
        Ok(vectors.into_iter().next().unwrap_or_default())
    }

    /// The tokens of each text as a passage: [`Self::tokens_as`]. Blocking.
    pub fn tokens(&self, texts: &[&str]) -> Result<Vec<Vec<u32>>, EmbedError> {
        self.tokens_as(Role::Passage, texts)
    }

    /// The tokens of each text that the model reads, those of the role's prompt
    /// and special ones included: what embedding costs is in proportion to their
    /// number. Blocking.
    pub fn tokens_as(&self, role: Role, texts: &[&str]) -> Result<Vec<Vec<u32>>, EmbedError> {
        let prompt = self.prompts.of(role);
        self.batches.map(texts, |text| {
            let text = match prompt {
                "" => Cow::Borrowed(*text),
                prompt => Cow::Owned(format!("{prompt}{text}")),
            };
            self.tokens.encode(&text)
        })
    }

    /// One vector of unit length for each list of [`Self::tokens`], as long as
    /// they are wanted: `wanted` is asked before each layer of each pass, which is
    /// some milliseconds of a small model. Blocking, as [`Self::embed`] is.
    pub fn embed_tokens(
        &self,
        ids: &[Vec<u32>],
        wanted: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.batches.run(ids, Vec::len, |pass| {
            let sequences: Vec<Sequence<'_>> =
                pass.iter().map(|ids| Sequence { ids, kinds: &[] }).collect();
            let needed = self.pooling.rows();
            let rows = self.encoder.rows(&Kernels::new(), &sequences, needed, wanted)?;
            let counts = pass.iter().map(|ids| needed.of(ids.len()));
            Ok(pool(counts, &rows, self.dimensions()))
        })
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

/// The configuration of a model that serves this purpose.
pub(crate) fn read_config(folder: &Folder, purpose: Purpose) -> Result<Config, LoadError> {
    let config = Config::parse(&folder.required(config::FILE, config::MAX_BYTES)?)?;
    if config.purpose == purpose {
        return Ok(config);
    }
    let name = match config.purpose {
        Purpose::Embedding => "an encoder without a classifier",
        Purpose::Classification => "a classifier of pairs",
    };
    let feature = match purpose {
        Purpose::Embedding => "for embeddings,",
        Purpose::Classification => "for reranking,",
    };
    Err(LoadError::unsupported(feature, name))
}

/// The tokens of a text that are read: as the caller says, else as the files
/// say, and no more than the model has positions for.
pub(crate) fn max_tokens(
    config: &Config,
    length: Option<u64>,
    asked: Option<usize>,
) -> Result<usize, LoadError> {
    const LEAST: u64 = 8;
    let most = config.max_tokens();
    if let Some(asked) = asked {
        return bound("the option max_tokens", asked as u64, LEAST, most as u64);
    }
    let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(most);
    bound("the length of a text", length.min(most) as u64, LEAST, most as u64)
}

/// The encoder's form in a few words.
pub(crate) fn describe(config: &Config) -> String {
    format!("{}, {} layers of {}", config.family.name(), config.layers, config.hidden)
}
