//! `application/vnd.openxmlformats-officedocument.wordprocessingml.document`:
//! ECMA-376 part 1, section 17.

mod body;
mod numbering;
mod styles;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use roxmltree::{Document, Node};

use super::drawing::{self, Labels};
use super::package::{Package, Relations, parse};
use super::xml::{attribute, named};
use super::{Extracted, Unreadable, Warning, WarningCode};
use body::Body;
use numbering::Numbering;
pub(super) use numbering::written;
use styles::Styles;

const FORMAT: &str = "DOCX";
const DAMAGED: Unreadable = Unreadable::Damaged(FORMAT);

/// All that a reader sees: text as it is once changes are accepted, notes after
/// the paragraphs that they belong to, headers and footers once, at the end.
/// The title is that of the style `Title`, else of the document's properties.
/// Pages begin where the last program that laid it out wrote that they do, else
/// at breaks.
pub(super) fn extract(source: &[u8]) -> Result<Extracted, Unreadable> {
    let mut package = Package::open(source, FORMAT)?;
    let main = package.main("word/document.xml")?;
    let xml = package.xml(&main)?.ok_or(DAMAGED)?;
    let relations = package.relations(&main)?;
    let parts = Parts::read(&mut package, &relations)?;
    let document = parse(&xml, FORMAT)?;
    let root = document.root_element();
    let trees = parts.trees();
    let styles = trees.one("styles").map(Styles::read).unwrap_or_default();
    let numbering = trees.one("numbering").map(Numbering::read).unwrap_or_default();
    let mut body = Body::new(styles, numbering);
    body.laid_out = root.descendants().any(|node| named(node, "lastRenderedPageBreak"));
    body.footnotes = trees.one("footnotes").map(|root| notes(root, "footnote")).unwrap_or_default();
    body.endnotes = trees.one("endnotes").map(|root| notes(root, "endnote")).unwrap_or_default();
    body.drawings = parts.drawings(&trees);
    body.read(root);
    if let Some(settings) = trees.one("settings") {
        body.even_pages = settings.children().any(|node| named(node, "evenAndOddHeaders"));
    }
    let margins = body.margins(root);
    let margins: Vec<_> = margins.iter().filter_map(|id| trees.by_id(id)).collect();
    body.read_margins(&margins);
    let comments = trees.one("comments");
    let comments =
        comments.map_or(0, |root| root.children().filter(|node| named(*node, "comment")).count());
    if comments > 0 {
        body.warn(Warning::new(WarningCode::CommentsLeftOut, format!("{comments} comments")));
    }
    for id in &parts.unreadable {
        body.warn(Warning::new(WarningCode::PartLeftOut, format!("the part {id}")));
    }
    let title = body.title.take().or_else(|| package.title());
    Ok(body.finish(title))
}

/// The notes of a part by id, without those that draw a line.
fn notes<'a, 'x>(root: Node<'a, 'x>, kind: &str) -> HashMap<String, Node<'a, 'x>> {
    let notes = root.children().filter(|node| named(*node, kind));
    let shown = notes.filter(|node| matches!(attribute(*node, "type"), None | Some("normal")));
    shown.filter_map(|node| Some((attribute(node, "id")?.to_owned(), node))).collect()
}

/// Parts beside the main one, as texts.
struct Parts {
    /// Reference, kind, XML.
    all: Vec<(String, &'static str, String)>,
    unreadable: Vec<String>,
}

/// The kinds of parts that are read.
const KINDS: &[&str] = &[
    "styles",
    "numbering",
    "settings",
    "footnotes",
    "endnotes",
    "comments",
    "header",
    "footer",
    "chart",
    "diagramData",
];

impl Parts {
    fn read(package: &mut Package<'_>, relations: &Relations) -> Result<Self, Unreadable> {
        let mut parts = Self { all: Vec::new(), unreadable: Vec::new() };
        for (id, kind, target) in relations.iter() {
            let Some(kind) = KINDS.iter().find(|known| **known == kind) else { continue };
            match package.xml(target) {
                Ok(Some(xml)) => parts.all.push((id.to_owned(), kind, xml)),
                Ok(None) => {}
                Err(Unreadable::Unpacked) => return Err(Unreadable::Unpacked),
                Err(_) => parts.unreadable.push(target.to_owned()),
            }
        }
        Ok(parts)
    }

    /// The trees of the parts that can be read.
    fn trees(&self) -> Trees<'_> {
        let mut all = Vec::new();
        for (id, kind, xml) in &self.all {
            if let Ok(document) = parse(xml, FORMAT) {
                all.push((id.clone(), *kind, document));
            }
        }
        Trees { all }
    }

    fn drawings(&self, trees: &Trees<'_>) -> HashMap<String, Labels> {
        let read = |(id, kind, document): &(String, &'static str, Document<'_>)| {
            let labels = match *kind {
                "chart" => drawing::chart(document.root_element()),
                "diagramData" => drawing::diagram(document.root_element()),
                _ => return None,
            };
            Some((id.clone(), labels))
        };
        trees.all.iter().filter_map(read).collect()
    }
}

struct Trees<'x> {
    all: Vec<(String, &'static str, Document<'x>)>,
}

impl<'x> Trees<'x> {
    /// The root of the part of this kind.
    fn one<'a>(&'a self, kind: &str) -> Option<Node<'a, 'x>> {
        let found = self.all.iter().find(|(_, known, _)| *known == kind)?;
        Some(found.2.root_element())
    }

    /// The root of the part of this reference.
    fn by_id<'a>(&'a self, id: &str) -> Option<Node<'a, 'x>> {
        Some(self.all.iter().find(|(known, ..)| known == id)?.2.root_element())
    }
}
