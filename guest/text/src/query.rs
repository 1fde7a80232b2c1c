//! The terms of a query, and what each field counts.

use crate::analysis::{Found, KnownStems, Role, Token, analyse};
use crate::detect::detect;
use crate::language::Language;
use crate::{character, script};

/// Terms of one field of one query; the rest would cost much and change little.
pub const MAX_TERMS: usize = 128;

/// The share of an index's texts from which their language is expected of a query.
const MAIN_SHARE: f32 = 0.8;

/// Bytes of a file name's extension.
const MAX_EXTENSION: usize = 8;

/// Where a term is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Stems of the text with its title and headings.
    Stem,
    /// Words of the same as they are written.
    Exact,
    /// Stems of file name, title and headings alone.
    Names,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Stem, Self::Exact, Self::Names];

    /// What its BM25 counts beside that of [`Self::Stem`]. On XQuAD in twelve
    /// languages the words as written gain most at 0.2 (first hit .910 without,
    /// .915 from 0.1 to 0.3). Names are the titles of Cranfield: nDCG@10 is .515
    /// without them, .533 from 0.2 to 0.4, .530 at 0.8.
    pub fn weight(self) -> f32 {
        match self {
            Self::Stem => 1.0,
            Self::Exact => 0.2,
            Self::Names => 0.3,
        }
    }
}

/// A term of a query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Term {
    /// Where to look for it.
    pub field: Field,
    /// What to look for.
    pub text: String,
}

/// The terms of a query in the order in which their scores are added. One that
/// comes twice counts twice.
pub fn query_terms(text: &str, language: Option<Language>) -> Vec<Term> {
    let tokens = analyse(text, language).into_iter().filter(|token| token.role != Role::Part);
    let mut terms = Vec::new();
    for Token { stem, exact, .. } in tokens.take(MAX_TERMS) {
        for (field, text) in [(Field::Stem, &stem), (Field::Exact, &exact), (Field::Names, &stem)] {
            terms.extend(text.clone().map(|text| Term { field, text }));
        }
    }
    terms
}

/// Whether the stems of a query in one language find, in texts of another, all that its
/// words find as they are written. They do where both are stemmed alike, since a stem is
/// made of the word as it is written; where marks distinguish words, a text is also indexed
/// by words without them, which have no stem.
pub fn stems_cover(query: Option<Language>, text: Option<Language>) -> bool {
    // Words of no known language are stemmed as English where their letters are Latin.
    let english = |language: Option<Language>| language.is_none_or(|one| one == Language::ENGLISH);
    let alike = query == text || (english(query) && english(text));
    alike && !text.is_some_and(Language::keeps_marks)
}

/// The stems of a phrase with their places, from which the words between may be
/// told.
pub fn phrase(text: &str, language: Option<Language>) -> Vec<(u32, String)> {
    let words = analyse(text, language).into_iter().filter(|token| token.role == Role::Word);
    words.take(MAX_TERMS).filter_map(|token| Some((token.position, token.stem?))).collect()
}

/// What is indexed of a chunk by its words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// Its text with title and headings.
    pub text: String,
    /// Its document's file name and title, and its headings, a line for each.
    pub names: String,
    /// The language of its document.
    pub language: Option<Language>,
}

impl Words {
    /// The names that a chunk is found by: the file name, or else the id where it is
    /// one, title and headings.
    pub fn names(
        id: &str,
        file_name: Option<&str>,
        title: Option<&str>,
        headings: &[String],
    ) -> String {
        let file = file_name.or_else(|| file_name_of(id));
        let names = file.into_iter().chain(title).chain(headings.iter().map(String::as_str));
        names.collect::<Vec<_>>().join("\n")
    }

    /// Hands out the field and text of each of its terms, and their places. `known` keeps
    /// the stems for other chunks.
    pub fn terms(&self, known: &mut KnownStems, mut take: impl FnMut(Field, u32, &str)) {
        known.analyse(&self.text, self.language, |Found { stem, exact, position, .. }| {
            stem.into_iter().for_each(|stem| take(Field::Stem, position, stem));
            exact.into_iter().for_each(|exact| take(Field::Exact, position, exact));
        });
        known.analyse(&self.names, self.language, |Found { stem, position, .. }| {
            stem.into_iter().for_each(|stem| take(Field::Names, position, stem));
        });
    }
}

/// The file name that an id is or ends in: its last part, if that has an extension.
fn file_name_of(id: &str) -> Option<&str> {
    let name = id.rsplit(['/', '\\']).next()?;
    let (stem, extension) = name.rsplit_once('.')?;
    let is_extension = (1..=MAX_EXTENSION).contains(&extension.len())
        && extension.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && extension.bytes().any(|byte| byte.is_ascii_alphabetic());
    (is_extension && stem.chars().any(char::is_alphabetic)).then_some(name)
}

/// The language to analyse a query in, where an index has so many texts in each
/// language: its own where it can be detected, else the commonest of its script.
pub fn language_of_query(text: &str, texts: &[(Language, u64)]) -> Option<Language> {
    let alone = detect(text, None);
    let same_script = |language: &Language| match alone {
        Some(alone) => script::of_language(alone.code()) == script::of_language(language.code()),
        None => script_of(text) == Some(script::of_language(language.code())),
    };
    let near: Vec<_> = texts.iter().filter(|(language, _)| same_script(language)).collect();
    let all: u64 = near.iter().map(|(_, count)| *count).sum();
    // Of equals the first by code, so that the order of the list has no effect.
    let most = near.iter().max_by_key(|(language, count)| (*count, std::cmp::Reverse(*language)));
    let Some((commonest, count)) = most else { return alone };
    let main = (*count as f32 >= MAIN_SHARE * all as f32).then_some(*commonest);
    detect(text, main).or(alone).or(Some(*commonest))
}

fn script_of(text: &str) -> Option<unicode_script::Script> {
    text.chars().find(|one| one.is_alphabetic()).map(character::script)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn language(code: &str) -> Language {
        Language::parse(code).unwrap()
    }

    #[test]
    fn a_query_has_a_term_for_each_field() {
        let terms = query_terms("Wings 飞机", Some(Language::ENGLISH));
        let told: Vec<_> = terms.iter().map(|one| (one.field, one.text.as_str())).collect();
        assert_eq!(
            told,
            [
                (Field::Stem, "wing"),
                (Field::Exact, "wings"),
                (Field::Names, "wing"),
                (Field::Stem, "飞机"),
                (Field::Names, "飞机")
            ]
        );
    }

    #[test]
    fn a_file_name_has_an_extension() {
        assert_eq!(
            file_name_of("reports/annual-report-2023.docx"),
            Some("annual-report-2023.docx")
        );
        for id in ["0-1", "v1.2", "readme", "a/b.c/", "1.5", "0190cf8e-7a1b-7000-8000-0123456789ab"]
        {
            assert_eq!(file_name_of(id), None, "{id}");
        }
    }

    #[test]
    fn a_phrase_keeps_its_places() {
        assert_eq!(phrase("to be", None), [(0, "to".to_owned()), (1, "be".to_owned())]);
    }

    #[test]
    fn a_short_query_is_in_the_language_of_the_texts() {
        let german = [(language("de"), 90), (language("en"), 10), (language("ru"), 500)];
        assert_eq!(language_of_query("Hauptstadt", &german), Some(language("de")));
        assert_eq!(
            language_of_query("where is the house of the man", &german),
            Some(Language::ENGLISH)
        );
        assert_eq!(language_of_query("столица", &german), Some(language("ru")));
        assert_eq!(language_of_query("2024", &german), None);
        assert_eq!(language_of_query("首都", &german), Some(language("zh")));
    }

    #[test]
    fn stems_cover_words_of_texts_that_are_stemmed_alike() {
        let [en, de, vi] = ["en", "de", "vi"].map(language);
        for (query, text) in
            [(Some(de), Some(de)), (Some(en), None), (None, Some(en)), (None, None)]
        {
            assert!(stems_cover(query, text), "{query:?} {text:?}");
        }
        for (query, text) in [(Some(en), Some(de)), (Some(de), None), (Some(vi), Some(vi))] {
            assert!(!stems_cover(query, text), "{query:?} {text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_a_word_finds_its_stem_finds_where_stems_cover(
            text in "([a-zA-ZäßéñİıæøåğşŁ]{1,9}|[а-яё]{1,9}|[α-ως]{1,9}|[א-ת]{2,6}|[ء-ي]{2,6}|[0-9]{1,4}|C\\+\\+|\\.Net|[-._ 'ệắ]|中国|한국어){1,12}",
            query in 0..12_usize,
            languages in proptest::sample::subsequence(
                vec!["", "en", "de", "fr", "ru", "tr", "vi", "ar", "el", "fi", "he", "ja"], 2
            ),
        ) {
            let languages: Vec<_> = languages.iter().map(|code| Language::parse(code)).collect();
            for (ask, read) in [(0, 0), (0, 1), (1, 0)] {
                let (ask, read) = (languages[ask], languages[read]);
                if !stems_cover(ask, read) {
                    continue;
                }
                let names = String::new();
                let words = Words { text: text.clone(), names, language: read };
                let mut has = BTreeSet::new();
                words.terms(&mut KnownStems::default(), |field, _, term| {
                    has.insert((field, term.to_owned()));
                });
                let tokens = analyse(&text, ask);
                let Some(token) = tokens.get(query % tokens.len().max(1)) else { continue };
                if let Some(exact) = token.exact.clone().filter(|_| token.role != Role::Part)
                    && has.contains(&(Field::Exact, exact))
                {
                    let stem = token.stem.clone().expect("a word of a query has a stem");
                    prop_assert!(has.contains(&(Field::Stem, stem)), "{token:?} {has:?}");
                }
            }
        }
    }
}
