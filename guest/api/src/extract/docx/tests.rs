#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::super::BlockKind;
use super::super::package::tests::pack;
use super::*;

const SPACES: &str =
    "xmlns:w='w' xmlns:r='r' xmlns:mc='mc' xmlns:m='m' xmlns:v='v' xmlns:w14='w14'";

fn read(body: &str, parts: &[(&str, &str, &str)]) -> Extracted {
    let document = format!("<w:document {SPACES}><w:body>{body}</w:body></w:document>");
    let mut relations = String::new();
    let mut all = vec![("word/document.xml".to_owned(), document)];
    for (index, (kind, name, xml)) in parts.iter().enumerate() {
        relations +=
            &format!("<Relationship Id='r{index}' Type='http://x/{kind}' Target='{name}'/>");
        all.push((format!("word/{name}"), format!("<w:x {SPACES}>{xml}</w:x>")));
    }
    let relations = format!("<Relationships xmlns='n'>{relations}</Relationships>");
    all.push(("word/_rels/document.xml.rels".into(), relations));
    let core = "<cp:coreProperties xmlns:cp='c' xmlns:dc='d'><dc:title>On wings</dc:title></cp:coreProperties>";
    all.push(("docProps/core.xml".into(), core.into()));
    let all: Vec<_> = all.iter().map(|(name, xml)| (name.as_str(), xml.as_str())).collect();
    extract(&pack(&all)).unwrap()
}

fn run(text: &str) -> String {
    format!("<w:r><w:t xml:space='preserve'>{text}</w:t></w:r>")
}

fn paragraph(properties: &str, text: &str) -> String {
    format!("<w:p><w:pPr>{properties}</w:pPr>{}</w:p>", run(text))
}

#[test]
fn headings_lists_tables_and_pages_are_kept() {
    let body = [
        paragraph("<w:pStyle w:val='berschrift1'/>", "Wings &amp; flutter"),
        paragraph("", "One<w:tab/> two").replace("<w:tab/>", "</w:t><w:tab/><w:t>"),
        paragraph("<w:numPr><w:numId w:val='1'/></w:numPr>", "first"),
        format!(
            "<w:tbl><w:tr><w:tc>{}</w:tc><w:tc>{}</w:tc></w:tr><w:tr><w:tc>{}</w:tc><w:tc>{}</w:tc></w:tr></w:tbl>",
            paragraph("", "speed"),
            paragraph("", "damping"),
            paragraph("", "10"),
            paragraph("", "0.2")
        ),
        "<w:p><w:r><w:lastRenderedPageBreak/><w:t>Later</w:t></w:r></w:p>".into(),
    ];
    let styles = "<w:style w:styleId='berschrift1'><w:name w:val='heading 1'/></w:style>";
    let numbering = "<w:abstractNum w:abstractNumId='0'><w:lvl w:ilvl='0'><w:numFmt w:val='decimal'/><w:lvlText w:val='%1.'/></w:lvl></w:abstractNum>
        <w:num w:numId='1'><w:abstractNumId w:val='0'/></w:num>";
    let extracted = read(
        &body.concat(),
        &[("styles", "styles.xml", styles), ("numbering", "numbering.xml", numbering)],
    );
    assert_eq!(extracted.title.as_deref(), Some("On wings"));
    let blocks: Vec<_> = extracted
        .blocks
        .iter()
        .map(|block| (block.kind, &extracted.text[block.range.clone()]))
        .collect();
    assert_eq!(
        blocks,
        [
            (BlockKind::Heading(1), "Wings & flutter"),
            (BlockKind::Paragraph, "One two"),
            (BlockKind::ListItem, "1. first"),
            (BlockKind::Table, "speed | damping\n10 | 0.2"),
            (BlockKind::Paragraph, "Later"),
        ]
    );
    let later = extracted.text.find("Later").unwrap();
    assert_eq!((extracted.page_at(later - 3), extracted.page_at(later)), (Some(1), Some(2)));
}

#[test]
fn a_text_box_is_said_once() {
    let inner = format!("<w:txbxContent>{}</w:txbxContent>", paragraph("", "Boxed."));
    let body = format!(
        "<w:p>{}<w:r><mc:AlternateContent><mc:Choice><w:drawing>{inner}</w:drawing></mc:Choice>\
         <mc:Fallback><w:pict>{inner}</w:pict></mc:Fallback></mc:AlternateContent></w:r></w:p>",
        run("Before.")
    );
    assert_eq!(read(&body, &[]).text, "Before.\n\nBoxed.");
}

#[test]
fn changes_are_accepted() {
    let body = format!(
        "<w:p>{}<w:del><w:r><w:delText>five</w:delText></w:r></w:del><w:ins>{}</w:ins></w:p>\
         <w:p><w:moveFrom>{}</w:moveFrom></w:p><w:p><w:moveTo>{}</w:moveTo></w:p>\
         <w:tbl><w:tr><w:trPr><w:del/></w:trPr><w:tc>{}</w:tc></w:tr><w:tr><w:tc>{}</w:tc><w:tc>{}</w:tc></w:tr></w:tbl>\
         <w:p><w:pPr><w:rPr><w:del/></w:rPr></w:pPr>{}</w:p><w:p>{}</w:p>",
        run("The fee is "),
        run("seven"),
        run("away"),
        run("here"),
        paragraph("", "gone"),
        paragraph("", "kept"),
        paragraph("", "row"),
        run("one "),
        run("paragraph")
    );
    assert_eq!(read(&body, &[]).text, "The fee is seven\n\nhere\n\nkept | row\n\none paragraph");
}

#[test]
fn content_controls_are_read_at_all_levels() {
    let sdt =
        |inner: &str| format!("<w:sdt><w:sdtPr/><w:sdtContent>{inner}</w:sdtContent></w:sdt>");
    let cell = |text: &str| format!("<w:tc>{}</w:tc>", paragraph("", text));
    let tick = "<w:sdt><w:sdtPr><w14:checkbox><w14:checked w14:val='1'/></w14:checkbox></w:sdtPr><w:sdtContent><w:r><w:t>☒</w:t></w:r></w:sdtContent></w:sdt>";
    let body = [
        sdt(&paragraph("", "block")),
        format!("<w:p>{}{}</w:p>", run("in "), sdt(&run("line"))),
        format!(
            "<w:tbl>{}<w:tr>{}{}</w:tr></w:tbl>",
            sdt(&format!("<w:tr>{}{}</w:tr>", cell("a"), cell("b"))),
            cell("c"),
            sdt(&cell("d"))
        ),
        format!("<w:p>{tick}{}</w:p>", run(" done")),
    ];
    assert_eq!(read(&body.concat(), &[]).text, "block\n\nin line\n\na | b\nc | d\n\n[x] done");
}

#[test]
fn notes_headers_and_footers_are_read_once() {
    let reference = |kind: &str| format!("<w:r><w:{kind}Reference w:id='1'/></w:r>");
    let section = "<w:sectPr><w:headerReference w:type='default' r:id='r2'/><w:footerReference w:type='default' r:id='r3'/>\
        <w:headerReference w:type='first' r:id='r4'/></w:sectPr>";
    let body = format!(
        "<w:p>{}{}{}</w:p>{}{section}{section}",
        run("Stable"),
        reference("footnote"),
        reference("endnote"),
        paragraph("", "More.")
    );
    let note = |kind: &str, text: &str| {
        format!(
            "<w:{kind} w:id='0' w:type='separator'/><w:{kind} w:id='1'>{}</w:{kind}>",
            paragraph("", text)
        )
    };
    let parts = [
        ("footnotes", "f.xml", note("footnote", "Foot.")),
        ("endnotes", "e.xml", note("endnote", "End.")),
        ("header", "h.xml", paragraph("", "Norhaven")),
        ("footer", "g.xml", paragraph("", "Page 1")),
        ("header", "first.xml", paragraph("", "Not shown")),
        ("comments", "c.xml", "<w:comment/>".to_owned()),
    ];
    let parts: Vec<_> =
        parts.iter().map(|(kind, name, xml)| (*kind, *name, xml.as_str())).collect();
    let extracted = read(&body, &parts);
    assert_eq!(extracted.text, "Stable\n\nFoot.\n\nMore.\n\nEnd.\n\nNorhaven\n\nPage 1");
    assert_eq!(extracted.warnings[0].code, WarningCode::CommentsLeftOut);
}

#[test]
fn fields_show_results_hidden_text_is_out_and_hyphens_stay() {
    let field = "<w:r><w:fldChar w:fldCharType='begin'/></w:r><w:r><w:instrText> HYPERLINK x </w:instrText><w:t>code</w:t></w:r>\
        <w:r><w:fldChar w:fldCharType='separate'/></w:r><w:r><w:t>result</w:t></w:r><w:r><w:fldChar w:fldCharType='end'/></w:r>";
    let body = format!(
        "<w:p>{field}</w:p><w:p><w:r><w:t>co</w:t><w:noBreakHyphen/><w:t>op</w:t></w:r><w:r><w:t>Ge</w:t><w:softHyphen/><w:t>samt</w:t></w:r></w:p>\
         <w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r>{}</w:p><w:p><m:oMath><m:r><m:t>E=mc</m:t></m:r></m:oMath></w:p>",
        run("visible")
    );
    assert_eq!(read(&body, &[]).text, "result\n\nco-opGesamt\n\nvisible\n\nE=mc");
}

#[test]
fn the_style_title_is_the_title_in_any_language() {
    let styles = "<w:style w:styleId='Titel'><w:name w:val='Title'/></w:style>
        <w:style w:styleId='A'><w:name w:val='own'/><w:basedOn w:val='B'/></w:style>
        <w:style w:styleId='B'><w:name w:val='circle'/><w:basedOn w:val='A'/><w:pPr><w:outlineLvl w:val='1'/></w:pPr></w:style>";
    let body = paragraph("<w:pStyle w:val='Titel'/>", "Report")
        + &paragraph("<w:pStyle w:val='A'/>", "Part");
    let extracted = read(&body, &[("styles", "styles.xml", styles)]);
    assert_eq!(extracted.title.as_deref(), Some("Report"));
    assert_eq!(extracted.blocks[1].kind, BlockKind::Heading(2));
}

#[test]
fn a_document_that_is_too_deep_is_read_to_its_bound() {
    let depth = 20_000;
    let body = format!(
        "{}{}{}",
        "<w:sdt><w:sdtContent>".repeat(depth),
        paragraph("", "deep"),
        "</w:sdtContent></w:sdt>".repeat(depth)
    );
    let extracted = read(&(paragraph("", "shallow") + &body), &[]);
    assert_eq!((extracted.text.as_str(), extracted.warnings.len()), ("shallow", 1));
}

#[test]
fn what_is_no_docx_is_refused() {
    assert_eq!(extract(&pack(&[("other.xml", "<a/>")])), Err(DAMAGED));
    assert_eq!(extract(b"PK\x03\x04"), Err(DAMAGED));
}
