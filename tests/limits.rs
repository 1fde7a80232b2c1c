//! What the edge does for and against a client: repetitions, deadlines, budgets
//! of attempts and of requests at once, compression, cross-origin rules.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::io::Read;
use std::time::Duration;

use crate::harness::{ADMIN, Answer, FAULTY, Server, Setup, fixture};
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DOCUMENTS: &str = "/v1/collections/default/documents";
const SEARCH: &str = "/v1/collections/default/search";
const WRONG: &str = "rt_AAAAAAAAAAAA_1111111111111111111111111111111111111111111";

fn batch(server: &Server, key: &str, ids: &[&str]) -> RequestBuilder {
    let documents: Vec<_> =
        ids.iter().map(|id| json!({"id": id, "text": format!("Text of {id}.")})).collect();
    let request = server.request(Method::POST, DOCUMENTS).header("idempotency-key", key);
    request.json(&json!({"documents": documents}))
}

#[tokio::test]
async fn a_repetition_is_answered_as_the_first_time_and_not_done_again() {
    let mut server = Setup::new().start();
    let first = Answer::of(batch(&server, "one", &["a", "b"])).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (202, ""), "{first:?}");
    let again = Answer::of(batch(&server, "\"one\"", &["a", "b"])).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (202, "true"));
    assert_eq!((&again.body, again.header("location")), (&first.body, first.header("location")));
    assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
    assert_eq!(server.get("/v1/jobs").await.body["jobs"].as_array().unwrap().len(), 1);
    // What was acknowledged once stays so when the power goes.
    server.kill();
    let server = Setup::again(&server).start();
    let later = Answer::of(batch(&server, "one", &["a", "b"])).await;
    assert_eq!((&later.body, later.header("idempotency-replayed")), (&first.body, "true"));
    Answer::of(batch(&server, "one", &["a"])).await.assert_problem(422, "idempotency_key_reused");
    let other = Answer::of(batch(&server, "two", &["a"])).await;
    assert_eq!((other.status, other.header("idempotency-replayed")), (202, ""));
    let bad = batch(&server, "not visible", &["a"]);
    Answer::of(bad).await.assert_problem(400, "invalid_idempotency_key");
}

/// No write waits at all here, so that one is answered before search finds it, unless
/// the indexer is very quick.
#[tokio::test]
async fn a_write_that_search_does_not_find_in_time_is_stored_and_says_so() {
    let server = Setup::new().set("DATA__SEARCHABLE_TIMEOUT_MS", 0).start();
    let mut accepted = 0;
    for number in 0..20 {
        let path = format!("{DOCUMENTS}/late{number}");
        let answer = server.put(&path, json!({"text": "A late text."})).await;
        match (answer.status, answer.body["searchable"].as_bool()) {
            (202, Some(false)) => accepted += 1,
            (201, Some(true)) => {}
            other => panic!("{other:?}: {answer:?}"),
        }
        assert_eq!(answer.header("location"), path);
        assert_eq!(server.get(&path).await.status, 200);
    }
    assert!(accepted > 0);
    let path = format!("{DOCUMENTS}?wait=indexed");
    let batch = json!({"documents": [{"id": "last", "text": "The last one."}]});
    let job = Answer::of(server.request(Method::POST, &path).json(&batch)).await;
    let pending = job.body["pending"] != 0;
    assert_eq!(job.status, if pending { 202 } else { 200 }, "{job:?}");
}

#[tokio::test]
async fn what_failed_may_be_tried_again_with_the_same_key() {
    let server = Setup::new().start();
    let put = |text: serde_json::Value| {
        let request = server.request(Method::PUT, &format!("{DOCUMENTS}/a"));
        Answer::of(request.header("idempotency-key", "k").json(&json!({"text": text})))
    };
    assert_eq!(put(json!(7)).await.status, 422);
    assert_eq!(put(json!("now it is text")).await.status, 201);
}

#[tokio::test]
async fn one_clients_key_is_nothing_to_another() {
    let server = Setup::new().start();
    let writer = server.key(json!({"name": "w", "scopes": ["read", "write"]})).await;
    assert_eq!(Answer::of(batch(&server, "k", &["a"])).await.status, 202);
    let other = server.anonymous(Method::POST, DOCUMENTS).bearer_auth(&writer);
    let other = other.header("idempotency-key", "k").json(&json!({"documents": [{"text": "b"}]}));
    let other = Answer::of(other).await;
    assert_eq!((other.status, other.header("idempotency-replayed")), (202, ""), "{other:?}");
    let stranger = server.anonymous(Method::POST, DOCUMENTS).header("idempotency-key", "k");
    assert_eq!(Answer::of(stranger.json(&json!({"documents": []}))).await.status, 401);
}

#[tokio::test]
async fn a_new_credential_is_made_once_and_kept_nowhere() {
    let server = Setup::new().start();
    let make = || {
        let request = server.request(Method::POST, "/v1/keys").header("idempotency-key", "k");
        Answer::of(request.json(&json!({"name": "once", "scopes": ["read"]})))
    };
    let made = make().await;
    assert_eq!(made.status, 201);
    make().await.assert_problem(409, "idempotency_response_not_kept");
    let keys = server.get("/v1/keys").await;
    assert_eq!(keys.body["keys"].as_array().unwrap().len(), 2, "the first key and one more");
    let secret = made.body["credential"].as_str().unwrap().rsplit('_').next().unwrap().to_owned();
    for name in ["ragtime.sqlite", "ragtime.sqlite-wal"] {
        let file = std::fs::read(server.dir.path().join(name)).unwrap();
        assert!(!file.windows(secret.len()).any(|window| window == secret.as_bytes()), "{name}");
    }
}

#[tokio::test]
async fn two_at_once_are_done_once() {
    let server = Setup::new().start();
    let attempts = (0..16).map(|_| Answer::of(batch(&server, "same", &["a", "b", "c"])));
    let answers = futures::future::join_all(attempts).await;
    for answer in &answers {
        match answer.status {
            202 => {}
            409 => {
                answer.assert_problem(409, "idempotency_in_progress");
                assert_eq!(answer.header("retry-after"), "1");
            }
            _ => panic!("{answer:?}"),
        }
    }
    assert!(answers.iter().any(|answer| answer.status == 202));
    assert_eq!(server.get("/v1/jobs").await.body["jobs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_deadline_of_the_clients_ends_its_request() {
    let server = Setup::new().start();
    server.document("a", "something").await;
    let ask = |deadline: &str| {
        let request = server.request(Method::POST, SEARCH).header("request-timeout", deadline);
        Answer::of(request.json(&json!({"query": "something"})))
    };
    assert_eq!(ask("30").await.status, 200);
    assert_eq!(ask("1e300").await.status, 200);
    for bad in ["0", "-1", "soon", "NaN", ""] {
        ask(bad).await.assert_problem(400, "invalid_deadline");
    }
    // A handler that is never done: an answer must not win the race.
    let parked = Setup::new().argument("--handler").argument(fixture(FAULTY).to_str().unwrap());
    let server = parked.start();
    let late = server.request(Method::GET, "/park").header("request-timeout", "0.05");
    Answer::of(late).await.assert_problem(504, "deadline_exceeded");
    assert_eq!(server.get("/").await.status, 200, "the server is well");
}

#[tokio::test]
async fn an_address_that_is_wrong_too_often_is_not_listened_to() {
    let server = Setup::new();
    // Slow enough that no attempt comes back while the test makes its others.
    let server = server.set("AUTH__FAILURE_BURST", 3).set("AUTH__FAILURES_PER_MINUTE", 12).start();
    let with = |key: &str| {
        let request = server.anonymous(Method::POST, SEARCH).bearer_auth(key);
        Answer::of(request.json(&json!({"query": "x"})))
    };
    for _ in 0..3 {
        let refused = with(WRONG).await;
        refused.assert_problem(401, "invalid_credential");
        assert_eq!(
            refused.header("www-authenticate"),
            "Bearer realm=\"ragtime\", error=\"invalid_token\""
        );
    }
    let throttled = with(WRONG).await;
    throttled.assert_problem(429, "too_many_failures");
    let wait: u64 = throttled.header("retry-after").parse().unwrap();
    assert!((1..=5).contains(&wait), "{throttled:?}");
    assert_eq!(with(ADMIN).await.status, 200, "who is right is not locked out by who is not");
    let anonymous = server.anonymous(Method::GET, "/livez");
    assert_eq!(Answer::of(anonymous).await.status, 200, "without a credential all is as before");
    tokio::time::sleep(Duration::from_secs(wait)).await;
    with(WRONG).await.assert_problem(401, "invalid_credential");
    // The admin listener counts with it, and has the same rule.
    let admin = |key: &str| {
        Answer::of(server.admin_anonymous(Method::GET, "/admin/guest").bearer_auth(key))
    };
    let throttled = admin(WRONG).await;
    throttled.assert_problem(429, "too_many_failures");
    assert!(!throttled.header("retry-after").is_empty());
    assert_eq!(admin(ADMIN).await.status, 200);
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_client_is_throttled_and_not_the_proxy() {
    let server = Setup::new()
        .set("AUTH__FAILURE_BURST", 2)
        .set("AUTH__FAILURES_PER_MINUTE", 1)
        .argument("--config")
        .argument(config("[server]\ntrusted_proxies = ['127.0.0.0/8', '2001:db8::/32']\n"))
        .start();
    let from = |hops: &str| {
        let request = server.anonymous(Method::GET, "/v1/collections").bearer_auth(WRONG);
        Answer::of(request.header("x-forwarded-for", hops.to_owned()))
    };
    // However the client is written, and whatever it says of others before it.
    for hops in ["192.0.2.1", "198.51.100.1, ::ffff:192.0.2.1, 127.9.9.9"] {
        from(hops).await.assert_problem(401, "invalid_credential");
    }
    for hops in ["192.0.2.1:4711, 2001:db8::7", "192.0.2.2, 192.0.2.1"] {
        from(hops).await.assert_problem(429, "too_many_failures");
    }
    for hops in ["192.0.2.2", "192.0.2.1, 192.0.2.3"] {
        from(hops).await.assert_problem(401, "invalid_credential");
    }
}

#[tokio::test]
async fn a_key_has_a_number_of_requests_at_once() {
    let server = Setup::new().set("AUTH__MAX_CONCURRENT", 1).set("LOG__LEVEL", "warn").start();
    let reader = server.key(json!({"name": "r", "scopes": ["read"]})).await;
    for n in 0..40 {
        server.document(&format!("d{n}"), &"many words about one thing ".repeat(200)).await;
    }
    let ask = || {
        let request = server.anonymous(Method::POST, SEARCH).bearer_auth(&reader);
        Answer::of(request.json(&json!({"query": "many words about one thing", "top_k": 40})))
    };
    let mut refused = 0;
    for _ in 0..20 {
        for answer in futures::future::join_all((0..16).map(|_| ask())).await {
            if answer.status != 200 {
                answer.assert_problem(429, "too_many_at_once");
                assert_eq!(answer.header("retry-after"), "1");
                refused += 1;
            }
        }
        if refused > 0 {
            break;
        }
    }
    assert!(refused > 0);
    assert_eq!(ask().await.status, 200, "every place is given back");
}

#[tokio::test]
async fn the_limits_of_a_key_change_while_the_server_is_at_work() {
    let server = Setup::new().start();
    let made = server
        .post(
            "/v1/keys",
            json!({"name": "r", "scopes": ["read"], "burst": 4, "rate_per_minute": 1}),
        )
        .await;
    let (id, reader) =
        (made.body["id"].as_str().unwrap(), made.body["credential"].as_str().unwrap());
    let ask = || {
        let request = server.anonymous(Method::POST, SEARCH).bearer_auth(reader);
        Answer::of(request.json(&json!({"query": "x"})))
    };
    for _ in 0..4 {
        assert_eq!(ask().await.status, 200);
    }
    ask().await.assert_problem(429, "rate_limited");
    let change = |body: serde_json::Value| {
        Answer::of(server.request(Method::PATCH, &format!("/v1/keys/{id}")).json(&body))
    };
    let changed = change(json!({"burst": 100, "rate_per_minute": 60})).await;
    assert_eq!((changed.status, &changed.body["burst"]), (200, &json!(100)), "{changed:?}");
    let answer = ask().await;
    assert_eq!(answer.header("ratelimit-policy"), "\"perkey\";q=100;w=100");
    change(json!({"scopes": ["write"]})).await;
    let refused = ask().await;
    refused.assert_problem(403, "scope_required");
    assert_eq!(
        refused.header("www-authenticate"),
        "Bearer realm=\"ragtime\", error=\"insufficient_scope\", scope=\"read\""
    );
    let too_small = change(json!({"burst": 3})).await;
    too_small.assert_problem(422, "validation_failed");
    assert!(too_small.body["detail"].as_str().unwrap().contains("from 4 to"), "{too_small:?}");
    let first = server.request(Method::PATCH, "/v1/keys/000000000000");
    let first = Answer::of(first.json(&json!({"scopes": ["read"]}))).await;
    first.assert_problem(409, "last_admin_key");
}

#[tokio::test]
async fn a_response_is_compressed_for_whoever_asks() {
    let server = Setup::new().start();
    let plain = Answer::of(server.anonymous(Method::GET, "/openapi.json")).await;
    assert_eq!(plain.header("content-encoding"), "");
    let request = server.anonymous(Method::GET, "/openapi.json").header("accept-encoding", "gzip");
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-encoding"], "gzip");
    assert!(response.headers()["vary"].to_str().unwrap().contains("accept-encoding"));
    let bytes = response.bytes().await.unwrap();
    assert!(bytes.len() * 3 < plain.text.len(), "{} of {}", bytes.len(), plain.text.len());
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut text).unwrap();
    assert_eq!(text, plain.text);
    let small = server.anonymous(Method::GET, "/livez").header("accept-encoding", "gzip");
    assert_eq!(Answer::of(small).await.header("content-encoding"), "");
}

#[tokio::test]
async fn a_compressed_body_is_refused_before_it_is_read() {
    let server = Setup::new().start();
    // All but gzip, whose bombs `tests/clients.rs` tries.
    let request = server.request(Method::POST, SEARCH).header("content-encoding", "br");
    let refused = Answer::of(request.body(vec![0x1f, 0x8b, 8, 0])).await;
    refused.assert_problem(415, "unsupported_encoding");
    assert_eq!(refused.header("accept-encoding"), "gzip, identity");
}

#[tokio::test]
async fn pages_of_allowed_origins_and_no_others_may_call() {
    let server = Setup::new()
        .argument("--config")
        .argument(config("[server]\ncors_origins = ['https://app.example']\n"))
        .start();
    let preflight = |origin: &str| {
        let request = server.anonymous(Method::OPTIONS, SEARCH).header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        request.header("access-control-request-headers", "authorization,content-type").send()
    };
    let allowed = preflight("https://app.example").await.unwrap();
    let headers = allowed.headers();
    assert_eq!(headers["access-control-allow-origin"], "https://app.example");
    assert!(headers["access-control-allow-methods"].to_str().unwrap().contains("POST"));
    assert_eq!(headers["access-control-allow-headers"], "authorization,content-type");
    assert!(headers.contains_key("x-request-id"));
    let other = preflight("https://evil.example").await.unwrap();
    assert!(!other.headers().contains_key("access-control-allow-origin"));
    let request = server.request(Method::POST, SEARCH).header("origin", "https://app.example");
    let answer = Answer::of(request.json(&json!({"query": "x"}))).await;
    assert_eq!(answer.header("access-control-allow-origin"), "https://app.example");
    assert!(answer.header("access-control-expose-headers").contains("ratelimit"));
    // Where the origin is a matter of the protocol, the setting decides, too.
    let ping = |origin: &str| {
        let request = server.request(Method::POST, "/mcp").header("origin", origin);
        Answer::of(request.json(&json!({"jsonrpc": "2.0", "id": 1, "method": "ping"})))
    };
    assert_eq!(ping("https://app.example").await.status, 200);
    ping("https://evil.example").await.assert_problem(403, "origin_forbidden");
}

#[tokio::test]
async fn without_settings_no_page_may_call() {
    let server = Setup::new().start();
    let request = server.request(Method::POST, SEARCH).header("origin", "https://app.example");
    let answer = Answer::of(request.json(&json!({"query": "x"}))).await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn a_queue_that_does_not_drain_is_cut_short() {
    let server = Setup::new()
        .set("SERVER__MAX_REQUESTS", 1)
        .set("SERVER__QUEUE_TIMEOUT_MS", 200)
        .set("SERVER__OVERLOAD_TIMEOUT_MS", 1)
        .start();
    server.document("a", "something to stream").await;
    // A client that asks and does not read keeps the only turn.
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let mut slow = TcpStream::connect(&address).await.unwrap();
    let body = json!({"query": "something to stream", "stream": true}).to_string();
    let head = format!(
        "POST /v1/collections/default/query HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut some = [0; 16];
    slow.read_exact(&mut some).await.unwrap();
    let asks = (0..50).map(|_| server.get("/v1/collections"));
    for answer in futures::future::join_all(asks).await {
        if answer.status != 200 {
            answer.assert_problem(503, "overloaded");
            assert_eq!(answer.header("retry-after"), "1");
        }
    }
    drop(slow);
    assert_eq!(server.get("/v1/collections").await.status, 200);
}

/// A settings file that lasts as long as the process.
fn config(text: &str) -> String {
    let (mut file, path) = tempfile::NamedTempFile::with_suffix(".toml").unwrap().keep().unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    path.to_str().unwrap().to_owned()
}
