//! Nobody waits for somebody else: large files beside small ones, parsing beside search,
//! and what is said of a write that search does not find in time.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use crate::harness::endpoint::{Behaviour, Endpoint};
use crate::harness::{Answer, Server, Setup, pdf};
use reqwest::Method;
use serde_json::{Value, json};

const DOCUMENTS: &str = "/v1/collections/default/documents";

/// Between two looks at a state that is waited for.
const LOOK: Duration = Duration::from_millis(10);

/// With an endpoint that embeds a few texts at a time and may take as long as it likes.
fn with(endpoint: &Endpoint) -> Setup {
    Setup::new()
        .set("MODELS__EMBEDDING__FAR__URL", &endpoint.url)
        .set("MODELS__EMBEDDING__FAR__TIMEOUT_MS", 600_000)
        .set("DATA__EMBED_BATCH_CHUNKS", 16)
}

/// Starts a server, has its model asked once, and holds the endpoint from then on.
async fn held(setup: Setup, endpoint: &Endpoint) -> Server {
    let server = setup.start();
    let first = json!({"query": "first", "mode": "vector"});
    server.document("first", "a first text").await;
    let path = "/v1/collections/default/search";
    while server.post(path, first.clone()).await.status != 200 {
        tokio::time::sleep(LOOK).await;
    }
    endpoint.behave(Behaviour::Held);
    server
}

async fn file(server: &Server, path: &str, media_type: &str, body: Vec<u8>) -> Answer {
    let request = server.request(Method::PUT, &format!("{DOCUMENTS}/{path}"));
    Answer::of(request.header("content-type", media_type).body(body)).await
}

/// A text of so many paragraphs, each of which is a chunk or nearly one.
fn long(paragraphs: usize) -> String {
    let paragraph =
        |number: usize| format!("Paragraph {number}. {}\n\n", "Words of it. ".repeat(60));
    (0..paragraphs).map(paragraph).collect()
}

/// The places of a word among the texts that the endpoint was asked for.
fn places(endpoint: &Endpoint, word: &str) -> Vec<usize> {
    let asked = endpoint.asked();
    let texts = asked.iter().flat_map(|body| body["input"].as_array().cloned().unwrap_or_default());
    let places = texts.enumerate();
    places.filter(|(_, text)| text.as_str().unwrap().contains(word)).map(|(at, _)| at).collect()
}

async fn metrics(server: &Server) -> String {
    server.admin(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap()
}

/// The requests at work.
async fn at_work(server: &Server) -> Vec<Value> {
    let answer = Answer::of(server.admin(Method::GET, "/admin/requests")).await;
    answer.body["in_flight"].as_array().unwrap().clone()
}

/// Whether a file is with the handler.
async fn is_parsing(server: &Server) -> bool {
    let route = "/v1/collections/{collection}/documents/{id}";
    at_work(server).await.iter().any(|one| one["route"] == route && one["phase"] == "handling")
}

async fn is_searchable(server: &Server, id: &str) -> bool {
    let document = server.get(&format!("{DOCUMENTS}/{id}")).await;
    assert_eq!(document.status, 200, "{document:?}");
    document.body["searchable"] == true
}

async fn durable(server: &Server, id: &str, text: String) {
    let path = format!("{DOCUMENTS}/{id}?wait=durable");
    let put = server.put(&path, json!({"text": text})).await;
    assert_eq!(put.status, 201, "{put:?}");
}

/// What the metrics say of the queue of the collection `default`.
async fn queue(server: &Server) -> Option<u64> {
    let metrics = metrics(server).await;
    let mark = "ragtime_embedding_queue_chunks{collection=\"default\"} ";
    let line = metrics.lines().find_map(|line| line.strip_prefix(mark).map(str::to_owned));
    line.map(|count| count.parse().unwrap())
}

#[tokio::test]
async fn a_small_document_does_not_wait_for_the_vectors_of_a_large_one() {
    const PARAGRAPHS: usize = 300;
    let endpoint = Endpoint::start().await;
    let server = held(with(&endpoint), &endpoint).await;
    durable(&server, "large", long(PARAGRAPHS)).await;
    while places(&endpoint, "Paragraph").is_empty() {
        tokio::time::sleep(LOOK).await;
    }
    durable(&server, "small", "One line about a zebra.".to_owned()).await;
    let words = json!({"query": "zebra", "mode": "lexical"});
    let search = "/v1/collections/default/search";
    while server.post(search, words.clone()).await.body["results"][0].is_null() {
        tokio::time::sleep(LOOK).await;
    }
    assert!(!is_searchable(&server, "small").await && !is_searchable(&server, "large").await);
    let waiting = queue(&server).await;
    assert!(waiting.is_some_and(|chunks| chunks > 100), "{waiting:?}");
    endpoint.behave(Behaviour::Works);
    while !is_searchable(&server, "large").await {
        tokio::time::sleep(LOOK).await;
    }
    assert!(is_searchable(&server, "small").await);
    assert_eq!(queue(&server).await, None);
    let (small, large) = (places(&endpoint, "zebra"), places(&endpoint, "Paragraph"));
    let before = large.iter().filter(|place| **place < small[0]).count();
    // A batch was at the endpoint when it came, and it shares the next one.
    assert!(large.len() > 100 && before <= 3 * 16, "{before} of {} before it", large.len());
}

#[tokio::test]
async fn a_write_that_is_not_searchable_at_its_deadline_is_accepted() {
    let endpoint = Endpoint::start().await;
    // The time that a write may wait is longer than that of a request.
    let setup = with(&endpoint)
        .set("SERVER__REQUEST_TIMEOUT_MS", 15_000)
        .set("DATA__SEARCHABLE_TIMEOUT_MS", 600_000);
    let server = held(setup, &endpoint).await;
    let put = server.put(&format!("{DOCUMENTS}/server"), json!({"text": "Of the server."})).await;
    assert_eq!((put.status, &put.body["searchable"]), (202, &json!(false)), "{put:?}");
    let request = server.request(Method::PUT, &format!("{DOCUMENTS}/client"));
    let request = request.header("request-timeout", "12").json(&json!({"text": "Of the client."}));
    let put = Answer::of(request).await;
    assert_eq!((put.status, &put.body["searchable"]), (202, &json!(false)), "{put:?}");
    let batch = json!({"documents": [{"id": "batch", "text": "Of a batch."}]});
    let job = server.post(&format!("{DOCUMENTS}?wait=indexed"), batch).await;
    assert_eq!((job.status, &job.body["pending"]), (202, &json!(1)), "{job:?}");
    let path = format!("/v1/jobs/{}", job.body["job_id"].as_str().unwrap());
    assert_eq!(server.get(&path).await.body["state"], "running");
    endpoint.behave(Behaviour::Works);
    while server.get(&path).await.body["state"] != "done" {
        tokio::time::sleep(LOOK).await;
    }
    for id in ["server", "client", "batch"] {
        assert!(is_searchable(&server, id).await, "{id}");
    }
}

#[tokio::test]
async fn a_search_beside_a_file_that_is_parsed_is_not_blocked() {
    // However slow the machine is, no clock ends the parsing.
    let server = Setup::new()
        .set("SERVER__REQUEST_TIMEOUT_MS", 3_600_000)
        .set("HANDLER__MAX_HEAVY_CPU_MS", 3_600_000)
        .start();
    server.document("beside", "A zebra beside the file.").await;
    let put = file(&server, "large.pdf?wait=durable", "application/pdf", pdf::pages(1_500));
    let search = async {
        while !is_parsing(&server).await {
            tokio::time::sleep(LOOK).await;
        }
        let found = server.search("zebra").await;
        (found, is_parsing(&server).await)
    };
    let (put, (found, parses)) = tokio::join!(put, search);
    assert_eq!(put.status, 201, "{put:?}");
    assert_eq!(found, ["beside"]);
    assert!(parses, "the search had its answer after the file");
}

#[tokio::test]
async fn what_a_file_exhausts_is_named_and_nobody_else_is_bounded_by_it() {
    let server = Setup::new().set("HANDLER__MAX_HEAVY_CPU_MS", 20).start();
    let slow = file(&server, "slow.pdf", "application/pdf", pdf::pages(500)).await;
    assert!(slow.text.contains("handler.max_heavy_cpu_ms"), "{slow:?}");
    slow.assert_problem(504, "handler_timeout");
    server.document("plain", "A zebra.").await;
    assert_eq!(server.search("zebra").await, ["plain"]);

    let server = Setup::new().set("HANDLER__MAX_HEAVY_MEMORY_BYTES", 16 << 20).start();
    let large = file(&server, "large.pdf", "application/pdf", pdf::pages(2_000)).await;
    assert!(large.text.contains("handler.max_heavy_memory_bytes"), "{large:?}");
    large.assert_problem(500, "handler_failed");
    server.document("plain", "A zebra.").await;
    assert_eq!(server.search("zebra").await, ["plain"]);
}
