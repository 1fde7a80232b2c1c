//! Elements by what becomes of their content.

use roxmltree::Node;

use crate::extract::xml::{at, attribute, child, is_on};

/// Symbols of Wingdings that are boxes and ticks, by their code.
const SYMBOLS: &[(&str, &str)] = &[
    ("F06F", "[ ]"),
    ("F0A8", "[ ]"),
    ("F071", "[ ]"),
    ("F0FC", "[x]"),
    ("F0FE", "[x]"),
    ("F0FD", "[x]"),
    ("F078", "[x]"),
    ("F052", "[x]"),
    ("F0B7", "•"),
    ("F0A7", "•"),
    ("F0D8", "→"),
    ("F0E0", "→"),
];

/// Elements that hold what they hold as if they were not there.
pub(super) fn is_transparent(name: &str) -> bool {
    matches!(
        name,
        "body"
            | "sdt"
            | "sdtContent"
            | "ins"
            | "moveTo"
            | "customXml"
            | "smartTag"
            | "hyperlink"
            | "fldSimple"
            | "dir"
            | "bdo"
            | "txbxContent"
            | "docPartBody"
            | "subDoc"
    )
}

/// The mark of a content control that is a box to tick.
pub(super) fn checkbox(node: Node<'_, '_>) -> Option<&'static str> {
    let tick = at(node, &["sdtPr", "checkbox"])?;
    Some(if child(tick, "checked").is_some_and(|state| is_on(Some(state))) { "[x]" } else { "[ ]" })
}

pub(super) fn symbol(node: Node<'_, '_>) -> &'static str {
    let code = attribute(node, "char").unwrap_or_default();
    SYMBOLS.iter().find(|(known, _)| known.eq_ignore_ascii_case(code)).map_or("", |(_, text)| text)
}
