//! A handler that fails hurts the request it fails in, and nobody else.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::Duration;

use crate::harness::{self, Answer, FAULTY, Server, Setup, fixture};
use reqwest::Method;

/// The name that the fixture answers with.
const VERSION: &str = "faulty-version-0";

fn server() -> Setup {
    Setup::new().argument("--handler").argument(fixture(FAULTY).to_str().unwrap())
}

/// Requests that were at work when `path` failed, and the failure itself. What
/// the others saw must be as if nothing had happened.
async fn beside_others(server: &Server, path: &str) -> Answer {
    let others = (0..8).map(|_| Answer::of(server.anonymous(Method::GET, "/wait")));
    let others = futures::future::join_all(others);
    let failing = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Answer::of(server.anonymous(Method::GET, path)).await
    };
    let (others, failed) = tokio::join!(others, failing);
    for other in others {
        assert_eq!((other.status, other.text.as_str()), (200, VERSION), "beside {path}: {other:?}");
    }
    failed
}

#[tokio::test]
async fn a_trap_is_a_500_for_its_request_and_its_neighbours_are_run_again() {
    let server = server().start();
    beside_others(&server, "/trap").await.assert_problem(500, "handler_failed");
    server.logged(&[r#""blame":"guest""#]).await;
    beside_others(&server, "/error").await.assert_problem(500, "handler_failed");
    harness::survived(
        "A handler that traps",
        "its neighbours on the instance run again on another",
        "the request itself",
    );
}

#[tokio::test]
async fn an_endless_loop_is_a_504_and_holds_nobody_up() {
    let server = server().set("HANDLER__MAX_CPU_MS", 200).start();
    beside_others(&server, "/spin").await.assert_problem(504, "handler_timeout");
    harness::survived(
        "A handler that loops for ever",
        "it is stopped, others are not held up",
        "the request itself",
    );
}

/// A stream that wakes every two milliseconds, for a few microseconds each time.
#[tokio::test]
async fn a_stream_that_mostly_waits_uses_no_processor_time() {
    const PIECE: &str = "data: on\n\n";
    let server = server().set("HANDLER__MAX_CPU_MS", 200).start();
    let mut stream = server.anonymous(Method::GET, "/endless").send().await.unwrap();
    let mut text = String::new();
    while text.len() < 500 * PIECE.len() {
        let piece = stream.chunk().await.unwrap();
        text.push_str(std::str::from_utf8(&piece.expect("the stream goes on")).unwrap());
        assert!(!text.contains("event: error"), "{text} {:?}", server.log());
    }
}

#[tokio::test]
async fn a_memory_bomb_and_a_deep_recursion_are_500s() {
    let server = server().set("HANDLER__MAX_MEMORY_BYTES", 64 << 20).start();
    beside_others(&server, "/allocate").await.assert_problem(500, "handler_failed");
    beside_others(&server, "/recurse").await.assert_problem(500, "handler_failed");
    harness::survived(
        "A memory bomb, a deep recursion",
        "they end at their limits",
        "the request itself",
    );
}

/// Has the host panic at this place, at a search of one collection while another is
/// searched.
#[cfg(debug_assertions)]
async fn panics_at(place: &str) -> (Server, Answer) {
    let server = Setup::new().set("FAULT", format!("{place}:faulty")).start();
    server.document("rag", "a steady march").await;
    let made = server.request(Method::POST, "/v1/collections");
    let made = Answer::of(made.json(&serde_json::json!({"name": "faulty"}))).await;
    assert_eq!(made.status, 201, "{made:?}");
    let search = |collection: &str| {
        let body = serde_json::json!({"query": "march"});
        let path = format!("/v1/collections/{collection}/search");
        Answer::of(server.request(Method::POST, &path).json(&body))
    };
    let (panicked, others) = tokio::join!(
        search("faulty"),
        futures::future::join_all((0..8).map(|_| search("default")))
    );
    for other in others {
        assert_eq!((other.status, &other.body["results"][0]["document_id"]), (200, &"rag".into()));
    }
    server.logged(&[r#""blame":"host""#, "retrieval.rs"]).await;
    assert!(!server.log().iter().any(|line| line.contains("fail point")), "a message may quote");
    let readiness = Answer::of(server.anonymous(Method::GET, "/readyz")).await;
    assert!(readiness.text.contains(r#""name":"server","state":"degraded""#), "{readiness:?}");
    let metrics = server.admin(Method::GET, "/metrics").send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(!metrics.contains("ragtime_panics_total 0"), "{metrics}");
    (server, panicked)
}

#[cfg(debug_assertions)]
#[tokio::test]
async fn a_panic_of_the_host_ends_the_request_it_happens_in() {
    let (_server, panicked) = panics_at("work").await;
    panicked.assert_problem(500, "internal");
    let (server, panicked) = panics_at("import").await;
    panicked.assert_problem(500, "handler_failed");
    let metrics = server.admin(Method::GET, "/metrics").send().await.unwrap();
    let lost = r#"ragtime_handler_lost_instances_total{cause="Panic"} 0"#;
    assert!(!metrics.text().await.unwrap().contains(lost));
    harness::survived(
        "A panic of the host in a capability",
        "its neighbours are served, log, metrics and readiness tell",
        "the request itself",
    );
}

#[tokio::test]
async fn a_handle_leak_ends_at_its_limit() {
    let server = server().set("HANDLER__MAX_HANDLES", 64).start();
    let others = futures::future::join_all(
        (0..4).map(|_| Answer::of(server.anonymous(Method::GET, "/wait"))),
    );
    let leak = Answer::of(server.request(Method::GET, "/leak"));
    let (others, leaked) = tokio::join!(others, leak);
    assert!(others.iter().all(|other| other.status == 200), "{others:?}");
    leaked.assert_problem(500, "handler_failed");
    harness::survived("A handler that leaks handles", "it ends at its limit", "the request itself");
}

#[tokio::test]
async fn a_request_that_is_never_answered_ends_at_its_deadline() {
    let server = server().set("SERVER__REQUEST_TIMEOUT_MS", 500).start();
    beside_others(&server, "/park").await.assert_problem(504, "handler_timeout");
}

#[tokio::test]
async fn a_response_that_breaks_off_is_not_taken_for_a_whole_one() {
    let server = server().start();
    let response = server.anonymous(Method::GET, "/break").send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.bytes().await.is_err(), "a clean end of half a response");
    let events = Answer::of(server.anonymous(Method::GET, "/break-events")).await;
    let (first, last) = events.text.split_once("\n\n").unwrap();
    assert_eq!(first, "data: one");
    assert!(last.starts_with("event: error\ndata: {"), "{events:?}");
    assert!(last.contains(r#""code":"handler_failed""#), "{events:?}");
    harness::survived(
        "A handler that dies within its response",
        "the client sees that it broke off",
        "the rest of the response",
    );
}

#[tokio::test]
async fn a_short_response_whose_instance_is_lost_is_made_again() {
    let server = server().start();
    let slow = (0..4).map(|_| Answer::of(server.anonymous(Method::GET, "/slow-short")));
    let slow = futures::future::join_all(slow);
    let failing = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Answer::of(server.anonymous(Method::GET, "/trap")).await
    };
    let (slow, failed) = tokio::join!(slow, failing);
    for whole in slow {
        assert_eq!((whole.status, whole.text), (200, VERSION.repeat(8)));
    }
    failed.assert_problem(500, "handler_failed");
    // Its own fault is an error, and not half an answer.
    let broken = Answer::of(server.anonymous(Method::GET, "/break-short")).await;
    broken.assert_problem(500, "handler_failed");
}

#[tokio::test]
async fn a_handlers_own_500_is_its_answer() {
    let server = server().start();
    let answer = Answer::of(server.anonymous(Method::GET, "/500")).await;
    assert_eq!((answer.status, answer.text.as_str()), (500, "broken"));
}

#[tokio::test]
async fn a_flood_of_log_lines_is_clamped() {
    let server =
        server().set("HANDLER__MAX_LOG_LINES", 5).set("HANDLER__MAX_LOG_BYTES", 100).start();
    let answer = Answer::of(server.anonymous(Method::GET, "/flood")).await;
    assert_eq!(answer.status, 200);
    let flooded: Vec<_> =
        server.log().into_iter().filter(|line| line.contains("xxxxxxxx")).collect();
    assert_eq!(flooded.len(), 5);
    assert!(flooded.iter().all(|line| line.len() < 1_000), "{flooded:#?}");
}

#[tokio::test]
async fn a_full_pool_is_a_503_that_says_when_to_come_back() {
    let server = server()
        .set("HANDLER__MAX_INSTANCES", 1)
        .set("HANDLER__MAX_REQUESTS_PER_INSTANCE", 1)
        .set("HANDLER__IDLE_TIMEOUT_MS", 200)
        .set("SERVER__QUEUE_TIMEOUT_MS", 100)
        .set("SERVER__REQUEST_TIMEOUT_MS", 2_000)
        .start();
    let parked = server.anonymous(Method::GET, "/park").send();
    let turned_away = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Answer::of(server.anonymous(Method::GET, "/")).await
    };
    let (_, turned_away) = tokio::join!(parked, turned_away);
    turned_away.assert_problem(503, "no_instance");
    assert_eq!(turned_away.header("retry-after"), "1");
    // An instance that nobody waits for makes room.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after = Answer::of(server.anonymous(Method::GET, "/")).await;
    assert_eq!(after.status, 200, "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_end_finishes_what_is_at_work_and_takes_nothing_new() {
    let mut server = server().start();
    let idle = server.anonymous(Method::GET, "/livez").send().await.unwrap();
    assert!(idle.bytes().await.is_ok(), "its connection stays open and idle");
    let at_work = tokio::spawn(Answer::of(server.anonymous(Method::GET, "/slow")));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let ended = tokio::task::block_in_place(|| server.terminate());
    assert!(ended.success(), "{ended}");
    let finished = at_work.await.unwrap();
    assert_eq!((finished.status, finished.text.contains(VERSION)), (200, true), "{finished:?}");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

/// How a handler that remembers a request answers three later ones: one of the same
/// key, one of another key, one without a key.
async fn gossip(isolation: &str) -> [String; 3] {
    let server = server().set("HANDLER__ISOLATION", isolation).start();
    let faulty = std::fs::read(fixture(FAULTY)).unwrap();
    // Keys are made by the built-in handler.
    assert_eq!(server.swap(harness::built_in(), "").await.status, 200);
    let key = |name: &str| server.key(serde_json::json!({"name": name, "scopes": ["read"]}));
    let (one, other) = (key("one").await, key("other").await);
    assert_eq!(server.swap(faulty, "").await.status, 200);
    let say = |key: Option<&str>, word: &str| {
        let request = server.anonymous(Method::GET, "/gossip").header("x-say", word);
        let request = key.into_iter().fold(request, |request, key| request.bearer_auth(key));
        async { Answer::of(request).await.text }
    };
    say(Some(&one), "secret").await;
    [say(Some(&one), "same").await, say(Some(&other), "other").await, say(None, "none").await]
}

#[tokio::test]
async fn a_shared_instance_can_tell_anybody_what_it_saw() {
    let [same, other, none] = gossip("shared").await;
    assert!([same, other, none].iter().all(|answer| answer.contains("secret")));
}

#[tokio::test]
async fn an_instance_per_tenant_tells_nobody_else() {
    let [same, other, none] = gossip("per-tenant").await;
    assert_eq!([same.as_str(), &other, &none], ["secret", "", ""]);
    harness::survived(
        "A handler that keeps what it saw, `per-tenant`",
        "no other key hears of it",
        "nothing",
    );
}

#[tokio::test]
async fn an_instance_per_request_remembers_nothing() {
    assert_eq!(gossip("per-request").await, ["", "", ""]);
    harness::survived(
        "A handler that keeps what it saw, `per-request`",
        "nobody hears of it",
        "nothing",
    );
}
