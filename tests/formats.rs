//! Documents as people have them: files, records, and what breaks in them.
//! The PDF was made by ReportLab, the DOCX by python-docx.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::harness::{self, Answer, Server, Setup};
use reqwest::Method;
use serde_json::{Value, json};

const DOCUMENTS: &str = "/v1/collections/default/documents";
const PDF: &[u8] = include_bytes!("data/wings.pdf");
const DOCX: &[u8] = include_bytes!("data/wings.docx");
const DOCX_TYPE: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

async fn send(
    server: &Server,
    method: Method,
    path: &str,
    content_type: &str,
    body: Vec<u8>,
) -> Answer {
    let request = server.request(method, path).header("content-type", content_type);
    Answer::of(request.body(body)).await
}

async fn file(server: &Server, id: &str, content_type: &str, body: &[u8]) -> Answer {
    let path = format!("{DOCUMENTS}/{id}");
    send(server, Method::PUT, &path, content_type, body.to_vec()).await
}

async fn results(server: &Server, query: Value) -> Value {
    let answer = server.post("/v1/collections/default/search", query).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["results"].clone()
}

/// Every span of the results points into the stored text.
async fn spans_point_into(server: &Server, results: &Value) {
    for result in results.as_array().unwrap() {
        let id = result["document_id"].as_str().unwrap();
        let document = server.get(&format!("{DOCUMENTS}/{id}")).await;
        let text = document.body["text"].as_str().unwrap();
        let at = |end: &str| result["span"][end].as_u64().unwrap() as usize;
        assert_eq!(&text[at("start")..at("end")], result["text"].as_str().unwrap());
    }
}

#[tokio::test]
async fn a_pdf_is_found_with_its_title_and_page() {
    let server = Setup::new().start();
    let put = file(&server, "wings.pdf", "application/pdf", PDF).await;
    assert_eq!(put.status, 201, "{put:?}");
    assert_eq!(put.body["title"], "Flutter of wings");
    assert_eq!(put.body["content_type"], "application/pdf");
    let found = results(&server, json!({"query": "critical speed damping"})).await;
    assert_eq!(found[0]["document_id"], "wings.pdf");
    // It stands below a heading of the second page, which begins a passage.
    assert_eq!(found[0]["page"], 2, "{found}");
    spans_point_into(&server, &found).await;
    let chunks = server.get(&format!("{DOCUMENTS}/wings.pdf/chunks")).await;
    assert_eq!(chunks.body["chunks"][0]["page"], 1, "{chunks:?}");
    let titled = "wings.pdf?title=Another%20title";
    let put = file(&server, titled, "application/pdf", PDF).await;
    assert_eq!((put.status, put.body["title"].as_str()), (200, Some("Another title")));
}

#[tokio::test]
async fn a_docx_keeps_headings_and_tables() {
    let server = Setup::new().start();
    let put = file(&server, "wings.docx", DOCX_TYPE, DOCX).await;
    assert_eq!(put.status, 201, "{put:?}");
    let document = server.get(&format!("{DOCUMENTS}/wings.docx")).await;
    let text = document.body["text"].as_str().unwrap();
    assert!(text.contains("speed | damping\n10 | 0.2") && text.contains("- one\n- two"), "{text}");
    let found = results(&server, json!({"query": "dynamic instability"})).await;
    spans_point_into(&server, &found).await;
}

#[tokio::test]
async fn texts_may_come_as_they_are() {
    let server = Setup::new().start();
    let html = file(&server, "a", "text/html; charset=utf-8", b"<h1>Wings</h1><p>Flutter").await;
    assert_eq!(html.status, 201, "{html:?}");
    file(&server, "b", "text/plain", b"\xff\xfe").await.assert_problem(422, "validation_failed");
    file(&server, "c", "image/png", b"x").await.assert_problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn a_table_is_one_document_where_one_is_put() {
    let server = Setup::new().start();
    let put = file(&server, "d", "text/csv", b"Port;Fee\nNorhaven;40\n").await;
    assert_eq!(put.status, 201, "{put:?}");
    let document = server.get(&format!("{DOCUMENTS}/d")).await;
    assert_eq!(document.body["text"], "Port | Fee\nNorhaven | 40");
}

#[tokio::test]
async fn a_text_in_any_encoding_is_read_and_a_guess_is_told() {
    let server = Setup::new().start();
    let latin = b"Der K\xe4se f\xfcr M\xfcller kostet zw\xf6lf Kronen.";
    let declared = file(&server, "a", "text/plain; charset=ISO-8859-1", latin).await;
    assert_eq!((declared.status, &declared.body["warnings"]), (201, &json!([])), "{declared:?}");
    let guessed = file(&server, "b", "text/plain", latin).await;
    assert_eq!(guessed.body["warnings"][0]["code"], "encoding_guessed", "{guessed:?}");
    for id in ["a", "b"] {
        let document = server.get(&format!("{DOCUMENTS}/{id}")).await;
        assert_eq!(document.body["text"], "Der Käse für Müller kostet zwölf Kronen.");
    }
}

#[tokio::test]
async fn front_matter_is_title_and_metadata() {
    let server = Setup::new().start();
    let source = b"+++\ntitle = \"Mooring\"\nyear = 1958\n+++\n\nA bowline holds.";
    let put = file(&server, "a", "text/markdown", source).await;
    assert_eq!((put.status, &put.body["title"]), (201, &json!("Mooring")), "{put:?}");
    assert_eq!(put.body["metadata"], json!({"year": 1958}));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_says_why_and_hurts_nobody() {
    let server = Setup::new().start();
    for (content_type, bytes) in [
        ("application/pdf", &b"%PDF-1.4 and no more"[..]),
        ("application/pdf", &PDF[..PDF.len() / 2]),
        (DOCX_TYPE, &DOCX[..DOCX.len() / 2]),
    ] {
        let refused = file(&server, "broken", content_type, bytes).await;
        refused.assert_problem(422, "validation_failed");
        let reason = refused.body["errors"][0]["detail"].as_str().unwrap();
        // Of half a PDF the head may be readable, and hold no text.
        let said = ["cannot be read as a ", "holds no text"];
        assert!(said.iter().any(|said| reason.starts_with(said)), "{reason}");
    }
    server.document("good", "Flutter of wings").await;
    assert_eq!(server.search("flutter").await, ["good"]);
}

#[tokio::test]
async fn records_of_a_table_become_documents_with_metadata() {
    let server = Setup::new().start();
    let csv = "id,title,text,year\na,Rag,Maple leaf,1899\nb,March,Washington post,1889\n..,x,y,1\n";
    let path = format!("{DOCUMENTS}?wait=indexed");
    let job = send(&server, Method::POST, &path, "text/csv", csv.into()).await;
    assert_eq!(job.status, 200, "{job:?}");
    assert_eq!((&job.body["received"], &job.body["indexed"]), (&json!(3), &json!(2)));
    assert_eq!(job.body["failed"][0]["position"], 2);
    let query = json!({"query": "leaf post", "filter": {"year": {"lt": 1890}}});
    assert_eq!(results(&server, query).await[0]["document_id"], "b");
}

#[tokio::test]
async fn files_of_a_form_fail_alone() {
    let server = Setup::new().start();
    let part = |name: &str, content_type: &str| {
        format!(
            "--XX\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{name}\"\r\n\
             Content-Type: {content_type}\r\n\r\n"
        )
    };
    let mut body = part("wings.pdf", "application/octet-stream").into_bytes();
    body.extend(PDF);
    for (name, content_type, text) in [
        ("notes.md", "text/markdown", "# Notes\r\n\r\nStride piano"),
        ("photo.png", "image/png", "png"),
        ("broken.docx", DOCX_TYPE, "PK"),
    ] {
        body.extend(format!("\r\n{}{text}", part(name, content_type)).bytes());
    }
    body.extend(b"\r\n--XX--\r\n");
    let path = format!("{DOCUMENTS}?wait=indexed");
    let content_type = "multipart/form-data; boundary=XX";
    let job = send(&server, Method::POST, &path, content_type, body.clone()).await;
    assert_eq!(job.status, 200, "{job:?}");
    assert_eq!((&job.body["received"], &job.body["indexed"]), (&json!(4), &json!(2)));
    let failed = job.body["failed"].as_array().unwrap();
    let failed: Vec<_> = failed
        .iter()
        .map(|failure| (failure["id"].as_str(), failure["position"].as_u64()))
        .collect();
    assert_eq!(failed, [(Some("photo.png"), Some(2)), (Some("broken.docx"), Some(3))]);
    assert_eq!(server.search("stride").await, ["notes.md"]);
    let broken = send(&server, Method::POST, &path, content_type, body[..200].to_vec()).await;
    broken.assert_problem(422, "validation_failed");
    let bare = send(&server, Method::POST, &path, "multipart/form-data", body).await;
    bare.assert_problem(422, "validation_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_files_is_ingested_and_a_bad_one_named() {
    let server = Setup::new().start();
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("wings.pdf", PDF),
        ("deep/wings.docx", DOCX),
        ("table.csv", b"id,text\nrow1,stride\nrow2,piano\n"),
        ("broken.pdf", b"no PDF"),
        ("note.txt", b"A note on syncopation"),
    ] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let output = harness::binary()
        .arg("ingest")
        .arg(folder.path())
        .env("RAGTIME_SERVER", &server.url)
        .env("RAGTIME_KEY", harness::ADMIN)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("failed: broken.pdf: "), "{said}");
    assert!(said.contains("5 documents searchable, 1 failed"), "{said}");
    assert_eq!(server.search("piano").await, ["row2"]);
    assert!(server.search("dynamic instability").await.contains(&"deep/wings.docx".to_owned()));
}
