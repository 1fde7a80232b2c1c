//! What the codes of a font mean, where the font itself does not say: by the
//! character collection of a CID font, or by the table of its program.

use std::cell::OnceCell;
use std::collections::HashMap;

use hayro_cmap::{BfString, CMap, CMapName, CidFamily};
use hayro_font::{CMapResolverFn, Font, FontGlyph, StandardFont};
use hayro_syntax::object::{Array, Dict, Name, Object, Stream, String as Bytes};
use skrifa::{FontRef, MetadataProvider as _};
use unicode_normalization::UnicodeNormalization as _;

use super::geometry::Text;
use super::to_unicode;

/// How a code becomes a character of a collection (a CID).
enum Encoding {
    /// The code is the CID.
    Identity,
    /// The code is UTF-16 or UTF-32.
    Unicode,
    Map(Box<CMap>),
}

/// What is known of a font beside what its own mapping says.
#[derive(Default)]
pub(super) struct Mapping<'a> {
    /// The font's map to Unicode, where the font cannot read it itself.
    mended: Option<Box<CMap>>,
    encoding: Option<Encoding>,
    /// From CIDs of the font's collection to Unicode.
    collection: Option<Box<CMap>>,
    /// Whether the program's own table is better than the code's name.
    program_first: bool,
    /// Whether codes are said to be Unicode already.
    codes_are_unicode: bool,
    /// A font of symbols, by which private characters are read.
    symbols: Option<Font<'a>>,
    wingdings: bool,
    /// Whether the font draws pictures on the codes of letters, and nothing in the
    /// file says what they mean.
    draws: bool,
    glyphs: OnceCell<HashMap<u32, char>>,
}

impl<'a> Mapping<'a> {
    pub(super) fn new(
        dict: &Dict<'a>,
        name: &str,
        maps: &CMapResolverFn,
        symbols: impl Fn(StandardFont) -> Option<Font<'a>>,
    ) -> Self {
        let mut mapping = Self {
            wingdings: name.contains("Wingdings"),
            symbols: if name.contains("Symbol") {
                symbols(StandardFont::Symbol)
            } else if name.contains("Dingbats") {
                symbols(StandardFont::ZapfDingBats)
            } else {
                None
            },
            ..Self::default()
        };
        let to_unicode = dict.get::<Object<'_>>("ToUnicode");
        let identity = |name: &Name<'_>| name.as_str().starts_with("Identity");
        mapping.codes_are_unicode =
            matches!(&to_unicode, Some(Object::Name(name)) if identity(name));
        mapping.draws = to_unicode.is_none()
            && ["Wingdings", "Webdings", "Dingbats"].iter().any(|kind| name.contains(kind));
        if let Some(Object::Stream(map)) = &to_unicode {
            let map = map.decoded_data().ok();
            mapping.mended = map.and_then(|map| to_unicode::mended(&map)).map(Box::new);
        }
        let kind = dict.get::<Name<'_>>("Subtype");
        if kind.as_ref().is_some_and(|kind| kind.as_str() == "TrueType") {
            mapping.program_first = to_unicode.is_none() && !dict.contains_key("Encoding");
        } else if kind.is_some_and(|kind| kind.as_str() == "Type0") {
            mapping.encoding = encoding(dict, maps);
            mapping.collection = collection(dict, mapping.encoding.as_ref(), maps);
        }
        mapping
    }

    /// What a code means: by the font's own mapping, then by what else is known.
    pub(super) fn text(&self, font: &Font<'a>, code: u32, length: usize) -> Option<Text> {
        let glyph = font.glyph(font.map_code(code), code);
        if self.program_first
            && let Some(found) = self.by_program(&glyph)
        {
            return Some(found);
        }
        let mended = self.mended.as_ref().and_then(|map| map.lookup_bf_string(code));
        let said = mended.or_else(|| match &glyph {
            FontGlyph::Outline(outline) => outline.as_unicode(),
            FontGlyph::Type3(glyph) => glyph.as_unicode(),
        });
        if self.draws
            && let Some(BfString::Char(char)) = &said
            && char.is_ascii_alphanumeric()
        {
            return wingding(code).filter(|_| self.wingdings).map(Text::Char);
        }
        said.and_then(|said| self.tidied(said))
            .or_else(|| self.by_collection(code, length))
            .or_else(|| self.by_program(&glyph))
            .or_else(|| self.codes_are_unicode.then(|| char_text(code)).flatten())
    }

    fn tidied(&self, said: BfString) -> Option<Text> {
        match said {
            BfString::Char(char) => match u32::from(char) {
                private @ 0xf000..=0xf0ff => self.symbol(private & 0xff),
                _ => tidy(char.encode_utf8(&mut [0; 4])),
            },
            BfString::String(text) => tidy(&text),
        }
    }

    /// A character that only fonts of symbols have.
    fn symbol(&self, code: u32) -> Option<Text> {
        if self.wingdings {
            return wingding(code).map(Text::Char);
        }
        let font = self.symbols.as_ref()?;
        match font.glyph(font.map_code(code), code) {
            FontGlyph::Outline(outline) => match outline.as_unicode()? {
                BfString::Char(char) => tidy(char.encode_utf8(&mut [0; 4])),
                BfString::String(text) => tidy(&text),
            },
            FontGlyph::Type3(_) => None,
        }
    }

    fn by_collection(&self, code: u32, length: usize) -> Option<Text> {
        let cid = match self.encoding.as_ref()? {
            Encoding::Unicode => return utf_16(code, length),
            Encoding::Identity => code,
            Encoding::Map(map) => map.lookup_cid_code(code, u8::try_from(length).ok()?)?,
        };
        match self.collection.as_ref()?.lookup_bf_string(cid)? {
            BfString::Char(char) => tidy(char.encode_utf8(&mut [0; 4])),
            BfString::String(text) => tidy(&text),
        }
    }

    /// By the table of the embedded program, read from glyphs to characters.
    fn by_program(&self, glyph: &FontGlyph<'a>) -> Option<Text> {
        let FontGlyph::Outline(outline) = glyph else { return None };
        let glyphs = self.glyphs.get_or_init(|| {
            let data = outline.font_data();
            data.map(|data| characters((*data.data).as_ref())).unwrap_or_default()
        });
        glyphs
            .get(&outline.glyph_id().to_u32())
            .copied()
            .and_then(|char| tidy(char.encode_utf8(&mut [0; 4])))
    }
}

/// The character of each glyph of a program; the lowest where it has several.
fn characters(program: &[u8]) -> HashMap<u32, char> {
    let mut characters = HashMap::new();
    let Ok(font) = FontRef::from_index(program, 0) else { return characters };
    for (code, glyph) in font.charmap().mappings().take(usize::from(u16::MAX)) {
        if let Some(char) = char::from_u32(code).filter(|char| !is_private(*char)) {
            characters.entry(glyph.to_u32()).or_insert(char);
        }
    }
    characters
}

fn encoding(dict: &Dict<'_>, maps: &CMapResolverFn) -> Option<Encoding> {
    let resolver = maps.clone();
    match dict.get::<Object<'_>>("Encoding")? {
        Object::Name(name) if name.as_str().starts_with("Identity") => Some(Encoding::Identity),
        Object::Name(name) if name.as_str().starts_with("Uni") => Some(Encoding::Unicode),
        Object::Name(name) => {
            let data = maps(CMapName::from_bytes(name.as_ref()))?;
            CMap::parse(data, move |name| resolver(name)).map(|map| Encoding::Map(map.into()))
        }
        Object::Stream(stream) => by_stream(&stream, maps),
        _ => None,
    }
}

fn by_stream(stream: &Stream<'_>, maps: &CMapResolverFn) -> Option<Encoding> {
    let (data, resolver) = (stream.decoded_data().ok()?, maps.clone());
    CMap::parse(&data, move |name| resolver(name)).map(|map| Encoding::Map(map.into()))
}

/// The table from a font's CIDs to Unicode.
fn collection(
    dict: &Dict<'_>,
    encoding: Option<&Encoding>,
    maps: &CMapResolverFn,
) -> Option<Box<CMap>> {
    let of_encoding = match encoding {
        Some(Encoding::Map(map)) => map.metadata().character_collection.as_ref(),
        _ => None,
    };
    let family = match of_encoding.map(|collection| &collection.family) {
        Some(family) if family.ucs2_cmap().is_some() => family.clone(),
        _ => {
            let font = dict.get::<Array<'_>>("DescendantFonts")?.iter::<Dict<'_>>().next()?;
            let info = font.get::<Dict<'_>>("CIDSystemInfo")?;
            let (registry, ordering) =
                (info.get::<Bytes<'_>>("Registry")?, info.get::<Bytes<'_>>("Ordering")?);
            CidFamily::from_registry_ordering(registry.as_bytes(), ordering.as_bytes())
        }
    };
    let (data, resolver) = (maps(family.ucs2_cmap()?)?, maps.clone());
    CMap::parse(data, move |name| resolver(name)).map(Box::new)
}

fn utf_16(code: u32, length: usize) -> Option<Text> {
    if length < 4 {
        return char_text(code);
    }
    let (high, low) = (code >> 16, code & 0xffff);
    let units = [u16::try_from(high).ok()?, u16::try_from(low).ok()?];
    match String::from_utf16(&units) {
        Ok(text) if (0xd800..0xdc00).contains(&high) => tidy(&text),
        _ => char_text(code),
    }
}

fn char_text(code: u32) -> Option<Text> {
    char::from_u32(code).and_then(|char| tidy(char.encode_utf8(&mut [0; 4])))
}

fn is_private(char: char) -> bool {
    matches!(char, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}')
}

/// Whether a character stands for letters as they are drawn: ligatures, forms of
/// Arabic letters by their neighbours, radicals that look like the letter.
fn is_form(char: char) -> bool {
    matches!(char, '\u{fb00}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' | '\u{2f00}'..='\u{2fdf}')
}

/// A text as it is stored: forms as letters, every blank as a space. Nothing
/// where no character of it has a meaning.
pub(super) fn tidy(text: &str) -> Option<Text> {
    let mut tidied = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            _ if is_form(char) => {
                tidied.extend(std::iter::once(char).nfkc().filter(|char| *char != ' '));
            }
            _ if char.is_whitespace() => tidied.push(' '),
            '\u{fffd}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {}
            _ if char.is_control() || is_private(char) => {}
            _ => tidied.push(char),
        }
    }
    Text::of(&tidied)
}

/// The marks of Wingdings that documents use: bullets, arrows, ticks.
fn wingding(code: u32) -> Option<char> {
    Some(match code {
        0x6c => '●',
        0x6e => '■',
        0x6f | 0x71 | 0x72 | 0xa8 => '□',
        0x70 => '◻',
        0x75 | 0x77 => '◆',
        0x76 => '❖',
        0x9f | 0xa0 => '•',
        0xa7 => '▪',
        0xa1 => '○',
        0xa4 => '◉',
        0xd8 => '➢',
        0xdf | 0xe7 => '←',
        0xe0 | 0xe8 => '→',
        0xe1 | 0xe9 => '↑',
        0xe2 | 0xea => '↓',
        0xfb => '✗',
        0xfc => '✓',
        0xfd => '☒',
        0xfe => '☑',
        _ => return None,
    })
}
