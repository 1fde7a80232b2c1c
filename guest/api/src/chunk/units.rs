//! The pieces that a chunk is made of: whole blocks, sentences, lines or words,
//! none longer than a chunk may be.

use std::ops::Range;
use std::rc::Rc;

use ragtime_text::{Language, Lines, sentences};

use super::measure::Measure;
use crate::extract::{Block, BlockKind, Extracted};

/// What ends before a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Boundary {
    /// A section: the unit is its heading.
    Section,
    /// A block.
    Block,
    /// Less than a block.
    Inside,
}

/// A piece of text that is not cut again.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    /// Its bytes.
    pub(super) span: Range<usize>,
    /// What ends before it.
    pub(super) boundary: Boundary,
    /// Where its block ends.
    pub(super) block_end: usize,
    /// The number of its section.
    pub(super) section: usize,
    /// Whether it is a heading.
    pub(super) heading: bool,
    /// Whether it may be repeated on its own: not so for lines of code.
    pub(super) splittable: bool,
    /// Headings above it, outermost first.
    pub(super) path: Rc<[String]>,
}

/// Takes a text apart, in order.
pub(super) fn split(extracted: &Extracted, measure: &Measure<'_>) -> Vec<Unit> {
    let text = extracted.text.as_str();
    let mut units = Vec::new();
    let mut outline = Outline::default();
    let mut after_heading = false;
    let language = ragtime_text::detect(text, None);
    for block in &extracted.blocks {
        let heading = matches!(block.kind, BlockKind::Heading(_));
        if let BlockKind::Heading(level) = block.kind {
            outline.enter(level, text.get(block.range.clone()).unwrap_or_default(), !after_heading);
        }
        for (index, span) in pieces(text, block, language, measure).into_iter().enumerate() {
            let boundary = match index {
                0 if heading && !after_heading => Boundary::Section,
                0 if !after_heading => Boundary::Block,
                _ => Boundary::Inside,
            };
            units.push(Unit {
                span,
                boundary,
                block_end: block.range.end,
                section: outline.section,
                heading,
                splittable: matches!(block.kind, BlockKind::Paragraph | BlockKind::ListItem),
                path: Rc::clone(&outline.path),
            });
        }
        after_heading = heading;
    }
    units
}

/// The headings in force.
#[derive(Debug)]
struct Outline {
    levels: Vec<(u8, String)>,
    path: Rc<[String]>,
    section: usize,
}

impl Default for Outline {
    fn default() -> Self {
        Self { levels: Vec::new(), path: Rc::new([]), section: 0 }
    }
}

impl Outline {
    fn enter(&mut self, level: u8, heading: &str, new_section: bool) {
        self.levels.retain(|(above, _)| *above < level);
        self.levels.push((level, heading.to_owned()));
        self.path = self.levels.iter().map(|(_, heading)| heading.clone()).collect();
        self.section += usize::from(new_section);
    }
}

/// A block as it is, or cut: text into sentences, code and tables into lines,
/// and what is too long still into words.
fn pieces(
    text: &str,
    block: &Block,
    language: Option<Language>,
    measure: &Measure<'_>,
) -> Vec<Range<usize>> {
    let content = text.get(block.range.clone()).unwrap_or_default();
    let whole = measure.tokens(block.range.clone()) <= measure.lengths.most();
    let parts = match block.kind {
        BlockKind::Paragraph | BlockKind::ListItem => {
            covering(content, sentences(content, language, Lines::Wrapped))
        }
        _ if whole => return vec![block.range.clone()],
        _ => lines(content),
    };
    let offset = block.range.start;
    let parts = parts.into_iter().map(|part| part.start + offset..part.end + offset);
    parts
        .flat_map(|part| {
            if measure.tokens(part.clone()) <= measure.lengths.tokens {
                vec![part]
            } else {
                words(text, part, measure)
            }
        })
        .collect()
}

/// The sentences with what stands between them and is none, as a line of signs: it
/// belongs to the sentence before it, so that nothing is left out of all chunks.
fn covering(content: &str, sentences: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut covered: Vec<Range<usize>> = Vec::with_capacity(sentences.len().max(1));
    let mut at = 0;
    let end = content.len()..content.len();
    for sentence in sentences.into_iter().chain(std::iter::once(end)) {
        let between = content.get(at..sentence.start).unwrap_or_default();
        let signs = at + between.len() - between.trim_start().len()..at + between.trim_end().len();
        at = sentence.end;
        match covered.last_mut() {
            _ if signs.is_empty() => covered.push(sentence),
            Some(before) => {
                before.end = signs.end;
                covered.push(sentence);
            }
            None => covered.push(signs.start..sentence.end.max(signs.end)),
        }
    }
    covered.retain(|piece| !piece.is_empty());
    covered
}

fn lines(content: &str) -> Vec<Range<usize>> {
    let mut at = 0;
    let lines = content.split_inclusive('\n').map(|line| {
        let start = at;
        at += line.len();
        start..start + line.trim_end().len()
    });
    lines
        .filter(|line| content.get(line.clone()).is_some_and(|line| !line.trim().is_empty()))
        .collect()
}

/// Cuts a piece that is too long into runs of up to [`super::Lengths::tokens`], between
/// words, or between characters where a word alone is too long.
fn words(text: &str, part: Range<usize>, measure: &Measure<'_>) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut start = part.start;
    while start < part.end {
        let rest = text.get(start..part.end).unwrap_or_default();
        let end = start
            + longest_prefix(rest, |length| {
                measure.tokens(start..start + length) <= measure.lengths.tokens
            });
        let run = text.get(start..end).unwrap_or_default();
        if !run.trim().is_empty() {
            runs.push(start + run.len() - run.trim_start().len()..start + run.trim_end().len());
        }
        start = end;
    }
    runs
}

/// Length of the longest prefix that fits, cut after white space if it can be,
/// and of one character at least.
fn longest_prefix(text: &str, fits: impl Fn(usize) -> bool) -> usize {
    let mut by_char = text.chars().next().map_or(text.len(), char::len_utf8);
    let mut by_word = None;
    for (at, char) in text.char_indices() {
        let end = at + char.len_utf8();
        if !fits(end) {
            return by_word.unwrap_or(by_char);
        }
        by_char = end;
        if char.is_whitespace() {
            by_word = Some(end);
        }
    }
    text.len()
}
