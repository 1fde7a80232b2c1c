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

mod bodies;
mod handlers;
mod mixed;

use std::time::{Duration, Instant};

use crate::harness::raw::{
    self, HEADERS, Http2, RESET, connect, connect_narrow, first, resident, rest,
};
use crate::harness::{self, ADMIN, Answer, CHEAT, FAULTY, Server, Setup, fixture};
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
        .argument(fixture(FAULTY).to_str().unwrap())
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

async fn answers_with(server: &Server, code: &str) -> bool {
    let body = format!("[{}0]", "0,".repeat(400_000));
    let request = server.request(Method::POST, SEARCH).header("content-type", "application/json");
    Answer::of(request.body(body)).await.body["code"] == code
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
        server.swap(std::fs::read(fixture(FAULTY)).unwrap(), "").await;
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
