//! The fonts of a document, each loaded once, within bounds.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use hayro_font::{
    CMapResolverFn, Font, FontCache, FontGlyph, FontQuery, FontResolverFn, GlyphId, StandardFont,
};
use hayro_syntax::object::{Array, Dict, Name, Object, Stream};

use super::super::Unreadable;
use super::geometry::Text;
use super::unicode::Mapping;
use super::unpack::{Budget, Fault};
use crate::limits;

/// A font with what its codes mean.
pub(super) struct Face<'a> {
    /// Nothing where the font cannot be read.
    pub(super) font: Option<Font<'a>>,
    pub(super) name: String,
    pub(super) bold: bool,
    /// The height of the em box for size 1. It differs from 1 in Type 3 fonts,
    /// which scale their glyphs themselves.
    pub(super) em: f64,
    /// Whether it stands in for a font that the page does not define.
    pub(super) stands_in: bool,
    mapping: Mapping<'a>,
    texts: RefCell<HashMap<u32, Option<Text>>>,
}

impl<'a> Face<'a> {
    /// What a code means, if it is known.
    pub(super) fn text(&self, code: u32, length: usize) -> Option<Text> {
        if let Some(known) = self.texts.borrow().get(&code) {
            return known.clone();
        }
        let text = self.font.as_ref().and_then(|font| self.mapping.text(font, code, length));
        self.texts.borrow_mut().insert(code, text.clone());
        text
    }

    /// Whether a glyph leaves a mark on the page.
    pub(super) fn has_ink(&self, code: u32) -> bool {
        let Some(font) = &self.font else { return false };
        match font.glyph(font.map_code(code), code) {
            // A glyph that the font does not have is drawn as a box, or the
            // font is not in the file and nothing is known of its glyphs.
            FontGlyph::Outline(outline) => {
                outline.glyph_id() == GlyphId::NOTDEF
                    || outline.outline().segments().next().is_some()
            }
            FontGlyph::Type3(glyph) => glyph.program().is_some(),
        }
    }
}

/// Every font of a document that has been asked for.
pub(super) struct Fonts<'a> {
    cache: FontCache<'a>,
    faces: HashMap<(usize, usize), Rc<Face<'a>>>,
    stand_in: Option<Rc<Face<'a>>>,
    fonts: FontResolverFn,
    maps: CMapResolverFn,
}

impl Default for Fonts<'_> {
    fn default() -> Self {
        Self {
            cache: FontCache::new(),
            faces: HashMap::new(),
            stand_in: None,
            fonts: Arc::new(|query| {
                Some(match query {
                    FontQuery::Standard(font) => font.get_font_data(),
                    FontQuery::Fallback(font) => font.pick_standard_font().get_font_data(),
                })
            }),
            maps: Arc::new(hayro_cmap::load_embedded),
        }
    }
}

impl<'a> Fonts<'a> {
    /// The font of a dictionary.
    pub(super) fn face(
        &mut self,
        dict: &Dict<'a>,
        budget: &mut Budget,
    ) -> Result<Rc<Face<'a>>, Unreadable> {
        // A dictionary is a part of the file, so its place distinguishes it from others.
        let key = (dict.data().as_ptr() as usize, dict.data().len());
        if let Some(face) = self.faces.get(&key) {
            return Ok(face.clone());
        }
        if self.faces.len() >= limits::MAX_PDF_FONTS {
            return Err(Unreadable::Bound { most: limits::MAX_PDF_FONTS, what: "fonts" });
        }
        let face = Rc::new(self.load(dict, budget)?);
        self.faces.insert(key, face.clone());
        Ok(face)
    }

    /// What viewers use where a page names no font, or one that it does not
    /// define.
    pub(super) fn stand_in(&mut self) -> Rc<Face<'a>> {
        let (cache, fonts) = (&self.cache, &self.fonts);
        let make = || {
            Rc::new(Face {
                font: cache.standard_font(StandardFont::Helvetica, fonts),
                name: "Helvetica".to_owned(),
                bold: false,
                em: 1.0,
                stands_in: true,
                mapping: Mapping::default(),
                texts: RefCell::default(),
            })
        };
        self.stand_in.get_or_insert_with(make).clone()
    }

    fn load(&self, dict: &Dict<'a>, budget: &mut Budget) -> Result<Face<'a>, Unreadable> {
        let font = match is_bounded(dict, budget) {
            Ok(true) => self.cache.font(dict, &self.fonts, &self.maps),
            Ok(false) | Err(Fault::Broken) => None,
            Err(Fault::Refused(why)) => return Err(why),
        };
        let name = dict.get::<Name<'_>>("BaseFont").or_else(|| dict.get("Name"));
        let name = name.map(|name| name.as_str().to_owned()).unwrap_or_default();
        let symbols = |font| self.cache.standard_font(font, &self.fonts);
        Ok(Face {
            mapping: Mapping::new(dict, &name, &self.maps, symbols),
            font,
            bold: is_bold(dict, &name),
            em: em(dict),
            stands_in: false,
            name,
            texts: RefCell::default(),
        })
    }
}

fn descendant<'a>(dict: &Dict<'a>) -> Option<Dict<'a>> {
    dict.get::<Array<'_>>("DescendantFonts")?.iter::<Dict<'_>>().next()
}

/// Whether a font can be loaded without harm. The loader unpacks its streams and
/// writes out its ranges of widths without looking at their size.
fn is_bounded(dict: &Dict<'_>, budget: &mut Budget) -> Result<bool, Fault> {
    if dict.get::<f64>("FirstChar").is_some_and(|first| first > 255.0) {
        return Ok(false);
    }
    let descendant = descendant(dict);
    let mut streams: Vec<Stream<'_>> = ["ToUnicode", "Encoding"]
        .into_iter()
        .filter_map(|key| dict.get::<Stream<'_>>(key))
        .collect();
    for dict in [Some(dict), descendant.as_ref()].into_iter().flatten() {
        streams.extend(dict.get::<Stream<'_>>("CIDToGIDMap"));
        if let Some(descriptor) = dict.get::<Dict<'_>>("FontDescriptor") {
            let keys = ["FontFile", "FontFile2", "FontFile3"];
            streams.extend(keys.into_iter().filter_map(|key| descriptor.get::<Stream<'_>>(key)));
        }
    }
    for stream in streams {
        match budget.unpack(&stream) {
            // A program or map that is damaged is left out by the loader.
            Ok(_) | Err(Fault::Broken) => {}
            Err(refused) => return Err(refused),
        }
    }
    let Some(descendant) = descendant else { return Ok(true) };
    let bounded = |key, numbers| {
        descendant
            .get::<Array<'_>>(key)
            .is_none_or(|widths| spans(&widths, numbers) <= limits::MAX_PDF_WIDTHS)
    };
    Ok(bounded("W", 1) && bounded("W2", 3))
}

/// How many widths an array writes out: `first last width…` or `first [width…]`.
fn spans(widths: &Array<'_>, numbers: usize) -> usize {
    let (mut all, mut pending) = (0_usize, Vec::new());
    for object in widths.iter::<Object<'_>>() {
        match object {
            Object::Number(number) => pending.push(number.as_f64()),
            Object::Array(list) => {
                all = all.saturating_add(list.data().len());
                pending.clear();
            }
            _ => {}
        }
        if let [first, last, ..] = pending.as_slice()
            && pending.len() == 2 + numbers
        {
            // A cast from a float saturates.
            all = all.saturating_add((last - first).max(0.0) as usize + 1);
            pending.clear();
        }
    }
    all
}

fn is_bold(dict: &Dict<'_>, name: &str) -> bool {
    const FORCE_BOLD: u32 = 1 << 18;
    let named = ["Bold", "bold", "Black", "Heavy", "Demi", "CMBX", "SFBX"];
    let descriptor = descendant(dict).and_then(|font| font.get::<Dict<'_>>("FontDescriptor"));
    let descriptor = descriptor.or_else(|| dict.get("FontDescriptor")).unwrap_or_default();
    named.iter().any(|part| name.contains(part))
        || descriptor.get::<u32>("Flags").is_some_and(|flags| flags & FORCE_BOLD != 0)
        || descriptor.get::<f64>("FontWeight").is_some_and(|weight| weight >= 600.0)
}

/// The em box of a Type 3 font: its own box, as its own matrix scales it.
fn em(dict: &Dict<'_>) -> f64 {
    if dict.get::<Name<'_>>("Subtype").is_none_or(|kind| kind.as_str() != "Type3") {
        return 1.0;
    }
    let scale = dict.get::<[f64; 6]>("FontMatrix").map_or(0.001, |matrix| matrix[3].abs());
    let height =
        dict.get::<[f64; 4]>("FontBBox").map_or(0.0, |[_, bottom, _, top]| (top - bottom).abs());
    let em = height * scale;
    if (0.2..5.0).contains(&em) || em < 1e-6 { 1.0 } else { em }
}
