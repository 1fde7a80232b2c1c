//! What the documents of people are, and what must come of each kind: the files
//! here are made by the test, small ones that break where real ones do.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod harness;

use harness::{Answer, Server, Setup};
use reqwest::Method;
use serde_json::json;

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
