//! Start to ready with a warm cache, and idle memory with the model loaded:
//! `cargo bench -p ragtime --bench startup`.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../harness/mod.rs"]
mod harness;

use std::time::{Duration, Instant};

use harness::Setup;

const STARTS: usize = 11;

#[tokio::main]
async fn main() {
    // The first start compiles the handler and fills the cache.
    let mut server = Setup::with_model().start();
    server.model().await;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        server.terminate();
        let setup = Setup::with_model_again(&server);
        let started = Instant::now();
        server = setup.start();
        times.push(ready(&server, started).await);
    }
    times.sort();
    let median = times.get(STARTS / 2).unwrap();
    println!(
        "start to ready, warm cache: {} ms (median of {STARTS}, slowest {} ms)",
        median.as_millis(),
        times.last().unwrap().as_millis()
    );
    server.model().await;
    server.search("warm").await;
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap_or_default();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("unknown");
    println!("idle memory, model loaded:  {}", memory.trim());
}

/// The time until `readyz` says that all is ready.
async fn ready(server: &harness::Server, started: Instant) -> Duration {
    loop {
        let answer = server.anonymous(reqwest::Method::GET, "/readyz").send().await;
        if answer.is_ok_and(|answer| answer.status() == 200) {
            return started.elapsed();
        }
    }
}
