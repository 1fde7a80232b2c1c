//! One form for what a reader takes for the same word.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_script::Script;

use crate::character::{self, push_plain};
use crate::class::{COMPATIBLE, Class, LOWER, PLAIN};
use crate::language::Language;

/// A piece of text in its compatibility form (NFKC) without what is not seen.
/// Its case stays.
pub(crate) fn compatible(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_compatible(text) {
        return Cow::Borrowed(text);
    }
    let seen =
        text.nfkc().filter(|one| !character::is_ignorable(*one) && *one != character::TATWEEL);
    Cow::Owned(seen.map(character::ascii_digit).collect())
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
        base = character::script(character);
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
