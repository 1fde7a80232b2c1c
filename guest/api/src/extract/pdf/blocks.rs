//! From lines to blocks: headings, paragraphs, list items and tables.
//!
//! Distances are in em of the line that they are measured at.

use std::collections::HashMap;

use super::super::BlockKind;
use super::super::builder::Builder;
use super::hyphens::{Vocabulary, is_cut};
use super::lines::{Line, is_cjk};
use super::regions::{Region, regions};

/// How much larger than the text around it a heading is.
const HEADING_SIZE: f64 = 1.15;
/// Lines and characters of a heading.
const HEADING_LINES: usize = 3;
const HEADING_CHARS: usize = 200;
/// Characters of a bold line that is a heading.
const BOLD_CHARS: usize = 100;
/// Characters of running text from which on headings stand out from it.
const RUNNING_CHARS: usize = 200;
/// Sizes that differ by this factor do not belong to one paragraph.
const SIZE_CHANGE: f64 = 1.12;
/// How far the next line of a paragraph may be where nothing else is known.
const LEADING: f64 = 1.75;
/// How much farther than the lines before the next line of a paragraph may be.
const LEADING_CHANGE: f64 = 1.3;
/// How far a first line is indented.
const INDENT: (f64, f64) = (0.8, 6.0);

/// What the whole document says of its lines.
#[derive(Debug, Default)]
pub(super) struct Style {
    /// The size of running text.
    body: f64,
    body_is_bold: bool,
    /// Sizes of headings in quarter points, the largest first.
    sizes: Vec<i64>,
    has_running_text: bool,
    vocabulary: Vocabulary,
}

impl Style {
    pub(super) fn of(pages: &[Vec<Line>]) -> Self {
        let mut style = Self::default();
        let mut counts: HashMap<(i64, bool), usize> = HashMap::new();
        let mut cut = false;
        for line in pages.iter().flatten() {
            for part in &line.parts {
                let length = part.text.chars().count();
                *counts.entry((quarters(line.size), line.bold)).or_default() += length;
                style.vocabulary.learn(&part.text, cut);
                cut = is_cut(&part.text);
            }
        }
        let Some(((body, bold), most)) = counts
            .iter()
            .max_by_key(|(style, count)| (**count, **style))
            .map(|(style, count)| (*style, *count))
        else {
            return style;
        };
        (style.body, style.body_is_bold) = (body as f64 / 4.0, bold);
        style.has_running_text = most >= RUNNING_CHARS;
        let larger = counts.keys().map(|(size, _)| *size);
        style.sizes = larger.filter(|size| *size as f64 >= HEADING_SIZE * body as f64).collect();
        style.sizes.sort_unstable_by(|one, two| two.cmp(one));
        style.sizes.dedup();
        style
    }

    /// Makes words whole that the end of a page cut. The rest of a word comes to
    /// the page on which it begins.
    pub(super) fn join_pages(&self, pages: &mut [Vec<Line>]) {
        for at in 1..pages.len() {
            if let Ok([page, next]) = pages.get_disjoint_mut([at - 1, at]) {
                self.join_page(page, next);
            }
        }
    }

    fn join_page(&self, page: &mut [Line], next: &mut Vec<Line>) -> Option<()> {
        // Page numbers, footnotes and running titles lie between the halves.
        let last = page.iter_mut().rfind(|line| self.is_running_text(line))?;
        let at = next.iter().position(|line| self.is_running_text(line))?;
        let first = next.get_mut(at)?;
        let (end, start) = (last.parts.last_mut()?, first.parts.first_mut()?);
        // A running title begins with a capital or a number.
        if !start.text.starts_with(char::is_lowercase) {
            return None;
        }
        let keeps_hyphen = self.vocabulary.keeps_hyphen(&end.text, &start.text)?;
        let (word, rest) = start.text.split_once(char::is_whitespace).unwrap_or((&start.text, ""));
        end.text.truncate(end.text.trim_end().len());
        if !keeps_hyphen {
            end.text.pop();
        }
        end.text.push_str(word);
        start.text = rest.trim_start().to_owned();
        if start.text.is_empty() {
            first.parts.remove(0);
        }
        if first.parts.is_empty() {
            next.remove(at);
        }
        Some(())
    }

    fn is_running_text(&self, line: &Line) -> bool {
        quarters(line.size) == quarters(self.body)
            && line.parts.iter().any(|part| part.text.contains(char::is_alphabetic))
    }

    /// The level of a heading, if these lines are one.
    fn heading(&self, lines: &[Line], text: &str) -> Option<u8> {
        let first = lines.first()?;
        let letters = text.chars().filter(|char| char.is_alphabetic()).count();
        let chars = text.chars().count();
        let reads = self.has_running_text && letters >= 2 && 2 * letters >= chars;
        if !reads || lines.len() > HEADING_LINES || chars > HEADING_CHARS {
            return None;
        }
        if first.size >= HEADING_SIZE * self.body {
            let rank = self.sizes.iter().position(|size| *size == quarters(first.size))?;
            return u8::try_from(rank + 1).ok().map(|level| level.min(6));
        }
        let stands_out = first.bold && !self.body_is_bold && first.size >= 0.95 * self.body;
        let ends = text.ends_with(['.', ',', ';', ':', '-', '?', '!']);
        let short = chars <= BOLD_CHARS && lines.len() == 1 && first.parts.len() == 1;
        let level = u8::try_from(self.sizes.len() + 1).unwrap_or(6).min(6);
        (stands_out && short && !ends).then_some(level)
    }
}

fn quarters(size: f64) -> i64 {
    (size * 4.0).round() as i64
}

/// Writes the lines of a page.
pub(super) fn write(lines: Vec<Line>, style: &Style, builder: &mut Builder) {
    for region in regions(lines) {
        match region {
            Region::Flow(lines) => flow(&lines, style, builder),
            Region::Table(rows) => table(&rows, style, builder),
        }
    }
}

fn table(rows: &[Vec<String>], style: &Style, builder: &mut Builder) {
    builder.start(BlockKind::Table);
    for row in rows {
        builder.line_break();
        for (at, cell) in row.iter().enumerate() {
            if at > 0 {
                builder.mark(" | ");
            }
            let lines: Vec<&str> = cell.lines().collect();
            builder.words(&joined(&lines, style));
        }
    }
    builder.end();
}

/// Lines as running text.
fn joined(lines: &[&str], style: &Style) -> String {
    let mut text = String::new();
    for (line, next) in lines.iter().zip(lines.iter().skip(1).map(Some).chain([None])) {
        push(line, next.copied(), false, style, &mut text);
    }
    text
}

/// Adds a line and what comes between it and the next.
fn push(line: &str, next: Option<&str>, ends: bool, style: &Style, text: &mut String) {
    let line = line.trim();
    let Some(next) = next.map(str::trim_start) else { return text.push_str(&visible(line)) };
    match style.vocabulary.keeps_hyphen(line, next).filter(|_| !ends) {
        Some(true) => text.push_str(&visible(line)),
        Some(false) => {
            let mut chars = line.chars();
            chars.next_back();
            text.push_str(&visible(chars.as_str()));
        }
        None => {
            text.push_str(&visible(line));
            let apart = line.chars().next_back().zip(next.chars().next());
            match apart {
                _ if ends => text.push('\n'),
                Some((last, first)) if is_cjk(last) && is_cjk(first) => {}
                _ => text.push(' '),
            }
        }
    }
}

/// A hyphen that a font calls soft is drawn all the same.
fn visible(line: &str) -> std::borrow::Cow<'_, str> {
    if line.contains('\u{ad}') { line.replace('\u{ad}', "-").into() } else { line.into() }
}

fn flow(lines: &[Line], style: &Style, builder: &mut Builder) {
    let mut rest = lines;
    let mut in_list = false;
    while !rest.is_empty() {
        let count = paragraph(rest);
        let (lines, tail) = rest.split_at(count.clamp(1, rest.len()));
        let text = text(lines, style);
        let kind = match style.heading(lines, &text) {
            Some(level) => BlockKind::Heading(level),
            None if is_item(&text) => BlockKind::ListItem,
            None => BlockKind::Paragraph,
        };
        if in_list && kind != BlockKind::ListItem {
            builder.paragraph_break();
        }
        in_list = kind == BlockKind::ListItem;
        builder.start(kind);
        for line in text.split('\n') {
            builder.line_break();
            builder.words(line);
        }
        builder.end();
        rest = tail;
    }
    if in_list {
        builder.paragraph_break();
    }
}

fn is_item(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(is_bullet)
        && chars.next().is_some_and(char::is_whitespace)
        && chars.any(char::is_alphanumeric)
}

fn is_bullet(char: char) -> bool {
    matches!(
        char,
        '•' | '▪'
            | '■'
            | '●'
            | '○'
            | '◦'
            | '‣'
            | '➢'
            | '✓'
            | '·'
            | '–'
            | '-'
            | '□'
            | '◆'
            | '❖'
            | '⁃'
            | '∙'
    )
}

/// How many of the lines are one paragraph.
fn paragraph(lines: &[Line]) -> usize {
    let mut count = 1;
    let mut step = None;
    for (at, pair) in lines.windows(2).enumerate() {
        let [above, below] = pair else { break };
        let block = lines.get(..=at).unwrap_or_default();
        if !goes_on(block, above, below, step) {
            break;
        }
        if below.down > above.down {
            step =
                Some(step.map_or(below.down - above.down, |step: f64| {
                    step.min(below.down - above.down)
                }));
        }
        count += 1;
    }
    count
}

/// Whether a paragraph goes on with the next line.
fn goes_on(block: &[Line], above: &Line, below: &Line, step: Option<f64>) -> bool {
    let (small, large) = (above.size.min(below.size), above.size.max(below.size));
    if !above.is_parallel(below) || large > SIZE_CHANGE * small {
        return false;
    }
    let down = below.down - above.down;
    if down <= 0.0 {
        return flows_over(above, below);
    }
    let most = step.map_or(LEADING * large, |step| (LEADING_CHANGE * step).max(1.1 * large));
    let overlap = above.end.min(below.end) - above.start.max(below.start);
    if down > most.min(2.6 * large) || overlap <= 0.0 {
        return false;
    }
    // A cut word goes on in the next line, however that is indented or set.
    if is_cut(above.text().trim_end()) && below.text().starts_with(char::is_lowercase) {
        return true;
    }
    let starts_item = below.parts.first().is_some_and(|part| is_item(&part.text));
    let changes_weight = above.bold != below.bold && is_short(block, above, below);
    !starts_item && !changes_weight && !is_indented(block, above, below)
}

/// Whether the text of a column goes on at the top of the next.
fn flows_over(above: &Line, below: &Line) -> bool {
    let (last, first) = (above.text(), below.text());
    let ends = last.trim_end().ends_with(['.', '!', '?', ':']);
    let beside = below.start >= above.end || below.end <= above.start;
    beside && !ends && first.starts_with(char::is_lowercase) && above.bold == below.bold
}

/// Whether a line is the first of a paragraph that is recognised by its indent.
fn is_indented(block: &[Line], above: &Line, below: &Line) -> bool {
    let em = below.size;
    let indent = if below.rtl { above.end - below.end } else { below.start - above.start };
    // The second line of a block may be indented under the first, as in lists.
    block.len() > 1 && (INDENT.0 * em..INDENT.1 * em).contains(&indent) && is_aligned(block, above)
}

/// Whether a line begins where the lines before it do.
fn is_aligned(block: &[Line], above: &Line) -> bool {
    let before = block.len().checked_sub(2).and_then(|at| block.get(at));
    before.is_none_or(|before| {
        let off = if above.rtl { before.end - above.end } else { before.start - above.start };
        off.abs() < 0.5 * above.size || block.len() == 2
    })
}

/// Whether the first word of the next line would have had room on this one: then
/// the line ends here because its author wished so.
fn is_short(block: &[Line], above: &Line, below: &Line) -> bool {
    let edge = |line: &Line| if above.rtl { -line.start } else { line.end };
    let widest = block.iter().chain([below]).map(edge).fold(f64::MIN, f64::max);
    let first = below.text();
    let chars = first.chars().count().max(1);
    let word = first.split_whitespace().next().map_or(0, |word| word.chars().count());
    let width = (below.end - below.start) / chars as f64 * word as f64;
    widest - edge(above) > width + 0.75 * above.size
}

/// The text of a paragraph. A line that was ended on purpose keeps its end.
fn text(lines: &[Line], style: &Style) -> String {
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        let next = lines.get(at + 1);
        let ends = next.is_some_and(|next| {
            next.down > line.down
                && is_short(lines, line, next)
                && !next.text().starts_with(char::is_lowercase)
                && !is_cut(line.text().trim_end())
        });
        push(&line.text(), next.map(Line::text).as_deref(), ends, style, &mut text);
    }
    text
}
