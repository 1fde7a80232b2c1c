//! Results that do not repeat each other.
//!
//! Near-duplicates are found by the resemblance of their shingles (A. Broder,
//! "On the resemblance and containment of documents", 1997). Diversity is
//! maximal marginal relevance (J. Carbonell, J. Goldstein, "The use of MMR,
//! diversity-based reranking for reordering documents and producing
//! summaries", 1998). Both compare texts, so they work without a model.

use std::collections::HashSet;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// Words of a shingle: runs of three hardly come twice by chance.
const SHINGLE_WORDS: usize = 3;

/// The resemblance from which two passages are near-duplicates. A passage in
/// which one word in twenty was changed keeps about 0.74: of its shingles .85
/// are left, of .85 + 2 × .15 in both.
const NEAR_DUPLICATE: f64 = 0.7;

/// How little results may repeat each other.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Diversity {
    /// Leaves out near-duplicates of better results.
    pub dedupe: bool,
    /// 0 picks by relevance alone, 1 by difference alone.
    pub weight: f64,
}

impl Diversity {
    /// Whether there is anything to do.
    pub fn is_wanted(self) -> bool {
        self.dedupe || self.weight > 0.0
    }
}

/// Picks up to `limit` of `passages`, texts with their scores, best first.
/// Gives their places in the order picked; the first is the best passage.
pub fn pick(passages: &[(&str, f64)], diversity: Diversity, limit: usize) -> Vec<usize> {
    let mut left: Vec<Item> = items(passages);
    let mut picked: Vec<Item> = Vec::new();
    while picked.len() < limit {
        let Some(next) = best(&left, diversity.weight.clamp(0.0, 1.0)) else { break };
        let next = left.remove(next);
        left.retain_mut(|item| {
            item.nearest = item.nearest.max(jaccard(&item.words, &next.words));
            !diversity.dedupe || jaccard(&item.shingles, &next.shingles) < NEAR_DUPLICATE
        });
        picked.push(next);
    }
    picked.into_iter().map(|item| item.place).collect()
}

/// A passage to pick.
struct Item {
    place: usize,
    /// Its score from 0, the lowest, to 1, the highest.
    relevance: f64,
    /// The greatest likeness to what has been picked.
    nearest: f64,
    words: HashSet<u64>,
    shingles: HashSet<u64>,
}

fn items(passages: &[(&str, f64)]) -> Vec<Item> {
    let scores = || passages.iter().map(|(_, score)| *score);
    let low = scores().fold(f64::INFINITY, f64::min);
    let width = scores().fold(f64::NEG_INFINITY, f64::max) - low;
    let relevance = |score: f64| if width > 0.0 { (score - low) / width } else { 1.0 };
    passages
        .iter()
        .enumerate()
        .map(|(place, (text, score))| {
            let words = words(text);
            Item {
                place,
                relevance: relevance(*score),
                nearest: 0.0,
                shingles: shingles(&words),
                words: words.into_iter().collect(),
            }
        })
        .collect()
}

/// The one with the greatest marginal relevance; of equals, the first.
fn best(left: &[Item], diversity: f64) -> Option<usize> {
    let marginal = |item: &Item| (1.0 - diversity) * item.relevance - diversity * item.nearest;
    let mut best: Option<(usize, f64)> = None;
    for (index, item) in left.iter().enumerate() {
        let score = marginal(item);
        if best.is_none_or(|(_, highest)| score > highest) {
            best = Some((index, score));
        }
    }
    best.map(|(index, _)| index)
}

/// Hashes of the words of a text, in order and without case.
fn words(text: &str) -> Vec<u64> {
    text.split(|char: char| !char.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| hash(word.to_lowercase()))
        .collect()
}

/// Every run of [`SHINGLE_WORDS`] words; a shorter text is one shingle.
fn shingles(words: &[u64]) -> HashSet<u64> {
    match words.len() {
        0..=SHINGLE_WORDS => HashSet::from([hash(words)]),
        _ => words.windows(SHINGLE_WORDS).map(hash).collect(),
    }
}

fn hash(value: impl std::hash::Hash) -> u64 {
    // Without a random key: the same search gives the same answer.
    BuildHasherDefault::<DefaultHasher>::default().hash_one(value)
}

/// The share of both sets that is in either, 0 to 1.
fn jaccard(a: &HashSet<u64>, b: &HashSet<u64>) -> f64 {
    let both = a.intersection(b).count();
    let either = a.len() + b.len() - both;
    if either == 0 { 0.0 } else { both as f64 / either as f64 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;

    const NEAR: &str = "Flutter is a dynamic instability of an elastic structure in a fluid flow, \
                        caused by positive feedback between its deflection and the force.";
    const OTHER: &str = "Heat flows through a composite slab as its layers conduct it.";

    fn dedupe(texts: &[(&str, f64)]) -> Vec<usize> {
        pick(texts, Diversity { dedupe: true, weight: 0.0 }, 10)
    }

    #[test]
    fn a_near_duplicate_of_a_better_passage_is_left_out() {
        let again = NEAR.to_uppercase().replace("FORCE", "FORCES!");
        assert_eq!(dedupe(&[(NEAR, 0.9), (&again, 0.8), (OTHER, 0.1)]), [0, 2]);
    }

    #[test]
    fn passages_on_one_subject_are_no_duplicates() {
        let about = "Flutter of an elastic structure begins at a critical speed of the flow.";
        assert_eq!(dedupe(&[(NEAR, 0.9), (about, 0.8)]), [0, 1]);
    }

    #[test]
    fn diversity_prefers_what_says_something_else() {
        let again = NEAR.replace("fluid", "fast");
        let passages = [(NEAR, 0.9), (again.as_str(), 0.85), (OTHER, 0.3), ("Flutter.", 0.0)];
        let by = |weight| pick(&passages, Diversity { dedupe: false, weight }, 2);
        assert_eq!((by(0.0), by(0.7)), (vec![0, 1], vec![0, 2]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn each_place_is_picked_once_at_most_and_the_best_first(
            mut passages in prop::collection::vec(("[a-c ]{0,12}", -5i8..5), 0..12),
            dedupe: bool,
            weight in 0.0..1.0,
            limit in 0usize..14,
        ) {
            passages.sort_by_key(|(_, score)| -score);
            let passages: Vec<_> =
                passages.iter().map(|(text, score)| (text.as_str(), f64::from(*score))).collect();
            let picked = pick(&passages, Diversity { dedupe, weight }, limit);
            let distinct: HashSet<_> = picked.iter().collect();
            prop_assert_eq!(distinct.len(), picked.len());
            prop_assert!(picked.iter().all(|place| *place < passages.len()));
            if !dedupe {
                prop_assert_eq!(picked.len(), limit.min(passages.len()));
            }
            if let Some(first) = picked.first() {
                prop_assert_eq!(passages[*first].1, passages[0].1);
            }
        }

        #[test]
        fn without_diversity_the_order_stands(
            mut passages in prop::collection::vec(("[a-c ]{0,30}", 0u8..9), 0..12),
        ) {
            passages.sort_by_key(|(_, score)| std::cmp::Reverse(*score));
            let passages: Vec<_> =
                passages.iter().map(|(text, score)| (text.as_str(), f64::from(*score))).collect();
            let all: Vec<_> = (0..passages.len()).collect();
            prop_assert_eq!(pick(&passages, Diversity::default(), 20), all);
            prop_assert!(dedupe(&passages).is_sorted());
        }
    }
}
