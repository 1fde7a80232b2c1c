//! More requests than the server can serve. The short form is part of the suite
//! and looks at the answers of clients; the long one, with the model, prints the
//! figures of `docs/benchmarks.md`:
//!
//! ```text
//! cargo test --release --workspace --test server overload:: -- --ignored --nocapture
//! ```
//!
//! Client and server share the machine's cores, so the client's work is part of
//! what is measured; a question costs the server some hundred times as much.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::harness::{self, Server, Setup};
use reqwest::{Method, StatusCode};
use serde_json::json;

const CLIENTS: usize = 32;
/// How often the server's memory is looked at.
const SAMPLE: Duration = Duration::from_millis(50);

/// How requests of clients ended.
#[derive(Default)]
struct Outcomes {
    /// Milliseconds from when each request was due to the end of its answer.
    served: Vec<f64>,
    refused: usize,
    /// Answers that they should not have got.
    wrong: Vec<String>,
}

impl Outcomes {
    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Served(ms) => self.served.push(ms),
            Outcome::Refused => self.refused += 1,
            Outcome::Wrong(what) => self.wrong.push(what),
        }
    }

    fn percentile(&self, percent: f64) -> f64 {
        let mut sorted = self.served.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
    }
}

enum Outcome {
    Served(f64),
    Refused,
    Wrong(String),
}

/// What is asked, and how large the runs are.
#[derive(Clone, Copy)]
struct Scale {
    route: &'static str,
    documents: usize,
    phase: Duration,
}

/// Questions that no cache has seen.
fn question(number: u64) -> String {
    const ABOUT: [&str; 6] = ["rhythm", "stride", "melody", "march", "tempo", "harmony"];
    let word = |place: u64| ABOUT[(number / 6_u64.pow(place as u32) % 6) as usize];
    format!("What does part {number} say of the {} and the {} of a rag?", word(0), word(1))
}

async fn ask(server: &Server, scale: Scale, number: u64, due: Instant) -> Outcome {
    let path = format!("/v1/collections/default/{}", scale.route);
    let request = server.request(Method::POST, &path).json(&json!({"query": question(number)}));
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return Outcome::Wrong(error.to_string()),
    };
    let status = response.status();
    let comes_back = response.headers().contains_key("retry-after");
    match (status, response.bytes().await) {
        (StatusCode::OK, Ok(body)) if body.starts_with(b"{") => {
            Outcome::Served(due.elapsed().as_secs_f64() * 1e3)
        }
        (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, Ok(_)) if comes_back => {
            Outcome::Refused
        }
        (status, body) => Outcome::Wrong(format!("{status}: {body:?}")),
    }
}

/// As much as there is: each client asks again when it has its answer.
async fn closed(server: &Arc<Server>, scale: Scale, numbers: &Arc<AtomicU64>) -> Outcomes {
    let end = Instant::now() + scale.phase;
    let clients = (0..CLIENTS).map(|_| {
        let (server, numbers) = (Arc::clone(server), Arc::clone(numbers));
        tokio::spawn(async move {
            let mut outcomes = Vec::new();
            while Instant::now() < end {
                let number = numbers.fetch_add(1, Relaxed);
                outcomes.push(ask(&server, scale, number, Instant::now()).await);
            }
            outcomes
        })
    });
    let all = futures::future::join_all(clients).await;
    let mut outcomes = Outcomes::default();
    all.into_iter().flat_map(Result::unwrap).for_each(|one| outcomes.add(one));
    outcomes
}

/// A stream of requests that does not wait for answers.
async fn open(server: &Arc<Server>, scale: Scale, rate: f64, numbers: &Arc<AtomicU64>) -> Outcomes {
    let start = Instant::now();
    let count = (rate * scale.phase.as_secs_f64()) as u32;
    let interval = Duration::from_secs_f64(1.0 / rate);
    let mut asked = Vec::with_capacity(count as usize);
    for place in 0..count {
        let due = start + interval * place;
        tokio::time::sleep_until(due.into()).await;
        let (server, number) = (Arc::clone(server), numbers.fetch_add(1, Relaxed));
        asked.push(tokio::spawn(async move { ask(&server, scale, number, due).await }));
    }
    let mut outcomes = Outcomes::default();
    for one in asked {
        outcomes.add(one.await.unwrap());
    }
    outcomes
}

/// Resident memory in MB.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
}

/// The highest that memory gets while something runs.
async fn highest<R>(server: &Server, work: impl Future<Output = R>) -> (R, u64) {
    let (pid, over) = (server.pid(), Arc::new(AtomicBool::new(false)));
    let ended = Arc::clone(&over);
    let sampler = tokio::spawn(async move {
        let mut most = 0;
        while !ended.load(Relaxed) {
            most = most.max(memory(pid));
            tokio::time::sleep(SAMPLE).await;
        }
        most
    });
    let done = work.await;
    over.store(true, Relaxed);
    (done, sampler.await.unwrap())
}

async fn filled(setup: Setup, scale: Scale) -> Arc<Server> {
    let server = setup
        .without_budget()
        .set("LOG__LEVEL", "warn,ragtime::access=off")
        // One address stands for many clients here.
        .set("SERVER__MAX_CONNECTIONS_PER_ADDRESS", 4_096)
        .set("SERVER__MAX_REQUESTS_PER_ADDRESS", 4_096)
        .start();
    let documents: Vec<_> = (0..scale.documents as u64)
        .map(|number| json!({"id": format!("d{number}"), "text": question(number * 7)}))
        .collect();
    for batch in documents.chunks(500) {
        let path = "/v1/collections/default/documents?wait=indexed";
        let answer = server.post(path, json!({"documents": batch})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    Arc::new(server)
}

/// Offers multiples of what the server can do, and says what came of each.
async fn overload(server: Arc<Server>, scale: Scale, multiples: &[f64]) {
    // Made-up parts beyond those of the documents.
    let numbers = Arc::new(AtomicU64::new(1_000_000));
    closed(&server, scale, &numbers).await;
    let (outcomes, most) = highest(&server, closed(&server, scale, &numbers)).await;
    assert!(outcomes.wrong.is_empty(), "{:?}", outcomes.wrong);
    let peak = outcomes.served.len() as f64 / scale.phase.as_secs_f64();
    println!(
        "load      offered/s  served/s  of peak  refused  p50 ms  p99 ms  memory MB  calm after ms"
    );
    println!(
        "capacity  {:>9}  {peak:>8.0}  {:>7}  {:>7}  {:>6.0}  {:>6.0}  {most:>9}",
        "",
        "100 %",
        outcomes.refused,
        outcomes.percentile(50.0),
        outcomes.percentile(99.0)
    );
    for multiple in multiples {
        let rate = peak * multiple;
        let (outcomes, most) = highest(&server, open(&server, scale, rate, &numbers)).await;
        let calm = calm(&server, scale, &numbers).await;
        assert!(outcomes.wrong.is_empty(), "{:?}", &outcomes.wrong[..outcomes.wrong.len().min(5)]);
        assert!(!outcomes.served.is_empty());
        let served = outcomes.served.len() as f64 / scale.phase.as_secs_f64();
        println!(
            "{multiple:>7.0}x  {rate:>9.0}  {served:>8.0}  {:>5.0} %  {:>7}  {:>6.0}  {:>6.0}  {most:>9}  {:>13.0}",
            100.0 * served / peak,
            outcomes.refused,
            outcomes.percentile(50.0),
            outcomes.percentile(99.0),
            calm.as_secs_f64() * 1e3,
        );
    }
    assert_eq!(server.get("/readyz").await.status, 200);
}

/// How long until requests one after the other are served again.
async fn calm(server: &Server, scale: Scale, numbers: &AtomicU64) -> Duration {
    let (start, mut in_a_row) = (Instant::now(), 0);
    let mut since = Duration::ZERO;
    while in_a_row < 5 {
        match ask(server, scale, numbers.fetch_add(1, Relaxed), Instant::now()).await {
            Outcome::Served(_) => in_a_row += 1,
            Outcome::Refused => (in_a_row, since) = (0, start.elapsed()),
            Outcome::Wrong(what) => panic!("{what}"),
        }
        assert!(start.elapsed() < Duration::from_secs(60), "the server does not recover");
    }
    since
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_not_served_is_told_when_to_come_back() {
    let phase = Duration::from_secs(1);
    let scale = Scale { route: "search", documents: 200, phase };
    let setup = Setup::new()
        .set("SERVER__MAX_REQUESTS", 4)
        .set("SERVER__QUEUE_TIMEOUT_MS", 20)
        .set("SERVER__OVERLOAD_TIMEOUT_MS", 1);
    let server = filled(setup, scale).await;
    overload(Arc::clone(&server), scale, &[2.0, 5.0]).await;
    // Enough at once that there is no turn for all, however fast the machine.
    let numbers = AtomicU64::new(2_000_000);
    let all = (0..200).map(|_| ask(&server, scale, numbers.fetch_add(1, Relaxed), Instant::now()));
    let mut outcomes = Outcomes::default();
    futures::future::join_all(all).await.into_iter().for_each(|one| outcomes.add(one));
    assert!(outcomes.wrong.is_empty(), "{:?}", outcomes.wrong);
    assert!(outcomes.refused > 0 && !outcomes.served.is_empty(), "{} refused", outcomes.refused);
    let answer = server.post("/v1/collections/default/search", json!({"query": "rag"})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    harness::survived(
        "2 and 5 times the capacity",
        "all others get 429 or 503 with `Retry-After`",
        "nothing acknowledged",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes and is a measurement; see the head of this file"]
async fn two_five_and_ten_times_the_capacity() {
    let phase = Duration::from_secs(10);
    let scale = Scale { route: "query", documents: 2_000, phase };
    for at_work in [64, 512] {
        println!("server.max_requests = {at_work}");
        let setup = Setup::with_model().set("SERVER__MAX_REQUESTS", at_work);
        let server = filled(setup, scale).await;
        server.model().await;
        overload(server, scale, &[2.0, 5.0, 10.0]).await;
    }
}
