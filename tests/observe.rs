//! What an operator sees: metrics, traces, logs, the requests at work, the
//! audit log. And what nobody sees in any of them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::harness::{self, ADMIN, Answer, Server, Setup};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const TEXT: &str = "The zanzibar clause stays confidential between both parties.";
const B: &str = "/v1/collections/default/documents/b";
const SEARCH: &str = "/v1/collections/default/search";

/// A collector on the loopback that keeps what it gets.
struct Collector {
    url: String,
    bodies: Arc<Mutex<Vec<String>>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bodies);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut received = Vec::new();
                while !is_whole(&received) {
                    assert!(stream.read_buf(&mut received).await.unwrap() > 0);
                }
                kept.lock().push(String::from_utf8(received).unwrap());
                let _ = stream
                    .write_all(
                        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
                    )
                    .await;
            }
        });
        Self { url, bodies }
    }

    /// All spans so far, once one of this name is among them.
    async fn spans(&self, name: &str) -> Vec<Value> {
        let started = Instant::now();
        loop {
            let bodies = self.bodies.lock().clone();
            let spans: Vec<Value> = bodies.iter().flat_map(|body| spans_of(body)).collect();
            if spans.iter().any(|span| span["name"] == name) {
                return spans;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "no span {name}: {spans:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.unwrap().parse().unwrap()
}

fn spans_of(request: &str) -> Vec<Value> {
    let body: Value = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
    body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone()
}

fn attribute<'a>(span: &'a Value, name: &str) -> &'a Value {
    let attributes = span["attributes"].as_array().unwrap();
    let found = attributes.iter().find(|attribute| attribute["key"] == name);
    &found.unwrap_or_else(|| panic!("no {name}: {span:#}"))["value"]
}

async fn metrics(server: &Server) -> String {
    let answer = Answer::read(server.admin(Method::GET, "/metrics").send().await.unwrap()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text
}

/// Waits until the host knows the handler's routes, which it asks for when it
/// is ready.
async fn routes(server: &Server) {
    let started = Instant::now();
    while !metrics(server).await.contains("http_route=\"/livez\"") {
        server.get("/livez").await;
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}

/// The value of the first series that begins so.
fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find(|line| line.starts_with(series));
    let line = line.unwrap_or_else(|| panic!("no {series} in\n{metrics}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn metrics_count_requests_by_route_and_status() {
    let server = Setup::new().start();
    routes(&server).await;
    server.document("a", TEXT).await;
    let page = format!("<nav>Home</nav><p>{TEXT}</p>");
    server.put(B, json!({"text": page, "content_type": "text/html"})).await;
    server.search("zanzibar").await;
    server.get("/v1/collections/default/documents/none").await;
    server.get("/wp-login.php").await;
    let metrics = metrics(&server).await;
    let count = |method: &str, route: &str, status: u16| {
        value(
            &metrics,
            &format!(
                "http_server_request_duration_seconds_count{{http_request_method=\"{method}\",\
                 http_route=\"{route}\",http_response_status_code=\"{status}\"}}"
            ),
        )
    };
    assert_eq!(count("PUT", "/v1/collections/{collection}/documents/{id}", 201), 2.0);
    assert_eq!(count("GET", "/v1/collections/{collection}/documents/{id}", 404), 1.0);
    assert_eq!(count("POST", "/v1/collections/{collection}/search", 200), 1.0);
    assert_eq!(count("GET", "other", 404), 1.0);
    assert_eq!(value(&metrics, "http_server_active_requests"), 0.0);
    assert_eq!(value(&metrics, "ragtime_documents"), 2.0);
    assert_eq!(value(&metrics, "ragtime_ingested_documents_total{outcome=\"stored\"}"), 2.0);
    assert_eq!(value(&metrics, "ragtime_ingested_documents_total{outcome=\"failed\"}"), 0.0);
    let warnings = "ragtime_document_warnings_total{code=\"boilerplate_left_out\"}";
    assert_eq!(value(&metrics, warnings), 1.0);
    assert_eq!(value(&metrics, "ragtime_index_lag_chunks"), 0.0);
    assert_eq!(value(&metrics, "ragtime_handler_generation"), 1.0);
    assert!(value(&metrics, "ragtime_handler_instances ") >= 1.0);
    assert_eq!(value(&metrics, "ragtime_ready{part=\"store\"}"), 1.0);
    assert!(!metrics.contains("wp-login"), "a path is no label");
}

#[tokio::test]
async fn the_operators_pages_need_the_scope_admin() {
    let server = Setup::new().start();
    let reader = server.key(json!({"name": "reader", "scopes": ["read"]})).await;
    for path in ["/metrics", "/admin/requests", "/admin/audit"] {
        let url = format!("{}{path}", server.admin_url);
        let client = reqwest::Client::new();
        assert_eq!(client.get(&url).send().await.unwrap().status(), 401, "{path}");
        let refused = client.get(&url).bearer_auth(&reader).send().await.unwrap();
        assert_eq!(refused.status(), 403, "{path}");
        let refused = client.post(&url).bearer_auth(ADMIN).send().await.unwrap();
        assert_eq!(refused.status(), 405, "{path}");
    }
}

#[tokio::test]
async fn every_metric_of_the_dashboard_and_the_alerts_is_there() {
    let server = Setup::new().start();
    server.document("a", TEXT).await;
    server.post("/v1/collections/default/query", json!({"query": "zanzibar clause"})).await;
    let metrics = metrics(&server).await;
    let dashboard = include_str!("../host/dashboards/ragtime.json");
    let dashboard: Value = serde_json::from_str(dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    let shown: Vec<_> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    let alerts = include_str!("../host/dashboards/alerts.yaml");
    let told: Vec<_> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    assert_eq!(told.len(), alerts.matches("- alert: ").count());
    let words = |query: &str| -> Vec<String> {
        let words = query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        words.filter(|word| is_metric(word)).map(str::to_owned).collect()
    };
    let named: Vec<_> = shown.iter().chain(&told).flat_map(|query| words(query)).collect();
    for word in &named {
        let family = word.trim_end_matches("_bucket").trim_end_matches("_total");
        let family = family.trim_end_matches("_count").trim_end_matches("_sum");
        assert!(metrics.contains(&format!("# TYPE {family} ")), "{word} in\n{metrics}");
    }
    assert!(named.len() > 20, "the dashboard has panels: {named:?}");
    // What an operator is woken by stands on the dashboard too.
    let panels: BTreeSet<_> = shown.iter().flat_map(|query| words(query)).collect();
    for word in told.iter().flat_map(|query| words(query)) {
        assert!(panels.contains(&word), "{word} is on no panel");
    }
}

/// Whether a word of a query names a metric rather than a label or a function.
fn is_metric(word: &str) -> bool {
    const LABELS: [&str; 5] = [
        "http_route",
        "http_request_method",
        "http_response_status_code",
        "gen_ai_provider_name",
        "gen_ai_token_type",
    ];
    let starts = ["http_", "ragtime_", "gen_ai_", "process_"];
    starts.iter().any(|start| word.starts_with(start)) && !LABELS.contains(&word)
}

#[tokio::test]
async fn a_clients_trace_goes_on_into_log_and_spans() {
    let collector = Collector::start().await;
    let server = Setup::new().set("TELEMETRY__OTLP_ENDPOINT", &collector.url).start();
    routes(&server).await;
    server.document("a", TEXT).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = server
        .request(Method::POST, "/v1/collections/default/query")
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))
        .json(&json!({"query": "What does the zanzibar clause stay?"}));
    let answer = Answer::of(request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let name = "POST /v1/collections/{collection}/query";
    let spans = collector.spans(name).await;
    let root = spans.iter().find(|span| span["name"] == name).unwrap();
    assert_eq!(
        (&root["traceId"], &root["parentSpanId"]),
        (&json!(trace), &json!("00f067aa0ba902b7"))
    );
    assert_eq!(attribute(root, "http.response.status_code"), &json!({"intValue": "200"}));
    assert_eq!(attribute(root, "ragtime.request_id")["stringValue"], answer.header("x-request-id"));
    let chat = spans.iter().find(|span| span["name"] == "chat extractive").unwrap();
    assert_eq!((&chat["traceId"], &chat["parentSpanId"]), (&json!(trace), &root["spanId"]));
    server.logged(&[trace, answer.header("x-request-id")]).await;
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nobody_up() {
    let server = Setup::new().set("TELEMETRY__OTLP_ENDPOINT", "http://127.0.0.1:9").start();
    for _ in 0..20 {
        assert_eq!(server.get("/v1/collections").await.status, 200);
    }
    let started = Instant::now();
    while value(&metrics(&server).await, "ragtime_spans_dropped_total") < 20.0 {
        assert!(started.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn requests_at_work_and_the_last_ones_are_shown() {
    let server = Setup::new().start();
    routes(&server).await;
    server.document("a", TEXT).await;
    let address = server.url.strip_prefix("http://").unwrap().to_owned();
    let mut slow = tokio::net::TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST {SEARCH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ADMIN}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let started = Instant::now();
    let shown = loop {
        let answer = server.admin(Method::GET, "/admin/requests").send().await.unwrap();
        let shown = Answer::read(answer).await.body;
        if shown["in_flight"][0]["phase"] == "receiving" {
            break shown;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{shown:#}");
    };
    assert_eq!(shown["in_flight"][0]["route"], "/v1/collections/{collection}/search");
    let ended = &shown["ended"][0];
    assert_eq!((&ended["method"], &ended["status"]), (&json!("PUT"), &json!(201)));
    assert_eq!(ended["key"], "000000000000");
}

#[tokio::test]
async fn every_administrative_act_is_written_down() {
    let server = Setup::new().start();
    let made = server.post("/v1/keys", json!({"name": "ci", "scopes": ["read"]})).await;
    let id = made.body["id"].as_str().unwrap().to_owned();
    let patch = server.request(Method::PATCH, &format!("/v1/keys/{id}"));
    let changed = Answer::of(patch.json(&json!({"burst": 7}))).await;
    assert_eq!((changed.status, &changed.body["burst"]), (200, &json!(7)), "{changed:?}");
    server.post(&format!("/v1/keys/{id}/rotate"), json!({"grace_seconds": 60})).await;
    server.delete(&format!("/v1/keys/{id}")).await;
    let other = std::fs::read(harness::fixture(harness::FAULTY)).unwrap();
    assert_eq!(server.swap(other, "label=other").await.status, 200);
    let audit = |server: &Server, query: &str| {
        let request = server.admin(Method::GET, &format!("/admin/audit?{query}"));
        async { Answer::read(request.send().await.unwrap()).await }
    };
    let all = audit(&server, "limit=100").await;
    let acts: Vec<_> = all.body["acts"].as_array().unwrap().iter().collect();
    let actions: Vec<_> = acts.iter().map(|act| act["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["guest.swap", "key.revoke", "key.rotate", "key.update", "key.issue"]);
    assert!(acts.iter().all(|act| act["actor"] == "000000000000"), "{all:?}");
    assert_eq!((&acts[3]["target"], &acts[3]["detail"]["burst"]), (&json!(id), &json!(7)));
    assert!(
        !all.text.contains(made.body["credential"].as_str().unwrap().rsplit('_').next().unwrap())
    );
    let first = audit(&server, "limit=2").await;
    let next = first.body["next"].as_u64().unwrap();
    let second = audit(&server, &format!("limit=2&before={next}")).await;
    assert_eq!(second.body["acts"][0]["action"], "key.rotate");
}

/// A run with everything in it: keys that work and keys that do not, documents,
/// questions, failures, a generator, a trace.
#[tokio::test]
async fn no_secret_and_no_text_is_in_log_metrics_or_trace() {
    let collector = Collector::start().await;
    let server = Setup::new()
        .set("TELEMETRY__OTLP_ENDPOINT", &collector.url)
        .set("LOG__LEVEL", "info")
        .start();
    routes(&server).await;
    server.document("contract", TEXT).await;
    let question = "quixotic xylophone about the zanzibar clause";
    server.search(question).await;
    server.post("/v1/collections/default/query", json!({"query": question})).await;
    let wrong = "rt_AAAAAAAAAAAA_1111111111111111111111111111111111111111111";
    for path in [SEARCH, "/v1/keys", "/v1/collections/none/query"] {
        let request = server.anonymous(Method::POST, path).bearer_auth(wrong);
        assert_eq!(Answer::of(request.json(&json!({"query": question}))).await.status, 401);
    }
    let request = server.anonymous(Method::POST, SEARCH).header("x-api-key", wrong);
    Answer::of(request.body("{\"query\": \"broken zanzibar")).await;
    server.post(SEARCH, json!({"query": question, "zanzibar": 1})).await;
    let made = server.post("/v1/keys", json!({"name": "ci", "scopes": ["read"]})).await;
    server.get(&format!("/v1/collections/default/documents?cursor={question}")).await;
    let spans = collector.spans("POST /v1/keys").await;
    let metrics = metrics(&server).await;
    let credential = made.body["credential"].as_str().unwrap();
    let secret = |credential: &str| credential.rsplit('_').next().unwrap().to_owned();
    let told = [
        ("log", server.log().join("\n")),
        ("metrics", metrics),
        ("trace", serde_json::to_string(&spans).unwrap()),
    ];
    for (place, told) in told {
        assert!(told.len() > 500, "{place} has something in it");
        for hidden in [
            &secret(ADMIN),
            &secret(wrong),
            &secret(credential),
            "zanzibar",
            "quixotic",
            "xylophone",
            "confidential",
            "Bearer",
            "ref_",
        ] {
            assert!(!told.contains(hidden), "{hidden} in the {place}:\n{told}");
        }
    }
}
