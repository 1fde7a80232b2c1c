//! Text to word pieces.

use std::path::Path;

use tokenizers::{Tokenizer, TruncationParams};

use crate::{EmbedError, LoadError};

/// The tokenizer, cutting for the model and whole for counting.
pub(crate) struct Tokens {
    cutting: Tokenizer,
    whole: Tokenizer,
}

impl Tokens {
    pub(crate) fn load(path: &Path, max_tokens: usize) -> Result<Self, LoadError> {
        let bytes = std::fs::read(path)
            .map_err(|error| LoadError::Unreadable { path: path.display().to_string(), error })?;
        let invalid = |error: tokenizers::Error| LoadError::Tokenizer(error.to_string());
        let mut whole = Tokenizer::from_bytes(bytes).map_err(invalid)?;
        // The file pads and cuts to a length of its own.
        whole.with_padding(None);
        whole.with_truncation(None).map_err(invalid)?;
        let mut cutting = whole.clone();
        let truncation = TruncationParams { max_length: max_tokens, ..TruncationParams::default() };
        cutting.with_truncation(Some(truncation)).map_err(invalid)?;
        Ok(Self { cutting, whole })
    }

    /// Ids of the word pieces between the two special tokens.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>, EmbedError> {
        let encoding = self.cutting.encode_fast(text, true).map_err(failed)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The byte at which each word piece starts.
    pub(crate) fn starts(&self, text: &str) -> Result<Vec<u32>, EmbedError> {
        let encoding = self.whole.encode(text, false).map_err(failed)?;
        Ok(encoding
            .get_offsets()
            .iter()
            .filter_map(|(start, _)| u32::try_from(*start).ok())
            .collect())
    }
}

fn failed(error: tokenizers::Error) -> EmbedError {
    EmbedError::Tokenizer(error.to_string())
}
