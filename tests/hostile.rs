//! Clients that mean harm, beside one that does not: each attack has its limit,
//! and the other client is served as before.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::harness::raw::{self, PATIENCE, rest};
use crate::harness::{self, ADMIN, Server, Setup};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

async fn connect(server: &Server) -> TcpStream {
    raw::connect(&server.url).await
}

/// Sends bytes and returns all that comes back until the server closes.
async fn raw(server: &Server, bytes: &[u8]) -> String {
    raw::exchange(&server.url, bytes).await
}

fn statuses(answer: &str) -> Vec<&str> {
    answer.split("HTTP/1.1 ").skip(1).map(|one| &one[..3]).collect()
}

async fn well(server: &Server) {
    assert_eq!(server.get("/v1/collections").await.status, 200);
}

#[tokio::test]
async fn a_head_that_does_not_end_is_given_up() {
    let server = Setup::new().set("SERVER__HEADER_TIMEOUT_MS", 300).start();
    let mut slow = connect(&server).await;
    slow.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    well(&server).await;
    let answer = rest(&mut slow).await;
    assert!(
        ["408", ""].contains(&statuses(&answer).first().copied().unwrap_or_default()),
        "{answer}"
    );
    well(&server).await;
    harness::survived("Heads that never end", "the connection is closed in time", "nothing");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_a_408() {
    let server = Setup::new().set("SERVER__BODY_TIMEOUT_MS", 300).start();
    let head = format!(
        "POST /v1/collections/default/search HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN}\r\n\
         content-type: application/json\r\ncontent-length: 1000\r\n\r\n{{"
    );
    let answer = raw(&server, head.as_bytes()).await;
    assert_eq!(statuses(&answer), ["408"], "{answer}");
    assert!(answer.contains("body_timeout"), "{answer}");
    well(&server).await;
    harness::survived("Bodies that never come", "408", "nothing");
}

#[tokio::test]
async fn a_head_over_the_limit_is_a_431() {
    let server = Setup::new().start();
    for head in [
        format!("GET /livez HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "a".repeat(200_000)),
        format!("GET /livez HTTP/1.1\r\nhost: x\r\n{}\r\n", "x-many: 1\r\n".repeat(5_000)),
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(200_000)),
    ] {
        let answer = raw(&server, head.as_bytes()).await;
        let statuses = statuses(&answer);
        // What was not read when the connection closed may hide the answer.
        assert!(
            statuses.iter().all(|status| ["431", "414", "400"].contains(status)),
            "{} of {statuses:?}",
            &head[..30]
        );
    }
    well(&server).await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_and_harm_nobody() {
    let server = Setup::new().set("SERVER__MAX_CONNECTIONS", 8).start();
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(connect(&server).await);
    }
    let waiting = server.anonymous(reqwest::Method::GET, "/livez").timeout(PATIENCE).send();
    let waiting = tokio::spawn(waiting);
    drop(idle);
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    well(&server).await;
    harness::survived(
        "Idle connections beyond the limit",
        "they wait, others are served",
        "nothing",
    );
}

/// Each of these says two things about where a request ends, or is framed as no
/// request may be (RFC 9112 sections 2.2, 3, 5.2, 6.1, 6.3 and 7.1). Read the
/// other way a second request hides in it, which must not be answered.
#[tokio::test]
async fn a_request_with_two_ends_smuggles_nothing() {
    let server = Setup::new().start();
    let hidden = format!(
        "GET /v1/keys HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN}\r\nconnection: close\r\n\r\n"
    );
    let post = |headers: &str, body: &str| {
        format!("POST /v1/collections/default/search HTTP/1.1\r\nhost: x\r\n{headers}\r\n{body}")
    };
    let length = hidden.len();
    for (name, request) in [
        (
            "two lengths",
            post(&format!("content-length: 0\r\ncontent-length: {length}\r\n"), &hidden),
        ),
        ("a list of lengths", post(&format!("content-length: 0, {length}\r\n"), &hidden)),
        ("a signed length", post("content-length: +0\r\n", &hidden)),
        ("a strange coding", post("transfer-encoding: x-chunked\r\n", &hidden)),
        ("chunked is not last", post("transfer-encoding: chunked, identity\r\n", &hidden)),
        ("a space before the colon", post("content-length : 0\r\n", &hidden)),
        ("a folded header", post("x-a: 1\r\n content-length: 0\r\n", &hidden)),
        (
            "a chunk size that overflows",
            post("transfer-encoding: chunked\r\n", &format!("fffffffffffffffff\r\n{hidden}")),
        ),
        (
            "a chunk size with a sign",
            post("transfer-encoding: chunked\r\n", &format!("+0\r\n\r\n{hidden}")),
        ),
        ("a NUL in a header", post("x-a: \0\r\ncontent-length: 0\r\n", &hidden)),
        ("no version", format!("GET /livez\r\n\r\n{hidden}")),
    ] {
        let answer = raw(&server, request.as_bytes()).await;
        assert!(!answer.contains("\"keys\""), "{name}: {answer}");
        assert!(statuses(&answer).len() <= 1, "{name}: {answer}");
        assert!(statuses(&answer).iter().all(|status| status.starts_with('4')), "{name}: {answer}");
    }
    // Both framings at once: chunked wins and the connection ends there (6.1).
    let both =
        post("content-length: 4\r\ntransfer-encoding: chunked\r\n", &format!("0\r\n\r\n{hidden}"));
    let answer = raw(&server, both.as_bytes()).await;
    assert!(!answer.contains("\"keys\""), "{answer}");
    well(&server).await;
    harness::survived(
        "Eleven forms of request smuggling",
        "none is taken for two requests",
        "nothing",
    );
}

#[tokio::test]
async fn bytes_that_are_no_text_are_a_clients_error() {
    let server = Setup::new().start();
    let key = format!("authorization: Bearer {ADMIN}\r\nconnection: close\r\n");
    let requests: [(&str, Vec<u8>); 5] = [
        ("path", [b"GET /v1/jobs/\xff\xfe HTTP/1.1\r\nhost: x\r\n".as_slice(), key.as_bytes(), b"\r\n"].concat()),
        ("encoded path", format!("GET /v1/jobs/%ff%fe HTTP/1.1\r\nhost: x\r\n{key}\r\n").into()),
        ("query", format!("GET /v1/jobs?cursor=%ff%fe HTTP/1.1\r\nhost: x\r\n{key}\r\n").into()),
        ("credential", b"GET /v1/jobs HTTP/1.1\r\nhost: x\r\nauthorization: Bearer \xff\xfe\r\nconnection: close\r\n\r\n".to_vec()),
        (
            "body",
            [
                format!("POST /v1/collections/default/search HTTP/1.1\r\nhost: x\r\n{key}content-type: application/json\r\ncontent-length: 14\r\n\r\n").as_bytes(),
                b"{\"query\":\"\xff\xfe\"}",
            ]
            .concat(),
        ),
    ];
    for (name, request) in requests {
        let answer = raw(&server, &request).await;
        let statuses = statuses(&answer);
        assert!(
            statuses.len() == 1 && statuses.iter().all(|one| one.starts_with('4')),
            "{name}: {answer}"
        );
    }
    well(&server).await;
    harness::survived("Invalid UTF-8 everywhere", "400 or 422", "nothing");
}

#[tokio::test]
async fn what_is_pipelined_is_answered_in_order() {
    let server = Setup::new().start();
    let one = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n".repeat(20);
    let last = "GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = raw(&server, format!("{one}{last}").as_bytes()).await;
    let statuses = statuses(&answer);
    assert_eq!((statuses.len(), statuses.last()), (21, Some(&"404")), "{answer}");
}

/// CVE-2023-44487: streams that are opened and reset at once cost the client
/// nothing. The server ends the connection after some, or serves on.
#[tokio::test]
async fn streams_that_are_reset_at_once_harm_nobody() {
    let server = Setup::new().start();
    let mut stream = connect(&server).await;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    for id in 0..20_000_u32 {
        let id = (2 * id + 1).to_be_bytes();
        // HEADERS (:method GET, :scheme http, :path /, :authority x), then RST_STREAM.
        let block = [0x82, 0x86, 0x84, 0x41, 1, b'x'];
        bytes.extend([0, 0, 6, 1, 5]);
        bytes.extend(id);
        bytes.extend(block);
        bytes.extend([0, 0, 4, 3, 0]);
        bytes.extend(id);
        bytes.extend([0, 0, 0, 8]);
    }
    let _ = stream.write_all(&bytes).await;
    well(&server).await;
    drop(stream);
    well(&server).await;
    harness::survived("HTTP/2 rapid reset", "the connection ends, others are served", "nothing");
}

/// A head that is continued without end (CVE-2024-27316).
#[tokio::test]
async fn a_head_that_goes_on_for_ever_is_ended() {
    let server = Setup::new().start();
    let mut stream = connect(&server).await;
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    bytes.extend([0, 0, 3, 1, 0, 0, 0, 0, 1, 0x82, 0x86, 0x84]);
    for _ in 0..5_000 {
        // CONTINUATION with a header of 1,000 bytes, and never END_HEADERS.
        bytes.extend([0, 3, 0xee, 9, 0, 0, 0, 0, 1, 0, 1, b'a', 0x7f]);
        bytes.extend(variable(1_000 - 127));
        bytes.extend(std::iter::repeat_n(b'v', 1_000));
    }
    let _ = stream.write_all(&bytes).await;
    well(&server).await;
    rest(&mut stream).await;
    well(&server).await;
    harness::survived(
        "HTTP/2 continuation flood",
        "the connection ends, others are served",
        "nothing",
    );
}

/// The rest of a number that does not fit its prefix (RFC 7541 section 5.1), in
/// two bytes.
fn variable(number: u16) -> [u8; 2] {
    [(number % 128) as u8 | 0x80, (number / 128) as u8]
}
