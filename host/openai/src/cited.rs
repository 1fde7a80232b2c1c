//! The citations of a text that a language model writes: `[1]`, `[2, 3]`.
//!
//! A model cites what it likes. A citation counts when the source it names has
//! a sentence that the statement before the mark rests on; the quote is that
//! sentence, so it is in the source by construction.

use std::ops::Range;

use ragtime_extractive::support;

/// Digits and separators of one mark. A longer one is text in brackets.
pub(crate) const MAX_MARK_CHARS: usize = 32;

/// Bytes of the text before a mark that are looked at for its statement. A
/// sentence is shorter; without an end, text with many marks would take time by
/// the square of its length.
pub(crate) const MAX_STATEMENT_BYTES: usize = 4 * 1024;

/// Finds marks in a text that comes in pieces.
#[derive(Default)]
pub struct Marks {
    /// What was said, as far back as a statement reaches.
    statement: String,
    /// What follows an open bracket.
    mark: Option<String>,
}

/// A statement and the numbers of the sources it names, from 1.
#[derive(Debug, PartialEq, Eq)]
pub struct Marked {
    /// What was said.
    pub statement: String,
    /// By what it is backed.
    pub sources: Vec<usize>,
}

impl Marks {
    /// Takes more of the text and returns the marks that it completes.
    pub fn push(&mut self, text: &str) -> Vec<Marked> {
        text.chars().filter_map(|character| self.step(character)).collect()
    }

    fn step(&mut self, character: char) -> Option<Marked> {
        match (&mut self.mark, character) {
            (None, '[') => self.mark = Some(String::new()),
            (None, other) => self.statement.push(other),
            (Some(mark), ']') => {
                let sources = numbers(mark);
                let mark = self.mark.take().unwrap_or_default();
                match sources {
                    Some(sources) => {
                        self.forget();
                        let statement = last_sentence(&self.statement);
                        // "…[1][2]": the second rests on the same statement.
                        return Some(Marked { statement, sources });
                    }
                    None => self.statement.push_str(&mark),
                }
            }
            (Some(mark), other) => {
                mark.push(other);
                if mark.len() > MAX_MARK_CHARS {
                    self.statement.push_str(&std::mem::take(mark));
                    self.mark = None;
                }
            }
        }
        None
    }

    fn forget(&mut self) {
        let excess = self.statement.len().saturating_sub(MAX_STATEMENT_BYTES);
        drop(self.statement.drain(..self.statement.ceil_char_boundary(excess)));
    }
}

/// Numbers between commas.
pub(crate) fn numbers(mark: &str) -> Option<Vec<usize>> {
    mark.split(',').map(|number| number.trim().parse().ok()).collect()
}

/// A mark backs the sentence that it stands behind.
fn last_sentence(text: &str) -> String {
    let spans = ragtime_extractive::sentences(text);
    let last = spans.last().and_then(|span| text.get(span.clone()));
    last.unwrap_or_default().to_owned()
}

/// Statements of one answer that are reported. An answer of a page has some dozens.
const MAX_STATEMENTS: usize = 256;

/// What was said with a mark, and whether a source that it names says so too.
#[derive(Debug, Default)]
pub struct Statements(Vec<(String, bool)>);

impl Statements {
    /// Adds a statement. The same may have several marks, one of which is enough.
    pub fn add(&mut self, statement: &str, supported: bool) {
        let full = self.0.len() >= MAX_STATEMENTS;
        match self.0.last_mut() {
            Some((last, known)) if last == statement => *known |= supported,
            _ if full => {}
            _ => self.0.push((statement.to_owned(), supported)),
        }
    }

    /// All of them, in order.
    pub fn all(self) -> Vec<(String, bool)> {
        self.0
    }
}

/// Where in the passage of this number, from 1, a statement is backed: the
/// passage's place from 0, and bytes of its text.
pub fn back(marked: &Marked, passages: &[String]) -> Vec<(usize, Range<usize>)> {
    let backed = marked.sources.iter().filter_map(|number| {
        let place = number.checked_sub(1)?;
        Some((place, support(&marked.statement, passages.get(place)?)?))
    });
    backed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(statement: &str, sources: &[usize]) -> Marked {
        Marked { statement: statement.into(), sources: sources.to_vec() }
    }

    #[test]
    fn marks_are_found_however_the_text_is_cut() {
        let text = "It is so. The bass marches [1]. See [the note] for more [2, 3][4].";
        let expected = [
            marked("The bass marches", &[1]),
            marked("See the note for more", &[2, 3]),
            marked("See the note for more", &[4]),
        ];
        for cut in text.char_indices().map(|(at, _)| at) {
            let mut marks = Marks::default();
            let mut found = marks.push(&text[..cut]);
            found.extend(marks.push(&text[cut..]));
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_bracket_that_never_closes_is_text() {
        let mut marks = Marks::default();
        assert!(marks.push(&format!("a [{}] b", "1,".repeat(40))).is_empty());
        assert_eq!(marks.push(" [2]").len(), 1);
    }

    #[test]
    fn a_statement_is_what_stands_just_before_its_mark() {
        let mut marks = Marks::default();
        let endless = "wörds ".repeat(MAX_STATEMENT_BYTES);
        let found = marks.push(&format!("{endless}. The end [1]{endless}[2]"));
        assert_eq!(found[0], marked("The end", &[1]));
        assert!(found[1].statement.len() <= MAX_STATEMENT_BYTES);
    }

    #[test]
    fn one_source_is_enough_for_a_statement() {
        let mut statements = Statements::default();
        statements.add("a", false);
        statements.add("a", true);
        statements.add("b", false);
        assert_eq!(statements.all(), [("a".to_owned(), true), ("b".to_owned(), false)]);
    }

    #[test]
    fn a_source_is_quoted_only_where_it_backs_the_statement() {
        let passages = ["The bass keeps a steady march.".to_owned()];
        let backed = back(&marked("A steady march in the bass", &[1, 2, 0]), &passages);
        assert_eq!(backed, [(0, 0..30)]);
        assert!(back(&marked("Cats have nine lives", &[1]), &passages).is_empty());
    }
}
