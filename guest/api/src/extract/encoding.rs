//! From bytes to characters (WHATWG Encoding Standard).

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::warning::{Warning, WarningCode};
use super::{MediaType, Unreadable};

/// Bytes of a page among which it may declare its encoding (HTML section
/// 13.2.3.2).
const PRESCAN_BYTES: usize = 1_024;

/// Characters of Unicode that no text uses; a guess that gives them is wrong.
fn is_unused(char: char) -> bool {
    char == '\u{fffd}' || (char.is_control() && !char.is_whitespace() && char != '\u{1b}')
}

/// A text, and how sure it is.
#[derive(Debug)]
pub(super) struct Decoded<'s> {
    pub(super) text: Cow<'s, str>,
    /// There when the encoding was guessed.
    pub(super) warning: Option<Warning>,
}

/// Decodes a text: by its byte order mark, else by the charset that came with
/// it, else by what it declares itself, else as UTF-8, else by what its bytes
/// look like.
///
/// # Errors
///
/// [`Unreadable::Encoding`] naming what was tried.
pub(super) fn decode<'s>(
    source: &'s [u8],
    charset: Option<&str>,
    media_type: MediaType,
) -> Result<Decoded<'s>, Unreadable> {
    if let Some((encoding, mark)) = Encoding::for_bom(source) {
        return declared(source.get(mark..).unwrap_or_default(), encoding);
    }
    if let Some(encoding) = charset.and_then(|label| Encoding::for_label(label.as_bytes())) {
        return declared(source, encoding).or_else(|error| match std::str::from_utf8(source) {
            // What is UTF-8 throughout is so by no chance, whatever was declared.
            Ok(text) if !source.is_ascii() => Ok(sure(text)),
            _ => Err(error),
        });
    }
    if let Ok(text) = std::str::from_utf8(source) {
        if let Some(encoding) = wide(source) {
            return guessed(source, encoding);
        }
        if !text.contains('\u{1b}') || declaration(source, media_type).is_none() {
            return Ok(sure(text));
        }
    }
    if let Some(encoding) = declaration(source, media_type)
        && let Ok(decoded) = declared(source, encoding)
    {
        return Ok(decoded);
    }
    guessed(source, wide(source).unwrap_or_else(|| detect(source)))
}

fn sure(text: &str) -> Decoded<'_> {
    Decoded { text: Cow::Borrowed(text), warning: None }
}

fn declared<'s>(source: &'s [u8], encoding: &'static Encoding) -> Result<Decoded<'s>, Unreadable> {
    let text = encoding.decode_without_bom_handling_and_without_replacement(source);
    let text = text.ok_or(Unreadable::Encoding(encoding.name()))?;
    Ok(Decoded { text, warning: None })
}

fn guessed<'s>(source: &'s [u8], encoding: &'static Encoding) -> Result<Decoded<'s>, Unreadable> {
    let decoded = declared(source, encoding)?;
    if decoded.text.chars().any(is_unused) {
        return Err(Unreadable::Encoding(encoding.name()));
    }
    let detail = format!("The text was read as {}.", encoding.name());
    let warning = Warning { code: WarningCode::EncodingGuessed, page: None, detail };
    Ok(Decoded { warning: Some(warning), ..decoded })
}

/// UTF-16 without a byte order mark: in the text of any script that has spaces
/// and line ends, every other byte is often zero.
fn wide(source: &[u8]) -> Option<&'static Encoding> {
    let pairs = source.len() / 2;
    if pairs < 2 || !source.len().is_multiple_of(2) {
        return None;
    }
    let zeros =
        |offset: usize| source.iter().skip(offset).step_by(2).filter(|byte| **byte == 0).count();
    let (high, low) = (zeros(0), zeros(1));
    match () {
        () if low * 4 >= pairs && high * 16 < pairs => Some(UTF_16LE),
        () if high * 4 >= pairs && low * 16 < pairs => Some(UTF_16BE),
        () => None,
    }
}

fn detect(source: &[u8]) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    detector.feed(source, true);
    detector.guess(None, Utf8Detection::Allow)
}

/// The encoding that a page or an XML document declares itself.
fn declaration(source: &[u8], media_type: MediaType) -> Option<&'static Encoding> {
    if media_type != MediaType::Html {
        return None;
    }
    let head = source.get(..PRESCAN_BYTES).unwrap_or(source).to_ascii_lowercase();
    let head = String::from_utf8_lossy(&head);
    let places = head.match_indices("<meta").chain(head.match_indices("<?xml"));
    places.filter_map(|(at, _)| label(head.get(at..)?.split('>').next()?)).next()
}

/// The encoding named after `charset` or `encoding` in a tag.
fn label(tag: &str) -> Option<&'static Encoding> {
    let (at, key) =
        ["charset", "encoding"].iter().find_map(|key| tag.find(key).map(|at| (at, key.len())))?;
    let value = tag.get(at + key..)?.trim_start().strip_prefix('=')?.trim_start();
    let value = value.trim_start_matches(['"', '\'']);
    let end = value
        .find(|char: char| matches!(char, '"' | '\'' | ';' | '?' | '/') || char.is_whitespace());
    let encoding = Encoding::for_label(value.get(..end.unwrap_or(value.len()))?.as_bytes())?;
    // A declaration that can be read byte by byte is not in UTF-16 (HTML
    // section 13.2.3.2).
    Some(if [UTF_16LE, UTF_16BE].contains(&encoding) { UTF_8 } else { encoding })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(source: &[u8], charset: Option<&str>, media_type: MediaType) -> (String, bool) {
        let decoded = decode(source, charset, media_type).unwrap();
        (decoded.text.into_owned(), decoded.warning.is_some())
    }

    #[test]
    fn a_declared_encoding_is_used_and_needs_no_warning() {
        let said = |charset| read(b"K\xe4se", Some(charset), MediaType::Plain);
        assert_eq!(said("ISO-8859-1"), ("Käse".into(), false));
        assert_eq!(said("windows-1251"), ("Kдse".into(), false));
        let wide: Vec<u8> = "\u{feff}Käse".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(read(&wide, None, MediaType::Plain), ("Käse".into(), false));
    }

    #[test]
    fn a_page_declares_its_encoding_itself() {
        for meta in [
            "<meta charset=windows-1252>",
            "<META HTTP-EQUIV='Content-Type' CONTENT='text/html; charset=windows-1252'>",
            "<?xml version='1.0' encoding='windows-1252'?>",
        ] {
            let source = [meta.as_bytes(), b"<p>5 \x80, syst\xe8me"].concat();
            let (text, guessed) = read(&source, None, MediaType::Html);
            assert!(text.ends_with("5 €, système") && !guessed, "{text}");
        }
    }

    #[test]
    fn an_undeclared_encoding_is_guessed_with_a_warning() {
        let (text, guessed) = read(
            "Der Käse für Müller kostet zwölf Kronen."
                .to_owned()
                .chars()
                .map(|c| c as u8)
                .collect::<Vec<_>>()
                .as_slice(),
            None,
            MediaType::Plain,
        );
        assert_eq!((text.as_str(), guessed), ("Der Käse für Müller kostet zwölf Kronen.", true));
        let (sjis, _, _) =
            encoding_rs::SHIFT_JIS.encode("日本語の文章を検査する。カタカナもある。");
        assert_eq!(
            read(&sjis, None, MediaType::Plain).0,
            "日本語の文章を検査する。カタカナもある。"
        );
        let wide: Vec<u8> = "Ein Text".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(read(&wide, None, MediaType::Plain), ("Ein Text".into(), true));
    }

    #[test]
    fn what_is_no_text_is_refused_and_the_guess_named() {
        let noise: Vec<u8> = (0_u32..2_000).map(|at| (at.wrapping_mul(97) >> 3) as u8).collect();
        assert!(matches!(
            decode(&noise, None, MediaType::Plain).unwrap_err(),
            Unreadable::Encoding(_)
        ));
        let utf8 = decode(b"\xef\xbb\xbf\xff", None, MediaType::Plain).unwrap_err();
        assert_eq!(utf8, Unreadable::Encoding("UTF-8"));
    }
}
