//! Words that carry meaning, and how much.

use std::collections::{HashMap, HashSet};

use rust_stemmers::{Algorithm, Stemmer};

/// Words that say nothing about what is asked.
const STOP_WORDS: [&str; 77] = [
    "a", "about", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "could",
    "did", "do", "does", "for", "from", "give", "has", "have", "how", "i", "if", "in", "into",
    "is", "it", "its", "me", "may", "more", "most", "my", "no", "not", "of", "on", "or", "our",
    "so", "some", "such", "tell", "than", "that", "the", "their", "them", "then", "there", "these",
    "they", "this", "those", "to", "under", "us", "was", "we", "were", "what", "when", "where",
    "whether", "which", "while", "who", "whom", "whose", "why", "will", "with", "would", "you",
    "your",
];

/// The stems of the words of a text that carry meaning.
pub(crate) fn content(text: &str) -> HashSet<String> {
    let stemmer = Stemmer::create(Algorithm::English);
    text.split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .filter(|word| !STOP_WORDS.contains(&word.as_str()))
        .map(|word| stemmer.stem(&word).into_owned())
        .collect()
}

/// The share of the smaller set that is in both.
pub(crate) fn overlap(a: &HashSet<String>, b: &HashSet<String>) -> f32 {
    let smaller = a.len().min(b.len());
    if smaller == 0 { 0.0 } else { a.intersection(b).count() as f32 / smaller as f32 }
}

/// How rare words are among the sentences at hand (Spärck Jones 1972).
pub(crate) struct Idf {
    sentences: usize,
    counts: HashMap<String, usize>,
}

impl Idf {
    pub(crate) fn new<'a>(sentences: impl Iterator<Item = &'a HashSet<String>>) -> Self {
        let mut idf = Self { sentences: 0, counts: HashMap::new() };
        for words in sentences {
            idf.sentences += 1;
            for word in words {
                *idf.counts.entry(word.clone()).or_insert(0) += 1;
            }
        }
        idf
    }

    /// ln(1 + N / (1 + n))
    fn weight(&self, word: &str) -> f32 {
        let count = self.counts.get(word).copied().unwrap_or(0);
        (1.0 + self.sentences as f32 / (1.0 + count as f32)).ln()
    }

    /// The share of `wanted`, by weight, that is in `found`.
    pub(crate) fn coverage(&self, wanted: &HashSet<String>, found: &HashSet<String>) -> f32 {
        // Summed in order: sums of floats depend on it, and sets have none.
        let sum = |words: &mut dyn Iterator<Item = &String>| {
            let mut words: Vec<_> = words.collect();
            words.sort_unstable();
            words.into_iter().map(|word| self.weight(word)).sum::<f32>()
        };
        let all = sum(&mut wanted.iter());
        if all == 0.0 { 0.0 } else { sum(&mut wanted.intersection(found)) / all }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_stems_with_meaning_are_left() {
        let words = content("What are the Wings of a flying aircraft?");
        assert_eq!(words, ["wing", "fli", "aircraft"].map(String::from).into());
    }

    #[test]
    fn a_rare_word_covers_more_than_a_common_one() {
        let sentences = [content("wing flow"), content("wing"), content("wing")];
        let idf = Idf::new(sentences.iter());
        let wanted = content("wing flow");
        assert!(idf.coverage(&wanted, &content("flow")) > idf.coverage(&wanted, &content("wing")));
    }
}
