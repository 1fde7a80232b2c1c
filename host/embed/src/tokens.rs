//! Text to word pieces.

use std::path::Path;

use tokenizers::Tokenizer;

use crate::{EmbedError, LoadError};

/// The word piece of what is in no other.
const UNKNOWN: &str = "[UNK]";

/// The tokenizer, and where the model stops reading.
pub(crate) struct Tokens {
    tokenizer: Tokenizer,
    max_tokens: usize,
}

impl Tokens {
    pub(crate) fn load(path: &Path, max_tokens: usize) -> Result<Self, LoadError> {
        let bytes = std::fs::read(path)
            .map_err(|error| LoadError::Unreadable { path: path.display().to_string(), error })?;
        let invalid = |error: tokenizers::Error| LoadError::Tokenizer(error.to_string());
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(invalid)?;
        // The file pads and cuts to a length of its own.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(invalid)?;
        Ok(Self { tokenizer, max_tokens })
    }

    /// Ids of the word pieces between the two special tokens, cut to what the
    /// model reads.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>, EmbedError> {
        let encoding = self.tokenizer.encode_fast(text, true).map_err(failed)?;
        let mut ids = encoding.get_ids().to_vec();
        if ids.len() > self.max_tokens
            && let Some(end) = ids.last().copied()
        {
            ids.truncate(self.max_tokens - 1);
            ids.push(end);
        }
        Ok(ids)
    }

    /// The share of word pieces that stand for what the model has none for, 0 to 1.
    pub(crate) fn unknown_share(&self, text: &str) -> Result<f32, EmbedError> {
        let encoding = self.tokenizer.encode_fast(text, false).map_err(failed)?;
        let unknown = self.tokenizer.token_to_id(UNKNOWN);
        let count = encoding.get_ids().iter().filter(|id| Some(**id) == unknown).count();
        Ok(count as f32 / encoding.len().max(1) as f32)
    }

    /// The byte at which each word piece starts.
    pub(crate) fn starts(&self, text: &str) -> Result<Vec<u32>, EmbedError> {
        let encoding = self.tokenizer.encode(text, false).map_err(failed)?;
        let starts = encoding.get_offsets().iter();
        Ok(starts.filter_map(|(start, _)| u32::try_from(*start).ok()).collect())
    }
}

fn failed(error: tokenizers::Error) -> EmbedError {
    EmbedError::Tokenizer(error.to_string())
}
