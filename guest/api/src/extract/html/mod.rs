//! `text/html`, by the tokenizer of the HTML standard and a tree that is as
//! deep and as large as it needs to be for a text.

mod boilerplate;
mod reader;
#[cfg(test)]
mod tests;
mod tree;

use super::{Extracted, Unreadable, Warning, WarningCode};
use reader::Reader;
use tree::Tree;

/// How a page is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// Whether `<a/>` is closed, as in XML.
    pub(super) xml: bool,
    /// Whether navigation and the like are text.
    pub(super) keep_boilerplate: bool,
}

/// Keeps what a reader sees. The title is that of the head.
pub(super) fn extract(source: &str, keep_boilerplate: bool) -> Result<Extracted, Unreadable> {
    let xml = source.trim_start().starts_with("<?xml");
    extract_as(source, Style { xml, keep_boilerplate })
}

/// Like [`extract`], for a source of which more is known.
pub(super) fn extract_as(source: &str, style: Style) -> Result<Extracted, Unreadable> {
    let tree = Tree::parse(source, style.xml)?;
    let title = tree.title();
    let skipped = match style.keep_boilerplate {
        true => boilerplate::Found::default(),
        false => boilerplate::find(&tree),
    };
    let extracted = Reader::new(&tree, &skipped).read(title.clone());
    if skipped.is_empty() {
        return Ok(extracted);
    }
    // A page of nothing else is that.
    if extracted.text.is_empty() {
        return Ok(Reader::new(&tree, &boilerplate::Found::default()).read(title));
    }
    let warning = Warning::new(WarningCode::BoilerplateLeftOut, skipped.description());
    Ok(Extracted { warnings: [extracted.warnings, vec![warning]].concat(), ..extracted })
}
