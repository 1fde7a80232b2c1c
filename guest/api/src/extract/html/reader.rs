//! From the tree of a page to a text.

use super::super::builder::Builder;
use super::super::{BlockKind, Extracted, math};
use super::boilerplate::Found;
use super::tree::{Id, Tree};
use crate::limits;

/// Elements whose content is not part of the text.
const INVISIBLE: &[&str] = &[
    "head", "script", "style", "template", "noscript", "svg", "iframe", "object", "select",
    "datalist", "canvas", "textarea", "title", "rp", "audio", "video", "noframes", "noembed",
];

/// Elements that part paragraphs.
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "center",
    "dd",
    "details",
    "dialog",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "header",
    "hgroup",
    "hr",
    "html",
    "legend",
    "main",
    "nav",
    "p",
    "section",
    "summary",
    "caption",
];

/// The most columns or rows that a cell is taken to span.
const MAX_SPAN: usize = 256;

/// Reads a page.
pub(super) struct Reader<'t> {
    tree: &'t Tree,
    skipped: &'t Found,
    builder: Builder,
    preformatted: usize,
    /// The next number of each list around the place; none for one of bullets.
    lists: Vec<Option<i64>>,
}

impl<'t> Reader<'t> {
    /// Reads `tree` but for what is `skipped`.
    pub(super) fn new(tree: &'t Tree, skipped: &'t Found) -> Self {
        Self { tree, skipped, builder: Builder::default(), preformatted: 0, lists: Vec::new() }
    }

    /// The text.
    pub(super) fn read(mut self, title: Option<String>) -> Extracted {
        self.children(0);
        self.builder.finish(title)
    }

    fn children(&mut self, id: Id) {
        let tree = self.tree;
        for child in tree.children(id) {
            match tree.name(child) {
                None if self.preformatted > 0 => self.builder.verbatim(tree.text(child)),
                None => self.builder.words(tree.text(child)),
                Some(name) => self.element(child, name),
            }
        }
    }

    /// Whether nobody sees it, or nobody wants it.
    fn is_skipped(&self, id: Id, name: &str) -> bool {
        if INVISIBLE.contains(&name) || self.skipped.contains(id) {
            return true;
        }
        // A formula hidden beside its image is the formula.
        self.tree.is_hidden(id) && !self.is_formula(id)
    }

    fn is_formula(&self, id: Id) -> bool {
        let mut elements = self.tree.children(id).filter_map(|child| self.tree.name(child));
        elements.next() == Some("math") && elements.next().is_none()
    }

    fn element(&mut self, id: Id, name: &str) {
        if self.is_skipped(id, name) || self.builder.len() > limits::MAX_TEXT_BYTES {
            return;
        }
        match name {
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.builder.start(BlockKind::Heading(level(name)));
                self.children(id);
                self.builder.end();
            }
            "li" => self.item(id),
            "ul" | "ol" | "menu" | "dir" => self.list(id, name),
            "pre" | "listing" | "xmp" => self.code(id),
            "table" => self.table(id),
            "math" => self.formula(id),
            "br" if self.preformatted > 0 => self.builder.verbatim("\n"),
            "br" => self.builder.line_break(),
            "input" => self.input(id),
            "option" | "button" | "label" => {
                self.builder.gap();
                self.children(id);
                self.builder.gap();
            }
            "q" => {
                self.builder.words("“");
                self.children(id);
                self.builder.words("”");
            }
            _ if BLOCKS.contains(&name) => {
                self.boundary();
                self.children(id);
                self.boundary();
            }
            _ => self.children(id),
        }
    }

    fn list(&mut self, id: Id, name: &str) {
        self.builder.end();
        let start = self.tree.attribute(id, "start").and_then(|start| start.trim().parse().ok());
        self.lists.push((name == "ol").then(|| start.unwrap_or(1)));
        self.children(id);
        self.lists.pop();
        match self.lists.is_empty() {
            true => self.builder.paragraph_break(),
            false => self.builder.end(),
        }
    }

    fn item(&mut self, id: Id) {
        let own = self.tree.attribute(id, "value").and_then(|value| value.trim().parse().ok());
        let mark = match self.lists.last_mut() {
            Some(Some(next)) => {
                let number = own.unwrap_or(*next);
                *next = number.saturating_add(1);
                format!("{number}. ")
            }
            _ => "- ".to_owned(),
        };
        self.builder.start(BlockKind::ListItem);
        self.builder.mark(&mark);
        self.children(id);
        self.builder.end();
    }

    fn code(&mut self, id: Id) {
        self.builder.start(BlockKind::Code);
        self.preformatted += 1;
        self.children(id);
        self.preformatted -= 1;
        self.builder.end();
    }

    fn formula(&mut self, id: Id) {
        let line = self.mathml(id);
        let line = line.trim();
        self.builder.gap();
        self.builder.words(line);
        self.builder.gap();
    }

    fn mathml(&self, id: Id) -> String {
        let parts: Vec<String> =
            self.tree
                .children(id)
                .filter_map(|child| match self.tree.name(child) {
                    Some(_) => Some(self.mathml(child)),
                    None => Some(self.tree.text(child).trim().to_owned())
                        .filter(|text| !text.is_empty()),
                })
                .collect();
        math::mathml(self.tree.name(id).unwrap_or_default(), &parts)
    }

    fn input(&mut self, id: Id) {
        let kind = self.tree.attribute(id, "type").unwrap_or("text").to_ascii_lowercase();
        if matches!(kind.as_str(), "checkbox" | "radio") {
            self.builder.gap();
            self.builder.words(if self.tree.is_checked(id) { "[x]" } else { "[ ]" });
            self.builder.gap();
        }
    }

    /// Inside a list item a block is no more than a space.
    fn boundary(&mut self) {
        match self.builder.kind() {
            Some(BlockKind::ListItem) => self.builder.gap(),
            Some(BlockKind::Code) if self.preformatted > 0 => {}
            _ => self.builder.end(),
        }
    }

    fn table(&mut self, id: Id) {
        let mut rows = Vec::new();
        self.rows(id, &mut rows, 0);
        if self.is_layout(id, &rows) {
            self.builder.end();
            return self.layout(id);
        }
        let captions =
            self.tree.children(id).filter(|child| self.tree.name(*child) == Some("caption"));
        for caption in captions.collect::<Vec<_>>() {
            if self.is_skipped(caption, "caption") {
                continue;
            }
            self.builder.start(BlockKind::Paragraph);
            self.children(caption);
            self.builder.end();
        }
        self.builder.start(BlockKind::Table);
        let mut pending: Vec<(usize, String)> = Vec::new();
        for row in rows {
            if self.builder.len() > limits::MAX_TEXT_BYTES {
                break;
            }
            let mut cells: Vec<String> = Vec::new();
            for cell in row {
                fill(&mut cells, &mut pending);
                let mut text = String::new();
                self.flat(cell, &mut text);
                let (columns, rows) = (self.span(cell, "colspan"), self.span(cell, "rowspan"));
                let at = cells.len();
                cells.push(text);
                // No table is wider than what its own cells make it.
                let columns = if at > MAX_SPAN { 1 } else { columns };
                cells.resize(at + columns, String::new());
                if rows > 1 && at <= MAX_SPAN {
                    pending.resize(pending.len().max(at + columns), (0, String::new()));
                    // A cell over many rows says in each what it says in the first.
                    for (offset, cell) in cells.iter().enumerate().skip(at) {
                        if let Some(place) = pending.get_mut(offset) {
                            let short = cell.len() <= limits::MAX_REPEATED_BYTES;
                            *place = (rows, if short { cell.clone() } else { String::new() });
                        }
                    }
                }
            }
            fill(&mut cells, &mut pending);
            for place in &mut pending {
                place.0 = place.0.saturating_sub(1);
            }
            self.builder.row(&cells);
        }
        self.builder.end();
    }

    fn span(&self, cell: Id, name: &str) -> usize {
        let span = self.tree.attribute(cell, name).and_then(|span| span.trim().parse().ok());
        span.unwrap_or(1).clamp(1, MAX_SPAN)
    }

    /// The cells of each row that is seen.
    fn rows(&self, id: Id, rows: &mut Vec<Vec<Id>>, depth: usize) {
        for child in self.tree.children(id) {
            let Some(name) = self.tree.name(child) else { continue };
            if self.is_skipped(child, name) || depth > 3 {
                continue;
            }
            match name {
                "tr" => {
                    let is_cell = |id: &Id| matches!(self.tree.name(*id), Some("td" | "th"));
                    let seen = |id: &Id| !self.is_skipped(*id, "td");
                    rows.push(self.tree.children(child).filter(is_cell).filter(seen).collect());
                }
                "thead" | "tbody" | "tfoot" | "form" | "div" => self.rows(child, rows, depth + 1),
                _ => {}
            }
        }
    }

    /// Whether a table puts things in their places and relates nothing: it is
    /// said to, has one cell, or has tables or headings in its cells.
    fn is_layout(&self, id: Id, rows: &[Vec<Id>]) -> bool {
        if matches!(self.tree.attribute(id, "role"), Some("presentation" | "none")) {
            return true;
        }
        let mut cells = rows.iter().flatten();
        match (cells.next(), cells.next()) {
            (Some(_), Some(_)) => rows.iter().flatten().any(|cell| self.holds_structure(*cell, 0)),
            _ => true,
        }
    }

    fn holds_structure(&self, id: Id, depth: usize) -> bool {
        depth < 8
            && self.tree.children(id).any(|child| match self.tree.name(child) {
                Some("table" | "h1" | "h2" | "article" | "pre") => true,
                Some(_) => self.holds_structure(child, depth + 1),
                None => false,
            })
    }

    /// The content of each cell for itself.
    fn layout(&mut self, id: Id) {
        let tree = self.tree;
        for child in tree.children(id) {
            match tree.name(child) {
                Some(name) if self.is_skipped(child, name) => {}
                Some("tr" | "tbody" | "thead" | "tfoot") => self.layout(child),
                Some("td" | "th" | "caption") => {
                    self.builder.end();
                    self.children(child);
                    self.builder.end();
                }
                Some(name) => self.element(child, name),
                None => self.builder.words(tree.text(child)),
            }
        }
    }

    /// The text below on one line: blocks are apart, no more.
    fn flat(&self, id: Id, line: &mut String) {
        let mut number = match self.tree.name(id) {
            Some("ol") => {
                let start = self.tree.attribute(id, "start").and_then(|start| start.parse().ok());
                Some(start.unwrap_or(1_i64))
            }
            _ => None,
        };
        for child in self.tree.children(id) {
            let Some(name) = self.tree.name(child) else {
                line.push_str(self.tree.text(child));
                continue;
            };
            if self.is_skipped(child, name) {
                continue;
            }
            match name {
                "math" => {
                    line.push(' ');
                    line.push_str(&self.mathml(child));
                    line.push(' ');
                }
                "input" => {
                    if let Some("checkbox" | "radio") = self.tree.attribute(child, "type") {
                        line.push_str(if self.tree.is_checked(child) { " [x] " } else { " [ ] " });
                    }
                }
                "li" => {
                    match &mut number {
                        Some(next) => {
                            line.push_str(&format!(" {next}. "));
                            *next = next.saturating_add(1);
                        }
                        None => line.push_str(" - "),
                    }
                    self.flat(child, line);
                    line.push(' ');
                }
                _ if is_apart(name) => {
                    line.push(' ');
                    self.flat(child, line);
                    line.push(' ');
                }
                _ => self.flat(child, line),
            }
        }
    }
}

/// Whether it parts what is before it from what is after it.
fn is_apart(name: &str) -> bool {
    BLOCKS.contains(&name)
        || matches!(
            name,
            "br" | "ul"
                | "ol"
                | "pre"
                | "table"
                | "tr"
                | "td"
                | "th"
                | "h1"
                | "h2"
                | "h3"
                | "h4"
                | "h5"
                | "h6"
                | "button"
                | "label"
                | "option"
                | "thead"
                | "tbody"
        )
}

/// Puts the cells that go on from rows above into a row.
fn fill(cells: &mut Vec<String>, pending: &mut [(usize, String)]) {
    while let Some((_, text)) = pending.get(cells.len()).filter(|(rows, _)| *rows > 0) {
        cells.push(text.clone());
    }
}

fn level(name: &str) -> u8 {
    name.as_bytes().get(1).map_or(1, |digit| digit.saturating_sub(b'0'))
}
