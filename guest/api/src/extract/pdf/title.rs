//! The title that a file names: in its information dictionary, else in its
//! metadata (ISO 32000-2, 14.3).

use hayro_syntax::Pdf;
use hayro_syntax::object::{Dict, Stream};
use quick_xml::Reader;
use quick_xml::events::Event;

use super::strings;
use super::unpack::Budget;

pub(super) fn title(document: &Pdf, catalog: &Dict<'_>, budget: &mut Budget) -> Option<String> {
    let named =
        document.metadata().title.as_deref().map(strings::text).and_then(|title| kept(&title));
    named.or_else(|| {
        let stream = catalog.get::<Stream<'_>>("Metadata")?;
        let bytes = budget.unpack(&stream).ok()?;
        kept(&xmp(std::str::from_utf8(&bytes).ok()?)?)
    })
}

fn kept(title: &str) -> Option<String> {
    // Programs write the word where nobody has given a title.
    let given = |title: &String| !title.is_empty() && !title.eq_ignore_ascii_case("untitled");
    Some(title.trim().to_owned()).filter(given)
}

/// The text of `dc:title`, in the first language that it is in.
fn xmp(xml: &str) -> Option<String> {
    let mut reader = Reader::from_str(xml);
    let (mut inside, mut title) = (false, String::new());
    loop {
        match reader.read_event().ok()? {
            Event::Eof => return None,
            Event::Start(tag) if tag.local_name().as_ref() == "title" => inside = true,
            Event::End(tag) if inside && matches!(tag.local_name().as_ref(), "li" | "title") => {
                return Some(title);
            }
            Event::Text(text) if inside => title.push_str(&text),
            Event::GeneralRef(reference) if inside => {
                let char = reference.resolve_char_ref().ok().flatten();
                title.extend(char);
                title.push_str(
                    quick_xml::escape::resolve_predefined_entity(&reference).unwrap_or_default(),
                );
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_name_the_title_in_the_first_of_its_languages() {
        let xml = "<x:xmpmeta><rdf:Description><dc:title><rdf:Alt><rdf:li xml:lang=\"x-default\">\
                   Wings &amp; lift</rdf:li><rdf:li>Ailes</rdf:li></rdf:Alt></dc:title>";
        assert_eq!(xmp(xml).as_deref(), Some("Wings & lift"));
        assert_eq!(xmp("<a>no title</a>"), None);
        assert_eq!((kept(" Untitled "), kept(" Plan ")), (None, Some("Plan".to_owned())));
    }
}
