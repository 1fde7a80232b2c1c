//! Tokens of `cl100k_base`, the encoding of OpenAI's embedding models. Clients that
//! cut long texts by tokens, as LangChain's does, send a text as its tokens.

/// The bytes of each token, one after another.
static TEXTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tokens.texts"));
/// How many bytes each token has.
static LENGTHS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tokens.lengths"));

/// The greatest token.
pub(super) fn greatest() -> usize {
    LENGTHS.len() - 1
}

/// Reads tokens.
#[derive(Default)]
pub(super) struct Decoder {
    /// Where the bytes of each token begin; made for the first text.
    starts: Vec<u32>,
}

impl Decoder {
    /// The text of these tokens. A character that was cut in two, as clients do
    /// that cut by tokens, becomes a sign for it; what is no character that a
    /// text has becomes a space. None where one is no token.
    pub(super) fn text(&mut self, tokens: &[u32]) -> Option<String> {
        if self.starts.is_empty() {
            let begin = |at: &mut u32, length: &u8| {
                let start = *at;
                *at += u32::from(*length);
                Some(start)
            };
            self.starts = LENGTHS.iter().scan(0, begin).collect();
        }
        let mut bytes = Vec::with_capacity(tokens.len() * 4);
        for token in tokens {
            let token = *token as usize;
            let (start, length) = (*self.starts.get(token)? as usize, *LENGTHS.get(token)?);
            bytes.extend_from_slice(TEXTS.get(start..start + usize::from(length))?);
        }
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tokens_are_read_as_openai_writes_them() {
        let mut decoder = Decoder::default();
        // As tiktoken's own documentation has them.
        assert_eq!(decoder.text(&[83, 1609, 5963, 374, 2294, 0]).unwrap(), "tiktoken is great!");
        assert_eq!(decoder.text(&[15339, 1917]).unwrap(), "hello world");
        assert_eq!(decoder.text(&[]).unwrap(), "");
        assert!(decoder.text(&[u32::try_from(greatest()).unwrap()]).is_some());
        assert_eq!(decoder.text(&[100_257]), None, "the end of a text is no text");
        // Half of a character.
        assert!(decoder.text(&[9468, 239]).unwrap().contains('\u{fffd}'));
    }
}
