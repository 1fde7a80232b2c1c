//! Stems of words, made once for each word of a language.

use std::borrow::Cow;
use std::collections::HashMap;

use frostem::Stemmer;
use unicode_script::Script;

use crate::class::{Class, NUMERIC};
use crate::language::Language;
use crate::normal::fold;
use crate::script;

/// Stems of words in one language.
pub(super) struct Stems {
    pub(super) language: Option<Language>,
    own: Option<Stemmer>,
    script: u8,
    /// For Latin words in a text of another script, or of no known language: from
    /// a word or two none is detected, and they are English more often than any other.
    english: Option<Stemmer>,
    pub(super) keeps_marks: bool,
    /// Places of stems by word.
    known: HashMap<Box<str>, usize>,
    pub(super) stems: Vec<Box<str>>,
}

impl Stems {
    pub(super) fn new(language: Option<Language>) -> Self {
        let script = language.map_or(Script::Common, |one| script::of_language(one.code()));
        let foreign = script != Script::Latin;
        Self {
            language,
            own: language.and_then(|language| language.stemmer()),
            script: script as u8,
            english: Language::ENGLISH.stemmer().filter(|_| foreign),
            keeps_marks: language.is_some_and(Language::keeps_marks),
            known: HashMap::new(),
            stems: Vec::new(),
        }
    }

    pub(super) fn of<'w>(&'w mut self, word: &str) -> &'w str {
        let place = self.known.get(word).copied().unwrap_or_else(|| {
            let place = self.stems.len();
            self.stems.push(self.make(word).into());
            self.known.insert(word.into(), place);
            place
        });
        self.stems.get(place).map_or("", |stem| stem)
    }

    fn make(&self, word: &str) -> String {
        const LATIN: u8 = Script::Latin as u8;
        let script =
            word.chars().next().map_or(Script::Common as u8, |one| Class::of(one).script());
        let stemmer = match script {
            script if script == self.script => self.own,
            LATIN => self.english,
            _ => None,
        };
        let letters = word.chars().all(|one| !Class::of(one).is(NUMERIC));
        let stem = match stemmer.filter(|_| letters) {
            Some(stemmer) => stemmer.stem(word),
            None => Cow::Borrowed(word),
        };
        // A stemmer that leaves nothing has not met a word.
        let stem = if stem.is_empty() { Cow::Borrowed(word) } else { stem };
        if self.keeps_marks { stem.into_owned() } else { fold(&stem).into_owned() }
    }
}
