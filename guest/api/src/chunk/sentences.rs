//! Where sentences end: Unicode's rules (UAX 29), without breaks at the line
//! ends of hard-wrapped text and after common abbreviations.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// Words after which a full stop ends no sentence.
const ABBREVIATIONS: &[&str] = &[
    "al", "approx", "ca", "cf", "ch", "dr", "e.g", "eq", "eqs", "etc", "fig", "figs", "i.e", "inc",
    "jr", "ltd", "mr", "mrs", "ms", "no", "nr", "p", "pp", "prof", "ref", "refs", "sec", "sr",
    "st", "vol", "vs",
];

/// The sentences of a text, without the white space between them.
pub(super) fn split(text: &str) -> Vec<Range<usize>> {
    // A space for each line break keeps every byte in its place.
    let flat = text.replace('\n', " ");
    let mut sentences: Vec<Range<usize>> = Vec::new();
    let mut goes_on = false;
    for (at, piece) in flat.split_sentence_bound_indices() {
        let start = at + piece.len() - piece.trim_start().len();
        let end = at + piece.trim_end().len();
        if start >= end {
            continue;
        }
        match sentences.last_mut() {
            Some(last) if goes_on => last.end = end,
            _ => sentences.push(start..end),
        }
        goes_on = ends_in_abbreviation(piece);
    }
    sentences
}

/// Whether a piece ends in an abbreviation or an initial.
fn ends_in_abbreviation(piece: &str) -> bool {
    let Some(piece) = piece.trim_end().strip_suffix('.') else { return false };
    let word = piece
        .rsplit(|char: char| char.is_whitespace() || matches!(char, '(' | '['))
        .next()
        .unwrap_or_default();
    let mut chars = word.chars();
    let initial = chars.next().is_some_and(char::is_uppercase) && chars.next().is_none();
    initial || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        split(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn sentences_end_at_their_marks() {
        assert_eq!(
            texts("One two. Three?  Four! 五。六。"),
            ["One two.", "Three?", "Four!", "五。", "六。"]
        );
    }

    #[test]
    fn a_line_end_ends_no_sentence() {
        assert_eq!(texts("One\ntwo three.\nFour."), ["One\ntwo three.", "Four."]);
    }

    #[test]
    fn abbreviations_and_initials_end_no_sentence() {
        assert_eq!(
            texts("See Fig. 3 by J. Smith et al. There, e.g. Mach 3.5 holds. Next."),
            ["See Fig. 3 by J. Smith et al. There, e.g. Mach 3.5 holds.", "Next."]
        );
    }

    #[test]
    fn white_space_alone_has_no_sentence() {
        assert!(texts(" \n ").is_empty());
    }
}
