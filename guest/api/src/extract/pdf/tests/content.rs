//! What of a page is text: forms, fields, annotations, layers, replacement text.

use super::super::super::WarningCode;
use super::super::sample::Sample;
use super::{codes, lines, placed, read, text};
use crate::limits;

#[test]
fn pages_without_text_are_named() {
    let mut sample = Sample::new();
    let image = sample.stream("/Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8", [0]);
    sample.resources(&format!("/XObject << /I {image} 0 R >>"));
    sample.page("q 600 0 0 700 0 0 cm /I Do Q");
    sample.page("BT /F1 12 Tf 72 700 Td (One.) Tj ET");
    sample.page("");
    let extracted = read(&sample.bytes());
    assert_eq!((extracted.text.as_str(), &extracted.pages), ("One.", &vec![0, 0, 4]));
    let code = WarningCode::PageWithoutText;
    assert_eq!(codes(&extracted), [(code, Some(1)), (code, Some(3))]);
}

#[test]
fn values_of_fields_are_text_on_the_line_that_they_stand_on() {
    let mut sample = Sample::new();
    let look = sample.stream(
        "/Type /XObject /Subtype /Form /BBox [0 0 100 16] /Resources 3 0 R",
        "/Tx BMC BT /F1 12 Tf 2 4 Td (Corvina) Tj ET EMC",
    );
    let fields = [
        format!("/Rect [150 696 250 712] /FT /Tx /V (Corvina) /AP << /N {look} 0 R >>"),
        "/Rect [150 676 250 692] /FT /Tx /V (17.25) /DA (/Helv 12 Tf)".to_owned(),
        "/Rect [150 656 250 672] /FT /Ch /V (nl) /Opt [[(nl) (Netherlands)] [(de) (Germany)]]"
            .to_owned(),
        "/Rect [150 636 250 652] /FT /Tx /Ff 8192 /V (secret)".to_owned(),
        "/Rect [150 616 250 632] /FT /Tx /F 2 /V (hidden)".to_owned(),
    ];
    let fields: String = fields
        .iter()
        .map(|field| {
            format!(
                "{} 0 R ",
                sample.object(format!("<< /Type /Annot /Subtype /Widget {field} >>"))
            )
        })
        .collect();
    sample.catalog(&format!("/AcroForm << /Fields [{fields}] >>"));
    sample.page_with(
        placed(&[(72.0, 700.0, "Vessel:"), (72.0, 680.0, "Length:"), (72.0, 660.0, "Flag:")]),
        &format!("/Annots [{fields}]"),
    );
    let text = read(&sample.bytes()).text;
    for line in ["Vessel: Corvina", "Length: 17.25", "Flag: Netherlands"] {
        assert!(text.replace(" | ", " ").contains(line), "{text}");
    }
    assert!(!text.contains("secret") && !text.contains("hidden"), "{text}");
}

#[test]
fn the_value_of_a_field_is_read_with_its_own_label_where_the_next_is_nearer() {
    let mut sample = Sample::new();
    // Lines follow each other closely, and values stand at the foot of their
    // fields: 8 points under their own line, 6 over the next.
    let mut fields = String::new();
    for (low, value) in [(676, "Corvina"), (662, "17.25")] {
        let look = sample.stream(
            "/Type /XObject /Subtype /Form /BBox [0 0 200 14] /Resources 3 0 R",
            format!("/Tx BMC BT /F1 12 Tf 4 2 Td ({value}) Tj ET EMC"),
        );
        let field = sample.object(format!(
            "<< /Type /Annot /Subtype /Widget /FT /Tx /V ({value}) /Rect [220 {low} 420 {}] /AP << /N {look} 0 R >> >>",
            low + 14
        ));
        fields.push_str(&format!("{field} 0 R "));
    }
    sample.page_with(
        placed(&[(72.0, 686.0, "Name of the vessel:"), (72.0, 672.0, "Length:")]),
        &format!("/Annots [{fields}]"),
    );
    let text = read(&sample.bytes()).text.replace(" | ", " ");
    assert_eq!(text, "Name of the vessel: Corvina Length: 17.25");
}

#[test]
fn what_an_annotation_shows_is_text_and_a_closed_note_is_not() {
    let mut sample = Sample::new();
    let free = sample.object("<< /Type /Annot /Subtype /FreeText /Rect [72 500 300 520] /Contents (Freely written) /DA (/Helv 12 Tf) >>");
    let note =
        sample.object("<< /Type /Annot /Subtype /Text /Rect [72 400 90 420] /Contents (Sticky) >>");
    sample.page_with(lines(&["Body words"]), &format!("/Annots [{free} 0 R {note} 0 R]"));
    assert_eq!(read(&sample.bytes()).text, "Body words\n\nFreely written");
}

#[test]
fn annotations_beyond_their_bound_are_left_out_with_a_warning() {
    let mut sample = Sample::new();
    let note = |text: &str, y: usize| {
        format!(
            "<< /Type /Annot /Subtype /FreeText /Rect [72 {y} 300 {}] /Contents ({text}) /DA (/Helv 12 Tf) >>",
            y + 20
        )
    };
    let (first, last) = (sample.object(note("First", 500)), sample.object(note("Last", 400)));
    let empty = sample.object("<< /Type /Annot /Subtype /Link /Rect [0 0 1 1] >>");
    let links = format!("{empty} 0 R ").repeat(limits::MAX_PDF_ANNOTATIONS - 1);
    sample.page_with("", &format!("/Annots [{first} 0 R {links} {last} 0 R]"));
    let extracted = read(&sample.bytes());
    assert_eq!(extracted.text, "First");
    assert_eq!(codes(&extracted), [(WarningCode::PartLeftOut, Some(1))]);
}

#[test]
fn forms_are_text_once_each_time_they_are_drawn_and_cycles_end() {
    let mut sample = Sample::new();
    let form = sample.stream("/Type /XObject /Subtype /Form /BBox [0 0 600 700] /Resources << /Font << /F1 4 0 R >> /XObject << /Self 5 0 R >> >>", "BT /F1 12 Tf 72 600 Td (Text of a form.) Tj ET /Self Do");
    assert_eq!(form, 5);
    sample.resources("/XObject << /X 5 0 R >>");
    sample.page("/X Do q 1 0 0 1 0 -100 cm /X Do Q");
    assert_eq!(read(&sample.bytes()).text, "Text of a form.\n\nText of a form.");
}

#[test]
fn text_painted_twice_is_text_once() {
    let twice =
        "BT /F1 12 Tf 72 700 Td (Bold title) Tj ET BT /F1 12 Tf 72.3 700 Td (Bold title) Tj ET";
    assert_eq!(text(twice), "Bold title");
    assert_eq!(text("BT /F1 12 Tf 2 Tr 72 700 Td (Outlined) Tj ET"), "Outlined");
}

#[test]
fn narrow_letters_that_follow_each_other_are_all_text() {
    let mut sample = Sample::new();
    sample.font("F2", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /FirstChar 65 /LastChar 66 /Widths [600 90] >>");
    sample.page("BT /F2 12 Tf 72 700 Td (ABBBA) Tj ET");
    assert_eq!(read(&sample.bytes()).text, "ABBBA");
}

#[test]
fn of_a_line_painted_in_strips_the_whole_one_is_text() {
    // The strip above holds what rises over the cut, with gaps for the rest.
    let strip = "q 0 706 600 20 re W n BT /F1 12 Tf 72 700 Td [(T)-556(t)-556(l)] TJ ET Q";
    let title = "BT /F1 16 Tf 72 740 Td (Of wings) Tj ET";
    let whole = "BT /F1 12 Tf 72 700 Td (Total) Tj ET";
    assert_eq!(text(&format!("{strip} {title} {whole}")), "Of wings\n\nTotal");
}

#[test]
fn replacement_text_stands_for_its_glyphs() {
    assert_eq!(
        text(
            "BT /F1 12 Tf 72 700 Td (co) Tj /Span << /ActualText (o) >> BDC (\\260) Tj EMC (perate) Tj ET"
        ),
        "cooperate"
    );
    assert_eq!(
        text("BT /F1 12 Tf 72 700 Td /Span << /ActualText () >> BDC (noise) Tj EMC (kept) Tj ET"),
        "kept"
    );
}

#[test]
fn layers_that_are_off_are_not_text() {
    let mut sample = Sample::new();
    let layer = sample.object("<< /Type /OCG /Name (Draft) >>");
    sample.catalog(&format!("/OCProperties << /OCGs [{layer} 0 R] /D << /OFF [{layer} 0 R] >> >>"));
    sample.resources(&format!("/Properties << /L {layer} 0 R >>"));
    sample.page("BT /F1 12 Tf 72 700 Td (Seen.) Tj /OC /L BDC 0 -20 Td (Unseen.) Tj EMC ET");
    assert_eq!(read(&sample.bytes()).text, "Seen.");
}

#[test]
fn type_3_glyphs_are_read_by_their_names_or_by_what_they_draw() {
    let mut sample = Sample::new();
    let a = sample.stream("", "500 0 d0 0 0 500 700 re f");
    let b = sample.stream("", "500 0 d0 BT /F1 1 Tf (drawn) Tj ET");
    sample.font("F2", &format!("<< /Type /Font /Subtype /Type3 /FontBBox [0 0 1000 1000] /FontMatrix [.001 0 0 .001 0 0] /FirstChar 1 /LastChar 2 /Widths [500 500] /CharProcs << /A {a} 0 R /x1 {b} 0 R >> /Encoding << /Differences [1 /A /x1] >> /Resources 3 0 R >>"));
    sample.page("BT /F2 12 Tf 72 700 Td <01> Tj 0 -40 Td 1000 0 0 1000 72 600 Tm <02> Tj ET");
    let text = read(&sample.bytes()).text;
    assert!(text.contains('A') && text.contains("drawn"), "{text}");
}

#[test]
fn a_title_is_read_in_any_encoding_of_strings() {
    for (title, wanted) in [
        (&b"On wings"[..], "On wings"),
        (b"\xfe\xff\x00\xdc\x00b\x00e\x00r", "Über"),
        (b"\xdcber", "Über"),
    ] {
        let mut sample = Sample::new();
        let mut info = b"<< /Title (".to_vec();
        info.extend_from_slice(title);
        info.extend_from_slice(b") >>");
        sample.info(info);
        sample.page(lines(&["Text."]));
        assert_eq!(read(&sample.bytes()).title.as_deref(), Some(wanted));
    }
}
