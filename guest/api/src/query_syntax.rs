//! What a person types into a search: words, and beside them what has to be
//! there and what must not.
//!
//! `"maple leaf"` and `+march` are required, `-waltz` and `-"left hand"` are
//! excluded. A sign counts at the beginning of a word and before a letter, so
//! that `-40`, `C++` and `well-tempered` are what they are; a quotation mark
//! counts when there is another to close it.

/// Conditions of one search. What comes after them is read as words.
const MAX_CONDITIONS: usize = 16;

/// A search as it was meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParsedQuery {
    /// What to look for: all but signs, quotation marks and what is excluded.
    pub text: String,
    /// Words and phrases that have to be there.
    pub required: Vec<String>,
    /// Words and phrases that must not be there.
    pub excluded: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum Sign {
    Required,
    Excluded,
}

impl ParsedQuery {
    /// Reads a search. Where nothing would be left to look for, everything is
    /// words.
    pub fn parse(typed: &str) -> Self {
        let mut query = Self::default();
        let mut rest = typed.trim_start();
        while !rest.is_empty() {
            let free = query.required.len() + query.excluded.len() < MAX_CONDITIONS;
            let (sign, words, after) = match condition(rest).filter(|_| free) {
                Some((sign, words, after)) => (Some(sign), words, after),
                None => {
                    let (word, after) = word(rest);
                    (None, word, after)
                }
            };
            query.take(sign, words);
            rest = after.trim_start();
        }
        if query.text.chars().any(char::is_alphanumeric) {
            query
        } else {
            Self { text: typed.to_owned(), ..Self::default() }
        }
    }

    fn take(&mut self, sign: Option<Sign>, words: &str) {
        match sign {
            Some(Sign::Excluded) => return self.excluded.push(words.to_owned()),
            Some(Sign::Required) => self.required.push(words.to_owned()),
            None => {}
        }
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(words);
    }
}

/// A condition at the beginning of `rest`, and what comes after.
fn condition(rest: &str) -> Option<(Sign, &str, &str)> {
    let (sign, signed) = match rest.strip_prefix('+') {
        Some(signed) => (Some(Sign::Required), signed),
        None => match rest.strip_prefix('-') {
            Some(signed) => (Some(Sign::Excluded), signed),
            None => (None, rest),
        },
    };
    if let Some((phrase, after)) = phrase(signed) {
        return Some((sign.unwrap_or(Sign::Required), phrase, after));
    }
    let sign = sign.filter(|_| signed.starts_with(char::is_alphabetic))?;
    let (word, after) = word(signed);
    Some((sign, word, after))
}

/// A phrase in quotation marks that has a letter or digit.
fn phrase(rest: &str) -> Option<(&str, &str)> {
    let (open, close) = [('"', '"'), ('\u{201c}', '\u{201d}')]
        .into_iter()
        .find(|(open, _)| rest.starts_with(*open))?;
    let (phrase, after) = rest.strip_prefix(open)?.split_once(close)?;
    phrase.chars().any(char::is_alphanumeric).then_some((phrase, after))
}

fn word(rest: &str) -> (&str, &str) {
    rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(typed: &str) -> (String, Vec<String>, Vec<String>) {
        let ParsedQuery { text, required, excluded } = ParsedQuery::parse(typed);
        (text, required, excluded)
    }

    fn words(typed: &str) -> (String, Vec<String>, Vec<String>) {
        (typed.to_owned(), Vec::new(), Vec::new())
    }

    #[test]
    fn conditions_are_told_from_words() {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(
            read("joplin \"maple leaf\" +rag -waltz -\u{201c}left hand\u{201d}"),
            (
                "joplin maple leaf rag".into(),
                owned(&["maple leaf", "rag"]),
                owned(&["waltz", "left hand"])
            )
        );
        assert_eq!(read("rag -\"\""), words("rag -\"\""));
    }

    #[test]
    fn punctuation_is_no_condition() {
        for typed in
            ["C++ at -40 \u{b0}C", "well-tempered", "a \" b", "5'10\" tall", "+ - \"", "--x"]
        {
            assert_eq!(read(typed), words(typed));
        }
    }

    #[test]
    fn a_search_for_nothing_is_a_search_for_its_words() {
        assert_eq!(read("-waltz"), words("-waltz"));
        assert_eq!(read("\"?\""), words("\"?\""));
    }

    #[test]
    fn conditions_are_bounded() {
        let typed = vec!["+a"; MAX_CONDITIONS + 1].join(" ");
        assert_eq!(ParsedQuery::parse(&typed).required.len(), MAX_CONDITIONS);
    }

    proptest! {
        #[test]
        fn nothing_a_person_types_is_lost_or_made_up(typed in "[ a-c+\"\u{201c}\u{201d}0-]{0,24}") {
            let query = ParsedQuery::parse(&typed);
            let mut all = query.text.clone() + &query.excluded.concat();
            all.retain(char::is_alphanumeric);
            let mut letters: Vec<_> = all.chars().collect();
            let mut expected: Vec<_> = typed.chars().filter(|c| c.is_alphanumeric()).collect();
            letters.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(letters, expected);
        }
    }
}
