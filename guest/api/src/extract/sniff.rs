//! What a file is: by its content first, then by what it is called.

use std::io::Cursor;

use zip::ZipArchive;

use super::{MediaType, Unreadable};

/// Bytes within which a PDF's header stands (ISO 32000-1, annex H.3.4.1).
const PDF_HEADER_BYTES: usize = 1_024;

/// Bytes of the head in which a text shows what it is.
const HEAD_BYTES: usize = 4_096;

const OLE: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

/// Files that hold no text, and what they are.
const FOREIGN: &[(&[u8], &str)] = &[
    (b"\x89PNG", "a PNG image; run OCR first"),
    (b"\xff\xd8\xff", "a JPEG image; run OCR first"),
    (b"GIF8", "a GIF image; run OCR first"),
    (b"II*\0", "a TIFF image; run OCR first"),
    (b"MM\0*", "a TIFF image; run OCR first"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it first"),
    (b"Rar!", "a RAR archive; unpack it first"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90", "a program"),
    (b"ID3", "an audio file; transcribe it first"),
    (b"SQLite format 3", "a database; export it first"),
];

/// Streams of a compound file that say what it is (MS-DOC, MS-XLS, MS-PPT,
/// MS-OFFCRYPTO, MS-OXMSG).
const STREAMS: &[(&str, Result<MediaType, Unreadable>)] = &[
    ("EncryptedPackage", Err(Unreadable::Encrypted)),
    ("WordDocument", Err(Unreadable::Foreign("a Word 97 document (.doc); save it as .docx"))),
    (
        "PowerPoint Document",
        Err(Unreadable::Foreign("a PowerPoint 97 presentation (.ppt); save it as .pptx")),
    ),
    ("__substg1.0_", Err(Unreadable::Foreign("an Outlook message (.msg); save it as .eml"))),
    ("Workbook", Ok(MediaType::Xls)),
    ("Book", Ok(MediaType::Xls)),
];

/// Headers that messages begin with (RFC 5322).
const MAIL_HEADERS: &[&str] = &[
    "from",
    "to",
    "cc",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "received",
    "return-path",
    "delivered-to",
    "reply-to",
    "content-type",
    "dkim-signature",
    "sender",
];

/// What a file is, as far as its content shows, else what was declared.
///
/// # Errors
///
/// It is of a kind that cannot be read, or of none that is known.
pub(super) fn detect(source: &[u8], declared: Option<MediaType>) -> Result<MediaType, Unreadable> {
    if let Some((_, what)) = FOREIGN.iter().find(|(magic, _)| source.starts_with(magic)) {
        return Err(Unreadable::Foreign(what));
    }
    if source.starts_with(b"PK\x03\x04") || source.starts_with(b"PK\x05\x06") {
        return archive(source, declared);
    }
    if source.starts_with(OLE) {
        let found = STREAMS.iter().find(|(name, _)| holds_wide(source, name));
        return found.map_or(
            Err(Unreadable::Foreign("a compound file of no known kind")),
            |(_, media_type)| *media_type,
        );
    }
    if source.starts_with(b"{\\rtf") {
        return Ok(MediaType::Rtf);
    }
    let head = source.get(..PDF_HEADER_BYTES).unwrap_or(source);
    let is_text = declared.is_some_and(|declared| !declared.is_packed());
    let pdf = head.windows(5).position(|window| window == b"%PDF-");
    if pdf == Some(0) || (pdf.is_some() && !is_text) {
        return Ok(MediaType::Pdf);
    }
    match declared {
        Some(declared) if !declared.is_packed() => Ok(declared),
        // Programs save pages and tables under the names of packed formats.
        Some(declared) => Ok(text(source, Some(declared)).unwrap_or(declared)),
        None => text(source, None).ok_or(Unreadable::UnknownKind),
    }
}

/// What kind of text it shows itself to be.
fn text(source: &[u8], declared: Option<MediaType>) -> Option<MediaType> {
    let head = source.get(..HEAD_BYTES).unwrap_or(source);
    let start = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let lower = start.to_ascii_lowercase();
    let begins = |with: &str| lower.starts_with(with.as_bytes());
    if begins("<!doctype html") || begins("<html") || (begins("<?xml") && holds(&lower, b"<html")) {
        return Some(MediaType::Html);
    }
    if is_mail(start) {
        return Some(MediaType::Eml);
    }
    // Whatever else is text throughout is a text, if nobody said otherwise.
    let plain = !source.is_empty() && !source.contains(&0) && std::str::from_utf8(source).is_ok();
    (declared.is_none() && plain).then_some(MediaType::Plain)
}

/// Whether at least two different headers of a message come first.
fn is_mail(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head);
    let mut found: Vec<String> = Vec::new();
    for line in text.lines().take_while(|line| !line.trim().is_empty()) {
        if line.starts_with([' ', '\t']) {
            continue;
        }
        let Some((name, _)) = line.split_once(':') else { return false };
        let name = name.to_ascii_lowercase();
        if !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            return false;
        }
        if MAIL_HEADERS.contains(&name.as_str()) && !found.contains(&name) {
            found.push(name);
        }
    }
    found.len() >= 2
}

fn archive(source: &[u8], declared: Option<MediaType>) -> Result<MediaType, Unreadable> {
    let unknown = declared
        .filter(|declared| declared.is_packed() && *declared != MediaType::Pdf)
        .ok_or(Unreadable::Foreign("a ZIP archive; send its files by themselves"));
    let Ok(mut archive) = ZipArchive::new(Cursor::new(source)) else { return unknown };
    let has = |name: &str| archive.file_names().any(|known| known.eq_ignore_ascii_case(name));
    let below = |folder: &str| archive.file_names().any(|known| known.starts_with(folder));
    if has("[Content_Types].xml") {
        let parts = [
            ("word/", MediaType::Docx),
            ("ppt/", MediaType::Pptx),
            ("xl/workbook.bin", MediaType::Xlsb),
            ("xl/", MediaType::Xlsx),
        ];
        if let Some((_, media_type)) = parts.iter().find(|(folder, _)| below(folder)) {
            return Ok(*media_type);
        }
    }
    let mut name = String::new();
    if let Ok(file) = archive.by_name("mimetype") {
        let _ = std::io::Read::read_to_string(&mut std::io::Read::take(file, 128), &mut name);
    }
    let name = name.trim().trim_end_matches("-template");
    MediaType::of(name.as_bytes()).map_or(unknown, Ok)
}

/// Whether a name stands in UTF-16, as in the directory of a compound file.
fn holds_wide(source: &[u8], name: &str) -> bool {
    let wide: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    holds(source, &wide)
}

fn holds(source: &[u8], part: &[u8]) -> bool {
    source.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::super::package::tests::pack;
    use super::*;

    #[test]
    fn content_counts_more_than_what_was_declared() {
        let docx = pack(&[("[Content_Types].xml", ""), ("word/document.xml", "")]);
        let odt = pack(&[("mimetype", "application/vnd.oasis.opendocument.text")]);
        for (bytes, declared, media_type) in [
            (docx.as_slice(), Some(MediaType::Pdf), MediaType::Docx),
            (&docx, None, MediaType::Docx),
            (&odt, Some(MediaType::Docx), MediaType::Odt),
            (b"%PDF-1.7", Some(MediaType::Docx), MediaType::Pdf),
            (b"{\\rtf1 a}", Some(MediaType::Docx), MediaType::Rtf),
            (b"<!DOCTYPE html><p>", Some(MediaType::Xls), MediaType::Html),
            (b"From: a@b\r\nSubject: x\r\n\r\nHello", None, MediaType::Eml),
            (b"Hello", None, MediaType::Plain),
            (b"# Hello", Some(MediaType::Markdown), MediaType::Markdown),
        ] {
            assert_eq!(detect(bytes, declared), Ok(media_type));
        }
    }

    #[test]
    fn what_cannot_be_read_says_what_it_is() {
        let ole = |name: &str| {
            let name = name.encode_utf16().flat_map(u16::to_le_bytes);
            OLE.iter().copied().chain([0; 512]).chain(name).collect::<Vec<_>>()
        };
        let refused = detect(&ole("WordDocument"), Some(MediaType::Docx));
        assert!(matches!(refused, Err(Unreadable::Foreign(what)) if what.contains(".docx")));
        assert_eq!(detect(&ole("EncryptedPackage"), None), Err(Unreadable::Encrypted));
        assert_eq!(detect(&ole("Workbook"), None), Ok(MediaType::Xls));
        let archive = pack(&[("a.txt", "a")]);
        assert!(matches!(detect(&archive, Some(MediaType::Plain)), Err(Unreadable::Foreign(_))));
        assert!(matches!(
            detect(b"\x89PNG..", Some(MediaType::Plain)),
            Err(Unreadable::Foreign(_))
        ));
        assert_eq!(detect(b"\0\x01\x02", None), Err(Unreadable::UnknownKind));
    }
}
