//! The graphics state, as far as text depends on it, and the operators that
//! change it (ISO 32000-2, 9.3 and 9.4).

use std::rc::Rc;

use hayro_syntax::content::Instruction;
use hayro_syntax::object::Object;

use super::super::fonts::Face;
use super::super::geometry::Affine;

/// The graphics state, as far as text depends on it.
#[derive(Clone)]
pub(super) struct State<'a> {
    /// From the space of the stream to that of the page.
    pub(super) space: Affine,
    /// Where the pen is and where its line began.
    pub(super) pen: Affine,
    pub(super) line: Affine,
    pub(super) face: Option<Rc<Face<'a>>>,
    pub(super) size: f64,
    pub(super) letter_space: f64,
    pub(super) word_space: f64,
    pub(super) stretch: f64,
    pub(super) leading: f64,
    pub(super) rise: f64,
}

impl State<'_> {
    pub(super) fn new(space: Affine) -> Self {
        Self {
            space,
            pen: Affine::IDENTITY,
            line: Affine::IDENTITY,
            face: None,
            size: 1.0,
            letter_space: 0.0,
            word_space: 0.0,
            stretch: 1.0,
            leading: 0.0,
            rise: 0.0,
        }
    }

    pub(super) fn next_line(&mut self, x: f64, y: f64) {
        self.line = self.line.after(&Affine::shift(x, y));
        self.pen = self.line;
    }
}

/// Operators that move the pen or set how text is spaced.
pub(super) fn place(operator: &Instruction<'_, '_>, state: &mut State<'_>) {
    let one = || numbers(operator).map(|[number]| number);
    let name: &[u8] = operator.operator;
    match name {
        b"cm" => {
            if let Some(matrix) = numbers(operator) {
                state.space = state.space.after(&Affine::new(matrix));
            }
        }
        b"BT" => (state.pen, state.line) = (Affine::IDENTITY, Affine::IDENTITY),
        b"Tm" => {
            if let Some(matrix) = numbers(operator) {
                state.line = Affine::new(matrix);
                state.pen = state.line;
            }
        }
        b"Td" => {
            if let Some([x, y]) = numbers(operator) {
                state.next_line(x, y);
            }
        }
        b"TD" => {
            if let Some([x, y]) = numbers(operator) {
                state.leading = -y;
                state.next_line(x, y);
            }
        }
        b"T*" => state.next_line(0.0, -state.leading),
        b"Tc" => state.letter_space = one().unwrap_or(state.letter_space),
        b"Tw" => state.word_space = one().unwrap_or(state.word_space),
        b"Tz" => state.stretch = one().map_or(state.stretch, |percent| percent / 100.0),
        b"TL" => state.leading = one().unwrap_or(state.leading),
        b"Ts" => state.rise = one().unwrap_or(state.rise),
        _ => {}
    }
}

pub(super) fn kern(back: f64, face: &Face<'_>, state: &mut State<'_>) {
    let by = -back / 1_000.0 * state.size;
    let horizontal = face.font.as_ref().is_none_or(hayro_font::Font::is_horizontal);
    let shift =
        if horizontal { Affine::shift(by * state.stretch, 0.0) } else { Affine::shift(0.0, by) };
    state.pen = state.pen.after(&shift);
}

/// The first operands, if they are numbers.
pub(super) fn numbers<const N: usize>(operator: &Instruction<'_, '_>) -> Option<[f64; N]> {
    let mut numbers = [0.0; N];
    let mut operands = operator.operands();
    for number in &mut numbers {
        let Some(Object::Number(found)) = operands.next() else { return None };
        *number = found.as_f64();
    }
    Some(numbers)
}
