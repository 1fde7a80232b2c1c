#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn text_headings_lists_and_tables() {
    let rtf = r"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}{\f1\fcharset204 Arial Cyr;}}
{\stylesheet{\s0 Normal;}{\s3\outlinelevel0 heading 1;}}{\info{\title On ships}{\author X}}
{\header Norhaven\par}\pard\s3 Fleet\par\pard K\'e4se \u8364?5 {\f1\'ca\'ee\'f2}{\v hidden}{\*\unknown gone}\line below\par
{\listtext 1.\tab}first\par{\listtext\'b7\tab}second\par
\trowd\intbl Port\cell Fee\cell\row\trowd\intbl A\cell 4\cell\row\pard
{\field{\*\fldinst HYPERLINK x}{\fldrslt linked}} text{\footnote A note.}\par}";
    let extracted = extract(rtf.as_bytes()).unwrap();
    assert_eq!(
        extracted.text,
        "Fleet\n\nKäse €5 Кот\nbelow\n\n1. first\n- second\n\nPort | Fee\nA | 4\n\nlinked text\n\nNorhaven\n\nA note."
    );
    assert_eq!(extracted.title.as_deref(), Some("On ships"));
    assert_eq!(extracted.blocks.first().unwrap().kind, BlockKind::Heading(1));
}

#[test]
fn groups_are_bounded_and_what_is_no_rtf_is_refused() {
    assert!(extract("{\\rtf1".repeat(1_000).as_bytes()).is_err());
    assert_eq!(extract(b"text"), Err(DAMAGED));
    assert!(extract(b"{\\rtf1 \\bin999999999999 x").is_ok());
    assert!(extract(b"{\\rtf1 \\'").is_ok());
}
