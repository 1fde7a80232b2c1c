//! Starts a real server on a free port, in a folder of its own, and speaks HTTP
//! to it. The server is the `ragtime` binary; in the suite of the stock runtime
//! (`tests/both.rs`) it is `wasmtime serve` with the joined component, and in that of the
//! fleet (the same file with `cfg(fleet)`) two hosts that take turns.

#![allow(dead_code, reason = "each suite uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod answer;
mod browser;
pub mod bucket;
#[cfg(not(any(stock, fleet)))]
pub mod certificates;
pub mod child;
pub mod clients;
#[cfg(all(target_os = "linux", not(stock)))]
mod clock;
pub mod common;
pub mod compiled;
mod contract;
mod double;
pub mod endpoint;
#[cfg(not(stock))]
pub mod engines;
mod fixture;
#[cfg(fleet)]
pub mod fleet;
pub mod model;
pub mod pdf;
pub mod raw;
mod setup;
pub mod site;
pub mod stock;
#[cfg(not(any(stock, fleet)))]
pub mod tls_front;
#[cfg(not(stock))]
pub mod valkey;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use reqwest::{Client, ClientBuilder, Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

pub use answer::Answer;
pub use fixture::*;
use setup::folders;
pub use setup::{Host, Setup};

/// The first admin key of every server that the harness starts.
pub const ADMIN: &str = "rt_000000000000_0000000000000000000000000000000000000000001";

/// How long a server may take until it is ready: compiling the handler for the
/// first time on a busy machine.
const READY: Duration = Duration::from_secs(120);

/// A server that ends with the test; in the suite of the fleet several hosts, as one.
pub struct Server {
    /// The first is the one that the host of a server that is alone would be.
    children: Vec<Child>,
    pub url: String,
    /// The admin API.
    pub admin_url: String,
    pub dir: Arc<TempDir>,
    pub log: Arc<Mutex<Vec<String>>>,
    client: Client,
}

/// The folder of the binaries under test: a test is in `deps` below it.
fn binaries() -> PathBuf {
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned()
}

/// Where tests write down what they tried.
pub fn reports() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("survived")
}

/// Writes down what was tried and what came of it, as a row of the table in
/// `docs/operation.md`. At the end of a test, so that only what was seen is
/// written.
pub fn survived(tried: &str, survived: &str, lost: &str) {
    let row = format!("| {tried} | {survived} | {lost} |\n");
    let name: String = tried.chars().filter(|char| char.is_ascii_alphanumeric()).collect();
    std::fs::create_dir_all(reports()).unwrap();
    std::fs::write(reports().join(name), row).unwrap();
}

/// The root of the workspace.
pub fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().find(|dir| dir.join("Cargo.lock").exists()).unwrap()
}

/// A component that `cargo build` makes.
pub fn component(name: &str) -> PathBuf {
    binaries().parent().unwrap().join("guest/wasm32-wasip2/release").join(format!("{name}.wasm"))
}

/// The command under test, with nothing of this machine's settings.
pub fn binary() -> Command {
    let ragtime = binaries().join("ragtime");
    assert!(ragtime.exists(), "build the workspace's binaries first");
    let mut command = Command::new(ragtime);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RAGTIME_")) {
        // Where the model is is a fact about the machine.
        if name != "RAGTIME_MODEL__DIR" {
            command.env_remove(name);
        }
    }
    // The machine that builds all this may have little room left.
    command.env("RAGTIME_BACKUP__MIN_FREE_BYTES", "16777216");
    command
}

fn client(with: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
    static PROVIDER: OnceLock<()> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    // Well below the time after which the server closes an idle connection.
    let mut builder = Client::builder().pool_idle_timeout(Duration::from_secs(4));
    if cfg!(fleet) {
        // Hosts take turns by connection, and shall by request.
        builder = builder.pool_max_idle_per_host(0);
    }
    with(builder).build().unwrap()
}

impl Server {
    /// A request with the admin key.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(ADMIN)
    }

    /// A request without a key.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// A request to the admin API with the admin key.
    pub fn admin(&self, method: Method, path: &str) -> RequestBuilder {
        self.admin_anonymous(method, path).bearer_auth(ADMIN)
    }

    /// A request to the admin API without a key.
    pub fn admin_anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.admin_url))
    }

    /// Hands a component in, with these parameters.
    pub async fn swap(&self, component: Vec<u8>, parameters: &str) -> Answer {
        let request = self.admin(Method::POST, &format!("/admin/guest?{parameters}"));
        Answer::of(request.body(component)).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.request(Method::PUT, path).json(&body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::DELETE, path)).await
    }

    /// Puts a document into `default`, searchable on return.
    pub async fn document(&self, id: &str, text: &str) {
        let answer = self
            .put(&format!("/v1/collections/default/documents/{id}"), json!({"text": text}))
            .await;
        assert!(answer.status == 201 || answer.status == 200, "{answer:?}");
    }

    /// The ids that a search in `default` finds.
    pub async fn search(&self, query: &str) -> Vec<String> {
        let answer = self.post("/v1/collections/default/search", json!({"query": query})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let results = answer.body["results"].as_array().unwrap();
        results.iter().map(|result| result["document_id"].as_str().unwrap().to_owned()).collect()
    }

    /// A new key.
    pub async fn key(&self, request: Value) -> String {
        let answer = self.post("/v1/keys", request).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.body["credential"].as_str().unwrap().to_owned()
    }

    /// Waits until the embedding model is loaded.
    pub async fn model(&self) {
        let started = Instant::now();
        while !self
            .get("/readyz")
            .await
            .text
            .contains(r#""name":"embedding-model","state":"ready""#)
        {
            assert!(started.elapsed() < READY, "{:#?}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub fn log(&self) -> Vec<String> {
        self.log.lock().clone()
    }

    /// Waits for a line that has all of these words: lines are read by a thread
    /// of their own, which may be behind a response.
    pub async fn logged(&self, words: &[&str]) {
        let started = Instant::now();
        while !self.log().iter().any(|line| words.iter().all(|word| line.contains(word))) {
            assert!(started.elapsed() < Duration::from_secs(10), "no {words:?}: {:#?}", self.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The data folders of its hosts.
    pub fn folders(&self) -> Vec<PathBuf> {
        folders(Host::OF_SUITE, self.dir.path())
    }

    pub fn pid(&self) -> u32 {
        self.children[0].id()
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.children.iter_mut().for_each(|child| child.kill().unwrap());
        self.wait();
    }

    /// The same, while others still hold the server: returns when it is dead.
    pub fn kill_shared(&self) {
        self.signal("-KILL");
        // The last of its threads lets its files go.
        let is_dead = |child: &Child| {
            let pid = child.id();
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
            let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
            status.map_or(true, |status| status.contains("State:\tZ"))
                && threads.map_or(true, |threads| threads.count() <= 1)
        };
        while !self.children.iter().all(is_dead) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until it ends by itself; the status of the first host that failed, if one did.
    pub fn wait(&mut self) -> ExitStatus {
        let ended: Vec<_> = self.children.iter_mut().map(|child| child.wait().unwrap()).collect();
        ended.iter().find(|status| !status.success()).copied().unwrap_or(ended[0])
    }

    /// Asks it to end, and waits.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("-TERM");
        self.wait()
    }

    fn signal(&self, signal: &str) {
        for child in &self.children {
            let pid = child.id().to_string();
            assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
