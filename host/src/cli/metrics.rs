//! Measures of retrieval, as `trec_eval` computes them.

use std::collections::HashMap;

/// Grades of the documents that were judged for a query.
pub type Judgements = HashMap<String, u32>;

/// Normalised discounted cumulative gain of the first `k` (Järvelin and
/// Kekäläinen 2002; linear gain, log2 discount).
pub fn ndcg(ranking: &[String], judgements: &Judgements, k: usize) -> f64 {
    let discounted = |grades: &mut dyn Iterator<Item = u32>| -> f64 {
        grades
            .take(k)
            .enumerate()
            .map(|(rank, grade)| f64::from(grade) / (rank as f64 + 2.0).log2())
            .sum()
    };
    let mut ideal: Vec<u32> = judgements.values().copied().collect();
    ideal.sort_unstable_by(|a, b| b.cmp(a));
    let best = discounted(&mut ideal.into_iter());
    let found = discounted(&mut ranking.iter().map(|id| judgements.get(id).copied().unwrap_or(0)));
    if best == 0.0 { 0.0 } else { found / best }
}

/// The share of relevant documents among the first `k`.
pub fn recall(ranking: &[String], judgements: &Judgements, k: usize) -> f64 {
    let relevant = judgements.values().filter(|grade| **grade > 0).count();
    let found = ranking
        .iter()
        .take(k)
        .filter(|id| judgements.get(*id).is_some_and(|grade| *grade > 0))
        .count();
    if relevant == 0 { 0.0 } else { found as f64 / relevant as f64 }
}

/// One over the rank of the first relevant document among the first `k`.
pub fn reciprocal_rank(ranking: &[String], judgements: &Judgements, k: usize) -> f64 {
    let first =
        ranking.iter().take(k).position(|id| judgements.get(id).is_some_and(|grade| *grade > 0));
    first.map_or(0.0, |rank| 1.0 / (rank as f64 + 1.0))
}

/// The value below which `percent` of the sorted values lie (nearest rank).
pub fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(ids: &str) -> Vec<String> {
        ids.chars().map(String::from).collect()
    }

    fn judgements(pairs: &[(&str, u32)]) -> Judgements {
        pairs.iter().map(|(id, grade)| (id.to_string(), *grade)).collect()
    }

    #[test]
    fn ndcg_agrees_with_a_calculation_by_hand() {
        let judged = judgements(&[("a", 3), ("b", 1), ("c", 2)]);
        // (1 + 0 + 3/2) / (3 + 2/log2(3) + 1/2)
        let expected = 2.5 / (3.0 + 2.0 / 3.0_f64.log2() + 0.5);
        assert!((ndcg(&ranking("bxa"), &judged, 10) - expected).abs() < 1e-12);
        assert!((ndcg(&ranking("acb"), &judged, 10) - 1.0).abs() < 1e-12);
        assert_eq!(ndcg(&ranking("a"), &judgements(&[]), 10), 0.0);
    }

    #[test]
    fn recall_and_rank_stop_at_k_and_ignore_grade_zero() {
        let judged = judgements(&[("a", 0), ("b", 1), ("c", 2)]);
        assert_eq!(recall(&ranking("abx"), &judged, 3), 0.5);
        assert_eq!(recall(&ranking("abc"), &judged, 1), 0.0);
        assert_eq!(reciprocal_rank(&ranking("axb"), &judged, 10), 1.0 / 3.0);
        assert_eq!(reciprocal_rank(&ranking("axb"), &judged, 2), 0.0);
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let sorted: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(percentile(&sorted, 50.0), 100.0);
        assert_eq!(percentile(&sorted, 99.0), 198.0);
        assert_eq!(percentile(&[], 50.0), 0.0);
    }
}
