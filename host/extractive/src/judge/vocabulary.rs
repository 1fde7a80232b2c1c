//! The stems of all passages by number, and how much each is a word of the question.

use std::collections::HashMap;

use ragtime_text::{Language, is_function_word};

use crate::Passage;

/// What a word counts that is one of the question.
pub(super) const SAME: f32 = 1.0;
/// What a word counts that only shares its beginning with one of the question.
const SIMILAR: f32 = 0.6;
/// Characters that it has to share.
const MIN_SHARED_CHARS: usize = 4;
/// And what share of the longer word these have to be.
const MIN_SHARED_PART: f32 = 0.6;

/// Numbers for stems.
pub(super) struct Vocabulary {
    pub(super) numbers: HashMap<Box<str>, u32>,
    stems: Vec<Stem>,
}

/// Bytes of text that have one stem which those before did not.
const BYTES_OF_NEW_STEM: usize = 16;

/// What is known of a stem.
struct Stem {
    /// Whether it is of a word that says something.
    says: bool,
    shape: Shape,
}

impl Vocabulary {
    /// With room for most of the stems of the passages at once.
    pub(super) fn for_texts(passages: &[Passage<'_>]) -> Self {
        let bytes: usize = passages.iter().map(|passage| passage.text.len()).sum();
        let room = bytes / BYTES_OF_NEW_STEM;
        Self { numbers: HashMap::with_capacity(room), stems: Vec::with_capacity(room) }
    }

    pub(super) fn number(&mut self, stem: &str, says: impl FnOnce() -> bool) -> u32 {
        if let Some(number) = self.numbers.get(stem) {
            return *number;
        }
        let next = u32::try_from(self.stems.len()).unwrap_or(u32::MAX);
        self.stems.push(Stem { says: says(), shape: Shape::of(stem) });
        self.numbers.insert(stem.into(), next);
        next
    }

    pub(super) fn says(&self, number: u32) -> bool {
        self.stems.get(number as usize).is_some_and(|stem| stem.says)
    }

    /// How much each stem is one of the words.
    pub(super) fn strengths(&self, wanted: &[String]) -> Strengths {
        let wanted: Vec<_> = wanted.iter().map(|word| (word.as_str(), Shape::of(word))).collect();
        let mut strengths = Strengths { rows: vec![0; self.stems.len()], all: vec![Vec::new()] };
        for (stem, number) in &self.numbers {
            let (Some(known), Some(row)) =
                (self.stems.get(*number as usize), strengths.rows.get_mut(*number as usize))
            else {
                continue;
            };
            for (place, (word, shape)) in wanted.iter().enumerate() {
                let strength = similar((word, shape), (stem, &known.shape));
                if strength > 0.0 {
                    if *row == 0 {
                        *row = strengths.all.len();
                        strengths.all.push(Vec::new());
                    }
                    strengths
                        .all
                        .get_mut(*row)
                        .into_iter()
                        .for_each(|all| all.push((place, strength)));
                }
            }
        }
        strengths
    }
}

/// By number of a stem: which words of the question that is, and how much so.
pub(super) struct Strengths {
    /// Places of what there is; the first has nothing, as most stems do.
    rows: Vec<usize>,
    all: Vec<Vec<(usize, f32)>>,
}

impl Strengths {
    pub(super) fn of(&self, number: u32) -> &[(usize, f32)] {
        let all = self.rows.get(number as usize).and_then(|row| self.all.get(*row));
        all.map_or(&[], Vec::as_slice)
    }
}

pub(super) fn says(word: &str, language: Option<Language>) -> bool {
    !is_function_word(word, language.unwrap_or(Language::ENGLISH))
}

/// What is compared of a stem before its characters are.
struct Shape {
    chars: usize,
    /// Whether it is a number.
    digits: bool,
    /// Bits of the bytes that it has: another that has one more is not part of it.
    bytes: u64,
}

impl Shape {
    fn of(stem: &str) -> Self {
        Self {
            chars: stem.chars().count(),
            digits: stem.bytes().all(|byte| byte.is_ascii_digit()),
            bytes: stem.bytes().fold(0, |all, byte| all | 1 << (byte & 63)),
        }
    }
}

/// How much a stem of a text is a stem of the question: the same, or one begins as
/// the other does, or holds it, as compounds do.
fn similar((wanted, a): (&str, &Shape), (stem, b): (&str, &Shape)) -> f32 {
    if a.bytes == b.bytes && wanted == stem {
        return SAME;
    }
    let (short, long) = (a.chars.min(b.chars), a.chars.max(b.chars));
    if short < MIN_SHARED_CHARS || a.digits || b.digits {
        return 0.0;
    }
    if begins(wanted, stem, long) || (short > MIN_SHARED_CHARS && holds((wanted, a), (stem, b))) {
        SIMILAR
    } else {
        0.0
    }
}

/// Whether two stems begin with the same characters, for most of the longer one.
fn begins(wanted: &str, stem: &str, long: usize) -> bool {
    // Most differ in their first letter.
    if wanted.as_bytes().first() != stem.as_bytes().first() {
        return false;
    }
    let shared = wanted.chars().zip(stem.chars()).take_while(|(a, b)| a == b).count();
    shared >= MIN_SHARED_CHARS && shared as f32 >= MIN_SHARED_PART * long as f32
}

/// Whether one of two stems is part of the other.
fn holds((wanted, a): (&str, &Shape), (stem, b): (&str, &Shape)) -> bool {
    (b.bytes & !a.bytes == 0 && wanted.contains(stem))
        || (a.bytes & !b.bytes == 0 && stem.contains(wanted))
}
