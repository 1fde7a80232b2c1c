//! Where a text says the words of a query.

use std::collections::HashSet;
use std::ops::Range;

use crate::analysis::{Role, Token, analyse};
use crate::content::says_nothing;
use crate::language::Language;

/// The bytes of a text in a language that say the words of a query, in order and apart
/// from each other. Words that mean nothing are passed over, unless the query has no
/// others.
pub fn highlights(query: &str, text: &str, language: Option<Language>) -> Vec<Range<usize>> {
    let wanted: Vec<Token> =
        analyse(query, language).into_iter().filter(|token| token.role != Role::Part).collect();
    let says =
        |token: &&Token| token.exact.as_deref().is_none_or(|word| !says_nothing(word, language));
    let meant: Vec<&Token> = wanted.iter().filter(says).collect();
    let meant = if meant.is_empty() { wanted.iter().collect() } else { meant };
    let stems: HashSet<&str> = meant.iter().filter_map(|token| token.stem.as_deref()).collect();
    let exact: HashSet<&str> = meant.iter().filter_map(|token| token.exact.as_deref()).collect();
    let is =
        |words: &HashSet<&str>, word: Option<&str>| word.is_some_and(|one| words.contains(one));
    let mut found: Vec<Range<usize>> = analyse(text, language)
        .into_iter()
        .filter(|token| is(&stems, token.stem.as_deref()) || is(&exact, token.exact.as_deref()))
        .map(|token| token.span)
        .collect();
    // A form of a word comes after those beside it, though it begins before them.
    found.sort_by_key(|span| (span.start, span.end));
    joined(found)
}

/// Pairs of characters overlap or touch where more than one of them is said.
fn joined(spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(spans.len());
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => joined.push(span),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;

    fn shown<'t>(query: &str, text: &'t str, language: &str) -> Vec<&'t str> {
        let spans = highlights(query, text, Language::parse(language));
        spans.into_iter().map(|span| &text[span]).collect()
    }

    #[test]
    fn words_are_shown_as_they_stand() {
        for (query, text, language, expected) in [
            ("the wing", "The wings lift it.", "en", vec!["wings"]),
            ("to be", "To be, or not.", "en", vec!["To", "be"]),
            ("Haus", "Alte H\u{e4}user stehen.", "de", vec!["H\u{e4}user"]),
            ("дом", "Старые дома стоят.", "ru", vec!["дома"]),
            ("很大的湖", "校园里有一个很大的湖。", "zh", vec!["很大的湖"]),
            ("แม่น้ำ", "ตั้งอยู่ริมแม่น้ำเจ้าพระยา", "th", vec!["แม่น้ำ"]),
            ("البيت", "هذا بيت قديم", "ar", vec!["بيت"]),
            ("nor070710", "gasket NOR.0707-10 now", "en", vec!["NOR.0707-10"]),
            ("strasse", "die Stra\u{df}e", "de", vec!["Stra\u{df}e"]),
        ] {
            assert_eq!(shown(query, text, language), expected, "{query}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_lies_in_the_text_in_order(
            query in "\\PC{0,12}", text in "\\PC{0,40}", language in "(en|de|th|zh|ar|)",
        ) {
            let spans = highlights(&query, &text, Language::parse(&language));
            prop_assert!(spans.iter().all(|span| text.get(span.clone()).is_some_and(|one| !one.is_empty())));
            prop_assert!(spans.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }
}
