//! The risk-coverage curve: what a threshold of confidence answers, and how
//! much of that is wrong (R. El-Yaniv, Y. Wiener, "On the Foundations of
//! Noise-free Selective Classification", 2010).

use serde_json::{Value, json};

/// How a question would be answered if nothing held the answer back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    /// The answer's confidence.
    pub(super) confidence: f32,
    /// Whether some document answers the question.
    pub(super) answerable: bool,
    /// Whether a document that does is cited.
    pub(super) right: bool,
}

/// A point of the curve. Shares are 0 to 1.
#[derive(Debug, PartialEq)]
pub(super) struct Point {
    pub(super) threshold: f64,
    /// Of answerable questions, those that are answered.
    pub(super) coverage: f64,
    /// Of those, with a citation of a relevant document.
    pub(super) right: f64,
    /// Of unanswerable questions, those that are answered.
    pub(super) false_answers: f64,
    /// Of all that is answered, what is unanswerable or cites no relevant
    /// document.
    pub(super) risk: f64,
}

impl Point {
    /// How well the threshold parts answerable from unanswerable questions, -1
    /// to 1 (W. Youden, "Index for rating diagnostic tests", 1950).
    pub(super) fn youden(&self) -> f64 {
        self.coverage - self.false_answers
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "threshold": self.threshold, "coverage": self.coverage, "right": self.right,
            "false_answers": self.false_answers, "risk": self.risk, "youden": self.youden(),
        })
    }
}

/// The curve at every twentieth from 0 to 1.
pub(super) fn curve(outcomes: &[Outcome]) -> Vec<Point> {
    (0..20).map(|twentieths| point(outcomes, f64::from(twentieths) / 20.0)).collect()
}

fn point(outcomes: &[Outcome], threshold: f64) -> Point {
    let count =
        |which: &dyn Fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| which(outcome)).count();
    let answered = |outcome: &Outcome| f64::from(outcome.confidence) >= threshold;
    let own = count(&|outcome| outcome.answerable && answered(outcome));
    let strange = count(&|outcome| !outcome.answerable && answered(outcome));
    let right = count(&|outcome| outcome.right && answered(outcome));
    Point {
        threshold,
        coverage: share(own, count(&|outcome| outcome.answerable)),
        right: share(right, own),
        false_answers: share(strange, count(&|outcome| !outcome.answerable)),
        risk: share(own + strange - right, own + strange),
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_threshold_answers_less_and_errs_less() {
        let outcome = |confidence, answerable, right| Outcome { confidence, answerable, right };
        let outcomes = [
            outcome(0.9, true, true),
            outcome(0.6, true, false),
            outcome(0.2, true, true),
            outcome(0.3, false, false),
            outcome(0.1, false, false),
        ];
        let all = point(&outcomes, 0.0);
        assert_eq!((all.coverage, all.false_answers, all.risk), (1.0, 1.0, 0.6));
        let half = point(&outcomes, 0.5);
        assert_eq!((half.coverage, half.right), (2.0 / 3.0, 0.5));
        assert_eq!((half.false_answers, half.risk), (0.0, 0.5));
        assert_eq!(curve(&[]).len(), 20);
    }
}
