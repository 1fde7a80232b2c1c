//! Conditions: of a write on the version that was read, and of a search on the
//! words that it finds.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::harness::{Answer, Setup};
use reqwest::Method;
use serde_json::json;

const DOCUMENTS: &str = "/v1/collections/default/documents";
const SEARCH: &str = "/v1/collections/default/search";

#[tokio::test]
async fn a_document_is_changed_in_the_version_that_was_read_and_in_no_other() {
    let server = Setup::new().start();
    let path = format!("{DOCUMENTS}/a");
    let send = |method: Method, header: &'static str, tag: &str, text: &str| {
        let request = server.request(method.clone(), &path).header(header, tag);
        match method {
            Method::PUT => Answer::of(request.json(&json!({"text": text, "metadata": {"n": 1}}))),
            _ => Answer::of(request),
        }
    };
    send(Method::PUT, "if-match", "*", "one").await.assert_problem(412, "precondition_failed");
    let first = send(Method::PUT, "if-none-match", "*", "one").await;
    assert_eq!(first.status, 201, "{first:?}");
    let again = send(Method::PUT, "if-none-match", "*", "two").await;
    again.assert_problem(412, "precondition_failed");
    let tag = first.header("etag");
    let other = server.put(&path, json!({"text": "one", "metadata": {"n": 2}})).await;
    assert_ne!(other.header("etag"), tag, "metadata is part of a version");
    send(Method::PUT, "if-match", tag, "two").await.assert_problem(412, "precondition_failed");
    send(Method::DELETE, "if-match", tag, "").await.assert_problem(412, "precondition_failed");
    let weak = format!("W/{}", other.header("etag"));
    send(Method::PUT, "if-match", &weak, "two").await.assert_problem(412, "precondition_failed");
    let list = format!("{tag}, {}", other.header("etag"));
    let second = send(Method::PUT, "if-match", &list, "two").await;
    assert_eq!(second.status, 200, "{second:?}");
    let known = send(Method::GET, "if-none-match", second.header("etag"), "").await;
    assert_eq!((known.status, known.text.as_str()), (304, ""));
    send(Method::GET, "if-match", tag, "").await.assert_problem(412, "precondition_failed");
    for bad in ["two", "\"two", "*, \"two\""] {
        let refused = send(Method::PUT, "if-match", bad, "two").await;
        refused.assert_problem(400, "invalid_precondition");
    }
    assert_eq!(send(Method::DELETE, "if-match", second.header("etag"), "").await.status, 204);
    send(Method::DELETE, "if-match", "*", "").await.assert_problem(412, "precondition_failed");
    assert_eq!(server.delete(&path).await.status, 404);
}

#[tokio::test]
async fn of_many_who_read_the_same_version_one_changes_it() {
    let server = Setup::new().start();
    let path = format!("{DOCUMENTS}/counter");
    let first = server.put(&path, json!({"text": "0"})).await;
    let attempts = (1..=16).map(|n| {
        let request = server.request(Method::PUT, &path).header("if-match", first.header("etag"));
        Answer::of(request.json(&json!({"text": n.to_string()})))
    });
    let answers = futures::future::join_all(attempts).await;
    let done = answers.iter().filter(|answer| answer.status == 200).count();
    let refused = answers.iter().filter(|answer| answer.status == 412).count();
    assert_eq!((done, refused), (1, 15), "{answers:?}");
}

#[tokio::test]
async fn a_search_keeps_to_words_that_must_and_must_not_be_there() {
    let server = Setup::new().start();
    let texts = [
        ("leaf", "Scott Joplin wrote the Maple Leaf Rag."),
        ("tree", "A maple sheds each leaf; no rag was written about it."),
        ("waltz", "Scott Joplin wrote a waltz, too."),
    ];
    for (id, text) in texts {
        server.document(id, text).await;
    }
    let found = |query: &'static str| {
        let server = &server;
        async move {
            let mut ids = server.search(query).await;
            ids.sort_unstable();
            ids
        }
    };
    assert_eq!(found("maple leaf rag").await, ["leaf", "tree"]);
    assert_eq!(found("\"maple leaf\" rag").await, ["leaf"]);
    assert_eq!(found("leaf +joplin").await, ["leaf", "waltz"]);
    assert_eq!(found("joplin -waltz").await, ["leaf"]);
    assert_eq!(found("joplin -\"leaf rag\"").await, ["waltz"]);
    assert_eq!(found("maple +nowhere").await, [""; 0]);
    for odd in
        ["-", "\"", "+\"", "\"\" -", "C++ -1 \"", "maple OR (leaf AND", "a:b~2^3 [x TO", "*?"]
    {
        let answer = server.post(SEARCH, json!({"query": odd})).await;
        assert_eq!(answer.status, 200, "{odd}: {answer:?}");
    }
}
