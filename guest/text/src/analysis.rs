//! The tokens of a text.
//!
//! Words of scripts with spaces are compared by their stems, and as they are
//! written with a small weight of its own. Scripts without spaces are compared by
//! pairs of neighbours: of characters in Han and kana, of clusters (a base with
//! its marks) in Thai, Lao, Khmer and Burmese. Pairs of characters find what
//! dictionaries find, without a dictionary (J. Savoy, "Comparative study of
//! monolingual and multilingual search models", 2005); Hangul has both.

mod stems;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use unicode_script::Script;

use crate::class::{Class, MARK};
use crate::detect::{Votes, detect, is_read_whole};
use crate::language::Language;
use crate::normal::{fold, lower};
use crate::script::{self, ScriptKind};
use crate::words::{Gap, Piece, pieces};
use stems::Stems;

/// A longer word is an encoding or an accident. A SHA-256 in hexadecimal is not.
const MAX_WORD_CHARS: usize = 64;
/// Parts of a name that is also found as one word.
const MAX_PARTS: usize = 6;
/// Bytes of one.
const MAX_JOINED_BYTES: usize = 48;
/// Between parts of names, numbers, addresses, versions: `NOR.0707-10`,
/// `jo@example.org`, `foo_bar`, `12:30`.
const JOINERS: [char; 13] =
    ['-', '.', '_', '/', '@', ':', '+', '\'', '\u{2019}', '\u{2010}', '\u{2011}', '\u{200b}', '&'];

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A word in its place: in the index, in a query, and in a phrase.
    Word,
    /// The same once more in another form: in the index and in a query.
    Form,
    /// In the index only, so that less than a word finds it.
    Part,
}

/// A term of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is compared by; none for a form that counts as written only.
    pub stem: Option<String>,
    /// As it is written, in lower case, where that may differ.
    pub exact: Option<String>,
    /// Its place. Forms of one word share it.
    pub position: u32,
    /// The bytes of the text that it comes from.
    pub span: Range<usize>,
    pub(crate) role: Role,
}

/// A term of a text, as it is found.
#[derive(Debug, Clone, Copy)]
pub struct Found<'f> {
    /// As in [`Token`].
    pub stem: Option<&'f str>,
    /// As in [`Token`].
    pub exact: Option<&'f str>,
    /// As in [`Token`].
    pub position: u32,
    /// The first byte of its span.
    pub start: usize,
    end: usize,
    role: Role,
}

impl Found<'_> {
    fn token(self) -> Token {
        Token {
            stem: self.stem.map(str::to_owned),
            exact: self.exact.map(str::to_owned),
            position: self.position,
            span: self.start..self.end,
            role: self.role,
        }
    }
}

/// The tokens of a text in a language, in order. Words of a text whose language is
/// not known are stemmed as English where their letters are Latin.
pub fn analyse(text: &str, language: Option<Language>) -> Vec<Token> {
    let mut tokens = Vec::new();
    KnownStems::default().analyse(text, language, |found| tokens.push(found.token()));
    tokens
}

/// A text taken into pieces once, for its language and its tokens.
pub struct Segmented<'t> {
    text: &'t str,
    language: Option<Language>,
    /// Texts of the pieces, one after another.
    written: String,
    pieces: Vec<Segment>,
}

/// A piece whose text ends at a byte of what is written.
struct Segment {
    end: usize,
    kind: ScriptKind,
    span: Range<usize>,
    gap: Gap,
}

impl<'t> Segmented<'t> {
    /// Takes a text into pieces and detects its language.
    pub fn new(text: &'t str) -> Self {
        let mut votes = Votes::new();
        let mut written = String::with_capacity(text.len());
        let mut all = Vec::with_capacity(text.len() / BYTES_OF_PIECE);
        let whole = is_read_whole(text);
        pieces(text, |Piece { text, kind, span, gap }| {
            if whole {
                votes.count(text);
            }
            written.push_str(text);
            all.push(Segment { end: written.len(), kind, span, gap });
        });
        let language = if whole { votes.decide(None) } else { detect(text, None) };
        Self { text, language, written, pieces: all }
    }

    /// The language of the text, if it can be detected.
    pub fn language(&self) -> Option<Language> {
        self.language
    }

    /// Hands out what [`analyse`] finds in the text in its language. `known` keeps the
    /// stems for other texts.
    pub fn tokens(&self, known: &mut KnownStems, take: impl FnMut(Found<'_>)) {
        let mut analysis = Analysis::new(known.of(self.language), take);
        let mut start = 0;
        for Segment { end, kind, span, gap } in &self.pieces {
            let text = self.written.get(start..*end).unwrap_or_default();
            analysis.take(self.text, Piece { text, kind: *kind, span: span.clone(), gap: *gap });
            start = *end;
        }
        analysis.finish();
    }
}

/// Bytes of a short piece with what is beside it, to make room for all at once.
const BYTES_OF_PIECE: usize = 4;

/// Words of all languages whose stems are worth keeping, some two megabytes.
const MAX_KNOWN_WORDS: usize = 20_000;

/// Stems of words that several texts have, by language.
#[derive(Default)]
pub struct KnownStems(HashMap<Option<Language>, Stems>);

impl KnownStems {
    /// Whether it has so many words that whoever keeps it begins a new one.
    pub fn is_full(&self) -> bool {
        self.words() > MAX_KNOWN_WORDS
    }

    /// Words of all languages.
    fn words(&self) -> usize {
        self.0.values().map(|stems| stems.stems.len()).sum()
    }

    /// Hands out what [`analyse`] finds in a text.
    pub fn analyse(&mut self, text: &str, language: Option<Language>, take: impl FnMut(Found<'_>)) {
        let mut analysis = Analysis::new(self.of(language), take);
        pieces(text, |piece| analysis.take(text, piece));
        analysis.finish();
    }

    fn of(&mut self, language: Option<Language>) -> &mut Stems {
        self.0.entry(language).or_insert_with(|| Stems::new(language))
    }
}

struct Analysis<'s, F> {
    stems: &'s mut Stems,
    found: F,
    position: u32,
    /// Units of a run without spaces, one after another.
    run: String,
    /// Where each ends there, and the bytes of the source that it comes from.
    run_units: Vec<(usize, Range<usize>)>,
    run_kind: ScriptKind,
    /// Parts of what may be one name.
    chain: Vec<Link>,
}

struct Link {
    word: String,
    position: u32,
    span: Range<usize>,
}

impl<'s, F: FnMut(Found<'_>)> Analysis<'s, F> {
    fn new(stems: &'s mut Stems, found: F) -> Self {
        Self {
            stems,
            found,
            position: 0,
            run: String::new(),
            run_units: Vec::new(),
            run_kind: ScriptKind::Spaced,
            chain: Vec::new(),
        }
    }

    fn take(&mut self, source: &str, piece: Piece<'_>) {
        let goes_on = matches!(piece.gap, Gap::None | Gap::One('\u{200b}'));
        if piece.kind != self.run_kind || !goes_on {
            self.end_run();
        }
        match piece.kind {
            ScriptKind::Cjk | ScriptKind::SouthEastAsian(_) => {
                self.end_chain();
                self.run_kind = piece.kind;
                self.units(&piece);
            }
            ScriptKind::Hangul => {
                self.end_chain();
                self.hangul(&piece);
            }
            ScriptKind::Spaced => self.word(source, piece),
        }
    }

    /// Adds the units that pairs are made of: characters of Han and kana, clusters of
    /// a base and its marks elsewhere.
    fn units(&mut self, piece: &Piece<'_>) {
        let mut before = None;
        for character in piece.text.chars() {
            let stacked = before.is_some_and(stacks);
            let mark = piece.kind != ScriptKind::Cjk && (stacked || Class::of(character).is(MARK));
            self.run.push(character);
            match self.run_units.last_mut() {
                Some((end, _)) if mark && before.is_some() => *end = self.run.len(),
                _ => self.run_units.push((self.run.len(), piece.span.clone())),
            }
            before = Some(character);
        }
    }

    /// A run of one unit stands as it is; else each pair of neighbours is a term.
    fn end_run(&mut self) {
        let kind = std::mem::replace(&mut self.run_kind, ScriptKind::Spaced);
        if self.run_units.is_empty() {
            return;
        }
        let (run, units) = (std::mem::take(&mut self.run), std::mem::take(&mut self.run_units));
        let singles = kind == ScriptKind::Cjk && units.len() > 1;
        let mut start = 0;
        for (at, (end, span)) in units.iter().enumerate() {
            let unit = run.get(start..*end).unwrap_or_default();
            if units.len() == 1 {
                self.push(Some(unit), None, span, Role::Word);
            } else if let Some((next, other)) = units.get(at + 1) {
                self.push(run.get(start..*next), None, &(span.start..other.end), Role::Word);
            }
            if singles && unit.chars().next().is_some_and(|one| script::is(one, Script::Han)) {
                self.push(Some(unit), None, span, Role::Part);
            }
            self.position += 1;
            start = *end;
        }
        // The room is for the next run.
        (self.run, self.run_units) = (run, units);
        self.run.clear();
        self.run_units.clear();
    }

    /// Pairs of syllables in their places, and the whole word once more.
    fn hangul(&mut self, piece: &Piece<'_>) {
        let syllables: Vec<char> = piece.text.chars().collect();
        if syllables.len() > MAX_WORD_CHARS {
            self.position += 1;
            return;
        }
        if syllables.len() < 3 {
            self.push(Some(piece.text), None, &piece.span, Role::Word);
            self.position += 1;
            if let [first, _] = syllables.as_slice() {
                let first = first.to_string();
                self.push(Some(&first), None, &piece.span, Role::Part);
            }
            return;
        }
        self.push(Some(piece.text), None, &piece.span, Role::Form);
        for pair in syllables.windows(2) {
            let pair: String = pair.iter().collect();
            self.push(Some(&pair), None, &piece.span, Role::Word);
            self.position += 1;
        }
    }

    fn word(&mut self, source: &str, piece: Piece<'_>) {
        if !joins(piece.gap, self.chain.last().map(|link| link.word.as_str()), piece.text) {
            self.end_chain();
        }
        let language = self.stems.language;
        let word = lower(piece.text, language);
        if word.chars().count() > MAX_WORD_CHARS {
            self.end_chain();
            self.position += 1;
            return;
        }
        match sign(source, &piece, &word) {
            // The bare letter would be another thing.
            Some(Signed::Whole(name)) => {
                self.push(Some(&name), Some(&name), &piece.span, Role::Word);
            }
            Some(Signed::Beside(name)) => {
                self.push(Some(&name), Some(&name), &piece.span, Role::Word);
                self.plain(&word, &piece, Role::Form);
            }
            None => self.plain(&word, &piece, Role::Word),
        }
        for hump in humps(piece.text) {
            self.stemmed(&lower(hump, language), None, &piece.span, Role::Form);
        }
        self.chain.push(Link {
            word: word.into_owned(),
            position: self.position,
            span: piece.span,
        });
        self.position += 1;
    }

    /// A word by its stem, and as it is.
    fn plain(&mut self, word: &str, piece: &Piece<'_>, role: Role) {
        self.stemmed(word, Some(word), &piece.span, role);
        // Where marks distinguish words, a word without them is found as written.
        if self.stems.keeps_marks
            && let Cow::Owned(folded) = fold(word)
            && folded != word
        {
            self.push(None, Some(&folded), &piece.span, Role::Part);
        }
    }

    fn stemmed(&mut self, word: &str, exact: Option<&str>, span: &Range<usize>, role: Role) {
        let (position, start, end) = (self.position, span.start, span.end);
        let stem = Some(self.stems.of(word));
        (self.found)(Found { stem, exact, position, start, end, role });
    }

    /// Adds the parts of a name as one word, at the place of its first.
    fn end_chain(&mut self) {
        if let [first, .., last] = self.chain.as_slice()
            && self.chain.len() <= MAX_PARTS
        {
            let joined: String = self.chain.iter().map(|link| link.word.as_str()).collect();
            if joined.len() <= MAX_JOINED_BYTES {
                (self.found)(Found {
                    stem: Some(&fold(&joined)),
                    exact: None,
                    position: first.position,
                    start: first.span.start,
                    end: last.span.end,
                    role: Role::Form,
                });
            }
        }
        self.chain.clear();
    }

    fn push(&mut self, stem: Option<&str>, exact: Option<&str>, span: &Range<usize>, role: Role) {
        let (position, start, end) = (self.position, span.start, span.end);
        (self.found)(Found { stem, exact, position, start, end, role });
    }

    fn finish(mut self) {
        self.end_run();
        self.end_chain();
    }
}

/// Whether a piece goes on with the name that the one before it began.
fn joins(gap: Gap, before: Option<&str>, piece: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match gap {
        Gap::One(',') => before.is_some_and(digits) && digits(piece),
        Gap::One(joiner) => before.is_some() && JOINERS.contains(&joiner),
        Gap::None | Gap::More => false,
    }
}

/// A name of which a sign is part.
enum Signed {
    /// `C++`, `C#`.
    Whole(String),
    /// `.NET`, which is also a word without it.
    Beside(String),
}

fn sign(source: &str, piece: &Piece<'_>, word: &str) -> Option<Signed> {
    if !word.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    let after = source.get(piece.span.end..)?;
    if word.len() <= 2
        && let Some(sign) = ["++", "#"].into_iter().find(|sign| after.starts_with(sign))
    {
        let next = after.get(sign.len()..).and_then(|rest| rest.chars().next());
        let ends = next.is_none_or(|next| !next.is_alphabetic() && next != '+' && next != '#');
        return ends.then(|| Signed::Whole(format!("{word}{sign}")));
    }
    let before = source.get(..piece.span.start)?.strip_suffix('.')?;
    let begins = before.chars().next_back().is_none_or(|before| {
        before.is_whitespace() || matches!(before, '(' | '[' | '"' | '\'' | '`' | '/' | '\u{201c}')
    });
    (begins && word.len() > 1).then(|| Signed::Beside(format!(".{word}")))
}

/// The parts of `camelCase` and `HTTPServer` of more than one letter; none where
/// there is one part.
fn humps(word: &str) -> Vec<&str> {
    let bytes = word.as_bytes();
    let upper = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_uppercase);
    let small = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_lowercase);
    if !word.is_ascii() || !(1..bytes.len()).any(|at| upper(at) && (small(at - 1) || small(at + 1)))
    {
        return Vec::new();
    }
    let mut parts = Vec::new();
    let mut start = 0;
    for at in 1..bytes.len() {
        if upper(at) && (small(at - 1) || small(at + 1)) {
            parts.extend(word.get(start..at));
            start = at;
        }
    }
    parts.extend(word.get(start..));
    if parts.len() < 2 {
        return Vec::new();
    }
    parts.retain(|part| part.len() > 1);
    parts
}

/// Whether the consonant after it is written below the one before: the coeng of
/// Khmer, the virama of Myanmar.
fn stacks(character: char) -> bool {
    matches!(character, '\u{17d2}' | '\u{1039}')
}

#[cfg(test)]
mod tests;
