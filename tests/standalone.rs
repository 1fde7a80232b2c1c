//! The handler and the provider in one component, under stock `wasmtime serve`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::routing::post;
use parking_lot::Mutex;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

const ADMIN: &str = "rt_000000000000_0000000000000000000000000000000000000000001";
const READER: &str = "rt_000000000001_0000000000000000000000000000000000000000002";
const DOCUMENTS: &str = "/v1/collections/default/documents";

/// The folder of the binaries under test.
fn binaries() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_stock-wasmtime")).parent().unwrap().to_owned()
}

/// What `ragtime guest plug` makes of the built-in handler.
fn plugged(dir: &Path) -> PathBuf {
    let component = dir.join("ragtime-standalone.wasm");
    let ragtime = binaries().join("ragtime");
    assert!(ragtime.exists(), "build the workspace's binaries first");
    let output =
        Command::new(ragtime).args(["guest", "plug", "-o"]).arg(&component).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let line = String::from_utf8(output.stdout).unwrap();
    assert!(line.starts_with("wasmtime serve -Scli "), "{line}");
    component
}

/// A stock server that ends with the test.
struct Server {
    child: Child,
    url: String,
    client: Client,
}

impl Server {
    fn start(component: &Path, data: &TempDir) -> Self {
        Self::with(component, data, &[])
    }

    fn with(component: &Path, data: &TempDir, settings: &[(&str, &str)]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let keys = json!([{"credential": READER, "scopes": ["read"], "collections": ["default"],
            "rate_per_minute": 1, "burst": 20}]);
        let mut child = Command::new(env!("CARGO_BIN_EXE_stock-wasmtime"))
            .args(["serve", "-Scli", "--addr", "127.0.0.1:0", "--dir"])
            .arg(format!("{}::/data", data.path().display()))
            .args(["--env", &format!("RAGTIME_AUTH__BOOTSTRAP_KEY={ADMIN}")])
            .args(["--env", &format!("RAGTIME_KEYS={keys}")])
            .args(settings.iter().map(|(name, value)| format!("--env=RAGTIME_{name}={value}")))
            .arg(component)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = lines.find_map(|line| {
            let line = line.unwrap();
            let (_, rest) = line.split_once("http://")?;
            Some(format!("http://{}", rest.trim_end_matches('/')))
        });
        // What nobody reads would fill the pipe and stop the server.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url: url.unwrap(), client: Client::new() }
    }

    async fn call(
        &self,
        key: &str,
        method: Method,
        path: &str,
        body: Value,
    ) -> (StatusCode, Value) {
        let mut request =
            self.client.request(method, format!("{}{path}", self.url)).bearer_auth(key);
        if !body.is_null() {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap_or(Value::Null))
    }

    async fn put(&self, id: &str, text: &str) -> StatusCode {
        let path = format!("{DOCUMENTS}/{id}");
        self.call(ADMIN, Method::PUT, &path, json!({"text": text})).await.0
    }

    async fn search(&self, query: &str) -> Vec<String> {
        let path = "/v1/collections/default/search";
        let (status, body) = self.call(ADMIN, Method::POST, path, json!({"query": query})).await;
        assert_eq!(status, 200, "{body}");
        let results = body["results"].as_array().unwrap();
        results.iter().map(|result| result["document_id"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_works_as_written() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&plugged(data.path()), &data);
    let page = include_str!("../docs/handlers.md");
    let (_, section) = page.split_once("## Under stock wasmtime serve").unwrap();
    let mut blocks = section.split("\n```");
    let code = blocks.nth(3).unwrap().strip_prefix("sh\n").unwrap();
    let shown = blocks.nth(1).unwrap().strip_prefix("text\n").unwrap();
    let output = Command::new("sh")
        .args(["-euc", code])
        .env("RAGTIME_SERVER", &server.url)
        .env("RAGTIME_KEY", ADMIN)
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    for piece in shown.split('…').map(str::trim) {
        assert!(printed.contains(piece), "{code}\nprinted\n{printed}\nand not\n{piece}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_outlive_the_server_and_are_shared_by_two() {
    let data = tempfile::tempdir().unwrap();
    let component = plugged(data.path());
    let first = Server::start(&component, &data);
    assert_eq!(first.put("a", "Flutter is an instability.").await, 201);
    let second = Server::start(&component, &data);
    assert_eq!(second.search("instabilities").await, ["a"]);
    assert_eq!(second.put("b", "An instability of shells.").await, 201);
    let mut both = first.search("instability").await;
    both.sort();
    assert_eq!(both, ["a", "b"]);
    let path = format!("{DOCUMENTS}/a");
    assert_eq!(first.call(ADMIN, Method::DELETE, &path, Value::Null).await.0, 204);
    drop(first);
    drop(second);
    let again = Server::start(&component, &data);
    assert_eq!(again.search("instability").await, ["b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_in_two_servers_lose_nothing() {
    let data = tempfile::tempdir().unwrap();
    let component = plugged(data.path());
    let servers = [Server::start(&component, &data), Server::start(&component, &data)];
    let [left, right] = &servers;
    for n in 0..10 {
        let (a, b) = (format!("left{n}"), format!("right{n}"));
        assert_eq!(
            tokio::join!(left.put(&a, "wing"), right.put(&b, "wing")),
            (StatusCode::CREATED, StatusCode::CREATED)
        );
    }
    for server in &servers {
        let path = "/v1/collections/default";
        let (_, body) = server.call(ADMIN, Method::GET, path, Value::Null).await;
        assert_eq!(body["documents"], 20, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_checked_below_the_handler() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(&plugged(data.path()), &data);
    let forged = ADMIN.replace("01", "03");
    let path = format!("{DOCUMENTS}/a");
    assert_eq!(server.call(&forged, Method::GET, &path, Value::Null).await.0, 401);
    assert_eq!(server.call("secret", Method::GET, &path, Value::Null).await.0, 401);
    let put = json!({"text": "wing"});
    let (status, body) = server.call(READER, Method::PUT, &path, put).await;
    assert_eq!((status.as_u16(), body["code"].as_str()), (403, Some("scope_required")), "{body}");
    server.call(ADMIN, Method::POST, "/v1/collections", json!({"name": "other"})).await;
    let other = "/v1/collections/other";
    assert_eq!(server.call(READER, Method::GET, other, Value::Null).await.0, 403);
    // One instance serves many requests, so a budget ends where it should.
    let mut last = StatusCode::OK;
    for _ in 0..200 {
        last = server.call(READER, Method::GET, "/v1/collections/default", Value::Null).await.0;
        if last == 429 {
            break;
        }
    }
    assert_eq!(last, 429);
}

/// A model that knows what things are about: vectors of three numbers, one for
/// each subject, and none while it is down.
#[derive(Clone, Default)]
struct Model {
    texts: Arc<Mutex<Vec<String>>>,
    down: Arc<Mutex<bool>>,
}

const SUBJECTS: [&[&str]; 3] = [&["car", "automobile"], &["apple", "fruit"], &[""]];
const MODEL_KEY: &str = "sk-embeddings-secret";

impl Model {
    async fn start(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let model = self.clone();
        let answer = async move |headers: HeaderMap, body: String| {
            let (status, answer) = model.embed(&headers, &serde_json::from_str(&body).unwrap());
            (status, answer.to_string())
        };
        let router = axum::Router::new().route("/v1/embeddings", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    fn embed(&self, headers: &HeaderMap, body: &Value) -> (StatusCode, Value) {
        if *self.down.lock() {
            return (StatusCode::SERVICE_UNAVAILABLE, Value::Null);
        }
        assert_eq!(headers["authorization"], format!("Bearer {MODEL_KEY}"));
        assert_eq!(body["model"], "toy");
        let texts = body["input"].as_array().unwrap().iter().map(|text| text.as_str().unwrap());
        let data = texts.clone().enumerate().map(|(index, text)| {
            let about = |words: &&[&str]| f32::from(words.iter().any(|word| text.contains(word)));
            json!({"index": index, "embedding": SUBJECTS.iter().map(about).collect::<Vec<_>>()})
        });
        self.texts.lock().extend(texts.clone().map(str::to_owned));
        (StatusCode::OK, json!({"data": data.collect::<Vec<_>>()}))
    }

    fn seen(&self, text: &str) -> usize {
        self.texts.lock().iter().filter(|seen| seen.contains(text)).count()
    }
}

async fn found(server: &Server, query: &str, mode: &str) -> (StatusCode, Value) {
    let body = json!({"query": query, "mode": mode});
    server.call(ADMIN, Method::POST, "/v1/collections/default/search", body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_come_from_an_endpoint_and_are_made_once() {
    let (data, model) = (tempfile::tempdir().unwrap(), Model::default());
    let (component, url) = (plugged(data.path()), model.start().await);
    let settings = [
        ("EMBEDDINGS__URL", url.as_str()),
        ("EMBEDDINGS__MODEL", "toy"),
        ("EMBEDDINGS__API_KEY", MODEL_KEY),
    ];
    let server = Server::with(&component, &data, &settings);
    assert_eq!(server.put("wheels", "The automobile stands outside.").await, 201);
    assert_eq!(server.put("food", "Eat an apple.").await, 201);
    for mode in ["vector", "hybrid"] {
        let (_, body) = found(&server, "car", mode).await;
        assert_eq!(body["results"][0]["document_id"], "wheels", "{body}");
        assert_eq!((&body["mode"], &body["degraded"]), (&json!(mode), &json!(false)));
    }
    let body = json!({"model": "toy", "input": ["fruit"]});
    let (status, body) = server.call(ADMIN, Method::POST, "/v1/embeddings", body).await;
    let vector = body["data"][0]["embedding"].as_array().unwrap();
    assert_eq!((status.as_u16(), vector[0].as_f64()), (200, Some(0.0)), "{body}");
    assert!(vector[1].as_f64().unwrap() > 0.7, "of unit length: {body}");
    drop(server);
    let server = Server::with(&component, &data, &settings);
    let (_, body) = found(&server, "fruit", "vector").await;
    assert_eq!(body["results"][0]["document_id"], "food", "{body}");
    assert_eq!((model.seen("automobile"), model.seen("Eat")), (1, 1), "made once, kept since");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_stored_while_the_model_was_down_gets_its_vectors_later() {
    let (data, model) = (tempfile::tempdir().unwrap(), Model::default());
    let (component, url) = (plugged(data.path()), model.start().await);
    let settings = [
        ("EMBEDDINGS__URL", url.as_str()),
        ("EMBEDDINGS__MODEL", "toy"),
        ("EMBEDDINGS__API_KEY", MODEL_KEY),
    ];
    *model.down.lock() = true;
    let server = Server::with(&component, &data, &settings);
    assert_eq!(server.put("wheels", "The automobile stands outside.").await, 201);
    let (_, body) = found(&server, "automobile", "hybrid").await;
    assert_eq!(body["results"][0]["document_id"], "wheels", "{body}");
    assert_eq!(body["degraded"], true, "{body}");
    assert_eq!(found(&server, "car", "vector").await.0, 503);
    let (_, ready) = server.call(ADMIN, Method::GET, "/readyz", Value::Null).await;
    assert!(ready.to_string().contains("degraded"), "{ready}");
    *model.down.lock() = false;
    let (_, body) = found(&server, "car", "vector").await;
    assert_eq!(body["results"][0]["document_id"], "wheels", "{body}");
}
