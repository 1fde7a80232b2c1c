//! The kind of answer that a question asks for, and whether a text has one.

use std::collections::HashMap;
use std::sync::LazyLock;

use ragtime_text::{Language, is_function_word};

/// Words by language: those that ask for a kind of answer, and numerals. A line is a language, what the words are, and the
/// words between commas. Languages that are not here ask for no kind.
const WORDS: &str = include_str!("asks.txt");

/// What a question may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QuestionKind {
    When,
    Who,
    Where,
    Number,
    Code,
}

type Words = HashMap<&'static str, Vec<&'static str>>;

static KNOWN: LazyLock<HashMap<Language, Words>> = LazyLock::new(|| {
    let mut known: HashMap<Language, Words> = HashMap::new();
    for line in WORDS.lines() {
        let mut parts = line.splitn(3, ' ');
        let language = parts.next().and_then(Language::parse);
        let (Some(language), Some(name), Some(words)) = (language, parts.next(), parts.next())
        else {
            continue;
        };
        known.entry(language).or_default().insert(name, words.split(", ").collect());
    }
    known
});

fn known(language: Option<Language>, name: &str) -> &'static [&'static str] {
    let words = KNOWN.get(&language.unwrap_or(Language::ENGLISH));
    words.and_then(|words| words.get(name)).map_or(&[], Vec::as_slice)
}

/// The words that ask for code.
pub(crate) fn words_for_code(language: Option<Language>) -> String {
    known(language, "code").join(" ")
}

/// A text in lower case, its words between single spaces.
fn spaced(text: &str) -> String {
    let lower = text.to_lowercase();
    let words = lower.split(|one: char| !one.is_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(String::from(" "), |text, word| text + word + " ")
}

/// Whether words are among those of a text: whole ones where words have spaces
/// between them.
fn has(spaced: &str, words: &str, language: Option<Language>) -> bool {
    match language.as_ref().map(Language::code) {
        Some("zh" | "ja" | "th") => spaced.contains(words),
        _ => spaced.match_indices(words).any(|(at, found)| {
            let before = spaced.get(..at).is_some_and(|text| text.ends_with(' '));
            before && spaced.get(at + found.len()..).is_some_and(|text| text.starts_with(' '))
        }),
    }
}

/// What a question asks for, and what it says already, which is no answer to it.
pub(crate) struct Asked {
    pub(crate) kind: Option<QuestionKind>,
    /// Whether it asks how something is done, which code may show.
    pub(crate) how: bool,
    spaced: String,
    text: String,
}

impl Asked {
    pub(crate) fn of(question: &str, language: Option<Language>) -> Self {
        let spaced = spaced(question);
        let asks =
            |name: &str| known(language, name).iter().any(|words| has(&spaced, words, language));
        let kinds = [
            ("code", QuestionKind::Code),
            ("when", QuestionKind::When),
            ("number", QuestionKind::Number),
            ("who", QuestionKind::Who),
            ("where", QuestionKind::Where),
        ];
        let kind = kinds.into_iter().find(|(name, _)| asks(name)).map(|(_, kind)| kind);
        let how = asks("how");
        Self { kind, how, spaced, text: question.to_owned() }
    }

    /// Whether a text says that something is not, and the question does not: words of
    /// the question are then an answer to it.
    pub(crate) fn denied_by(&self, text: &str, language: Option<Language>) -> bool {
        let text = spaced(text);
        let denies = |word: &&str| has(&text, word, language) && !has(&self.spaced, word, language);
        known(language, "negation").iter().any(denies)
    }

    /// How well a text gives what is asked for, from 0 to 1.
    pub(crate) fn given_by(&self, text: &str, language: Option<Language>) -> f32 {
        match self.kind {
            None | Some(QuestionKind::Code) => 0.0,
            Some(QuestionKind::When) => {
                let numbers = self.new_numbers(text);
                let year = |number: &&str| {
                    number.len() == 4 && number.bytes().all(|one| one.is_ascii_digit())
                };
                match (numbers.iter().any(|number| year(&number.as_str())), numbers.is_empty()) {
                    (true, _) => 1.0,
                    (false, false) => 0.6,
                    (false, true) => 0.0,
                }
            }
            Some(QuestionKind::Number) => {
                if !self.new_numbers(text).is_empty() {
                    return 1.0;
                }
                let words = spaced(text);
                let numeral = |word: &&&str| {
                    has(&words, word, language) && !has(&self.spaced, word, language)
                };
                if known(language, "numeral").iter().any(|word| numeral(&word)) { 0.7 } else { 0.0 }
            }
            Some(QuestionKind::Who | QuestionKind::Where) => self.new_names(text, language),
        }
    }

    /// Numbers of a text that the question does not have.
    fn new_numbers(&self, text: &str) -> Vec<String> {
        let runs = text.split(|one: char| !one.is_numeric() && !matches!(one, '.' | ','));
        let runs = runs.map(|run| run.trim_matches(['.', ',']));
        runs.filter(|run| !run.is_empty() && !self.text.contains(*run)).map(str::to_owned).collect()
    }

    /// Whether words begin with a capital that the question does not have. German
    /// writes all nouns so.
    fn new_names(&self, text: &str, language: Option<Language>) -> f32 {
        if language.is_some_and(|language| matches!(language.code(), "de" | "lb")) {
            return 0.0;
        }
        // Many scripts have no capitals at all.
        if !text.chars().any(char::is_uppercase) {
            return 0.0;
        }
        let words = text.split(|one: char| !one.is_alphanumeric()).filter(|word| !word.is_empty());
        let mut best: f32 = 0.0;
        for (place, word) in words.enumerate() {
            if !word.starts_with(char::is_uppercase) {
                continue;
            }
            let lower = word.to_lowercase();
            let common = is_function_word(&lower, language.unwrap_or(Language::ENGLISH));
            if common || has(&self.spaced, &lower, None) {
                continue;
            }
            best = best.max(if place == 0 { 0.5 } else { 1.0 });
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(question: &str, text: &str, language: &str) -> f32 {
        let language = Language::parse(language);
        Asked::of(question, language).given_by(text, language)
    }

    #[test]
    fn a_date_answers_when() {
        assert!(given("When was the quay finished?", "It was finished in 2019.", "en") > 0.9);
        assert!(given("When was the quay finished?", "It cost 3 million.", "en") < 0.9);
        assert!(given("What happened in what year, 2019?", "It ended in 2019.", "en") < 0.1);
        assert!(given("In welchem Jahr endete es?", "Das war 1918.", "de") > 0.9);
        assert!(given("他什么时候出生？", "他1869年出生。", "zh") > 0.9);
    }

    #[test]
    fn a_number_answers_how_many() {
        assert!(given("How many sacks?", "He had 11 sacks.", "en") > 0.9);
        assert!(given("How many sacks?", "He had four.", "en") > 0.5);
        assert!(given("How many sacks?", "He had sacks.", "en") < 0.1);
    }

    #[test]
    fn a_name_answers_who() {
        assert!(given("Who led the team?", "In sacks, Kawann Short led.", "en") > 0.9);
        assert!(given("Who led the Panthers?", "The Panthers were led.", "en") < 0.1);
    }
}
