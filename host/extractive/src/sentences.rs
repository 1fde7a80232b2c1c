//! Where sentences begin and end.

use std::ops::Range;

/// Words that end in a full stop without ending a sentence.
const ABBREVIATIONS: [&str; 20] = [
    "e.g", "i.e", "etc", "vs", "cf", "al", "fig", "figs", "eq", "eqs", "no", "vol", "pp", "dr",
    "mr", "mrs", "prof", "st", "ca", "approx",
];

/// The sentences of a text as byte ranges without the white space around them,
/// in order. A line that stands alone (a heading, an item of a list) is a
/// sentence of its own.
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let end = at + character.len_utf8();
        let next = characters.peek().map(|(_, next)| *next);
        let ends = match character {
            '\n' => next.is_none_or(|next| !next.is_lowercase()),
            '.' | '!' | '?' => {
                next.is_none_or(char::is_whitespace)
                    && !is_abbreviation(
                        text.get(start..at).unwrap_or_default(),
                        text.get(end..).unwrap_or_default(),
                    )
            }
            '。' | '！' | '？' => true,
            _ => false,
        };
        if ends {
            found.extend(trimmed(text, start..end));
            start = end;
        }
    }
    found.extend(trimmed(text, start..text.len()));
    found
}

/// Whether the full stop between `before` and `after` belongs to its word: a
/// known abbreviation, or a single capital as in "J. Smith".
fn is_abbreviation(before: &str, after: &str) -> bool {
    let word = before
        .rsplit(|character: char| character.is_whitespace() || character == '(')
        .next()
        .unwrap_or_default();
    let goes_on =
        after.trim_start().chars().next().is_some_and(|next| next.is_alphanumeric() || next == '(');
    let initial = word.len() == 1 && word.chars().all(char::is_uppercase);
    goes_on && (initial || ABBREVIATIONS.iter().any(|known| word.eq_ignore_ascii_case(known)))
}

/// The range without white space around it; `None` when no letter or digit is
/// left.
fn trimmed(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let piece = text.get(range.clone())?;
    if !piece.chars().any(char::is_alphanumeric) {
        return None;
    }
    let start = range.start + (piece.len() - piece.trim_start().len());
    Some(start..start + piece.trim().len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(text: &str) -> Vec<&str> {
        sentences(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn sentences_end_where_a_reader_would_say() {
        for (text, expected) in [
            ("One. Two! Three?", vec!["One.", "Two!", "Three?"]),
            ("lower case . ends like this .", vec!["lower case .", "ends like this ."]),
            ("Pi is 3.14 e.g. here. End", vec!["Pi is 3.14 e.g. here.", "End"]),
            ("By J. Smith et al. in Fig. 3. Next.", vec!["By J. Smith et al. in Fig. 3.", "Next."]),
            (
                "# Heading\nText goes\non here.\n- item",
                vec!["# Heading", "Text goes\non here.", "- item"],
            ),
            ("你好。再见！", vec!["你好。", "再见！"]),
            (" . \n !", vec![]),
        ] {
            assert_eq!(split(text), expected);
        }
    }

    proptest! {
        #[test]
        fn no_letter_is_lost_and_none_comes_twice(text in "\\PC{0,120}") {
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
            prop_assert_eq!(letters(&split(&text).concat()), letters(&text));
        }
    }
}
