//! The body of a document on its way to a text.

mod elements;
mod table;

use std::collections::HashMap;

use roxmltree::Node;

use super::super::builder::Builder;
use super::super::drawing::Labels;
use super::super::xml::{at, attribute, child, is_on, name, named, text, val};
use super::super::{BlockKind, Extracted, Warning, WarningCode, math};
use super::numbering::{Label, Numbering};
use super::styles::{Role, Styles};
use crate::limits;
use elements::{checkbox, is_transparent, symbol};

/// Stands for the beginning of a page within a line; XML cannot hold it.
const PAGE: char = '\u{c}';

type Notes<'a, 'x> = HashMap<String, Node<'a, 'x>>;

/// A document being read.
pub(super) struct Body<'a, 'x> {
    builder: Builder,
    styles: Styles,
    numbering: Numbering,
    /// Whether the program that wrote it noted where its pages begin.
    pub(super) laid_out: bool,
    /// Whether even pages have headers of their own.
    pub(super) even_pages: bool,
    pub(super) footnotes: Notes<'a, 'x>,
    pub(super) endnotes: Notes<'a, 'x>,
    /// Charts and diagrams by reference.
    pub(super) drawings: HashMap<String, Labels>,
    /// The first paragraph of the style `Title`.
    pub(super) title: Option<String>,
    /// Notes, text boxes and drawings that follow the paragraph being read.
    following: Vec<Following<'a, 'x>>,
    ends: Vec<Node<'a, 'x>>,
    /// Fields around the place: whether each shows its result.
    fields: Vec<bool>,
    /// The text of paragraphs whose end was deleted.
    carried: String,
    depth: usize,
}

enum Following<'a, 'x> {
    Story(Node<'a, 'x>),
    Drawing(Labels),
}

impl<'a, 'x> Body<'a, 'x> {
    /// Nothing read yet.
    pub(super) fn new(styles: Styles, numbering: Numbering) -> Self {
        let mut builder = Builder::default();
        builder.page();
        Self {
            builder,
            styles,
            numbering,
            laid_out: false,
            even_pages: false,
            footnotes: HashMap::new(),
            endnotes: HashMap::new(),
            drawings: HashMap::new(),
            title: None,
            following: Vec::new(),
            ends: Vec::new(),
            fields: Vec::new(),
            carried: String::new(),
            depth: 0,
        }
    }

    /// Reads the body, and the endnotes after it.
    pub(super) fn read(&mut self, root: Node<'a, 'x>) {
        self.story(root);
        for note in std::mem::take(&mut self.ends) {
            self.story(note);
        }
    }

    /// The headers and footers that are shown, by reference, each once.
    pub(super) fn margins(&self, root: Node<'a, 'x>) -> Vec<String> {
        let mut ids: Vec<String> = Vec::new();
        for section in root.descendants().filter(|node| named(*node, "sectPr")) {
            let own_first = is_on(child(section, "titlePg"));
            for kind in ["headerReference", "footerReference"] {
                for node in section.children().filter(|node| named(*node, kind)) {
                    let shown = match attribute(node, "type") {
                        Some("first") => own_first,
                        Some("even") => self.even_pages,
                        _ => true,
                    };
                    let Some(id) = attribute(node, "id").filter(|_| shown) else { continue };
                    if !ids.iter().any(|known| known == id) {
                        ids.push(id.to_owned());
                    }
                }
            }
        }
        ids
    }

    /// Reads headers and footers; one that says the same as another says it
    /// once, and one without a word is the page's number.
    pub(super) fn read_margins(&mut self, roots: &[Node<'a, 'x>]) {
        let mut said: Vec<String> = Vec::new();
        for root in roots {
            let texts = root.descendants().filter(|node| named(*node, "t"));
            let words: String = texts.map(|node| text(node) + " ").collect();
            let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
            if !words.chars().any(char::is_alphabetic) || said.contains(&words) {
                continue;
            }
            said.push(words);
            self.story(*root);
        }
    }

    /// Adds a warning.
    pub(super) fn warn(&mut self, warning: Warning) {
        self.builder.warn(warning);
    }

    /// The text.
    pub(super) fn finish(mut self, title: Option<String>) -> Extracted {
        self.flush();
        self.builder.finish(title)
    }

    /// A part of the document that no field and no paragraph crosses.
    fn story(&mut self, node: Node<'a, 'x>) {
        let fields = std::mem::take(&mut self.fields);
        self.blocks(node);
        self.flush();
        self.fields = fields;
    }

    /// Goes down one level, unless it is too deep.
    fn deeper(&mut self, read: impl FnOnce(&mut Self)) {
        if self.depth >= limits::MAX_XML_DEPTH {
            let detail = format!("what is nested more than {} levels deep", limits::MAX_XML_DEPTH);
            return self.warn(Warning::new(WarningCode::PartLeftOut, detail));
        }
        self.depth += 1;
        read(self);
        self.depth -= 1;
    }

    fn blocks(&mut self, node: Node<'a, 'x>) {
        for node in node.children() {
            if self.builder.len() > limits::MAX_TEXT_BYTES {
                return;
            }
            match name(node) {
                "p" => self.paragraph(node),
                "tbl" => self.deeper(|body| body.table(node)),
                "oMathPara" | "oMath" => {
                    self.builder.block(BlockKind::Paragraph, &math::omml(node))
                }
                "AlternateContent" => {
                    self.deeper(|body| body.alternative(node, |body, node| body.blocks(node)))
                }
                "altChunk" => {
                    self.warn(Warning::new(
                        WarningCode::PartLeftOut,
                        "a document within the document",
                    ));
                }
                name if is_transparent(name) => self.deeper(|body| body.blocks(node)),
                _ => {}
            }
        }
    }

    /// The first choice that there is; the others say the same in another way.
    fn alternative(&mut self, node: Node<'a, 'x>, read: impl FnOnce(&mut Self, Node<'a, 'x>)) {
        if let Some(chosen) = child(node, "Choice").or_else(|| child(node, "Fallback")) {
            read(self, chosen);
        }
    }

    fn paragraph(&mut self, node: Node<'a, 'x>) {
        let properties = child(node, "pPr");
        let style = properties.and_then(|own| child(own, "pStyle")).and_then(val);
        let mut line = std::mem::take(&mut self.carried);
        if properties.is_some_and(|own| is_on(child(own, "pageBreakBefore"))) && !self.laid_out {
            line.push(PAGE);
        }
        if !self.styles.is_hidden(style) {
            self.deeper(|body| body.inline(node, &mut line));
        }
        if properties.and_then(|own| at(own, &["rPr", "del"])).is_some() {
            self.carried = line;
            return;
        }
        let label = self.label(properties, style);
        self.write(&line, self.role(properties, style), label);
        self.follow();
    }

    fn role(&self, properties: Option<Node<'_, '_>>, style: Option<&str>) -> Role {
        let own = properties.and_then(|own| child(own, "outlineLvl")).and_then(val);
        match own.and_then(|level| level.parse::<u8>().ok()) {
            Some(level) if level < 9 => Role::Heading(level + 1),
            _ => self.styles.role(style),
        }
    }

    /// What its list puts before a paragraph.
    fn label(&mut self, properties: Option<Node<'_, '_>>, style: Option<&str>) -> Label {
        let own = properties.and_then(|own| child(own, "numPr"));
        let (of_style, level_of_style) = self.styles.numbering(style);
        let number = own.and_then(|own| child(own, "numId")).and_then(val).or(of_style);
        let Some(number) = number.filter(|number| *number != "0").map(str::to_owned) else {
            return Label::Nothing;
        };
        let level = own.and_then(|own| child(own, "ilvl")).and_then(val);
        let level = level.and_then(|level| level.parse().ok()).or_else(|| {
            self.numbering.level_of(&number, self.styles.ids(style)).or(level_of_style)
        });
        self.numbering.next(&number, level.unwrap_or(0), &self.styles)
    }

    fn write(&mut self, line: &str, role: Role, label: Label) {
        let blank = line.trim().is_empty();
        let kind = match (role, &label) {
            (Role::Title, _) => BlockKind::Heading(1),
            (Role::Heading(level), _) => BlockKind::Heading(level),
            (Role::Item, _) | (_, Label::Bullet | Label::Number(_)) => BlockKind::ListItem,
            (Role::Body, Label::Nothing) => BlockKind::Paragraph,
        };
        if kind != BlockKind::ListItem && self.builder.in_list() {
            self.builder.paragraph_break();
        }
        self.builder.start(kind);
        if !blank {
            match label {
                Label::Number(number) => self.builder.mark(&format!("{} ", number.trim())),
                _ if kind == BlockKind::ListItem => self.builder.mark("- "),
                _ => {}
            }
        }
        self.lines(line);
        self.builder.end();
        if role == Role::Title && self.title.is_none() && !blank {
            self.title = self.builder.last().map(|title| title.replace('\n', " "));
        }
    }

    /// Adds running text with its line breaks and pages.
    fn lines(&mut self, line: &str) {
        for (index, part) in line.split('\n').enumerate() {
            if index > 0 {
                self.builder.line_break();
            }
            for (index, part) in part.split(PAGE).enumerate() {
                if index > 0 {
                    self.builder.page();
                }
                self.builder.words(part);
            }
        }
    }

    /// What follows a paragraph: text boxes, charts, notes.
    fn follow(&mut self) {
        for following in std::mem::take(&mut self.following) {
            match following {
                Following::Story(node) => self.deeper(|body| body.story(node)),
                Following::Drawing(labels) => labels.write(&mut self.builder),
            }
        }
    }

    fn flush(&mut self) {
        let carried = std::mem::take(&mut self.carried);
        if !carried.trim().is_empty() {
            self.write(&carried, Role::Body, Label::Nothing);
        }
        self.follow();
    }

    /// Whether text here is shown: not so among the codes of a field.
    fn is_shown(&self) -> bool {
        self.fields.iter().all(|result| *result)
    }

    fn inline(&mut self, node: Node<'a, 'x>, line: &mut String) {
        for node in node.children() {
            match name(node) {
                "r" => self.run(node, line),
                "oMath" | "oMathPara" if self.is_shown() => {
                    if !line.is_empty() && !line.ends_with(char::is_whitespace) {
                        line.push(' ');
                    }
                    line.push_str(&math::omml(node));
                    line.push(' ');
                }
                "AlternateContent" => self.deeper(|body| {
                    body.alternative(node, |body, node| body.inline(node, line));
                }),
                "sdt" if checkbox(node).is_some() => {
                    line.push_str(checkbox(node).unwrap_or_default())
                }
                "ruby" => {
                    if let Some(base) = child(node, "rubyBase") {
                        self.deeper(|body| body.inline(base, line));
                    }
                }
                name if is_transparent(name) => self.deeper(|body| body.inline(node, line)),
                _ => {}
            }
        }
    }

    fn run(&mut self, node: Node<'a, 'x>, line: &mut String) {
        let properties = child(node, "rPr");
        let style = properties.and_then(|own| child(own, "rStyle")).and_then(val);
        let own = properties.and_then(|own| child(own, "vanish"));
        let hidden = if own.is_some() { is_on(own) } else { self.styles.is_hidden(style) };
        self.deeper(|body| body.pieces(node, line, hidden));
    }

    fn pieces(&mut self, node: Node<'a, 'x>, line: &mut String, hidden: bool) {
        for node in node.children().filter(Node::is_element) {
            match name(node) {
                "fldChar" => self.field(node, line),
                "lastRenderedPageBreak" => line.push(PAGE),
                _ if hidden || !self.is_shown() => {}
                "t" => line.push_str(&text(node)),
                "tab" | "ptab" => line.push(' '),
                "cr" => line.push('\n'),
                "br" if attribute(node, "type") == Some("page") => {
                    line.push_str(if self.laid_out { "\n" } else { "\n\u{c}" });
                }
                "br" => line.push('\n'),
                "noBreakHyphen" => line.push('-'),
                "sym" => line.push_str(symbol(node)),
                "footnoteReference" => self.note(node, true),
                "endnoteReference" => self.note(node, false),
                "drawing" | "pict" | "object" => self.drawing(node),
                "AlternateContent" => self.deeper(|body| {
                    body.alternative(node, |body, node| body.pieces(node, line, false));
                }),
                "ruby" => {
                    if let Some(base) = child(node, "rubyBase") {
                        self.deeper(|body| body.inline(base, line));
                    }
                }
                _ => {}
            }
        }
    }

    /// A field is its codes, then its result. A box to tick has neither.
    fn field(&mut self, node: Node<'_, '_>, line: &mut String) {
        match attribute(node, "fldCharType") {
            Some("begin") => {
                if let Some(tick) = child(node, "ffData").and_then(|data| child(data, "checkBox")) {
                    let state = child(tick, "checked").or_else(|| child(tick, "default"));
                    line.push_str(if is_on(state) { "[x] " } else { "[ ] " });
                }
                self.fields.push(false);
            }
            Some("separate") => {
                if let Some(field) = self.fields.last_mut() {
                    *field = true;
                }
            }
            Some("end") => drop(self.fields.pop()),
            _ => {}
        }
    }

    fn note(&mut self, node: Node<'_, '_>, foot: bool) {
        let Some(id) = attribute(node, "id") else { return };
        // Each note is read once, so that no note can refer to itself for ever.
        let note = if foot { self.footnotes.remove(id) } else { self.endnotes.remove(id) };
        match note {
            Some(note) if foot => self.following.push(Following::Story(note)),
            Some(note) => self.ends.push(note),
            None => {}
        }
    }

    /// Text boxes, charts, diagrams and set words of a drawing.
    fn drawing(&mut self, node: Node<'a, 'x>) {
        let mut skipped: Option<Node<'_, '_>> = None;
        for inner in node.descendants().filter(Node::is_element) {
            if skipped.is_some_and(|skipped| inner.ancestors().any(|above| above == skipped)) {
                continue;
            }
            match name(inner) {
                "txbxContent" => {
                    self.following.push(Following::Story(inner));
                    skipped = Some(inner);
                }
                "Fallback" => skipped = Some(inner),
                "chart" | "relIds" => {
                    let id = attribute(inner, if name(inner) == "chart" { "id" } else { "dm" });
                    if let Some(labels) = id.and_then(|id| self.drawings.remove(id)) {
                        self.following.push(Following::Drawing(labels));
                    }
                }
                "textpath" => {
                    let words = attribute(inner, "string").unwrap_or_default().to_owned();
                    let labels = Labels { lines: vec![words], table: Vec::new() };
                    self.following.push(Following::Drawing(labels));
                }
                _ => {}
            }
        }
    }
}
