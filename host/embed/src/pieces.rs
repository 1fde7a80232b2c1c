//! Long texts in parts that have the tokens which the whole has.

use tokenizers::Tokenizer;
use tokenizers::models::ModelWrapper;
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::PrependScheme;

use crate::LoadError;

/// Bytes of text that are taken together. The tokenizer holds some 300 bytes for
/// each token, and a text may have a token a byte.
const PIECE_BYTES: usize = 16 * 1024;
/// The longest run without a place to part it. The tokenizer makes one unknown
/// token of a word of more than 100 characters; a run longer than this counts as
/// more than one.
const MAX_RUN_BYTES: usize = 256 * 1024;

/// Where a text may be parted, by the tokenizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parting {
    /// Behind a character that ends a word: BERT's tokenizer looks at a word at a
    /// time, and words end at white space, at punctuation, and at each Chinese
    /// character.
    Words,
    /// At a single space between a letter or digit and another: tokenizers that
    /// begin every word with a mark for the space before it, the first one too,
    /// give the rest the tokens that it has behind the space. The space itself
    /// is in neither part.
    Spaces,
}

impl Parting {
    /// How the texts of a tokenizer are parted. Only tokenizers of which this is
    /// known are supported.
    pub(crate) fn of(tokenizer: &Tokenizer) -> Result<Self, LoadError> {
        match tokenizer.get_model() {
            ModelWrapper::WordPiece(_) => words(tokenizer),
            ModelWrapper::Unigram(_) => spaces(tokenizer.get_pre_tokenizer()),
            ModelWrapper::BPE(_) => Err(LoadError::unsupported("the tokenizer model", "BPE")),
            ModelWrapper::WordLevel(_) => {
                Err(LoadError::unsupported("the tokenizer model", "WordLevel"))
            }
        }
    }

    /// The parts, with the byte each begins at.
    pub(crate) fn pieces(self, text: &str) -> impl Iterator<Item = (usize, &str)> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
            let (length, gap) = self.first(rest);
            let start = at;
            at += length + gap;
            Some((start, rest.get(..length)?))
        })
    }

    /// The length of the first piece of a text, at least a character, and of what
    /// stands between it and the next.
    fn first(self, text: &str) -> (usize, usize) {
        if text.len() <= PIECE_BYTES {
            return (text.len(), 0);
        }
        let window = text.floor_char_boundary(PIECE_BYTES);
        let most = text.floor_char_boundary((window + MAX_RUN_BYTES).min(text.len()));
        let (before, behind) = (text.get(..window), text.get(window..most));
        let (before, behind) = (before.unwrap_or_default(), behind.unwrap_or_default());
        let place = |(at, char): (usize, char)| self.place(text, at, char);
        let last = || before.char_indices().rev().find_map(place);
        let next = || behind.char_indices().map(|(at, char)| (window + at, char)).find_map(place);
        last().or_else(next).unwrap_or((most, 0))
    }

    /// Where a piece ends that ends with this character, if one may, and how
    /// long the gap behind it is.
    fn place(self, text: &str, at: usize, char: char) -> Option<(usize, usize)> {
        let end = at + char.len_utf8();
        match self {
            Self::Words => ends_word(char).then_some((end, 0)),
            Self::Spaces => {
                let next = text.get(end..)?.strip_prefix(' ')?.chars().next()?;
                (char.is_alphanumeric() && begins_word(next)).then_some((end, 1))
            }
        }
    }
}

/// BERT's own normalizer and pre-tokenizer; with others, words are parted
/// elsewhere.
fn words(tokenizer: &Tokenizer) -> Result<Parting, LoadError> {
    match tokenizer.get_pre_tokenizer() {
        Some(PreTokenizerWrapper::BertPreTokenizer(_)) => (),
        _ => return Err(LoadError::unsupported("a WordPiece tokenizer", "without BERT's words")),
    }
    match tokenizer.get_normalizer() {
        Some(NormalizerWrapper::BertNormalizer(normalizer)) => {
            let chinese = normalizer.handle_chinese_chars;
            Ok(if chinese { Parting::Words } else { Parting::Spaces })
        }
        _ => Err(LoadError::unsupported("a WordPiece tokenizer", "without BERT's normalizer")),
    }
}

/// The pre-tokenizer of SentencePiece models, alone or behind others.
fn spaces(pre_tokenizer: Option<&PreTokenizerWrapper>) -> Result<Parting, LoadError> {
    const FEATURE: &str = "a Unigram tokenizer";
    match pre_tokenizer {
        Some(PreTokenizerWrapper::Metaspace(metaspace)) => match metaspace.prepend_scheme {
            PrependScheme::Always => Ok(Parting::Spaces),
            scheme @ (PrependScheme::First | PrependScheme::Never) => {
                Err(LoadError::unsupported(FEATURE, format!("with prepend_scheme {scheme:?}")))
            }
        },
        Some(PreTokenizerWrapper::Sequence(sequence)) => spaces(sequence.as_ref().last()),
        _ => Err(LoadError::unsupported(FEATURE, "without Metaspace")),
    }
}

/// Whether a text may be parted behind this character. Not behind `[`: the
/// special tokens are written `[SEP]` and are one token each.
fn ends_word(char: char) -> bool {
    let chinese = matches!(char, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{2a6df}');
    char.is_whitespace() || (char.is_ascii_punctuation() && char != '[') || chinese
}

/// Whether this character can stand alone behind a space: a mark that combines
/// with the space is no word of its own. Letters with a case do not combine, but
/// for one Greek mark.
fn begins_word(char: char) -> bool {
    let cased = (char.is_uppercase() || char.is_lowercase()) && char != '\u{345}';
    cased || char.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            for (at, piece) in Parting::Words.pieces(&text) {
                prop_assert_eq!(at, rebuilt.len());
                rebuilt.push_str(piece);
                let parted = piece.chars().next_back().is_some_and(ends_word);
                let whole = rebuilt.len() == text.len();
                prop_assert!(whole || parted || piece.len() >= MAX_RUN_BYTES);
                prop_assert!(piece.len() <= PIECE_BYTES + MAX_RUN_BYTES);
            }
            prop_assert_eq!(rebuilt, text);
        }

        #[test]
        fn pieces_at_spaces_leave_out_nothing_but_single_spaces(
            parts in prop::collection::vec(
                prop::sample::select(vec!["a", " a", " ", "  ", "\n", "\u{4e00}", " \u{301}",
                    "long ".repeat(4_000).leak()]),
                0..64,
            ),
        ) {
            let text = parts.concat();
            let mut rebuilt = String::new();
            for (at, piece) in Parting::Spaces.pieces(&text) {
                if at > rebuilt.len() {
                    rebuilt.push(' ');
                    prop_assert!(piece.starts_with(begins_word));
                }
                prop_assert_eq!(at, rebuilt.len());
                rebuilt.push_str(piece);
                prop_assert!(piece.len() <= PIECE_BYTES + MAX_RUN_BYTES);
            }
            prop_assert_eq!(rebuilt, text);
        }
    }
}
