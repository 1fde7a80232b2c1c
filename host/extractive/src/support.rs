//! What in a source a statement rests on.

use std::ops::Range;

use ragtime_text::{Lines, content, detect, sentences};

use crate::words::overlap;

/// The share of the words of the smaller side that a statement and a sentence
/// must have in common. Half of them is more than chance, and leaves room for
/// other words for the same thing.
const MIN_SHARED: f32 = 0.5;

/// The sentence of a passage that a statement made by somebody else is closest
/// to, in bytes of the passage; none when no sentence supports it.
pub fn support(statement: &str, passage: &str) -> Option<Range<usize>> {
    let language = detect(passage, None);
    let wanted = content(statement, language);
    let scored = sentences(passage, language, Lines::End).into_iter().filter_map(|span| {
        let found = content(passage.get(span.clone())?, language);
        let shared = wanted.intersection(&found).count();
        (shared > 0 && overlap(&wanted, &found) >= MIN_SHARED).then_some((shared, span))
    });
    // The first of equals: max_by_key would take the last.
    let best = scored.reduce(|best, next| if next.0 > best.0 { next } else { best });
    best.map(|(_, span)| span)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    const PASSAGE: &str = "Ragtime was popular from 1895 on. Its left hand keeps a steady march. \
                           Scott Joplin wrote the Maple Leaf Rag.";

    #[test]
    fn a_statement_is_supported_by_the_sentence_that_says_it() {
        let span = support("The Maple Leaf Rag is by Scott Joplin", PASSAGE).unwrap();
        assert_eq!(&PASSAGE[span], "Scott Joplin wrote the Maple Leaf Rag.");
    }

    #[test]
    fn a_statement_that_the_source_does_not_make_is_not_supported() {
        assert_eq!(support("Jelly Roll Morton invented jazz in New Orleans", PASSAGE), None);
        assert_eq!(support("", PASSAGE), None);
        assert_eq!(support("It is so.", ""), None);
    }
}
