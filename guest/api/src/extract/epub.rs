//! `application/epub+zip`: the chapters of a book in the order of its spine
//! (EPUB 3.3).

use percent_encoding::percent_decode_str;
use roxmltree::Node;
use serde_json::Value;

use super::builder::Builder;
use super::html::{self, Style};
use super::package::{Package, parse, resolve};
use super::xml::{child, named, text};
use super::{Extracted, MediaType, Unreadable, Warning, WarningCode, encoding};
use crate::limits;

const FORMAT: &str = "EPUB";
const DAMAGED: Unreadable = Unreadable::Damaged(FORMAT);

/// Members of the metadata that become the document's.
const METADATA: &[&str] = &["creator", "language", "publisher", "date", "subject", "identifier"];

/// The title and the metadata are those of the package document. The page of
/// contents is left out: it says the headings once more.
pub(super) fn extract(source: &[u8]) -> Result<Extracted, Unreadable> {
    let mut package = Package::open(source, FORMAT)?;
    if package.bytes("META-INF/rights.xml")?.is_some() {
        return Err(Unreadable::Encrypted);
    }
    let container = package.xml("META-INF/container.xml")?.ok_or(DAMAGED)?;
    let container = parse(&container, FORMAT)?;
    let rootfile = container.descendants().find(|node| named(*node, "rootfile"));
    let path = rootfile.and_then(|node| node.attribute("full-path")).ok_or(DAMAGED)?.to_owned();
    let xml = package.xml(&path)?.ok_or(DAMAGED)?;
    let book = parse(&xml, FORMAT)?;
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut builder = Builder::default();
    for chapter in spine(book.root_element(), folder) {
        let read = package.bytes(&chapter)?.map(|bytes| read(&bytes));
        match read {
            Some(Ok(text)) => builder.append(&text),
            _ => builder
                .warn(Warning::new(WarningCode::PartLeftOut, format!("the chapter {chapter}"))),
        }
        if builder.len() > limits::MAX_TEXT_BYTES {
            return Err(Unreadable::TooLong);
        }
    }
    let metadata = child(book.root_element(), "metadata");
    let title = metadata.and_then(|metadata| child(metadata, "title")).map(line);
    let mut extracted = builder.finish(title.filter(|title| !title.is_empty()));
    for node in metadata.into_iter().flat_map(|metadata| metadata.children()) {
        let name = node.tag_name().name();
        if METADATA.contains(&name) && !extracted.metadata.contains_key(name) {
            extracted.metadata.insert(name.to_owned(), Value::String(line(node)));
        }
    }
    Ok(extracted)
}

fn line(node: Node<'_, '_>) -> String {
    text(node).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The chapters in order.
fn spine(book: Node<'_, '_>, folder: &str) -> Vec<String> {
    let items = child(book, "manifest");
    let item = |id: &str| {
        items?.children().find(|node| named(*node, "item") && node.attribute("id") == Some(id))
    };
    let references = child(book, "spine").into_iter().flat_map(|spine| spine.children());
    references
        .filter_map(|node| item(node.attribute("idref")?))
        .filter(|item| {
            let kind = item.attribute("media-type").unwrap_or_default();
            let contents = item.attribute("properties").unwrap_or_default();
            kind.contains("html") && !contents.split_whitespace().any(|one| one == "nav")
        })
        .filter_map(|item| {
            let href = percent_decode_str(item.attribute("href")?).decode_utf8_lossy();
            Some(resolve(folder, href.split('#').next().unwrap_or_default()))
        })
        .collect()
}

fn read(bytes: &[u8]) -> Result<Extracted, Unreadable> {
    let decoded = encoding::decode(bytes, None, MediaType::Html)?;
    html::extract_as(&decoded.text, Style { xml: true, keep_boilerplate: true })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::package::tests::pack;
    use super::*;

    #[test]
    fn a_book_is_its_chapters_in_the_order_of_its_spine() {
        let container =
            "<container><rootfiles><rootfile full-path='OEBPS/b.opf'/></rootfiles></container>";
        let opf = "<package xmlns:dc='d'><metadata><dc:title> The\n Sea </dc:title><dc:creator>X</dc:creator></metadata><manifest>\
            <item id='a' href='a%20b.xhtml' media-type='application/xhtml+xml'/><item id='n' href='nav.xhtml' properties='nav' media-type='application/xhtml+xml'/>\
            <item id='z' href='z.xhtml' media-type='application/xhtml+xml'/><item id='m' href='gone.xhtml' media-type='application/xhtml+xml'/></manifest>\
            <spine><itemref idref='n'/><itemref idref='z'/><itemref idref='a'/><itemref idref='m'/></spine></package>";
        let book = pack(&[
            ("META-INF/container.xml", container),
            ("OEBPS/b.opf", opf),
            (
                "OEBPS/a b.xhtml",
                "<?xml version='1.0'?><html><head><title/><script src='x'/></head><body><p><a id='p'/>Second</p></body></html>",
            ),
            ("OEBPS/z.xhtml", "<html><body><h1>One</h1><p>First</p></body></html>"),
            ("OEBPS/nav.xhtml", "<html><body>Contents</body></html>"),
        ]);
        let book = extract(&book).unwrap();
        assert_eq!(book.text, "One\n\nFirst\n\nSecond");
        assert_eq!((book.title.as_deref(), book.warnings.len()), (Some("The Sea"), 1));
        assert_eq!(book.metadata.get("creator"), Some(&Value::from("X")));
    }
}
