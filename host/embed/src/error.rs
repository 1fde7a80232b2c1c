//! Why a model could not be loaded, or could not be run.

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
    /// A file does not hold what a file of its name holds.
    #[error("{file} cannot be understood: {reason}")]
    Malformed {
        /// The file, by its path inside the model's folder.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The model is of a form that would be run wrongly.
    #[error("{feature} {name} is not supported")]
    Unsupported {
        /// The kind of thing, such as "the architecture".
        feature: &'static str,
        /// Its name, as the model's own files give it.
        name: String,
    },
    /// A size that the model's files give is outside what is allowed.
    #[error("{field} is {found}, and must be from {least} to {most}")]
    Bound {
        /// The field of `config.json`, or the option.
        field: &'static str,
        /// What it is.
        found: u64,
        /// The least that is allowed.
        least: u64,
        /// The most that is allowed.
        most: u64,
    },
    /// A file is not the one that the folder's manifest names.
    #[error("{file} has SHA-256 {found}, and the manifest says {expected}")]
    Altered {
        /// The file, by its path inside the model's folder.
        file: String,
        /// The hash that the manifest names, lower-case hex.
        expected: String,
        /// The hash that the file has, lower-case hex.
        found: String,
    },
    /// The folder has a manifest, and a file that the manifest does not name.
    #[error("{0} is not in the model's manifest")]
    Unlisted(String),
    /// The weights do not fit the model's configuration.
    #[error("the weights do not fit the model: {0}")]
    Weights(String),
    /// The tokenizer cannot be used.
    #[error("the tokenizer cannot be used: {0}")]
    Tokenizer(String),
    /// The operating system gave no threads.
    #[error("no threads to embed with: {0}")]
    Threads(String),
}

impl LoadError {
    /// A form of model that is refused, with its name.
    pub(crate) fn unsupported(feature: &'static str, name: impl Into<String>) -> Self {
        Self::Unsupported { feature, name: name.into() }
    }
}

/// Why texts could not be embedded or scored.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The tokenizer failed.
    #[error("a text could not be split into tokens: {0}")]
    Tokenizer(String),
    /// A token id is not in the model's vocabulary.
    #[error("the model has {vocabulary} tokens, and no token {id}")]
    UnknownToken {
        /// The id that was given.
        id: u32,
        /// The number of ids that the model has.
        vocabulary: usize,
    },
    /// A list of token ids is longer than the model has positions.
    #[error("the model reads {most} tokens at once, and {tokens} were given")]
    TooLong {
        /// The number of tokens that were given.
        tokens: usize,
        /// The most that the model reads.
        most: usize,
    },
    /// A query leaves no fair room for a passage.
    #[error("the query has more than {most} tokens, which is what the reranker reads of one")]
    QueryTooLong {
        /// The most tokens that a query may have.
        most: usize,
    },
    /// Nobody wants the vectors any more.
    #[error("the embedding was called off")]
    CalledOff,
    /// A kernel was given what does not fit; a bug of this crate.
    #[error("the forward pass failed: {0}")]
    Kernel(String),
}
