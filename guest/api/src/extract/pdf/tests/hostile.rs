//! Encrypted, damaged and hostile files.

use super::super::super::{Unreadable, WarningCode};
use super::super::extract;
use super::super::sample::Sample;
use super::{codes, lines, read};
use crate::limits;

#[test]
fn a_file_with_an_owner_password_opens_and_one_with_a_user_password_says_so() {
    for (owner, user, algorithm) in [
        (
            &include_bytes!("../../../../../../tests/data/pdf/owner-rc4-40.pdf")[..],
            &include_bytes!("../../../../../../tests/data/pdf/user-rc4-40.pdf")[..],
            "RC4-40",
        ),
        (
            include_bytes!("../../../../../../tests/data/pdf/owner-rc4-128.pdf"),
            include_bytes!("../../../../../../tests/data/pdf/user-rc4-128.pdf"),
            "RC4-128",
        ),
        (
            include_bytes!("../../../../../../tests/data/pdf/owner-aes-128.pdf"),
            include_bytes!("../../../../../../tests/data/pdf/user-aes-128.pdf"),
            "AES-128",
        ),
        (
            include_bytes!("../../../../../../tests/data/pdf/owner-aes-256.pdf"),
            include_bytes!("../../../../../../tests/data/pdf/user-aes-256.pdf"),
            "AES-256",
        ),
    ] {
        assert_eq!(read(owner).text, format!("The tide gate is closed by {algorithm}."));
        assert_eq!(extract(user), Err(Unreadable::Encrypted));
    }
}

#[test]
fn damaged_files_are_recovered_or_refused() {
    let sound = Sample::of(&lines(&["Text that survives."]));
    let mut junk = b"junk before\n\n".to_vec();
    junk.extend_from_slice(&sound);
    assert_eq!(read(&junk).text, "Text that survives.");
    let cut = sound.windows(4).position(|window| window == b"xref").unwrap();
    assert_eq!(read(&sound[..cut]).text, "Text that survives.");
    for bytes in [&b""[..], b"%PDF-1.7", b"hello", &sound[..60]] {
        assert_eq!(extract(bytes), Err(Unreadable::Damaged("PDF")));
    }
}

#[test]
fn a_form_that_doubles_itself_is_refused_by_its_bound() {
    let mut sample = Sample::new();
    let first = sample.object("") + 1;
    for at in 0..40 {
        let (own, next) = (first + at, first + at + 1);
        let made = sample.stream(&format!("/Type /XObject /Subtype /Form /BBox [0 0 1 1] /Resources << /XObject << /N {next} 0 R >> >>"), "/N Do /N Do");
        assert_eq!(made, own);
    }
    sample.stream(
        "/Type /XObject /Subtype /Form /BBox [0 0 1 1] /Resources 3 0 R",
        "BT /F1 1 Tf (x) Tj ET",
    );
    sample.resources(&format!("/XObject << /N {first} 0 R >>"));
    sample.page("/N Do");
    assert_eq!(
        extract(&sample.bytes()),
        Err(Unreadable::Bound { most: limits::MAX_PDF_FORMS, what: "forms drawn" })
    );
}

#[test]
fn pages_and_glyphs_without_end_are_refused_by_their_bounds() {
    let mut sample = Sample::new();
    for _ in 0..=limits::MAX_PAGES {
        sample.page("");
    }
    assert_eq!(extract(&sample.bytes()), Err(Unreadable::TooManyPages));

    let mut sample = Sample::new();
    let many = format!("BT /F1 1 Tf ({}) Tj ET", "x".repeat(1_000));
    let form =
        sample.stream("/Type /XObject /Subtype /Form /BBox [0 0 1 1] /Resources 3 0 R", many);
    sample.resources(&format!("/XObject << /X {form} 0 R >>"));
    sample.page("/X Do ".repeat(limits::MAX_PDF_PAGE_GLYPHS / 1_000 + 1));
    let refused =
        Unreadable::Bound { most: limits::MAX_PDF_PAGE_GLYPHS, what: "glyphs on one page" };
    assert_eq!(extract(&sample.bytes()), Err(refused));
}

#[test]
fn fonts_and_operators_without_end_are_refused_by_their_bounds() {
    let mut sample = Sample::new();
    let mut contents = String::new();
    for at in 0..=limits::MAX_PDF_FONTS {
        let name = format!("M{at}");
        sample.font(&name, "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>");
        contents.push_str(&format!("/{name} 1 Tf "));
    }
    sample.page(contents + "(x) Tj");
    let refused = Unreadable::Bound { most: limits::MAX_PDF_FONTS, what: "fonts" };
    assert_eq!(extract(&sample.bytes()), Err(refused));

    let mut sample = Sample::new();
    let form = sample
        .stream("/Type /XObject /Subtype /Form /BBox [0 0 1 1]", "n ".repeat(1_000_000) + "() Tj");
    sample.resources(&format!("/XObject << /X {form} 0 R >>"));
    sample.page("/X Do ".repeat(limits::MAX_PDF_OPERATORS / 1_000_000));
    let refused = Unreadable::Bound { most: limits::MAX_PDF_OPERATORS, what: "drawing operators" };
    assert_eq!(extract(&sample.bytes()), Err(refused));
}

#[test]
fn forms_within_forms_end_at_their_bound() {
    let mut sample = Sample::new();
    let first = sample.object("") + 1;
    for at in 0..2 * limits::MAX_PDF_DEPTH {
        let next = first + at + 1;
        sample.stream(
            &format!("/Type /XObject /Subtype /Form /BBox [0 0 1 1] /Resources << /Font << /F1 4 0 R >> /XObject << /N {next} 0 R >> >>"),
            format!("BT /F1 12 Tf 72 {} Td (level{at}) Tj ET /N Do", 700 - 20 * at as i64),
        );
    }
    sample.resources(&format!("/XObject << /N {first} 0 R >>"));
    sample.page("/N Do");
    let extracted = read(&sample.bytes());
    let text = extracted.text.as_str();
    let last = limits::MAX_PDF_DEPTH - 1;
    assert!(text.contains(&format!("level{last}")), "{text}");
    assert!(!text.contains(&format!("level{}", last + 1)), "{text}");
    assert_eq!(codes(&extracted), [(WarningCode::PartLeftOut, Some(1))]);
}

#[test]
fn ranges_of_widths_without_end_cost_their_font_only() {
    let mut sample = Sample::new();
    let font = sample.object("<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Wide /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> /W [0 4294967295 500] >>");
    sample.font("F2", &format!("<< /Type /Font /Subtype /Type0 /BaseFont /Wide /Encoding /Identity-H /DescendantFonts [{font} 0 R] >>"));
    sample.font("F3", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /FirstChar 4000000000 /LastChar 4000000001 /Widths [500] >>");
    sample.page("BT /F1 12 Tf 72 700 Td (Text.) Tj /F2 12 Tf <0001> Tj /F3 12 Tf (a) Tj ET");
    let extracted = read(&sample.bytes());
    assert_eq!(extracted.text, "Text.");
    assert_eq!(codes(&extracted), [(WarningCode::FontUnreadable, Some(1)); 2]);
}

/// What deflates to some thousandth of these many bytes.
fn bomb(bytes: usize) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..bytes / 65_536 {
        encoder.write_all(&[b' '; 65_536]).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn streams_that_unpack_without_end_are_refused_by_their_bound() {
    let mut sample = Sample::new();
    let data = bomb(limits::MAX_PDF_STREAM_BYTES + 65_536);
    let form =
        sample.stream("/Type /XObject /Subtype /Form /BBox [0 0 1 1] /Filter /FlateDecode", &data);
    sample.resources(&format!("/XObject << /X {form} 0 R >>"));
    sample.page("/X Do");
    let refused = Unreadable::Bound {
        most: limits::MAX_PDF_STREAM_BYTES,
        what: "unpacked bytes in one stream",
    };
    assert_eq!(extract(&sample.bytes()), Err(refused));
    assert!(refused.to_string().contains("67108864 unpacked bytes in one stream"));

    let mut sample = Sample::new();
    sample.page(lines(&["Text."]));
    sample.stream("/Type /ObjStm /N 1 /First 4 /Filter /FlateDecode", &data);
    let refused = Unreadable::Bound {
        most: limits::MAX_PDF_STREAM_BYTES,
        what: "unpacked bytes in its tables of objects",
    };
    assert_eq!(extract(&sample.bytes()), Err(refused));
}

#[test]
fn many_streams_that_unpack_to_much_together_are_refused_by_their_bound() {
    let mut sample = Sample::new();
    let each = limits::MAX_PDF_STREAM_BYTES - 65_536;
    let form = sample
        .stream("/Type /XObject /Subtype /Form /BBox [0 0 1 1] /Filter /FlateDecode", bomb(each));
    sample.resources(&format!("/XObject << /X {form} 0 R >>"));
    // What a page has unpacked is forgotten with it, and unpacked again.
    for _ in 0..=limits::MAX_PDF_UNPACKED_BYTES / each {
        sample.page("/X Do");
    }
    let refused =
        Unreadable::Bound { most: limits::MAX_PDF_UNPACKED_BYTES, what: "unpacked bytes" };
    assert_eq!(extract(&sample.bytes()), Err(refused));
}

#[test]
fn glyphs_without_end_on_many_pages_are_refused_by_their_bound() {
    let mut sample = Sample::new();
    // Glyphs without a size count and are not kept, so no page has too many.
    let many = format!("BT /F1 0 Tf ({}) Tj ET", "x".repeat(100_000));
    let form =
        sample.stream("/Type /XObject /Subtype /Form /BBox [0 0 1 1] /Resources 3 0 R", many);
    sample.resources(&format!("/XObject << /X {form} 0 R >>"));
    for _ in 0..=limits::MAX_PDF_GLYPHS / 1_000_000 {
        sample.page("/X Do ".repeat(10));
    }
    let refused = Unreadable::Bound { most: limits::MAX_PDF_GLYPHS, what: "glyphs" };
    assert_eq!(extract(&sample.bytes()), Err(refused));
}
