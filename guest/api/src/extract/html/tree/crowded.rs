//! Tags with more attributes than are read.

use crate::limits;

/// A page without the attributes beyond [`limits::MAX_TAG_ATTRIBUTES`] of each
/// tag: the tokenizer compares each attribute of a tag with all before it.
pub(super) fn without_crowded_tags(source: &str) -> std::borrow::Cow<'_, str> {
    let mut kept = String::new();
    let mut copied = 0;
    let bytes = source.as_bytes();
    let mut at = 0;
    while let Some(found) =
        bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'<'))
    {
        let start = at + found;
        let rest = bytes.get(start..).unwrap_or_default();
        if rest.starts_with(b"<!--") {
            let end = source.get(start + 4..).and_then(|rest| rest.find("-->"));
            at = end.map_or(bytes.len(), |end| start + 4 + end + 3);
            continue;
        }
        if !rest.get(1).is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'/') {
            at = start + 1;
            continue;
        }
        let (end, surplus) = scan_tag(bytes, start + 1);
        if let Some(surplus) = surplus {
            kept.push_str(source.get(copied..surplus).unwrap_or_default());
            copied = end;
        }
        at = end.max(start + 1);
    }
    match copied {
        0 => source.into(),
        _ => {
            kept.push_str(source.get(copied..).unwrap_or_default());
            kept.into()
        }
    }
}

/// Where the tag ends, and where the attributes begin that are too many.
fn scan_tag(bytes: &[u8], start: usize) -> (usize, Option<usize>) {
    let (mut attributes, mut surplus) = (0_usize, None);
    let (mut quote, mut blank, mut after_equals) = (None, false, false);
    for (offset, byte) in bytes.iter().enumerate().skip(start) {
        if let Some(open) = quote {
            if *byte == open {
                (quote, blank) = (None, true);
            }
            continue;
        }
        match byte {
            b'>' => return (offset, surplus),
            b'"' | b'\'' if after_equals => (quote, after_equals) = (Some(*byte), false),
            b'=' => (after_equals, blank) = (true, false),
            byte if byte.is_ascii_whitespace() || *byte == b'/' => blank = true,
            _ => {
                if blank && !after_equals {
                    attributes += 1;
                    if attributes > limits::MAX_TAG_ATTRIBUTES && surplus.is_none() {
                        surplus = Some(offset);
                    }
                }
                (blank, after_equals) = (false, false);
            }
        }
    }
    (bytes.len(), surplus)
}
