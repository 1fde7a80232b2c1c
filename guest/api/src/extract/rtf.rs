//! `application/rtf`: Rich Text Format 1.9.1.

mod code_pages;

use encoding_rs::{Encoding, WINDOWS_1252};

use super::builder::Builder;
use super::{BlockKind, Extracted, Unreadable};
use crate::limits;
use code_pages::{charset, code_page};

const DAMAGED: Unreadable = Unreadable::Damaged("RTF");

/// Groups whose content is not part of the text.
const HIDDEN: &[&str] = &[
    "colortbl",
    "pict",
    "object",
    "fldinst",
    "listtable",
    "listoverridetable",
    "rsidtbl",
    "generator",
    "themedata",
    "datastore",
    "latentstyles",
    "xmlnstbl",
    "filetbl",
    "revtbl",
    "annotation",
    "atnid",
    "atnauthor",
    "mmath",
    "pnseclvl",
    "private",
    "nonshppict",
    "userprops",
    "falt",
    "panose",
    "template",
    "bkmkstart",
    "bkmkend",
];

/// What a group inherits and gives back.
#[derive(Debug, Clone)]
struct State {
    place: Place,
    /// Whether text is shown.
    shown: bool,
    /// Characters that follow a Unicode one for programs that know none.
    fallback: usize,
    encoding: &'static Encoding,
}

/// What the text of a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Body,
    Title,
    Fonts,
    Styles,
    Info,
    /// The mark of a list item.
    Mark,
    /// A header, a footer or a note.
    Aside,
    Nowhere,
}

/// Text, headings, list items, tables; headers, footers and notes at the end,
/// the same one once.
pub(super) fn extract(source: &[u8]) -> Result<Extracted, Unreadable> {
    if !source.starts_with(b"{\\rtf") {
        return Err(DAMAGED);
    }
    let mut reader = Reader::new(source);
    reader.read()?;
    Ok(reader.finish())
}

struct Reader<'s> {
    source: &'s [u8],
    at: usize,
    builder: Builder,
    state: State,
    stack: Vec<State>,
    /// Bytes of a legacy encoding that are not yet text.
    bytes: Vec<u8>,
    /// Half a character of UTF-16.
    surrogate: Option<u16>,
    skip: usize,
    line: String,
    mark: String,
    cells: Vec<String>,
    in_table: bool,
    title: String,
    name: String,
    style: i32,
    /// The number of a style being read, and those that are headings.
    read_style: i32,
    headings: Vec<(i32, u8)>,
    level: Option<u8>,
    fonts: Vec<(i32, &'static Encoding)>,
    font: i32,
    default: &'static Encoding,
    aside: String,
    asides: Vec<String>,
}

impl<'s> Reader<'s> {
    fn new(source: &'s [u8]) -> Self {
        let state = State { place: Place::Body, shown: true, fallback: 1, encoding: WINDOWS_1252 };
        Self {
            source,
            at: 0,
            builder: Builder::default(),
            state,
            stack: Vec::new(),
            bytes: Vec::new(),
            surrogate: None,
            skip: 0,
            line: String::new(),
            mark: String::new(),
            cells: Vec::new(),
            in_table: false,
            title: String::new(),
            name: String::new(),
            style: 0,
            read_style: 0,
            headings: Vec::new(),
            level: None,
            fonts: Vec::new(),
            font: -1,
            default: WINDOWS_1252,
            aside: String::new(),
            asides: Vec::new(),
        }
    }

    fn read(&mut self) -> Result<(), Unreadable> {
        while let Some(byte) = self.next() {
            match byte {
                b'{' => {
                    self.flush();
                    if self.stack.len() >= limits::MAX_XML_DEPTH {
                        return Err(Unreadable::bound(
                            "groups within groups",
                            limits::MAX_XML_DEPTH,
                        ));
                    }
                    self.stack.push(self.state.clone());
                }
                b'}' => {
                    self.flush();
                    self.close();
                }
                b'\\' => self.control(),
                b'\r' | b'\n' => {}
                _ if self.skip > 0 => self.skip -= 1,
                byte => self.bytes.push(byte),
            }
            if self.builder.len() > limits::MAX_TEXT_BYTES {
                return Err(Unreadable::TooLong);
            }
        }
        self.flush();
        self.paragraph();
        Ok(())
    }

    fn finish(mut self) -> Extracted {
        self.end_table();
        self.asides.dedup();
        let mut said: Vec<String> = Vec::new();
        for aside in std::mem::take(&mut self.asides) {
            if !said.contains(&aside) && aside.chars().any(char::is_alphabetic) {
                self.builder.block(BlockKind::Paragraph, &aside);
                said.push(aside);
            }
        }
        let title = self.title.split_whitespace().collect::<Vec<_>>().join(" ");
        self.builder.finish(Some(title).filter(|title| !title.is_empty()))
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.source.get(self.at).copied()?;
        self.at += 1;
        Some(byte)
    }

    fn close(&mut self) {
        let before = self.state.place;
        if let Some(state) = self.stack.pop() {
            self.state = state;
        }
        if before == Place::Aside && self.state.place != Place::Aside {
            let aside = std::mem::take(&mut self.aside);
            self.asides.push(aside.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        if before == Place::Styles && self.stack.len() <= 2 {
            self.end_style();
        }
        if before == Place::Fonts {
            self.state.encoding = self.default;
        }
    }

    fn control(&mut self) {
        let Some(byte) = self.source.get(self.at).copied() else { return };
        if !byte.is_ascii_alphabetic() {
            self.at += 1;
            return self.symbol(byte);
        }
        let start = self.at;
        while self.source.get(self.at).is_some_and(u8::is_ascii_alphabetic) {
            self.at += 1;
        }
        let source = self.source;
        let word =
            std::str::from_utf8(source.get(start..self.at).unwrap_or_default()).unwrap_or_default();
        let number_start = self.at;
        if source.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        while source.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        let digits = std::str::from_utf8(source.get(number_start..self.at).unwrap_or_default());
        let number: Option<i32> = digits.unwrap_or_default().parse().ok();
        if source.get(self.at) == Some(&b' ') {
            self.at += 1;
        }
        self.word(word, number);
    }

    fn symbol(&mut self, byte: u8) {
        match byte {
            b'\'' => {
                let hex = self.source.get(self.at..self.at + 2);
                let value =
                    hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
                self.at = self.source.len().min(self.at + 2);
                match value {
                    _ if self.skip > 0 => self.skip -= 1,
                    Some(value) => self.bytes.push(value),
                    None => {}
                }
            }
            b'*' => {
                // Groups that not every program knows; those that say something
                // are known here.
                self.flush();
                if !self.is_known_group() {
                    self.state.place = Place::Nowhere;
                }
            }
            b'~' => self.push(" "),
            b'_' => self.push("-"),
            b'\\' | b'{' | b'}' if self.skip > 0 => self.skip -= 1,
            b'\\' | b'{' | b'}' => self.bytes.push(byte),
            b'\r' | b'\n' => {
                self.flush();
                self.paragraph();
            }
            _ => {}
        }
    }

    /// Whether the group that begins with `\*` holds text.
    fn is_known_group(&self) -> bool {
        let rest = self.source.get(self.at..).unwrap_or_default();
        [&b"\\shptxt"[..], b"\\shpinst", b"\\shppict", b"\\fldrslt"]
            .iter()
            .any(|known| rest.starts_with(known))
    }

    fn word(&mut self, word: &str, number: Option<i32>) {
        if word == "bin" {
            let length = usize::try_from(number.unwrap_or(0)).unwrap_or(0);
            self.at = self.source.len().min(self.at.saturating_add(length));
            return;
        }
        if word == "u" {
            self.flush_bytes();
            self.unicode(number.unwrap_or(0) as u16);
            self.skip = self.state.fallback;
            return;
        }
        self.flush();
        let on = number != Some(0);
        match word {
            _ if HIDDEN.contains(&word) => self.state.place = Place::Nowhere,
            "uc" => self.state.fallback = usize::try_from(number.unwrap_or(1)).unwrap_or(1).min(16),
            "ansicpg" => {
                self.default = code_page(number.unwrap_or(1_252));
                self.state.encoding = self.default;
            }
            "fonttbl" => self.state.place = Place::Fonts,
            "stylesheet" => self.state.place = Place::Styles,
            "info" => self.state.place = Place::Info,
            "title" if self.state.place == Place::Info => self.state.place = Place::Title,
            "listtext" | "pntext" => self.state.place = Place::Mark,
            "header" | "headerl" | "headerr" | "headerf" | "footer" | "footerl" | "footerr"
            | "footerf" | "footnote" => self.state.place = Place::Aside,
            "f" if self.state.place == Place::Fonts => self.font = number.unwrap_or(0),
            "f" => {
                let found = self.fonts.iter().find(|(font, _)| Some(*font) == number);
                self.state.encoding = found.map_or(self.default, |(_, encoding)| encoding);
            }
            "fcharset" if self.state.place == Place::Fonts => {
                if let Some(encoding) = charset(number.unwrap_or(0)) {
                    self.fonts.push((self.font, encoding));
                }
            }
            "s" if self.state.place == Place::Styles => self.read_style = number.unwrap_or(0),
            "s" => self.style = number.unwrap_or(0),
            "outlinelevel" if self.state.place == Place::Body => {
                self.level =
                    number.and_then(|level| u8::try_from(level).ok()).filter(|level| *level < 9);
            }
            "pard" => {
                (self.style, self.level, self.in_table) = (0, None, false);
            }
            "plain" => self.state.shown = true,
            "v" | "deleted" => self.state.shown = !on,
            "intbl" => self.in_table = true,
            "cell" | "nestcell" => self.cell(),
            "row" | "nestrow" => self.row(),
            "par" | "sect" => self.paragraph(),
            "page" => self.paragraph(),
            "line" => self.push("\n"),
            "tab" => self.push(" "),
            "emdash" => self.push("—"),
            "endash" => self.push("–"),
            "bullet" => self.push("•"),
            "lquote" => self.push("‘"),
            "rquote" => self.push("’"),
            "ldblquote" => self.push("“"),
            "rdblquote" => self.push("”"),
            "emspace" | "enspace" | "qmspace" => self.push(" "),
            _ => {}
        }
    }

    fn unicode(&mut self, unit: u16) {
        let pair = self.surrogate.take().map(|high| vec![high, unit]).unwrap_or_else(|| vec![unit]);
        let [.., last] = pair.as_slice() else { return };
        if pair.len() == 1 && (0xd800..0xdc00).contains(last) {
            self.surrogate = Some(unit);
            return;
        }
        let text: String = char::decode_utf16(pair).flatten().collect();
        self.push(&text);
    }

    /// Text goes where the group says.
    fn push(&mut self, text: &str) {
        let to = match self.state.place {
            _ if !self.state.shown => return,
            Place::Body => &mut self.line,
            Place::Title => &mut self.title,
            Place::Mark => &mut self.mark,
            Place::Aside => &mut self.aside,
            Place::Styles => &mut self.name,
            Place::Fonts | Place::Info | Place::Nowhere => return,
        };
        to.push_str(text);
    }

    fn flush(&mut self) {
        self.skip = 0;
        self.flush_bytes();
    }

    fn flush_bytes(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.bytes);
        let (text, _) = self.state.encoding.decode_without_bom_handling(&bytes);
        self.push(&text);
    }

    fn end_style(&mut self) {
        let name = std::mem::take(&mut self.name);
        let name = name.trim().trim_end_matches(';').to_lowercase();
        let level = name.strip_prefix("heading").and_then(|level| level.trim().parse().ok());
        if let Some(level @ 1..=9) = level {
            self.headings.push((self.read_style, level));
        } else if name == "title" {
            self.headings.push((self.read_style, 1));
        }
    }

    fn paragraph(&mut self) {
        match self.state.place {
            Place::Body => {}
            Place::Aside => return self.aside.push(' '),
            _ => return,
        }
        if self.in_table {
            return self.line.push(' ');
        }
        self.end_table();
        let line = std::mem::take(&mut self.line);
        let mark = std::mem::take(&mut self.mark);
        if line.trim().is_empty() {
            return;
        }
        let styled =
            self.headings.iter().find(|(style, _)| *style == self.style && self.style != 0);
        let level = self.level.map(|level| level + 1).or(styled.map(|(_, level)| *level));
        let kind = match (level, mark.trim().is_empty()) {
            (Some(level), _) => BlockKind::Heading(level),
            (None, false) => BlockKind::ListItem,
            (None, true) => BlockKind::Paragraph,
        };
        if kind != BlockKind::ListItem && self.builder.in_list() {
            self.builder.paragraph_break();
        }
        self.builder.start(kind);
        if !mark.trim().is_empty() {
            let numbered = mark.chars().any(char::is_alphanumeric);
            self.builder.mark(&if numbered {
                format!("{} ", mark.trim())
            } else {
                "- ".to_owned()
            });
        }
        for (index, part) in line.split('\n').enumerate() {
            if index > 0 {
                self.builder.line_break();
            }
            self.builder.words(part);
        }
        self.builder.end();
    }

    fn cell(&mut self) {
        if self.state.place == Place::Body {
            self.mark.clear();
            self.cells.push(std::mem::take(&mut self.line));
        }
    }

    fn row(&mut self) {
        let cells = std::mem::take(&mut self.cells);
        if cells.is_empty() || self.state.place != Place::Body {
            return;
        }
        if self.builder.kind() != Some(BlockKind::Table) {
            if self.builder.in_list() {
                self.builder.paragraph_break();
            }
            self.builder.start(BlockKind::Table);
        }
        self.builder.row(&cells);
    }

    fn end_table(&mut self) {
        self.row();
        if self.builder.kind() == Some(BlockKind::Table) {
            self.builder.end();
        }
    }
}

#[cfg(test)]
mod tests;
