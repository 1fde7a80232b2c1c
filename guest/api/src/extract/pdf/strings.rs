//! Text strings outside of content (ISO 32000-2, 7.9.2.2).

/// The text of a string: UTF-16 or UTF-8 by its mark, else PDFDocEncoding.
pub(super) fn text(bytes: &[u8]) -> String {
    let text = match bytes {
        [0xfe, 0xff, rest @ ..] => utf_16(rest, u16::from_be_bytes),
        [0xff, 0xfe, rest @ ..] => utf_16(rest, u16::from_le_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => bytes.iter().map(|byte| doc_encoding(*byte)).collect(),
    };
    without_languages(&text)
}

fn utf_16(bytes: &[u8], unit: impl Fn([u8; 2]) -> u16) -> String {
    let units: Vec<u16> = bytes.as_chunks().0.iter().map(|pair| unit(*pair)).collect();
    String::from_utf16_lossy(&units)
}

/// The text without the codes of its languages, which stand between escapes.
fn without_languages(text: &str) -> String {
    let mut inside = false;
    let is_text = |char: &char| {
        inside ^= *char == '\u{1b}';
        !inside && *char != '\u{1b}'
    };
    text.chars().filter(is_text).collect()
}

/// PDFDocEncoding: Latin-1, but for these (ISO 32000-2, D.3).
fn doc_encoding(byte: u8) -> char {
    const LOW: [char; 8] = ['˘', 'ˇ', 'ˆ', '˙', '˝', '˛', '˚', '˜'];
    const HIGH: [char; 31] = [
        '•', '†', '‡', '…', '—', '–', 'ƒ', '⁄', '‹', '›', '−', '‰', '„', '“', '”', '‘', '’', '‚',
        '™', 'ﬁ', 'ﬂ', 'Ł', 'Œ', 'Š', 'Ÿ', 'Ž', 'ı', 'ł', 'œ', 'š', 'ž',
    ];
    let among = |all: &[char], first: u8| all.get(usize::from(byte - first)).copied();
    match byte {
        0x18..=0x1f => among(&LOW, 0x18),
        0x80..=0x9e => among(&HIGH, 0x80),
        0xa0 => Some('€'),
        _ => None,
    }
    .unwrap_or(char::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_read_by_its_mark() {
        assert_eq!(text(b"\xfe\xff\x00G\x00r\x00\xfc\xd8\x3d\xde\x00"), "Grü😀");
        assert_eq!(text(b"\xff\xfeG\x00r\x00"), "Gr");
        assert_eq!(text("\u{feff}Grüße".as_bytes()), "Grüße");
        assert_eq!(text(b"caf\xe9 \x84 \x93ne \xa0"), "café — ﬁne €");
        assert_eq!(text(b"\xfe\xff\x00\x1b\x00e\x00n\x00\x1b\x00a"), "a");
    }
}
