//! A language model's answer as a client gets it: without what the model thought aloud
//! and without marks for sources that there are not, each cited statement checked
//! against the sources that it names.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::chat::Ending;
use crate::cited::{MAX_STATEMENT_BYTES, Marks, Statements, back, numbers};
use crate::watched::Watched;

/// What becomes of a statement that none of its sources supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unsupported {
    /// The sentence is sent, and marked as not supported.
    #[default]
    Mark,
    /// Its sentence is left out of the text. Text then comes by whole sentences.
    Drop,
}

/// What more is known of an answer than its events say.
#[derive(Debug, Clone, Default)]
pub struct Assessed {
    /// How likely the passages hold an answer; none where a language model answered.
    pub confidence: Option<f32>,
    /// Why it ended.
    pub ending: Ending,
    /// Statements that name sources, and whether one supports them.
    pub statements: Vec<(String, bool)>,
}

/// A step of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// More text.
    Text(String),
    /// What the text that was just sent rests on: a passage's place from 0, and bytes of it.
    Quote(usize, Range<usize>),
}

/// Checks an answer that comes in pieces.
pub struct Checked {
    passages: Vec<String>,
    unsupported: Unsupported,
    watched: Watched,
    marks: Marks,
    statements: Statements,
    /// A sentence whose marks are still to come.
    held: String,
    /// Whether any text was sent.
    spoke: bool,
}

impl Checked {
    /// For an answer from passages, in the order of their numbers.
    pub fn new(passages: Vec<String>, unsupported: Unsupported) -> Self {
        Self {
            watched: Watched::new(passages.len()),
            passages,
            unsupported,
            marks: Marks::default(),
            statements: Statements::default(),
            held: String::new(),
            spoke: false,
        }
    }

    /// Takes more of the answer and returns what of it can be sent.
    pub fn push(&mut self, text: &str) -> Vec<Step> {
        let text = self.watched.push(text);
        self.go_on(&text, false)
    }

    /// What is left at the end.
    pub fn finish(&mut self) -> Vec<Step> {
        let text = self.watched.finish();
        self.go_on(&text, true)
    }

    /// Whether any text was sent.
    pub fn has_spoken(&self) -> bool {
        self.spoke
    }

    /// The statements that name sources, and whether one of them says so too.
    pub fn into_statements(self) -> Vec<(String, bool)> {
        self.statements.all()
    }

    fn go_on(&mut self, text: &str, last: bool) -> Vec<Step> {
        let steps = match self.unsupported {
            Unsupported::Mark => self.check(text).0,
            Unsupported::Drop => {
                self.held.push_str(text);
                let mut steps = Vec::new();
                while let Some(bytes) = whole_sentence(&self.held, last) {
                    let sentence: String = self.held.drain(..bytes).collect();
                    match self.check(&sentence) {
                        (_, Some(false)) => {}
                        (more, Some(true) | None) => steps.extend(more),
                    }
                }
                steps
            }
        };
        self.spoke |= !steps.is_empty();
        steps
    }

    /// The steps of a text, and whether a source supports it where it names any.
    fn check(&mut self, text: &str) -> (Vec<Step>, Option<bool>) {
        if text.is_empty() {
            return (Vec::new(), None);
        }
        let (mut steps, mut supported) = (vec![Step::Text(text.to_owned())], None);
        for marked in self.marks.push(text) {
            let found = back(&marked, &self.passages);
            self.statements.add(&marked.statement, !found.is_empty());
            *supported.get_or_insert(false) |= !found.is_empty();
            steps.extend(found.into_iter().map(|(passage, span)| Step::Quote(passage, span)));
        }
        (steps, supported)
    }
}

/// How many bytes the first sentence has, with its marks and the space behind them;
/// none while more of it may come.
fn whole_sentence(text: &str, last: bool) -> Option<usize> {
    if text.len() > MAX_STATEMENT_BYTES {
        return Some(text.len());
    }
    let sentences = ragtime_extractive::sentences(text);
    let Some(first) = sentences.first() else {
        return (last && !text.is_empty()).then_some(text.len());
    };
    let rest = past_marks(text.get(first.end..).unwrap_or_default());
    match rest.is_empty() || rest.starts_with('[') && !rest.contains(']') {
        true => last.then_some(text.len()),
        false => Some(text.len() - rest.len()),
    }
}

/// What follows marks and white space.
fn past_marks(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        let mark = text.strip_prefix('[').and_then(|inside| inside.split_once(']'));
        match mark {
            Some((mark, rest)) if numbers(mark).is_some() => text = rest,
            _ => return text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSAGE: &str = "The quay was finished in 2019. It cost four million.";

    /// The text that is sent, how many quotes back it, and the statements.
    fn checked_text(answer: &str, unsupported: Unsupported) -> (String, usize, Vec<bool>) {
        let run = |pieces: &mut dyn Iterator<Item = String>| {
            let mut checked = Checked::new(vec![PASSAGE.to_owned()], unsupported);
            let mut steps: Vec<_> = pieces.flat_map(|piece| checked.push(&piece)).collect();
            steps.extend(checked.finish());
            let spoke = checked.has_spoken();
            let (mut text, mut quotes) = (String::new(), 0);
            for step in steps {
                match step {
                    Step::Text(more) => text.push_str(&more),
                    Step::Quote(..) => quotes += 1,
                }
            }
            assert_eq!(spoke, !text.is_empty());
            let supported = checked.into_statements().into_iter().map(|(_, yes)| yes).collect();
            (text, quotes, supported)
        };
        let whole = run(&mut std::iter::once(answer.to_owned()));
        assert_eq!(run(&mut answer.chars().map(String::from)), whole, "in pieces");
        whole
    }

    #[test]
    fn an_unsupported_statement_is_marked() {
        let answer = "The quay was finished in 2019 [1]. The mayor fell in [1].";
        assert_eq!(
            checked_text(answer, Unsupported::Mark),
            (answer.to_owned(), 1, vec![true, false])
        );
    }

    #[test]
    fn an_unsupported_statement_is_left_out_where_that_is_set() {
        for (answer, text) in [
            (
                "The quay was finished in 2019 [1]. The mayor fell in [1].",
                "The quay was finished in 2019 [1]. ",
            ),
            (
                "The mayor fell in. [1] The quay was finished in 2019. [1]",
                "The quay was finished in 2019. [1]",
            ),
            ("Let me see. The mayor fell in [1]", "Let me see. "),
        ] {
            assert_eq!(checked_text(answer, Unsupported::Drop).0, text);
        }
        assert_eq!(
            checked_text("The mayor fell in [1].", Unsupported::Drop),
            (String::new(), 0, vec![false])
        );
    }
}
