//! The terms of a chunk on their way into the index.
//!
//! `ragtime-text` makes the terms, so tantivy has nothing to tokenize. Tantivy also takes
//! pre-tokenized texts, but encodes each as JSON and copies each term three times, which
//! was a fifth of the processor time of indexing.

use std::fmt::Write as _;

use tantivy::tokenizer::{Token, TokenStream, Tokenizer};

/// Ends a term. No term has it: terms are of letters, digits, marks and joiners.
const END: char = '\n';
/// Stands between a position and its term.
const AFTER_POSITION: char = ' ';

/// Terms with their positions, as the text that [`ListedTerms`] reads.
#[derive(Default)]
pub(super) struct List(String);

impl List {
    pub(super) fn push(&mut self, position: u32, term: &str) {
        // A String takes all that is written to it.
        let _ = write!(self.0, "{position}{AFTER_POSITION}{term}{END}");
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// Hands tantivy the terms of a [`List`].
#[derive(Clone, Default)]
pub(super) struct ListedTerms {
    token: Token,
}

/// The terms of one list.
pub(super) struct Terms<'t> {
    lines: std::str::SplitTerminator<'t, char>,
    token: &'t mut Token,
}

impl Tokenizer for ListedTerms {
    type TokenStream<'t> = Terms<'t>;

    fn token_stream<'t>(&'t mut self, text: &'t str) -> Terms<'t> {
        self.token.reset();
        Terms { lines: text.split_terminator(END), token: &mut self.token }
    }
}

impl TokenStream for Terms<'_> {
    fn advance(&mut self) -> bool {
        let listed = self.lines.find_map(|line| {
            let (position, term) = line.split_once(AFTER_POSITION)?;
            Some((position.parse().ok()?, term))
        });
        let Some((position, term)) = listed else { return false };
        self.token.position = position;
        self.token.text.clear();
        self.token.text.push_str(term);
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_come_out_as_they_were_listed() {
        let terms = [(0, "été"), (2, "c++"), (1, "一二"), (1, "o'neil"), (4_000_000_000, "x")];
        let mut list = List::default();
        for (position, term) in terms {
            list.push(position, term);
        }
        let text = list.into_text();
        let mut tokenizer = ListedTerms::default();
        let mut read = Vec::new();
        tokenizer.token_stream(&text).process(&mut |token| {
            read.push((u32::try_from(token.position).unwrap(), token.text.clone()));
        });
        assert_eq!(read, terms.map(|(position, term)| (position, term.to_owned())));
        let mut none = Vec::new();
        tokenizer.token_stream("").process(&mut |token| none.push(token.text.clone()));
        assert!(none.is_empty());
    }
}
