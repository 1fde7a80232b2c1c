//! Where sentences begin and end: Unicode's rules (UAX 29), and what they cannot
//! know: abbreviations and ordinals by language, what is said after a question in
//! quotation marks, text without capitals, and scripts that write sentences with
//! spaces between them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use unicode_script::Script;
use unicode_segmentation::UnicodeSegmentation;

use crate::class::{Class, ENDS, STANDS, UPPER};
use crate::detect::{detect, is_function_word};
use crate::language::Language;
use crate::script::{self, ScriptKind};

/// Words before a point that is part of them, a line for each language and kind:
/// `never` ends a sentence, ends one unless a `number` follows, and `may` end one,
/// which the next word decides. Collected from CLDR's suppressions, the style guides
/// of the languages and reading what was split wrongly.
const ABBREVIATIONS: &str = include_str!("abbreviations.txt");

/// Titles that are written so in texts of many languages.
const EVERYWHERE: [&str; 8] = ["dr", "prof", "mr", "mrs", "ms", "st", "vs", "mt"];

/// Languages that write an ordinal as a number with a point.
const ORDINALS: [&str; 17] = [
    "de", "da", "no", "fi", "et", "cs", "sk", "sl", "hr", "sr", "hu", "pl", "lv", "lt", "tr", "is",
    "eu",
];

/// Characters after which a stretch of Thai and its like may end at a space: they
/// write spaces between sentences and between clauses alike.
const STRETCH: usize = 180;

/// What a line end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// White space: of a paragraph that may be wrapped.
    Wrapped,
    /// The end of a heading, an item or a row, unless the next line goes on in lower
    /// case.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Abbreviation {
    Never,
    Number,
    May,
}

static KNOWN: LazyLock<HashMap<(&str, &str), Abbreviation>> = LazyLock::new(|| {
    let mut known = HashMap::new();
    for line in ABBREVIATIONS.lines() {
        let mut words = line.split(' ');
        let kind = match words.next() {
            Some("never") => Abbreviation::Never,
            Some("number") => Abbreviation::Number,
            _ => Abbreviation::May,
        };
        let Some(language) = words.next() else { continue };
        known.extend(words.map(|word| ((language, word), kind)));
    }
    known
});

/// The sentences of a text as byte ranges without the white space around them, in
/// order; what has no letter or digit is none. Where the language is not known it is
/// detected.
pub fn sentences(text: &str, language: Option<Language>, lines: Lines) -> Vec<Range<usize>> {
    let splitter = Splitter::new(text, language.or_else(|| detect(text, None)));
    let mut found = Vec::new();
    for part in parts(text, lines) {
        let Some(stretch) = text.get(part.clone()) else { continue };
        // A space for each line break keeps every byte in its place.
        let flat = match stretch.contains(['\n', '\r']) {
            true => Cow::Owned(stretch.replace(['\n', '\r'], " ")),
            false => Cow::Borrowed(stretch),
        };
        for sentence in splitter.split(&flat) {
            let span = part.start + sentence.start..part.start + sentence.end;
            found.extend(trimmed(text, span));
        }
    }
    found
}

/// The stretches of a text that no sentence goes beyond.
fn parts(text: &str, lines: Lines) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices('\n') {
        let rest = text.get(at + 1..).unwrap_or_default();
        let goes_on = rest.chars().next().is_some_and(char::is_lowercase);
        if lines == Lines::End && !goes_on {
            parts.push(start..at);
            start = at + 1;
        }
    }
    parts.push(start..text.len());
    parts
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

/// What of a text bears on where its sentences end.
struct Splitter {
    language: Option<Language>,
    /// Whether it marks the beginning of a sentence by a capital.
    capitals: bool,
    /// Whether it ends sentences with a danda.
    danda: bool,
}

impl Splitter {
    fn new(text: &str, language: Option<Language>) -> Self {
        Self {
            language,
            capitals: text.chars().any(|one| Class::of(one).is(UPPER)),
            danda: text.contains('\u{964}'),
        }
    }

    fn split(&self, text: &str) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        let mut start = 0;
        for end in self.bounds(text) {
            let (before, after) =
                (text.get(start..end).unwrap_or_default(), text.get(end..).unwrap_or_default());
            let last = after.is_empty();
            let end = start + without_opening(before).len();
            let after = text.get(end..).unwrap_or_default().trim_start();
            let before = text.get(start..end).unwrap_or_default().trim_end();
            if last || (!before.is_empty() && self.ends(before, after)) {
                let end = if last { text.len() } else { end };
                found.extend(stretches(text, start..end));
                start = end;
            }
        }
        found
    }

    /// Where Unicode's rules and marks in text without capitals see an end.
    fn bounds(&self, text: &str) -> Vec<usize> {
        let mut bounds = Vec::new();
        let mut at = 0;
        while let Some(piece) = first_sentence(text.get(at..).unwrap_or_default()) {
            if !self.capitals {
                bounds.extend(marks(piece).into_iter().map(|mark| at + mark));
            }
            at += piece.len();
            bounds.push(at);
        }
        bounds
    }

    /// Whether a sentence ends between two pieces of text.
    fn ends(&self, before: &str, after: &str) -> bool {
        let closed = before.trim_end_matches(closes);
        let quoted = closed.len() < before.len();
        if closed.ends_with(['?', '!', '\u{2026}']) {
            return !(self.capitals && after.starts_with(char::is_lowercase));
        }
        if quoted && closed.ends_with(['\u{3002}', '\u{ff1f}', '\u{ff01}']) {
            return !says(after);
        }
        match closed.strip_suffix('.') {
            Some(before) if !quoted => !self.belongs(before, after),
            _ => true,
        }
    }

    /// Whether a point after `before` belongs to its last word.
    fn belongs(&self, before: &str, after: &str) -> bool {
        let word = before
            .rsplit(|one: char| one.is_whitespace() || opens(one) || closes(one))
            .next()
            .unwrap_or_default();
        let lower = word.to_lowercase();
        let number = after.starts_with(|one: char| one.is_numeric());
        match self.abbreviation(&lower) {
            Some(Abbreviation::Never) => return true,
            Some(Abbreviation::Number) if number || roman(first_word(after)) => return true,
            Some(Abbreviation::May) => return !self.begins(after),
            _ => {}
        }
        if self.is_initial(word) || is_chain(word) {
            return !self.begins(after);
        }
        let rest = before.strip_suffix(word).unwrap_or_default().trim_end();
        if word.bytes().all(|byte| byte.is_ascii_digit()) || roman(word) {
            return self.is_ordinal(word, rest, after);
        }
        self.danda && !word.is_empty() && word.chars().count() <= 3
    }

    fn abbreviation(&self, word: &str) -> Option<Abbreviation> {
        if EVERYWHERE.contains(&word) {
            return Some(Abbreviation::Never);
        }
        let language = self.language.unwrap_or(Language::ENGLISH);
        KNOWN.get(&(language.code(), word)).copied()
    }

    /// A number of a list at the beginning, or an ordinal.
    fn is_ordinal(&self, word: &str, rest: &str, after: &str) -> bool {
        if rest.is_empty() {
            return word.len() <= 3;
        }
        let language = self.language.filter(|one| ORDINALS.contains(&one.code()));
        let counted = rest.strip_suffix('.').is_some_and(|rest| {
            let word = rest.rsplit(char::is_whitespace).next().unwrap_or_default().to_lowercase();
            self.abbreviation(&word) == Some(Abbreviation::Number)
        });
        language.is_some() && word.len() <= 4 && !is_year(word) && !counted && !self.begins(after)
    }

    /// One letter, which is a capital where the text has them.
    fn is_initial(&self, word: &str) -> bool {
        let mut letters = word.chars();
        let first = letters.next();
        letters.next().is_none()
            && first.is_some_and(|one| match self.capitals {
                true => one.is_uppercase(),
                false => one.is_alphabetic() && script::kind(Class::of(one)) == ScriptKind::Spaced,
            })
    }

    /// Whether text begins as sentences do: with a word that would not be written
    /// with a capital elsewhere.
    fn begins(&self, after: &str) -> bool {
        let word = first_word(after);
        word.starts_with(char::is_uppercase)
            && self.language.is_none_or(|one| is_function_word(&word.to_lowercase(), one))
    }
}

/// The first sentence of a text by Unicode's rules, if there is text. They are asked
/// from the letter before the first mark that may end it: what is before that has no say.
fn first_sentence(text: &str) -> Option<&str> {
    let mut stands = 0;
    for (at, one) in text.char_indices() {
        let class = Class::of(one);
        if class.is(ENDS) {
            let first = text.get(stands..)?.split_sentence_bounds().next()?;
            return text.get(..stands + first.len());
        }
        if class.is(STANDS) {
            stands = at;
        }
    }
    Some(text).filter(|text| !text.is_empty())
}

fn first_word(text: &str) -> &str {
    let text = text.trim_start_matches(opens);
    text.split(|one: char| !one.is_alphanumeric()).next().unwrap_or_default()
}

/// Letters with points between: `U.S`, `z.B`, `т.е`.
fn is_chain(word: &str) -> bool {
    word.contains('.')
        && word.split('.').all(|part| {
            (1..=2).contains(&part.chars().count()) && part.chars().all(char::is_alphabetic)
        })
}

fn roman(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| b"IVXLCDM".contains(&byte))
}

fn is_year(word: &str) -> bool {
    word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether Chinese or Japanese text goes on to say who said it.
fn says(after: &str) -> bool {
    after
        .chars()
        .take(5)
        .any(|one| matches!(one, '\u{8bf4}' | '\u{95ee}' | '\u{9053}' | '\u{8aaa}' | '\u{554f}'))
        || after.starts_with(['\u{3068}', '\u{ff0c}', '\u{3001}'])
}

/// A sentence without the marks at its end that open what follows: those after a
/// space, or after a full stop of Chinese and Japanese, which have none.
fn without_opening(sentence: &str) -> &str {
    let rest = sentence.trim_end_matches(opens);
    let marks = sentence.get(rest.len()..).unwrap_or_default();
    let opening = marks.char_indices().find(|(_, one)| !one.is_whitespace() && opens(*one));
    let spaced = marks.find(char::is_whitespace);
    match opening {
        Some((at, _)) if spaced.is_some_and(|space| space < at) => rest,
        Some(_) if rest.ends_with(['\u{3002}', '\u{ff1f}', '\u{ff01}']) => rest,
        // It closes: German and Danish have these the other way round.
        _ => sentence,
    }
}

fn opens(one: char) -> bool {
    matches!(
        one,
        '(' | '['
            | '{'
            | '\u{201c}'
            | '\u{2018}'
            | '\u{ab}'
            | '\u{201e}'
            | '\u{201a}'
            | '\u{300a}'
            | '\u{3008}'
            | '\u{300c}'
            | '\u{300e}'
            | '\u{ff08}'
            | '\u{bf}'
            | '\u{a1}'
    ) || one.is_whitespace()
}

fn closes(one: char) -> bool {
    matches!(
        one,
        ')' | ']'
            | '}'
            | '"'
            | '\''
            | '\u{201d}'
            | '\u{2019}'
            | '\u{bb}'
            | '\u{300b}'
            | '\u{3009}'
            | '\u{300d}'
            | '\u{300f}'
            | '\u{ff09}'
            | '\u{201c}'
            | '\u{ab}'
    )
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

/// A sentence of a script that ends none with a mark, at the spaces that leave
/// stretches of some length; any other as it is.
fn stretches(text: &str, sentence: Range<usize>) -> Vec<Range<usize>> {
    let piece = text.get(sentence.clone()).unwrap_or_default();
    const SPACED: [u8; 3] = [Script::Thai as u8, Script::Lao as u8, Script::Khmer as u8];
    let spaced = |one: char| SPACED.contains(&Class::of(one).script());
    if piece.len() <= STRETCH || !piece.chars().any(spaced) {
        return vec![sentence];
    }
    let mut found = Vec::new();
    let (mut start, mut count, mut before) = (0, 0, ' ');
    for (at, one) in piece.char_indices() {
        if one == ' ' && count >= STRETCH && spaced(before) {
            found.push(sentence.start + start..sentence.start + at);
            (start, count) = (at, 0);
        }
        count += 1;
        before = one;
    }
    // A short rest goes with what is before it.
    match found.last_mut() {
        Some(last) if count < STRETCH / 3 => last.end = sentence.end,
        _ => found.push(sentence.start + start..sentence.end),
    }
    found
}

#[cfg(test)]
mod tests;
