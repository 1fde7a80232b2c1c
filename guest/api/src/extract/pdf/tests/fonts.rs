//! What the codes of fonts mean.

use super::super::super::WarningCode;
use super::super::sample::{HELVETICA, Sample};
use super::{codes, read};

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
fn a_font_without_widths_loses_no_letter_that_comes_twice() {
    let mut sample = Sample::new();
    let map = sample.stream(
        "",
        "1 begincodespacerange <00> <FF> endcodespacerange 4 beginbfchar <01> <0020> <02> <05D3> \
         <03> <05D5> <04> <05D7> endbfchar",
    );
    sample.font(
        "F2",
        &format!(
            "<< /Type /Font /Subtype /TrueType /BaseFont /ABCDEF+David /ToUnicode {map} 0 R >>"
        ),
    );
    sample.page("BT /F2 14 Tf 72 700 Td <0304010403020104> Tj ET");
    // As the page shows it from left to right, so read from the end.
    assert_eq!(read(&sample.bytes()).text, "\u{5d7} \u{5d3}\u{5d5}\u{5d7} \u{5d7}\u{5d5}");
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
    // An entry that cannot be read costs itself only.
    for map in [
        format!("{ranges} 4 beginbfchar {chars} <0004> <> endbfchar"),
        format!("{ranges} 4 beginbfchar <> <0041> {chars} endbfchar"),
        format!("{ranges} 1 beginbfrange <0001> <0009> [<6E2F> <6E7E> <5C40> <>] endbfrange"),
        format!(
            "{ranges} 2 beginbfrange <0004> <0005> <> <0001> <0001> <6E2F> endbfrange 2 beginbfchar <0002> <6E7E> <0003> <5C40>"
        ),
        format!(
            "/No-Such-Map usecmap (a \\( <b>) << /A /B >> {ranges} 3 beginbfchar {chars} endbfchar"
        ),
    ] {
        assert_eq!(with_map(&map, "<000100020003>"), wanted, "{map}");
    }
    let beyond = format!("{ranges} 1 beginbfchar <0001> <D83DDE00> endbfchar");
    assert_eq!(with_map(&beyond, "<0001>"), "\u{1f600}");
}

#[test]
fn a_map_to_unicode_may_build_on_another() {
    let ranges = "1 begincodespacerange <0000> <FFFF> endcodespacerange";
    let own = "1 beginbfchar <0001> <0041> endbfchar";
    // Character 843 of the collection is the hiragana a.
    let map = format!("/Adobe-Japan1-UCS2 usecmap {ranges} {own}");
    assert_eq!(with_map(&map, "<0001034B>"), "Aあ");
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
fn a_map_to_unicode_that_says_nothing_is_told() {
    let ranges = "1 begincodespacerange <0000> <FFFF> endcodespacerange";
    for map in [
        String::new(),
        "no map at all".to_owned(),
        ranges.to_owned(),
        format!("{ranges} 2 beginbfchar <0001> <> <0002> <FFFD> endbfchar"),
    ] {
        let mut sample = Sample::new();
        composite(&mut sample, &map);
        sample.page("BT /F2 12 Tf 72 700 Td <00010002> Tj ET");
        let nothing = read(&sample.bytes());
        assert_eq!(nothing.text, "", "{map}");
        assert_eq!(codes(&nothing)[0], (WarningCode::UnmappedFont, Some(1)), "{map}");
        assert_eq!(
            nothing.without_text(),
            "holds no text that can be read: 2 characters are left out, as their fonts do not say \
             what is meant: ABCDEF+X"
        );
    }
    // One code of several, beside those that are known.
    let mut sample = Sample::new();
    composite(&mut sample, &format!("{ranges} 2 beginbfchar <0001> <6E2F> <0002> <> endbfchar"));
    sample.page("BT /F2 12 Tf 72 700 Td <00010002> Tj ET");
    let extracted = read(&sample.bytes());
    assert_eq!(
        (&*extracted.text, codes(&extracted)),
        ("港", vec![(WarningCode::UnmappedFont, Some(1))])
    );
}

#[test]
fn pictures_on_the_codes_of_letters_are_no_letters() {
    let mut sample = Sample::new();
    let encoding = "/Encoding /WinAnsiEncoding";
    sample.font(
        "F2",
        &format!("<< /Type /Font /Subtype /TrueType /BaseFont /Webdings {encoding} >>"),
    );
    sample.font(
        "F3",
        &format!("<< /Type /Font /Subtype /TrueType /BaseFont /Wingdings {encoding} >>"),
    );
    sample.page("BT /F2 12 Tf 72 700 Td (y) Tj /F1 12 Tf 20 0 Td (Women) Tj /F3 12 Tf 0 -20 Td (l) Tj /F1 12 Tf 20 0 Td (Men) Tj ET");
    let extracted = read(&sample.bytes());
    assert_eq!(extracted.text.split_whitespace().collect::<Vec<_>>(), ["Women", "●", "Men"]);
    assert_eq!(codes(&extracted), [(WarningCode::UnmappedFont, Some(1))]);
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
fn the_standard_font_is_used_where_a_page_names_none() {
    let mut sample = Sample::new();
    sample.page("BT /Missing 12 Tf 72 700 Td (Plain words) Tj ET");
    assert_eq!(read(&sample.bytes()).text, "Plain words");
    assert!(HELVETICA.contains("Helvetica"));
}
