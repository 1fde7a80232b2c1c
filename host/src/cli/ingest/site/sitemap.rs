//! Sitemaps, as sitemaps.org has them: a list of pages or of other sitemaps.

use std::io::Read;

use flate2::read::GzDecoder;
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, Event};
use reqwest::Url;

/// Bytes of one sitemap, unpacked: the limit of the protocol.
pub const MAX_BYTES: u64 = 50 * 1024 * 1024;
/// Entries of one sitemap: the limit of the protocol.
const MAX_ENTRIES: usize = 50_000;
/// What a file that is packed by gzip begins with.
const GZIP: &[u8] = b"\x1f\x8b";
/// How far to look for the first element.
const HEAD_BYTES: u64 = 1_024;

/// What a sitemap names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sitemap {
    /// Pages.
    pub pages: Vec<Url>,
    /// Other sitemaps.
    pub sitemaps: Vec<Url>,
}

/// Whether this is a sitemap, by its first element.
pub fn is_one(bytes: &[u8]) -> bool {
    let Ok(bytes) = unpacked(bytes, HEAD_BYTES) else { return false };
    let text = String::from_utf8_lossy(&bytes);
    let mut reader = Reader::from_str(&text);
    loop {
        match reader.read_event() {
            Ok(Event::Start(element)) => {
                return matches!(element.local_name().as_ref(), "urlset" | "sitemapindex");
            }
            Ok(Event::Eof) | Err(_) => return false,
            Ok(
                Event::Text(_)
                | Event::Empty(_)
                | Event::End(_)
                | Event::CData(_)
                | Event::Comment(_)
                | Event::Decl(_)
                | Event::PI(_)
                | Event::DocType(_)
                | Event::GeneralRef(_),
            ) => {}
        }
    }
}

/// What a sitemap names; entries that are no URLs are passed over.
///
/// # Errors
///
/// It is no XML, or beyond the limits of the protocol.
pub fn read(bytes: &[u8]) -> Result<Sitemap, String> {
    let bytes = unpacked(bytes, MAX_BYTES + 1)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("it has more than {MAX_BYTES} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut reader = Reader::from_str(&text);
    let (mut found, mut is_index) = (Sitemap::default(), false);
    let mut location = None::<String>;
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Start(element) => match element.local_name().as_ref() {
                "sitemap" => is_index = true,
                "url" => is_index = false,
                // Those of other namespaces, as `image:loc`, are no pages.
                "loc" if element.name().prefix().is_none() => location = Some(String::new()),
                _ => {}
            },
            Event::Text(text) => add(&mut location, &text),
            Event::CData(text) => add(&mut location, &text),
            Event::GeneralRef(reference) => add(&mut location, &resolved(&reference)?),
            Event::End(element) if element.local_name().as_ref() == "loc" => {
                let list = if is_index { &mut found.sitemaps } else { &mut found.pages };
                let url = location.take().and_then(|text| Url::parse(text.trim()).ok());
                list.extend(url.map(without_fragment));
                if list.len() > MAX_ENTRIES {
                    return Err(format!("it has more than {MAX_ENTRIES} entries"));
                }
            }
            Event::Eof => return Ok(found),
            Event::End(_)
            | Event::Empty(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_) => {}
        }
    }
}

fn add(location: &mut Option<String>, text: &str) {
    if let Some(location) = location {
        location.push_str(text);
    }
}

/// What a reference stands for. XML's own entities are all that a URL needs.
fn resolved(reference: &BytesRef<'_>) -> Result<String, String> {
    let char = reference.resolve_char_ref().map_err(|error| error.to_string())?;
    let entity = resolve_predefined_entity(reference).map(str::to_owned);
    char.map(String::from)
        .or(entity)
        .ok_or_else(|| format!("it has the entity {:?}, which XML does not know", &**reference))
}

fn without_fragment(mut url: Url) -> Url {
    url.set_fragment(None);
    url
}

fn unpacked(bytes: &[u8], limit: u64) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    let read = match bytes.starts_with(GZIP) {
        true => GzDecoder::new(bytes).take(limit).read_to_end(&mut unpacked),
        false => bytes.take(limit).read_to_end(&mut unpacked),
    };
    read.map_err(|error| format!("it cannot be unpacked: {error}"))?;
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const PAGES: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!-- made by hand -->
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:image="http://www.google.com/schemas/sitemap-image/1.1">
<url><loc> https://a.example/?x=1&amp;y=2#part </loc><lastmod>2026-01-01</lastmod>
<image:image><image:loc>https://a.example/i.png</image:loc></image:image></url>
<url><loc><![CDATA[https://a.example/b]]></loc></url>
<url><loc>no url</loc></url>
</urlset>"#;

    fn urls(texts: &[&str]) -> Vec<Url> {
        texts.iter().map(|text| Url::parse(text).unwrap()).collect()
    }

    #[test]
    fn pages_and_sitemaps_are_told_apart() {
        let pages = read(PAGES.as_bytes()).unwrap();
        assert_eq!(pages.pages, urls(&["https://a.example/?x=1&y=2", "https://a.example/b"]));
        let index = read(
            b"<sitemapindex><sitemap><loc>https://a.example/1.xml</loc></sitemap></sitemapindex>",
        );
        assert_eq!(index.unwrap().sitemaps, urls(&["https://a.example/1.xml"]));
    }

    #[test]
    fn a_sitemap_is_told_from_a_page_packed_or_not() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(PAGES.as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        assert!(is_one(PAGES.as_bytes()) && is_one(&packed));
        assert_eq!(read(&packed).unwrap().pages.len(), 2);
        assert!(!is_one(b"<!doctype html><html><p>x</html>") && !is_one(b"") && !is_one(b"%PDF"));
    }

    #[test]
    fn what_is_beyond_the_limits_is_refused() {
        let entry = "<url><loc>https://a.example/</loc></url>";
        let many = format!("<urlset>{}</urlset>", entry.repeat(MAX_ENTRIES + 1));
        assert!(read(many.as_bytes()).unwrap_err().contains("50000 entries"));
        let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let blanks = vec![b' '; 1024 * 1024];
        (0..51).for_each(|_| bomb.write_all(&blanks).unwrap());
        assert!(read(&bomb.finish().unwrap()).unwrap_err().contains("more than 52428800 bytes"));
        assert!(read(b"<urlset><url><loc>&x;</loc></url></urlset>").is_err());
    }
}
