//! The tree of a page, built from its tokens.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;

use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{Tag, TagKind, Token, TokenSink, TokenSinkResult};
use html5ever::{LocalName, local_name};

use super::{Id, NONE, Node, Tree};
use crate::limits;

/// Elements without an end tag (HTML section 13.1.2).
const VOID: &[&str] = &[
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track",
    "wbr", "param",
];

/// Elements that end a paragraph that is open.
const ENDS_PARAGRAPH: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "center",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hgroup",
    "hr",
    "li",
    "dd",
    "dt",
    "main",
    "menu",
    "nav",
    "ol",
    "p",
    "pre",
    "search",
    "section",
    "summary",
    "table",
    "ul",
];

/// Elements that an inline element's end tag does not reach across.
const SPECIAL: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "caption",
    "dd",
    "details",
    "dialog",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "html",
    "li",
    "main",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "ul",
    "template",
    "head",
    "title",
];

/// Elements that nothing reaches out of (HTML section 13.2.4.2).
const SCOPES: &[&str] = &["html", "table", "td", "th", "caption", "template", "object"];

/// Attributes that are kept.
const KEPT: &[&str] =
    &["class", "id", "role", "colspan", "rowspan", "start", "value", "type", "alttext", "name"];

pub(super) struct Sink {
    pub(super) parser: RefCell<Parser>,
}

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut parser = self.parser.borrow_mut();
        match token {
            Token::CharacterTokens(text) => parser.text(&text),
            Token::TagToken(tag) => return parser.tag(&tag),
            _ => {}
        }
        TokenSinkResult::Continue
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.parser.borrow().is_foreign()
    }
}

pub(super) struct Parser {
    pub(super) tree: Tree,
    /// Elements that are open, the innermost last; at most as many as a tree
    /// may be deep.
    open: Vec<(Id, LocalName)>,
    /// Elements that are open beyond that, by name.
    beyond: HashMap<LocalName, usize>,
    /// The outermost drawing or formula that is open, and its place.
    foreign: Option<(usize, Id)>,
    xml: bool,
    pub(super) full: bool,
}

impl Parser {
    pub(super) fn new(xml: bool) -> Self {
        let mut parser = Self {
            tree: Tree::default(),
            open: Vec::new(),
            beyond: HashMap::new(),
            foreign: None,
            xml,
            full: false,
        };
        let root = parser.add(local_name!("html"), 0..0);
        parser.open.push((root, local_name!("html")));
        parser
    }

    fn add(&mut self, name: LocalName, text: Range<u32>) -> Id {
        let id = u32::try_from(self.tree.nodes.len()).unwrap_or(NONE);
        if self.tree.nodes.len() >= limits::MAX_XML_NODES {
            self.full = true;
            return NONE;
        }
        let parent = self.open.last().map_or(NONE, |(id, _)| *id);
        self.tree.nodes.push(Node {
            name,
            text,
            parent,
            first: NONE,
            last: NONE,
            next: NONE,
            hidden: false,
            marked: false,
        });
        let before = self.tree.nodes.get(parent as usize).map_or(NONE, |parent| parent.last);
        if let Some(before) = self.tree.nodes.get_mut(before as usize) {
            before.next = id;
        }
        if let Some(parent) = self.tree.nodes.get_mut(parent as usize) {
            parent.last = id;
            if parent.first == NONE {
                parent.first = id;
            }
        }
        id
    }

    pub(super) fn text(&mut self, text: &str) {
        let start = self.tree.text.len();
        self.tree.text.push_str(text);
        let range = start as u32..self.tree.text.len() as u32;
        let parent = self.open.last().map_or(NONE, |(id, _)| *id);
        let last = self.tree.nodes.get(parent as usize).map_or(NONE, |parent| parent.last);
        // The tokenizer gives a text in pieces; they are one node.
        match self.tree.nodes.get_mut(last as usize) {
            Some(last) if last.name == local_name!("") && last.text.end == range.start => {
                last.text.end = range.end;
            }
            _ => {
                self.add(local_name!(""), range);
            }
        }
    }

    fn tag(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        if self.full {
            return TokenSinkResult::Continue;
        }
        match tag.kind {
            TagKind::StartTag => {
                self.start(tag);
                let closed = self.xml && tag.self_closing;
                if closed { TokenSinkResult::Continue } else { self.raw_text(&tag.name) }
            }
            TagKind::EndTag => {
                self.end(&tag.name);
                TokenSinkResult::Continue
            }
        }
    }

    fn is_foreign(&self) -> bool {
        let Some((at, id)) = self.foreign else { return false };
        self.open.get(at).is_some_and(|(open, _)| *open == id)
    }

    pub(super) fn start(&mut self, tag: &Tag) {
        let name: &str = &tag.name;
        if matches!(name, "html" | "body" | "head") {
            // The root is there already, and a second body changes nothing.
            if name == "body" {
                self.close(&["head"], &[]);
            }
            if name == "html" {
                return;
            }
        }
        let foreign = self.is_foreign();
        if !foreign {
            self.imply_ends(name);
        }
        let id = self.add(tag.name.clone(), 0..0);
        self.attributes(id, tag);
        let closed =
            VOID.contains(&name) || (tag.self_closing && (self.xml || foreign || name == "svg"));
        match closed {
            true => {}
            false if self.open.len() >= limits::MAX_XML_DEPTH => {
                *self.beyond.entry(tag.name.clone()).or_default() += 1;
            }
            false => {
                if !foreign && matches!(name, "svg" | "math") {
                    self.foreign = Some((self.open.len(), id));
                }
                self.open.push((id, tag.name.clone()));
            }
        }
    }

    /// Ends what a start tag of this name ends.
    fn imply_ends(&mut self, name: &str) {
        match name {
            "li" => self.close(&["li"], &["ul", "ol", "menu", "dir"]),
            "dt" | "dd" => self.close(&["dt", "dd"], &["dl"]),
            "option" | "optgroup" => self.close(&["option"], &["select"]),
            "tr" => self.close(&["tr", "caption", "colgroup"], &[]),
            "td" | "th" => self.close_cell(),
            "thead" | "tbody" | "tfoot" => {
                self.close_cell();
                self.close(&["thead", "tbody", "tfoot", "caption", "colgroup"], &[]);
            }
            "rt" | "rp" | "rb" => self.close(&["rt", "rp", "rb"], &["ruby"]),
            "a" => self.close(&["a"], SPECIAL),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.close(&["h1", "h2", "h3", "h4", "h5", "h6"], &["div", "section", "article"]);
            }
            _ => {}
        }
        if ENDS_PARAGRAPH.contains(&name) {
            self.close(&["p"], &["button"]);
        }
    }

    /// A cell ends with the next one, but not across a table.
    fn close_cell(&mut self) {
        let table = self.open.iter().rposition(|(_, name)| *name == local_name!("table"));
        let cell = self.open.iter().rposition(|(_, name)| matches!(&**name, "td" | "th"));
        if let Some(cell) = cell.filter(|cell| Some(*cell) > table) {
            self.open.truncate(cell);
        }
    }

    /// Ends the innermost of these elements, unless one of `within` or of
    /// [`SCOPES`] is between.
    fn close(&mut self, names: &[&str], within: &[&str]) {
        let cells = names.contains(&"tr") || names.contains(&"tbody");
        for (index, (_, open)) in self.open.iter().enumerate().rev() {
            let open: &str = open;
            if names.contains(&open) {
                self.open.truncate(index);
                return;
            }
            let crosses_cell = cells && matches!(open, "td" | "th" | "caption");
            if within.contains(&open) || (SCOPES.contains(&open) && !crosses_cell) {
                return;
            }
        }
    }

    pub(super) fn end(&mut self, name: &LocalName) {
        if let Some(count) = self.beyond.get_mut(name).filter(|count| **count > 0) {
            *count -= 1;
            return;
        }
        let text: &str = name;
        match text {
            "html" | "body" => return,
            "br" => {
                self.add(local_name!("br"), 0..0);
                return;
            }
            _ => {}
        }
        let special = SPECIAL.contains(&text);
        let heading = is_heading(text);
        for (index, (_, open)) in self.open.iter().enumerate().skip(1).rev() {
            if open == name || (heading && is_heading(open)) {
                return self.open.truncate(index);
            }
            let barrier = match special {
                true => {
                    SCOPES.contains(&&**open) && !SCOPES.contains(&text) && !is_table_part(text)
                }
                false => SPECIAL.contains(&&**open),
            };
            // A table's part ends within its own table.
            if barrier || (is_table_part(text) && *open == local_name!("table")) {
                break;
            }
        }
        if text == "p" {
            self.add(local_name!("p"), 0..0);
        }
    }

    pub(super) fn attributes(&mut self, id: Id, tag: &Tag) {
        let (mut hidden, mut marked) = (false, false);
        let mut kept = Vec::new();
        for attribute in &tag.attrs {
            let (name, value): (&str, &str) = (&attribute.name.local, &attribute.value);
            match name {
                "hidden" => hidden |= !value.eq_ignore_ascii_case("until-found"),
                "aria-hidden" => hidden |= value.eq_ignore_ascii_case("true"),
                "style" => hidden |= is_hiding(value),
                "checked" | "open" => marked = true,
                _ if KEPT.contains(&name) => {
                    kept.push((attribute.name.local.clone(), value.to_owned()));
                }
                _ => {}
            }
        }
        if &*tag.name == "dialog" && !marked {
            hidden = true;
        }
        if let Some(node) = self.tree.nodes.get_mut(id as usize) {
            (node.hidden, node.marked) = (hidden, marked);
        }
        if !kept.is_empty() {
            self.tree.attributes.insert(id, kept);
        }
    }

    /// What the tokenizer must know, as the standard's tree builder would.
    fn raw_text(&self, name: &str) -> TokenSinkResult<()> {
        if self.is_foreign() {
            return TokenSinkResult::Continue;
        }
        match name {
            "script" => TokenSinkResult::RawData(RawKind::ScriptData),
            "style" | "iframe" | "noscript" | "xmp" | "noembed" | "noframes" => {
                TokenSinkResult::RawData(RawKind::Rawtext)
            }
            "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
            _ => TokenSinkResult::Continue,
        }
    }
}

fn is_heading(name: &str) -> bool {
    matches!(name, "h1" | "h2" | "h3" | "h4" | "h5" | "h6")
}

fn is_table_part(name: &str) -> bool {
    matches!(name, "tr" | "td" | "th" | "thead" | "tbody" | "tfoot" | "caption")
}

/// Whether a style says that nobody sees an element.
fn is_hiding(style: &str) -> bool {
    style.split(';').filter_map(|rule| rule.split_once(':')).any(|(name, value)| {
        let value = value.trim().trim_end_matches("!important").trim_end().to_ascii_lowercase();
        match name.trim().to_ascii_lowercase().as_str() {
            "display" => value == "none",
            "visibility" => value == "hidden" || value == "collapse",
            _ => false,
        }
    })
}
