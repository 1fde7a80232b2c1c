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
    /// What stands before and after every text.
    special: (Vec<u32>, Vec<u32>),
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
        let mut begin = tokenizer.encode_fast("", true).map_err(invalid)?.get_ids().to_vec();
        let end = begin.pop().into_iter().collect();
        Ok(Self { tokenizer, max_tokens, special: (begin, end) })
    }

    /// Ids of the word pieces between the two special tokens, cut to what the
    /// model reads.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>, EmbedError> {
        let (mut ids, end) = self.special.clone();
        let most = self.max_tokens.saturating_sub(end.len());
        for (_, piece) in pieces(text) {
            let encoding = self.tokenizer.encode_fast(piece, false).map_err(failed)?;
            ids.extend_from_slice(encoding.get_ids());
            if ids.len() >= most {
                ids.truncate(most);
                break;
            }
        }
        ids.extend(end);
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
        let mut starts = Vec::new();
        for (at, piece) in pieces(text) {
            let encoding = self.tokenizer.encode(piece, false).map_err(failed)?;
            let offsets = encoding.get_offsets().iter();
            starts.extend(offsets.filter_map(|(start, _)| u32::try_from(at + start).ok()));
        }
        Ok(starts)
    }
}

/// Bytes of text that are taken together. The tokenizer holds some 300 bytes for
/// each token, and a text may have a token a byte.
const PIECE_BYTES: usize = 16 * 1024;
/// The longest run without a place to part it. The tokenizer makes one unknown
/// token of a word of more than 100 characters; a run longer than this counts as
/// more than one.
const MAX_RUN_BYTES: usize = 256 * 1024;

/// Parts of a text that have the tokens which the whole has, with the byte each
/// begins at. The tokenizer looks at a word at a time, and words end at white
/// space, at punctuation, and at each Chinese character.
fn pieces(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
        let piece = rest.get(..first_piece(rest))?;
        let start = at;
        at += piece.len();
        Some((start, piece))
    })
}

/// The length of the first piece of a text, at least a character.
fn first_piece(text: &str) -> usize {
    if text.len() <= PIECE_BYTES {
        return text.len();
    }
    let (window, rest) = text.split_at(text.floor_char_boundary(PIECE_BYTES));
    let last = |(at, char): (usize, char)| ends_word(char).then(|| at + char.len_utf8());
    if let Some(end) = window.char_indices().rev().find_map(last) {
        return end;
    }
    let most = rest.floor_char_boundary(MAX_RUN_BYTES.min(rest.len()));
    let run = rest.get(..most).unwrap_or(rest);
    window.len() + run.char_indices().find_map(last).unwrap_or(most)
}

/// Whether a text may be parted behind this character. Not behind `[`: the
/// special tokens are written `[SEP]` and are one token each.
fn ends_word(char: char) -> bool {
    let chinese = matches!(char, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{2a6df}');
    char.is_whitespace() || (char.is_ascii_punctuation() && char != '[') || chinese
}

fn failed(error: tokenizers::Error) -> EmbedError {
    EmbedError::Tokenizer(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;
    use crate::files::{Source, ensure};

    proptest! {
        #[test]
        fn pieces_are_the_text_and_end_where_a_word_does(
            parts in prop::collection::vec(
                prop::sample::select(vec!["a", "word ", "|", "\n", "\u{4e00}", "[MASK]", "\u{e9}",
                    "\u{1f3b9}", "long".repeat(9_000).leak()]),
                0..64,
            ),
        ) {
            let text = parts.concat();
            let mut rebuilt = String::new();
            for (at, piece) in pieces(&text) {
                prop_assert_eq!(at, rebuilt.len());
                rebuilt.push_str(piece);
                let parted = piece.chars().next_back().is_some_and(ends_word);
                let whole = rebuilt.len() == text.len();
                prop_assert!(whole || parted || piece.len() >= MAX_RUN_BYTES);
                prop_assert!(piece.len() <= PIECE_BYTES + MAX_RUN_BYTES);
            }
            prop_assert_eq!(rebuilt, text);
        }
    }

    #[test]
    fn a_text_in_pieces_has_the_tokens_of_the_whole() {
        let tokens = model();
        let seeds =
            ["| a |b", "fuselage wing-body [MASK] ", "\u{4e2d}\u{6587}na\u{ef}ve ", "x.y,z\n"];
        let text: String = (0..12_000).map(|n| seeds[n * 7 % 4]).collect();
        assert!(text.len() > 4 * PIECE_BYTES);
        let whole = tokens.tokenizer.encode(text.as_str(), false).unwrap();
        let starts: Vec<_> = whole.get_offsets().iter().map(|(start, _)| *start as u32).collect();
        assert_eq!(tokens.starts(&text).unwrap(), starts);
        let mut ids = tokens.tokenizer.encode(text.as_str(), true).unwrap().get_ids().to_vec();
        let end = ids.pop().unwrap();
        ids.truncate(255);
        ids.push(end);
        assert_eq!(tokens.encode(&text).unwrap(), ids);
        assert_eq!(tokens.encode("").unwrap().len(), 2);
    }

    /// The tokenizer of the model, where the server has it, too.
    fn model() -> Tokens {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.unwrap_or_else(|| std::env::home_dir().unwrap().join(".cache"));
        let usual = cache.join("ragtime/models/all-MiniLM-L6-v2");
        let dir = std::env::var_os("RAGTIME_MODEL__DIR").map_or(usual, PathBuf::from);
        let files = ensure(&dir, Source::Auto, &mut |_| ()).unwrap();
        Tokens::load(&files.tokenizer, 256).unwrap()
    }
}
