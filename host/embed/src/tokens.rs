//! Text to tokens.

use std::path::Path;

use tokenizers::models::ModelWrapper;
use tokenizers::{Encoding, PostProcessor, Token, Tokenizer};

use crate::folder::{MAX_TOKENIZER_BYTES, read};
use crate::pieces::Parting;
use crate::{EmbedError, LoadError};

/// The token that Unigram models of this family have for what is in no other.
const UNIGRAM_UNKNOWN: &str = "<unk>";

/// The tokenizer, and where the model stops reading.
pub(crate) struct Tokens {
    tokenizer: Tokenizer,
    parting: Parting,
    max_tokens: usize,
    /// The token of what is in no other.
    unknown: Option<u32>,
    /// What stands before and after every text.
    special: (Vec<u32>, Vec<u32>),
}

impl Tokens {
    /// Reads `tokenizer.json`.
    pub(crate) fn load(path: &Path, max_tokens: usize) -> Result<Self, LoadError> {
        Self::parse(&read(path, MAX_TOKENIZER_BYTES)?, max_tokens)
    }

    /// Reads the bytes of `tokenizer.json`.
    pub(crate) fn parse(bytes: &[u8], max_tokens: usize) -> Result<Self, LoadError> {
        let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(invalid)?;
        // The file pads and cuts to a length of its own.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(invalid)?;
        let parting = Parting::of(&tokenizer)?;
        let mut begin = tokenizer.encode_fast("", true).map_err(invalid)?.get_ids().to_vec();
        let end: Vec<u32> = begin.pop().into_iter().collect();
        if begin.is_empty() {
            return Err(LoadError::unsupported("a tokenizer", "without special tokens"));
        }
        let unknown = unknown(&tokenizer);
        Ok(Self { tokenizer, parting, max_tokens, unknown, special: (begin, end) })
    }

    /// Refuses a tokenizer that gives more ids than the model has rows for.
    pub(crate) fn fit(&self, vocabulary: usize) -> Result<(), LoadError> {
        let tokens = self.tokenizer.get_vocab_size(true);
        if tokens <= vocabulary {
            return Ok(());
        }
        Err(LoadError::Tokenizer(format!("it has {tokens} tokens, and the model {vocabulary}")))
    }

    /// The tokens that are read of a text, special ones included.
    pub(crate) fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// Ids of a text's tokens between the special ones, cut to what the model
    /// reads.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<u32>, EmbedError> {
        let (begin, end) = &self.special;
        let room = self.max_tokens.saturating_sub(begin.len() + end.len());
        let text = self.some(text, room)?;
        Ok([begin.as_slice(), &text, end].concat())
    }

    /// Ids of a text's first tokens, `most` or fewer, special ones left out.
    pub(crate) fn some(&self, text: &str, most: usize) -> Result<Vec<u32>, EmbedError> {
        let mut ids = Vec::new();
        for (_, piece) in self.parting.pieces(text) {
            let encoding = self.tokenizer.encode_fast(piece, false).map_err(failed)?;
            ids.extend_from_slice(encoding.get_ids());
            if ids.len() >= most {
                break;
            }
        }
        ids.truncate(most);
        Ok(ids)
    }

    /// The share of tokens that stand for what the model has none for, 0 to 1.
    pub(crate) fn unknown_share(&self, text: &str) -> Result<f32, EmbedError> {
        let encoding = self.tokenizer.encode_fast(text, false).map_err(failed)?;
        let count = encoding.get_ids().iter().filter(|id| Some(**id) == self.unknown).count();
        Ok(count as f32 / encoding.len().max(1) as f32)
    }

    /// The byte at which each token starts.
    pub(crate) fn starts(&self, text: &str) -> Result<Vec<u32>, EmbedError> {
        let mut starts = Vec::new();
        for (at, piece) in self.parting.pieces(text) {
            let encoding = self.tokenizer.encode(piece, false).map_err(failed)?;
            let offsets = encoding.get_offsets().iter();
            starts.extend(offsets.filter_map(|(start, _)| u32::try_from(at + start).ok()));
        }
        Ok(starts)
    }

    /// How the tokenizer writes a pair.
    pub(crate) fn pairing(&self) -> Result<Pairing, LoadError> {
        Pairing::of(&self.tokenizer)
    }
}

fn unknown(tokenizer: &Tokenizer) -> Option<u32> {
    match tokenizer.get_model() {
        ModelWrapper::WordPiece(model) => tokenizer.token_to_id(&model.unk_token),
        ModelWrapper::Unigram(_) => tokenizer.token_to_id(UNIGRAM_UNKNOWN),
        // These are refused before this is asked.
        ModelWrapper::BPE(_) | ModelWrapper::WordLevel(_) => None,
    }
}

/// How a tokenizer writes a pair: what its post-processor puts around two texts,
/// and the type that it gives each token.
pub(crate) struct Pairing {
    before: Special,
    between: Special,
    behind: Special,
    first_kind: u32,
    second_kind: u32,
}

/// Special tokens in a row.
struct Special {
    ids: Vec<u32>,
    kinds: Vec<u32>,
}

impl Pairing {
    /// Has the post-processor write a pair of two tokens that no vocabulary has,
    /// and looks where they are.
    fn of(tokenizer: &Tokenizer) -> Result<Self, LoadError> {
        const FIRST: u32 = u32::MAX;
        const SECOND: u32 = u32::MAX - 1;
        let processor = tokenizer.get_post_processor();
        let processor =
            processor.ok_or_else(|| LoadError::unsupported("a tokenizer", "without pairs"))?;
        let text = |id| Encoding::from_tokens(vec![Token::new(id, String::new(), (0, 0))], 0);
        let pair = processor.process(text(FIRST), Some(text(SECOND)), true).map_err(invalid)?;
        let mut tokens = pair.get_ids().iter().copied().zip(pair.get_type_ids().iter().copied());
        let mut special = |end: Option<u32>| {
            let mut special = Special { ids: Vec::new(), kinds: Vec::new() };
            for (id, kind) in tokens.by_ref() {
                if Some(id) == end {
                    return (special, Some(kind));
                }
                special.ids.push(id);
                special.kinds.push(kind);
            }
            (special, None)
        };
        let (before, first_kind) = special(Some(FIRST));
        let (between, second_kind) = special(Some(SECOND));
        let (behind, _) = special(None);
        match (first_kind, second_kind) {
            (Some(first_kind), Some(second_kind)) => {
                Ok(Self { before, between, behind, first_kind, second_kind })
            }
            _ => Err(LoadError::unsupported("a tokenizer", "without pairs")),
        }
    }

    /// Special tokens of a pair.
    pub(crate) fn len(&self) -> usize {
        self.before.ids.len() + self.between.ids.len() + self.behind.ids.len()
    }

    /// Gives every token the first type.
    pub(crate) fn forget_kinds(&mut self) {
        (self.first_kind, self.second_kind) = (0, 0);
        for special in [&mut self.before, &mut self.between, &mut self.behind] {
            special.kinds.fill(0);
        }
    }

    /// The highest type that a token has.
    pub(crate) fn last_kind(&self) -> u32 {
        let kinds = [&self.before, &self.between, &self.behind];
        let kinds = kinds.into_iter().flat_map(|special| special.kinds.iter().copied());
        kinds.chain([self.first_kind, self.second_kind]).max().unwrap_or(0)
    }

    /// The ids of a pair's tokens, and their types.
    pub(crate) fn write(&self, first: &[u32], second: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let ids = [&self.before.ids, first, &self.between.ids, second, &self.behind.ids].concat();
        let mut kinds = Vec::with_capacity(ids.len());
        kinds.extend_from_slice(&self.before.kinds);
        kinds.extend(std::iter::repeat_n(self.first_kind, first.len()));
        kinds.extend_from_slice(&self.between.kinds);
        kinds.extend(std::iter::repeat_n(self.second_kind, second.len()));
        kinds.extend_from_slice(&self.behind.kinds);
        (ids, kinds)
    }
}

fn invalid(error: tokenizers::Error) -> LoadError {
    LoadError::Tokenizer(error.to_string())
}

fn failed(error: tokenizers::Error) -> EmbedError {
    EmbedError::Tokenizer(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::files::{Source, ensure};

    #[test]
    fn a_text_in_pieces_has_the_tokens_of_the_whole() {
        let tokens = model();
        let seeds =
            ["| a |b", "fuselage wing-body [MASK] ", "\u{4e2d}\u{6587}na\u{ef}ve ", "x.y,z\n"];
        let text: String = (0..12_000).map(|n| seeds[n * 7 % 4]).collect();
        assert!(text.len() > 64 * 1024);
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

    #[test]
    fn a_pair_is_written_as_the_tokenizer_writes_it() {
        let tokens = model();
        let whole = tokens.tokenizer.encode(("one query", "a passage"), true).unwrap();
        let pairing = tokens.pairing().unwrap();
        let text = |text| tokens.some(text, 9).unwrap();
        let (ids, kinds) = pairing.write(&text("one query"), &text("a passage"));
        assert_eq!(ids, whole.get_ids());
        assert_eq!(kinds, whole.get_type_ids());
        assert_eq!((pairing.len(), pairing.last_kind()), (3, 1));
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
