//! The extractive generator: picks and orders the sentences of the best
//! passages that answer a question, quotes them exactly, and abstains when
//! nothing is close enough. No I/O; the model is handed in.
//!
//! A passage is taken apart into units ([`units`]), each that may answer is judged in
//! its context ([`judge`]), and the best are quoted with what it takes to understand
//! them ([`compose`]). The weights are learned ([`learned`]).

mod asks;
mod compose;
mod judge;
pub mod learn;
mod learned;
mod shape;
mod support;
mod tokens;
mod units;
mod words;

pub use support::support;
pub use tokens::estimated_token_starts;

use std::ops::Range;

use ragtime_text::Lines;

use judge::{Candidate, Reading};
use learned::Scripts;

/// The sentences of a passage as byte ranges without the white space around them, in
/// order. A line that stands alone (a heading, an item of a list) is a sentence of
/// its own.
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    ragtime_text::sentences(text, None, Lines::End)
}

/// A passage to answer from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Passage<'a> {
    /// Its text.
    pub text: &'a str,
    /// The title of its document.
    pub title: Option<&'a str>,
    /// Headings above it, outermost first.
    pub headings: &'a [String],
}

/// How near texts are to the question.
pub trait Similarity {
    /// The cosine of each text to the question, or `None` without a model.
    fn to_question(&self, texts: &[&str]) -> Option<Vec<f32>>;
}

/// A piece of a passage, in bytes of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// Place of the passage in the list.
    pub passage: usize,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
    /// Whether it is there to understand another by: the sentence that a pronoun
    /// refers to, the names of columns, what a sentence with a colon announces.
    pub context: bool,
    /// Whether it stands on lines of its own: code, items, rows.
    pub lines: bool,
}

/// Quotes in reading order.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Empty when abstained.
    pub quotes: Vec<Quote>,
    /// True when nothing is close enough.
    pub abstained: bool,
    /// How likely the passages hold an answer, from 0 to 1.
    pub confidence: f32,
}

impl Answer {
    /// What stands before a quote in the text of the answer.
    pub fn gap(&self, place: usize) -> &'static str {
        let lines = |place: usize| self.quotes.get(place).is_some_and(|quote| quote.lines);
        match place.checked_sub(1) {
            None => "",
            Some(before) if lines(place) || lines(before) => "\n",
            Some(_) => " ",
        }
    }
}

/// How answers are made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Sentences of an answer, those beside that are there to understand it by. Three
    /// say what one paragraph of a search result would; more is reading the source.
    pub max_sentences: usize,
    /// Sentences compared by the model where words leave it open. Each costs a pass,
    /// so the words choose these few first.
    pub max_compared: usize,
    /// The likelihood below which the passages are taken to hold no answer.
    pub min_confidence: f32,
    /// A further sentence is quoted if its odds are at least this share of the best
    /// sentence's.
    pub min_odds: f32,
    /// Two sentences that share more of their words than this say the same.
    pub max_overlap: f32,
    /// Bytes of what a sentence announces: a list, rows or code beyond it are read in
    /// the source.
    pub max_announced_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_sentences: 4,
            max_compared: 16,
            min_confidence: 0.15,
            min_odds: 0.04,
            max_overlap: 0.8,
            max_announced_bytes: 800,
        }
    }
}

/// Answers a question from passages, best first.
pub fn answer(
    question: &str,
    passages: &[Passage<'_>],
    similarity: &dyn Similarity,
    settings: &Settings,
) -> Answer {
    let reading = Reading::new(question, passages);
    let scripts = reading.passages.first().map_or(Scripts::Words, |read| Scripts::of(read.language));
    let mut ranked = ranked(&reading);
    let cosine = compare(&reading, &mut ranked, similarity, settings);
    let confidence = learned::confidence(&learn::evidence(&ranked), cosine, scripts);
    if ranked.is_empty() || confidence < settings.min_confidence {
        return Answer { quotes: Vec::new(), abstained: true, confidence };
    }
    let picked = pick(&ranked, settings);
    let quotes = compose::quotes(&reading, &picked, settings);
    Answer { quotes, abstained: false, confidence }
}

/// A candidate and its score.
type Scored = (Candidate, f32);

/// The candidates, best first.
fn ranked(reading: &Reading<'_>) -> Vec<Scored> {
    let scored = reading.candidates().into_iter().map(|candidate| {
        let score = judge::score(&candidate.features, &learned::WEIGHTS);
        (candidate, score)
    });
    let mut ranked: Vec<_> = scored.collect();
    // A stable sort: of equals, the earlier sentence of the better passage.
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranked
}

/// Adds what the model says of the best few, and tells the best cosine.
fn compare(
    reading: &Reading<'_>,
    ranked: &mut [Scored],
    similarity: &dyn Similarity,
    settings: &Settings,
) -> Option<f32> {
    let few = ranked.len().min(settings.max_compared);
    let few = ranked.get_mut(..few)?;
    let texts: Vec<_> = few.iter().map(|(candidate, _)| reading.text(candidate)).collect();
    let cosines = similarity.to_question(&texts).filter(|cosines| cosines.len() == texts.len())?;
    for ((_, score), cosine) in few.iter_mut().zip(&cosines) {
        *score += learned::COSINE * cosine;
    }
    let best = cosines.iter().copied().fold(-1.0, f32::max);
    // What was not compared stays below what was.
    let floor = few.iter().map(|(_, score)| *score).fold(f32::INFINITY, f32::min);
    let compared = few.len();
    for (_, score) in ranked.iter_mut().skip(compared) {
        *score = score.min(floor);
    }
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    Some(best)
}

/// The best sentences that do not repeat each other and are near the best.
fn pick<'c>(ranked: &'c [Scored], settings: &Settings) -> Vec<&'c Candidate> {
    let best = ranked.first().map_or(0.0, |(_, score)| *score);
    let mut picked: Vec<&Candidate> = Vec::new();
    for (candidate, score) in ranked {
        let odds = (score - best).exp();
        if picked.len() >= settings.max_sentences || odds < settings.min_odds {
            break;
        }
        let repeats = |other: &&Candidate| {
            judge::overlap(&other.words, &candidate.words) > settings.max_overlap
        };
        if !picked.iter().any(repeats) {
            picked.push(candidate);
        }
    }
    picked
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct NoModel;

    impl Similarity for NoModel {
        fn to_question(&self, _: &[&str]) -> Option<Vec<f32>> {
            None
        }
    }

    struct Cosines(fn(&str) -> f32);

    impl Similarity for Cosines {
        fn to_question(&self, texts: &[&str]) -> Option<Vec<f32>> {
            Some(texts.iter().map(|text| (self.0)(text)).collect())
        }
    }

    fn quoted<'a>(passages: &[&'a str], answer: &Answer) -> Vec<&'a str> {
        answer.quotes.iter().map(|quote| &passages[quote.passage][quote.start..quote.end]).collect()
    }

    fn ask(question: &str, passages: &[&str], similarity: &dyn Similarity) -> Answer {
        let passages: Vec<_> = passages.iter().map(|text| Passage { text, ..Passage::default() }).collect();
        answer(question, &passages, similarity, &Settings::default())
    }

    const FLUTTER: &str = "Aircraft are heavy. Flutter is a dynamic instability of an elastic structure in a \
                           flow. It was first seen in 1916.";

    #[test]
    fn the_sentence_that_answers_is_quoted() {
        let passages = ["The weather was fine. Nobody flew.", FLUTTER];
        let answer = ask("What is flutter of an elastic structure?", &passages, &NoModel);
        assert_eq!(
            quoted(&passages, &answer),
            ["Flutter is a dynamic instability of an elastic structure in a flow."]
        );
    }

    #[test]
    fn the_model_finds_what_shares_no_word() {
        let near: fn(&str) -> f32 = |text| if text.contains("1916") { 0.8 } else { 0.1 };
        let answer = ask("When did people observe this?", &[FLUTTER], &Cosines(near));
        assert_eq!(quoted(&[FLUTTER], &answer), ["It was first seen in 1916."]);
    }

    #[test]
    fn nothing_close_is_no_answer() {
        let far = ask("How do I bake sourdough bread?", &[FLUTTER], &Cosines(|_| 0.1));
        assert!(far.abstained && far.quotes.is_empty());
        assert!(ask("How do I bake sourdough bread?", &[FLUTTER], &NoModel).abstained);
        assert!(ask("anything", &[], &NoModel).abstained);
    }

    #[test]
    fn a_heading_is_no_answer() {
        let passage = "Flutter\n\nAn elastic structure vibrates in a flow until it breaks.";
        let near: fn(&str) -> f32 = |text| if text == "Flutter" { 0.9 } else { 0.5 };
        let answer = ask("What is flutter?", &[passage], &Cosines(near));
        assert_eq!(
            quoted(&[passage], &answer),
            ["An elastic structure vibrates in a flow until it breaks."]
        );
    }

    #[test]
    fn the_same_thing_is_not_said_twice() {
        let passages =
            ["Wings lift the aircraft in flight.", "Wings lift the aircraft in its flight."];
        assert_eq!(ask("What lifts the aircraft?", &passages, &Cosines(|_| 0.9)).quotes.len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_quote_lies_in_its_passage(
            question in ".{0,40}",
            passages in prop::collection::vec("[\\PC .?!\n]{0,80}", 0..6),
            cosine in -1.0_f32..1.0,
        ) {
            struct Same(f32);
            impl Similarity for Same {
                fn to_question(&self, texts: &[&str]) -> Option<Vec<f32>> {
                    Some(vec![self.0; texts.len()])
                }
            }
            let texts: Vec<&str> = passages.iter().map(String::as_str).collect();
            let answer = ask(&question, &texts, &Same(cosine));
            prop_assert!(answer.quotes.len() <= Settings::default().max_sentences);
            prop_assert_eq!(answer.abstained, answer.quotes.is_empty());
            for quote in quoted(&texts, &answer) {
                prop_assert!(!quote.trim().is_empty());
                prop_assert_eq!(quote, quote.trim());
            }
            prop_assert_eq!(&answer, &ask(&question, &texts, &Same(cosine)));
        }
    }
}
