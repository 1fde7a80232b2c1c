//! Small files of each kind.

#![allow(clippy::unwrap_used)]
use super::super::package::tests::pack;
use super::*;

fn odf(content: &str, styles: &str, media_type: MediaType) -> Result<Extracted, Unreadable> {
    let spaces = "xmlns:text='t' xmlns:table='b' xmlns:style='s' xmlns:office='o' xmlns:draw='d' xmlns:presentation='p'";
    let content = format!("<office:c {spaces}>{content}</office:c>");
    let styles = format!("<office:s {spaces}>{styles}</office:s>");
    extract(&pack(&[("content.xml", &content), ("styles.xml", &styles)]), media_type)
}

#[test]
fn a_text_with_lists_notes_and_margins() {
    let content = "<office:automatic-styles><style:style style:name='T9'><style:text-properties text:display='none'/></style:style>
        <text:list-style style:name='L1'><text:list-level-style-number text:level='1' style:num-format='1' style:num-suffix='.'/></text:list-style></office:automatic-styles>
        <office:body><office:text><text:tracked-changes><text:p>gone</text:p></text:tracked-changes>
        <text:p text:style-name='Title'>Handbook</text:p><text:h text:outline-level='2'>Fees</text:h>
        <text:p>One<text:s text:c='3'/>two<text:span text:style-name='T9'>hidden</text:span><text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>A note.</text:p></text:note-body></text:note>.</text:p>
        <text:list text:style-name='L1'><text:list-item><text:p>first</text:p></text:list-item><text:list-item><text:p>second</text:p></text:list-item></text:list>
        <table:table><table:table-row><table:table-cell><text:p>Port</text:p></table:table-cell><table:table-cell><text:p>Fee</text:p></table:table-cell></table:table-row></table:table>
        </office:text></office:body>";
    let styles = "<office:master-styles><style:master-page><style:header><text:p>Norhaven</text:p></style:header><style:footer><text:p>12</text:p></style:footer></style:master-page></office:master-styles>";
    let extracted = odf(content, styles, MediaType::Odt).unwrap();
    assert_eq!(
        extracted.text,
        "Handbook\n\nFees\n\nOne two.\n\nA note.\n\n1. first\n2. second\n\nPort | Fee\n\nNorhaven"
    );
    assert_eq!(extracted.title.as_deref(), Some("Handbook"));
}

#[test]
fn a_sheet_that_repeats_without_end_is_bounded() {
    let cell = |repeated: &str, text: &str| {
        format!(
            "<table:table-cell table:number-columns-repeated='{repeated}'><text:p>{text}</text:p></table:table-cell>"
        )
    };
    let row = |repeated: &str, cells: &str| {
        format!(
            "<table:table-row table:number-rows-repeated='{repeated}'>{cells}</table:table-row>"
        )
    };
    let sheet = |rows: &str| {
        format!(
            "<office:body><office:spreadsheet><table:table table:name='S'>{rows}</table:table></office:spreadsheet></office:body>"
        )
    };
    let rows = row("1", &(cell("1", "a") + &cell("1000000000", "")))
        + &row("1000000000", &cell("16384", ""))
        + &row("2", &cell("2", "b"));
    let extracted = odf(&sheet(&rows), "", MediaType::Ods).unwrap();
    assert_eq!(extracted.text, "S\n\na\n\nb | b\nb | b");
    let full = row("1000000000", &cell("1000000000", "bomb")).repeat(3_000);
    assert!(odf(&sheet(&full), "", MediaType::Ods).is_err());
}

#[test]
fn cells_over_rows_are_said_in_each_of_them() {
    let cell = |more: &str, text: &str| {
        format!("<table:table-cell {more}><text:p>{text}</text:p></table:table-cell>")
    };
    let covered =
        |times: u32| format!("<table:covered-table-cell table:number-columns-repeated='{times}'/>");
    let row = |cells: &[String]| format!("<table:table-row>{}</table:table-row>", cells.concat());
    let (over_three, over_both) = (
        "table:number-rows-spanned='3'",
        "table:number-rows-spanned='2' table:number-columns-spanned='2'",
    );
    let rows = [
        row(&["Port", "Quay", "Fee"].map(|text| cell("", text))),
        row(&[cell(over_three, "Norhaven"), cell("", "east"), cell("", "40")]),
        row(&[covered(1), cell("", "west"), cell("", "41")]),
        // Nothing of its own: neither a row nor the end of the table.
        row(&[covered(1), cell("", ""), cell("", "")]),
        row(&["Sund", "old", "7"].map(|text| cell("", text))),
        row(&[cell(over_both, "closed"), covered(1), cell("", "8")]),
        row(&[covered(2), cell("", "9")]),
        row(&[cell(over_three, &"x".repeat(limits::MAX_REPEATED_BYTES + 1)), cell("", "a")]),
        row(&[covered(1), cell("", "b")]),
    ];
    let sheet = format!(
        "<office:body><office:spreadsheet><table:table table:name='S'>{}</table:table></office:spreadsheet></office:body>",
        rows.concat()
    );
    let extracted = odf(&sheet, "", MediaType::Ods).unwrap();
    let (label, long) = extracted.text.split_once("\nx").unwrap();
    assert_eq!(
        label,
        "S\n\nPort | Quay | Fee\nNorhaven | east | 40\nNorhaven | west | 41\nSund | old | 7\n\
         closed |  | 8\nclosed |  | 9"
    );
    assert!(long.ends_with("x | a\n | b"), "{long}");
}
