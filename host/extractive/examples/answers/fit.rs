//! Logistic regression by gradient descent: of the sentence that has the answer among
//! those of its passages, and of passages that have it against those that do not.

use ragtime_extractive::learn::{EVIDENCE, FEATURES, examples};

use crate::Set;

const ROUNDS: usize = 3_000;
const RATE: f64 = 0.03;
/// Keeps weights small that the questions say little about.
const DECAY: f64 = 0.001;

/// Adam (Kingma and Ba 2015), over all examples at once.
struct Descent {
    at: Vec<f64>,
    mean: Vec<f64>,
    square: Vec<f64>,
    round: i32,
}

impl Descent {
    fn new(size: usize) -> Self {
        Self { at: vec![0.0; size], mean: vec![0.0; size], square: vec![0.0; size], round: 0 }
    }

    fn step(&mut self, gradient: &[f64]) {
        self.round += 1;
        for (place, slope) in gradient.iter().enumerate() {
            let slope = slope + DECAY * self.at[place];
            self.mean[place] = 0.9 * self.mean[place] + 0.1 * slope;
            self.square[place] = 0.999 * self.square[place] + 0.001 * slope * slope;
            let mean = self.mean[place] / (1.0 - 0.9_f64.powi(self.round));
            let square = self.square[place] / (1.0 - 0.999_f64.powi(self.round));
            self.at[place] -= RATE * mean / (square.sqrt() + 1e-8);
        }
    }
}

fn dot(weights: &[f64], features: &[f32]) -> f64 {
    weights.iter().zip(features).map(|(weight, feature)| weight * f64::from(*feature)).sum()
}

/// Learns and prints both kinds of weights.
pub(crate) fn learn(set: &Set) {
    let mut lists: Vec<Vec<(bool, Vec<f32>)>> = Vec::new();
    let mut evidence: Vec<(bool, Vec<f32>)> = Vec::new();
    for question in &set.questions {
        let found = set.found(question, false);
        let passages = set.passages(&found);
        let (units, has) = examples(&question.text, &passages);
        let right = |passage: usize, span: &std::ops::Range<usize>| {
            let text = &set.paragraphs[found[passage]][span.clone()];
            found[passage] == question.paragraph
                && question.answers.iter().any(|answer| text.contains(answer.as_str()))
        };
        let list: Vec<_> = units
            .iter()
            .map(|unit| (right(unit.passage, &unit.span), unit.features.to_vec()))
            .collect();
        if list.iter().any(|(right, _)| *right) {
            lists.push(list);
        }
        evidence.push((true, has.to_vec()));
        let without = set.found(question, true);
        evidence.push((false, examples(&question.text, &set.passages(&without)).1.to_vec()));
    }
    println!("sentences, of {} questions:", lists.len());
    for (name, weight) in FEATURES.iter().zip(sentences(&lists)) {
        println!("{weight:8.3} {name}");
    }
    let weights = answerable(&evidence);
    println!("evidence: bias {:.3}, {:.3?}", weights[EVIDENCE], &weights[..EVIDENCE]);
}

/// Of each list, the likelihood of the right ones is to be large.
fn sentences(lists: &[Vec<(bool, Vec<f32>)>]) -> Vec<f64> {
    let mut descent = Descent::new(FEATURES.len());
    for _ in 0..ROUNDS {
        let mut gradient = vec![0.0; FEATURES.len()];
        for list in lists {
            let odds: Vec<f64> = list.iter().map(|(_, one)| dot(&descent.at, one).exp()).collect();
            let all: f64 = odds.iter().sum();
            let right: f64 =
                odds.iter().zip(list).filter(|(_, (right, _))| *right).map(|(one, _)| one).sum();
            for (odds, (is_right, features)) in odds.iter().zip(list) {
                let share = odds / all - if *is_right { odds / right } else { 0.0 };
                for (slope, feature) in gradient.iter_mut().zip(features) {
                    *slope += share * f64::from(*feature) / lists.len() as f64;
                }
            }
        }
        descent.step(&gradient);
    }
    descent.at
}

fn answerable(evidence: &[(bool, Vec<f32>)]) -> Vec<f64> {
    let mut descent = Descent::new(EVIDENCE + 1);
    for _ in 0..ROUNDS {
        let mut gradient = vec![0.0; EVIDENCE + 1];
        for (has, features) in evidence {
            let logit = dot(&descent.at[..EVIDENCE], features) + descent.at[EVIDENCE];
            let miss = 1.0 / (1.0 + (-logit).exp()) - f64::from(u8::from(*has));
            for (slope, feature) in gradient.iter_mut().zip(features.iter().chain(&[1.0])) {
                *slope += miss * f64::from(*feature) / evidence.len() as f64;
            }
        }
        descent.step(&gradient);
    }
    descent.at
}
