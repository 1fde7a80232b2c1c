//! The units of a passage that can answer, with what stands around them: a sentence,
//! an item, a row. Headings, code and questions are units too, and context.

use std::ops::Range;

use ragtime_text::{Language, Lines};

use crate::shape;

/// What a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnitKind {
    /// A sentence of a paragraph or of an item of a list.
    Sentence,
    /// A row of a table.
    Row,
    /// Column names.
    Columns,
    /// A heading.
    Heading,
    /// A block of code.
    Code,
    /// A sentence that asks.
    Question,
}

/// A unit, in bytes of its passage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) span: Range<usize>,
    pub(crate) kind: UnitKind,
    /// The paragraph, the item or the row that it is in.
    pub(crate) block: usize,
    /// The list that it is an item of.
    pub(crate) list: Option<usize>,
    /// The unit that announces it: a question, column names, a sentence with a colon.
    pub(crate) lead: Option<usize>,
    /// The heading that it stands under.
    pub(crate) heading: Option<usize>,
}

/// Sentences that are the answer to the question before them.
const ANSWERED_BY: usize = 4;

/// Takes a passage apart, in order. `names` are its title and headings.
pub(crate) fn units(text: &str, names: &[&str], language: Option<Language>) -> Vec<Unit> {
    let blocks = blocks(text);
    let mut reader = Reader { text, names, language, units: Vec::new(), at: At::default() };
    for (place, block) in blocks.iter().enumerate() {
        reader.block(block, place + 1 == blocks.len());
    }
    reader.units
}

/// Lines between empty lines, without the white space at their ends. What stands in
/// a fence is one block.
fn blocks(text: &str) -> Vec<Vec<Range<usize>>> {
    let mut blocks: Vec<Vec<Range<usize>>> = Vec::new();
    let (mut open, mut fenced, mut at) = (false, false, 0);
    for line in text.split_inclusive('\n') {
        let content = line.trim_end();
        let span = at..at + content.len();
        at += line.len();
        let fence = content.trim_start().starts_with("```");
        if content.trim().is_empty() && !fenced {
            open = false;
            continue;
        }
        if fence && !fenced {
            open = false;
        }
        match blocks.last_mut() {
            Some(block) if open => block.push(span),
            _ => blocks.push(vec![span]),
        }
        open = !(fence && fenced);
        fenced ^= fence;
    }
    blocks
}

/// What stands above the next unit.
#[derive(Default)]
struct At {
    heading: Option<usize>,
    question: Option<(usize, usize)>,
    /// The sentence with a colon at the end of the block before.
    announced: Option<usize>,
    block: usize,
    list: usize,
}

struct Reader<'a> {
    text: &'a str,
    names: &'a [&'a str],
    language: Option<Language>,
    units: Vec<Unit>,
    at: At,
}

impl Reader<'_> {
    fn block(&mut self, lines: &[Range<usize>], last: bool) {
        let texts: Vec<&str> =
            lines.iter().map(|line| self.text.get(line.clone()).unwrap_or_default()).collect();
        let (Some(first), Some(end)) = (lines.first(), lines.last()) else { return };
        let whole = first.start..end.end;
        let fenced = texts.first().is_some_and(|line| line.trim_start().starts_with("```"));
        let rows = texts.iter().filter(|line| shape::is_row(line)).count();
        if !fenced && rows > 0 && 2 * rows >= texts.len() {
            self.table(lines, &texts);
        } else if !texts.iter().any(|line| shape::item_mark(line).is_some())
            && (fenced || shape::is_code(&texts))
        {
            self.at.block += 1;
            let lead = self.at.announced.take();
            self.push(whole, UnitKind::Code, None, lead);
        } else {
            self.text(lines, &texts, last);
        }
    }

    /// Rows under the names of their columns, if the first row names them.
    fn table(&mut self, lines: &[Range<usize>], texts: &[&str]) {
        let announced = self.at.announced.take();
        let mut columns = None;
        for (place, (line, text)) in lines.iter().zip(texts).enumerate() {
            if shape::is_rule(text) {
                continue;
            }
            self.at.block += 1;
            let below = texts.iter().skip(1).find(|text| !shape::is_rule(text));
            if place == 0 && below.is_some_and(|below| shape::names_columns(text, below)) {
                columns = Some(self.units.len());
                self.push(line.clone(), UnitKind::Columns, None, announced);
            } else {
                self.push(line.clone(), UnitKind::Row, None, columns.or(announced));
            }
        }
    }

    /// Paragraphs, headings and items.
    fn text(&mut self, lines: &[Range<usize>], texts: &[&str], last: bool) {
        let announced = self.at.announced.take();
        let mut from = 0;
        // A first line that stands out is a heading; a block of one line where
        // something follows.
        if let (Some(line), Some(text)) = (lines.first(), texts.first())
            && (lines.len() > 1 || !last || self.is_named(text))
            && self.is_heading(text, texts.get(1).copied())
        {
            self.at.block += 1;
            self.at.question = None;
            self.at.heading = None;
            self.push(line.clone(), UnitKind::Heading, None, None);
            self.at.heading = Some(self.units.len() - 1);
            from = 1;
        }
        let mut lead = announced;
        while from < lines.len() {
            let rest = texts.get(from..).unwrap_or_default();
            let is_item = |line: &&str| shape::item_mark(line).is_some();
            if let Some(mark) = rest.first().and_then(|line| shape::item_mark(line)) {
                let more = rest.iter().skip(1).take_while(|line| !is_item(line)).count();
                // A line without a mark goes on with its item where it is indented or
                // begins in lower case; any other begins something new.
                let goes_on = |line: &&&str| {
                    line.starts_with([' ', '\t'])
                        || line.trim_start().starts_with(char::is_lowercase)
                };
                let more = rest.iter().skip(1).take(more).take_while(goes_on).count();
                let list = Some(self.at.list);
                self.part(lines, texts, from..from + 1 + more, mark, list, lead);
                from += 1 + more;
            } else {
                self.at.list += 1;
                let count = rest.iter().take_while(|line| !is_item(line)).count();
                self.part(lines, texts, from..from + count, 0, None, lead);
                from += count;
                lead = self.at.announced;
            }
        }
        if texts.last().is_some_and(|line| shape::item_mark(line).is_some()) {
            self.at.announced = None;
        }
        self.at.list += 1;
    }

    /// The sentences of a paragraph or an item.
    fn part(
        &mut self,
        lines: &[Range<usize>],
        texts: &[&str],
        range: Range<usize>,
        skip: usize,
        list: Option<usize>,
        lead: Option<usize>,
    ) {
        let (Some(first), Some(end)) = (lines.get(range.start), lines.get(range.end - 1)) else {
            return;
        };
        self.at.block += 1;
        let offset = first.start + skip;
        let wrapped = list.is_some() || shape::is_wrapped(texts.get(range).unwrap_or_default());
        let kind = if wrapped { Lines::Wrapped } else { Lines::End };
        let part = self.text.get(offset..end.end).unwrap_or_default();
        let spans = ragtime_text::sentences(part, self.language, kind);
        let (mut lead, mut colon) = (lead, None);
        for span in spans {
            let span = span.start + offset..span.end + offset;
            let sentence = self.text.get(span.clone()).unwrap_or_default();
            if shape::asks(sentence) {
                self.push(span, UnitKind::Question, list, lead);
                self.at.question = Some((self.units.len() - 1, 0));
                continue;
            }
            let asked = self.at.question.map(|(question, _)| question);
            self.push(span, UnitKind::Sentence, list, colon.or(lead).or(asked));
            colon = None;
            if shape::announces(sentence) {
                colon = Some(self.units.len() - 1);
            }
            if list.is_none() {
                lead = None;
            }
            self.at.question = self
                .at
                .question
                .map(|(question, count)| (question, count + 1))
                .filter(|(_, count)| *count < ANSWERED_BY);
        }
        self.at.announced = colon;
    }

    fn push(
        &mut self,
        span: Range<usize>,
        kind: UnitKind,
        list: Option<usize>,
        lead: Option<usize>,
    ) {
        let (block, heading) = (self.at.block, self.at.heading);
        self.units.push(Unit { span, kind, block, list, lead, heading });
    }

    fn is_named(&self, line: &str) -> bool {
        self.names.iter().any(|name| name.trim() == line.trim_start_matches('#').trim())
    }

    fn is_heading(&self, line: &str, next: Option<&str>) -> bool {
        if shape::item_mark(line).is_some() && !self.is_named(line) {
            return false;
        }
        let stands_out = match next {
            None => true,
            // A line above a longer text in the same block.
            Some(next) => {
                shape::item_mark(next).is_none()
                    && (shape::ends_sentence(next) || next.len() > 2 * line.len())
                    && !next.trim_start().starts_with(char::is_lowercase)
            }
        };
        self.is_named(line)
            || (line.starts_with('#') && line.trim_start_matches('#').starts_with(' '))
            || (stands_out && shape::is_heading(line))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    fn unit_texts<'a>(text: &'a str, names: &[&str]) -> Vec<(UnitKind, &'a str)> {
        let units = units(text, names, Some(Language::ENGLISH));
        units.iter().map(|unit| (unit.kind, &text[unit.span.clone()])).collect()
    }

    #[test]
    fn a_page_is_taken_apart() {
        let text = "Swap\n\nWhile it serves:\n\nragtime guest swap x.wasm --dry-run\n\n\
                    gate | refused when\n--eval | it falls by 5 %\n\n- One thing. Another.\n- Two";
        use UnitKind::*;
        assert_eq!(
            unit_texts(text, &[]),
            [
                (Heading, "Swap"),
                (Sentence, "While it serves:"),
                (Code, "ragtime guest swap x.wasm --dry-run"),
                (Columns, "gate | refused when"),
                (Row, "--eval | it falls by 5 %"),
                (Sentence, "One thing."),
                (Sentence, "Another."),
                (Sentence, "Two"),
            ]
        );
        let units = units(text, &[], None);
        assert_eq!((units[2].lead, units[4].lead, units[4].heading), (Some(1), Some(3), Some(0)));
    }

    #[test]
    fn a_question_leads_what_follows_it() {
        let text = "How do I reset my password?\nOpen the settings page and choose Reset.\n\n\
                    How do I leave?\nWrite to us.";
        let units = units(text, &[], None);
        let unit_texts: Vec<_> = units.iter().map(|unit| (unit.kind, unit.lead)).collect();
        use UnitKind::*;
        assert_eq!(
            unit_texts,
            [(Question, None), (Sentence, Some(0)), (Question, None), (Sentence, Some(2))]
        );
    }

    #[test]
    fn a_known_heading_is_one_at_the_end_too() {
        assert_eq!(unit_texts("It is so.\n\nNext part", &["Next part"])[1].0, UnitKind::Heading);
        assert_eq!(unit_texts("It is so.\n\nNext part", &[])[1].0, UnitKind::Sentence);
    }

    #[test]
    fn an_item_goes_on_in_the_next_line() {
        let text = "Bring:\n- a hat, which\n  is warm\n- shoes";
        let units = units(text, &[], None);
        let unit_texts: Vec<_> =
            units.iter().map(|unit| (&text[unit.span.clone()], unit.lead, unit.list)).collect();
        assert_eq!(
            unit_texts,
            [
                ("Bring:", None, None),
                ("a hat, which\n  is warm", Some(0), Some(1)),
                ("shoes", Some(0), Some(1))
            ]
        );
    }
}
