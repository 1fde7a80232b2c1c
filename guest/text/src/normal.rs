//! One form for what a reader takes for the same word.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_script::Script;

use crate::class::{COMPATIBLE, Class, LOWER, PLAIN};
use crate::language::Language;
use crate::script;

/// Characters that are not seen: soft hyphens, joiners, marks of direction,
/// variation selectors (Default_Ignorable_Code_Point of Unicode 16).
pub(crate) fn is_ignorable(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether the compatible form has a character that NFKC does.
pub(crate) fn is_kept(character: char) -> bool {
    !is_ignorable(character) && character != TATWEEL && ascii_digit(character) == character
}

/// A piece of text in its compatibility form (NFKC) without what is not seen.
/// Its case stays.
pub(crate) fn compatible(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_compatible(text) {
        return Cow::Borrowed(text);
    }
    let seen = text.nfkc().filter(|one| !is_ignorable(*one) && *one != TATWEEL);
    Cow::Owned(seen.map(ascii_digit).collect())
}

/// Whether text is in its compatible form for sure: of such characters, with the marks
/// on each in order (the quick check of UAX 15).
fn is_compatible(text: &str) -> bool {
    let mut before = 0;
    text.chars().map(Class::of).all(|class| {
        let order = class.order();
        let ordered = order == 0 || order >= before;
        before = order;
        ordered && class.is(COMPATIBLE)
    })
}

/// A stretch of a letter that writes nothing.
const TATWEEL: char = '\u{640}';

/// Lower case as words are compared, of text in its compatible form.
pub(crate) fn lower(text: &str, language: Option<Language>) -> Cow<'_, str> {
    if text.chars().all(|one| Class::of(one).is(LOWER)) {
        return Cow::Borrowed(text);
    }
    if text.is_ascii() && !is_turkic(language) {
        return Cow::Owned(text.to_ascii_lowercase());
    }
    let cased = match is_turkic(language) {
        true => Cow::Owned(text.replace('I', "\u{131}").replace('\u{130}', "i")),
        false => Cow::Borrowed(text),
    };
    let mut folded = String::with_capacity(cased.len());
    for character in cased.to_lowercase().chars() {
        match character {
            '\u{df}' => folded.push_str("ss"),
            '\u{3c2}' => folded.push('\u{3c3}'),
            '\u{307}' if folded.ends_with('i') => {}
            other => folded.push(other),
        }
    }
    Cow::Owned(folded)
}

/// Whether a character is its own lower case.
pub(crate) fn is_lower(character: char) -> bool {
    character.to_lowercase().eq([character])
        && !matches!(character, '\u{df}' | '\u{3c2}' | '\u{307}')
}

fn is_turkic(language: Option<Language>) -> bool {
    language.is_some_and(|language| matches!(language.code(), "tr" | "az"))
}

/// A word without the marks that people leave out when they type: those of Latin,
/// Greek, Arabic and Hebrew letters, ё and nukta.
pub(crate) fn fold(word: &str) -> Cow<'_, str> {
    if word.is_ascii() || word.chars().all(|one| Class::of(one).is(PLAIN)) {
        return Cow::Borrowed(word);
    }
    let mut folded = String::with_capacity(word.len());
    let mut base = Script::Common;
    for character in word.nfd() {
        if is_combining_mark(character) {
            if !drops_mark(base, character) {
                folded.push(character);
            }
            continue;
        }
        base = script::of(character);
        push_plain(&mut folded, character);
    }
    if folded.is_ascii() { Cow::Owned(folded) } else { Cow::Owned(folded.nfc().collect()) }
}

fn drops_mark(base: Script, mark: char) -> bool {
    match base {
        Script::Latin | Script::Greek | Script::Arabic | Script::Hebrew => true,
        Script::Cyrillic => mark == '\u{308}' || mark == '\u{301}',
        Script::Devanagari => mark == '\u{93c}',
        _ => false,
    }
}

/// Whether a letter without marks is written as it is.
pub(crate) fn is_plain(character: char) -> bool {
    let mut plain = String::new();
    push_plain(&mut plain, character);
    plain.chars().eq([character])
}

fn push_plain(folded: &mut String, character: char) {
    match character {
        '\u{142}' => folded.push('l'),
        '\u{f8}' => folded.push('o'),
        '\u{111}' | '\u{f0}' => folded.push('d'),
        '\u{e6}' => folded.push_str("ae"),
        '\u{153}' => folded.push_str("oe"),
        '\u{131}' => folded.push('i'),
        '\u{fe}' => folded.push_str("th"),
        // Persian and Urdu letters that Arabic keyboards do not have.
        '\u{6cc}' | '\u{649}' => folded.push('\u{64a}'),
        '\u{6a9}' => folded.push('\u{643}'),
        '\u{6c1}' | '\u{6be}' => folded.push('\u{647}'),
        other => folded.push(other),
    }
}

/// Zero of each script whose decimal digits stand for those of ASCII.
const ZEROS: [u32; 17] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50,
    0xed0, 0x1040, 0x17e0, 0x1810,
];

fn ascii_digit(character: char) -> char {
    let code = u32::from(character);
    if code < 0x660 {
        return character;
    }
    let value = ZEROS.iter().filter_map(|zero| code.checked_sub(*zero)).find(|value| *value < 10);
    value.and_then(|value| char::from_digit(value, 10)).unwrap_or(character)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn key(text: &str) -> String {
        fold(&lower(&compatible(text), None)).into_owned()
    }

    #[test]
    fn what_reads_the_same_is_the_same() {
        for (a, b) in [
            ("e\u{301}cole", "école"),
            ("\u{fb01}le", "file"),
            ("ＡＢＣ１２", "abc12"),
            ("co\u{ad}operate", "cooperate"),
            ("zero\u{200b}width", "zerowidth"),
            ("Straße", "STRASSE"),
            ("İstanbul", "istanbul"),
            ("ΟΔΟΣ", "οδός"),
            ("Ёлка", "елка"),
            ("٢٠١٩", "2019"),
            ("﻿bom", "bom"),
            ("ｶﾞ", "ガ"),
            ("Łódź", "lodz"),
            ("كتـــاب", "کتاب"),
        ] {
            assert_eq!(key(a), key(b), "{a} {b}");
        }
    }

    #[test]
    fn marks_that_make_another_letter_stay() {
        for (a, b) in [("й", "и"), ("が", "か"), ("कि", "क")] {
            assert_ne!(key(a), key(b), "{a} {b}");
        }
    }

    #[test]
    fn turkish_has_two_letters_i() {
        let turkish = Language::parse("tr");
        assert_eq!(lower("ISPARTA İl", turkish), "ısparta il");
        assert_eq!(fold(&lower("ISPARTA", turkish)), "isparta");
    }
}
