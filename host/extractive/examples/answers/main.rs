//! How good extractive answers are, on questions in the form of SQuAD or XQuAD:
//!
//! ```sh
//! cargo run --release -p ragtime-extractive --example answers -- measure FILE.json second
//! cargo run --release -p ragtime-extractive --example answers -- learn FILE.json
//! cargo run --release -p ragtime-extractive --example answers -- time FILE.json
//! cargo run --release -p ragtime-extractive --example answers -- write FILE.json
//! ```
//!
//! Each question is asked of the six paragraphs that BM25 finds, and once more of
//! those that it finds without the paragraph that has the answer. `first` and `second`
//! are the halves of the articles; `learn` prints weights learned on the first half.
//! `time` prints how long an answer from ten paragraphs takes, and `write` writes those
//! answers, a line for each, so that two builds can be compared.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::indexing_slicing)]

mod fit;
mod index;

use std::time::Instant;

use index::Index;
use ragtime_extractive::{Passage, Settings, Similarity, answer};
use serde_json::Value;

/// Sources of an answer, as the API takes them by default.
const SOURCES: usize = 6;
/// Passages of an answer that is timed, as a search returns them by default.
const TIMED: usize = 10;
/// Times that each answer is made; the fastest counts, as others share the machine.
const REPEATS: usize = 3;

struct NoModel;

impl Similarity for NoModel {
    fn to_question(&self, _: &[&str]) -> Option<Vec<f32>> {
        None
    }
}

pub(crate) struct Question {
    pub(crate) text: String,
    /// The paragraph that has the answer.
    pub(crate) paragraph: usize,
    pub(crate) answers: Vec<String>,
}

pub(crate) struct Set {
    pub(crate) paragraphs: Vec<String>,
    pub(crate) questions: Vec<Question>,
    index: Index,
}

impl Set {
    fn read(file: &str, half: &str) -> Self {
        let json: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
        let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let articles = list(&json, "data");
        let (mut paragraphs, mut questions) = (Vec::new(), Vec::new());
        for (place, article) in articles.iter().enumerate() {
            let first = place < articles.len() / 2;
            for one in list(article, "paragraphs") {
                let paragraph = paragraphs.len();
                paragraphs.push(text(&one, "context"));
                let wanted = match half {
                    "first" => first,
                    "second" => !first,
                    _ => true,
                };
                let asked = list(&one, "qas").into_iter().filter(|_| wanted);
                questions.extend(asked.map(|asked| Question {
                    text: text(&asked, "question"),
                    paragraph,
                    answers: list(&asked, "answers").iter().map(|one| text(one, "text")).collect(),
                }));
            }
        }
        let index = Index::new(&paragraphs);
        Self { paragraphs, questions, index }
    }

    /// The paragraphs that a search finds, by place.
    pub(crate) fn found(&self, question: &Question, without: bool) -> Vec<usize> {
        self.index.search(&question.text, SOURCES, without.then_some(question.paragraph))
    }

    /// Each question with the ten paragraphs that a search finds.
    fn timed(&self) -> impl Iterator<Item = (&Question, Vec<usize>)> {
        self.questions
            .iter()
            .map(|question| (question, self.index.search(&question.text, TIMED, None)))
    }

    pub(crate) fn passages(&self, found: &[usize]) -> Vec<Passage<'_>> {
        let passage =
            |place: &usize| Passage { text: &self.paragraphs[*place], ..Passage::default() };
        found.iter().map(passage).collect()
    }
}

#[derive(Default)]
struct Counts {
    first: usize,
    holds: usize,
    holds_at_once: usize,
    declined: usize,
    answered_without: usize,
    quotes: usize,
    bytes: usize,
    seconds: f64,
    with: Vec<f32>,
    without: Vec<f32>,
}

fn measure(set: &Set, wrong: bool) {
    let (settings, mut counts) = (Settings::default(), Counts::default());
    for question in &set.questions {
        let found = set.found(question, false);
        counts.first += usize::from(found.first() == Some(&question.paragraph));
        let passages = set.passages(&found);
        let begun = Instant::now();
        let answered = answer(&question.text, &passages, &NoModel, &settings);
        counts.seconds += begun.elapsed().as_secs_f64();
        let quotes: Vec<_> = answered
            .quotes
            .iter()
            .map(|quote| &passages[quote.passage].text[quote.start..quote.end])
            .collect();
        let holds =
            |quote: &&str| question.answers.iter().any(|answer| quote.contains(answer.as_str()));
        let held = quotes.iter().any(holds);
        counts.holds += usize::from(held);
        counts.holds_at_once += usize::from(quotes.first().is_some_and(holds));
        counts.declined += usize::from(answered.abstained);
        counts.quotes += quotes.len();
        counts.bytes += quotes.iter().map(|quote| quote.len()).sum::<usize>();
        counts.with.push(answered.confidence);
        if wrong && !held {
            println!(
                "{}\n  {:?} {:.2} {quotes:#?}",
                question.text, question.answers, answered.confidence
            );
        }
        let without = set.found(question, true);
        let answered = answer(&question.text, &set.passages(&without), &NoModel, &settings);
        counts.answered_without += usize::from(!answered.abstained);
        counts.without.push(answered.confidence);
    }
    let share = |count: usize| count as f64 / set.questions.len() as f64;
    println!(
        "questions {} | first hit {:.3} | holds {:.3} | holds in the first quote {:.3} | declined {:.3} | \
         quotes {:.2} | bytes {:.0} | answered without the paragraph {:.3} | area {:.4} | {:.2} ms",
        set.questions.len(),
        share(counts.first),
        share(counts.holds),
        share(counts.holds_at_once),
        share(counts.declined),
        share(counts.quotes),
        share(counts.bytes),
        share(counts.answered_without),
        area(&counts.with, &counts.without),
        1e3 * counts.seconds / set.questions.len() as f64,
    );
    print!("confidence at least, declined / answered without:");
    for threshold in [0.1_f32, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7] {
        let below = |all: &[f32]| {
            all.iter().filter(|one| **one < threshold).count() as f64 / all.len() as f64
        };
        print!(" {threshold}: {:.3}/{:.3}", below(&counts.with), 1.0 - below(&counts.without));
    }
    println!();
}

/// Prints the median and the 99th percentile of the time that an answer takes.
fn time(set: &Set) {
    let settings = Settings::default();
    let mut times: Vec<f64> = Vec::with_capacity(set.questions.len());
    for (question, found) in set.timed() {
        let passages = set.passages(&found);
        let once = |_| {
            let begun = Instant::now();
            std::hint::black_box(answer(&question.text, &passages, &NoModel, &settings));
            begun.elapsed().as_secs_f64()
        };
        times.push((0..REPEATS).map(once).fold(f64::INFINITY, f64::min));
    }
    times.sort_by(f64::total_cmp);
    let at = |share: f64| 1e3 * times[((times.len() - 1) as f64 * share).round() as usize];
    println!("answers {} | median {:.3} ms | p99 {:.3} ms", times.len(), at(0.5), at(0.99));
}

/// Prints the confidence of each answer in bits and its quotes.
fn write(set: &Set) {
    let settings = Settings::default();
    for (question, found) in set.timed() {
        let answered = answer(&question.text, &set.passages(&found), &NoModel, &settings);
        let quotes: Vec<_> = answered
            .quotes
            .iter()
            .map(|one| {
                let (context, lines) = (u8::from(one.context), u8::from(one.lines));
                format!("{} {} {} {context} {lines}", found[one.passage], one.start, one.end)
            })
            .collect();
        println!(
            "{:08x} {} {}",
            answered.confidence.to_bits(),
            answered.confidence,
            quotes.join(", ")
        );
    }
}

/// The area under the curve: how often one with is above one without.
fn area(with: &[f32], without: &[f32]) -> f64 {
    let wins = with.iter().flat_map(|one| {
        without.iter().map(move |other| match one.total_cmp(other) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        })
    });
    wins.sum::<f64>() / (with.len() * without.len()) as f64
}

fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["measure", file] => measure(&Set::read(file, "all"), false),
        ["measure", file, half] => measure(&Set::read(file, half), false),
        ["wrong", file, half] => measure(&Set::read(file, half), true),
        ["learn", file] => fit::learn(&Set::read(file, "first")),
        ["time", file] => time(&Set::read(file, "all")),
        ["write", file] => write(&Set::read(file, "all")),
        _ => println!(
            "measure FILE [first|second], wrong FILE first|second, learn FILE, time FILE, write FILE"
        ),
    }
}
