//! `text/markdown`: CommonMark with tables, task lists, strikethrough,
//! footnotes and definition lists, and the HTML within it.

use std::borrow::Cow;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html::push_html};

use super::front_matter;
use super::html::{self, Style};
use super::{BlockKind, Extracted, Unreadable};

/// Tags that make what follows them text until their end tag comes; one whose
/// end tag does not come would take the rest of the document with it
/// (GitHub Flavored Markdown, section 6.11).
const SWALLOWING: &[&str] = &[
    "title",
    "textarea",
    "style",
    "xmp",
    "iframe",
    "noembed",
    "noframes",
    "script",
    "plaintext",
    "noscript",
];

/// Reads it as the page that it makes. The title is that of the front matter,
/// else the first heading of level 1.
pub(super) fn extract(source: &str) -> Result<Extracted, Unreadable> {
    let (front, body) = front_matter::split(source);
    let body = &*without_grounding(body);
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_DEFINITION_LIST
        | Options::ENABLE_HEADING_ATTRIBUTES;
    let mut page = String::with_capacity(body.len() * 2);
    push_html(&mut page, Parser::new_ext(body, options).map(tamed));
    let style = Style { xml: false, keep_boilerplate: true };
    let mut extracted = html::extract_as(&page, style)?;
    extracted.title = front.title.or_else(|| heading(&extracted));
    extracted.metadata = front.metadata;
    extracted.warnings.extend(front.warning);
    Ok(extracted)
}

/// An event of which HTML makes what a reader should see.
fn tamed(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(html) => Event::Html(closed(html.into_string()).into()),
        Event::InlineHtml(html) => Event::InlineHtml(closed(html.into_string()).into()),
        // Its number would stick to the word before it.
        Event::FootnoteReference(_) => Event::Text("".into()),
        Event::Start(Tag::FootnoteDefinition(_)) => Event::Html("<div>".into()),
        Event::End(TagEnd::FootnoteDefinition) => Event::Html("</div>".into()),
        event => event,
    }
}

/// Tags that swallow what follows are text, unless they end at once.
fn closed(html: String) -> String {
    let lower = html.to_ascii_lowercase();
    let open = SWALLOWING
        .iter()
        .find(|name| lower.contains(&format!("<{name}")) && !lower.contains(&format!("</{name}")));
    match open {
        None => html,
        Some(_) => html.replace('<', "&lt;"),
    }
}

/// A text without the marks by which models that read images say what they saw
/// where: `<|ref|>title<|/ref|><|det|>[[171, 101, 825, 150]]<|/det|>`.
fn without_grounding(source: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(source);
    for (open, close) in [("<|ref|>", "<|/ref|>"), ("<|det|>", "<|/det|>")] {
        if !text.contains(open) {
            continue;
        }
        let mut kept = String::with_capacity(text.len());
        let mut rest = &*text;
        while let Some((before, after)) = rest.split_once(open) {
            kept.push_str(before);
            // A mark ends on its line.
            let line = after.find('\n').unwrap_or(after.len());
            let end = after.find(close).filter(|end| *end < line).map(|end| end + close.len());
            if end.is_none() {
                kept.push_str(open);
            }
            rest = after.get(end.unwrap_or(0)..).unwrap_or_default();
        }
        kept.push_str(rest);
        text = Cow::Owned(kept);
    }
    text
}

fn heading(extracted: &Extracted) -> Option<String> {
    let first = extracted.blocks.iter().find(|block| block.kind == BlockKind::Heading(1))?;
    extracted.text.get(first.range.clone()).map(|title| title.replace('\n', " "))
}
