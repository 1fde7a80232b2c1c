//! The question that a language model makes of a conversation, for retrieval.

use crate::chat::Piece;
use crate::watched::Watched;

/// The most bytes of a question. What is longer is an answer or an explanation.
const MAX_QUESTION_BYTES: usize = 1_000;

/// The most bytes that the model may say around it, thoughts included.
const MAX_SAID_BYTES: usize = 64 * 1_024;

/// Marks that end a question, in the scripts that have one of their own.
const QUESTION_MARKS: [char; 5] = ['?', '？', '؟', ';', '՞'];

/// Quotation marks that models put around what they repeat.
const QUOTES: [char; 8] = ['"', '\'', '“', '”', '«', '»', '「', '」'];

/// Takes what a model says until it has ended.
#[derive(Debug)]
pub struct Rewritten {
    watched: Watched,
    said: String,
}

impl Default for Rewritten {
    fn default() -> Self {
        // A question names no sources.
        Self { watched: Watched::new(0), said: String::new() }
    }
}

impl Rewritten {
    /// Takes a piece; false once so much was said that it is no question.
    pub fn push(&mut self, piece: &Piece) -> bool {
        if let Piece::Text(text) = piece {
            let said = self.watched.push(text);
            self.said.push_str(&said);
        }
        self.said.len() <= MAX_SAID_BYTES
    }

    /// The question, without thoughts, quotation marks and a label such as
    /// `Question:`. None where the model said nothing, or several lines none of which
    /// is a question, or too much.
    pub fn question(mut self) -> Option<String> {
        let end = self.watched.finish();
        self.said.push_str(&end);
        let lines = || self.said.lines().map(bare).filter(|line| !line.is_empty());
        let question = match lines().count() {
            1 => lines().next(),
            _ => lines().rfind(|line| line.ends_with(QUESTION_MARKS)),
        };
        question.filter(|question| question.len() <= MAX_QUESTION_BYTES).map(str::to_owned)
    }
}

/// A line without what stands around its question.
fn bare(line: &str) -> &str {
    let line = line.trim();
    let labelled = line
        .split_once(':')
        .filter(|(label, _)| label.trim_matches(['*', ' ']).to_lowercase().ends_with("question"));
    labelled.map_or(line, |(_, question)| question).trim_matches(['*', ' ']).trim_matches(QUOTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(said: &str) -> Option<String> {
        let mut rewritten = Rewritten::default();
        for char in said.chars() {
            assert!(rewritten.push(&Piece::Text(char.to_string())));
        }
        rewritten.question()
    }

    #[test]
    fn a_question_is_taken_out_of_what_a_model_says() {
        let wanted = Some("When was the quay built?".to_owned());
        for said in [
            "When was the quay built?",
            "<think>It means the quay.</think>\n\nWhen was the quay built?\n",
            "\"When was the quay built?\"",
            "**Standalone question:** When was the quay built?",
            "Here is the rewritten question:\n\nWhen was the quay built?\n\nIt names the quay.",
        ] {
            assert_eq!(question(said), wanted, "{said}");
        }
        assert_eq!(
            question("埠頭はいつ完成しましたか？").as_deref(),
            Some("埠頭はいつ完成しましたか？")
        );
        assert_eq!(question("price of the quay").as_deref(), Some("price of the quay"));
    }

    #[test]
    fn what_is_no_question_is_none() {
        assert_eq!(question(""), None);
        assert_eq!(question("<think>When?"), None);
        assert_eq!(question("The quay was built in 1871.\nIt cost little."), None);
        assert_eq!(question(&"quay ".repeat(300)), None);
        let mut rambling = Rewritten::default();
        assert!(!rambling.push(&Piece::Text("x".repeat(MAX_SAID_BYTES + 1))));
    }
}
