//! Where sentences end: Unicode's rules (UAX 29), without breaks at the line
//! ends of hard-wrapped text and after common abbreviations. Those rules see no
//! end before a lower-case letter; in text without capitals a mark ends one.

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
    let capitals = flat.chars().any(char::is_uppercase);
    let pieces = flat.split_sentence_bound_indices().flat_map(|(at, piece)| {
        let marks = if capitals { Vec::new() } else { marks(piece) };
        let starts = std::iter::once(0).chain(marks.clone());
        let ends = marks.into_iter().chain([piece.len()]);
        starts
            .zip(ends)
            .map(move |(start, end)| (at + start, piece.get(start..end).unwrap_or_default()))
    });
    for (at, piece) in pieces {
        let start = at + piece.len() - piece.trim_start().len();
        let end = at + piece.trim_end().len();
        if start >= end {
            continue;
        }
        match sentences.last_mut() {
            Some(last) if goes_on => last.end = end,
            _ => sentences.push(start..end),
        }
        goes_on = ends_in_abbreviation(piece, capitals);
    }
    sentences
}

/// Where marks inside a piece end a sentence: before white space, and not after
/// a number, which may be that of a list or a section.
fn marks(piece: &str) -> Vec<usize> {
    let ends = piece.match_indices(['.', '!', '?']).filter_map(|(at, mark)| {
        let (before, after) = (piece.get(..at)?, piece.get(at + mark.len()..)?);
        let numbered = mark == "." && before.ends_with(|char: char| char.is_ascii_digit());
        let inside = !after.trim().is_empty() && after.starts_with(char::is_whitespace);
        (inside && !numbered).then_some(at + mark.len())
    });
    ends.collect()
}

/// Whether a piece ends in an abbreviation or an initial, which is a capital
/// where the text has `capitals`.
fn ends_in_abbreviation(piece: &str, capitals: bool) -> bool {
    let Some(piece) = piece.trim_end().strip_suffix('.') else { return false };
    let word = piece
        .rsplit(|char: char| char.is_whitespace() || matches!(char, '(' | '['))
        .next()
        .unwrap_or_default();
    let mut chars = word.chars();
    let initial =
        chars.next().is_some_and(|char| char.is_uppercase() || (!capitals && char.is_alphabetic()))
            && chars.next().is_none();
    initial || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;

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
    fn a_mark_ends_a_sentence_of_text_without_capitals() {
        assert_eq!(
            texts(
                "the slipstream of a wing . it was seen by j. smith et al. in fig. 3. at mach 3.5 e.g. here. why ? so"
            ),
            [
                "the slipstream of a wing .",
                "it was seen by j. smith et al. in fig. 3. at mach 3.5 e.g. here.",
                "why ?",
                "so"
            ]
        );
    }

    #[test]
    fn text_with_capitals_is_left_to_the_rules_of_unicode() {
        assert_eq!(texts("Of 3 cm. width along x. Next."), ["Of 3 cm. width along x.", "Next."]);
    }

    #[test]
    fn white_space_alone_has_no_sentence() {
        assert!(texts(" \n ").is_empty());
    }

    proptest! {
        #[test]
        fn no_character_is_lost_and_none_comes_twice(text in "[a-zé3 .!?\n]{0,80}") {
            let solid = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(solid(&texts(&text).concat()), solid(&text));
        }
    }
}
