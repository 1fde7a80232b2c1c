//! BM25 over stemmed words, as the host's lexical index scores them: lower
//! case, without the commonest words of English, Porter2 stems.

use std::collections::{BTreeMap, HashMap};

use rust_stemmers::{Algorithm, Stemmer};

/// Term frequency saturation (Robertson and Zaragoza 2009).
const K1: f32 = 1.2;
/// Length normalisation.
const B: f32 = 0.75;
/// A longer word is an encoding or an accident.
const MAX_WORD_BYTES: usize = 40;
/// Terms of one query; the rest would cost much and change little.
const MAX_TERMS: usize = 128;
/// Lucene's words that are too common to find anything by.
const STOP_WORDS: [&str; 33] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it",
    "no", "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these",
    "they", "this", "to", "was", "will", "with",
];

/// The index of one collection: its statistics do not weigh on another.
#[derive(Debug, Default)]
pub struct Index {
    postings: HashMap<String, BTreeMap<u64, u32>>,
    lengths: HashMap<u64, u32>,
    total_length: u64,
}

impl Index {
    /// Adds a chunk.
    pub fn add(&mut self, chunk: u64, text: &str) {
        let words = analyse(text);
        let length = u32::try_from(words.len()).unwrap_or(u32::MAX);
        self.lengths.insert(chunk, length);
        self.total_length += u64::from(length);
        for word in words {
            *self.postings.entry(word).or_default().entry(chunk).or_default() += 1;
        }
    }

    /// Removes a chunk that was added with this text.
    pub fn remove(&mut self, chunk: u64, text: &str) {
        let Some(length) = self.lengths.remove(&chunk) else { return };
        self.total_length -= u64::from(length);
        for word in analyse(text) {
            if let Some(chunks) = self.postings.get_mut(&word) {
                chunks.remove(&chunk);
                if chunks.is_empty() {
                    self.postings.remove(&word);
                }
            }
        }
    }

    /// The score of every chunk that has a word of the text.
    pub fn scores(&self, text: &str) -> HashMap<u64, f32> {
        let mut scores: HashMap<u64, f32> = HashMap::new();
        let count = self.lengths.len() as f32;
        let average = self.total_length as f32 / count.max(1.0);
        for word in analyse(text).into_iter().take(MAX_TERMS) {
            let Some(chunks) = self.postings.get(&word) else { continue };
            let found = chunks.len() as f32;
            let idf = (1.0 + (count - found + 0.5) / (found + 0.5)).ln();
            for (chunk, frequency) in chunks {
                let length = self.lengths.get(chunk).map_or(0.0, |length| *length as f32);
                let frequency = *frequency as f32;
                let norm = K1 * (1.0 - B + B * length / average);
                *scores.entry(*chunk).or_default() +=
                    idf * frequency * (K1 + 1.0) / (frequency + norm);
            }
        }
        scores
    }
}

/// The `depth` best of `scores` that `allowed` accepts, best first.
pub fn best(
    scores: &HashMap<u64, f32>,
    depth: usize,
    allowed: impl Fn(u64) -> bool,
) -> Vec<(u64, f32)> {
    let accepted = scores.iter().filter(|(chunk, _)| allowed(**chunk));
    let mut best: Vec<_> = accepted.map(|(chunk, score)| (*chunk, *score)).collect();
    best.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    best.truncate(depth);
    best
}

/// The stems of a text in their places. What is no word of the index leaves
/// its place empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run(Vec<(usize, String)>);

impl Run {
    /// The words of a text.
    pub fn of(text: &str) -> Self {
        let stemmer = Stemmer::create(Algorithm::English);
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        let kept = words
            .enumerate()
            .filter(|(_, word)| word.len() < MAX_WORD_BYTES)
            .map(|(place, word)| (place, word.to_lowercase()))
            .filter(|(_, word)| !STOP_WORDS.contains(&word.as_str()));
        Self(kept.map(|(place, word)| (place, stemmer.stem(&word).into_owned())).collect())
    }

    /// Whether it has no words.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the words of another stand in it at the same distances.
    pub fn has(&self, other: &Self) -> bool {
        let Some((first, word)) = other.0.first() else { return true };
        let starts = self.0.iter().filter(|(_, here)| here == word).map(|(place, _)| place);
        starts.into_iter().any(|start| {
            other.0.iter().all(|(place, word)| {
                let at = self.0.binary_search_by_key(&(start + place - first), |(place, _)| *place);
                at.ok().and_then(|at| self.0.get(at)).is_some_and(|(_, here)| here == word)
            })
        })
    }
}

fn analyse(text: &str) -> Vec<String> {
    Run::of(text).0.into_iter().map(|(_, word)| word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_is_the_formula() {
        let mut index = Index::default();
        index.add(1, "flutter wing");
        index.add(2, "wing wing wing wing");
        let found = best(&index.scores("the fluttering"), 10, |_| true);
        // idf = ln(1 + 1.5/1.5); length 2 of an average 3.
        let expected = 2.0_f32.ln() * 2.2 / (1.0 + 1.2 * (0.25 + 0.75 * 2.0 / 3.0));
        assert_eq!(found.len(), 1);
        assert!((found[0].1 - expected).abs() < 1e-6);
    }

    #[test]
    fn a_phrase_is_found_where_its_words_stand_together() {
        let text = Run::of("Leaf of a maple, and the Maple Leaf Rag");
        for found in ["maple leaf", "leaf of the maples", "rag", "leaf rag", "the"] {
            assert!(text.has(&Run::of(found)), "{found}");
        }
        for missing in ["leaf maple", "rag maple", "maple rag", "waltz"] {
            assert!(!text.has(&Run::of(missing)), "{missing}");
        }
    }

    #[test]
    fn a_removed_chunk_leaves_nothing() {
        let mut index = Index::default();
        index.add(1, "flutter wing");
        index.remove(1, "flutter wing");
        assert!(index.scores("wing").is_empty());
        assert!(index.postings.is_empty() && index.total_length == 0);
    }

    #[test]
    fn what_is_not_allowed_takes_no_place() {
        let mut index = Index::default();
        (0..10).for_each(|chunk| index.add(chunk, "wing"));
        assert_eq!(best(&index.scores("wings"), 1, |chunk| chunk == 7)[0].0, 7);
    }
}
