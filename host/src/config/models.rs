//! `[models]`: models beside the built-in one, from folders, a hub or endpoints.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Secret;

/// `[models]`
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Models {
    /// The embedding model of collections that choose none; the built-in one, or the
    /// only one there is, unless it is said.
    pub default_embedding: Option<String>,
    /// The reranker of requests that name none; the only one there is unless it is said.
    pub default_reranking: Option<String>,
    /// Who answers when a question names nobody: one of `generation`, or else what
    /// `generator.default` says.
    pub default_generation: Option<String>,
    /// `[models.generation.NAME]`
    pub generation: BTreeMap<String, Generation>,
    /// `[models.embedding.NAME]`
    pub embedding: BTreeMap<String, Embedding>,
    /// `[models.reranking.NAME]`
    pub reranking: BTreeMap<String, Reranking>,
}

/// Where a model's files are: a folder, or a hub at a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    /// A folder with the files that the hub has.
    Folder(PathBuf),
    /// Fetched once into a folder.
    Hub {
        /// As in `intfloat/multilingual-e5-small`.
        id: String,
        /// A commit of 40 hexadecimal digits.
        revision: String,
        /// Where they are kept.
        folder: PathBuf,
    },
}

/// What runs a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runs {
    /// This process, from these files.
    Here(Files),
    /// An endpoint with this base.
    Endpoint(String),
}

/// `[models.embedding.NAME]`: either files or an endpoint.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Embedding {
    /// The folder of the model's files; with `hub`, where they are kept.
    pub dir: Option<PathBuf>,
    /// The id of a model on the Hugging Face hub, with `revision`.
    pub hub: Option<String>,
    /// The commit of the model's repository. A branch could be moved.
    pub revision: Option<String>,
    /// What the weights are multiplied in.
    pub precision: Precision,
    /// Tokens of a text that are read; as the model's files say unless it is set.
    pub max_tokens: Option<usize>,
    /// How rows are pooled, for a model whose files do not say.
    pub pooling: Option<Pooling>,
    /// What stands before a query, instead of what the model's files say.
    pub query_prompt: Option<String>,
    /// What stands before a passage, instead of what the model's files say.
    pub passage_prompt: Option<String>,
    /// Codes of the languages that the model knows, with commas between; empty means
    /// all.
    pub languages: String,
    /// The base of an OpenAI-compatible API that embeds, as in
    /// `http://127.0.0.1:11434/v1`.
    pub url: Option<String>,
    /// The model to ask for there; the name of this section unless it is set.
    pub model: Option<String>,
    /// The key for it. It never enters a handler.
    pub api_key: Option<Secret>,
    /// The length to ask for, where the endpoint can shorten its vectors.
    pub dimensions: Option<u32>,
    /// Texts of one request.
    pub batch: usize,
    /// Requests at once.
    pub concurrency: usize,
    /// How long an endpoint may take to accept a connection.
    pub connect_timeout_ms: u64,
    /// How long it may take for a batch of passages: some dozens on a small machine.
    pub timeout_ms: u64,
    /// How long it may take for a query, which somebody waits for; then search is by
    /// words.
    pub query_timeout_ms: u64,
    /// How often to ask again for passages. What fails still is tried again later.
    pub max_retries: u32,
    /// Failures in a row after which it is left alone.
    pub breaker_failures: u32,
    /// For how long it is left alone.
    pub breaker_cooldown_ms: u64,
}

impl Default for Embedding {
    fn default() -> Self {
        Self {
            dir: None,
            hub: None,
            revision: None,
            precision: Precision::F32,
            max_tokens: None,
            pooling: None,
            query_prompt: None,
            passage_prompt: None,
            languages: String::new(),
            url: None,
            model: None,
            api_key: None,
            dimensions: None,
            batch: 32,
            concurrency: 4,
            connect_timeout_ms: 5_000,
            timeout_ms: 30_000,
            query_timeout_ms: 3_000,
            max_retries: 2,
            breaker_failures: 5,
            breaker_cooldown_ms: 10_000,
        }
    }
}

/// `[models.generation.NAME]`: a language model behind an OpenAI-compatible API, beside
/// that of `[generator]`, whose times, retries and checks hold for it too.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Generation {
    /// The base of the API, as in `http://127.0.0.1:11434/v1`.
    pub url: String,
    /// The model to ask for there; the name of this section unless it is set.
    pub model: Option<String>,
    /// The key for it. It never enters a handler.
    pub api_key: Option<Secret>,
    /// The longest answer to ask for, in tokens; `generator.max_tokens` unless it is set.
    pub max_tokens: Option<u32>,
}

/// `[models.reranking.NAME]`: either files or an endpoint.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reranking {
    /// The folder of the model's files; with `hub`, where they are kept.
    pub dir: Option<PathBuf>,
    /// The id of a model on the Hugging Face hub, with `revision`.
    pub hub: Option<String>,
    /// The commit of the model's repository. A branch could be moved.
    pub revision: Option<String>,
    /// What the weights are multiplied in.
    pub precision: Precision,
    /// Tokens of a query and a passage together that are read; as the model's files
    /// say unless it is set.
    pub max_tokens: Option<usize>,
    /// The URL that reranks, with its path, as in `http://127.0.0.1:8080/rerank`.
    pub url: Option<String>,
    /// The shape of its requests.
    pub shape: RerankShape,
    /// The model to ask for there; the name of this section unless it is set.
    pub model: Option<String>,
    /// The key for it. It never enters a handler.
    pub api_key: Option<Secret>,
    /// How long an endpoint may take to accept a connection.
    pub connect_timeout_ms: u64,
    /// How long a search waits for its reranking. What is not scored by then stays
    /// behind what is.
    pub timeout_ms: u64,
    /// Failures in a row after which an endpoint is left alone.
    pub breaker_failures: u32,
    /// For how long it is left alone.
    pub breaker_cooldown_ms: u64,
}

impl Default for Reranking {
    fn default() -> Self {
        Self {
            dir: None,
            hub: None,
            revision: None,
            precision: Precision::F32,
            max_tokens: None,
            url: None,
            shape: RerankShape::Cohere,
            model: None,
            api_key: None,
            connect_timeout_ms: 2_000,
            timeout_ms: 3_000,
            breaker_failures: 5,
            breaker_cooldown_ms: 10_000,
        }
    }
}

/// What weights are multiplied in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    F32,
    /// 8-bit integers, of weights and of activations.
    Int8,
}

/// How the rows of a text become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The mean of all.
    Mean,
    /// The first.
    Cls,
}

/// How an endpoint is asked to rerank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RerankShape {
    /// `{model, query, documents, top_n}`, as Cohere, Jina and vLLM take it.
    Cohere,
    /// `{query, texts}`, as Text Embeddings Inference takes it.
    Tei,
}

/// Settings of a model that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum InvalidModel {
    /// The name.
    #[error("[models.{0}.{1}]: a name has 1 to 64 letters, digits, `.`, `_` and `-`")]
    Name(&'static str, String),
    /// The built-in one has this name.
    #[error("[models.embedding.{0}] has the name of the built-in model, which [model] sets")]
    BuiltIn(String),
    /// Neither files nor an endpoint, or both.
    #[error("[models.{0}.{1}] needs `dir`, or `hub` with `revision`, or `url`, and one of these")]
    Source(&'static str, String),
    /// A generator that is there already has this name.
    #[error("[models.generation.{0}] has the name of a generator that is there already")]
    Generator(String),
    /// A generation model without an endpoint.
    #[error("[models.generation.{0}] needs `url`")]
    Url(String),
    /// No model has the name that is the default.
    #[error("models.default_{0} is {1:?}, and no model has this name")]
    Default(&'static str, String),
    /// Languages that are none.
    #[error("models.embedding.{0}.languages: {1:?} is not the code of a language")]
    Languages(String, String),
}

/// Names of the generators that are not of this section.
const GENERATORS: [&str; 2] = [crate::generator::EXTRACTIVE, crate::generator::openai::NAME];

/// The longest name of a model.
const MAX_NAME_CHARS: usize = 64;

impl Models {
    /// Checks names, defaults and sources. `built_in` is the name of the built-in
    /// embedding model while there is one.
    ///
    /// # Errors
    ///
    /// The first setting that cannot be.
    pub fn check(&self, built_in: Option<&str>) -> Result<(), InvalidModel> {
        for (name, settings) in &self.embedding {
            check_name("embedding", name)?;
            if built_in == Some(name) {
                return Err(InvalidModel::BuiltIn(name.clone()));
            }
            settings.runs(name)?;
        }
        for (name, settings) in &self.reranking {
            check_name("reranking", name)?;
            settings.runs(name)?;
        }
        for (name, settings) in &self.generation {
            check_name("generation", name)?;
            if GENERATORS.contains(&name.as_str()) {
                return Err(InvalidModel::Generator(name.clone()));
            }
            if settings.url.is_empty() {
                return Err(InvalidModel::Url(name.clone()));
            }
        }
        if let Some(name) = &self.default_generation
            && !self.generation.contains_key(name)
        {
            return Err(InvalidModel::Default("generation", name.clone()));
        }
        if let Some(name) = &self.default_embedding
            && !self.embedding.contains_key(name)
            && built_in != Some(name)
        {
            return Err(InvalidModel::Default("embedding", name.clone()));
        }
        match &self.default_reranking {
            Some(name) if !self.reranking.contains_key(name) => {
                Err(InvalidModel::Default("reranking", name.clone()))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn check_name(kind: &'static str, name: &str) -> Result<(), InvalidModel> {
    let valid = |one: char| one.is_ascii_alphanumeric() || matches!(one, '.' | '_' | '-');
    match (1..=MAX_NAME_CHARS).contains(&name.len()) && name.chars().all(valid) {
        true => Ok(()),
        false => Err(InvalidModel::Name(kind, name.to_owned())),
    }
}

impl Embedding {
    /// What runs it.
    ///
    /// # Errors
    ///
    /// `Source`, where the settings do not say it or say it twice.
    pub fn runs(&self, name: &str) -> Result<Runs, InvalidModel> {
        let files = (self.dir.as_ref(), self.hub.as_ref(), self.revision.as_ref());
        runs(files, self.url.as_ref(), ("embedding", name))
    }
}

impl Reranking {
    /// What runs it.
    ///
    /// # Errors
    ///
    /// `Source`, where the settings do not say it or say it twice.
    pub fn runs(&self, name: &str) -> Result<Runs, InvalidModel> {
        let files = (self.dir.as_ref(), self.hub.as_ref(), self.revision.as_ref());
        runs(files, self.url.as_ref(), ("reranking", name))
    }
}

fn runs(
    files: (Option<&PathBuf>, Option<&String>, Option<&String>),
    url: Option<&String>,
    (kind, name): (&'static str, &str),
) -> Result<Runs, InvalidModel> {
    match (files, url) {
        ((None, None, None), Some(url)) => Ok(Runs::Endpoint(url.clone())),
        ((Some(dir), None, None), None) => Ok(Runs::Here(Files::Folder(dir.clone()))),
        ((dir, Some(id), Some(revision)), None) => {
            let folder = || super::models_folder().join(name);
            Ok(Runs::Here(Files::Hub {
                id: id.clone(),
                revision: revision.clone(),
                folder: dir.cloned().unwrap_or_else(folder),
            }))
        }
        _ => Err(InvalidModel::Source(kind, name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(toml: &str) -> Models {
        config::Config::builder()
            .add_source(config::File::from_str(toml, config::FileFormat::Toml))
            .build()
            .and_then(config::Config::try_deserialize)
            .unwrap()
    }

    fn refused(toml: &str) -> String {
        parse(toml).check(Some("built-in")).unwrap_err().to_string()
    }

    #[test]
    fn a_model_is_of_files_or_of_an_endpoint() {
        let models = parse(
            "default_embedding = 'e5'
             [embedding.e5]
             hub = 'intfloat/multilingual-e5-small'
             revision = 'fd1525a9fd15316a2d503bf26ab031a61d056e98'
             [embedding.far]
             url = 'http://127.0.0.1:11434/v1'
             [reranking.near]
             dir = '/srv/models/ms-marco'",
        );
        models.check(Some("built-in")).unwrap();
        let far = models.embedding.get("far").unwrap();
        let url = "http://127.0.0.1:11434/v1".to_owned();
        assert_eq!(far.runs("far").unwrap(), Runs::Endpoint(url));
        let near = models.reranking.get("near").unwrap();
        let folder = Files::Folder("/srv/models/ms-marco".into());
        assert_eq!(near.runs("near").unwrap(), Runs::Here(folder));
    }

    #[test]
    fn the_example_of_the_documentation_can_be() {
        let page = include_str!("../../../docs/models.md");
        let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
        let settings: crate::config::Settings = config::Config::builder()
            .add_source(config::File::from_str(example, config::FileFormat::Toml))
            .build()
            .and_then(config::Config::try_deserialize)
            .unwrap();
        settings.models.check(Some("built-in")).unwrap();
        assert_eq!((settings.models.embedding.len(), settings.models.reranking.len()), (3, 2));
    }

    #[test]
    fn settings_that_cannot_be_are_named() {
        assert!(refused("[embedding.e5]").contains("[models.embedding.e5] needs `dir`"));
        assert!(refused("[embedding.e5]\nhub = 'a/b'").contains("`hub` with `revision`"));
        let both = "[reranking.e5]\ndir = '/a'\nurl = 'http://b'";
        assert!(refused(both).contains("one of these"));
        assert!(refused("default_embedding = 'e5'").contains("no model has this name"));
        assert!(refused("[embedding.built-in]\ndir = '/a'").contains("built-in model"));
        assert!(refused("[generation.small]").contains("needs `url`"));
        assert!(refused("[generation.openai]\nurl = 'http://a'").contains("already"));
        assert!(refused("default_generation = 'small'").contains("no model has this name"));
        assert!(refused("[embedding.'a b']\ndir = '/a'").contains("letters, digits"));
    }
}
