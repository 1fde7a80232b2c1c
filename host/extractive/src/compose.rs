//! From the units that answer to quotes: each with what it takes to understand it.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::judge::{Candidate, Read, Reading};
use crate::units::{Unit, UnitKind};
use crate::{Quote, Settings, shape};

/// Words of an item that says little without what announces its list.
const SHORT_ITEM_WORDS: usize = 6;

/// Units that are quoted, in reading order, and ranges of what they announce.
#[derive(Default)]
struct Picked {
    answers: BTreeSet<(usize, usize)>,
    context: BTreeSet<(usize, usize)>,
    announced: BTreeSet<(usize, usize, usize)>,
}

/// The quotes of the units that answer, in reading order.
pub(crate) fn quotes(
    reading: &Reading<'_>,
    candidates: &[&Candidate],
    settings: &Settings,
) -> Vec<Quote> {
    let mut picked = Picked::default();
    for candidate in candidates {
        picked.answers.insert((candidate.passage, candidate.unit));
    }
    for candidate in candidates {
        let Some(read) = reading.passages.get(candidate.passage) else { continue };
        picked.around(read, candidate, settings);
    }
    picked.quotes(reading)
}

impl Picked {
    /// Adds what a unit is understood by.
    fn around(&mut self, read: &Read<'_>, candidate: &Candidate, settings: &Settings) {
        let Candidate { passage, unit: at, .. } = *candidate;
        let Some(unit) = read.units.get(at) else { return };
        let text = read.unit_text(unit);
        let lead = unit.lead.and_then(|lead| Some((lead, read.units.get(lead)?)));
        match (unit.kind, lead) {
            (UnitKind::Row, Some((lead, one))) if one.kind == UnitKind::Columns => {
                self.context.insert((passage, lead));
            }
            (UnitKind::Code, Some((lead, _))) => {
                self.context.insert((passage, lead));
            }
            (UnitKind::Sentence, Some((lead, one)))
                if one.kind == UnitKind::Sentence
                    && unit.list.is_some()
                    && text.split_whitespace().count() <= SHORT_ITEM_WORDS =>
            {
                self.context.insert((passage, lead));
            }
            _ => {}
        }
        if unit.kind == UnitKind::Sentence
            && ragtime_text::refers_back(text, read.language)
            && let Some(before) = at.checked_sub(1)
            && read
                .units
                .get(before)
                .is_some_and(|one| one.kind == UnitKind::Sentence && one.block == unit.block)
        {
            self.context.insert((passage, before));
        }
        if shape::announces(text)
            && let Some((first, last)) = announced(read, at, unit, settings.max_announced_bytes)
        {
            self.announced.insert((passage, first, last));
        }
    }

    fn quotes(self, reading: &Reading<'_>) -> Vec<Quote> {
        let mut quotes = Vec::new();
        let covered = |passage: usize, unit: usize| {
            self.announced
                .iter()
                .any(|(p, first, last)| *p == passage && (*first..=*last).contains(&unit))
        };
        let mut add = |passage: usize, first: usize, last: usize, context: bool| {
            let Some(read) = reading.passages.get(passage) else { return };
            let (Some(from), Some(to)) = (read.units.get(first), read.units.get(last)) else {
                return;
            };
            let alone = first == last;
            let span = if alone { from.span.clone() } else { whole_lines(read.text, from, to) };
            let lines =
                !alone || matches!(from.kind, UnitKind::Row | UnitKind::Columns | UnitKind::Code);
            quotes.push(Quote { passage, start: span.start, end: span.end, context, lines });
        };
        for (passage, unit) in &self.answers {
            if !covered(*passage, *unit) {
                add(*passage, *unit, *unit, false);
            }
        }
        for (passage, unit) in &self.context {
            if !covered(*passage, *unit) && !self.answers.contains(&(*passage, *unit)) {
                add(*passage, *unit, *unit, true);
            }
        }
        for (passage, first, last) in &self.announced {
            add(*passage, *first, *last, true);
        }
        quotes.sort_by_key(|quote| (quote.passage, quote.start));
        quotes
    }
}

/// From the mark of the first item to the end of the last.
fn whole_lines(text: &str, from: &Unit, to: &Unit) -> Range<usize> {
    let before = text.get(..from.span.start).unwrap_or_default();
    let line = before.rfind('\n').map_or(0, |at| at + 1);
    let mark = before.get(line..).unwrap_or_default();
    let own = !mark.chars().any(char::is_alphanumeric) || shape::item_mark(mark).is_some();
    let start = if own { line + mark.len() - mark.trim_start().len() } else { from.span.start };
    start..to.span.end
}

/// The units that a sentence with a colon announces, as far as they fit.
fn announced(read: &Read<'_>, at: usize, unit: &Unit, most: usize) -> Option<(usize, usize)> {
    let first = at + 1;
    let led = |place: &usize| {
        let mut lead = read.units.get(*place).and_then(|unit| unit.lead);
        for _ in 0..2 {
            if lead == Some(at) {
                return true;
            }
            lead = lead.and_then(|lead| read.units.get(lead)).and_then(|unit| unit.lead);
        }
        false
    };
    let fits = |place: &usize| {
        read.units.get(*place).is_some_and(|other| other.span.end - unit.span.end <= most)
    };
    let last = (first..read.units.len()).take_while(|place| led(place) && fits(place)).last()?;
    Some((first, last))
}
