//! What the documents of people are, and what must come of each kind: the files
//! here are made by the test, small ones that break where real ones do.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::{Cursor, Write};

use crate::harness::{self, Answer, Server, Setup};
use reqwest::Method;
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const DOCUMENTS: &str = "/v1/collections/default/documents";

async fn put(server: &Server, id: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Answer {
    let request = server.request(Method::PUT, &format!("{DOCUMENTS}/{id}"));
    Answer::of(request.header("content-type", content_type).body(body.into())).await
}

fn codes(answer: &Answer) -> Vec<&str> {
    let warnings = answer.body["warnings"].as_array().unwrap();
    warnings.iter().map(|one| one["code"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_is_told_where_people_look() {
    let server = Setup::new().start();
    let page = "<nav>Home</nav><main><p>The quay was finished in 2019.</p></main>";
    let taken = put(&server, "a.html", "text/html; charset=utf-8", page).await;
    assert_eq!((taken.status, codes(&taken)), (201, vec!["boilerplate_left_out"]), "{taken:?}");

    let explained = server.get("/warnings/boilerplate_left_out").await;
    assert_eq!((explained.status, &explained.body["code"]), (200, &json!("boilerplate_left_out")));
    assert!(explained.body["detail"].as_str().unwrap().contains("boilerplate=keep"));
    server.get("/warnings/none").await.assert_problem(404, "not_found");

    let described = server.get("/openapi.json").await;
    let known =
        &described.body["components"]["schemas"]["Warning"]["properties"]["code"]["examples"];
    for code in known.as_array().unwrap() {
        let path = format!("/warnings/{}", code.as_str().unwrap());
        assert_eq!(server.get(&path).await.body["code"], *code);
    }

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("old.eml"), MESSAGE).unwrap();
    std::fs::write(folder.path().join("b.html"), page).unwrap();
    let ingested = harness::binary()
        .arg("ingest")
        .arg(folder.path())
        .envs([("RAGTIME_SERVER", server.url.as_str()), ("RAGTIME_KEY", harness::ADMIN)])
        .output()
        .unwrap();
    let said = String::from_utf8(ingested.stderr).unwrap();
    assert!(said.contains("warning: b.html: boilerplate_left_out: "), "{said}");
    assert!(said.contains("warning: old.eml: attachment_left_out: a.png "), "{said}");
}

const MESSAGE: &str = "From: a@x.org\r\nSubject: Plans\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=X\r\n\r\n\
    --X\r\n\r\nSee the drawing.\r\n\
    --X\r\nContent-Type: image/png\r\nContent-Disposition: attachment; filename=a.png\r\n\
    Content-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n--X--\r\n";

const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

fn pack(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in files {
        archive.start_file(*name, SimpleFileOptions::default()).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// A word processor's file of this body, with a footnote, a header and styles
/// whose names a German program wrote.
fn docx(body: &str) -> Vec<u8> {
    const SPACES: &str = "xmlns:w='w' xmlns:r='r' xmlns:mc='mc' xmlns:v='v'";
    let part = |xml: &str| format!("<w:part {SPACES}>{xml}</w:part>");
    let relation = |id: u8, kind: &str, name: &str| {
        format!("<Relationship Id='r{id}' Type='http://x/{kind}' Target='{name}'/>")
    };
    let relations = [
        relation(1, "styles", "styles.xml"),
        relation(2, "footnotes", "footnotes.xml"),
        relation(3, "header", "header.xml"),
    ];
    let styles = "<w:style w:styleId='Titel'><w:name w:val='Title'/></w:style>\
        <w:style w:styleId='berschrift1'><w:name w:val='heading 1'/></w:style>";
    let section = "<w:sectPr><w:headerReference w:type='default' r:id='r3'/></w:sectPr>";
    pack(&[
        ("[Content_Types].xml", "<Types/>"),
        ("word/document.xml", &part(&format!("<w:body>{body}{section}{section}</w:body>"))),
        (
            "word/_rels/document.xml.rels",
            &format!("<Relationships>{}</Relationships>", relations.concat()),
        ),
        ("word/styles.xml", &part(styles)),
        (
            "word/footnotes.xml",
            &part(
                "<w:footnote w:id='1'><w:p><w:r><w:t>See the harbour act.</w:t></w:r></w:p></w:footnote>",
            ),
        ),
        ("word/header.xml", &part("<w:p><w:r><w:t>Norhaven Port</w:t></w:r></w:p>")),
    ])
}

fn paragraph(properties: &str, runs: &str) -> String {
    format!("<w:p><w:pPr>{properties}</w:pPr>{runs}</w:p>")
}

fn run(text: &str) -> String {
    format!("<w:r><w:t xml:space='preserve'>{text}</w:t></w:r>")
}

/// A workbook of one sheet of these rows and merged cells.
fn xlsx(rows: &str, merged: &str) -> Vec<u8> {
    const MAIN: &str = "xmlns='http://schemas.openxmlformats.org/spreadsheetml/2006/main' \
        xmlns:r='http://schemas.openxmlformats.org/officeDocument/2006/relationships'";
    const RELATIONS: &str = "xmlns='http://schemas.openxmlformats.org/package/2006/relationships'";
    const TYPE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let relations = |all: &str| format!("<Relationships {RELATIONS}>{all}</Relationships>");
    let relation = |id: &str, kind: &str, target: &str| {
        format!("<Relationship Id='{id}' Type='{TYPE}/{kind}' Target='{target}'/>")
    };
    let book =
        [relation("r1", "worksheet", "worksheets/a.xml"), relation("r2", "styles", "styles.xml")];
    pack(&[
        ("[Content_Types].xml", "<Types/>"),
        ("_rels/.rels", &relations(&relation("r1", "officeDocument", "xl/workbook.xml"))),
        (
            "xl/workbook.xml",
            &format!(
                "<workbook {MAIN}><sheets><sheet name='Ports' sheetId='1' r:id='r1'/></sheets></workbook>"
            ),
        ),
        ("xl/_rels/workbook.xml.rels", &relations(&book.concat())),
        (
            "xl/styles.xml",
            &format!(
                "<styleSheet {MAIN}><cellXfs count='2'><xf numFmtId='0'/><xf numFmtId='14'/></cellXfs></styleSheet>"
            ),
        ),
        (
            "xl/worksheets/a.xml",
            &format!("<worksheet {MAIN}><sheetData>{rows}</sheetData>{merged}</worksheet>"),
        ),
    ])
}

/// A row of a workbook: texts, and numbers with their style.
fn row(number: u32, cells: &[(&str, &str)]) -> String {
    let cell = |(column, (kind, value)): (char, &(&str, &str))| match *kind {
        "text" => format!("<c r='{column}{number}' t='inlineStr'><is><t>{value}</t></is></c>"),
        "date" => format!("<c r='{column}{number}' s='1'><v>{value}</v></c>"),
        _ => format!("<c r='{column}{number}'><v>{value}</v></c>"),
    };
    let cells: String =
        ('A'..).zip(cells).filter(|(_, (_, value))| !value.is_empty()).map(cell).collect();
    format!("<row r='{number}'>{cells}</row>")
}

/// A document as it is sent, and the text that comes of it.
struct Case {
    name: &'static str,
    content_type: &'static str,
    bytes: Vec<u8>,
    text: &'static str,
    warnings: &'static [&'static str],
}

fn case(
    name: &'static str,
    content_type: &'static str,
    bytes: impl Into<Vec<u8>>,
    text: &'static str,
) -> Case {
    Case { name, content_type, bytes: bytes.into(), text, warnings: &[] }
}

fn words_of_office() -> Vec<Case> {
    let boxed = format!("<w:txbxContent>{}</w:txbxContent>", paragraph("", &run("Boxed.")));
    let textbox = format!(
        "<w:p>{}<w:r><mc:AlternateContent><mc:Choice><w:drawing>{boxed}</w:drawing></mc:Choice>\
         <mc:Fallback><w:pict>{boxed}</w:pict></mc:Fallback></mc:AlternateContent></w:r></w:p>",
        run("Before.")
    );
    let tracked = format!(
        "<w:p>{}<w:del><w:r><w:delText>five</w:delText></w:r></w:del><w:ins>{}</w:ins>\
         <w:moveFrom>{}</w:moveFrom></w:p>",
        run("The fee is "),
        run("seven"),
        run(" away")
    );
    let controls = format!(
        "<w:sdt><w:sdtContent>{}</w:sdtContent></w:sdt><w:p><w:sdt><w:sdtContent>{}</w:sdtContent></w:sdt></w:p>",
        paragraph("", &run("Whole.")),
        run("In a line.")
    );
    let notes = paragraph("", &(run("Stable") + "<w:r><w:footnoteReference w:id='1'/></w:r>"));
    let misc = "<w:p><w:r><w:t>co</w:t><w:noBreakHyphen/><w:t>op</w:t></w:r>\
        <w:r><w:rPr><w:vanish/></w:rPr><w:t>hidden</w:t></w:r>\
        <w:r><w:fldChar w:fldCharType='begin'/></w:r><w:r><w:instrText> PAGEREF x </w:instrText></w:r>\
        <w:r><w:fldChar w:fldCharType='separate'/></w:r><w:r><w:t> page 7</w:t></w:r><w:r><w:fldChar w:fldCharType='end'/></w:r></w:p>";
    let ports = [
        row(1, &[("text", "Port"), ("text", "Since"), ("text", "Fee")]),
        row(2, &[("text", "Norhaven"), ("date", "45000"), ("", "40.5")]),
        row(3, &[("text", ""), ("date", "45001"), ("", "41")]),
    ];
    let merged = "<mergeCells><mergeCell ref='A2:A3'/></mergeCells>";
    vec![
        case("14-textbox", DOCX, docx(&textbox), "Before.\n\nBoxed.\n\nNorhaven Port"),
        case("15-tracked", DOCX, docx(&tracked), "The fee is seven\n\nNorhaven Port"),
        case("16-controls", DOCX, docx(&controls), "Whole.\n\nIn a line.\n\nNorhaven Port"),
        case("17-notes", DOCX, docx(&notes), "Stable\n\nSee the harbour act.\n\nNorhaven Port"),
        case("18-misc", DOCX, docx(misc), "co-op page 7\n\nNorhaven Port"),
        // What it is counts more than what it is called.
        case(
            "19-renamed",
            "application/msword",
            docx(&paragraph("", &run("New."))),
            "New.\n\nNorhaven Port",
        ),
        case(
            "workbook",
            XLSX,
            xlsx(&ports.concat(), merged),
            "Ports\n\nPort | Since | Fee\nNorhaven | 2023-03-15 | 40.5\nNorhaven | 2023-03-16 | 41",
        ),
    ]
}

fn texts() -> Vec<Case> {
    let utf16 = |text: &str| {
        [vec![0xff, 0xfe], text.encode_utf16().flat_map(u16::to_le_bytes).collect()].concat()
    };
    let front = "---\r\ntitle: Mooring\r\nyear: 1958\r\n---\r\nA bowline holds.";
    vec![
        case(
            "20-header",
            "text/plain; charset=windows-1251",
            b"\xcf\xf0\xe8\xe2\xe5\xf2".to_vec(),
            "Привет",
        ),
        case("20-mark", "text/plain", utf16("Käse"), "Käse"),
        case("20-meta", "text/html", b"<meta charset=iso-8859-2><p>\xa3\xf3d\xbc".to_vec(), "Łódź"),
        Case {
            warnings: &["encoding_guessed"],
            ..case(
                "20-guess",
                "text/plain",
                b"Der K\xe4se f\xfcr M\xfcller ist sch\xf6n.".to_vec(),
                "Der Käse für Müller ist schön.",
            )
        },
        case(
            "21-cells",
            "text/html",
            "<table><tr><td>Port<td>Fee<tr><td hidden>no<td>A<td>40</table>after",
            "Port | Fee\nA | 40\n\nafter",
        ),
        case("21-implied", "text/html", "<ul><li hidden>no<li>yes</ul><p>more", "- yes\n\nmore"),
        case(
            "21-formula",
            "text/html",
            "<p>so <math><mi>E</mi><mo>=</mo><msup><mi>c</mi><mn>2</mn></msup></math>",
            "so E=c^2",
        ),
        Case {
            warnings: &["boilerplate_left_out"],
            ..case(
                "22-boilerplate",
                "text/html",
                "<nav><a href=a>Home</a></nav><main><h1>Cranes</h1><p>Inspected.</p></main><footer>Copyright</footer>",
                "Cranes\n\nInspected.",
            )
        },
        case("23-front", "text/markdown", front, "A bowline holds."),
        case(
            "25-html",
            "text/markdown",
            "# Ports\n\nA<br>B <b>bold</b>\n\n<div>inner</div>",
            "Ports\n\nA\nB bold\n\ninner",
        ),
        case("28-semicolon", "text/csv", "Port;Fee\nNorhaven;40\n", "Port | Fee\nNorhaven | 40"),
        case("28-sep", "text/csv", "sep=|\nPort|Fee\nNorhaven|40\n", "Port | Fee\nNorhaven | 40"),
        case(
            "28-tab",
            "text/tab-separated-values",
            "Port\tFee\nNorhaven\t40\n",
            "Port | Fee\nNorhaven | 40",
        ),
        case(
            "29-csv",
            "text/csv; charset=iso-8859-1",
            b"Ort;Geb\xfchr\nK\xf6ln;4\n".to_vec(),
            "Ort | Gebühr\nKöln | 4",
        ),
        case("30-quotes", "text/csv", "a,b\n\"x, \"\"y\"\"\",2\n", "a | b\nx, \"y\" | 2"),
        case(
            "31-lines",
            "application/x-ndjson",
            "\u{feff}{\"port\":\"A\",\"fee\":4}\n{\"port\":\"B\",\"fee\":5}\n",
            "port | fee\nA | 4\nB | 5",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_is_what_a_person_reads() {
    let server = Setup::new().start();
    for Case { name, content_type, bytes, text, warnings } in
        words_of_office().into_iter().chain(texts())
    {
        let taken = put(&server, name, content_type, bytes).await;
        assert_eq!((taken.status, codes(&taken).as_slice()), (201, warnings), "{name}: {taken:?}");
        let stored = server.get(&format!("{DOCUMENTS}/{name}")).await;
        assert_eq!(stored.body["text"], text, "{name}");
    }
    let front = server.get(&format!("{DOCUMENTS}/23-front")).await;
    assert_eq!(
        (&front.body["title"], &front.body["metadata"]),
        (&json!("Mooring"), &json!({"year": 1958}))
    );

    let body = paragraph("<w:pStyle w:val='Titel'/>", &run("Harbour report"))
        + &paragraph("<w:pStyle w:val='berschrift1'/>", &run("Quays"))
        + &paragraph("", &run("The east quay was finished in 2019."));
    let titled = put(&server, "19-headings", DOCX, docx(&body)).await;
    assert_eq!(titled.body["title"], "Harbour report", "{titled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_with_its_reason() {
    let server = Setup::new().start();
    let compound = |stream: &str| {
        let name = stream.encode_utf16().flat_map(u16::to_le_bytes);
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".iter().copied().chain([0; 512]).chain(name).collect()
    };
    let bomb = "<a/>".repeat(9 << 20);
    let deep = format!(
        "<?xml version='1.0'?><!DOCTYPE l [<!ENTITY a 'ha'>{}]><w:document xmlns:w='w'>&i;</w:document>",
        ('b'..='i')
            .zip('a'..)
            .map(|(name, of)| format!("<!ENTITY {name} '{}'>", format!("&{of};").repeat(10)))
            .collect::<String>()
    );
    let cases: Vec<(&str, &str, Vec<u8>, &str)> = vec![
        ("a legacy file", "application/msword", compound("WordDocument"), "save it as .docx"),
        ("a password", DOCX, compound("EncryptedPackage"), "is encrypted"),
        ("a picture", "text/plain", b"\x89PNG\r\n\x1a\n".to_vec(), "a PNG image"),
        ("an archive", DOCX, pack(&[("a.txt", "a")]), "cannot be read as a DOCX file"),
        ("half a file", DOCX, docx("<w:p/>")[..300].to_vec(), "cannot be read as a DOCX file"),
        ("nothing to read", "text/html", b"<p hidden>no".to_vec(), "holds no text"),
        ("a wrong charset", "text/plain; charset=utf-16", b"odd".to_vec(), "UTF-16"),
        (
            "a bomb",
            DOCX,
            pack(&[("[Content_Types].xml", ""), ("word/document.xml", &bomb)]),
            "unpacks to more than 33554432 bytes",
        ),
        (
            "entities",
            DOCX,
            pack(&[("[Content_Types].xml", ""), ("word/document.xml", &deep)]),
            "cannot be read as a DOCX file",
        ),
    ];
    for (name, content_type, bytes, reason) in cases {
        let refused = put(&server, "refused", content_type, bytes).await;
        refused.assert_problem(422, "validation_failed");
        let said = refused.body["errors"][0]["detail"].as_str().unwrap();
        assert!(said.contains(reason), "{name}: {said}");
    }
    server.get(&format!("{DOCUMENTS}/refused")).await.assert_problem(404, "unknown_document");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_far_down_a_table_is_found_and_answers_by_its_column_names() {
    let server = Setup::new().start();
    let line = |number: u32| format!("| Harbour{number} | {} | {} |\n", 1_000 + number, number * 3);
    let rows: String = (0..400).map(line).collect();
    let table = format!("# Fees\n\n| Port | Founded | Mooring fee |\n|---|---|---|\n{rows}");
    let taken = put(&server, "fees.md", "text/markdown", table).await;
    assert_eq!(taken.status, 201, "{taken:?}");
    let query = json!({"query": "Harbour390", "mode": "lexical", "top_k": 1});
    let found = server.post("/v1/collections/default/search", query).await;
    let result = &found.body["results"][0];
    assert_eq!(result["headings"], json!(["Fees", "Port | Founded | Mooring fee"]), "{found:?}");

    // The span is of the text, which does not have the names there.
    let stored = server.get(&format!("{DOCUMENTS}/fees.md")).await;
    let text = stored.body["text"].as_str().unwrap();
    let at = |end: &str| result["span"][end].as_u64().unwrap() as usize;
    assert_eq!(&text[at("start")..at("end")], result["text"].as_str().unwrap());
    assert_eq!(text.matches("Mooring fee").count(), 1);

    // Words of the column names find rows too.
    let query = json!({"query": "mooring fee Harbour390", "mode": "lexical", "top_k": 1});
    let found = server.post("/v1/collections/default/search", query).await;
    assert!(
        found.body["results"][0]["text"].as_str().unwrap().contains("Harbour390 | 1390 | 1170")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn records_and_files_of_a_batch_fail_alone_and_add_up() {
    let server = Setup::new().start();
    let post = async |content_type: &str, body: Vec<u8>| {
        let request = server.request(Method::POST, &format!("{DOCUMENTS}?wait=indexed"));
        Answer::of(request.header("content-type", content_type).body(body)).await
    };
    let adds_up = |job: &Answer, received: u64, indexed: u64| {
        assert_eq!(job.status, 200, "{job:?}");
        let count = |name: &str| job.body[name].as_u64().unwrap();
        assert_eq!((count("received"), count("indexed")), (received, indexed), "{job:?}");
        assert_eq!(count("received"), count("indexed") + count("pending") + count("failed_count"));
    };
    // A row that has more cells than the header fails alone; one that has fewer
    // says nothing in the last columns.
    let ragged = "ID;Text;Year\na;one;1\nb;two;2;more\nc;three\n";
    let job = post("text/csv", ragged.into()).await;
    adds_up(&job, 3, 2);
    assert_eq!(job.body["failed"][0]["id"], "b", "{job:?}");
    let marked = "\u{feff}{\"id\":\"m1\",\"text\":\"one\"}\n{\"id\":\"m2\",\"text\":\"two\"}\n";
    adds_up(&post("application/x-ndjson", marked.into()).await, 2, 2);
    let twice = "{\"id\":\"t\",\"text\":\"one\"}\n{\"id\":\"t\",\"text\":\"two\"}\n";
    let job = post("application/x-ndjson", twice.into()).await;
    let count = |name: &str| job.body[name].as_u64().unwrap();
    assert_eq!((count("received"), count("indexed") + count("failed_count")), (2, 2), "{job:?}");

    let part = |head: &str, bytes: &[u8]| {
        [
            b"--XX\r\nContent-Disposition: form-data; name=files; ",
            head.as_bytes(),
            b"\r\n\r\n",
            bytes,
            b"\r\n",
        ]
        .concat()
    };
    let form = [
        part("filename*=UTF-8''geb%C3%BChr.csv\r\nContent-Type: text/csv", b"Port;Fee\nA;4\n"),
        part(
            "filename=\"a.bin\"\r\nContent-Type: application/octet-stream",
            &docx(&paragraph("", &run("Told by content."))),
        ),
        part("filename=\"b.png\"\r\nContent-Type: image/png", b"\x89PNG\r\n\x1a\n"),
        part(
            "filename=\"m.eml\"\r\nContent-Type: message/rfc822",
            b"From: a@x.org\r\nSubject: Plans\r\n\r\nSee the quay.",
        ),
        b"--XX--\r\n".to_vec(),
    ];
    let job = post("multipart/form-data; boundary=XX", form.concat()).await;
    adds_up(&job, 4, 3);
    let failed: &Value = &job.body["failed"][0];
    assert_eq!((failed["id"].as_str(), failed["position"].as_u64()), (Some("b.png"), Some(2)));
    for (id, text) in [
        ("geb%C3%BChr.csv", "Port | Fee\nA | 4"),
        ("a.bin", "Told by content.\n\nNorhaven Port"),
        ("m.eml", "See the quay."),
    ] {
        let stored = server.get(&format!("{DOCUMENTS}/{id}")).await;
        assert_eq!(stored.body["text"], text, "{id}: {stored:?}");
    }
    let message = server.get(&format!("{DOCUMENTS}/m.eml")).await;
    assert_eq!(
        (&message.body["title"], &message.body["metadata"]["from"]),
        (&json!("Plans"), &json!("a@x.org"))
    );
}
