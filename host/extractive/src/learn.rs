//! What the weights are learned from, for the program that learns them.

use std::ops::Range;

use crate::judge::{self, COUNT, Reading};
use crate::{Passage, Scored, ranked};

/// Pieces of evidence for whether passages hold an answer.
pub const EVIDENCE: usize = 8;

/// A unit that may be quoted.
pub struct Example {
    /// Its passage's place.
    pub passage: usize,
    /// Its bytes.
    pub span: Range<usize>,
    /// What a judgement of it rests on.
    pub features: [f32; COUNT],
}

/// The names of features.
pub const FEATURES: [&str; COUNT] = judge::FEATURES;

/// The units of passages that may answer a question, best first by the weights there
/// are, and the evidence that one does.
pub fn examples(question: &str, passages: &[Passage<'_>]) -> (Vec<Example>, [f32; EVIDENCE]) {
    let reading = Reading::new(question, passages);
    let ranked = ranked(&reading);
    let evidence = evidence(&ranked);
    let example = |(candidate, _): &Scored| {
        let read = reading.passages.get(candidate.passage)?;
        let span = read.units.get(candidate.unit)?.span.clone();
        Some(Example { passage: candidate.passage, span, features: candidate.features })
    };
    (ranked.iter().filter_map(example).collect(), evidence)
}

/// What the best units say of whether the passages hold an answer.
pub(crate) fn evidence(ranked: &[Scored]) -> [f32; EVIDENCE] {
    let Some((best, score)) = ranked.first() else { return [0.0; EVIDENCE] };
    let [own, _, _, _, _, _, whole, neighbours, ..] = best.features;
    let most = |of: &dyn Fn(&Scored) -> f32| ranked.iter().map(of).fold(0.0, f32::max);
    let given: f32 = best.features.get(10..14).unwrap_or_default().iter().sum();
    let next = ranked.get(1).map_or(0.0, |(_, score)| *score);
    [
        best.in_context,
        own,
        whole,
        most(&|(one, _)| one.in_context),
        neighbours,
        given,
        most(&|(one, _)| one.features.get(6).copied().unwrap_or(0.0)),
        (score - next).min(4.0) / 4.0,
    ]
}
