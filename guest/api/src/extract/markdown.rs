//! `text/markdown`: CommonMark with tables, task lists and strikethrough.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::builder::Builder;
use super::{Extracted, Kind};

/// Keeps headings, paragraphs, list items, tables and code as blocks, and drops
/// the marks. The title is the first heading of level 1.
pub(super) fn extract(source: &str) -> Extracted {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut reader = Reader::default();
    for event in Parser::new_ext(source, options) {
        reader.event(event);
    }
    reader.builder.finish(reader.title)
}

#[derive(Default)]
struct Reader {
    builder: Builder,
    title: Option<String>,
    lists: usize,
    cells: usize,
    hidden: bool,
}

impl Reader {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            _ if self.hidden => {}
            Event::Text(text) if self.builder.kind() == Some(Kind::Code) => {
                self.builder.verbatim(&text)
            }
            Event::Text(text) | Event::Code(text) => self.builder.words(&text),
            Event::SoftBreak => self.builder.gap(),
            Event::HardBreak => self.builder.line_break(),
            Event::TaskListMarker(done) => self.builder.mark(if done { "[x] " } else { "[ ] " }),
            // Inline HTML has no text of its own: its content comes as text.
            _ => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { level, .. } => self.builder.start(Kind::Heading(depth(level))),
            // An item's first paragraph belongs to the item.
            Tag::Paragraph if self.lists > 0 && self.builder.kind() == Some(Kind::ListItem) => {}
            Tag::Paragraph => self.builder.start(Kind::Paragraph),
            Tag::CodeBlock(_) => self.builder.start(Kind::Code),
            Tag::List(_) => {
                self.lists += 1;
                self.builder.end();
            }
            Tag::Item => {
                self.builder.start(Kind::ListItem);
                self.builder.mark("- ");
            }
            Tag::Table(_) => self.builder.start(Kind::Table),
            Tag::TableHead | Tag::TableRow => self.cells = 0,
            Tag::TableCell => {
                if self.cells > 0 {
                    self.builder.mark(" | ");
                }
                self.cells += 1;
            }
            Tag::MetadataBlock(_) => self.hidden = true,
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(level) => {
                self.builder.end();
                if level == HeadingLevel::H1 && self.title.is_none() {
                    self.title = self.builder.last().map(str::to_owned);
                }
            }
            TagEnd::Paragraph | TagEnd::CodeBlock | TagEnd::Item | TagEnd::Table => {
                self.builder.end()
            }
            TagEnd::List(_) => {
                self.lists = self.lists.saturating_sub(1);
                if self.lists == 0 {
                    self.builder.paragraph_break();
                }
            }
            TagEnd::TableHead | TagEnd::TableRow => self.builder.line_break(),
            TagEnd::MetadataBlock(_) => self.hidden = false,
            _ => {}
        }
    }
}

fn depth(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}
