//! Clients that mean harm at the edge: they do not read, say nothing, send what
//! nobody asked for, or many of them come at once. Each holds what the settings
//! allow and nothing that is another's.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod harness;

use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::raw::{self, HEADERS, Http2, RESET, connect, connect_narrow, first, resident, rest};
use harness::{ADMIN, Answer, Server, Setup, fixture};
use reqwest::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt;

const SEARCH: &str = "/v1/collections/default/search";
const DOCUMENTS: &str = "/v1/collections/default/documents";
const WRONG: &str = "rt_AAAAAAAAAAAA_1111111111111111111111111111111111111111111";
const MIB: usize = 1024 * 1024;

async fn well(server: &Server) {
    assert_eq!(server.get("/v1/collections").await.status, 200);
}

fn get(path: &str, key: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n")
}

fn post(path: &str, key: Option<&str>, length: usize) -> String {
    let key = key.map(|key| format!("authorization: Bearer {key}\r\n")).unwrap_or_default();
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\n{key}content-type: application/json\r\n\
         content-length: {length}\r\n\r\n"
    )
}

fn config(text: &str) -> String {
    let (mut file, path) = tempfile::NamedTempFile::with_suffix(".toml").unwrap().keep().unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    path.to_str().unwrap().to_owned()
}

async fn reader(server: &Server) -> String {
    server.key(json!({"name": "low", "scopes": ["read"]})).await
}

/// A document whose text is read with a body that comes piece by piece.
async fn long_document(server: &Server) -> String {
    server.document("long", &"word ".repeat(MIB)).await;
    format!("{DOCUMENTS}/long")
}

#[tokio::test]
async fn streams_without_a_window_hold_no_turn() {
    let server = Setup::new()
        .set("SERVER__MAX_REQUESTS", 4)
        .set("SERVER__MAX_OPEN_REQUESTS", 4)
        .set("SERVER__SEND_TIMEOUT_MS", 500)
        .start();
    let key = format!("Bearer {ADMIN}");
    let mut attackers = Vec::new();
    for _ in 0..5 {
        let mut attacker = Http2::open(&server.url, 0).await;
        for path in ["/livez", "/openapi.json", "/nowhere"].iter().cycle().take(40) {
            attacker.request("GET", path, &[], true).await;
        }
        for _ in 0..8 {
            let key = [("authorization", key.as_str())];
            attacker.request("GET", "/v1/collections", &key, true).await;
        }
        attackers.push(attacker);
    }
    for _ in 0..20 {
        well(&server).await;
    }
    // The server waits for none of them for ever.
    for mut attacker in attackers {
        attacker.until_closed().await;
    }
    well(&server).await;
    harness::survived(
        "HTTP/2 streams without a window, with and without a key",
        "they hold no turn; streams and connection end in time",
        "nothing",
    );
}

#[tokio::test]
async fn a_response_that_is_not_read_gives_its_turn_back_in_time() {
    let server = Setup::new()
        .set("SERVER__MAX_REQUESTS", 2)
        .set("SERVER__QUEUE_TIMEOUT_MS", 20_000)
        .set("SERVER__OVERLOAD_TIMEOUT_MS", 20_000)
        .set("SERVER__SEND_TIMEOUT_MS", 400)
        .start();
    let path = long_document(&server).await;
    // By HTTP/1.1 and by HTTP/2, where some of the body is taken first.
    let mut narrow = connect_narrow(&server.url).await;
    narrow.write_all(get(&path, ADMIN).as_bytes()).await.unwrap();
    let mut frugal = Http2::open(&server.url, 1).await;
    let key = format!("Bearer {ADMIN}");
    let stream = frugal.request("GET", &path, &[("authorization", &key)], true).await;
    frugal.until(HEADERS, stream).await.expect("a head");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let waited = Instant::now();
    well(&server).await;
    assert!(waited.elapsed() < Duration::from_secs(10), "{:?}", waited.elapsed());
    rest(&mut narrow).await;
    frugal.until_closed().await;
    harness::survived(
        "Long responses that are not read",
        "the turn is given back and the connection closed in time",
        "the responses",
    );
}

#[tokio::test]
async fn an_endless_stream_that_is_not_read_is_ended() {
    let server = Setup::new()
        .argument("--handler")
        .argument(fixture("faulty").to_str().unwrap())
        .set("SERVER__MAX_REQUESTS", 1)
        .set("SERVER__QUEUE_TIMEOUT_MS", 20_000)
        .set("SERVER__OVERLOAD_TIMEOUT_MS", 20_000)
        .set("SERVER__SEND_TIMEOUT_MS", 400)
        .set("SERVER__STREAM_TIMEOUT_MS", 1_500)
        .start();
    let mut narrow = connect_narrow(&server.url).await;
    narrow.write_all(get("/endless", ADMIN).as_bytes()).await.unwrap();
    let mut frugal = Http2::open(&server.url, 1).await;
    let key = format!("Bearer {ADMIN}");
    frugal.request("GET", "/endless", &[("authorization", &key)], true).await;
    assert_eq!(server.request(Method::GET, "/").send().await.unwrap().status(), 200);
    rest(&mut narrow).await;
    frugal.until_closed().await;
    // Who reads a little now and then is not let go on for ever either.
    let mut slow = Http2::open(&server.url, 20_000).await;
    let stream = slow.request("GET", "/endless", &[("authorization", &key)], true).await;
    let began = Instant::now();
    while let Some(frame) = slow.frame().await {
        if frame.stream == stream && (frame.kind == RESET || frame.flags & 1 == 1) {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "the stream goes on");
    }
    assert_eq!(server.request(Method::GET, "/").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let server = Setup::new()
        .set("SERVER__HEADER_TIMEOUT_MS", 300)
        .set("SERVER__IDLE_TIMEOUT_MS", 300)
        .set("SERVER__SEND_TIMEOUT_MS", 300)
        .start();
    for url in [&server.url, &server.admin_url] {
        let half = &raw::PREFACE[..10];
        for said in [&b""[..], b"G", half, b"GET / HTTP/1.1\r\n", &raw::PREFACE[..24]] {
            let mut silent = connect(url).await;
            silent.write_all(said).await.unwrap();
            rest(&mut silent).await;
        }
        // One that keeps the connection alive and asks for nothing more.
        let mut idle = Http2::open(url, 65_535).await;
        idle.until_closed().await;
        let mut idle = Http2::open(url, 65_535).await;
        let stream = idle.request("GET", "/livez", &[], true).await;
        idle.until(HEADERS, stream).await.expect("an answer");
        idle.until_closed().await;
        // A body that does not come is no connection without work.
        let mut idle = Http2::open(url, 65_535).await;
        idle.request("POST", "/v1/collections/default/search", &[], false).await;
        idle.until_closed().await;
    }
    well(&server).await;
    harness::survived(
        "Silence: no byte, half a preface, idle HTTP/2",
        "the connection is closed in time, on both listeners",
        "nothing",
    );
}

#[tokio::test]
async fn one_address_has_a_number_of_connections() {
    let server = Setup::new()
        .set("SERVER__MAX_CONNECTIONS_PER_ADDRESS", 3)
        .set("SERVER__HEADER_TIMEOUT_MS", 60_000)
        .start();
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(&server.url).await;
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(first(&mut stream).await.contains("200"));
        held.push(stream);
    }
    for _ in 0..5 {
        let mut one_more = connect(&server.url).await;
        assert_eq!(rest(&mut one_more).await, "");
    }
    server.logged(&["connections of one address were closed"]).await;
    held.pop();
    let began = Instant::now();
    loop {
        let mut next = connect(&server.url).await;
        let _ = next.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
        if first(&mut next).await.contains("200") {
            break;
        }
        assert!(began.elapsed() < raw::PATIENCE, "the place is not given back");
    }
    harness::survived(
        "Many connections of one address",
        "those beyond its share are closed, others are served",
        "nothing",
    );
}

#[tokio::test]
async fn one_client_has_a_number_of_requests_also_behind_a_proxy() {
    let server = Setup::new()
        .set("SERVER__MAX_REQUESTS_PER_ADDRESS", 3)
        .argument("--config")
        .argument(config("[server]\ntrusted_proxies = ['127.0.0.0/8']\n"))
        .start();
    let from = |client: &str| {
        let request = server.request(Method::GET, "/v1/collections");
        Answer::of(request.header("x-forwarded-for", client.to_owned()))
    };
    let mut attacker = Http2::open(&server.url, 0).await;
    let forwarded = [("x-forwarded-for", "192.0.2.1")];
    for _ in 0..3 {
        let stream = attacker.request("GET", "/livez", &forwarded, true).await;
        attacker.until(HEADERS, stream).await.expect("a head");
    }
    let refused = from("192.0.2.1").await;
    refused.assert_problem(429, "too_many_from_address");
    assert_eq!(refused.header("retry-after"), "1");
    from("2001:db8::1, ::ffff:192.0.2.1").await.assert_problem(429, "too_many_from_address");
    assert_eq!(from("192.0.2.2").await.status, 200);
    drop(attacker);
    let began = Instant::now();
    while from("192.0.2.1").await.status != 200 {
        assert!(began.elapsed() < raw::PATIENCE, "the places are not given back");
    }
}

#[tokio::test]
async fn no_body_is_read_without_a_key() {
    let server = Setup::new().start();
    well(&server).await;
    let before = resident(&server);
    let length = 30 * MIB;
    let strangers = (0..20).map(|stranger| {
        let url = server.url.clone();
        let key = (stranger % 2 == 0).then_some(WRONG);
        tokio::spawn(async move {
            let mut stream = connect(&url).await;
            stream.write_all(post(DOCUMENTS, key, length).as_bytes()).await.unwrap();
            let piece = vec![b'x'; MIB];
            for _ in 0..length / MIB {
                // The server does not take it, and closes.
                if stream.write_all(&piece).await.is_err() {
                    break;
                }
            }
            stream
        })
    });
    let mut most = 0;
    let all = futures::future::join_all(strangers);
    tokio::pin!(all);
    loop {
        tokio::select! {
            _ = &mut all => break,
            () = tokio::time::sleep(Duration::from_millis(5)) => most = most.max(resident(&server)),
        }
    }
    let grown = most.saturating_sub(before);
    assert!(grown * 8 < 20 * length, "{} MiB for 600 MiB of strangers", grown / MIB);
    // Who asks first is told before sending anything.
    let asks =
        post(DOCUMENTS, None, length).replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n");
    let mut asking = connect(&server.url).await;
    asking.write_all(asks.as_bytes()).await.unwrap();
    let answer = first(&mut asking).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    // A small body is no reason to leave a client without its answer.
    let anonymous = server.anonymous(Method::POST, SEARCH).json(&json!({"query": "x"}));
    Answer::of(anonymous).await.assert_problem(401, "unauthenticated");
    let mut http2 = Http2::open(&server.url, 65_535).await;
    let stream = http2.request("POST", DOCUMENTS, &[("content-length", "31457280")], false).await;
    http2.data(stream, &[b'x'; 16_000]).await;
    http2.until(HEADERS, stream).await.expect("an answer before the body");
    well(&server).await;
    harness::survived(
        "Large bodies of strangers",
        "they are not read: 401",
        "nothing; memory stays within an eighth of what they announce",
    );
}

#[tokio::test]
async fn a_body_is_as_large_as_its_route_and_key_have_use_for() {
    let server = Setup::new().start();
    let low = reader(&server).await;
    let large = json!({"query": "x", "filter": {"field": "a", "in": vec![1; 2 * MIB]}}).to_string();
    let send = |method: Method, path: &str, key: &str, body: &str| {
        let request = server.anonymous(method, path).bearer_auth(key);
        Answer::of(request.header("content-type", "application/json").body(body.to_owned()))
    };
    for path in [SEARCH, "/v1/collections/default/query", "/v1/chat/completions", "/v1/embeddings"]
    {
        send(Method::POST, path, ADMIN, &large).await.assert_problem(413, "body_too_large");
    }
    let document = json!({"text": "word ".repeat(MIB)}).to_string();
    let path = format!("{DOCUMENTS}/a");
    send(Method::PUT, &path, &low, &document).await.assert_problem(413, "body_too_large");
    send(Method::PUT, &path, &low, "{\"text\":\"a\"}").await.assert_problem(403, "scope_required");
    assert_eq!(send(Method::PUT, &path, ADMIN, &document).await.status, 201);
    // One that asks first is told before it sends.
    let asks = post(SEARCH, Some(&low), 30 * MIB);
    let asks = asks.replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n");
    let mut asking = connect(&server.url).await;
    asking.write_all(asks.as_bytes()).await.unwrap();
    let answer = first(&mut asking).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn bytes_in_flight_have_one_budget() {
    let server = Setup::new()
        .set("SERVER__MAX_BYTES_IN_FLIGHT", MIB)
        .set("SERVER__MAX_BYTES_IN_FLIGHT_PER_KEY", 3 * MIB / 4)
        // A large body costs more than one unit.
        .set("AUTH__BURST", 1_000_000)
        .start();
    let writer = json!({"name": "w", "scopes": ["read", "write"]});
    let (one, other) = (server.key(writer.clone()).await, server.key(writer).await);
    let begin = async || {
        let mut slow = connect(&server.url).await;
        slow.write_all(post(DOCUMENTS, Some(&one), 2 * MIB).as_bytes()).await.unwrap();
        slow.write_all(&vec![b' '; 700 * 1024]).await.unwrap();
        slow
    };
    let mut slow = begin().await;
    let put = |key: &str, kib: usize| {
        let request = server.anonymous(Method::PUT, &format!("{DOCUMENTS}/a")).bearer_auth(key);
        Answer::of(request.json(&json!({"text": "a".repeat(kib * 1024)})))
    };
    let began = Instant::now();
    let refused = loop {
        let answer = put(&one, 600).await;
        if answer.status == 429 {
            break answer;
        }
        assert!(began.elapsed() < raw::PATIENCE, "{answer:?}");
        // The two met in the budget, and it was the slow one that was refused.
        slow = begin().await;
    };
    refused.assert_problem(429, "too_many_bytes_at_once");
    assert_eq!(refused.header("retry-after"), "1");
    let refused = put(&other, 600).await;
    refused.assert_problem(503, "body_budget_exhausted");
    assert_eq!(refused.header("retry-after"), "1");
    // What is small goes on.
    for key in [&one, &other] {
        assert!([200, 201].contains(&put(key, 32).await.status));
    }
    drop(slow);
    let began = Instant::now();
    while put(&other, 600).await.status != 200 {
        assert!(began.elapsed() < raw::PATIENCE, "the bytes are not given back");
    }
    harness::survived(
        "Bodies that come to more than the budget",
        "429 and 503 with `Retry-After`, small ones go on",
        "nothing",
    );
}

#[tokio::test]
async fn json_of_too_many_values_costs_nobody_an_instance() {
    let server = Setup::new().start();
    let low = reader(&server).await;
    let bodies = [
        format!("{{\"query\":\"x\",\"filter\":[{}0]}}", "0,".repeat(900_000)),
        format!("{{\"query\":\"x\",\"filter\":{}", "[".repeat(2_000_000)),
        format!("{{\"query\":\"x\",\"filter\":{{{}\"a\":0}}}}", "\"a\":[],".repeat(250_000)),
    ];
    let hostile = bodies.iter().cycle().take(24).map(|body| {
        let request = server.anonymous(Method::POST, SEARCH).bearer_auth(&low);
        Answer::of(request.header("content-type", "application/json").body(body.clone()))
    });
    let writes = async {
        for n in 0..40 {
            server.document(&format!("d{n}"), "a neighbour's document").await;
        }
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(hostile), writes);
    for answer in answers {
        assert!(
            [400, 413, 422].contains(&answer.status)
                || answer.body["code"] == "too_many_bytes_at_once",
            "{answer:?}"
        );
    }
    assert!(answers_with(&server, "json_too_complex").await);
    let metrics = Answer::of(server.admin(Method::GET, "/metrics")).await.text;
    assert!(
        !metrics.contains("ragtime_handler_lost_instances_total{cause=\"Trap\"} 1"),
        "{metrics}"
    );
    harness::survived(
        "Filters of a million values, by a key that may read",
        "422, its neighbours' writes go on",
        "nothing",
    );
}

async fn answers_with(server: &Server, code: &str) -> bool {
    let body = format!("[{}0]", "0,".repeat(400_000));
    let request = server.request(Method::POST, SEARCH).header("content-type", "application/json");
    Answer::of(request.body(body)).await.body["code"] == code
}

#[tokio::test]
async fn a_write_that_was_begun_has_an_answer_that_says_so() {
    let server =
        Setup::new().argument("--handler").argument(fixture("cheat").to_str().unwrap()).start();
    let send = |method: Method, key: &str| {
        let request = server.request(method, "/put-and-trap");
        Answer::of(request.header("idempotency-key", key.to_owned()).json(&json!({})))
    };
    send(Method::POST, "k").await.assert_problem(500, "change_interrupted");
    // Sent again it is not done again, nor told to be new.
    send(Method::POST, "k").await.assert_problem(409, "idempotency_response_not_kept");
    send(Method::POST, "other").await.assert_problem(500, "change_interrupted");
    // A PUT means the same the second time, so the server has sent it again.
    send(Method::PUT, "put").await.assert_problem(500, "change_interrupted");
    let metrics = Answer::of(server.admin(Method::GET, "/metrics")).await.text;
    let replays = metrics.lines().find(|line| line.starts_with("ragtime_handler_replays_total"));
    assert_eq!(replays.map(|line| line.ends_with(" 1")), Some(true), "{metrics}");
}

#[tokio::test]
async fn a_handler_that_asks_for_nothing_gets_little() {
    let server = Setup::new().start();
    let key = server
        .key(json!({"name": "r", "scopes": ["read"], "burst": 20, "rate_per_minute": 1}))
        .await;
    server.swap(std::fs::read(fixture("cheat")).unwrap(), "").await;
    let greedy = server.anonymous(Method::GET, "/search-on-and-on").bearer_auth(&key);
    let answer = Answer::of(greedy).await;
    // One unit for the request with its first searches, and 19 for one each.
    assert!(answer.text.starts_with("27 searches, then Error::Busy"), "{answer:?}");
    assert!(answer.header("ratelimit").contains("r=0"), "{answer:?}");
    harness::survived(
        "A handler that searches on and on for one unit",
        "each search beyond the first few costs one",
        "nothing",
    );
}

#[tokio::test]
async fn what_overran_is_not_tried_again() {
    let server = Setup::new()
        .argument("--handler")
        .argument(fixture("faulty").to_str().unwrap())
        .set("HANDLER__MAX_CPU_MS", 200)
        .start();
    let waits = (0..4).map(|_| Answer::of(server.anonymous(Method::GET, "/wait")));
    let spins = Answer::of(server.anonymous(Method::GET, "/spin"));
    let (others, spun) = tokio::join!(futures::future::join_all(waits), spins);
    spun.assert_problem(504, "handler_timeout");
    assert!(others.iter().all(|other| other.status == 200), "{others:?}");
    let metrics = Answer::of(server.admin(Method::GET, "/metrics")).await.text;
    let overruns = metrics.lines().find(|line| line.contains("cause=\"Overrun\""));
    assert!(overruns.is_some_and(|line| line.ends_with(" 1")), "{metrics}");
}

#[tokio::test]
async fn two_credentials_in_headers_of_one_name_are_refused() {
    let server = Setup::new().start();
    let low = reader(&server).await;
    let both = |name: &str, first: &str, second: &str, path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{name}: {first}\r\n\
             {name}: {second}\r\n\r\n"
        )
    };
    let (admin, low_bearer) = (format!("Bearer {ADMIN}"), format!("Bearer {low}"));
    for (name, first, second) in [
        ("authorization", &low_bearer, &admin),
        ("authorization", &admin, &low_bearer),
        ("authorization", &admin, &admin),
        ("x-api-key", &low, &ADMIN.to_owned()),
    ] {
        for (url, path) in [(&server.url, "/v1/keys"), (&server.admin_url, "/admin/guest")] {
            let answer = raw::exchange(url, both(name, first, second, path).as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 400"), "{name} {path}: {answer}");
            assert!(answer.contains("conflicting_credentials"), "{answer}");
        }
    }
    harness::survived("Two credentials in one request", "400, on both listeners", "nothing");
}

#[tokio::test]
async fn a_handler_sets_no_header_that_is_the_hosts() {
    let server =
        Setup::new().argument("--handler").argument(fixture("faulty").to_str().unwrap()).start();
    let answer = Answer::of(server.request(Method::GET, "/headers")).await;
    assert_eq!((answer.status, answer.header("x-version")), (200, "faulty-version-0"));
    for name in [
        "set-cookie",
        "access-control-allow-origin",
        "server",
        "ratelimit",
        "ratelimit-policy",
        "x-accel-redirect",
        "strict-transport-security",
    ] {
        assert_eq!(answer.header(name), "", "{name}");
    }
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn nothing_is_left_to_a_browsers_guess() {
    let server = Setup::new()
        .argument("--config")
        .argument(config("[server]\ncors_origins = ['https://app.example']\n"))
        .start();
    let anonymous = |method: Method, path: &str| server.anonymous(method, path);
    let preflight = anonymous(Method::OPTIONS, SEARCH)
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST");
    for request in [
        anonymous(Method::GET, "/livez"),
        anonymous(Method::GET, "/"),
        anonymous(Method::GET, "/openapi.json"),
        anonymous(Method::HEAD, "/livez"),
        anonymous(Method::GET, "/nowhere"),
        anonymous(Method::POST, SEARCH),
        server.request(Method::POST, SEARCH).body("x"),
        preflight,
        server.admin(Method::GET, "/admin/guest"),
        server.admin(Method::GET, "/metrics"),
        server.admin_anonymous(Method::GET, "/nowhere"),
    ] {
        let answer = Answer::read(request.send().await.unwrap()).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{answer:?}");
    }
}

#[tokio::test]
async fn a_credential_in_a_path_or_query_is_not_logged() {
    let server = Setup::new().set("LOG__LEVEL", "debug").start();
    let secret = "SeCrEt4711".repeat(4) + "abc";
    let key = format!("rt_AAAAAAAAAAAA_{secret}");
    let encoded = key.replace('_', "%5F");
    for path in [
        format!("/v1/keys/{key}"),
        format!("/v1/keys/{encoded}"),
        format!("/v1/collections/{key}/documents"),
        format!("/{key}"),
        format!("/v1/collections?key={key}"),
        format!("/v1/collections?{encoded}"),
    ] {
        server.get(&path).await;
        Answer::read(server.admin(Method::GET, &path).send().await.unwrap()).await;
    }
    server.get("/the-last").await;
    server.logged(&["/the-last"]).await;
    let log = server.log().join("\n");
    assert!(log.contains("[credential]"), "{log}");
    assert!(!log.contains("SeCrEt4711"), "{log}");
    let ended = Answer::of(server.admin(Method::GET, "/admin/requests")).await;
    assert!(!ended.text.contains("SeCrEt4711"), "{ended:?}");
}

/// The same for a key that is revoked, and a stream that has nothing to say, is
/// in `tests/generator.rs`.
#[tokio::test]
async fn a_stream_ends_when_its_key_expires() {
    let mut seconds = 4;
    let (server, mut stream) = loop {
        let server = Setup::new().start();
        // Keys expire on the second.
        let expires = jiff::Timestamp::now().as_second() + seconds;
        let expires = jiff::Timestamp::from_second(expires).unwrap();
        let brief = json!({"name": "brief", "scopes": ["read"], "expires_at": expires.to_string()});
        let key = server.key(brief).await;
        server.swap(std::fs::read(fixture("faulty")).unwrap(), "").await;
        let request = server.anonymous(Method::GET, "/endless").bearer_auth(&key);
        let stream = request.send().await.unwrap();
        // On a slow machine the key may have expired before it was looked at, and the
        // fixture serves anybody: once more, with more time.
        if jiff::Timestamp::now() < expires {
            break (server, stream);
        }
        seconds *= 2;
    };
    assert_eq!(stream.status(), 200);
    let ended = async {
        let mut last = Vec::new();
        while let Ok(Some(piece)) = stream.chunk().await {
            last = piece.to_vec();
        }
        String::from_utf8_lossy(&last).into_owned()
    };
    let last = tokio::time::timeout(raw::PATIENCE, ended).await.expect("the stream ends");
    let ended_by_key = last.contains("event: error") && last.contains("invalid_credential");
    assert!(ended_by_key, "{last} {:?}", server.log());
}

#[tokio::test]
async fn a_page_that_rebinds_its_name_is_kept_out() {
    let server = Setup::new().start();
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let from = |host: &str| {
        let request = server.request(Method::POST, "/mcp").header("host", host.to_owned());
        Answer::of(request.header("origin", format!("http://{host}")).json(&ping))
    };
    for rebound in ["evil.example", "evil.example:8080", "127.0.0.1.evil.example"] {
        from(rebound).await.assert_problem(403, "origin_forbidden");
    }
    for own in ["127.0.0.1:8080", "localhost", "[::1]:8080"] {
        assert_eq!(from(own).await.status, 200, "{own}");
    }
}

#[tokio::test]
async fn a_flood_of_log_lines_after_the_response_is_clamped() {
    let server = Setup::new()
        .argument("--handler")
        .argument(fixture("faulty").to_str().unwrap())
        .set("HANDLER__MAX_LOG_LINES", 10)
        .start();
    assert_eq!(Answer::of(server.anonymous(Method::GET, "/flood-late")).await.status, 200);
    server.logged(&["further log lines are dropped"]).await;
    let lines = server.log().into_iter().filter(|line| line.contains("xxxxxxxx")).count();
    assert_eq!(lines, 10);
}

#[test]
fn a_server_that_others_reach_without_tls_says_so() {
    for (listen, warned) in [("0.0.0.0:0", true), ("127.0.0.1:0", false)] {
        let dir = tempfile::tempdir().unwrap();
        let mut child = harness::binary()
            .args(["serve", "--no-model", "--listen", listen, "--admin-listen", listen])
            .args(["--log-format", "json", "--data-dir", dir.path().to_str().unwrap()])
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(child.stderr.take().unwrap());
        let lines = std::io::BufRead::lines(lines).map_while(Result::ok);
        // What is said at the start ends with this.
        let mut said = Vec::new();
        for line in lines {
            let over = line.contains("The first admin key");
            said.push(line);
            if over {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let warnings = said.iter().filter(|line| line.contains("without TLS")).count();
        assert_eq!(warnings, if warned { 2 } else { 0 }, "{listen}: {said:#?}");
    }
}

/// Where the hostile clients are.
const ELSEWHERE: &str = "127.0.0.2";

/// One round of one kind of hostile client. What comes back is of no interest
/// to it; nothing is when the server does not let it in.
async fn hostile(server: &Server, kind: usize, low: &str) -> Option<()> {
    let key = format!("Bearer {low}");
    let keyed = [("authorization", key.as_str())];
    let mut stream = raw::connect_from(ELSEWHERE, &server.url).await?;
    match kind {
        // Takes nothing.
        0 => {
            let mut http2 = Http2::begin(stream, 0).await;
            for number in 0..100 {
                match number % 2 {
                    0 => http2.request("GET", "/openapi.json", &[], true).await,
                    _ => http2.request("GET", "/v1/collections", &keyed, true).await,
                };
            }
            tokio::time::sleep(PAUSE).await;
        }
        1 => {
            stream.write_all(get(&format!("{DOCUMENTS}/long"), low).as_bytes()).await.ok()?;
            tokio::time::sleep(PAUSE).await;
        }
        // Says nothing, or half of something.
        2 => {
            stream.write_all(&raw::PREFACE[..10]).await.ok()?;
            tokio::time::sleep(PAUSE).await;
        }
        3 => {
            stream.write_all(post(SEARCH, Some(low), MIB).as_bytes()).await.ok()?;
            for _ in 0..10 {
                stream.write_all(b" ").await.ok()?;
                tokio::time::sleep(PAUSE / 10).await;
            }
        }
        // Sends what nobody wants.
        4 => {
            stream.write_all(post(DOCUMENTS, None, 30 * MIB).as_bytes()).await.ok()?;
            stream.write_all(&vec![b'x'; MIB]).await.ok()?;
        }
        5 => {
            let body = format!("{{\"query\":\"x\",\"filter\":[{}0]}}", "0,".repeat(500_000));
            stream.write_all(post(SEARCH, Some(low), body.len()).as_bytes()).await.ok()?;
            stream.write_all(body.as_bytes()).await.ok()?;
            first(&mut stream).await;
        }
        // Guesses, asks for too much, and goes away.
        6 => {
            stream.write_all(get("/v1/keys", WRONG).as_bytes()).await.ok()?;
            first(&mut stream).await;
        }
        7 => {
            let mut http2 = Http2::begin(stream, 65_535).await;
            for _ in 0..50 {
                http2.request("GET", "/v1/jobs", &keyed, true).await;
            }
        }
        8 => {
            let body = json!({"query": "a good text", "top_k": 100}).to_string();
            stream.write_all(post(SEARCH, Some(low), body.len()).as_bytes()).await.ok()?;
            stream.write_all(body.as_bytes()).await.ok()?;
            first(&mut stream).await;
        }
        _ => {
            let mut many = vec![stream];
            for _ in 0..20 {
                many.push(raw::connect_from(ELSEWHERE, &server.url).await?);
            }
            tokio::time::sleep(PAUSE / 4).await;
        }
    }
    Some(())
}

const KINDS: usize = 10;

/// How long a hostile client waits before it begins again.
const PAUSE: Duration = Duration::from_millis(200);

/// What a well-behaved client met: latencies in milliseconds, sorted, and errors.
async fn behaved(server: &Server, key: &str, phase: Duration) -> (Vec<f64>, Vec<String>) {
    let (mut latencies, mut errors) = (Vec::new(), Vec::new());
    let (began, mut number) = (Instant::now(), 0);
    while began.elapsed() < phase {
        number += 1;
        let request = match number % 4 {
            0 => server.anonymous(Method::GET, "/v1/collections"),
            1 => server.anonymous(Method::GET, "/livez"),
            2 => {
                let path = format!("{DOCUMENTS}/good{}", number % 64);
                server.anonymous(Method::PUT, &path).json(&json!({"text": "A good text."}))
            }
            _ => server.anonymous(Method::POST, SEARCH).json(&json!({"query": "good text"})),
        };
        let asked = Instant::now();
        match request.bearer_auth(key).send().await {
            Ok(response) => {
                let status = response.status();
                let text = response.text().await;
                if !status.is_success() || text.is_err() {
                    errors.push(format!("{status} {text:?}"));
                }
            }
            Err(error) => errors.push(format!("{error:?}")),
        }
        latencies.push(asked.elapsed().as_secs_f64() * 1e3);
    }
    latencies.sort_by(f64::total_cmp);
    (latencies, errors)
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// Hostile clients at work, until it ends.
struct Attack {
    over: tokio::sync::oneshot::Sender<()>,
    thread: std::thread::JoinHandle<usize>,
}

impl Attack {
    /// Starts `at_once` of them on a thread of the lowest priority. They stand for
    /// other machines: what their own work takes of these processors is not what
    /// the server lets them take.
    fn begin(server: &Arc<Server>, low: &str, at_once: usize) -> Self {
        let (over, ended) = tokio::sync::oneshot::channel();
        let (server, low) = (Arc::clone(server), low.to_owned());
        let work = move || {
            #[cfg(target_os = "linux")]
            rustix::process::setpriority_process(None, 19).unwrap();
            let rounds = std::cell::Cell::new(0);
            let clients = (0..at_once).map(async |number| {
                loop {
                    hostile(&server, number % KINDS, &low).await;
                    rounds.set(rounds.get() + 1);
                    tokio::time::sleep(PAUSE / 20).await;
                }
            });
            let clients = futures::future::join_all(clients);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                tokio::select! {
                    _ = ended => {}
                    _ = clients => {}
                }
            });
            rounds.get()
        };
        Self { over, thread: std::thread::spawn(work) }
    }

    /// Ends them; returns how many rounds they made in all.
    fn end(self) -> usize {
        drop(self.over);
        self.thread.join().unwrap()
    }
}

/// Everything above at once, from another address, without a key and with a key that
/// may only read, beside a client that behaves.
async fn mixed(phase: Duration, at_once: usize) -> f64 {
    let server = Arc::new(
        Setup::new()
            .set("SERVER__SEND_TIMEOUT_MS", 1_000)
            .set("SERVER__HEADER_TIMEOUT_MS", 1_000)
            .set("SERVER__BODY_TIMEOUT_MS", 1_000)
            .set("SERVER__MAX_CONNECTIONS_PER_ADDRESS", 200)
            .set("AUTH__BURST", 1_000_000)
            .set("AUTH__RATE_PER_MINUTE", 1_000_000)
            .set("LOG__LEVEL", "error")
            .start(),
    );
    let document = long_document(&server).await;
    assert!(document.ends_with("long"));
    let modest = json!({"scopes": ["read"], "name": "low", "burst": 60, "rate_per_minute": 600});
    let low = server.key(modest).await;
    let good = json!({"scopes": ["read", "write"], "name": "good", "burst": 100_000,
        "rate_per_minute": 1_000_000});
    let good = server.key(good).await;
    behaved(&server, &good, phase / 8).await;
    let (alone, errors) = behaved(&server, &good, phase / 2).await;
    assert!(errors.is_empty(), "{errors:?}");
    let attack = Attack::begin(&server, &low, at_once);
    let (beside, errors) = behaved(&server, &good, phase).await;
    let rounds = attack.end();
    assert!(errors.is_empty(), "{} errors: {:?}", errors.len(), &errors[..errors.len().min(3)]);
    println!("           requests  p50 ms  p99 ms");
    for (name, told) in [("alone", &alone), ("beside", &beside)] {
        println!(
            "{name:<10} {:>8}  {:>6.1}  {:>6.1}",
            told.len(),
            percentile(told, 50),
            percentile(told, 99)
        );
    }
    println!("{rounds} rounds of attack in {} s", phase.as_secs());
    let metrics = Answer::of(server.admin(Method::GET, "/metrics")).await.text;
    let trapped = !metrics.contains("ragtime_handler_lost_instances_total{cause=\"Trap\"} 0");
    assert!(!trapped, "{:#?}", server.log());
    percentile(&beside, 99) / percentile(&alone, 99)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_it_at_once_and_a_client_that_behaves_meets_no_error() {
    // How long it waits is measured by the long run.
    mixed(Duration::from_secs(4), 2 * KINDS).await;
    harness::survived(
        "All attacks on the edge at once",
        "a client that behaves meets no error, and no instance is lost",
        "nothing",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes and is a measurement: RAGTIME_HOSTILE_SECONDS=120 sets its length"]
async fn a_long_mixed_run_leaves_the_p99_within_three_times() {
    let seconds = std::env::var("RAGTIME_HOSTILE_SECONDS").ok();
    let seconds = seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(120);
    let ratio = mixed(Duration::from_secs(seconds), 2 * KINDS).await;
    println!("p99 beside the attacks is {ratio:.2} times that of alone");
    assert!(ratio < 3.0, "{ratio}");
}
