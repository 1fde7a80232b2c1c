//! `text/html`, by the tokenizer of the HTML standard. No tree is built: the
//! depth of nesting costs nothing, and tags that nobody closed do no harm.

use std::cell::RefCell;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

use super::builder::Builder;
use super::{Extracted, Kind};

/// Elements whose content is not part of the text.
const INVISIBLE: &[&str] = &[
    "script", "style", "template", "noscript", "svg", "math", "iframe", "object", "select",
    "datalist", "canvas", "nav", "textarea",
];

/// Elements that part paragraphs.
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
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
    "hr",
    "html",
    "main",
    "p",
    "section",
    "summary",
    "caption",
];

/// Elements without an end tag (HTML section 13.1.2).
const VOID: &[&str] = &[
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track",
    "wbr",
];

/// Keeps what a reader sees. The title is that of the head.
pub(super) fn extract(source: &str) -> Extracted {
    let tokenizer = Tokenizer::new(Sink::default(), TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from_slice(source));
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    let reader = tokenizer.sink.reader.into_inner();
    let title = Some(reader.title.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|title| !title.is_empty());
    reader.builder.finish(title)
}

#[derive(Default)]
struct Sink {
    reader: RefCell<Reader>,
}

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut reader = self.reader.borrow_mut();
        match token {
            Token::CharacterTokens(text) => reader.text(&text),
            Token::TagToken(tag) => return reader.tag(&tag),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

#[derive(Default)]
struct Reader {
    builder: Builder,
    title: String,
    in_title: bool,
    /// Elements that hide their content, innermost last.
    hidden: Vec<String>,
    preformatted: usize,
    tables: usize,
    cells: usize,
}

impl Reader {
    fn text(&mut self, text: &str) {
        if self.in_title {
            self.title.push_str(text);
        } else if !self.hidden.is_empty() {
        } else if self.preformatted > 0 {
            self.builder.verbatim(text);
        } else {
            self.builder.words(text);
        }
    }

    fn tag(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let name: &str = &tag.name;
        match tag.kind {
            TagKind::StartTag => {
                self.start(name, tag);
                raw_text(name)
            }
            TagKind::EndTag => {
                self.end(name);
                TokenSinkResult::Continue
            }
        }
    }

    fn start(&mut self, name: &str, tag: &Tag) {
        let is_hidden = INVISIBLE.contains(&name)
            || tag.attrs.iter().any(|attribute| {
                &*attribute.name.local == "hidden"
                    || (&*attribute.name.local == "aria-hidden" && &*attribute.value == "true")
            });
        let nested = self.hidden.iter().any(|open| open == name);
        if (is_hidden || nested) && !VOID.contains(&name) && !tag.self_closing {
            return self.hidden.push(name.to_owned());
        }
        if !self.hidden.is_empty() {
            return;
        }
        match name {
            "title" => self.in_title = true,
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                self.builder.start(Kind::Heading(level(name)))
            }
            "li" => {
                self.builder.start(Kind::ListItem);
                self.builder.mark("- ");
            }
            "pre" => {
                self.preformatted += 1;
                self.builder.start(Kind::Code);
            }
            "table" => {
                self.tables += 1;
                self.builder.start(Kind::Table);
            }
            "tr" => {
                self.builder.line_break();
                self.cells = 0;
            }
            "td" | "th" => self.cell(),
            "br" if self.preformatted > 0 => self.builder.verbatim("\n"),
            "br" => self.builder.line_break(),
            "ul" | "ol" => self.builder.end(),
            _ if BLOCKS.contains(&name) => self.boundary(),
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        if let Some(open) = self.hidden.iter().rposition(|open| open == name) {
            self.hidden.truncate(open);
            return;
        }
        match name {
            "title" => self.in_title = false,
            _ if !self.hidden.is_empty() => {}
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "li" => self.builder.end(),
            "ul" | "ol" => self.builder.paragraph_break(),
            "pre" => {
                self.preformatted = self.preformatted.saturating_sub(1);
                self.builder.end();
            }
            "table" => {
                self.tables = self.tables.saturating_sub(1);
                self.builder.end();
            }
            _ if BLOCKS.contains(&name) => self.boundary(),
            _ => {}
        }
    }

    fn cell(&mut self) {
        if self.tables > 0 && self.cells > 0 {
            self.builder.mark(" | ");
        }
        self.cells += 1;
    }

    /// Inside a table or a list item a block is no more than a space or a line.
    fn boundary(&mut self) {
        match self.builder.kind() {
            Some(Kind::Table) if self.tables > 0 => self.builder.gap(),
            Some(Kind::ListItem) => self.builder.gap(),
            Some(Kind::Code) if self.preformatted > 0 => {}
            _ => self.builder.end(),
        }
    }
}

/// What the tokenizer must be told, as it has no tree builder to tell it.
fn raw_text(name: &str) -> TokenSinkResult<()> {
    match name {
        "script" => TokenSinkResult::RawData(RawKind::ScriptData),
        "style" | "iframe" | "noscript" | "xmp" | "noembed" | "noframes" => {
            TokenSinkResult::RawData(RawKind::Rawtext)
        }
        "title" | "textarea" => TokenSinkResult::RawData(RawKind::Rcdata),
        _ => TokenSinkResult::Continue,
    }
}

fn level(name: &str) -> u8 {
    name.as_bytes().get(1).map_or(1, |digit| digit.saturating_sub(b'0'))
}
