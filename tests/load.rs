//! Swapping under load. The short form is part of the suite; the long one
//! prints the figures of `docs/benchmarks.md`:
//!
//! ```text
//! cargo test --release --workspace --test server a_hundred_swaps -- --ignored --nocapture
//! ```

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::harness::{self, Server, Setup, built_in, variant};
use reqwest::Method;
use serde_json::json;

/// Words that documents and queries are made of.
const WORDS: [&str; 12] = [
    "syncopation",
    "stride",
    "piano",
    "march",
    "cakewalk",
    "melody",
    "left",
    "hand",
    "tempo",
    "rhythm",
    "Joplin",
    "bass",
];
const CLIENTS: usize = 16;

/// How a run is dimensioned.
struct Scale {
    documents: usize,
    /// To find out what the server can do, and to measure without swaps.
    phase: Duration,
    swaps: usize,
    /// Between two swaps.
    pause: Duration,
}

fn text(seed: usize) -> String {
    (0..60)
        .map(|at| WORDS[(seed * 7 + at * at + at * seed) % WORDS.len()])
        .collect::<Vec<_>>()
        .join(" ")
}

async fn server(scale: &Scale) -> Arc<Server> {
    let setup = Setup::new().without_budget().set("LOG__LEVEL", "info,ragtime::access=off");
    let server = Arc::new(setup.start());
    let documents: Vec<_> = (0..scale.documents)
        .map(|number| json!({"id": format!("d{number}"), "text": text(number)}))
        .collect();
    for batch in documents.chunks(500) {
        let path = "/v1/collections/default/documents?wait=indexed";
        let answer = server.post(path, json!({"documents": batch})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    server
}

/// One search; how long it took, or none when it failed.
async fn search(server: &Server, seed: usize, due: Instant) -> Option<Duration> {
    let query = [WORDS[seed % WORDS.len()], WORDS[(seed / 3) % WORDS.len()]].join(" ");
    let request = server
        .request(Method::POST, "/v1/collections/default/search")
        .json(&json!({"query": query, "top_k": 5}));
    let response = request.send().await.ok()?;
    let good = response.status() == 200;
    let body = response.bytes().await.ok()?;
    (good && body.starts_with(b"{\"results\":[{")).then(|| due.elapsed())
}

/// Searches, each client one after the other, for so long; how many a second.
async fn capacity(server: &Arc<Server>, phase: Duration) -> f64 {
    let end = Instant::now() + phase;
    let clients = (0..CLIENTS).map(|client| {
        let server = Arc::clone(server);
        tokio::spawn(async move {
            let mut count = 0;
            while Instant::now() < end {
                assert!(search(&server, client * 1_000 + count, Instant::now()).await.is_some());
                count += 1;
            }
            count
        })
    });
    let counts = futures::future::join_all(clients).await;
    counts.into_iter().map(Result::unwrap).sum::<usize>() as f64 / phase.as_secs_f64()
}

/// Searches at a steady rate until told to stop; latencies count from when a
/// request was due, so that a server that stalls is not measured less often.
/// Returns them sorted, and how many failed.
async fn steady(server: &Arc<Server>, rate: f64, stop: &Arc<AtomicBool>) -> (Vec<f64>, usize) {
    let failed = Arc::new(AtomicUsize::new(0));
    let interval = Duration::from_secs_f64(CLIENTS as f64 / rate);
    let start = Instant::now();
    let clients = (0..CLIENTS).map(|client| {
        let (server, stop, failed) = (Arc::clone(server), Arc::clone(stop), Arc::clone(&failed));
        let first = start + interval.mul_f64(client as f64 / CLIENTS as f64);
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            for number in 0_u32.. {
                let due = first + interval * number;
                tokio::time::sleep_until(due.into()).await;
                if stop.load(Relaxed) {
                    break;
                }
                match search(&server, client * 1_000 + number as usize, due).await {
                    Some(latency) => latencies.push(latency.as_secs_f64() * 1e3),
                    None => drop(failed.fetch_add(1, Relaxed)),
                }
            }
            latencies
        })
    });
    let all = futures::future::join_all(clients).await;
    let mut latencies: Vec<f64> = all.into_iter().flat_map(Result::unwrap).collect();
    latencies.sort_by(f64::total_cmp);
    (latencies, failed.load(Relaxed))
}

/// A module that takes long to compile, as a component that is no handler.
fn heavy(functions: usize) -> Vec<u8> {
    let body =
        "(i32.mul (i32.add (local.get 0) (i32.const 7)) (i32.xor (local.get 0) (i32.const 3)))";
    let body = (0..40).fold(body.to_owned(), |inner, _| format!("(i32.add {inner} (local.get 0))"));
    let function = format!("(func (param i32) (result i32) {body})");
    wat::parse_str(format!("(component (core module {}))", function.repeat(functions))).unwrap()
}

/// Swaps in a row: good ones of two versions, every fifth cut off, every
/// seventh slow to compile and no handler.
async fn swaps(server: &Server, scale: &Scale) -> usize {
    let good = built_in();
    let mut done = 0;
    for number in 0..scale.swaps {
        let (component, status) = match number {
            broken if broken % 5 == 4 => (good[..good.len() / 2].to_vec(), 422),
            slow if slow % 7 == 6 => (heavy(500 + slow), 422),
            _ => (variant(&good, if number % 2 == 0 { "even" } else { "odd" }), 200),
        };
        let answer = server.swap(component, "label=load").await;
        assert_eq!(answer.status, status, "swap {number}: {answer:?}");
        done += usize::from(status == 200);
        tokio::time::sleep(scale.pause).await;
    }
    done
}

fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// Resident memory in MB.
fn memory(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Until the replaced generations have gone.
async fn drained(server: &Server) {
    let gone = async {
        loop {
            let list = harness::Answer::of(server.admin(Method::GET, "/admin/guest")).await;
            if list.body["generations"].as_array().unwrap().len() == 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.unwrap();
}

async fn swap_under_load(scale: Scale) {
    let server = server(&scale).await;
    let peak = capacity(&server, scale.phase).await;
    let rate = peak * 0.7;
    let stop = Arc::new(AtomicBool::new(false));
    let (calm, ()) = tokio::join!(steady(&server, rate, &stop), async {
        tokio::time::sleep(scale.phase).await;
        stop.store(true, Relaxed);
    });
    // Both versions once, so that memory is compared with both in the code cache.
    for tag in ["even", "odd"] {
        assert_eq!(server.swap(variant(&built_in(), tag), "").await.status, 200);
    }
    drained(&server).await;
    let before = memory(&server);
    let stop = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    let (busy, done) = tokio::join!(steady(&server, rate, &stop), async {
        let done = swaps(&server, &scale).await;
        stop.store(true, Relaxed);
        done
    });
    let took = started.elapsed();
    drained(&server).await;
    let after = memory(&server);
    println!("capacity {peak:.0} searches/s, load {rate:.0}/s, {} documents", scale.documents);
    println!(
        "without swaps: {} searches, {} failed, p50 {:.2} ms, p99 {:.2} ms",
        calm.0.len(),
        calm.1,
        percentile(&calm.0, 50.0),
        percentile(&calm.0, 99.0)
    );
    println!(
        "during {} swaps ({done} good) in {:.1} s: {} searches, {} failed, p50 {:.2} ms, p99 {:.2} ms",
        scale.swaps,
        took.as_secs_f64(),
        busy.0.len(),
        busy.1,
        percentile(&busy.0, 50.0),
        percentile(&busy.0, 99.0)
    );
    println!(
        "p99 during / without: {:.2}; memory before {before} MB, after {after} MB",
        percentile(&busy.0, 99.0) / percentile(&calm.0, 99.0)
    );
    assert_eq!((calm.1, busy.1), (0, 0), "requests failed");
    assert!(!busy.0.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_handlers_are_swapped_under_load() {
    let phase = Duration::from_secs(1);
    let pause = Duration::from_millis(20);
    swap_under_load(Scale { documents: 200, phase, swaps: 10, pause }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute and is a measurement; see the head of this file"]
async fn a_hundred_swaps_under_load() {
    let phase = Duration::from_secs(20);
    let pause = Duration::from_millis(100);
    swap_under_load(Scale { documents: 2_000, phase, swaps: 100, pause }).await;
}
