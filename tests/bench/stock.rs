//! Ragtime beside stock `wasmtime serve` with the same handler, and beside a
//! native axum program that does the same work with the same crates:
//!
//! ```text
//! cargo build --release --workspace && cargo bench --workspace --bench stock
//! ```
//!
//! And, in the same way, the three choices of `handler.isolation` beside each
//! other. Two requests: `GET /livez`, which needs nothing of the host, and a lexical
//! search that is asked again and again. The servers run at the same time and
//! are asked in turn, round after round, so that what else happens on the
//! machine weighs on all of them alike.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::panic
)]

#[path = "stock/client.rs"]
mod client;
#[path = "stock/native.rs"]
mod native;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use client::{Request, rate};
use serde_json::json;

const KEY: &str = "rt_000000000000_0000000000000000000000000000000000000000001";
/// Enough for the work of a search to be seen, few enough for the provider's
/// index in plain Rust.
const DOCUMENTS: usize = 2_000;
const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(1_500);
const CONNECTIONS: usize = 16;

/// A server that ends with the benchmark.
struct Server {
    name: &'static str,
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server that says on stderr where it listens.
fn start(name: &'static str, command: &mut Command) -> Server {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = lines
        .find_map(|line| {
            let line = line.unwrap();
            let rest = line.split_once("http://")?.1;
            Some(rest.split(['/', ' ']).next().unwrap_or(rest).to_owned())
        })
        .unwrap_or_else(|| panic!("{name} ended"));
    std::thread::spawn(move || lines.for_each(drop));
    Server { name, child, address }
}

/// Ragtime, with this choice of `handler.isolation`.
fn ragtime(name: &'static str, isolation: &str, data: &Path) -> Server {
    let any = "127.0.0.1:0";
    start(
        name,
        Command::new(binaries().join("ragtime"))
            .args(["serve", "--listen", any, "--admin-listen", any, "--data-dir"])
            .arg(data)
            .env("RAGTIME_MODEL__SOURCE", "none")
            .env("RAGTIME_HANDLER__ISOLATION", isolation)
            .env("RAGTIME_AUTH__BOOTSTRAP_KEY", KEY)
            .env("RAGTIME_AUTH__RATE_PER_MINUTE", u32::MAX.to_string())
            .env("RAGTIME_AUTH__BURST", u32::MAX.to_string())
            .env("RAGTIME_LOG__LEVEL", "info,ragtime::access=off"),
    )
}

fn stock(data: &Path) -> Server {
    let component = data.join("ragtime-standalone.wasm");
    let plug = Command::new(binaries().join("ragtime"))
        .args(["guest", "plug", "-o"])
        .arg(&component)
        .output()
        .unwrap();
    assert!(plug.status.success(), "{plug:?}");
    let keys = json!([{"credential": KEY, "scopes": ["read", "write", "admin"],
        "rate_per_minute": u32::MAX, "burst": u32::MAX}]);
    start(
        "wasmtime serve",
        Command::new(env!("CARGO_BIN_EXE_stock-wasmtime"))
            .args(["serve", "-Scli", "--addr", "127.0.0.1:0", "--dir"])
            .arg(format!("{}::/data", data.display()))
            .args(["--env", &format!("RAGTIME_KEYS={keys}")])
            .arg(component),
    )
}

fn native_server(data: &Path) -> Server {
    start(
        "native axum",
        Command::new(std::env::current_exe().unwrap())
            .arg(native::COMMAND)
            .arg(data)
            .env("BENCH_KEY", KEY),
    )
}

fn binaries() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_stock-wasmtime")).parent().unwrap().to_owned()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Median requests a second of each server.
fn measure(servers: &[Server], request: &Request) -> Vec<f64> {
    let mut rates = vec![Vec::new(); servers.len()];
    for round in 0..=ROUNDS {
        for (server, rates) in servers.iter().zip(&mut rates) {
            let rate = rate(&server.address, request, CONNECTIONS, ROUND);
            // The first round warms up.
            if round > 0 {
                rates.push(rate);
            }
        }
    }
    rates.iter_mut().map(|rates| median(rates)).collect()
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some(native::COMMAND) {
        native::serve(Path::new(&arguments.next().unwrap()));
        return;
    }
    let folders: Vec<_> = (0..5).map(|_| tempfile::tempdir().unwrap()).collect();
    let [shared, tenant, request, stocks, natives] =
        std::array::from_fn(|number| folders[number].path());
    let mut servers = vec![
        ragtime("ragtime", "shared", shared),
        ragtime("per-tenant", "per-tenant", tenant),
        ragtime("per-request", "per-request", request),
        stock(stocks),
    ];
    for server in &servers {
        for from in (0..DOCUMENTS).step_by(500) {
            client::once(&server.address, &Request::ingest(KEY, from..from + 500));
        }
    }
    servers.push(native_server(natives));
    let names: Vec<_> = servers.iter().map(|server| server.name).collect();
    println!("| requests a second | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(servers.len()));
    for (name, request) in [("GET /livez", Request::live()), ("search", Request::search(KEY))] {
        let rates = measure(&servers, &request);
        let row = |cells: Vec<String>| cells.join(" | ");
        println!("| {name} | {} |", row(rates.iter().map(|rate| format!("{rate:.0}")).collect()));
        let beside = |rate: &f64| format!("{:.2} ×", rates[0] / rate);
        println!("| … Ragtime is | {} |", row(rates.iter().map(beside).collect()));
    }
}
