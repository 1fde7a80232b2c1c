//! Runs content streams for the glyphs that they place (ISO 32000-2, 9.4). What
//! paints without text is passed over.

mod marked;
mod show;
mod state;

use std::collections::HashMap;
use std::rc::Rc;

use hayro_syntax::content::{Instruction, UntypedIter};
use hayro_syntax::object::{Array, Dict, Name, Object, ObjectIdentifier, Stream};
use hayro_syntax::page::Resources;

use self::marked::Marked;
use self::state::{State, place};
use super::super::Unreadable;
use super::fonts::{Face, Fonts};
use super::forms;
use super::geometry::{Affine, Glyph};
use super::layers::Layers;
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
    /// Whether forms lie deeper within others than is read.
    pub(super) too_deep: bool,
    /// Annotations beyond those that are read.
    pub(super) more_annotations: bool,
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
    in_field: Option<(f64, f64)>,
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
            in_field: None,
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
            let mut annotations = annotations.iter::<Dict<'_>>();
            for annotation in annotations.by_ref().take(limits::MAX_PDF_ANNOTATIONS) {
                self.annotation(&annotation, resources)?;
            }
            self.found.more_annotations = annotations.next().is_some();
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
        self.in_field = forms::field(annotation);
        if let Some(stream) = forms::appearance(annotation)
            && let Some(form) = self.form(&stream)?
            && let Some(placed) = forms::placed(annotation, &stream, &form.matrix)
        {
            self.run_form(stream.obj_id(), &form, resources, State::new(placed))?;
        }
        self.in_field = None;
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
        if self.within.contains(&id) {
            return Ok(());
        }
        if self.within.len() >= limits::MAX_PDF_DEPTH {
            self.found.too_deep = true;
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
