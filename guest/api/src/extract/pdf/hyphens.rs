//! Words that the layout cut at the end of a line.

use std::collections::HashSet;

/// Words that begin compounds which keep their hyphen.
const FIRST: &[&str] = &[
    "all", "best", "cross", "double", "first", "fixed", "four", "full", "half", "hard", "high",
    "ill", "large", "left", "long", "low", "medium", "mid", "multi", "much", "near", "never",
    "new", "non", "old", "one", "open", "real", "right", "second", "self", "short", "single",
    "small", "soft", "so", "state", "still", "third", "three", "top", "two", "well", "wide",
    "zero",
];

/// Words that end compounds which keep their hyphen.
const SECOND: &[&str] = &[
    "agnostic",
    "aware",
    "based",
    "bound",
    "built",
    "called",
    "class",
    "defined",
    "dependent",
    "dimensional",
    "driven",
    "effective",
    "end",
    "fold",
    "free",
    "friendly",
    "grained",
    "known",
    "learning",
    "level",
    "like",
    "line",
    "made",
    "only",
    "order",
    "oriented",
    "path",
    "quality",
    "range",
    "rate",
    "related",
    "scale",
    "shot",
    "side",
    "sided",
    "size",
    "sized",
    "source",
    "specific",
    "standing",
    "style",
    "supervised",
    "term",
    "time",
    "to",
    "trained",
    "tuned",
    "tuning",
    "type",
    "user",
    "wise",
    "world",
];

/// The words of a document, to distinguish a cut from a compound.
#[derive(Debug, Default)]
pub(super) struct Vocabulary {
    words: HashSet<String>,
}

impl Vocabulary {
    /// Takes in the words of a line, but for those that the layout may have cut.
    pub(super) fn learn(&mut self, line: &str, follows_cut: bool) {
        let mut words = line.split_whitespace().skip(usize::from(follows_cut)).peekable();
        while let Some(word) = words.next() {
            if words.peek().is_some() || !is_cut(word) {
                let word = bare(word);
                if word.len() > 2 && !self.words.contains(word) {
                    self.words.insert(word.to_lowercase());
                }
            }
        }
    }

    fn knows(&self, word: &str) -> bool {
        self.words.contains(word)
    }

    /// How a line that ends in a hyphen goes on: whether the hyphen stays.
    /// Nothing where the two lines are not one word.
    pub(super) fn keeps_hyphen(&self, line: &str, next: &str) -> Option<bool> {
        let line = line.trim_end();
        if !is_cut(line) {
            return None;
        }
        let first = bare(line.split_whitespace().next_back()?);
        let word = next.split_whitespace().next()?;
        let second = bare(word);
        let begins = word.chars().next()?;
        if !begins.is_alphanumeric() {
            return None;
        }
        // A name or a number is no part of a cut word: `Marie-Curie`, `2019-2020`.
        if !begins.is_lowercase() || line.chars().rev().nth(1).is_some_and(char::is_numeric) {
            return Some(true);
        }
        if line.ends_with('\u{ad}') {
            return Some(false);
        }
        Some(self.is_compound(&first.to_lowercase(), &second.to_lowercase()))
    }

    fn is_compound(&self, first: &str, second: &str) -> bool {
        let head = second.split('-').next().unwrap_or(second);
        let whole = |word: &str| word.len() >= 4 && self.knows(word);
        if self.knows(&format!("{first}-{second}")) {
            return true;
        }
        if self.knows(&format!("{first}{second}")) {
            return false;
        }
        first.contains('-')
            || (second.contains('-') && self.knows(head))
            || FIRST.contains(&first)
            || SECOND.contains(&head)
            || (whole(first) && whole(head))
            || second.contains('-') && head.len() <= 3
    }
}

/// Whether a word ends in a letter and a hyphen.
pub(super) fn is_cut(word: &str) -> bool {
    let mut chars = word.chars().rev();
    matches!(chars.next(), Some('-' | '\u{2010}' | '\u{ad}'))
        && chars.next().is_some_and(char::is_alphanumeric)
}

/// A word without the marks around it.
fn bare(word: &str) -> &str {
    word.trim_matches(|char: char| !char.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeps(text: &str, line: &str, next: &str) -> Option<bool> {
        let mut vocabulary = Vocabulary::default();
        vocabulary.learn(text, false);
        vocabulary.keeps_hyphen(line, next)
    }

    #[test]
    fn a_cut_word_is_joined() {
        assert_eq!(keeps("", "a dynamic insta-", "bility of wings"), Some(false));
        assert_eq!(keeps("", "die Unter-", "suchung"), Some(false));
    }

    #[test]
    fn a_compound_keeps_its_hyphen() {
        assert_eq!(keeps("", "of the long-", "term plan"), Some(true));
        assert_eq!(keeps("", "state-of-the-", "art"), Some(true));
        assert_eq!(keeps("", "state-", "of-the-art"), Some(true));
        assert_eq!(keeps("", "Marie-", "Curie"), Some(true));
        assert_eq!(keeps("", "2019-", "2020"), Some(true));
    }

    #[test]
    fn the_rest_of_the_document_decides_first() {
        assert_eq!(keeps("the realtime clock", "a real-", "time clock"), Some(false));
        assert_eq!(keeps("a wave-guide here", "a wave-", "guide there"), Some(true));
        assert_eq!(keeps("water level pressure", "water-", "pressure"), Some(true));
    }

    #[test]
    fn a_dash_is_no_hyphen() {
        assert_eq!(keeps("", "first -", "second"), None);
        assert_eq!(keeps("", "first-", "(second"), None);
        assert_eq!(keeps("", "first", "second"), None);
    }
}
