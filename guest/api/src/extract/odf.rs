//! OpenDocument texts, workbooks and slides (ODF 1.3 part 3).

mod tables;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use roxmltree::Node;

use super::builder::Builder;
use super::math;
use super::package::{Package, parse};
use super::xml::{attribute, child, name, named, text};
use super::{BlockKind, Extracted, MediaType, Unreadable, Warning, WarningCode};
use crate::limits;

/// Text with headings, lists, tables and notes; a sheet's or a slide's name is
/// a heading. Headers and footers come once, at the end.
pub(super) fn extract(source: &[u8], media_type: MediaType) -> Result<Extracted, Unreadable> {
    let format = match media_type {
        MediaType::Ods => "ODS",
        MediaType::Odp => "ODP",
        _ => "ODT",
    };
    let mut package = Package::open(source, format)?;
    let manifest = package.xml("META-INF/manifest.xml")?.unwrap_or_default();
    if manifest.contains("encryption-data") {
        return Err(Unreadable::Encrypted);
    }
    let xml = package.xml("content.xml")?.ok_or(Unreadable::Damaged(format))?;
    let document = parse(&xml, format)?;
    let styles = package.xml("styles.xml")?.unwrap_or_default();
    let styles = parse(&styles, format).ok();
    let meta = package.xml("meta.xml")?.unwrap_or_default();
    let meta = parse(&meta, format).ok();
    let mut formulas = HashMap::new();
    for object in package.names(|name| name.ends_with("/content.xml")) {
        let Some(xml) = package.xml(&object)? else { continue };
        let Ok(object_tree) = parse(&xml, format) else { continue };
        if named(object_tree.root_element(), "math") {
            let folder = object.trim_end_matches("/content.xml").to_owned();
            formulas.insert(folder, formula(object_tree.root_element(), 0));
        }
    }
    let mut reader = Reader { formulas, ..Reader::default() };
    let roots = [Some(&document), styles.as_ref()];
    for root in roots.into_iter().flatten() {
        reader.styles(root.root_element());
    }
    if let Some(body) = child(document.root_element(), "body") {
        reader.blocks(body);
    }
    if let Some(styles) = &styles
        && media_type == MediaType::Odt
    {
        reader.margins(styles.root_element());
    }
    if reader.over_cells {
        return Err(Unreadable::bound("cells", limits::MAX_CELLS));
    }
    if reader.comments > 0 {
        let detail = format!("{} comments", reader.comments);
        reader.builder.warn(Warning::new(WarningCode::CommentsLeftOut, detail));
    }
    let said = meta.as_ref().and_then(|meta| {
        let title = meta.descendants().find(|node| named(*node, "title"))?;
        Some(text(title).split_whitespace().collect::<Vec<_>>().join(" "))
    });
    let title = reader.title.take().or(said.filter(|title| !title.is_empty()));
    Ok(reader.builder.finish(title))
}

fn formula(node: Node<'_, '_>, depth: usize) -> String {
    if depth > limits::MAX_XML_DEPTH {
        return String::new();
    }
    let part = |node: Node<'_, '_>| match node.is_element() {
        true => Some(formula(node, depth + 1)),
        false => node.text().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()),
    };
    math::mathml(name(node), &node.children().filter_map(part).collect::<Vec<_>>())
}

/// A level of a list style.
#[derive(Debug, Clone, Default)]
struct Level {
    /// None for bullets.
    format: Option<String>,
    prefix: String,
    suffix: String,
    start: u32,
    shown: usize,
}

#[derive(Default)]
struct Reader<'a, 'x> {
    builder: Builder,
    title: Option<String>,
    /// Styles that hide, and those that are titles.
    hidden: HashSet<String>,
    titles: HashSet<String>,
    lists: HashMap<String, HashMap<usize, Level>>,
    /// Equations by the folder of their object.
    formulas: HashMap<String, String>,
    /// Counts by list style.
    counts: HashMap<String, Vec<u32>>,
    /// Styles of the lists around the place.
    open: Vec<String>,
    /// What the next paragraph begins with.
    mark: Option<String>,
    following: Vec<Node<'a, 'x>>,
    comments: usize,
    cells: usize,
    over_cells: bool,
    depth: usize,
}

impl<'a, 'x> Reader<'a, 'x> {
    fn styles(&mut self, root: Node<'_, '_>) {
        for node in root.descendants().filter(Node::is_element) {
            let Some(id) = attribute(node, "name").map(str::to_owned) else { continue };
            match name(node) {
                "style" => {
                    let off = |name: &str, value: &str| {
                        node.children()
                            .filter(Node::is_element)
                            .any(|own| attribute(own, name) == Some(value))
                    };
                    if off("display", "none") || off("display", "false") {
                        self.hidden.insert(id.clone());
                    }
                    if id == "Title" || attribute(node, "parent-style-name") == Some("Title") {
                        self.titles.insert(id);
                    }
                }
                "list-style" => {
                    let levels = node.children().filter_map(level).collect();
                    self.lists.insert(id, levels);
                }
                _ => {}
            }
        }
    }

    fn deeper(&mut self, read: impl FnOnce(&mut Self)) {
        if self.depth >= limits::MAX_XML_DEPTH {
            let detail = format!("what is nested more than {} levels deep", limits::MAX_XML_DEPTH);
            return self.builder.warn(Warning::new(WarningCode::PartLeftOut, detail));
        }
        self.depth += 1;
        read(self);
        self.depth -= 1;
    }

    fn is_hidden(&self, node: Node<'_, '_>) -> bool {
        attribute(node, "style-name").is_some_and(|style| self.hidden.contains(style))
            || attribute(node, "display") == Some("none")
    }

    fn blocks(&mut self, node: Node<'a, 'x>) {
        for node in node.children().filter(Node::is_element) {
            if self.builder.len() > limits::MAX_TEXT_BYTES {
                return;
            }
            match name(node) {
                "h" => self.paragraph(node, true),
                "p" => self.paragraph(node, false),
                "list" => self.deeper(|reader| reader.list(node)),
                "table" => self.table(node),
                "tracked-changes"
                | "forms"
                | "settings"
                | "variable-decls"
                | "sequence-decls"
                | "user-field-decls"
                | "animations"
                | "named-expressions"
                | "database-ranges"
                | "dde-links"
                | "calculation-settings"
                | "content-validations" => {}
                "annotation" => self.comments += 1,
                "page" => self.deeper(|reader| reader.slide(node)),
                "section" if self.is_hidden(node) => {}
                "soft-page-break" => self.builder.page(),
                "notes" => self.deeper(|reader| reader.notes(node)),
                "object" => self.object(node),
                _ => self.deeper(|reader| reader.blocks(node)),
            }
        }
    }

    fn slide(&mut self, node: Node<'a, 'x>) {
        self.builder.page();
        let titles = |node: &Node<'a, 'x>| attribute(*node, "class") == Some("title");
        let frames: Vec<_> = node.children().filter(Node::is_element).collect();
        for frame in frames.iter().copied().filter(titles) {
            let line = self.flat(frame);
            self.builder.block(BlockKind::Heading(1), &line);
        }
        for frame in frames.iter().copied().filter(|frame| !titles(frame)) {
            match name(frame) {
                "notes" => self.notes(frame),
                _ => self.frame(frame),
            }
        }
    }

    fn notes(&mut self, node: Node<'a, 'x>) {
        let frames = node.children().filter(|frame| attribute(*frame, "class") == Some("notes"));
        for frame in frames.collect::<Vec<_>>() {
            self.blocks(frame);
        }
    }

    fn frame(&mut self, node: Node<'a, 'x>) {
        if matches!(attribute(node, "class"), Some("page-number" | "date-time")) {
            return;
        }
        self.deeper(|reader| reader.blocks(node));
    }

    /// An object is an equation, or left out.
    fn object(&mut self, node: Node<'_, '_>) {
        let folder =
            attribute(node, "href").unwrap_or_default().trim_start_matches("./").to_owned();
        if let Some(math) = child(node, "math") {
            let line = formula(math, 0);
            return self.builder.block(BlockKind::Paragraph, &line);
        }
        match self.formulas.get(&folder) {
            Some(line) => self.builder.block(BlockKind::Paragraph, line),
            None if folder.is_empty() => {}
            None => self.builder.warn(Warning::new(WarningCode::PartLeftOut, "an embedded object")),
        }
    }

    fn paragraph(&mut self, node: Node<'a, 'x>, heading: bool) {
        if self.is_hidden(node) {
            return;
        }
        let mut line = String::new();
        self.deeper(|reader| reader.inline(node, &mut line));
        let blank = line.trim().is_empty();
        let title = attribute(node, "style-name")
            .is_some_and(|style| style == "Title" || self.titles.contains(style));
        let level =
            attribute(node, "outline-level").and_then(|level| level.parse().ok()).unwrap_or(1);
        let mark = self.mark.take();
        let kind = match (&mark, heading || title) {
            (_, true) => BlockKind::Heading(if title { 1 } else { level }),
            (Some(_), false) => BlockKind::ListItem,
            (None, false) => BlockKind::Paragraph,
        };
        if kind != BlockKind::ListItem && self.builder.in_list() {
            self.builder.paragraph_break();
        }
        self.builder.start(kind);
        if let Some(mark) =
            mark.filter(|mark| !blank && (kind == BlockKind::ListItem || mark != "- "))
        {
            self.builder.mark(&mark);
        }
        for (index, part) in line.split('\n').enumerate() {
            if index > 0 {
                self.builder.line_break();
            }
            self.builder.words(part);
        }
        self.builder.end();
        if title && self.title.is_none() && !blank {
            self.title = self.builder.last().map(|title| title.replace('\n', " "));
        }
        for node in std::mem::take(&mut self.following) {
            self.deeper(|reader| reader.blocks(node));
        }
    }

    fn inline(&mut self, node: Node<'a, 'x>, line: &mut String) {
        for node in node.children() {
            if node.is_text() {
                line.push_str(node.text().unwrap_or_default());
                continue;
            }
            match name(node) {
                "s" => {
                    let count = attribute(node, "c").and_then(|count| count.parse().ok());
                    line.extend(std::iter::repeat_n(' ', count.unwrap_or(1_usize).min(8)));
                }
                "tab" => line.push(' '),
                "line-break" => line.push('\n'),
                "annotation" => self.comments += 1,
                "annotation-end" | "tracked-changes" | "ruby-text" | "hidden-text" => {}
                "soft-page-break" if line.trim().is_empty() => self.builder.page(),
                "note" => self.following.extend(child(node, "note-body")),
                "frame" | "custom-shape" | "rect" | "g" | "text-box" | "polygon" => {
                    if let Some(math) = self.equation(node) {
                        line.push_str(&format!(" {math} "));
                    } else {
                        self.following.push(node);
                    }
                }
                "span" if self.is_hidden(node) => {}
                _ => self.deeper(|reader| reader.inline(node, line)),
            }
        }
    }

    /// The equation in a frame.
    fn equation(&self, frame: Node<'_, '_>) -> Option<String> {
        let object = child(frame, "object")?;
        if let Some(math) = child(object, "math") {
            return Some(formula(math, 0));
        }
        let folder = attribute(object, "href")?.trim_start_matches("./");
        self.formulas.get(folder).cloned()
    }

    fn list(&mut self, node: Node<'a, 'x>) {
        let own = attribute(node, "style-name").map(str::to_owned);
        let style = own.or_else(|| self.open.last().cloned()).unwrap_or_default();
        let goes_on = attribute(node, "continue-numbering") == Some("true")
            || attribute(node, "continue-list").is_some();
        self.open.push(style.clone());
        let depth = self.open.len();
        let counts = self.counts.entry(style.clone()).or_default();
        counts.resize(counts.len().max(depth), 0);
        if let Some(count) = counts.get_mut(depth - 1).filter(|_| !goes_on) {
            *count = 0;
        }
        for item in
            node.children().filter(|node| matches!(name(*node), "list-item" | "list-header"))
        {
            if named(item, "list-item") {
                self.mark = Some(self.next_mark(&style, depth, item));
            }
            self.deeper(|reader| reader.blocks(item));
            self.mark = None;
        }
        self.open.pop();
        if self.open.is_empty() {
            self.builder.paragraph_break();
        }
    }

    fn next_mark(&mut self, style: &str, depth: usize, item: Node<'_, '_>) -> String {
        let Some(levels) = self.lists.get(style) else { return "- ".to_owned() };
        let Some(level) = levels.get(&depth).filter(|level| level.format.is_some()) else {
            return "- ".to_owned();
        };
        let counts = self.counts.entry(style.to_owned()).or_default();
        counts.truncate(depth);
        let own = attribute(item, "start-value").and_then(|start| start.parse().ok());
        if let Some(count) = counts.get_mut(depth - 1) {
            let next = if *count == 0 { level.start } else { count.saturating_add(1) };
            *count = own.unwrap_or(next);
        }
        let first = depth.saturating_sub(level.shown.max(1));
        let shown = counts.iter().enumerate().skip(first).map(|(index, count)| {
            let format = levels.get(&(index + 1)).and_then(|level| level.format.as_deref());
            written(*count, format.unwrap_or("1"))
        });
        format!("{}{}{} ", level.prefix, shown.collect::<Vec<_>>().join("."), level.suffix)
    }

    /// A cell as it is shown, on one line.
    fn cell(&mut self, node: Node<'a, 'x>) -> String {
        let line = self.flat(node);
        match attribute(node, "value").or_else(|| attribute(node, "date-value")) {
            Some(value) if line.trim().is_empty() => value.to_owned(),
            _ => line,
        }
    }

    /// The paragraphs below on one line.
    fn flat(&mut self, node: Node<'a, 'x>) -> String {
        let mut line = String::new();
        self.deeper(|reader| {
            for inner in node.children().filter(Node::is_element) {
                match name(inner) {
                    "p" | "h" if reader.is_hidden(inner) => {}
                    "p" | "h" => {
                        line.push(' ');
                        reader.inline(inner, &mut line);
                    }
                    "annotation" => reader.comments += 1,
                    "list-item" => {
                        line.push_str(" - ");
                        line.push_str(&reader.flat(inner));
                    }
                    "tracked-changes" => {}
                    _ => {
                        line.push(' ');
                        line.push_str(&reader.flat(inner));
                    }
                }
            }
        });
        line
    }

    /// Headers and footers; one without a word is the page's number.
    fn margins(&mut self, root: Node<'a, 'x>) {
        let mut said: Vec<String> = Vec::new();
        let margins = root.descendants().filter(|node| {
            matches!(
                name(*node),
                "header"
                    | "footer"
                    | "header-first"
                    | "footer-first"
                    | "header-left"
                    | "footer-left"
            ) && node.parent_element().is_some_and(|parent| named(parent, "master-page"))
        });
        for node in margins {
            let line = self.flat(node);
            let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
            if line.chars().any(char::is_alphabetic) && !said.contains(&line) {
                self.builder.block(BlockKind::Paragraph, &line);
                said.push(line);
            }
        }
    }
}

fn level(node: Node<'_, '_>) -> Option<(usize, Level)> {
    let number = attribute(node, "level")?.parse().ok()?;
    let string = |name: &str| attribute(node, name).unwrap_or_default().to_owned();
    let format = attribute(node, "num-format").filter(|format| !format.is_empty());
    let numbered = named(node, "list-level-style-number");
    let level = Level {
        format: format.filter(|_| numbered).map(str::to_owned),
        prefix: string("num-prefix"),
        suffix: string("num-suffix"),
        start: attribute(node, "start-value").and_then(|start| start.parse().ok()).unwrap_or(1),
        shown: attribute(node, "display-levels").and_then(|shown| shown.parse().ok()).unwrap_or(1),
    };
    Some((number, level))
}

fn written(count: u32, format: &str) -> String {
    match format {
        "a" => super::docx::written(count, "lowerLetter"),
        "A" => super::docx::written(count, "upperLetter"),
        "i" => super::docx::written(count, "lowerRoman"),
        "I" => super::docx::written(count, "upperRoman"),
        _ => count.to_string(),
    }
}
