//! Shows strings: each code becomes a glyph at its place (ISO 32000-2, 9.4.3).

use std::rc::Rc;

use hayro_font::FontGlyph;
use hayro_syntax::content::Instruction;
use hayro_syntax::object::{Object, String as Bytes};
use hayro_syntax::page::Resources;

use super::super::super::Unreadable;
use super::super::fonts::Face;
use super::super::geometry::{Affine, Glyph};
use super::state::{State, kern, numbers};
use super::{Reader, may_show, spend};
use crate::limits;

impl<'a> Reader<'a> {
    pub(super) fn show(
        &mut self,
        operator: &Instruction<'_, '_>,
        resources: &Resources<'a>,
        state: &mut State<'a>,
    ) -> Result<(), Unreadable> {
        let name: &[u8] = operator.operator;
        match name {
            b"'" => state.next_line(0.0, -state.leading),
            b"\"" => {
                if let Some([word, letter]) = numbers(operator) {
                    (state.word_space, state.letter_space) = (word, letter);
                }
                state.next_line(0.0, -state.leading);
            }
            _ => {}
        }
        let face = match &state.face {
            Some(face) => face.clone(),
            None => self.fonts.stand_in(),
        };
        self.shows += 1;
        match operator.operands().last() {
            Some(Object::String(text)) => self.string(text, &face, resources, state),
            Some(Object::Array(parts)) => {
                for part in parts.iter::<Object<'_>>() {
                    match part {
                        Object::String(text) => self.string(&text, &face, resources, state)?,
                        Object::Number(back) => kern(back.as_f64(), &face, state),
                        _ => {}
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn string(
        &mut self,
        text: &Bytes<'_>,
        face: &Rc<Face<'a>>,
        resources: &Resources<'a>,
        state: &mut State<'a>,
    ) -> Result<(), Unreadable> {
        let bytes = text.as_bytes();
        let Some(font) = &face.font else { return Ok(()) };
        // Bytes that are not ASCII mean nothing without the font they are for.
        let shown = self.is_shown() && (!face.stands_in || bytes.is_ascii());
        let mut at = 0;
        while at < bytes.len() {
            let (code, length) = font.read_code(bytes, at);
            let length = length.max(1);
            at += length;
            let advance = font.code_advance(code);
            if shown {
                spend(&mut self.work.glyphs, limits::MAX_PDF_GLYPHS, "glyphs")?;
                self.glyph(face, code, length, state, resources)?;
            }
            let word = if code == 32 && length == 1 { state.word_space } else { 0.0 };
            let extra = state.letter_space + word;
            let (x, y) = if font.is_horizontal() {
                ((advance.x / 1_000.0 * state.size + extra) * state.stretch, 0.0)
            } else {
                (0.0, advance.y / 1_000.0 * state.size + extra)
            };
            state.pen = state.pen.after(&Affine::shift(x, y));
        }
        Ok(())
    }

    fn glyph(
        &mut self,
        face: &Rc<Face<'a>>,
        code: u32,
        length: usize,
        state: &State<'a>,
        resources: &Resources<'a>,
    ) -> Result<(), Unreadable> {
        let Some(font) = &face.font else { return Ok(()) };
        let scale =
            Affine::new([state.size * state.stretch, 0.0, 0.0, state.size, 0.0, state.rise]);
        let to_page = state.space.after(&state.pen).after(&scale);
        let Some(text) = face.text(code, length) else {
            return self.without_text(face, code, &to_page, resources);
        };
        let advance = font.code_advance(code);
        let (along, height) = if font.is_horizontal() {
            (to_page.turn(1.0, 0.0), to_page.turn(0.0, 1.0))
        } else {
            (to_page.turn(0.0, -1.0), to_page.turn(1.0, 0.0))
        };
        let unit = along.0.hypot(along.1);
        let size = height.0.hypot(height.1) * face.em;
        let (x, y) = to_page.place(0.0, 0.0);
        if !(unit.is_normal() && size.is_normal() && x.is_finite() && y.is_finite()) {
            return Ok(());
        }
        if self.found.glyphs.len() >= limits::MAX_PDF_PAGE_GLYPHS {
            let most = limits::MAX_PDF_PAGE_GLYPHS;
            return Err(Unreadable::Bound { most, what: "glyphs on one page" });
        }
        let moved = if font.is_horizontal() { advance.x } else { -advance.y };
        self.found.glyphs.push(Glyph {
            text,
            x,
            y,
            dx: along.0 / unit,
            dy: along.1 / unit,
            size,
            advance: moved / 1_000.0 * unit,
            show: self.shows,
            bold: face.bold,
            field: self.in_field,
        });
        Ok(())
    }

    /// A glyph whose code has no meaning: a drawing of a Type 3 font may itself
    /// show text; any other is counted.
    fn without_text(
        &mut self,
        face: &Rc<Face<'a>>,
        code: u32,
        to_page: &Affine,
        resources: &Resources<'a>,
    ) -> Result<(), Unreadable> {
        let Some(font) = &face.font else { return Ok(()) };
        if let FontGlyph::Type3(glyph) = font.glyph(font.map_code(code), code)
            && let Some(stream) = glyph.program()
            && let Some(form) = self.form(stream)?
            && may_show(&form.bytes)
        {
            let matrix = Affine::new(glyph.font().matrix().as_coeffs());
            let own = glyph.font().resources().map(Resources::new);
            let state = State::new(to_page.after(&matrix));
            return self.run_form(stream.obj_id(), &form, own.as_ref().unwrap_or(resources), state);
        }
        if face.has_ink(code) {
            *self.found.unmapped.entry(face.name.clone()).or_default() += 1;
        }
        Ok(())
    }
}
