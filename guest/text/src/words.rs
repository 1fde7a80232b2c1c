//! The pieces of a text that can be words, by Unicode's word bounds (UAX 29) of
//! the text as it is.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use crate::normal::{compatible, is_ignorable, is_word};
use crate::script::{self, Kind};

/// A run of letters, digits and marks of one kind of script.
#[derive(Debug)]
pub(crate) struct Piece {
    /// In compatible form; the case is that of the source.
    pub(crate) text: String,
    /// How its words are found.
    pub(crate) kind: Kind,
    /// The bytes of the source that it comes from; pieces of one segment share them.
    pub(crate) span: Range<usize>,
    /// What lies between it and the piece before.
    pub(crate) gap: Gap,
}

/// What lies between two pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gap {
    /// Nothing that is seen.
    None,
    /// One character.
    One(char),
    /// More.
    More,
}

impl Gap {
    fn push(&mut self, character: char) {
        *self = match self {
            Self::None => Self::One(character),
            _ => Self::More,
        };
    }
}

/// Hands out the pieces of a text in order.
pub(crate) fn pieces(text: &str, mut take: impl FnMut(Piece)) {
    let mut gap = Gap::More;
    for (start, segment) in text.split_word_bound_indices() {
        let span = start..start + segment.len();
        // Most segments between words are single spaces.
        if segment == " " {
            gap = if gap == Gap::None { Gap::One(' ') } else { Gap::More };
            continue;
        }
        if segment.chars().all(is_ignorable) {
            // A space of no width parts words, but hides in them too.
            if segment.contains('\u{200b}') {
                gap.push('\u{200b}');
            }
            continue;
        }
        split(&compatible(segment), &span, &mut gap, &mut take);
    }
}

/// Takes a segment apart where it has what is no part of a word, and where the
/// kind of script changes.
fn split(segment: &str, span: &Range<usize>, gap: &mut Gap, take: &mut impl FnMut(Piece)) {
    let mut current: Option<(String, Kind)> = None;
    let mut flush = |current: &mut Option<(String, Kind)>, gap: &mut Gap| {
        if let Some((text, kind)) = current.take() {
            take(Piece { text, kind, span: span.clone(), gap: *gap });
            *gap = Gap::None;
        }
    };
    for character in segment.chars() {
        if !is_word(character) {
            flush(&mut current, gap);
            gap.push(character);
            continue;
        }
        // A mark is of the letter before it, a digit of the word around it.
        let kind = match &current {
            Some((_, kind)) if !character.is_alphanumeric() => *kind,
            Some((_, Kind::Spaced)) if character.is_numeric() => Kind::Spaced,
            _ => script::kind(character),
        };
        match &mut current {
            Some((text, same)) if *same == kind => text.push(character),
            _ => {
                flush(&mut current, gap);
                current = Some((String::from(character), kind));
            }
        }
    }
    flush(&mut current, gap);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(String, Gap)> {
        let mut found = Vec::new();
        pieces(text, |piece| found.push((piece.text, piece.gap)));
        found
    }

    #[test]
    fn pieces_know_what_parts_them() {
        let one = |text: &str, gap| (text.to_owned(), gap);
        assert_eq!(
            texts("NOR.0707-10, a b"),
            [
                one("NOR", Gap::More),
                one("0707", Gap::One('.')),
                one("10", Gap::One('-')),
                one("a", Gap::More),
                one("b", Gap::One(' ')),
            ]
        );
        assert_eq!(texts("iPhone용"), [one("iPhone", Gap::More), one("용", Gap::None)]);
    }
}
