//! The pieces of a text that can be words, by Unicode's word bounds (UAX 29) of
//! the text as it is.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use crate::class::{ALPHANUMERIC, BREAKS, Class, IGNORABLE, JOINS, NUMERIC, RUN, SOLO, WORD};
use crate::normal::compatible;
use crate::script::{self, ScriptKind};

/// A run of letters, digits and marks of one kind of script.
#[derive(Debug)]
pub(crate) struct Piece<'p> {
    /// In compatible form; the case is that of the source.
    pub(crate) text: &'p str,
    /// How its words are found.
    pub(crate) kind: ScriptKind,
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
pub(crate) fn pieces(text: &str, mut take: impl FnMut(Piece<'_>)) {
    let mut gap = Gap::More;
    segments(text, |start, segment| {
        let span = start..start + segment.len();
        // Most segments between words are single spaces.
        if segment == " " {
            gap = if gap == Gap::None { Gap::One(' ') } else { Gap::More };
            return;
        }
        if segment.chars().all(|one| Class::of(one).is(IGNORABLE)) {
            // A space of no width parts words, but hides in them too.
            if segment.contains('\u{200b}') {
                gap.push('\u{200b}');
            }
            return;
        }
        split(&compatible(segment), &span, &mut gap, &mut take);
    });
}

/// Hands out the segments of a text by Unicode's word bounds, and where each begins.
/// The rules are asked only where it is not plain what they say, which is a tenth of
/// most texts.
fn segments<'t>(text: &'t str, mut take: impl FnMut(usize, &'t str)) {
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let end = at + plain(rest, at, &mut take);
        at = end + by_rules(text.get(end..).unwrap_or_default(), end, &mut take);
    }
}

/// Hands out segments at the beginning of a text that are plain, and returns their bytes:
/// words between single spaces, and characters that are segments of their own.
fn plain<'t>(text: &'t str, offset: usize, take: &mut impl FnMut(usize, &'t str)) -> usize {
    let mut at = 0;
    while let Some(segment) = text.get(at..).and_then(|rest| word(rest).or_else(|| solo(rest))) {
        take(offset + at, segment);
        at += segment.len();
        let mut rest = text.get(at..).unwrap_or_default();
        let marked = rest.strip_prefix([',', '.', ';', ':', '?', '!', ')']);
        if let Some(after) = marked.filter(|after| after.starts_with(' ')) {
            take(offset + at, rest.get(..1).unwrap_or_default());
            at += 1;
            rest = after;
        }
        let spaced = rest.strip_prefix(' ').and_then(|rest| rest.chars().next());
        if spaced.is_some_and(|next| Class::of(next).is(RUN | SOLO)) {
            take(offset + at, rest.get(..1).unwrap_or_default());
            at += 1;
        }
    }
    at
}

/// The letters and digits at the beginning, if a word ends after them whatever follows
/// it: before a space, before a mark and a space, or at the end.
fn word(text: &str) -> Option<&str> {
    let mut characters = text.char_indices();
    characters.next().filter(|(_, first)| Class::of(*first).is(RUN))?;
    let Some((end, _)) = characters.find(|(_, one)| !Class::of(*one).is(RUN | JOINS)) else {
        return Some(text);
    };
    let (word, rest) = text.split_at_checked(end)?;
    let rest = rest.strip_prefix([',', '.', ';', ':', '?', '!', ')']).unwrap_or(rest);
    rest.starts_with(' ').then_some(word)
}

/// The character at the beginning with the marks on it, if it is a segment.
fn solo(text: &str) -> Option<&str> {
    let mut characters = text.char_indices();
    characters.next().filter(|(_, first)| Class::of(*first).is(SOLO))?;
    match characters.find(|(_, one)| !Class::of(*one).is(JOINS)) {
        None => Some(text),
        Some((end, next)) if Class::of(next).is(BREAKS) => text.get(..end),
        Some(_) => None,
    }
}

/// Hands out segments by the rules until they may be plain again, and returns their bytes.
fn by_rules<'t>(text: &'t str, offset: usize, take: &mut impl FnMut(usize, &'t str)) -> usize {
    for (at, segment) in text.split_word_bound_indices() {
        take(offset + at, segment);
        let end = at + segment.len();
        let next = text.get(end..).and_then(|rest| rest.chars().next()).map(Class::of);
        // What is before a space has no say in what is after it, and nothing has in
        // what is a segment of its own.
        if next.is_some_and(|next| next.is(SOLO) || (segment == " " && next.is(RUN))) {
            return end;
        }
    }
    text.len()
}

/// Takes a segment apart where it has what is no part of a word, and where the
/// kind of script changes.
fn split(segment: &str, span: &Range<usize>, gap: &mut Gap, take: &mut impl FnMut(Piece<'_>)) {
    let mut current: Option<(usize, ScriptKind)> = None;
    let mut flush = |current: &mut Option<(usize, ScriptKind)>, end: usize, gap: &mut Gap| {
        if let Some((start, kind)) = current.take() {
            let text = segment.get(start..end).unwrap_or_default();
            take(Piece { text, kind, span: span.clone(), gap: *gap });
            *gap = Gap::None;
        }
    };
    for (at, character) in segment.char_indices() {
        let class = Class::of(character);
        if !class.is(WORD) {
            flush(&mut current, at, gap);
            gap.push(character);
            continue;
        }
        // A mark is of the letter before it, a digit of the word around it.
        let kind = match current {
            Some((_, kind)) if !class.is(ALPHANUMERIC) => kind,
            Some((_, ScriptKind::Spaced)) if class.is(NUMERIC) => ScriptKind::Spaced,
            _ => script::kind(class),
        };
        match current {
            Some((_, same)) if same == kind => {}
            _ => {
                flush(&mut current, at, gap);
                current = Some((at, kind));
            }
        }
    }
    flush(&mut current, segment.len(), gap);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(text: &str) -> Vec<(String, Gap)> {
        let mut found = Vec::new();
        pieces(text, |piece| found.push((piece.text.to_owned(), piece.gap)));
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

    proptest! {
        #[test]
        fn segments_are_those_of_the_rules(
            text in "([a-zäß0-9_ ,.:;!?)'\"\\n\\r\u{300}\u{301}\u{200c}\u{200d}\u{200b}\u{ad}אבگمיم中国。，、かカーกำ่์가각\u{1100}👩🏽🇩🇪❤\u{fe0f}\u{3000}\u{a0}·٠१𠀀𝒜]|\\PC| ){0,24}"
        ) {
            let mut found = Vec::new();
            segments(&text, |at, segment| found.push((at, segment)));
            let expected: Vec<_> = text.split_word_bound_indices().collect();
            prop_assert_eq!(found, expected);
        }
    }
}
