//! What is known of a character. The tables of Unicode are searched once for each that
//! a program meets: most texts are made of a few dozen, thousands of times.

use std::iter::once;
use std::sync::atomic::{AtomicU32, Ordering};

use unicode_normalization::char::{canonical_combining_class, is_combining_mark};
use unicode_normalization::{IsNormalized, is_nfc_quick, is_nfd_quick, is_nfkc_quick};
use unicode_segmentation::UnicodeSegmentation;

use crate::character;

/// Characters of the basic plane, by code; zero for one that was not met yet. Whoever
/// comes first writes what anybody else would write, so no order is needed.
static MET: [AtomicU32; 0x1_0000] = [const { AtomicU32::new(0) }; 0x1_0000];

const MET_BIT: u32 = 1 << 31;
const CCC_SHIFT: u32 = 8;

/// Of a word: a letter, a digit or a mark on one.
pub(crate) const WORD: u32 = 1 << 16;
/// A letter or a digit.
pub(crate) const ALPHANUMERIC: u32 = 1 << 17;
/// A digit or another number.
pub(crate) const NUMERIC: u32 = 1 << 18;
/// Not seen.
pub(crate) const IGNORABLE: u32 = 1 << 19;
/// In compatible form already, if its marks are in order.
pub(crate) const COMPATIBLE: u32 = 1 << 20;
/// In lower case already.
pub(crate) const LOWER: u32 = 1 << 21;
/// Without marks, and no mark itself.
pub(crate) const PLAIN: u32 = 1 << 22;
/// A letter or a digit that goes on with a word by Unicode's rules.
pub(crate) const RUN: u32 = 1 << 23;
/// A segment of its own by Unicode's rules, with the marks on it.
pub(crate) const SOLO: u32 = 1 << 24;
/// Of the segment that the character before it is in.
pub(crate) const JOINS: u32 = 1 << 25;
/// Begins a segment after a solo one.
pub(crate) const BREAKS: u32 = 1 << 26;

/// A mark on the character before it.
pub(crate) const MARK: u32 = 1 << 27;

/// May end a sentence by Unicode's rules, or nothing is known of that.
pub(crate) const ENDS: u32 = 1 << 28;
/// For sure a letter to Unicode's rules for sentences.
pub(crate) const STANDS: u32 = 1 << 29;
/// A capital.
pub(crate) const UPPER: u32 = 1 << 30;

/// What is known of one character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Class(u32);

impl Class {
    pub(crate) fn of(character: char) -> Self {
        let Some(met) = MET.get(character as usize) else { return Self::make(character) };
        match met.load(Ordering::Relaxed) {
            0 => {
                let class = Self::make(character);
                met.store(class.0, Ordering::Relaxed);
                class
            }
            known => Self(known),
        }
    }

    pub(crate) fn is(self, flag: u32) -> bool {
        self.0 & flag != 0
    }

    /// Its script, as a number.
    pub(crate) fn script(self) -> u8 {
        (self.0 & 0xff) as u8
    }

    /// The place of a mark among others on the same letter.
    pub(crate) fn order(self) -> u8 {
        (self.0 >> CCC_SHIFT & 0xff) as u8
    }

    fn make(character: char) -> Self {
        let mark = is_combining_mark(character);
        let order = canonical_combining_class(character);
        let is_quick = |quick: IsNormalized| quick == IsNormalized::Yes;
        let flags = [
            (WORD, character.is_alphanumeric() || mark),
            (MARK, mark),
            (UPPER, character.is_uppercase()),
            (ALPHANUMERIC, character.is_alphanumeric()),
            (NUMERIC, character.is_numeric()),
            (IGNORABLE, character::is_ignorable(character)),
            (COMPATIBLE, is_quick(is_nfkc_quick(once(character))) && character::is_kept(character)),
            (LOWER, character::is_lower(character)),
            (
                PLAIN,
                !mark
                    && order == 0
                    && is_quick(is_nfc_quick(once(character)))
                    && is_quick(is_nfd_quick(once(character)))
                    && character::is_plain(character),
            ),
        ];
        let flags = flags.into_iter().filter(|(_, is)| *is).fold(0, |all, (flag, _)| all | flag);
        let script = u32::from(character::script(character) as u8);
        Self(
            MET_BIT
                | flags
                | bounds(character)
                | sentences(character)
                | u32::from(order) << CCC_SHIFT
                | script,
        )
    }
}

/// What Unicode's rules for the bounds of words make of a character, found out by
/// asking them. Nothing is said of those beyond the basic plane.
fn bounds(character: char) -> u32 {
    if character.is_ascii() {
        let run = character.is_ascii_alphanumeric() || character == '_';
        return if run { RUN | BREAKS } else { BREAKS };
    }
    if character > '\u{ffff}' || character == '\u{200d}' {
        return 0;
    }
    let count = |text: String| text.split_word_bounds().count();
    let c = character;
    if count(format!("\u{4e00}{c}")) == 1 {
        return JOINS;
    }
    if count(format!("a{c}")) == 1 && count(format!("{c}a")) == 1 {
        return RUN | BREAKS;
    }
    let alone = count(format!("{c}{c}")) == 2
        && count(format!("{c}\u{301}")) == 1
        && count(format!(" {c} ")) == 3
        && ["a", "1", "\u{5d0}", "\u{30ab}"]
            .into_iter()
            .all(|beside| count(format!("{beside}{c}{beside}")) == 3);
    if alone { SOLO | BREAKS } else { BREAKS }
}

/// What Unicode's rules for the bounds of sentences make of a character, in the same way.
fn sentences(character: char) -> u32 {
    let c = character;
    if c.is_ascii() {
        let ends = matches!(c, '.' | '!' | '?' | '\n' | '\r');
        return if ends { ENDS } else { u32::from(c.is_ascii_alphabetic()) * STANDS };
    }
    if c > '\u{ffff}' {
        return ENDS;
    }
    let ends = format!("a{c} A").split_sentence_bounds().count() > 1;
    let stands = format!("?{c}A").split_sentence_bounds().next() == Some("?");
    match (ends, stands) {
        (true, _) => ENDS,
        (false, true) => STANDS,
        (false, false) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_character_is_what_it_is() {
        for character in ('\0'..='\u{ffff}').chain(['\u{1f600}', '\u{20000}', '\u{1e900}']) {
            let class = Class::of(character);
            assert_eq!(class, Class::make(character));
            assert_eq!(class, Class::of(character));
            assert_eq!(class.is(NUMERIC), character.is_numeric());
            assert_eq!(class.order(), canonical_combining_class(character));
            if character.is_ascii() {
                let whole = format!("a{character}").split_word_bounds().count() == 1;
                assert_eq!(class.is(RUN), whole, "{character:?}");
                let ends = format!("a{character} A").split_sentence_bounds().count() > 1;
                assert_eq!(class.is(ENDS), ends, "{character:?}");
            }
        }
    }
}
