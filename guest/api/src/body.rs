//! What a body claims to be, and how it is encoded.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::MultiGzDecoder;

use crate::extract::MediaType;
use crate::problem::{Code, Problem};

/// The media types of request bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyType {
    /// One JSON value.
    Json,
    /// A JSON value a line.
    Lines,
    /// A record a line, under a line of column names.
    Csv,
    /// Files.
    Multipart,
    /// The document itself.
    Document(MediaType),
}

impl BodyType {
    /// From the value of `Content-Type`; a body without one is JSON.
    ///
    /// # Errors
    ///
    /// `unsupported_media_type`
    pub fn of(content_type: Option<&[u8]>) -> Result<Self, Problem> {
        let Some(value) = content_type else { return Ok(Self::Json) };
        let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        match essence.to_ascii_lowercase().as_slice() {
            b"application/json" => Ok(Self::Json),
            b"application/x-ndjson" | b"application/jsonl" => Ok(Self::Lines),
            b"text/csv" => Ok(Self::Csv),
            b"multipart/form-data" => Ok(Self::Multipart),
            other => MediaType::of(other)
                .map(Self::Document)
                .ok_or_else(|| Code::UnsupportedMediaType.into()),
        }
    }

    /// Like [`BodyType::of`], where only JSON will do.
    ///
    /// # Errors
    ///
    /// `unsupported_media_type`
    pub fn require_json(content_type: Option<&[u8]>) -> Result<(), Problem> {
        match Self::of(content_type)? {
            Self::Json => Ok(()),
            _ => Err(Code::UnsupportedMediaType.into()),
        }
    }
}

/// The charset that a `Content-Type` names.
pub fn charset(content_type: Option<&[u8]>) -> Option<String> {
    parameter(std::str::from_utf8(content_type?).ok()?, "charset")
}

/// The file name that a `Content-Disposition` names: `filename*`, which says its
/// encoding (RFC 8187), before `filename`.
pub fn file_name(disposition: &str) -> Option<String> {
    let extended = parameter(disposition, "filename*").and_then(|value| {
        let (charset, rest) = value.split_once('\'')?;
        let (_language, encoded) = rest.split_once('\'')?;
        let bytes: Vec<u8> = percent_encoding::percent_decode_str(encoded).collect();
        let encoding = encoding_rs::Encoding::for_label(charset.as_bytes())?;
        Some(encoding.decode_without_bom_handling_and_without_replacement(&bytes)?.into_owned())
    });
    extended.or_else(|| parameter(disposition, "filename"))
}

/// The value of a parameter, a quoted string unquoted (RFC 9110 section 5.6.6).
fn parameter(header: &str, name: &str) -> Option<String> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (key, after) = rest.split_once('=')?;
        let after = after.trim_start();
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => unquoted(quoted),
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after.get(..end)?.trim().to_owned(), after.get(end..)?)
            }
        };
        if key.trim_matches([' ', '\t', ';']).eq_ignore_ascii_case(name) {
            return Some(value).filter(|value| !value.is_empty());
        }
        rest = next;
    }
}

/// A quoted string and what follows it. A backslash that escapes neither a
/// quotation mark nor itself stands: browsers send paths that way.
fn unquoted(quoted: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = quoted.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        match (char, chars.peek()) {
            ('"', _) => return (value, quoted.get(at + 1..).unwrap_or_default()),
            ('\\', Some((_, next @ ('"' | '\\')))) => {
                value.push(*next);
                chars.next();
            }
            (char, _) => value.push(char),
        }
    }
    (value, "")
}

/// A body without the encoding that `Content-Encoding` names, at most `limit`
/// bytes of it. The Ragtime host has taken it off before; a stock runtime has
/// not.
///
/// # Errors
///
/// `unsupported_encoding`, `body_too_large` or `body_broken`
pub fn decode<'b>(
    encoding: Option<&[u8]>,
    body: &'b [u8],
    limit: usize,
) -> Result<Cow<'b, [u8]>, Problem> {
    let encoding = encoding.unwrap_or_default().trim_ascii().to_ascii_lowercase();
    match encoding.as_slice() {
        b"" | b"identity" => Ok(body.into()),
        b"gzip" | b"x-gzip" => {
            let mut decoded = Vec::new();
            // One byte beyond the limit at most, whatever a bomb holds.
            let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
            let read = MultiGzDecoder::new(body).take(most).read_to_end(&mut decoded);
            read.map_err(|_| Problem::from(Code::BodyBroken))?;
            if decoded.len() > limit { Err(Code::BodyTooLarge.into()) } else { Ok(decoded.into()) }
        }
        _ => Err(Code::UnsupportedEncoding.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_case_of_a_media_type_do_not_matter() {
        assert_eq!(BodyType::of(Some(b"Application/JSON; charset=utf-8")), Ok(BodyType::Json));
        assert_eq!(BodyType::of(Some(b"application/x-ndjson")), Ok(BodyType::Lines));
        assert_eq!(BodyType::of(None), Ok(BodyType::Json));
    }

    #[test]
    fn forms_and_files_are_not_taken_for_json() {
        for value in ["application/x-www-form-urlencoded", "image/png", ""] {
            assert!(BodyType::of(Some(value.as_bytes())).is_err(), "{value}");
        }
        for value in ["application/x-ndjson", "text/plain", "multipart/form-data; boundary=x"] {
            assert!(BodyType::require_json(Some(value.as_bytes())).is_err(), "{value}");
        }
    }

    #[test]
    fn a_packed_body_is_unpacked_within_its_limit() {
        use std::io::Write;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        assert!(encoder.write_all(&[b'a'; 5_000]).is_ok());
        let packed = encoder.finish().unwrap_or_default();
        assert_eq!(decode(Some(b" GZIP "), &packed, 5_000).map(|body| body.len()), Ok(5_000));
        assert_eq!(decode(Some(b"gzip"), &packed, 4_999), Err(Code::BodyTooLarge.into()));
        assert_eq!(decode(Some(b"gzip"), b"{}", 10), Err(Code::BodyBroken.into()));
        assert_eq!(decode(Some(b"br"), b"{}", 10), Err(Code::UnsupportedEncoding.into()));
        assert_eq!(decode(Some(b"identity"), b"{}", 10), Ok(b"{}".as_slice().into()));
    }

    #[test]
    fn a_file_is_known_by_its_media_type() {
        let pdf = BodyType::of(Some(b"application/pdf"));
        assert_eq!(pdf, Ok(BodyType::Document(MediaType::Pdf)));
        assert_eq!(BodyType::of(Some(b"text/csv;header=present")), Ok(BodyType::Csv));
    }

    #[test]
    fn a_file_is_named_by_either_parameter() {
        let name = |header: &str| file_name(header);
        let both = "form-data; name=\"f\"; filename=\"na_ve.txt\"; filename*=UTF-8''na%C3%AFve.txt";
        assert_eq!(name(both).as_deref(), Some("naïve.txt"));
        assert_eq!(name("form-data; filename*=iso-8859-1'en'%A3.txt").as_deref(), Some("£.txt"));
        assert_eq!(
            name(r#"form-data; name="a;b"; filename="c \"d\";.txt""#).as_deref(),
            Some("c \"d\";.txt")
        );
        assert_eq!(name("form-data; name=f"), None);
        assert_eq!(name("form-data; filename*=oops; filename=x").as_deref(), Some("x"));
        assert_eq!(
            charset(Some(b"text/plain; charset=\"ISO-8859-1\"")).as_deref(),
            Some("ISO-8859-1")
        );
        assert_eq!(charset(Some(b"text/plain")), None);
    }
}
