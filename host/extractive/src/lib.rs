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
pub struct QuotedAnswer {
    /// Empty when abstained.
    pub quotes: Vec<Quote>,
    /// True when nothing is close enough.
    pub abstained: bool,
    /// How likely the passages hold an answer, from 0 to 1.
    pub confidence: f32,
}

impl QuotedAnswer {
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
    /// The likelihood by words from which on the model is not asked: six questions of
    /// ten in XQuAD, of which it would not make one better.
    pub sure: f32,
    /// The likelihood below which the passages are taken to hold no answer. It declines
    /// 3 % of the questions of XQuAD in English, and 60 % of those whose paragraph is
    /// taken out; `docs/answers.md` has the curve.
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
            max_compared: 8,
            sure: 0.8,
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
) -> QuotedAnswer {
    let reading = Reading::new(question, passages);
    let scripts =
        reading.passages.first().map_or(Scripts::Words, |read| Scripts::of(read.language));
    let mut ranked = ranked(&reading);
    let evidence = learn::evidence(&ranked);
    let by_words = learned::confidence(&evidence, None, scripts);
    let cosine = match by_words >= settings.sure {
        true => None,
        false => compare(&reading, &mut ranked, similarity, settings),
    };
    let confidence = learned::confidence(&evidence, cosine, scripts);
    if ranked.is_empty() || confidence < settings.min_confidence {
        return QuotedAnswer { quotes: Vec::new(), abstained: true, confidence };
    }
    let picked = pick(&ranked, settings);
    let quotes = compose::quotes(&reading, &picked, settings);
    QuotedAnswer { quotes, abstained: false, confidence }
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

/// Adds what the model says of the best few, and returns the best cosine.
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
                || is_lesser_neighbour(candidate, other)
        };
        if !picked.iter().any(repeats) {
            picked.push(candidate);
        }
    }
    picked
}

/// Whether a row or an item has less of the question than one beside it that is quoted:
/// all have what their columns or their list says.
fn is_lesser_neighbour(candidate: &Candidate, quoted: &Candidate) -> bool {
    let own = |candidate: &Candidate| candidate.features.first().copied().unwrap_or_default();
    candidate.passage == quoted.passage
        && candidate.shared_lead.is_some()
        && candidate.shared_lead == quoted.shared_lead
        && own(candidate) < own(quoted)
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

    fn quoted<'a>(passages: &[&'a str], answer: &QuotedAnswer) -> Vec<&'a str> {
        answer.quotes.iter().map(|quote| &passages[quote.passage][quote.start..quote.end]).collect()
    }

    fn ask(question: &str, passages: &[&str], similarity: &dyn Similarity) -> QuotedAnswer {
        let passages: Vec<_> =
            passages.iter().map(|text| Passage { text, ..Passage::default() }).collect();
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
        assert_eq!(quoted(&[FLUTTER], &answer).last(), Some(&"It was first seen in 1916."));
        let context: Vec<_> = answer.quotes.iter().map(|quote| quote.context).collect();
        assert_eq!(context, [true, false], "the sentence before says what it is");
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

    fn said(question: &str, passage: &str) -> String {
        let answer = ask(question, &[passage], &NoModel);
        let quotes = quoted(&[passage], &answer).into_iter().enumerate();
        quotes.map(|(at, quote)| answer.gap(at).to_owned() + quote).collect()
    }

    #[test]
    fn a_question_in_the_text_is_answered_by_what_follows_it() {
        let faq = "How do I reset my password?\nOpen the settings page and choose Reset.\n\n\
                   How do I change my address?\nWrite to the office.";
        assert_eq!(
            said("How do I reset my password?", faq),
            "Open the settings page and choose Reset."
        );
        assert_eq!(said("How do I change my address?", faq), "Write to the office.");
    }

    #[test]
    fn a_date_is_preferred_where_one_is_asked_for() {
        let quay = "The quay of the old harbour was built of granite from the north. It cost three \
                    million crowns. It was finished in 2019. Ships of the line moor there.";
        let answer = said("When was the quay finished?", quay);
        assert!(answer.contains("It was finished in 2019."), "{answer}");
    }

    #[test]
    fn a_row_is_quoted_with_the_names_of_its_columns() {
        let table = "Offices of the company.\n\nCity | Phone | Manager\nBern | 555-0100 | Ms. Roth\n\
                     Basel | 555-0199 | Mr. Egli\n\nAll are open on weekdays.";
        let answer = said("What is the phone number of the office in Basel?", table);
        let row = "City | Phone | Manager\nBasel | 555-0199 | Mr. Egli";
        assert!(answer.contains(row) && !answer.contains("Bern"), "{answer}");
    }

    #[test]
    fn numbers_of_phones_and_parts_are_answers() {
        let sheet = "Support\n\nSupport phone: +41 44 555 01 99\n\nPart number of the pump: NOR.0707-10\n\n\
                     Part number of the valve: NOR.0707-11";
        assert!(said("What is the support phone number?", sheet).contains("+41 44 555 01 99"));
        let part = said("What is the part number of the valve?", sheet);
        assert!(part.contains("NOR.0707-11"), "{part}");
    }

    #[test]
    fn a_list_is_quoted_with_what_announces_it() {
        let list = "Before the trip.\n\nFor the hike you need to pack these things:\n\n- a warm hat\n- two \
                    litres of water\n\nTrains leave at nine.";
        assert_eq!(
            said("Which things do I need to pack for the hike?", list),
            "For the hike you need to pack these things:\n- a warm hat\n- two litres of water"
        );
    }

    #[test]
    fn an_echo_and_a_command_are_no_answer() {
        let page = "Ask:\n\nragtime query \"What does a handler without a permit reach?\" --json\n\n\
                    A handler reaches nothing: without a permit no document.";
        let answer = said("What does a handler without a permit reach?", page);
        assert!(answer.starts_with("A handler reaches nothing"), "{answer}");
        assert!(ask("Is the pump old?", &["The pump is old."], &NoModel).abstained);
    }

    #[test]
    fn code_is_quoted_where_it_is_asked_for() {
        let page = "Copies\n\nA backup is made while it serves.\n\nragtime backup --to \"$FOLDER\"\n\n\
                    Restoring takes a minute.";
        let answer = said("Which command makes a backup?", page);
        assert!(answer.contains("ragtime backup --to"), "{answer}");
    }

    #[test]
    fn how_something_is_done_may_be_told_by_code() {
        let page = "Keep the data\n\nWhat was acknowledged is on disk, also after a fall.\n\n\
                    ```sh\nragtime backup \"$FOLDER\"    # while it serves\n```\n\nRestoring takes a minute.";
        let answer = said("How do I make a backup while it serves?", page);
        assert!(answer.contains("ragtime backup"), "{answer}");
    }

    #[test]
    fn a_denial_in_the_words_of_the_question_answers_it() {
        for (question, text) in [
            ("Is there OCR for scans?", "There is no OCR for scans."),
            ("Gibt es OCR?", "Es gibt kein OCR."),
        ] {
            assert_eq!(said(question, text), text);
        }
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
            let answers = answer.quotes.iter().filter(|quote| !quote.context).count();
            prop_assert!(answers <= Settings::default().max_sentences);
            prop_assert_eq!(answer.abstained, answer.quotes.is_empty());
            for quote in quoted(&texts, &answer) {
                prop_assert!(!quote.trim().is_empty());
                prop_assert_eq!(quote, quote.trim());
            }
            prop_assert_eq!(&answer, &ask(&question, &texts, &Same(cosine)));
        }
    }
}
