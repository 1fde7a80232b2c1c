//! Packed documents: a ZIP archive of XML parts that refer to each other
//! (OPC, ECMA-376 part 2; ODF 1.3 part 2; OCF 3.3).

use std::collections::HashMap;
use std::io::{Cursor, Read};

use encoding_rs::Encoding;
use roxmltree::{Document, ParsingOptions};
use zip::ZipArchive;

use super::Unreadable;
use super::xml::{attribute, named};
use crate::limits;

/// An archive whose parts are read within one budget, so that no archive
/// unpacks to more than [`limits::MAX_UNPACKED_BYTES`] in all.
pub(super) struct Package<'s> {
    archive: ZipArchive<Cursor<&'s [u8]>>,
    /// What it should be, for people.
    format: &'static str,
    /// Bytes that may still be unpacked.
    budget: u64,
}

impl<'s> Package<'s> {
    /// Opens an archive.
    pub(super) fn open(source: &'s [u8], format: &'static str) -> Result<Self, Unreadable> {
        let archive =
            ZipArchive::new(Cursor::new(source)).map_err(|_| Unreadable::Damaged(format))?;
        if archive.len() > limits::MAX_PACKED_PARTS {
            return Err(Unreadable::bound("packed files", limits::MAX_PACKED_PARTS));
        }
        Ok(Self { archive, format, budget: limits::MAX_UNPACKED_BYTES as u64 })
    }

    /// The bytes of a part, if there is one of this name. The case of a name
    /// does not count (ECMA-376 part 2, section 6.2.2.3).
    pub(super) fn bytes(&mut self, name: &str) -> Result<Option<Vec<u8>>, Unreadable> {
        let index = self.archive.index_for_name(name).or_else(|| {
            let mut names = self.archive.file_names();
            let found = names.find(|known| known.eq_ignore_ascii_case(name))?.to_owned();
            self.archive.index_for_name(&found)
        });
        let Some(index) = index else { return Ok(None) };
        let damaged = Unreadable::Damaged(self.format);
        let file = self.archive.by_index(index).map_err(|error| match error {
            zip::result::ZipError::UnsupportedArchive(text) if text.contains("assword") => {
                Unreadable::Encrypted
            }
            _ => damaged,
        })?;
        let mut bytes = Vec::new();
        file.take(self.budget + 1).read_to_end(&mut bytes).map_err(|_| damaged)?;
        let length = bytes.len() as u64;
        self.budget = self.budget.checked_sub(length).ok_or(Unreadable::Unpacked)?;
        Ok(Some(bytes))
    }

    /// The text of an XML part.
    pub(super) fn xml(&mut self, name: &str) -> Result<Option<String>, Unreadable> {
        let Some(bytes) = self.bytes(name)? else { return Ok(None) };
        // An XML part is UTF-8 or UTF-16 (ECMA-376 part 2, annex E).
        let encoding = Encoding::for_bom(&bytes).map_or(encoding_rs::UTF_8, |(one, _)| one);
        let (text, broken) = encoding.decode_with_bom_removal(&bytes);
        if broken { Err(Unreadable::Damaged(self.format)) } else { Ok(Some(text.into_owned())) }
    }

    /// Names of the parts for which `wanted` holds, in order.
    pub(super) fn names(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let names = self.archive.file_names().filter(|name| wanted(name));
        let mut names: Vec<_> = names.map(str::to_owned).collect();
        names.sort_unstable();
        names
    }

    /// What a part refers to.
    pub(super) fn relations(&mut self, part: &str) -> Result<Relations, Unreadable> {
        let (folder, name) = part.rsplit_once('/').unwrap_or(("", part));
        let path = match folder {
            "" => format!("_rels/{name}.rels"),
            _ => format!("{folder}/_rels/{name}.rels"),
        };
        let Some(xml) = self.xml(&path)? else { return Ok(Relations::default()) };
        // Relations that cannot be read are none: the part itself still says something.
        let Ok(document) = parse(&xml, self.format) else { return Ok(Relations::default()) };
        let relations = document.descendants().filter(|node| named(*node, "Relationship"));
        let internal = relations.filter(|node| node.attribute("TargetMode") != Some("External"));
        let relation = |node: roxmltree::Node<'_, '_>| {
            let kind = attribute(node, "Type")?.rsplit('/').next()?.to_owned();
            let target = resolve(folder, attribute(node, "Target")?);
            Some((attribute(node, "Id")?.to_owned(), Relation { kind, target }))
        };
        Ok(Relations { all: internal.filter_map(relation).collect() })
    }

    /// The part that the archive is about.
    pub(super) fn main(&mut self, usual: &str) -> Result<String, Unreadable> {
        let relations = self.relations("")?;
        let found = relations.of_kind("officeDocument").next().map(str::to_owned);
        Ok(found.unwrap_or_else(|| usual.to_owned()))
    }

    /// The title that the document's properties name.
    pub(super) fn title(&mut self) -> Option<String> {
        let relations = self.relations("").ok()?;
        let part = relations.of_kind("core-properties").next().unwrap_or("docProps/core.xml");
        let xml = self.xml(part).ok()??;
        let document = parse(&xml, self.format).ok()?;
        let title = document.descendants().find(|node| named(*node, "title"))?.text()?;
        let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
        (!title.is_empty()).then_some(title)
    }
}

/// What a part refers to, by the id of the reference.
#[derive(Debug, Default)]
pub(super) struct Relations {
    all: HashMap<String, Relation>,
}

#[derive(Debug)]
struct Relation {
    /// The last segment of its type, which differs not between the editions.
    kind: String,
    target: String,
}

impl Relations {
    /// The part that this reference names.
    pub(super) fn target(&self, id: &str) -> Option<&str> {
        self.all.get(id).map(|relation| relation.target.as_str())
    }

    /// Reference, kind and part of each, in the order of the parts' names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let mut all: Vec<_> = self.all.iter().collect();
        all.sort_unstable_by_key(|(id, relation)| (&relation.target, *id));
        all.into_iter().map(|(id, one)| (id.as_str(), one.kind.as_str(), one.target.as_str()))
    }

    /// The parts of this kind, in the order of their names.
    pub(super) fn of_kind<'r>(&'r self, kind: &str) -> impl Iterator<Item = &'r str> + use<'r> {
        let mut targets: Vec<_> = self
            .all
            .values()
            .filter(|relation| relation.kind == kind)
            .map(|relation| relation.target.as_str())
            .collect();
        targets.sort_unstable();
        targets.into_iter()
    }
}

/// A path relative to a folder of the archive, without `.` and `..`.
pub(super) fn resolve(folder: &str, target: &str) -> String {
    let base = if target.starts_with('/') { "" } else { folder };
    let mut segments: Vec<&str> = Vec::new();
    for segment in base.split('/').chain(target.split('/')) {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    segments.join("/")
}

/// An XML part as a tree of at most [`limits::MAX_XML_NODES`]. References to
/// entities of its own are refused with its document type, so none expands.
pub(super) fn parse<'x>(xml: &'x str, format: &'static str) -> Result<Document<'x>, Unreadable> {
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: limits::MAX_XML_NODES as u32,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(xml, options).map_err(|error| match error {
        roxmltree::Error::NodesLimitReached => {
            Unreadable::bound("elements in one part", limits::MAX_XML_NODES)
        }
        _ => Unreadable::Damaged(format),
    })
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Write;
    use zip::write::SimpleFileOptions;

    /// An archive of these parts.
    pub(in crate::extract) fn pack(parts: &[(&str, &str)]) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in parts {
            archive.start_file(*name, SimpleFileOptions::default()).unwrap();
            archive.write_all(content.as_bytes()).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    #[test]
    fn a_path_stays_within_its_archive() {
        assert_eq!(resolve("ppt/slides", "../media/a.xml"), "ppt/media/a.xml");
        assert_eq!(resolve("word", "/word/b.xml"), "word/b.xml");
        assert_eq!(resolve("word", "../../../c.xml"), "c.xml");
    }

    #[test]
    fn an_archive_unpacks_to_no_more_than_its_budget() {
        let zeros = "0".repeat(limits::MAX_UNPACKED_BYTES / 2 + 1);
        let bytes = pack(&[("a", &zeros), ("b", &zeros)]);
        let mut package = Package::open(&bytes, "DOCX").unwrap();
        assert!(package.bytes("a").unwrap().is_some());
        assert_eq!(package.bytes("b"), Err(Unreadable::Unpacked));
    }

    #[test]
    fn entities_do_not_expand() {
        let bomb = "<!DOCTYPE a [<!ENTITY x \"xxxx\"><!ENTITY y \"&x;&x;\">]><a>&y;</a>";
        assert_eq!(parse(bomb, "DOCX").unwrap_err(), Unreadable::Damaged("DOCX"));
    }
}
