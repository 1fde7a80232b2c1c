//! Starts a real server on a free port, in a folder of its own, and speaks HTTP
//! to it. The server is the `ragtime` binary; in the suite of the stock runtime
//! (`tests/both.rs`) it is `wasmtime serve` with the joined component, and in that of the
//! fleet (the same file with `cfg(fleet)`) two hosts that take turns.

#![allow(dead_code, reason = "each suite uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod browser;
pub mod bucket;
#[cfg(not(any(stock, fleet)))]
pub mod certificates;
pub mod child;
pub mod clients;
pub mod common;
pub mod compiled;
mod contract;
mod double;
pub mod endpoint;
#[cfg(not(stock))]
pub mod engines;
#[cfg(fleet)]
pub mod fleet;
pub mod model;
pub mod pdf;
pub mod raw;
pub mod site;
pub mod stock;
#[cfg(not(stock))]
pub mod valkey;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use reqwest::{Client, ClientBuilder, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;

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

/// How to start one.
pub struct Setup {
    dir: Arc<TempDir>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    host: Host,
    listen: String,
    limit: Option<&'static str>,
    client: Option<Client>,
}

/// What runs the handler.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// `ragtime serve`.
    Ragtime,
    /// `wasmtime serve`, with the provider in the component.
    Stock,
    /// Hosts of `ragtime serve` on one PostgreSQL, which take turns.
    #[cfg(fleet)]
    Fleet,
}

impl Host {
    /// What the suite is about.
    const OF_SUITE: Self = {
        #[cfg(stock)]
        let host = Self::Stock;
        #[cfg(fleet)]
        let host = Self::Fleet;
        #[cfg(not(any(stock, fleet)))]
        let host = Self::Ragtime;
        host
    };
}

impl Setup {
    /// In a new folder, without the embedding model: most tests are not about
    /// it and start faster.
    pub fn new() -> Self {
        Self::with_model().argument("--no-model")
    }

    /// In a new folder, with the embedding model.
    pub fn with_model() -> Self {
        Self {
            dir: Arc::new(tempfile::tempdir().unwrap()),
            arguments: Vec::new(),
            environment: vec![
                ("RAGTIME_AUTH__BOOTSTRAP_KEY".into(), ADMIN.into()),
                ("RAGTIME_ADMIN__LISTEN".into(), "127.0.0.1:0".into()),
            ],
            host: Host::OF_SUITE,
            listen: "127.0.0.1:0".into(),
            limit: None,
            client: None,
        }
    }

    /// At this address, rather than at a free port.
    pub fn listen(self, address: &str) -> Self {
        Self { listen: address.to_owned(), ..self }
    }

    /// On this host, whichever suite it is.
    pub fn on(self, host: Host) -> Self {
        Self { host, ..self }
    }

    /// In the folder of another server, which has ended.
    pub fn again(server: &Server) -> Self {
        Self::new().in_folder_of(server)
    }

    /// The same in the folder of another server, which has ended.
    pub fn in_folder_of(self, server: &Server) -> Self {
        Self { dir: Arc::clone(&server.dir), ..self }
    }

    /// The same with the embedding model.
    pub fn with_model_again(server: &Server) -> Self {
        Self::with_model().in_folder_of(server)
    }

    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Without a setting that the harness gives, as `RAGTIME_AUTH__BOOTSTRAP_KEY`.
    pub fn without(mut self, variable: &str) -> Self {
        self.environment.retain(|(name, _)| name != variable);
        self
    }

    /// A setting, as `SERVER__LISTEN`.
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.push((format!("RAGTIME_{name}"), value.to_string()));
        self
    }

    /// The folder that its data will be in.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// A variable of the environment that is no setting.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a limit of `ulimit`, as `-n 64`. A file that grows too large is an
    /// error of its writer rather than the end of the process.
    pub fn limited(self, limit: &'static str) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// With a client that takes certificates of this authority, in PEM.
    pub fn trusting(self, authority: &str) -> Self {
        let authority = reqwest::Certificate::from_pem(authority.as_bytes()).unwrap();
        Self { client: Some(client(|client| client.tls_certs_only([authority]))), ..self }
    }

    /// Starts the server and waits until it takes requests.
    pub fn start(mut self) -> Server {
        let log = Arc::default();
        let started = match self.host {
            Host::Ragtime => vec![self.ragtime(self.dir.path(), &[], &log)],
            Host::Stock => {
                let mut command = stock::command(self.dir.path(), &self.environment);
                vec![Starting::spawn(Host::Stock, &mut command, &log)]
            }
            #[cfg(fleet)]
            Host::Fleet => self.hosts(&log),
        };
        let mut started: Vec<_> = started.into_iter().map(Starting::ready).collect();
        if self.host != Host::Stock {
            compiled::keep(&self.folders()[0]);
        }
        let (url, admin_url) = match self.host {
            Host::Ragtime | Host::Stock => {
                let host = &mut started[0];
                (std::mem::take(&mut host.url), std::mem::take(&mut host.admin_url))
            }
            #[cfg(fleet)]
            Host::Fleet => {
                let by = |url: fn(&Started) -> &str| fleet::turns(started.iter().map(url));
                (by(|host| &host.url), by(|host| &host.admin_url))
            }
        };
        let client = self.client.take().unwrap_or_else(|| client(|client| client));
        let children = started.into_iter().map(|host| host.child).collect();
        Server { children, url, admin_url, dir: self.dir, log, client }
    }
}

/// A server that has begun to start.
struct Starting {
    host: Host,
    child: Child,
    /// What it has said, and nobody else.
    log: Arc<Mutex<Vec<String>>>,
}

/// A server that takes requests.
struct Started {
    child: Child,
    url: String,
    admin_url: String,
}

impl Starting {
    /// Starts it; what it says goes to `log` too.
    fn spawn(host: Host, command: &mut Command, log: &Arc<Mutex<Vec<String>>>) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let own = Arc::new(Mutex::new(Vec::new()));
        let (kept, shared) = (Arc::clone(&own), Arc::clone(log));
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| {
                shared.lock().unwrap().push(line.clone());
                kept.lock().unwrap().push(line);
            });
        });
        Self { host, child, log: own }
    }

    fn ready(mut self) -> Started {
        let started = Instant::now();
        loop {
            if let Some((url, admin_url)) = self.host.urls(&self.log.lock().unwrap()) {
                return Started { child: self.child, url, admin_url };
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the server ended with {status}: {:#?}", self.log.lock().unwrap());
            }
            assert!(started.elapsed() < READY, "not ready: {:#?}", self.log.lock().unwrap());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Setup {
    /// Begins to start a host in this folder, with these settings beside its own.
    fn ragtime(
        &self,
        folder: &Path,
        settings: &[(String, String)],
        log: &Arc<Mutex<Vec<String>>>,
    ) -> Starting {
        compiled::lend(folder);
        let mut command = binary();
        if let Some(limit) = self.limit {
            let mut shell = Command::new("sh");
            shell.args(["-c", "trap '' XFSZ; ulimit $0; exec \"$@\"", limit]);
            shell.arg(command.get_program());
            for (name, _) in command.get_envs() {
                shell.env_remove(name);
            }
            command = shell;
        }
        command
            .args(["serve", "--listen", &self.listen, "--log-format", "json", "--data-dir"])
            .arg(folder)
            .args(&self.arguments)
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        Starting::spawn(Host::Ragtime, &mut command, log)
    }

    /// Begins to start the hosts of a fleet.
    #[cfg(fleet)]
    fn hosts(&self, log: &Arc<Mutex<Vec<String>>>) -> Vec<Starting> {
        let settings = fleet::settings(self.dir.path());
        let folders = self.folders();
        folders.iter().map(|folder| self.ragtime(folder, &settings, log)).collect()
    }

    fn folders(&self) -> Vec<PathBuf> {
        folders(self.host, self.dir.path())
    }
}

/// The data folders of a server whose folder this is.
fn folders(host: Host, dir: &Path) -> Vec<PathBuf> {
    match host {
        Host::Ragtime | Host::Stock => vec![dir.to_owned()],
        #[cfg(fleet)]
        Host::Fleet => fleet::folders(dir),
    }
}

impl Host {
    /// Where the server that logged this serves, and its admin API.
    fn urls(self, log: &[String]) -> Option<(String, String)> {
        let said = |words: &str| {
            log.iter()
                .find_map(|line| Some(line.strip_prefix(words)?.split(' ').next()?.to_owned()))
        };
        match self {
            #[cfg(fleet)]
            Self::Fleet => None,
            Self::Ragtime => said("Ragtime is ready on ").zip(said("The admin API is on ")),
            Self::Stock => {
                let url = said("Serving HTTP on ")?;
                Some((url.trim_end_matches('/').to_owned(), String::new()))
            }
        }
    }
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
        self.log.lock().unwrap().clone()
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

/// A response, read.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
    /// Null when the body is no JSON.
    pub body: Value,
}

impl Answer {
    /// Sends a request and holds the answer against the OpenAPI document.
    pub async fn of(request: RequestBuilder) -> Self {
        let (client, request) = request.build_split();
        let request = request.unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let answer = Self::read(client.execute(request).await.unwrap()).await;
        let media_type = answer.header("content-type");
        contract::check(&method, &path, answer.status, media_type, &answer.body)
            .unwrap_or_else(|fault| panic!("{fault}: {answer:?}"));
        answer
    }

    pub async fn read(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { status, headers, text, body }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts that it is this problem, in the contract's form.
    pub fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["type"], format!("/problems/{code}"));
        assert_eq!(self.body["request_id"], self.header("x-request-id"));
        for name in ["title", "detail", "instance"] {
            assert!(
                self.body[name].as_str().is_some_and(|text| !text.is_empty()),
                "{name}: {self:?}"
            );
        }
    }
}

/// The handler that is part of the binary.
pub fn built_in() -> Vec<u8> {
    std::fs::read(component("ragtime_guest")).unwrap()
}

/// A component with another hash: with a custom section at its end, which
/// changes nothing else.
pub fn variant(component: &[u8], tag: &str) -> Vec<u8> {
    let name = b"variant";
    let length = 1 + name.len() + tag.len();
    assert!(length < 128 && tag.len() < 100, "one byte of LEB128 each");
    let mut bytes = component.to_vec();
    bytes.extend([0, length as u8, name.len() as u8]);
    bytes.extend(name);
    bytes.extend(tag.as_bytes());
    bytes
}

/// A handler that tests need beside the default one. Its manifest is read when the tests
/// are compiled, so a fixture that is missing fails the build.
#[derive(Debug, Clone, Copy)]
pub struct Fixture {
    manifest: &'static str,
    name: &'static str,
}

macro_rules! fixtures {
    ($($(#[$doc:meta])* $fixture:ident = $name:literal;)*) => {$(
        $(#[$doc])*
        pub const $fixture: Fixture = Fixture {
            manifest: include_str!(concat!("../fixtures/", $name, "/Cargo.toml")),
            name: $name,
        };
    )*};
}

fixtures! {
    /// Tries to get at documents without leave.
    CHEAT = "cheat";
    /// Fails in every way a handler can.
    FAULTY = "faulty";
    /// Speaks WASI 0.2.
    WASI02 = "wasi02";
}

/// The component of a fixture, built on first use.
pub fn fixture(Fixture { manifest, name }: Fixture) -> PathBuf {
    static BUILD: Mutex<()> = Mutex::new(());
    let _one_at_a_time = BUILD.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let package = format!("ragtime-fixture-{name}");
    assert!(manifest.contains(&format!("name = \"{package}\"")), "{name} has another name");
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--release",
            "--locked",
            "--target",
            "wasm32-wasip2",
            "--package",
            &package,
        ])
        .arg("--target-dir")
        .arg(binaries().parent().unwrap().join("guest"))
        .current_dir(root())
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    component(&package.replace('-', "_"))
}
