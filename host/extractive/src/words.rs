//! Words that carry meaning, and how much.

use std::collections::{BTreeSet, HashMap};

/// The share of the smaller set that is in both.
pub(crate) fn overlap(a: &BTreeSet<String>, b: &BTreeSet<String>) -> f32 {
    let smaller = a.len().min(b.len());
    if smaller == 0 { 0.0 } else { a.intersection(b).count() as f32 / smaller as f32 }
}

/// How rare words are among the sentences at hand (Spärck Jones 1972).
pub(crate) struct Idf {
    sentences: usize,
    counts: HashMap<String, usize>,
}

impl Idf {
    pub(crate) fn new<'a>(sentences: impl Iterator<Item = &'a BTreeSet<String>>) -> Self {
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
    pub(crate) fn coverage(&self, wanted: &BTreeSet<String>, found: &BTreeSet<String>) -> f32 {
        let sum = |words: &mut dyn Iterator<Item = &String>| {
            words.map(|word| self.weight(word)).sum::<f32>()
        };
        let all = sum(&mut wanted.iter());
        if all == 0.0 { 0.0 } else { sum(&mut wanted.intersection(found)) / all }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(text: &str) -> BTreeSet<String> {
        ragtime_text::content(text, None)
    }

    #[test]
    fn a_rare_word_covers_more_than_a_common_one() {
        let sentences = [content("wing flow"), content("wing"), content("wing")];
        let idf = Idf::new(sentences.iter());
        let wanted = content("wing flow");
        assert!(idf.coverage(&wanted, &content("flow")) > idf.coverage(&wanted, &content("wing")));
    }
}
