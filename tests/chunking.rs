//! How texts are cut is a setting of their collection, and changing it hides
//! nothing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::Duration;

use crate::harness::{self, Server, Setup};
use reqwest::Method;
use serde_json::{Value, json};

/// Markdown of some sections, with a word of its own.
fn text(word: &str) -> String {
    let sentence = format!("The {word} keeps a steady march in the left hand. ");
    let section = |name| format!("## {name}\n\n{}\n\n", sentence.repeat(12));
    format!("# On {word}\n\n{}{}", section("March"), section("Cakewalk"))
}

async fn put(server: &Server, collection: &str, id: &str) {
    let path = format!("/v1/collections/{collection}/documents/{id}");
    let body = json!({"text": text(id), "content_type": "text/markdown"});
    let put = server.put(&path, body).await;
    assert_eq!(put.status, 201, "{put:?}");
}

async fn chunks(server: &Server, collection: &str, id: &str) -> Vec<Value> {
    let path = format!("/v1/collections/{collection}/documents/{id}/chunks?limit=100");
    server.get(&path).await.body["chunks"].as_array().unwrap().clone()
}

/// Every chunk is a piece of its text, and short.
async fn assert_cut(server: &Server, collection: &str, id: &str, most_words: usize) {
    let path = format!("/v1/collections/{collection}/documents/{id}");
    let document = server.get(&path).await;
    let text = document.body["text"].as_str().unwrap();
    let chunks = chunks(server, collection, id).await;
    assert_eq!(document.body["chunks"], chunks.len(), "{document:?}");
    for chunk in &chunks {
        let place = |end: &str| usize::try_from(chunk["span"][end].as_u64().unwrap()).unwrap();
        let quote = &text[place("start")..place("end")];
        assert_eq!(chunk["text"], quote);
        assert!(quote.split_whitespace().count() <= most_words, "{quote}");
    }
    let last = chunks.last().unwrap();
    assert_eq!(last["headings"], json!([format!("On {id}"), "Cakewalk"]), "{last}");
}

async fn recut_everything(server: &Server, collection: &str) {
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/collections/{collection}/recut?limit=2{cursor}");
        let page = harness::Answer::of(server.request(Method::POST, &path)).await;
        assert_eq!(page.status, 200, "{page:?}");
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return,
        }
    }
}

#[tokio::test]
async fn a_collection_is_cut_as_it_says_and_again_when_that_changes() {
    let server = Setup::new().start();
    let body = json!({"name": "short", "chunking": {"tokens": 40, "overlap": 0}});
    let created = server.post("/v1/collections", body).await;
    assert_eq!(created.status, 201, "{created:?}");
    assert_eq!(created.body["chunking"], json!({"tokens": 40, "overlap": 0}));
    for id in ["rag", "stride", "blues"] {
        put(&server, "short", id).await;
        assert_cut(&server, "short", id, 48).await;
    }
    let changed = server
        .request(Method::PATCH, "/v1/collections/short")
        .json(&json!({"chunking": {"tokens": 120}}));
    let changed = harness::Answer::of(changed).await;
    assert_eq!(changed.body["chunking"], json!({"tokens": 120, "overlap": 30}), "{changed:?}");
    recut_everything(&server, "short").await;
    let wait = async {
        loop {
            let now = server.get("/v1/collections/short").await;
            if now.body["uncut_documents"] == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(30), wait).await.is_ok());
    for id in ["rag", "stride", "blues"] {
        assert_cut(&server, "short", id, 144).await;
    }
    // The same text again is the same document.
    let path = "/v1/collections/short/documents/rag";
    let version = server.get(path).await.header("etag").to_owned();
    let again = json!({"text": text("rag"), "content_type": "text/markdown"});
    let again = server.put(path, again).await;
    assert_eq!((again.status, again.header("etag")), (200, version.as_str()));
}

#[tokio::test]
#[cfg_attr(stock, ignore)]
async fn what_is_cut_anew_in_the_background_is_found_all_the_time() {
    const DOCUMENTS: usize = 60;
    let ample =
        |setup: Setup| setup.set("AUTH__BURST", 1_000_000).set("AUTH__RATE_PER_MINUTE", 1_000_000);
    let mut server = ample(Setup::new()).start();
    for number in 0..DOCUMENTS {
        put(&server, "default", &format!("word{number}")).await;
    }
    let before = server.get("/v1/collections/default").await.body["chunks"].as_u64().unwrap();
    let change = server
        .request(Method::PATCH, "/v1/collections/default")
        .json(&json!({"chunking": {"tokens": 30, "overlap": 5}}));
    assert_eq!(harness::Answer::of(change).await.status, 200);
    for round in 0.. {
        let word = format!("word{}", round * 7 % DOCUMENTS);
        let found = server.search(&word).await;
        assert_eq!(found.first(), Some(&word), "{found:?}");
        // Half-way through, as a power cut would have it.
        if round == 5 {
            server.kill();
            server = ample(Setup::again(&server)).start();
        }
        let now = server.get("/v1/collections/default").await.body;
        if round > 5 && now["uncut_documents"] == 0 && now["chunks"].as_u64().unwrap() > 3 * before
        {
            break;
        }
        assert!(round < 10_000, "{now}");
    }
    server.logged(&["stale documents were rechunked"]).await;
    for number in [0, DOCUMENTS - 1] {
        assert_cut(&server, "default", &format!("word{number}"), 36).await;
    }
    assert!(server.terminate().success());
    for folder in server.folders() {
        let checked = harness::binary().args(["check", "--data-dir"]).arg(folder).output().unwrap();
        assert!(checked.status.success(), "{checked:?}");
    }
    harness::survived(
        "A kill while texts are rechunked",
        "everything is found before, meanwhile and after",
        "nothing",
    );
}

#[tokio::test]
#[cfg_attr(stock, ignore)]
async fn what_was_cut_by_estimate_is_cut_anew_when_the_model_is_there() {
    let mut server = Setup::new().start();
    put(&server, "default", "rag").await;
    assert!(server.terminate().success());
    let server = Setup::with_model_again(&server).start();
    server.model().await;
    let wait = async {
        while server.get("/v1/collections/default").await.body["uncut_documents"] != 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), wait).await.is_ok());
    assert_cut(&server, "default", "rag", 240).await;
}

#[tokio::test]
#[cfg_attr(any(stock, fleet), ignore)]
async fn a_handler_that_fails_at_cutting_holds_up_nothing() {
    let mut server = Setup::new().start();
    for id in ["rag", "stride", "blues"] {
        put(&server, "default", id).await;
    }
    assert!(server.terminate().success());
    // It answers everything with its name.
    let faulty = harness::fixture(harness::FAULTY);
    let faulty =
        Setup::with_model_again(&server).argument("--handler").argument(faulty.to_str().unwrap());
    let mut server = faulty.start();
    server.logged(&["some documents stay stale and keep their old chunks", r#""failed":3"#]).await;
    assert!(server.terminate().success());
    let server = Setup::again(&server).argument("--handler").argument("built-in").start();
    assert_eq!(server.search("stride").await.first().map(String::as_str), Some("stride"));
}
