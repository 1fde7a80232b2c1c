//! `application/pdf`

use lopdf::{Document, Object};

use super::builder::Builder;
use super::{Extracted, Kind, Unreadable};
use crate::limits;

/// The text of each page. A PDF has no paragraphs: an empty line parts them
/// where the layout leaves one, and words that the layout split at a line end
/// are joined again.
pub(super) fn extract(source: &[u8]) -> Result<Extracted, Unreadable> {
    let document = Document::load_mem(source).map_err(|_| Unreadable::Damaged("PDF"))?;
    if document.is_encrypted() {
        return Err(Unreadable::Encrypted);
    }
    let pages = document.get_pages();
    if pages.len() > limits::MAX_PAGES {
        return Err(Unreadable::TooManyPages);
    }
    let mut builder = Builder::default();
    for number in pages.keys() {
        builder.page();
        // A page that cannot be read leaves the others as they are.
        let text = document.extract_text(&[*number]).unwrap_or_default();
        page(&text, &mut builder);
        if builder.len() > limits::MAX_TEXT_BYTES {
            return Err(Unreadable::TooLong);
        }
    }
    Ok(builder.finish(title(&document)))
}

fn page(text: &str, builder: &mut Builder) {
    let mut lines = text.lines().map(str::trim).peekable();
    builder.start(Kind::Paragraph);
    while let Some(line) = lines.next() {
        if line.is_empty() {
            builder.start(Kind::Paragraph);
            continue;
        }
        let goes_on = lines.peek().is_some_and(|next| next.starts_with(char::is_lowercase));
        match line.strip_suffix('-').filter(|word| goes_on && word.ends_with(char::is_alphabetic)) {
            Some(word) => builder.words(word),
            None => {
                builder.words(line);
                builder.gap();
            }
        }
    }
    builder.end();
}

fn title(document: &Document) -> Option<String> {
    let info = document.trailer.get(b"Info").ok()?;
    let (_, info) = document.dereference(info).ok()?;
    let title: &Object = info.as_dict().ok()?.get(b"Title").ok()?;
    let title = lopdf::decode_text_string(title).ok()?;
    Some(title.trim().to_owned()).filter(|title| !title.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use lopdf::content::{Content, Operation};
    use lopdf::{Stream, dictionary};

    /// A PDF with these lines on its pages.
    fn pdf(pages: &[&[&str]]) -> Vec<u8> {
        let mut document = Document::with_version("1.5");
        let tree = document.new_object_id();
        let font = document.add_object(
            dictionary! {"Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Courier"},
        );
        let resources = document.add_object(dictionary! {"Font" => dictionary! {"F1" => font}});
        let mut kids = Vec::new();
        for lines in pages {
            let mut operations = vec![
                Operation::new("BT", vec![]),
                Operation::new("Tf", vec!["F1".into(), 12.into()]),
            ];
            for line in *lines {
                operations.push(Operation::new("Td", vec![0.into(), (-14).into()]));
                operations.push(Operation::new("Tj", vec![Object::string_literal(*line)]));
                operations.push(Operation::new("T*", vec![]));
            }
            operations.push(Operation::new("ET", vec![]));
            let content = Content { operations }.encode().unwrap();
            let content = document.add_object(Stream::new(dictionary! {}, content));
            kids.push(Object::from(document.add_object(dictionary! {
                "Type" => "Page", "Parent" => tree, "Contents" => content, "Resources" => resources,
                "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
            })));
        }
        let count = i64::try_from(kids.len()).unwrap();
        let node = dictionary! {"Type" => "Pages", "Kids" => kids, "Count" => count};
        document.objects.insert(tree, Object::Dictionary(node));
        let catalog = document.add_object(dictionary! {"Type" => "Catalog", "Pages" => tree});
        document.trailer.set("Root", catalog);
        let info = document.add_object(dictionary! {"Title" => Object::string_literal("On wings")});
        document.trailer.set("Info", info);
        let mut bytes = Vec::new();
        document.save_to(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn every_page_keeps_its_number_and_split_words_are_joined() {
        let bytes = pdf(&[&["Flutter is a dynamic insta-", "bility of wings."], &["Second page."]]);
        let extracted = extract(&bytes).unwrap();
        assert_eq!(extracted.text, "Flutter is a dynamic instability of wings.\n\nSecond page.");
        assert_eq!(extracted.title.as_deref(), Some("On wings"));
        let second = extracted.text.find("Second").unwrap();
        assert_eq!((extracted.page_at(0), extracted.page_at(second)), (Some(1), Some(2)));
        assert_eq!(extracted.page_at(second - 1), Some(1));
    }

    #[test]
    fn empty_pages_at_the_end_begin_where_the_text_ends() {
        let extracted = extract(&pdf(&[&["One."], &[], &[]])).unwrap();
        assert_eq!((extracted.text.as_str(), extracted.pages), ("One.", vec![0, 4, 4]));
    }

    #[test]
    fn what_is_no_pdf_is_refused_and_says_so() {
        for bytes in [&b""[..], b"%PDF-1.7", b"hello", &pdf(&[&["a"]])[..200]] {
            assert_eq!(extract(bytes), Err(Unreadable::Damaged("PDF")));
        }
    }
}
