//! The words of a text that carry meaning.

use std::collections::BTreeSet;

use crate::analysis::{Role, analyse};
use crate::detect::is_function_word;
use crate::language::Language;

/// Words of English that say nothing about what is asked. The longer list by which
/// English is detected does not do, as it has words that may be asked for.
const ENGLISH: [&str; 79] = [
    "a", "about", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could",
    "did", "do", "does", "for", "from", "give", "had", "has", "have", "how", "i", "if", "in",
    "into", "is", "it", "its", "me", "may", "more", "most", "my", "no", "not", "of", "on", "or",
    "our", "s", "so", "some", "such", "tell", "than", "that", "the", "their", "them", "then",
    "there", "these", "they", "this", "those", "to", "under", "us", "was", "we", "were", "what",
    "when", "where", "whether", "which", "while", "who", "whom", "whose", "why", "will", "with",
    "would", "you", "your",
];

/// Words that ask, longer than any of the words by which languages are detected.
const ASKING: [&str; 47] = [
    "welche",
    "welcher",
    "welches",
    "welchem",
    "welchen",
    "wieviel",
    "wieviele",
    "weshalb",
    "woraus",
    "wodurch",
    "combien",
    "quelle",
    "quelles",
    "lequel",
    "laquelle",
    "lesquels",
    "pourquoi",
    "comment",
    "cu\u{e1}ntos",
    "cu\u{e1}ntas",
    "cu\u{e1}nto",
    "cu\u{e1}les",
    "cu\u{e1}ndo",
    "qui\u{e9}nes",
    "d\u{f3}nde",
    "quanti",
    "quante",
    "perch\u{e9}",
    "quando",
    "quantos",
    "quantas",
    "porqu\u{ea}",
    "waarom",
    "hoeveel",
    "welke",
    "varf\u{f6}r",
    "vilken",
    "vilket",
    "hvordan",
    "hvorfor",
    "\u{43a}\u{430}\u{43a}\u{43e}\u{439}",
    "\u{43a}\u{430}\u{43a}\u{430}\u{44f}",
    "\u{43a}\u{430}\u{43a}\u{438}\u{435}",
    "\u{441}\u{43a}\u{43e}\u{43b}\u{44c}\u{43a}\u{43e}",
    "\u{43f}\u{43e}\u{447}\u{435}\u{43c}\u{443}",
    "\u{43a}\u{43e}\u{442}\u{43e}\u{440}\u{44b}\u{439}",
    "nerede",
];

/// The stems of the words of a text that carry meaning, in order and each once;
/// of all its words where none does.
pub fn content(text: &str, language: Option<Language>) -> BTreeSet<String> {
    let tokens = analyse(text, language).into_iter().filter(|token| token.role != Role::Part);
    let mut all = BTreeSet::new();
    let mut meant = BTreeSet::new();
    for token in tokens {
        let Some(stem) = token.stem else { continue };
        let says = token.exact.as_deref().is_none_or(|word| !says_nothing(word, language));
        if says {
            meant.insert(stem.clone());
        }
        all.insert(stem);
    }
    if meant.is_empty() { all } else { meant }
}

/// Whether a word, as it is written, carries no meaning of its own.
pub(crate) fn says_nothing(word: &str, language: Option<Language>) -> bool {
    match language {
        None | Some(Language::ENGLISH) => ENGLISH.contains(&word),
        Some(language) => is_function_word(word, language) || ASKING.contains(&word),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn words(text: &str, language: &str) -> Vec<String> {
        content(text, Language::parse(language)).into_iter().collect()
    }

    #[test]
    fn only_stems_with_meaning_are_left() {
        assert_eq!(
            words("What are the Wings of a flying aircraft?", "en"),
            ["aircraft", "fli", "wing"]
        );
        assert_eq!(words("Welche H\u{e4}user sind das?", "de"), ["haus"]);
    }

    #[test]
    fn common_words_count_when_they_are_all_there_is() {
        assert_eq!(words("To be or not to be", "en"), ["be", "not", "or", "to"]);
    }
}
