//! Joins what the retrievers found into one ranking.
//!
//! A convex combination of scores that are min-max normalised within each retriever,
//! as in S. Bruch, S. Gai, A. Ingber, "An Analysis of Fusion Functions for
//! Hybrid Retrieval" (2022), where it beats reciprocal rank fusion in and out
//! of domain and needs one parameter.

use std::cmp::Ordering;

use crate::resource::search::{Explanation, Leg, Mode};

/// A chunk that at least one retriever found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The chunk's id.
    pub chunk: u64,
    /// A number that chunks of the same document share.
    pub document: u64,
    /// BM25, 0 or more; none when the chunk does not match.
    pub lexical: Option<f32>,
    /// Cosine similarity, -1 to 1; none when it is not known, or says nothing since
    /// the model does not know the chunk's language.
    pub vector: Option<f32>,
}

/// A chunk with its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranked {
    /// The chunk's id.
    pub chunk: u64,
    /// Its document.
    pub document: u64,
    /// 0 to 1 in hybrid mode, BM25 in lexical, cosine in vector.
    pub score: f64,
}

/// How to rank.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ranking {
    /// Which retrievers count.
    pub mode: Mode,
    /// Weight of the vector retriever in hybrid mode, 0 to 1.
    pub vector_weight: f64,
    /// One best chunk for each document.
    pub per_document: bool,
    /// The most to return.
    pub top_k: usize,
    /// Leaves out what scores lower.
    pub min_score: Option<f64>,
    /// How many chunks each retriever was asked for. A retriever's scores are normalised
    /// over its best so many; what it ranks lower counts as not found.
    pub depth: usize,
}

impl Ranking {
    /// Both retrievers alike. Bruch et al. find the combination robust around the
    /// middle, and equal weights need no tuning to a set.
    pub const EQUAL: f64 = 0.5;
}

/// Chunks that show the vector retriever more of what is wanted. Few, since the first
/// results are the surest.
const FEEDBACK: usize = 4;

/// The chunks to search with a second time: the best of the first search,
/// whichever documents they are from.
pub fn feedback(candidates: &[Candidate], ranking: &Ranking) -> Vec<u64> {
    let best = Ranking { per_document: false, min_score: None, top_k: FEEDBACK, ..*ranking };
    rank(candidates, &best).into_iter().map(|ranked| ranked.chunk).collect()
}

/// Ranks candidates, best first. The order of the candidates has no effect:
/// equal scores stand by chunk id.
pub fn rank(candidates: &[Candidate], ranking: &Ranking) -> Vec<Ranked> {
    let mut ranked = score(candidates, ranking);
    ranked.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.chunk.cmp(&b.chunk)));
    if ranking.per_document {
        let mut seen = std::collections::HashSet::new();
        ranked.retain(|chunk| seen.insert(chunk.document));
    }
    if let Some(min_score) = ranking.min_score {
        ranked.retain(|chunk| chunk.score >= min_score);
    }
    ranked.truncate(ranking.top_k);
    ranked
}

fn score(candidates: &[Candidate], ranking: &Ranking) -> Vec<Ranked> {
    let scale = Scale::of(candidates, ranking);
    candidates
        .iter()
        .filter_map(|candidate| {
            let score = scale.fused(candidate, ranking.mode)?;
            Some(Ranked { chunk: candidate.chunk, document: candidate.document, score })
        })
        .collect()
}

/// What the scores of one search are measured by.
#[derive(Debug, Clone, Copy)]
struct Scale {
    lexical: Range,
    vector: Range,
    /// Of the vector retriever.
    weight: f64,
}

impl Scale {
    fn of(candidates: &[Candidate], ranking: &Ranking) -> Self {
        Self {
            lexical: Range::of(candidates.iter().map(lexical_score), ranking.depth),
            vector: Range::of(candidates.iter().filter_map(vector_score), ranking.depth),
            weight: match ranking.mode {
                Mode::Lexical => 0.0,
                Mode::Vector => 1.0,
                Mode::Hybrid => ranking.vector_weight.clamp(0.0, 1.0),
            },
        }
    }

    /// What the vector retriever weighs for a candidate. It has no vote on one that it
    /// knows nothing of: a text that has no vector yet, or in a language that the
    /// model does not know.
    fn vector_weight(&self, candidate: &Candidate) -> f64 {
        if vector_score(candidate).is_some() { self.weight } else { 0.0 }
    }

    /// The score that a candidate is ranked by; none where the mode's only retriever
    /// did not find it.
    fn fused(&self, candidate: &Candidate, mode: Mode) -> Option<f64> {
        match mode {
            Mode::Lexical => finite(candidate.lexical).map(f64::from),
            Mode::Vector => vector_score(candidate),
            Mode::Hybrid => {
                let lexical = self.lexical.normalise(lexical_score(candidate));
                let weight = self.vector_weight(candidate);
                let vector =
                    vector_score(candidate).map_or(0.0, |score| self.vector.normalise(score));
                Some(weight * vector + (1.0 - weight) * lexical)
            }
        }
    }
}

/// A chunk that does not match has the lowest score that BM25 gives.
fn lexical_score(candidate: &Candidate) -> f64 {
    finite(candidate.lexical).map_or(0.0, f64::from)
}

fn vector_score(candidate: &Candidate) -> Option<f64> {
    finite(candidate.vector).map(f64::from)
}

fn finite(score: Option<f32>) -> Option<f32> {
    score.filter(|score| score.is_finite())
}

/// The scores of one retriever, from lowest to highest.
#[derive(Debug, Clone, Copy)]
struct Range {
    min: f64,
    max: f64,
}

impl Range {
    /// Of the best `depth` scores.
    fn of(scores: impl Iterator<Item = f64>, depth: usize) -> Self {
        let mut scores: Vec<f64> = scores.collect();
        scores.sort_unstable_by(|a, b| b.total_cmp(a));
        scores.truncate(depth.max(1));
        Self {
            min: scores.last().copied().unwrap_or(f64::INFINITY),
            max: scores.first().copied().unwrap_or(f64::NEG_INFINITY),
        }
    }

    /// 0 to 1. Where all scores are the same they say nothing of the order:
    /// all are the best, or, where nothing matches, the worst.
    fn normalise(self, score: f64) -> f64 {
        let width = self.max - self.min;
        if width > 0.0 {
            ((score - self.min) / width).clamp(0.0, 1.0)
        } else {
            f64::from(u8::from(self.max > 0.0))
        }
    }
}

/// What each retriever says of a chunk, and what comes of it; ranks are among the
/// candidates, and chunks of equal score share one.
pub fn explain(candidates: &[Candidate], ranking: &Ranking, chunk: u64) -> Option<Explanation> {
    let found = candidates.iter().find(|candidate| candidate.chunk == chunk)?;
    let scale = Scale::of(candidates, ranking);
    let leg = |score: fn(&Candidate) -> Option<f32>, range: Range, weight: f64| {
        let own = finite(score(found))?;
        let better = candidates.iter().filter_map(|other| finite(score(other)));
        let better = better.filter(|other| other.total_cmp(&own) == Ordering::Greater).count();
        Some(Leg {
            score: f64::from(own),
            rank: u32::try_from(better).unwrap_or(u32::MAX).saturating_add(1),
            normalised: range.normalise(f64::from(own)),
            weight,
        })
    };
    Some(Explanation {
        lexical: leg(
            |candidate| candidate.lexical,
            scale.lexical,
            1.0 - match ranking.mode {
                Mode::Hybrid => scale.vector_weight(found),
                _ => scale.weight,
            },
        ),
        vector: leg(|candidate| candidate.vector, scale.vector, scale.weight),
        fused: scale.fused(found, ranking.mode)?,
        rerank: None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;

    const HYBRID: Ranking = Ranking {
        mode: Mode::Hybrid,
        vector_weight: Ranking::EQUAL,
        per_document: false,
        top_k: 100,
        min_score: None,
        depth: 100,
    };

    fn candidate(
        chunk: u64,
        document: u64,
        lexical: impl Into<Option<f32>>,
        vector: impl Into<Option<f32>>,
    ) -> Candidate {
        Candidate { chunk, document, lexical: lexical.into(), vector: vector.into() }
    }

    fn chunks(ranked: &[Ranked]) -> Vec<u64> {
        ranked.iter().map(|chunk| chunk.chunk).collect()
    }

    #[test]
    fn what_both_legs_like_comes_first() {
        let found =
            [candidate(1, 1, 9.0, 0.1), candidate(2, 2, 8.0, 0.8), candidate(3, 3, None, 0.9)];
        assert_eq!(chunks(&rank(&found, &HYBRID)), [2, 1, 3]);
    }

    #[test]
    fn a_document_gives_its_best_chunk() {
        let found =
            [candidate(1, 7, 1.0, 0.1), candidate(2, 7, 9.0, 0.9), candidate(3, 8, 2.0, 0.2)];
        let ranked = rank(&found, &Ranking { per_document: true, ..HYBRID });
        assert_eq!(chunks(&ranked), [2, 3]);
    }

    #[test]
    fn a_single_leg_ranks_by_its_own_score_and_leaves_out_what_it_missed() {
        let found = [candidate(1, 1, 3.0, 0.1), candidate(2, 2, None, 0.9)];
        let lexical = rank(&found, &Ranking { mode: Mode::Lexical, ..HYBRID });
        assert_eq!((chunks(&lexical), lexical[0].score), (vec![1], 3.0));
        assert_eq!(chunks(&rank(&found, &Ranking { mode: Mode::Vector, ..HYBRID })), [2, 1]);
    }

    #[test]
    fn scores_that_are_no_numbers_count_as_missing() {
        let found = [candidate(1, 1, f32::NAN, f32::INFINITY), candidate(2, 2, 1.0, 0.5)];
        let ranked = rank(&found, &HYBRID);
        assert_eq!(chunks(&ranked), [2, 1]);
        assert!(ranked.iter().all(|chunk| chunk.score.is_finite()));
    }

    #[test]
    fn a_chunk_without_a_vector_is_ranked_by_its_words_alone() {
        let found =
            [candidate(1, 1, 9.0, 0.2), candidate(2, 2, 8.0, None), candidate(3, 3, 1.0, 0.1)];
        let ranked = rank(&found, &HYBRID);
        assert_eq!(chunks(&ranked), [1, 2, 3]);
        let explained = explain(&found, &HYBRID, 2).unwrap();
        assert_eq!(explained.lexical.map(|leg| leg.weight), Some(1.0));
    }

    #[test]
    fn nothing_found_is_nothing_ranked() {
        assert_eq!(rank(&[], &HYBRID), []);
    }

    #[test]
    fn an_explanation_gives_score_and_rank_in_each_leg() {
        let found = [candidate(1, 1, 3.0, 0.5), candidate(2, 2, None, 0.75)];
        let explained = explain(&found, &HYBRID, 1).unwrap();
        let lexical = Leg { score: 3.0, rank: 1, normalised: 1.0, weight: 0.5 };
        let vector = Leg { score: 0.5, rank: 2, normalised: 0.0, weight: 0.5 };
        assert_eq!((explained.lexical, explained.vector), (Some(lexical), Some(vector)));
        assert_eq!(explained.fused, 0.5);
        assert_eq!(explain(&found, &HYBRID, 2).unwrap().lexical, None);
    }

    #[test]
    fn the_leg_that_a_mode_leaves_out_weighs_nothing() {
        let found = [candidate(1, 1, 3.0, 0.5), candidate(2, 2, None, 0.75)];
        let lexical = Ranking { mode: Mode::Lexical, ..HYBRID };
        let explained = explain(&found, &lexical, 1).unwrap();
        assert_eq!(
            (explained.lexical.unwrap().weight, explained.vector.unwrap().weight),
            (1.0, 0.0)
        );
        assert_eq!(explained.fused, 3.0);
        assert!(explain(&found, &lexical, 2).is_none());
    }

    fn found() -> impl Strategy<Value = Vec<Candidate>> {
        let scores = (prop::option::of(0u8..40), prop::option::of(-20i8..20));
        prop::collection::vec(scores, 1..12).prop_map(|scores| {
            (0..)
                .zip(scores)
                .map(|(id, (lexical, vector))| {
                    candidate(
                        id,
                        id / 2,
                        lexical.map(f32::from),
                        vector.map(|score| f32::from(score) / 20.0),
                    )
                })
                .collect()
        })
    }

    fn place(ranked: &[Ranked], chunk: u64) -> usize {
        ranked.iter().position(|ranked| ranked.chunk == chunk).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn the_order_of_the_candidates_has_no_effect(found in found(), turn in 0usize..12) {
            let mut turned = found.clone();
            turned.rotate_left(turn % found.len());
            turned.reverse();
            prop_assert_eq!(rank(&found, &HYBRID), rank(&turned, &HYBRID));
        }

        #[test]
        fn scores_are_from_0_to_1_and_fall(found in found()) {
            let ranked = rank(&found, &HYBRID);
            prop_assert!(ranked.iter().all(|chunk| (0.0..=1.0).contains(&chunk.score)));
            prop_assert!(ranked.is_sorted_by(|a, b| a.score >= b.score));
        }

        #[test]
        fn an_explanation_adds_up_to_the_score(found in found()) {
            for ranked in rank(&found, &HYBRID) {
                let explained = explain(&found, &HYBRID, ranked.chunk).unwrap();
                let part = |leg: Option<Leg>| leg.map_or(0.0, |leg| leg.weight * leg.normalised);
                let sum = part(explained.vector) + part(explained.lexical);
                prop_assert_eq!(explained.fused, ranked.score);
                prop_assert!((sum - ranked.score).abs() < 1e-12, "{explained:?}");
            }
        }

        #[test]
        fn the_scale_of_bm25_has_no_effect(found in found()) {
            // A power of two changes no digit of a float.
            let scaled: Vec<_> =
                found.iter().map(|one| Candidate { lexical: one.lexical.map(|score| score * 4.0), ..*one }).collect();
            prop_assert_eq!(chunks(&rank(&found, &HYBRID)), chunks(&rank(&scaled, &HYBRID)));
        }

        #[test]
        fn a_higher_score_in_a_leg_never_lowers_the_rank(found in found(), pick in 0usize..12, more in 1u8..20) {
            let pick = pick % found.len();
            let before = place(&rank(&found, &HYBRID), found[pick].chunk);
            let mut raised = found.clone();
            raised[pick].lexical = Some(raised[pick].lexical.unwrap_or(0.0) + f32::from(more));
            prop_assert!(place(&rank(&raised, &HYBRID), found[pick].chunk) <= before);
            let mut raised = found.clone();
            raised[pick].vector = raised[pick].vector.map(|score| score + f32::from(more) / 20.0);
            prop_assert!(place(&rank(&raised, &HYBRID), found[pick].chunk) <= before);
        }
    }
}
