//! From placed glyphs to lines of words. Content order is kept: it is the order
//! in which the text was written. Only within a line does place decide.
//!
//! All distances are in em of the glyphs that they lie between.

use std::collections::HashMap;

use super::bidi;
use super::geometry::{Glyph, Text};

/// How far a baseline may be off its line: scripts are off by less, lines by
/// more.
const LINE_SHIFT: f64 = 0.6;
/// How much larger a glyph may be for its size to count in that distance.
const LINE_SCALE: f64 = 3.0;
/// A glyph of this part of its line's size moves the baseline: scripts do not.
const BASELINE_SIZE: f64 = 0.8;
/// The pen that moves back by more starts a fragment of its own.
const BACK: f64 = 0.3;
/// A gap that parts words within one string, where kerning makes most gaps.
const GAP_WITHIN: f64 = 0.15;
/// A gap that parts words between two strings.
const GAP_BETWEEN: f64 = 0.08;
/// A gap that parts words of Chinese or Japanese, which have none by themselves.
const GAP_CJK: f64 = 0.5;
/// Text with wider letter spacing has wider gaps between its words.
const TRACKING: (f64, f64) = (1.5, 0.06);
/// Gaps within a line from which letter spacing is known.
const TRACKED: usize = 4;
/// A shift of the baseline that parts words: a footnote's mark is no part of the
/// number it stands at.
const SHIFT: f64 = 0.35;
/// A gap between columns or cells.
const GAP_COLUMN: f64 = 1.2;
/// A field that is higher holds several lines.
const ONE_LINE: f64 = 2.5;
/// Text painted again this near is the same text: fake bold, shadows.
const PAINTED_AGAIN: f64 = 0.12;

/// A part of a line, apart from others by a wide gap.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub(super) start: f64,
    pub(super) end: f64,
    pub(super) text: String,
}

/// A line of words in the order in which they are read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// The direction of the baseline.
    pub(super) along: (f64, f64),
    /// How far down the baseline is, at right angles to it.
    pub(super) down: f64,
    pub(super) start: f64,
    pub(super) end: f64,
    /// The size that most of its characters have.
    pub(super) size: f64,
    /// Whether most of its characters are bold.
    pub(super) bold: bool,
    pub(super) rtl: bool,
    pub(super) parts: Vec<Part>,
}

impl Line {
    pub(super) fn text(&self) -> String {
        let parts: Vec<&str> = self.parts.iter().map(|part| part.text.as_str()).collect();
        parts.join(" ")
    }

    pub(super) fn is_parallel(&self, other: &Self) -> bool {
        self.along.0 * other.along.0 + self.along.1 * other.along.1 >= 0.98
    }
}

/// The lines of a page.
pub(super) fn lines(mut glyphs: Vec<Glyph>) -> Vec<Line> {
    drop_painted_again(&mut glyphs);
    attach_marks(&mut glyphs);
    let (fields, glyphs): (Vec<_>, Vec<_>) =
        glyphs.into_iter().partition(|glyph| glyph.field.is_some());
    let mut rows = rows(glyphs);
    for field in self::rows(fields) {
        place_field(&mut rows, field);
    }
    rows.into_iter().filter_map(line).collect()
}

/// Keeps one of the glyphs that are painted on each other: that of the longer
/// line, else the first. Files that were cut into strips draw a line of which each
/// strip holds a part, and again whole.
fn drop_painted_again(glyphs: &mut Vec<Glyph>) {
    const CELL: f64 = 4.0;
    let lengths = line_lengths(glyphs);
    let mut seen: HashMap<(char, i64, i64), Vec<usize>> = HashMap::new();
    let mut kept = vec![true; glyphs.len()];
    for (at, glyph) in glyphs.iter().enumerate().filter(|(_, glyph)| !glyph.text.is_blank()) {
        let near = (PAINTED_AGAIN * glyph.size).clamp(0.2, CELL);
        let cell = |place: f64| (place / CELL).floor() as i64;
        let (left, right) = (cell(glyph.x - near), cell(glyph.x + near));
        let (bottom, top) = (cell(glyph.y - near), cell(glyph.y + near));
        let cells = (left..=right).flat_map(|x| (bottom..=top).map(move |y| (x, y)));
        let first = glyph.text.first();
        let before = cells
            .filter_map(|(x, y)| seen.get(&(first, x, y)))
            .flatten()
            .find(|before| glyphs.get(**before).is_some_and(|before| paints(before, glyph, near)))
            .copied();
        let length = |at: usize| lengths.get(at).copied().unwrap_or(0);
        let dropped = before.map(|before| if length(before) < length(at) { before } else { at });
        if let Some(kept) = dropped.and_then(|dropped| kept.get_mut(dropped)) {
            *kept = false;
        }
        if dropped != Some(at) {
            seen.entry((first, cell(glyph.x), cell(glyph.y))).or_default().push(at);
        }
    }
    let mut kept = kept.into_iter();
    glyphs.retain(|_| kept.next().unwrap_or(true));
}

/// For each glyph, how many are drawn on its baseline in one go.
fn line_lengths(glyphs: &[Glyph]) -> Vec<usize> {
    let on_one_line = |one: &Glyph, two: &Glyph| {
        one.is_parallel(two)
            && (one.down() - two.down()).abs() <= LINE_SHIFT * one.size.min(two.size)
    };
    let lines = glyphs.chunk_by(on_one_line).map(<[Glyph]>::len);
    lines.flat_map(|length| std::iter::repeat_n(length, length)).collect()
}

/// Whether a glyph of the same character paints another again.
fn paints(before: &Glyph, glyph: &Glyph, near: f64) -> bool {
    let (x, y) = ((before.x - glyph.x).abs(), (before.y - glyph.y).abs());
    // Narrow letters that follow each other in a string, as the dashes that
    // lengthen Arabic words do, are no second paint. Nor are letters of a font
    // without widths, all of which stand at one place.
    let moves = glyph.advance.abs() > 1e-6 * glyph.size;
    let follows = before.show == glyph.show && (!moves || x.hypot(y) > 0.5 * glyph.advance);
    x <= near && y <= near && !follows
}

/// Joins marks over and under letters to the letter that they were drawn with,
/// so that no reordering parts them.
fn attach_marks(glyphs: &mut Vec<Glyph>) {
    let mut kept: Vec<Glyph> = Vec::with_capacity(glyphs.len());
    for glyph in glyphs.drain(..) {
        match kept.last_mut() {
            Some(letter)
                if is_mark(glyph.text.first())
                    && !letter.text.is_blank()
                    && letter.is_parallel(&glyph)
                    && (letter.along() - glyph.along()).abs() < 1.5 * letter.size
                    && (letter.down() - glyph.down()).abs() < letter.size =>
            {
                let mut text = String::new();
                letter.text.push_to(&mut text);
                glyph.text.push_to(&mut text);
                letter.text = Text::Str(text.into());
            }
            _ => kept.push(glyph),
        }
    }
    *glyphs = kept;
}

fn is_mark(char: char) -> bool {
    matches!(char, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}'
        | '\u{5c2}' | '\u{5c4}' | '\u{5c5}' | '\u{5c7}' | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{6d6}'..='\u{6dc}' | '\u{6df}'..='\u{6e4}')
}

/// Glyphs that stand on one baseline and were drawn one after the other.
struct Row {
    down: f64,
    size: f64,
    glyphs: Vec<Glyph>,
}

fn rows(glyphs: Vec<Glyph>) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for glyph in glyphs {
        match rows.last_mut() {
            Some(row) if row.takes(&glyph) => row.push(glyph),
            _ => rows.push(Row { down: glyph.down(), size: glyph.size, glyphs: vec![glyph] }),
        }
    }
    rows
}

impl Row {
    fn takes(&self, glyph: &Glyph) -> bool {
        let (large, small) = (self.size.max(glyph.size), self.size.min(glyph.size));
        let near = LINE_SHIFT * large.min(LINE_SCALE * small);
        self.glyphs.last().is_some_and(|last| last.is_parallel(glyph))
            && (glyph.down() - self.down).abs() <= near
    }

    fn push(&mut self, glyph: Glyph) {
        if glyph.size >= BASELINE_SIZE * self.size && !glyph.text.is_blank() {
            (self.down, self.size) = (glyph.down(), self.size.max(glyph.size));
        }
        self.glyphs.push(glyph);
    }

    fn overlaps(&self, other: &Self) -> bool {
        other.glyphs.iter().any(|two| {
            self.glyphs.iter().any(|one| one.along() < two.end() && two.along() < one.end())
        })
    }
}

/// A field's value is read with the line that it stands on, if there is room.
fn place_field(rows: &mut Vec<Row>, field: Row) {
    let Some(first) = field.glyphs.first() else { return };
    let off = |row: &Row| (row.down - field.down).abs();
    // A value is often set higher or lower in its field than the label beside
    // it. Fields follow each other closely, so the label of the next may be
    // nearer to the value than its own.
    let beside = |row: &Row| match first.field {
        Some((low, high)) if first.dx > 0.98 && high - low <= ONE_LINE * field.size => {
            (low..=high).contains(&-row.down)
        }
        _ => false,
    };
    let fits = |row: &Row| {
        row.glyphs.iter().any(|glyph| glyph.is_parallel(first) && !glyph.text.is_blank())
            && (beside(row) || off(row) <= LINE_SHIFT * row.size.min(field.size))
            && !row.overlaps(&field)
    };
    let row = rows
        .iter_mut()
        .filter(|row| fits(row))
        .min_by(|one, other| beside(other).cmp(&beside(one)).then(off(one).total_cmp(&off(other))));
    match row {
        Some(row) => row.glyphs.extend(field.glyphs),
        None => rows.push(field),
    }
}

/// Puts the glyphs of a row in order and parts them into words.
fn line(row: Row) -> Option<Line> {
    let glyphs = ordered(row.glyphs);
    let visible = || glyphs.iter().filter(|glyph| !glyph.text.is_blank());
    let first = visible().next()?;
    let (size, bold) = weights(visible());
    let (start, end) = visible().fold((f64::MAX, f64::MIN), |(start, end), glyph| {
        (start.min(glyph.along()), end.max(glyph.end()))
    });
    let along = (first.dx, first.dy);
    let tracking = Tracking::of(&glyphs);
    let mut parts: Vec<(f64, f64, Vec<bidi::Token>)> = Vec::new();
    let (mut before, mut blank): (Option<&Glyph>, bool) = (None, false);
    for glyph in &glyphs {
        if glyph.text.is_blank() {
            blank = true;
            continue;
        }
        let gap = before.map_or(f64::MAX, |before| gap(before, glyph));
        let parted = before.is_some_and(|before| blank || is_parted(before, glyph, &tracking));
        match parts.last_mut() {
            Some((_, end, tokens)) if gap <= GAP_COLUMN => {
                if parted {
                    tokens.push(bidi::Token::Space);
                }
                tokens.extend(bidi::tokens(&glyph.text));
                *end = end.max(glyph.end());
            }
            _ => parts.push((glyph.along(), glyph.end(), bidi::tokens(&glyph.text).collect())),
        }
        (before, blank) = (Some(glyph), false);
    }
    let rtl = bidi::is_rtl(parts.iter().flat_map(|(_, _, tokens)| tokens));
    let mut parts: Vec<Part> = parts
        .into_iter()
        .map(|(start, end, tokens)| Part { start, end, text: bidi::logical(tokens, rtl) })
        .collect();
    if rtl {
        parts.reverse();
    }
    Some(Line { along, down: row.down, start, end, size, bold, rtl, parts })
}

/// Glyphs from left to right. What was drawn in one movement stays as it is.
fn ordered(glyphs: Vec<Glyph>) -> Vec<Glyph> {
    let mut fragments: Vec<Vec<Glyph>> = Vec::new();
    for glyph in glyphs {
        match fragments.last_mut() {
            Some(fragment) if fragment.last().is_some_and(|last| gap(last, &glyph) >= -BACK) => {
                fragment.push(glyph);
            }
            _ => fragments.push(vec![glyph]),
        }
    }
    let start = |fragment: &Vec<Glyph>| fragment.first().map_or(0.0, Glyph::along);
    fragments.sort_by(|one, other| start(one).total_cmp(&start(other)));
    fragments.into_iter().flatten().collect()
}

fn gap(before: &Glyph, glyph: &Glyph) -> f64 {
    (glyph.along() - before.end()) / before.size.max(glyph.size)
}

/// The size and weight that most characters have.
fn weights<'a>(glyphs: impl Iterator<Item = &'a Glyph>) -> (f64, bool) {
    let (mut sizes, mut bold, mut all) = (HashMap::<i64, usize>::new(), 0, 0);
    for glyph in glyphs {
        *sizes.entry((glyph.size * 4.0).round() as i64).or_default() += 1;
        bold += usize::from(glyph.bold);
        all += 1;
    }
    let most = sizes.into_iter().max_by_key(|(size, count)| (*count, *size));
    (most.map_or(1.0, |(size, _)| size as f64 / 4.0), 2 * bold > all)
}

/// The thresholds that letter spacing asks for.
#[derive(Default)]
struct Tracking {
    /// Of strings that have enough letters to decide.
    strings: HashMap<u32, f64>,
    /// Of all other letters of the line.
    line: f64,
}

impl Tracking {
    fn of(glyphs: &[Glyph]) -> Self {
        // Leaders of dots are wide apart and say nothing of letters.
        let is_letter = |glyph: &Glyph| glyph.text.first().is_alphanumeric();
        let mut strings: HashMap<u32, Vec<f64>> = HashMap::new();
        for pair in glyphs.windows(2) {
            if let [one, two] = pair
                && one.show == two.show
                && is_letter(one)
                && is_letter(two)
            {
                strings.entry(one.show).or_default().push(gap(one, two));
            }
        }
        let mut gaps: Vec<f64> = strings.values().flatten().copied().collect();
        let middle = gaps.len() / 2;
        let line = (gaps.len() >= TRACKED)
            .then(|| *gaps.select_nth_unstable_by(middle, f64::total_cmp).1)
            .map_or(0.0, threshold);
        // Spacing is between all letters of a string: two that touch show that a
        // string has none, and its wide gaps are blanks.
        let least = |gaps: &Vec<f64>| gaps.iter().copied().fold(f64::MAX, f64::min);
        let enough = strings.iter().filter(|(_, gaps)| gaps.len() >= TRACKED);
        let strings = enough.map(|(show, gaps)| (*show, threshold(least(gaps)))).collect();
        Self { strings, line }
    }

    fn between(&self, before: &Glyph, glyph: &Glyph) -> f64 {
        let of_string = (before.show == glyph.show).then(|| self.strings.get(&glyph.show));
        of_string.flatten().copied().unwrap_or(self.line)
    }
}

fn threshold(spacing: f64) -> f64 {
    TRACKING.0 * spacing + TRACKING.1
}

/// Whether two glyphs without a blank between them belong to two words.
fn is_parted(before: &Glyph, glyph: &Glyph, tracking: &Tracking) -> bool {
    let gap = gap(before, glyph);
    let base = if is_cjk(before.text.last()) && is_cjk(glyph.text.first()) {
        GAP_CJK
    } else if before.show == glyph.show {
        GAP_WITHIN
    } else {
        GAP_BETWEEN
    };
    gap > base.max(tracking.between(before, glyph)) || gap < -2.0 || is_mark_apart(before, glyph)
}

/// Whether one of two glyphs is raised so far over the other that it is a mark
/// beside a word. What is lowered is an index and part of its symbol.
fn is_mark_apart(before: &Glyph, glyph: &Glyph) -> bool {
    let lowered = (glyph.down() - before.down()) / before.size.max(glyph.size);
    let index = if lowered > 0.0 { glyph.size < before.size } else { before.size < glyph.size };
    lowered.abs() > SHIFT && !index
}

/// Scripts that put no blank between words.
pub(super) fn is_cjk(char: char) -> bool {
    matches!(char, '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}'
        | '\u{20000}'..='\u{3ffff}')
}
