//! Marked content: replacement text and layers (ISO 32000-2, 14.6).

use hayro_syntax::content::Instruction;
use hayro_syntax::object::{Dict, Object, String as Bytes};
use hayro_syntax::page::Resources;

use super::super::geometry::{Glyph, Text};
use super::super::strings;
use super::super::unicode::tidy;
use super::Reader;
use super::state::State;
use crate::limits;

/// A sequence of marked content.
pub(super) struct Marked {
    /// Whether it and all around it are shown.
    pub(super) shown: bool,
    /// What it says instead of its glyphs, which begin here.
    instead: Option<(String, usize)>,
}

impl<'a> Reader<'a> {
    pub(super) fn is_shown(&self) -> bool {
        self.marked.last().is_none_or(|marked| marked.shown)
    }

    pub(super) fn begin(
        &mut self,
        operator: &Instruction<'_, '_>,
        resources: &Resources<'a>,
        _state: &State<'a>,
    ) {
        let mut operands = operator.operands();
        let is_layer = matches!(operands.next(), Some(Object::Name(tag)) if tag.as_str() == "OC");
        let mut shown = self.is_shown();
        let instead = match operands.next() {
            Some(Object::Name(name)) => {
                shown &= !is_layer || self.layers.shows(&resources.properties, name);
                let properties = resources.properties.get::<Dict<'_>>(name);
                properties.and_then(|properties| actual_text(&properties))
            }
            Some(Object::Dict(properties)) => actual_text(properties),
            _ => None,
        };
        let instead = instead.filter(|_| shown).map(|text| (text, self.found.glyphs.len()));
        if self.marked.len() < limits::MAX_PDF_STREAM_BYTES / 1_024 {
            self.marked.push(Marked { shown, instead });
        }
    }

    pub(super) fn end(&mut self, state: &State<'a>) {
        let Some(Marked { instead: Some((text, start)), .. }) = self.marked.pop() else { return };
        let start = start.min(self.found.glyphs.len());
        let replaced = self.found.glyphs.split_off(start);
        let mut drawn = String::new();
        replaced.iter().for_each(|glyph| glyph.text.push_to(&mut drawn));
        if squeezed(&drawn) == squeezed(&text) {
            self.found.glyphs.extend(replaced);
            return;
        }
        let Some(text) = tidy_actual(&text) else { return };
        let glyph = match (replaced.first(), replaced.last()) {
            (Some(first), Some(last)) => {
                let mut glyph = first.clone();
                let same_line = first.is_parallel(last)
                    && (first.down() - last.down()).abs() < first.size
                    && last.end() > first.along();
                if same_line {
                    glyph.advance = last.end() - first.along();
                }
                glyph
            }
            // What is drawn as a path or an image stands where the pen is.
            _ => self.at_pen(state),
        };
        self.found.glyphs.push(Glyph { text, ..glyph });
    }

    fn at_pen(&mut self, state: &State<'a>) -> Glyph {
        let (x, y) = state.space.place(0.0, 0.0);
        self.shows += 1;
        Glyph {
            text: Text::Char(' '),
            x,
            y,
            dx: 1.0,
            dy: 0.0,
            size: 10.0,
            advance: 0.0,
            show: self.shows,
            bold: false,
            field: self.in_field,
        }
    }
}

fn actual_text(properties: &Dict<'_>) -> Option<String> {
    let text = properties.get::<Bytes<'_>>("ActualText")?;
    Some(strings::text(text.as_bytes()))
}

/// A text without what layout adds to it, to compare two of them.
fn squeezed(text: &str) -> String {
    text.chars().filter(|char| !char.is_whitespace()).collect()
}

/// Replacement text. A soft hyphen in it says that the word goes on.
fn tidy_actual(text: &str) -> Option<Text> {
    tidy(text)
}
