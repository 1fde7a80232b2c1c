//! Words that refer to what was said before: pronouns, and articles that point.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::content::content;
use crate::detect::detect;
use crate::language::Language;

/// A language and its words between commas, a line for each language. In others
/// nothing is known to refer back.
const WORDS: &str = include_str!("refers.txt");

/// Words with a meaning that a question has which can be understood alone.
const ENOUGH: usize = 2;

static KNOWN: LazyLock<HashMap<Language, Vec<&'static str>>> = LazyLock::new(|| {
    let lines = WORDS.lines().filter_map(|line| {
        let (language, words) = line.split_once(' ')?;
        Some((Language::parse(language)?, words.split(", ").collect()))
    });
    lines.collect()
});

fn known(language: Option<Language>) -> &'static [&'static str] {
    KNOWN.get(&language.unwrap_or(Language::ENGLISH)).map_or(&[], Vec::as_slice)
}

/// Whether a sentence begins with a word that refers to what was said before it.
pub fn refers_back(sentence: &str, language: Option<Language>) -> bool {
    match language.as_ref().map(Language::code) {
        // Words have no spaces between them.
        Some("zh" | "ja" | "th") => {
            known(language).iter().any(|word| sentence.trim_start().starts_with(word))
        }
        _ => words(sentence).next().is_some_and(|word| known(language).contains(&word.as_str())),
    }
}

/// Whether a question can be understood without what was said before: it names
/// something, and refers to nothing.
pub fn stands_alone(question: &str) -> bool {
    let language = detect(question, None);
    let refers = match language.as_ref().map(Language::code) {
        Some("zh" | "ja" | "th") => known(language).iter().any(|word| question.contains(word)),
        _ => words(question).any(|word| known(language).contains(&word.as_str())),
    };
    !refers && content(question, language).len() >= ENOUGH
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|one: char| !one.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follow_up_does_not_stand_alone() {
        for question in ["When was it finished?", "And in German?", "Und wann starb er?", "Why?"] {
            assert!(!stands_alone(question), "{question}");
        }
        for question in ["When was the quay finished?", "Wann wurde der Hafen gebaut?"] {
            assert!(stands_alone(question), "{question}");
        }
    }

    #[test]
    fn a_sentence_refers_back_by_its_first_word() {
        assert!(refers_back("It was finished in 2019.", Some(Language::ENGLISH)));
        assert!(!refers_back("The quay was finished, and it cost much.", Some(Language::ENGLISH)));
        assert!(refers_back("\u{4ed6}\u{6b7b}\u{4e86}\u{3002}", Language::parse("zh")));
    }
}
