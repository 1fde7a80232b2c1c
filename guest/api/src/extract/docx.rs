//! `application/vnd.openxmlformats-officedocument.wordprocessingml.document`:
//! ECMA-376 part 1, section 17.

use std::collections::HashMap;
use std::io::{Cursor, Read};

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use zip::ZipArchive;

use super::builder::Builder;
use super::{Extracted, Kind, Unreadable};
use crate::limits;

const DAMAGED: Unreadable = Unreadable::Damaged("DOCX");

/// Headings, paragraphs, list items and tables, and the title that the
/// document's properties name. Pages begin where the last program that laid it
/// out wrote that they do.
pub(super) fn extract(source: &[u8]) -> Result<Extracted, Unreadable> {
    let mut archive = ZipArchive::new(Cursor::new(source)).map_err(|_| DAMAGED)?;
    let body = part(&mut archive, "word/document.xml")?.ok_or(DAMAGED)?;
    let styles =
        part(&mut archive, "word/styles.xml")?.map_or_else(HashMap::new, |xml| styles(&xml));
    let title = part(&mut archive, "docProps/core.xml")?.and_then(|xml| title(&xml));
    let mut reader = Body { styles, ..Body::default() };
    reader.builder.page();
    each_event(&body, |event| reader.event(event))?;
    if reader.builder.len() > limits::MAX_TEXT_BYTES {
        return Err(Unreadable::TooLong);
    }
    Ok(reader.builder.finish(title))
}

/// A file of the archive, if it is there and not a bomb.
fn part(archive: &mut ZipArchive<Cursor<&[u8]>>, name: &str) -> Result<Option<String>, Unreadable> {
    let Ok(file) = archive.by_name(name) else { return Ok(None) };
    let mut xml = String::new();
    let most = limits::MAX_UNPACKED_BYTES as u64;
    file.take(most + 1).read_to_string(&mut xml).map_err(|_| DAMAGED)?;
    if xml.len() as u64 > most {
        return Err(Unreadable::TooLong);
    }
    Ok(Some(xml))
}

fn each_event(xml: &str, mut take: impl FnMut(&Event<'_>)) -> Result<(), Unreadable> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().expand_empty_elements = true;
    loop {
        match reader.read_event().map_err(|_| DAMAGED)? {
            Event::Eof => return Ok(()),
            event => take(&event),
        }
    }
}

/// The names of styles by id. Ids depend on the language of the program that
/// wrote them, names do not.
fn styles(xml: &str) -> HashMap<String, String> {
    let (mut names, mut id) = (HashMap::new(), None);
    let read = each_event(xml, |event| {
        let Event::Start(tag) = event else { return };
        match tag.local_name().as_ref() {
            "style" => id = attribute(tag, "styleId"),
            "name" => {
                if let (Some(id), Some(name)) = (id.take(), attribute(tag, "val")) {
                    names.insert(id, name.to_lowercase());
                }
            }
            _ => {}
        }
    });
    read.map_or_else(|_| HashMap::new(), |()| names)
}

fn title(xml: &str) -> Option<String> {
    let (mut title, mut inside) = (String::new(), false);
    let read = each_event(xml, |event| match event {
        Event::Start(tag) => inside = tag.local_name().as_ref() == "title",
        Event::End(_) => inside = false,
        event if inside => push_text(event, &mut title),
        _ => {}
    });
    let title = title.trim();
    (read.is_ok() && !title.is_empty()).then(|| title.to_owned())
}

fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = tag.attributes().flatten().find(|one| one.key.local_name().as_ref() == name)?;
    Some(found.value.into_owned())
}

/// Adds what an event says, references resolved.
fn push_text(event: &Event<'_>, to: &mut String) {
    match event {
        Event::Text(text) => to.push_str(text),
        Event::CData(text) => to.push_str(text),
        Event::GeneralRef(reference) => {
            if let Ok(Some(char)) = reference.resolve_char_ref() {
                to.push(char);
            } else if let Some(text) = quick_xml::escape::resolve_predefined_entity(reference) {
                to.push_str(text);
            }
        }
        _ => {}
    }
}

/// The body on its way to a text.
#[derive(Default)]
struct Body {
    builder: Builder,
    styles: HashMap<String, String>,
    /// Tables around the place; a table in a table is part of its cell.
    tables: usize,
    cells: usize,
    in_text: bool,
    text: String,
}

impl Body {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag.local_name().as_ref()),
            event if self.in_text => push_text(event, &mut self.text),
            _ => {}
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>) {
        match tag.local_name().as_ref() {
            "tbl" => {
                self.tables += 1;
                if self.tables == 1 {
                    self.builder.start(Kind::Table);
                }
            }
            "tr" if self.tables == 1 => {
                self.builder.line_break();
                self.cells = 0;
            }
            "tc" if self.tables == 1 => {
                if self.cells > 0 {
                    self.builder.mark(" | ");
                }
                self.cells += 1;
            }
            "p" if self.tables == 0 => self.builder.start(Kind::Paragraph),
            "p" => self.builder.gap(),
            "pStyle" if self.tables == 0 => self.style(attribute(tag, "val")),
            "numPr" if self.tables == 0 => self.list_item(),
            "t" => self.in_text = true,
            "tab" => self.builder.gap(),
            "br" if self.tables == 0 => self.builder.line_break(),
            "br" => self.builder.gap(),
            "lastRenderedPageBreak" => self.builder.page(),
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "t" => {
                self.in_text = false;
                self.builder.words(&std::mem::take(&mut self.text));
            }
            "tbl" => {
                self.tables = self.tables.saturating_sub(1);
                if self.tables == 0 {
                    self.builder.end();
                }
            }
            "p" if self.tables == 0 => self.builder.end(),
            _ => {}
        }
    }

    fn style(&mut self, id: Option<String>) {
        let Some(id) = id else { return };
        let name = self.styles.get(&id).cloned().unwrap_or_else(|| id.to_lowercase());
        let level = name.strip_prefix("heading").and_then(|level| level.trim().parse().ok());
        if name == "title" {
            self.builder.start(Kind::Heading(1));
        } else if let Some(level @ 1..=9) = level {
            self.builder.start(Kind::Heading(level));
        } else if name.starts_with("list") {
            self.list_item();
        }
    }

    fn list_item(&mut self) {
        if self.builder.kind() == Some(Kind::Paragraph) {
            self.builder.start(Kind::ListItem);
            self.builder.mark("- ");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use std::io::Write;
    use zip::write::SimpleFileOptions;

    fn docx(parts: &[(&str, &str)]) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, xml) in parts {
            archive.start_file(*name, SimpleFileOptions::default()).unwrap();
            archive.write_all(xml.as_bytes()).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    fn paragraph(properties: &str, text: &str) -> String {
        format!("<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>")
    }

    #[test]
    fn headings_lists_tables_and_pages_are_kept() {
        let body = [
            paragraph(r#"<w:pStyle w:val="berschrift1"/>"#, "Wings &amp; flutter"),
            paragraph("", "One<w:tab/> two"),
            paragraph(r#"<w:numPr><w:numId w:val="1"/></w:numPr>"#, "first"),
            "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>speed</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>damping</w:t></w:r></w:p></w:tc></w:tr>\
             <w:tr><w:tc><w:p><w:r><w:t>10</w:t></w:r></w:p></w:tc><w:tc><w:p><w:r><w:t>0.2</w:t></w:r></w:p></w:tc></w:tr></w:tbl>".into(),
            "<w:p><w:r><w:lastRenderedPageBreak/><w:t>Later</w:t></w:r></w:p>".into(),
        ];
        let document =
            format!(r#"<w:document xmlns:w="w"><w:body>{}</w:body></w:document>"#, body.concat());
        let styles = r#"<w:styles xmlns:w="w"><w:style w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style></w:styles>"#;
        let core = r#"<cp:coreProperties xmlns:cp="c" xmlns:dc="d"><dc:title>On wings</dc:title></cp:coreProperties>"#;
        let bytes = docx(&[
            ("word/document.xml", &document),
            ("word/styles.xml", styles),
            ("docProps/core.xml", core),
        ]);
        let extracted = extract(&bytes).unwrap();
        assert_eq!(extracted.title.as_deref(), Some("On wings"));
        let blocks: Vec<_> = extracted
            .blocks
            .iter()
            .map(|block| (block.kind, &extracted.text[block.range.clone()]))
            .collect();
        assert_eq!(
            blocks,
            [
                (Kind::Heading(1), "Wings & flutter"),
                (Kind::Paragraph, "One two"),
                (Kind::ListItem, "- first"),
                (Kind::Table, "speed | damping\n10 | 0.2"),
                (Kind::Paragraph, "Later"),
            ]
        );
        let later = extracted.text.find("Later").unwrap();
        assert_eq!((extracted.page_at(later - 3), extracted.page_at(later)), (Some(1), Some(2)));
    }

    #[test]
    fn what_is_no_docx_is_refused() {
        let empty = docx(&[("other.xml", "<a/>")]);
        let broken = docx(&[("word/document.xml", "<w:p><w:r></w:p>")]);
        for bytes in [&b"PK"[..], b"", &empty, &broken] {
            assert_eq!(extract(bytes), Err(DAMAGED));
        }
    }

    #[test]
    fn a_small_file_that_unpacks_to_a_large_one_is_refused() {
        let bomb = docx(&[("word/document.xml", &" ".repeat(limits::MAX_UNPACKED_BYTES + 1))]);
        assert!(bomb.len() < 1_000_000);
        assert_eq!(extract(&bomb), Err(Unreadable::TooLong));
    }
}
