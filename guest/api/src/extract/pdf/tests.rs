//! Whole files, each of a kind that people have.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::super::{Block, Extracted, Kind, Unreadable, WarningCode};
use super::extract;
use super::sample::{HELVETICA, Sample};
use crate::limits;

fn read(bytes: &[u8]) -> Extracted {
    extract(bytes).unwrap()
}

fn text(contents: &str) -> String {
    read(&Sample::of(contents)).text
}

fn blocks(extracted: &Extracted) -> Vec<(Kind, &str)> {
    let block = |block: &Block| (block.kind, block.range.clone());
    extracted.blocks.iter().map(block).map(|(kind, range)| (kind, &extracted.text[range])).collect()
}

/// Lines of 12 points, 14 apart.
fn lines(lines: &[&str]) -> String {
    let shown: Vec<String> = lines.iter().map(|line| format!("({line}) Tj T*")).collect();
    format!("BT /F1 12 Tf 14 TL 72 700 Td {} ET", shown.join(" "))
}

/// Text at places, each shown by itself.
fn placed(texts: &[(f64, f64, &str)]) -> String {
    let show = |(x, y, text): &(f64, f64, &str)| format!("1 0 0 1 {x} {y} Tm ({text}) Tj ");
    format!("BT /F1 12 Tf {} ET", texts.iter().map(show).collect::<String>())
}

fn codes(extracted: &Extracted) -> Vec<(WarningCode, Option<u32>)> {
    extracted.warnings.iter().map(|warning| (warning.code, warning.page)).collect()
}

/// A composite font whose codes have two bytes.
fn composite(sample: &mut Sample, to_unicode: &str) {
    let map = sample.stream("", to_unicode);
    let font = sample.object(
        "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /ABCDEF+X /CIDSystemInfo << /Registry \
         (Adobe) /Ordering (Identity) /Supplement 0 >> /DW 600 >>",
    );
    sample.font(
        "F2",
        &format!(
            "<< /Type /Font /Subtype /Type0 /BaseFont /ABCDEF+X /Encoding /Identity-H \
             /DescendantFonts [{font} 0 R] /ToUnicode {map} 0 R >>"
        ),
    );
}

fn with_map(to_unicode: &str, shown: &str) -> String {
    let mut sample = Sample::new();
    composite(&mut sample, to_unicode);
    sample.page(format!("BT /F2 12 Tf 72 700 Td {shown} Tj ET"));
    read(&sample.bytes()).text
}

/// A font of the standard collections that is not embedded.
fn cjk(encoding: &str, ordering: &str, shown: &str) -> String {
    let mut sample = Sample::new();
    let font = sample.object(format!(
        "<< /Type /Font /Subtype /CIDFontType0 /BaseFont /Some /CIDSystemInfo << /Registry \
         (Adobe) /Ordering ({ordering}) /Supplement 2 >> /DW 1000 >>"
    ));
    sample.font(
        "F2",
        &format!(
            "<< /Type /Font /Subtype /Type0 /BaseFont /Some /Encoding /{encoding} \
             /DescendantFonts [{font} 0 R] >>"
        ),
    );
    sample.page(format!("BT /F2 12 Tf 72 700 Td {shown} Tj ET"));
    read(&sample.bytes()).text
}

#[test]
fn words_are_parted_by_the_distance_of_their_glyphs() {
    for contents in [
        "BT /F1 12 Tf 72 700 Td [(The quar)10(terly)-300(fee)-280(is)-250(due)] TJ ET",
        "BT /F1 12 Tf 72 700 Td (The quarterly) Tj 73 0 Td (fee is due) Tj ET",
        "BT /F1 12 Tf 4 Tw 72 700 Td (The quarterly fee is due) Tj ET",
        "BT /F1 12 Tf 3 Tc 72 700 Td (The quarterly fee is due) Tj ET",
        "BT /F1 12 Tf 80 Tz 72 700 Td (The quarterly fee is due) Tj ET",
        "BT /F1 1 Tf 12 0 0 12 72 700 Tm (The quarterly fee is due) Tj ET",
        "q .1 0 0 .1 0 0 cm BT /F1 120 Tf 720 7000 Td (The quarterly fee is due) Tj ET Q",
    ] {
        assert_eq!(text(contents), "The quarterly fee is due", "{contents}");
    }
}

#[test]
fn glyphs_that_are_placed_one_by_one_are_words() {
    let mut x = 72.0;
    let mut contents = String::from("BT /F1 12 Tf ");
    for (char, width) in "over here".chars().zip([6.7, 6.0, 6.7, 4.0, 3.3, 6.7, 6.7, 4.0, 6.7]) {
        if char != ' ' {
            contents.push_str(&format!("1 0 0 1 {x} 700 Tm ({char}) Tj "));
        }
        x += width;
    }
    assert_eq!(text(&(contents + "ET")), "over here");
}

#[test]
fn lines_are_parted_by_their_place_however_the_pen_moves() {
    for contents in [
        "BT /F1 12 Tf 72 700 Td (The fee is due on) Tj 0 -14 TD (the fifth of April) Tj ET",
        "BT /F1 12 Tf 14 TL 72 700 Td (The fee is due on) Tj (the fifth of April) ' ET",
        "BT /F1 12 Tf 14 TL 72 700 Td (The fee is due on) Tj 0 0 (the fifth of April) \" ET",
        "BT /F1 12 Tf 1 0 0 1 72 700 Tm [(The fee is due on)] TJ 1 0 0 1 72 686 Tm [(the fifth of April)] TJ ET",
    ] {
        assert_eq!(text(contents), "The fee is due on the fifth of April", "{contents}");
    }
}

#[test]
fn a_word_that_the_layout_cut_is_whole_and_a_compound_keeps_its_hyphen() {
    let page = lines(&[
        "Flutter is a dynamic insta-",
        "bility of wings, a long-",
        "term matter of state-of-the-",
        "art analysis by Marie-",
        "Curie in the years 2019-",
        "2020 as we know it.",
    ]);
    assert_eq!(
        text(&page),
        "Flutter is a dynamic instability of wings, a long-term matter of state-of-the-art \
         analysis by Marie-Curie in the years 2019-2020 as we know it."
    );
}

#[test]
fn a_sentence_of_one_column_stays_together_in_whatever_order_it_is_drawn() {
    let left = [
        "The lease begins in the",
        "month of April and ends",
        "with the fourth year of",
        "its term.",
    ];
    let right = [
        "Repairs of the roof are",
        "paid by the owner of the",
        "house unless the tenant",
        "broke it.",
    ];
    let whole = "The lease begins in the month of April and ends with the fourth year of its term.";
    let (mut by_row, mut by_column) = (Vec::new(), Vec::new());
    for (at, (one, two)) in left.iter().zip(right).enumerate() {
        let y = 700.0 - 14.0 * at as f64;
        by_row.extend([(72.0, y, *one), (320.0, y, two)]);
        by_column.push((72.0, y, *one));
    }
    by_column
        .extend(right.iter().enumerate().map(|(at, two)| (320.0, 700.0 - 14.0 * at as f64, *two)));
    for page in [by_row, by_column] {
        let text = text(&placed(&page));
        assert!(text.contains(whole), "{text}");
        assert!(text.contains("Repairs of the roof are paid by the owner of the house"), "{text}");
    }
}

#[test]
fn three_columns_drawn_row_by_row_are_read_one_after_the_other() {
    let columns = [
        ["The first column says", "that wings are made to", "bend in the wind as", "reeds do."],
        ["A second one tells us", "how the tail keeps the", "whole from turning on", "its back."],
        ["In the third we learn", "of engines that hang on", "pylons below the wing", "and push."],
    ];
    let mut page = Vec::new();
    for row in 0..4 {
        for (column, x) in columns.iter().zip([50.0, 230.0, 410.0]) {
            page.push((x, 700.0 - 14.0 * row as f64, column[row]));
        }
    }
    let text = text(&placed(&page));
    for column in columns {
        assert!(text.contains(&column.join(" ")), "{text}");
    }
}

#[test]
fn a_table_keeps_its_cells_apart_and_a_row_on_a_line() {
    let rows =
        [["Region", "Revenue", "Growth"], ["North", "1,200", "4 %"], ["South", "900", "7 %"]];
    let (mut page, mut stacked) = (Vec::new(), Vec::new());
    for (at, row) in rows.iter().enumerate() {
        for (cell, x) in row.iter().zip([72.0, 200.0, 330.0]) {
            page.push((x, 700.0 - 18.0 * at as f64, *cell));
        }
    }
    let table = "Region | Revenue | Growth\nNorth | 1,200 | 4 %\nSouth | 900 | 7 %";
    let extracted = read(&Sample::of(&placed(&page)));
    assert_eq!(blocks(&extracted), [(Kind::Table, table)]);
    // Cells of several lines, drawn cell by cell.
    for (at, y) in [(0, 700.0), (1, 660.0), (2, 620.0)] {
        stacked.extend([
            (72.0, y, rows[at][0]),
            (72.0, y - 14.0, "wing area"),
            (200.0, y, rows[at][1]),
            (330.0, y, rows[at][2]),
        ]);
    }
    let extracted = read(&Sample::of(&placed(&stacked)));
    assert_eq!(
        blocks(&extracted),
        [(
            Kind::Table,
            "Region wing area | Revenue | Growth\nNorth wing area | 1,200 | 4 %\nSouth wing area | 900 | 7 %"
        )]
    );
}

#[test]
fn an_empty_cell_leaves_the_others_in_their_columns() {
    let page = [
        (72.0, 700.0, "Region"),
        (200.0, 700.0, "Revenue"),
        (330.0, 700.0, "Growth"),
        (72.0, 682.0, "North"),
        (330.0, 682.0, "4 %"),
        (72.0, 664.0, "South"),
        (200.0, 664.0, "900"),
        (330.0, 664.0, "7 %"),
    ];
    assert_eq!(
        text(&placed(&page)),
        "Region | Revenue | Growth\nNorth |  | 4 %\nSouth | 900 | 7 %"
    );
}

#[test]
fn headings_paragraphs_and_lists_are_told_by_size_weight_and_place() {
    let mut sample = Sample::new();
    sample.font("F2", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold >>");
    let body = "Flutter is a dynamic instability of an elastic structure in a flow of fluid";
    sample.page(format!(
        "BT /F2 20 Tf 72 740 Td (On wings) Tj /F1 10 Tf 12 TL 0 -30 Td ({body}) Tj T* ({body}) Tj \
         T* (and ends.) Tj 0 -24 Td (A new paragraph.) Tj /F2 10 Tf 0 -24 Td (Cause and effect) Tj \
         /F1 10 Tf 0 -16 Td ({body}) Tj 0 -20 Td (\\225 lift) Tj T* (\\225 drag) Tj ET"
    ));
    let extracted = read(&sample.bytes());
    let twice = format!("{body} {body} and ends.");
    assert_eq!(
        blocks(&extracted),
        [
            (Kind::Heading(1), "On wings"),
            (Kind::Paragraph, twice.as_str()),
            (Kind::Paragraph, "A new paragraph."),
            (Kind::Heading(2), "Cause and effect"),
            (Kind::Paragraph, body),
            (Kind::ListItem, "• lift"),
            (Kind::ListItem, "• drag"),
        ]
    );
}

#[test]
fn turned_pages_are_read_as_they_are_held() {
    let mut sample = Sample::new();
    sample.page("BT /F1 12 Tf 0 1 -1 0 300 100 Tm (Held sideways it says) Tj 0 -14 Td (what it says.) Tj ET");
    sample.page_with("BT /F1 12 Tf -1 0 0 -1 500 100 Tm (Upside down it says) Tj 0 -14 Td (the same thing.) Tj ET", "/Rotate 180");
    let extracted = read(&sample.bytes());
    assert_eq!(
        extracted.text,
        "Held sideways it says what it says.\n\nUpside down it says the same thing."
    );
    assert_eq!(extracted.pages.len(), 2);
}

#[test]
fn hebrew_is_in_logical_order_with_its_numbers_and_names() {
    // Codes 1 to 3 are alef, bet and gimel; the page shows them from left to right.
    let map = "1 begincodespacerange <0000> <FFFF> endcodespacerange 3 beginbfrange <0001> <0003> \
               <05D0> <0020> <007E> <0020> <0100> <0100> <0028> endbfrange";
    // "גבא 42 AB" as it is drawn: BA is Latin, 42 a number, then the letters reversed.
    let shown = "<004100420020003400320020000300020001>";
    assert_eq!(with_map(map, shown), "\u{5d0}\u{5d1}\u{5d2} 42 AB");
    assert_eq!(with_map(map, "<0028000300020029002000010002>"), "\u{5d1}\u{5d0} (\u{5d1}\u{5d2})");
}

#[test]
fn text_is_read_by_every_form_of_a_map_to_unicode() {
    let wanted = "\u{6e2f}\u{6e7e}\u{5c40}";
    let ranges = "1 begincodespacerange <0000> <FFFF> endcodespacerange";
    let chars = "<0001> <6E2F> <0002> <6E7E> <0003> <5C40>";
    for map in [
        format!("{ranges} 3 beginbfchar {chars} endbfchar"),
        format!("{ranges}\r\n3 beginbfchar\r\n{chars}\r\nendbfchar"),
        format!("{ranges} % a comment\n3 beginbfchar {chars} endbfchar"),
        format!("{ranges} 3 beginbfchar <0001><6E2F><0002><6E7E><0003><5C40>endbfchar"),
        format!("{ranges} 1 beginbfrange <0001> <0003> [<6E2F> <6E7E> <5C40>] endbfrange"),
        format!(
            "{ranges} 1 beginbfchar <0001> <6E2F> endbfchar 2 beginbfchar <0002> <6E7E> <0003> <5C40> endbfchar"
        ),
        format!(
            "/CIDInit /ProcSet findresource begin begincmap /WMode 0 def {ranges} 3 beginbfchar {chars} endbfchar"
        ),
    ] {
        assert_eq!(with_map(&map, "<000100020003>"), wanted, "{map}");
    }
    let beyond = format!("{ranges} 1 beginbfchar <0001> <D83DDE00> endbfchar");
    assert_eq!(with_map(&beyond, "<0001>"), "\u{1f600}");
}

#[test]
fn chinese_japanese_and_korean_are_read_without_a_map_to_unicode() {
    assert_eq!(cjk("EUC-H", "Japan1", "<b9c1cfd1>"), "港湾");
    assert_eq!(cjk("90ms-RKSJ-H", "Japan1", "<8d609870>"), "港湾");
    assert_eq!(cjk("GBK-EUC-H", "GB1", "<b8dbcde5>"), "港湾");
    assert_eq!(cjk("UniGB-UCS2-H", "GB1", "<6e2f6e7e>"), "港湾");
    assert_eq!(cjk("UniKS-UTF16-H", "Korea1", "<d56dad6c>"), "항구");
    assert_eq!(cjk("UniCNS-UTF16-H", "CNS1", "<6e2f7063>"), "港灣");
    assert_eq!(cjk("UniJIS-UCS2-H", "Japan1", "<6e2f6e7e>"), "港湾");
}

#[test]
fn ligatures_stand_as_letters() {
    let mut sample = Sample::new();
    sample.font("F2", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding << /Differences [1 /fi /ffi /f_l /uniFB00] >> >>");
    sample.page("BT /F2 12 Tf 72 700 Td (of\\002ce \\001nds \\003ow o\\004) Tj ET");
    assert!(read(&sample.bytes()).text.contains("finds flow off"));
    let map = "1 begincodespacerange <0000> <FFFF> endcodespacerange 2 beginbfchar <0001> <FB03> <0002> <006600690072006D> endbfchar";
    assert_eq!(with_map(map, "<00010002>"), "ffifirm");
}

#[test]
fn glyph_names_say_what_codes_mean() {
    let mut sample = Sample::new();
    sample.font("F2", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding << /Differences [1 /Aacute /uni20AC /germandbls] >> >>");
    sample.font("F3", "<< /Type /Font /Subtype /Type1 /BaseFont /Symbol >>");
    sample.font("F4", "<< /Type /Font /Subtype /Type1 /BaseFont /ZapfDingbats >>");
    sample.font(
        "F5",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /MacRomanEncoding >>",
    );
    sample.page("BT /F2 12 Tf 72 700 Td <010203> Tj /F3 12 Tf ( abc) Tj /F4 12 Tf 60 0 Td (4) Tj /F5 12 Tf 60 0 Td <8e> Tj ET");
    let text = read(&sample.bytes()).text;
    assert!(text.contains("Á€ß αβχ"), "{text}");
    assert!(text.contains('✔') && text.contains('é'), "{text}");
}

#[test]
fn what_has_no_mapping_is_left_out_with_a_warning() {
    let mut sample = Sample::new();
    sample.font("F2", "<< /Type /Font /Subtype /Type1 /BaseFont /ABCDEF+Cust /FirstChar 65 /LastChar 67 /Widths [500 500 500] /Encoding << /Differences [65 /g1 /g2 /g3] >> >>");
    sample.page("BT /F1 12 Tf 72 700 Td (Good text.) Tj ET");
    sample.page("BT /F1 12 Tf 72 700 Td (More text.) Tj /F2 12 Tf 0 -20 Td (ABCABC) Tj ET");
    let extracted = read(&sample.bytes());
    assert_eq!(extracted.text, "Good text.\n\nMore text.");
    assert_eq!(codes(&extracted), [(WarningCode::UnmappedFont, Some(2))]);
    assert!(extracted.warnings[0].detail.contains("ABCDEF+Cust"));
}

#[test]
fn a_font_that_cannot_be_read_costs_its_own_runs() {
    let mut sample = Sample::new();
    sample.font("F2", "<< /Type /Font /Subtype /Type0 /BaseFont /Odd /Encoding /No-Such-Map /DescendantFonts [] >>");
    sample.page("BT /F1 12 Tf 72 700 Td (Good text.) Tj /F2 12 Tf 0 -20 Td <0001> Tj /F1 12 Tf 0 -20 Td (More.) Tj ET");
    let extracted = read(&sample.bytes());
    assert_eq!(extracted.text, "Good text.\n\nMore.");
    assert_eq!(codes(&extracted), [(WarningCode::FontUnreadable, Some(1))]);
}

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
fn what_an_annotation_shows_is_text_and_a_closed_note_is_not() {
    let mut sample = Sample::new();
    let free = sample.object("<< /Type /Annot /Subtype /FreeText /Rect [72 500 300 520] /Contents (Freely written) /DA (/Helv 12 Tf) >>");
    let note =
        sample.object("<< /Type /Annot /Subtype /Text /Rect [72 400 90 420] /Contents (Sticky) >>");
    sample.page_with(lines(&["Body words"]), &format!("/Annots [{free} 0 R {note} 0 R]"));
    assert_eq!(read(&sample.bytes()).text, "Body words\n\nFreely written");
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

#[test]
fn a_file_with_an_owner_password_opens_and_one_with_a_user_password_says_so() {
    for (owner, user, algorithm) in [
        (
            &include_bytes!("../../../../../tests/data/pdf/owner-rc4-40.pdf")[..],
            &include_bytes!("../../../../../tests/data/pdf/user-rc4-40.pdf")[..],
            "RC4-40",
        ),
        (
            include_bytes!("../../../../../tests/data/pdf/owner-rc4-128.pdf"),
            include_bytes!("../../../../../tests/data/pdf/user-rc4-128.pdf"),
            "RC4-128",
        ),
        (
            include_bytes!("../../../../../tests/data/pdf/owner-aes-128.pdf"),
            include_bytes!("../../../../../tests/data/pdf/user-aes-128.pdf"),
            "AES-128",
        ),
        (
            include_bytes!("../../../../../tests/data/pdf/owner-aes-256.pdf"),
            include_bytes!("../../../../../tests/data/pdf/user-aes-256.pdf"),
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever stands where, and however it is turned and scaled, no word is
    /// lost and no word is glued to another.
    #[test]
    fn words_far_apart_stay_words(
        places in prop::collection::vec((0_u8..5, 0_u8..40), 1..30),
        size in 4.0..40.0_f64,
        turn in 0.0..6.3_f64,
    ) {
        let mut seen = std::collections::HashSet::new();
        let mut shown = Vec::new();
        let (sin, cos) = turn.sin_cos();
        let mut contents = format!("{} {} {} {} 300 400 cm BT /F1 {size} Tf ", cos, sin, -sin, cos);
        for (column, row) in places {
            if seen.insert((column, row)) {
                let word = format!("w{column}q{row}");
                let (x, y) = (f64::from(column) * 8.0 * size, f64::from(row) * 2.0 * size);
                contents.push_str(&format!("1 0 0 1 {x} {y} Tm ({word}) Tj "));
                shown.push(word);
            }
        }
        let text = text(&(contents + "ET"));
        let mut found: Vec<&str> = text.split_whitespace().filter(|word| *word != "|").collect();
        let mut shown: Vec<&str> = shown.iter().map(String::as_str).collect();
        found.sort_unstable();
        shown.sort_unstable();
        prop_assert_eq!(found, shown);
    }

    #[test]
    fn any_contents_are_read_without_harm(contents in "([a-zA-Z'\"*]{1,3}|[0-9.-]{1,4}|\\([a-z]{0,3}\\)|\\[|\\]|<<|>>|/F1| |\n){0,60}") {
        let _ = extract(&Sample::of(&contents));
    }
}

#[test]
fn the_standard_font_is_used_where_a_page_names_none() {
    let mut sample = Sample::new();
    sample.page("BT /Missing 12 Tf 72 700 Td (Plain words) Tj ET");
    assert_eq!(read(&sample.bytes()).text, "Plain words");
    assert!(HELVETICA.contains("Helvetica"));
}
