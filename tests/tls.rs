//! TLS of both listeners, as clients of others meet it: curl, Python, reqwest. And what
//! becomes of certificates that are replaced, refused, expired or asked for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod certificates;

use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::harness::certificates::{Authority, Files, Issued};
use crate::harness::raw::{self, HEADERS, Http2, PATIENCE, connect, connect_narrow, first, rest};
use crate::harness::{self, ADMIN, Answer, Server, Setup, binary};
use reqwest::{Client, Identity, Method, Version};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Both listeners speak TLS with these files, which are looked at all the time.
fn secured(authority: &Authority, files: &Files) -> Setup {
    on("ADMIN", on("SERVER", Setup::new(), files), files).trusting(&authority.pem)
}

fn on(listener: &str, setup: Setup, files: &Files) -> Setup {
    setup
        .set(&format!("{listener}__TLS__CERTIFICATE_FILE"), files.path("tls.crt"))
        .set(&format!("{listener}__TLS__KEY_FILE"), files.path("tls.key"))
        .set(&format!("{listener}__TLS__RELOAD_INTERVAL_MS"), 20)
}

fn connector(authority: &Authority, protocols: &[&str]) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

/// A connection by TLS over one of TCP.
async fn over(
    tcp: TcpStream,
    authority: &Authority,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("127.0.0.1").unwrap();
    connector(authority, protocols).connect(name, tcp).await
}

async fn open(url: &str, authority: &Authority, protocols: &[&str]) -> TlsStream<TcpStream> {
    over(connect(url).await, authority, protocols).await.unwrap()
}

/// The certificate that a new connection is shown and accepts.
async fn shown(url: &str, authority: &Authority) -> Option<Vec<u8>> {
    let stream = over(connect(url).await, authority, &["http/1.1"]).await.ok()?;
    Some(stream.get_ref().1.peer_certificates()?.first()?.to_vec())
}

/// Waits until new connections are shown this certificate.
async fn until_shown(url: &str, authority: &Authority, issued: &Issued) {
    let began = Instant::now();
    while shown(url, authority).await.as_ref() != Some(&issued.der) {
        assert!(began.elapsed() < PATIENCE, "the certificate is not taken into use");
    }
}

async fn metric(server: &Server, line: &str) -> bool {
    let answer = Answer::read(server.admin(Method::GET, "/metrics").send().await.unwrap()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text.lines().any(|one| one == line)
}

async fn until_metric(server: &Server, line: &str) {
    let began = Instant::now();
    while !metric(server, line).await {
        assert!(began.elapsed() < PATIENCE, "no {line}");
    }
}

async fn curl(arguments: &[&str]) -> Output {
    let mut command = Command::new("curl");
    command.args(["-sS", "--noproxy", "*", "--max-time", "60"]).args(arguments);
    let ran = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    ran.expect("this test takes curl with HTTP/2, as the package curl of a system has it")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[tokio::test]
async fn curl_speaks_http_2_and_1_to_both_listeners() {
    let (authority, hsts) = (Authority::new(), "max-age=86400; includeSubDomains");
    let files = Files::of(&authority.server());
    let ca = files.write("ca.crt", &authority.pem);
    let server = secured(&authority, &files)
        .set("SERVER__TLS__HSTS_MAX_AGE_SECONDS", 86_400)
        .set("SERVER__TLS__HSTS_INCLUDE_SUBDOMAINS", true)
        .start();
    let (url, admin) = (format!("{}/livez", server.url), format!("{}/metrics", server.admin_url));
    let (ca, key) = (ca.to_str().unwrap(), format!("Authorization: Bearer {ADMIN}"));
    for url in [&url, &admin] {
        assert!(url.starts_with("https://127.0.0.1:"), "{url}");
        for (flag, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
            let form = "\n%{http_version} %{http_code} %header{strict-transport-security}";
            let answer = curl(&["--cacert", ca, flag, "-H", &key, "-w", form, url.as_str()]).await;
            let text = said(&answer);
            // HSTS holds for a name, so the admin API says it only where that is set.
            let strict = if url == &admin { "" } else { hsts };
            assert!(text.ends_with(&format!("\n{version} 200 {strict}")), "{text}");
        }
        // Who does not know the authority does not go on.
        let answer = curl(&[url.as_str()]).await;
        assert!(!answer.status.success() && said(&answer).contains("certificate"), "{answer:?}");
        for version in ["1.2", "1.3"] {
            let exactly = format!("--tlsv{version}");
            let answer =
                curl(&["--cacert", ca, &exactly, "--tls-max", version, "-H", &key, url]).await;
            assert!(answer.status.success(), "TLS {version}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn python_speaks_to_it() {
    let authority = Authority::new();
    let files = Files::of(&authority.server());
    let ca = files.write("ca.crt", &authority.pem);
    let server = secured(&authority, &files).start();
    const PROGRAM: &str = "import json, ssl, sys, urllib.request as r\n\
        context = ssl.create_default_context(cafile=sys.argv[2])\n\
        head = {'Authorization': 'Bearer ' + sys.argv[3], 'Content-Type': 'application/json'}\n\
        url = sys.argv[1] + '/v1/collections/default/documents/a'\n\
        body = json.dumps({'text': 'The quay is old. ' * 5000}).encode()\n\
        ask = r.Request(url, body, head, method='PUT')\n\
        print(r.urlopen(ask, context=context).status)\n\
        text = json.load(r.urlopen(r.Request(url, headers=head), context=context))['text']\n\
        print(text == 'The quay is old. ' * 5000)";
    let mut command = Command::new("python3");
    command.env("no_proxy", "127.0.0.1");
    command.args(["-c", PROGRAM, &server.url, ca.to_str().unwrap(), ADMIN]);
    let ran = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    let ran = ran.expect("this test takes python3");
    assert_eq!(said(&ran), "201\nTrue\n", "{ran:?}");
}

#[tokio::test]
async fn the_protocol_is_the_one_that_both_like_best() {
    let authority = Authority::new();
    let files = Files::of(&authority.server());
    let server = secured(&authority, &files).start();
    for (offered, agreed) in [
        (vec!["h2", "http/1.1"], Some("h2")),
        (vec!["http/1.1", "h2"], Some("h2")),
        (vec!["http/1.1"], Some("http/1.1")),
        (vec![], None),
    ] {
        let stream = open(&server.url, &authority, &offered).await;
        let spoken = stream.get_ref().1.alpn_protocol();
        assert_eq!(spoken, agreed.map(str::as_bytes), "{offered:?}");
    }
    // A client that speaks neither gets an alert that says so (RFC 7301 section 3.2).
    let refused = over(connect(&server.url).await, &authority, &["spdy/1"]).await;
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("NoApplicationProtocol"), "{error}");
    for (client, version) in [
        (trusting(&authority), Version::HTTP_2),
        (trusting(&authority).http1_only(), Version::HTTP_11),
    ] {
        let asked = client.build().unwrap().get(format!("{}/livez", server.url)).send().await;
        let answer = asked.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        // A server that does not say so by its settings binds no browser for a year.
        assert!(!answer.headers().contains_key("strict-transport-security"));
    }
}

fn trusting(authority: &Authority) -> reqwest::ClientBuilder {
    let ca = reqwest::Certificate::from_pem(authority.pem.as_bytes()).unwrap();
    Client::builder().tls_certs_only([ca])
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_handshake_is_closed_and_holds_nobody_up() {
    let authority = Authority::new();
    let files = Files::of(&authority.server());
    let server = secured(&authority, &files)
        .set("SERVER__TLS__HANDSHAKE_TIMEOUT_MS", 400)
        .set("ADMIN__TLS__HANDSHAKE_TIMEOUT_MS", 400)
        .start();
    // The head of a record that announces more than ever comes.
    let cut: &[u8] = &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];
    for url in [&server.url, &server.admin_url] {
        let mut slow = Vec::new();
        for said in [&b""[..], &cut[..1], cut] {
            for _ in 0..20 {
                let mut stream = connect(url).await;
                stream.write_all(said).await.unwrap();
                slow.push(stream);
            }
        }
        // Others come in at once while sixty have begun and say nothing.
        assert!(shown(url, &authority).await.is_some());
        for stream in &mut slow {
            rest(stream).await;
        }
    }
    let timeouts =
        "ragtime_tls_handshake_failures_total{listener=\"server\",reason=\"timeout\"} 60";
    until_metric(&server, timeouts).await;
    // One that drips has no more time than one that says nothing.
    let mut dripping = connect(&server.url).await;
    let began = Instant::now();
    dripping.write_all(cut).await.unwrap();
    while dripping.write_all(&[0]).await.is_ok() && began.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(began.elapsed() < PATIENCE, "a dripping handshake goes on");
    harness::survived(
        "TLS handshakes that are begun and not finished",
        "they are closed in time, on both listeners; others come in meanwhile",
        "nothing",
    );
}

#[tokio::test]
async fn the_limits_of_connections_hold_for_tls_too() {
    let authority = Authority::new();
    let files = Files::of(&authority.server());
    let server = secured(&authority, &files)
        .set("SERVER__MAX_CONNECTIONS_PER_ADDRESS", 3)
        .set("SERVER__TLS__HANDSHAKE_TIMEOUT_MS", 60_000)
        .start();
    // Those that have not shaken hands are counted as well.
    let mut held = vec![connect(&server.url).await, connect(&server.url).await];
    let mut third = open(&server.url, &authority, &[]).await;
    third.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(first(&mut third).await.contains("200"));
    for _ in 0..5 {
        let one_more = over(connect(&server.url).await, &authority, &[]).await;
        assert!(one_more.is_err());
    }
    server.logged(&["connections of one address were closed"]).await;
    held.pop();
    let began = Instant::now();
    while over(connect(&server.url).await, &authority, &[]).await.is_err() {
        assert!(began.elapsed() < PATIENCE, "the place is not given back");
    }
}

#[tokio::test]
async fn silence_and_responses_that_are_not_read_end_in_time() {
    let authority = Authority::new();
    let files = Files::of(&authority.server());
    let server = secured(&authority, &files)
        .set("SERVER__HEADER_TIMEOUT_MS", 300)
        .set("SERVER__IDLE_TIMEOUT_MS", 300)
        .set("SERVER__SEND_TIMEOUT_MS", 400)
        .set("SERVER__MAX_REQUESTS", 1)
        .set("SERVER__QUEUE_TIMEOUT_MS", 20_000)
        .set("SERVER__OVERLOAD_TIMEOUT_MS", 20_000)
        .start();
    for url in [&server.url, &server.admin_url] {
        for said in [&b""[..], b"G", &raw::PREFACE[..10], b"GET / HTTP/1.1\r\n", raw::PREFACE] {
            let mut silent = open(url, &authority, &[]).await;
            silent.write_all(said).await.unwrap();
            rest(&mut silent).await;
        }
        let mut idle = Http2::begin(open(url, &authority, &["h2"]).await, 65_535).await;
        let stream = idle.request("GET", "/livez", &[], true).await;
        idle.until(HEADERS, stream).await.expect("an answer");
        idle.until_closed().await;
    }
    let path = "/v1/collections/default/documents/long";
    let long = json!({"text": "word ".repeat(1024 * 1024)});
    // Whether search finds it does not matter.
    assert!(server.put(path, long).await.status < 300);
    let key = format!("Bearer {ADMIN}");
    let narrow = connect_narrow(&server.url).await;
    let mut narrow = over(narrow, &authority, &["http/1.1"]).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: {key}\r\n\r\n");
    narrow.write_all(head.as_bytes()).await.unwrap();
    let mut frugal = Http2::begin(open(&server.url, &authority, &["h2"]).await, 1).await;
    let stream = frugal.request("GET", path, &[("authorization", &key)], true).await;
    frugal.until(HEADERS, stream).await.expect("a head");
    // Both hold the only turn until their time is over.
    assert_eq!(server.get("/v1/collections").await.status, 200);
    rest(&mut narrow).await;
    frugal.until_closed().await;
}

#[tokio::test]
async fn a_shutdown_lets_requests_by_tls_finish_and_waits_for_no_handshake() {
    let authority = Authority::new();
    let files = Files::of(&authority.server());
    let mut server = secured(&authority, &files).set("SERVER__DRAIN_TIMEOUT_MS", 60_000).start();
    let mut half = connect(&server.url).await;
    half.write_all(&[22]).await.unwrap();
    let mut slow = open(&server.url, &authority, &["http/1.1"]).await;
    let head = format!(
        "POST /v1/collections/default/search HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN}\
         \r\ncontent-type: application/json\r\ncontent-length: 13\r\n\r\n{{"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let at_work = async || {
        let asked = server.admin(Method::GET, "/admin/requests").send().await.unwrap();
        Answer::read(asked).await.body["in_flight"].as_array().unwrap().len()
    };
    while at_work().await == 0 {
        tokio::task::yield_now().await;
    }
    let pid = server.pid().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    rest(&mut half).await;
    slow.write_all(b"\"query\":\"x\"}").await.unwrap();
    assert!(rest(&mut slow).await.starts_with("HTTP/1.1 200"));
    assert!(server.terminate().success());
}

#[tokio::test]
async fn whoever_speaks_plain_http_is_told() {
    let authority = Authority::new();
    let files = Files::of(&authority.server());
    let server = secured(&authority, &files).start();
    let plain = server.url.replace("https://", "http://");
    let refused = Client::new().get(format!("{plain}/livez")).send().await.unwrap();
    Answer::read(refused).await.assert_problem(400, "tls_required");
    let long = "x".repeat(200_000);
    let refused = Client::new().post(format!("{plain}/v1/keys")).body(long).send().await;
    // A body that is on its way may be cut off by the answer.
    if let Ok(refused) = refused {
        assert_eq!(refused.status(), 400);
    }
    until_metric(
        &server,
        "ragtime_tls_handshake_failures_total{listener=\"server\",reason=\"plain_http\"} 2",
    )
    .await;
    let search = |url: &str, ca: Option<&str>| {
        let mut command = binary();
        command.args(["search", "x", "--server", url]).env("RAGTIME_KEY", ADMIN);
        if let Some(ca) = ca {
            command.args(["--ca", ca]);
        }
        let ran = command.output().unwrap();
        (ran.status.success(), said(&ran))
    };
    let ca = files.write("ca.crt", &authority.pem);
    let ca = ca.to_str().unwrap();
    let (done, text) = search(&plain, None);
    assert!(!done && text.contains("Call it by https://"), "{text}");
    let (done, text) = search(&server.url, None);
    assert!(!done && text.contains("--ca FILE, or RAGTIME_CA"), "{text}");
    let (done, text) = search(&server.url, Some(&files.path("tls.key")));
    assert!(!done && text.contains("holds no certificate in PEM"), "{text}");
    let (done, text) = search(&server.url, Some("/nowhere"));
    assert!(!done && text.contains("/nowhere: No such file"), "{text}");
    assert!(search(&server.url, Some(ca)).0);
    // And by the other mistake.
    let without = Setup::new().start();
    let (done, text) = search(&without.url.replace("http://", "https://"), Some(ca));
    assert!(!done && text.contains("call it by http://"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_health_check_goes_by_the_settings() {
    let (authority, operators) = (Authority::new(), Authority::new());
    let files = Files::of(&authority.server());
    let clients = files.write("clients.crt", &operators.pem);
    let operator = operators.client();
    let (shown, key) =
        (files.write("c.crt", &operator.certificate), files.write("c.key", &operator.key));
    let check = |server: &Server, setup: &[(&str, &str)]| {
        let mut command = binary();
        let address = server.url.split_once("://").unwrap().1;
        command.arg("health").env("RAGTIME_SERVER__LISTEN", address);
        for (name, value) in setup {
            command.env(name, value);
        }
        let ran = command.output().unwrap();
        (ran.status.code(), said(&ran))
    };
    let plain = Setup::new().start();
    assert_eq!(check(&plain, &[]), (Some(0), String::new()));
    let secured = secured(&authority, &files)
        .set("SERVER__TLS__CLIENT_CA_FILE", clients.to_str().unwrap())
        .start();
    let tls = [("RAGTIME_SERVER__TLS__CERTIFICATE_FILE", files.path("tls.crt"))];
    let tls: Vec<_> = tls.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let with_certificate = [
        ("RAGTIME_CLIENT_CERTIFICATE", shown.to_str().unwrap()),
        ("RAGTIME_CLIENT_KEY", key.to_str().unwrap()),
    ];
    assert_eq!(check(&secured, &[&tls[..], &with_certificate].concat()), (Some(0), String::new()));
    let (status, text) = check(&secured, &tls);
    assert!(status == Some(1) && text.contains("does not answer"), "{text}");
    // A check by plain HTTP fails here as well, and says what to do.
    let (status, text) = check(&secured, &[]);
    assert!(status == Some(1) && text.contains("tls_required"), "{text}");
}
