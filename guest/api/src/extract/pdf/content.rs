//! Runs content streams for the glyphs that they place (ISO 32000-2, 9.4). What
//! paints without text is passed over.

use std::collections::HashMap;
use std::rc::Rc;

use hayro_font::FontGlyph;
use hayro_syntax::content::{Instruction, UntypedIter};
use hayro_syntax::object::{Array, Dict, Name, Object, ObjectIdentifier, Stream, String as Bytes};
use hayro_syntax::page::Resources;

use super::super::Unreadable;
use super::fonts::{Face, Fonts};
use super::forms;
use super::geometry::{Affine, Glyph, Text};
use super::layers::Layers;
use super::unicode::tidy;
use super::unpack::{Budget, Fault};
use crate::limits;

/// What one document may still cost.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) budget: Budget,
    operators: usize,
    forms: usize,
    glyphs: usize,
}

impl Default for Work {
    fn default() -> Self {
        Self {
            budget: Budget::default(),
            operators: limits::MAX_PDF_OPERATORS,
            forms: limits::MAX_PDF_FORMS,
            glyphs: limits::MAX_PDF_GLYPHS,
        }
    }
}

fn spend(left: &mut usize, most: usize, what: &'static str) -> Result<(), Unreadable> {
    *left = left.checked_sub(1).ok_or(Unreadable::Bound { most, what })?;
    Ok(())
}

/// What was found on a page.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) glyphs: Vec<Glyph>,
    /// Characters left out by the name of their font: it has no mapping.
    pub(super) unmapped: HashMap<String, usize>,
    /// Fonts that cannot be read.
    pub(super) unreadable: Vec<String>,
    /// Streams that cannot be unpacked.
    pub(super) broken: usize,
}

/// The graphics state, as far as text depends on it.
#[derive(Clone)]
struct State<'a> {
    /// From the space of the stream to that of the page.
    space: Affine,
    /// Where the pen is and where its line began.
    pen: Affine,
    line: Affine,
    face: Option<Rc<Face<'a>>>,
    size: f64,
    letter_space: f64,
    word_space: f64,
    stretch: f64,
    leading: f64,
    rise: f64,
}

impl State<'_> {
    fn new(space: Affine) -> Self {
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

    fn next_line(&mut self, x: f64, y: f64) {
        self.line = self.line.after(&Affine::shift(x, y));
        self.pen = self.line;
    }
}

/// A sequence of marked content.
struct Marked {
    /// Whether it and all around it are shown.
    shown: bool,
    /// What it says instead of its glyphs, which begin here.
    instead: Option<(String, usize)>,
}

/// A form that has been unpacked.
struct Form<'a> {
    bytes: Rc<[u8]>,
    matrix: Affine,
    resources: Option<Resources<'a>>,
}

/// Reads the pages of one document.
pub(super) struct Reader<'a> {
    pub(super) work: Work,
    fonts: Fonts<'a>,
    layers: Layers,
    found: Found,
    forms: HashMap<ObjectIdentifier, Option<Rc<Form<'a>>>>,
    /// Bytes that the forms of the page hold.
    held: usize,
    /// The forms that are being run, outermost first.
    within: Vec<ObjectIdentifier>,
    marked: Vec<Marked>,
    shows: u32,
    in_field: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(catalog: &Dict<'a>) -> Self {
        Self {
            work: Work::default(),
            fonts: Fonts::default(),
            layers: Layers::of(catalog),
            found: Found::default(),
            forms: HashMap::new(),
            held: 0,
            within: Vec::new(),
            marked: Vec::new(),
            shows: 0,
            in_field: false,
        }
    }

    /// What is on a page: its contents, its annotations and its form fields.
    pub(super) fn page(
        &mut self,
        page: &Dict<'a>,
        resources: &Resources<'a>,
    ) -> Result<Found, Unreadable> {
        self.found = Found::default();
        let contents = self.contents(page)?;
        self.run(&contents, resources, State::new(Affine::IDENTITY))?;
        self.marked.clear();
        if let Some(annotations) = page.get::<Array<'_>>("Annots") {
            for annotation in annotations.iter::<Dict<'_>>().take(limits::MAX_PDF_ANNOTATIONS) {
                self.annotation(&annotation, resources)?;
            }
        }
        self.forms.clear();
        self.held = 0;
        Ok(std::mem::take(&mut self.found))
    }

    /// The bytes of all streams of a page, one after the other.
    fn contents(&mut self, page: &Dict<'a>) -> Result<Vec<u8>, Unreadable> {
        let mut contents = Vec::new();
        let streams: Vec<Stream<'a>> = match page.get::<Object<'_>>("Contents") {
            Some(Object::Stream(stream)) => vec![stream],
            Some(Object::Array(array)) => array.iter::<Stream<'_>>().collect(),
            _ => Vec::new(),
        };
        for stream in streams {
            match self.work.budget.unpack(&stream) {
                Ok(bytes) => contents.extend_from_slice(&bytes),
                Err(Fault::Broken) => self.found.broken += 1,
                Err(Fault::Refused(why)) => return Err(why),
            }
            contents.push(b'\n');
        }
        Ok(contents)
    }

    fn annotation(
        &mut self,
        annotation: &Dict<'a>,
        resources: &Resources<'a>,
    ) -> Result<(), Unreadable> {
        if !forms::is_shown(annotation) || !self.layers.shows(annotation, b"OC") {
            return Ok(());
        }
        let before = self.found.glyphs.len();
        self.in_field = forms::is_field(annotation);
        if let Some(stream) = forms::appearance(annotation)
            && let Some(form) = self.form(&stream)?
            && let Some(placed) = forms::placed(annotation, &stream, &form.matrix)
        {
            self.run_form(stream.obj_id(), &form, resources, State::new(placed))?;
        }
        self.in_field = false;
        self.marked.clear();
        let said_nothing = self.found.glyphs.iter().skip(before).all(|glyph| glyph.text.is_blank());
        if said_nothing {
            self.found.glyphs.truncate(before);
            for glyph in forms::value(annotation, &mut self.shows) {
                spend(&mut self.work.glyphs, limits::MAX_PDF_GLYPHS, "glyphs")?;
                self.found.glyphs.push(glyph);
            }
        }
        Ok(())
    }

    fn run(
        &mut self,
        bytes: &[u8],
        resources: &Resources<'a>,
        state: State<'a>,
    ) -> Result<(), Unreadable> {
        if !may_show(bytes) {
            return Ok(());
        }
        let mut operators = UntypedIter::new(bytes);
        let (mut state, mut saved) = (state, Vec::new());
        while let Some(operator) = operators.next() {
            spend(&mut self.work.operators, limits::MAX_PDF_OPERATORS, "drawing operators")?;
            let name: &[u8] = operator.operator;
            match name {
                b"q" if saved.len() < limits::MAX_PDF_DEPTH => saved.push(state.clone()),
                b"Q" => state = saved.pop().unwrap_or(state),
                b"Do" => self.xobject(&operator, resources, &state)?,
                b"gs" => self.graphics_state(&operator, resources, &mut state)?,
                b"Tf" => self.set_font(&operator, resources, &mut state)?,
                b"BMC" | b"BDC" => self.begin(&operator, resources, &state),
                b"EMC" => self.end(&state),
                b"Tj" | b"TJ" | b"'" | b"\"" => self.show(&operator, resources, &mut state)?,
                _ => place(&operator, &mut state),
            }
        }
        Ok(())
    }

    fn set_font(
        &mut self,
        operator: &Instruction<'_, '_>,
        resources: &Resources<'a>,
        state: &mut State<'a>,
    ) -> Result<(), Unreadable> {
        let mut operands = operator.operands();
        let Some(Object::Name(name)) = operands.next() else { return Ok(()) };
        if let Some(Object::Number(size)) = operands.next() {
            state.size = size.as_f64();
        }
        state.face = match resources.get_font(name) {
            Some(dict) => Some(self.face(&dict)?),
            None => Some(self.fonts.stand_in()),
        };
        Ok(())
    }

    fn face(&mut self, dict: &Dict<'a>) -> Result<Rc<Face<'a>>, Unreadable> {
        let face = self.fonts.face(dict, &mut self.work.budget)?;
        if face.font.is_none() && !self.found.unreadable.contains(&face.name) {
            self.found.unreadable.push(face.name.clone());
        }
        Ok(face)
    }

    fn graphics_state(
        &mut self,
        operator: &Instruction<'_, '_>,
        resources: &Resources<'a>,
        state: &mut State<'a>,
    ) -> Result<(), Unreadable> {
        let Some(Object::Name(name)) = operator.operands().next() else { return Ok(()) };
        let Some(dict) = resources.get_ext_g_state(name) else { return Ok(()) };
        let Some(font) = dict.get::<Array<'_>>("Font") else { return Ok(()) };
        let mut parts = font.iter::<Object<'_>>();
        if let (Some(Object::Dict(font)), Some(Object::Number(size))) = (parts.next(), parts.next())
        {
            state.size = size.as_f64();
            state.face = Some(self.face(&font)?);
        }
        Ok(())
    }

    fn xobject(
        &mut self,
        operator: &Instruction<'_, '_>,
        resources: &Resources<'a>,
        state: &State<'a>,
    ) -> Result<(), Unreadable> {
        let Some(Object::Name(name)) = operator.operands().next() else { return Ok(()) };
        let Some(stream) = resources.get_x_object(name) else { return Ok(()) };
        let dict = stream.dict();
        let is_image = dict.get::<Name<'_>>("Subtype").is_some_and(|kind| kind.as_str() != "Form");
        if is_image || !self.is_shown() || !self.layers.shows(dict, b"OC") {
            return Ok(());
        }
        let Some(form) = self.form(&stream)? else { return Ok(()) };
        let mut inner = state.clone();
        inner.space = state.space.after(&form.matrix);
        self.run_form(stream.obj_id(), &form, resources, inner)
    }

    fn run_form(
        &mut self,
        id: ObjectIdentifier,
        form: &Form<'a>,
        resources: &Resources<'a>,
        state: State<'a>,
    ) -> Result<(), Unreadable> {
        // A form within itself is drawn by no viewer.
        if self.within.contains(&id) || self.within.len() >= limits::MAX_PDF_DEPTH {
            return Ok(());
        }
        spend(&mut self.work.forms, limits::MAX_PDF_FORMS, "forms drawn")?;
        self.within.push(id);
        let marked = self.marked.len();
        let resources = form.resources.as_ref().unwrap_or(resources);
        let run = self.run(&form.bytes, resources, state);
        while self.marked.len() > marked {
            self.marked.pop();
        }
        self.within.pop();
        run
    }

    fn form(&mut self, stream: &Stream<'a>) -> Result<Option<Rc<Form<'a>>>, Unreadable> {
        let id = stream.obj_id();
        if let Some(known) = self.forms.get(&id) {
            return Ok(known.clone());
        }
        let form = match self.work.budget.unpack(stream) {
            Ok(bytes) => Some(Rc::new(Form {
                bytes: if may_show(&bytes) { bytes.as_ref().into() } else { Rc::default() },
                matrix: stream.dict().get("Matrix").map_or(Affine::IDENTITY, Affine::new),
                resources: stream.dict().get::<Dict<'_>>("Resources").map(Resources::new),
            })),
            Err(Fault::Broken) => None,
            Err(Fault::Refused(why)) => return Err(why),
        };
        match &form {
            None => self.found.broken += 1,
            Some(form) => self.held += form.bytes.len(),
        }
        if self.held > limits::MAX_PDF_STREAM_BYTES {
            self.forms.clear();
            self.held = 0;
        }
        self.forms.insert(id, form.clone());
        Ok(form)
    }

    fn is_shown(&self) -> bool {
        self.marked.last().is_none_or(|marked| marked.shown)
    }

    fn begin(
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

    fn end(&mut self, state: &State<'a>) {
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

    fn show(
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

/// Whether a stream can show text at all: most that only paint are left unread.
fn may_show(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = memchr::memchr3(b'T', b'D', b'\'', rest) {
        match rest.get(at..at + 2) {
            Some(b"Tj" | b"TJ" | b"Do") => return true,
            _ if rest.get(at) == Some(&b'\'') => return true,
            _ => rest = rest.get(at + 1..).unwrap_or_default(),
        }
    }
    memchr::memchr(b'"', bytes).is_some()
}

/// Operators that move the pen or set how text is spaced.
fn place(operator: &Instruction<'_, '_>, state: &mut State<'_>) {
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

fn kern(back: f64, face: &Face<'_>, state: &mut State<'_>) {
    let by = -back / 1_000.0 * state.size;
    let horizontal = face.font.as_ref().is_none_or(hayro_font::Font::is_horizontal);
    let shift =
        if horizontal { Affine::shift(by * state.stretch, 0.0) } else { Affine::shift(0.0, by) };
    state.pen = state.pen.after(&shift);
}

/// The first operands, if they are numbers.
fn numbers<const N: usize>(operator: &Instruction<'_, '_>) -> Option<[f64; N]> {
    let mut numbers = [0.0; N];
    let mut operands = operator.operands();
    for number in &mut numbers {
        let Some(Object::Number(found)) = operands.next() else { return None };
        *number = found.as_f64();
    }
    Some(numbers)
}

fn actual_text(properties: &Dict<'_>) -> Option<String> {
    let text = properties.get::<Bytes<'_>>("ActualText")?;
    Some(super::strings::text(text.as_bytes()))
}

/// A text without what layout adds to it, to compare two of them.
fn squeezed(text: &str) -> String {
    text.chars().filter(|char| !char.is_whitespace()).collect()
}

/// Replacement text. A soft hyphen in it says that the word goes on.
fn tidy_actual(text: &str) -> Option<Text> {
    tidy(text)
}
