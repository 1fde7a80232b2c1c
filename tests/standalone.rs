//! The handler and the provider in one component, under stock `wasmtime serve`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

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
        let _ = rustls::crypto::ring::default_provider().install_default();
        let keys = json!([{"credential": READER, "scopes": ["read"], "collections": ["default"],
            "rate_per_minute": 1, "burst": 20}]);
        let mut child = Command::new(env!("CARGO_BIN_EXE_stock-wasmtime"))
            .args(["serve", "-Scli", "--addr", "127.0.0.1:0", "--dir"])
            .arg(format!("{}::/data", data.path().display()))
            .args(["--env", &format!("RAGTIME_AUTH__BOOTSTRAP_KEY={ADMIN}")])
            .args(["--env", &format!("RAGTIME_KEYS={keys}")])
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
    let readme = include_str!("../README.md");
    let (_, section) = readme.split_once("## Under stock wasmtime serve").unwrap();
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
