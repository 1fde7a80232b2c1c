//! Mixed traffic for a long time, with swaps and kills: what grows must stop
//! growing. The short form is part of the suite; the long one is
//!
//! ```text
//! RAGTIME_ENDURANCE_SECONDS=1800 cargo test --release --workspace --test server endurance:: -- --ignored --nocapture
//! ```

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use crate::harness::{self, Answer, Server, Setup, built_in, variant};
use reqwest::{Method, RequestBuilder};
use serde_json::json;

const DOCUMENTS: &str = "/v1/collections/default/documents";
const WRONG: &str = "rt_AAAAAAAAAAAA_1111111111111111111111111111111111111111111";
const CLIENTS: u64 = 8;
/// Documents that come and go.
const IDS: u64 = 200;

/// How long, and how often something happens.
struct Scale {
    long: Duration,
    between_swaps: Duration,
    between_kills: Duration,
}

/// What the process holds.
#[derive(Debug, Clone)]
struct Held {
    memory_mb: u64,
    descriptors: usize,
    instances: u64,
    temporary: Vec<String>,
}

async fn held(server: &Server) -> Held {
    let proc = format!("/proc/{}", server.pid());
    let status = std::fs::read_to_string(format!("{proc}/status")).unwrap();
    let rss = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let metrics = server.admin(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    let instances = metrics
        .lines()
        .find_map(|line| line.strip_prefix("ragtime_handler_instances "))
        .map_or(0, |count| count.parse().unwrap());
    let temporary = walkdir::WalkDir::new(server.dir.path())
        .min_depth(1)
        .into_iter()
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        // wasmtime's cache keeps one file that says when it was cleaned.
        .filter(|name| name.contains("tmp"))
        .collect();
    Held {
        memory_mb: rss.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024,
        descriptors: std::fs::read_dir(format!("{proc}/fd")).unwrap().count(),
        instances,
        temporary,
    }
}

/// Words of a document's version.
fn text(id: u64, version: u64) -> String {
    format!(
        "Rag {id} in version{version}. {}",
        "It keeps a steady march in the left hand. ".repeat(8)
    )
}

fn request(server: &Server, number: u64) -> RequestBuilder {
    let id = number * 7 % IDS;
    let path = format!("{DOCUMENTS}/d{id}");
    let read = |route: &str, body| {
        let path = format!("/v1/collections/default/{route}");
        server.request(Method::POST, &path).json(&body)
    };
    let question = format!("What does rag {id} keep in the left hand?");
    match number % 8 {
        0 | 1 => server.request(Method::PUT, &path).json(&json!({"text": text(id, number)})),
        2 => server.request(Method::DELETE, &path),
        3 | 4 => read("search", json!({"query": format!("version{number} march")})),
        5 => read("query", json!({"query": question})),
        6 => read("query", json!({"query": question, "stream": true})),
        _ => server.anonymous(Method::GET, DOCUMENTS).bearer_auth(WRONG),
    }
}

/// Traffic until told to stop. While the server is away nobody is to blame; what
/// was answered must be one of the answers there are.
async fn traffic(
    server: Arc<RwLock<Arc<Server>>>,
    numbers: Arc<AtomicU64>,
    away: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
) -> BTreeMap<String, u64> {
    let mut answers = BTreeMap::new();
    while !stop.load(Relaxed) {
        let current = Arc::clone(&server.read());
        let was_away = away.load(Relaxed);
        let answer = match request(&current, numbers.fetch_add(1, Relaxed)).send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                match response.bytes().await {
                    Ok(_) => status.to_string(),
                    Err(_) => "broken".to_owned(),
                }
            }
            Err(_) => "broken".to_owned(),
        };
        drop(current);
        let excused = was_away || away.load(Relaxed);
        if excused && answer == "broken" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let name = if excused && answer == "broken" { "away".to_owned() } else { answer };
        *answers.entry(name).or_insert(0) += 1;
    }
    answers
}

async fn endure(scale: Scale) {
    let server = Arc::new(RwLock::new(Arc::new(unlimited(Setup::new()).start())));
    let (stop, away) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let numbers = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (server, numbers) = (Arc::clone(&server), Arc::clone(&numbers));
            tokio::spawn(traffic(server, numbers, Arc::clone(&away), Arc::clone(&stop)))
        })
        .collect();
    let began = Instant::now();
    let (mut swaps, mut kills, mut series) = (0_u32, 0_u32, Vec::new());
    while began.elapsed() < scale.long {
        let born = Instant::now();
        while born.elapsed() < scale.between_kills && began.elapsed() < scale.long {
            tokio::time::sleep(scale.between_swaps).await;
            let current = Arc::clone(&server.read());
            let tag = if swaps.is_multiple_of(2) { "even" } else { "odd" };
            let swapped = current.swap(variant(&built_in(), tag), "label=endurance").await;
            assert_eq!(swapped.status, 200, "{swapped:?}");
            swaps += 1;
            let now = held(&current).await;
            println!(
                "{:>6.0} s  {now:?}  {} requests",
                began.elapsed().as_secs_f64(),
                numbers.load(Relaxed)
            );
            series.push((kills, now));
        }
        if began.elapsed() < scale.long {
            restart(&server, &away).await;
            kills += 1;
        }
    }
    stop.store(true, Relaxed);
    let mut answers = BTreeMap::new();
    for client in clients {
        for (answer, count) in client.await.unwrap() {
            *answers.entry(answer).or_insert(0) += count;
        }
    }
    println!("{swaps} swaps, {kills} kills, answers: {answers:?}");
    let known = ["200", "201", "204", "401", "404", "away"];
    assert!(answers.keys().all(|answer| known.contains(&answer.as_str())), "{answers:?}");
    let current = Arc::clone(&server.read());
    settle(&current).await;
    restart(&server, &away).await;
    let current = Arc::clone(&server.read());
    let after = held(&current).await;
    assert!(after.temporary.is_empty(), "{after:?}");
    flat(&series);
}

/// Budgets are tested elsewhere.
fn unlimited(setup: Setup) -> Setup {
    setup.without_budget().set("AUTH__FAILURE_BURST", u32::MAX).set("LOG__LEVEL", "error")
}

/// Kills the server as a power cut does, and starts another in its folder.
async fn restart(server: &RwLock<Arc<Server>>, away: &AtomicBool) {
    away.store(true, Relaxed);
    let old = Arc::clone(&server.read());
    old.kill_shared();
    let new = Arc::new(unlimited(Setup::again(&old)).start());
    *server.write() = new;
    // Requests that were on their way when the old one died end first.
    tokio::time::sleep(Duration::from_millis(200)).await;
    away.store(false, Relaxed);
}

/// With no traffic there is one generation, and every document is found by the
/// words of the version that is stored.
async fn settle(server: &Server) {
    let one = async {
        loop {
            let list = Answer::of(server.admin(Method::GET, "/admin/guest")).await;
            if list.body["generations"].as_array().unwrap().len() == 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), one).await.unwrap();
    let page = server.get(&format!("{DOCUMENTS}?limit=1000")).await;
    for document in page.body["documents"].as_array().unwrap() {
        let id = document["id"].as_str().unwrap();
        let stored = server.get(&format!("{DOCUMENTS}/{id}")).await;
        let stored = stored.body["text"].as_str().unwrap();
        let word = stored.split_whitespace().find(|word| word.starts_with("version")).unwrap();
        let word = word.trim_end_matches('.').to_owned();
        let found = async {
            while server.search(&word).await != [id] {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), found).await.unwrap();
    }
}

/// Nothing is held at the end that was not held when it had warmed up: within
/// the life of the last process, the second half holds no more than the first.
fn flat(series: &[(u32, Held)]) {
    let last = series.last().unwrap().0;
    let life: Vec<_> =
        series.iter().filter(|(kills, _)| *kills == last).map(|(_, held)| held).collect();
    if life.len() < 8 {
        return;
    }
    let (first, second) = life.split_at(life.len() / 2);
    let most =
        |held: &[&Held], what: fn(&Held) -> u64| held.iter().map(|held| what(held)).max().unwrap();
    for (name, what, slack) in [
        ("memory", (|held: &Held| held.memory_mb) as fn(&Held) -> u64, 32),
        ("descriptors", |held| held.descriptors as u64, 16),
        ("instances", |held| held.instances, 8),
    ] {
        let (before, after) = (most(first, what), most(second, what));
        println!("{name}: at most {before}, then {after}");
        assert!(after <= before + slack, "{name} grows: {before}, then {after}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mixed_traffic_with_swaps_and_kills_breaks_nothing() {
    let seconds = Duration::from_secs;
    let (long, between_swaps) = (seconds(12), Duration::from_millis(400));
    endure(Scale { long, between_swaps, between_kills: seconds(5) }).await;
    harness::survived(
        "Mixed traffic with swaps and kills",
        "every answer is one of the contract, no file is left behind",
        "requests under way at a kill",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes half an hour and is a measurement; see the head of this file"]
async fn for_half_an_hour_nothing_grows() {
    let long = std::env::var("RAGTIME_ENDURANCE_SECONDS").ok().and_then(|text| text.parse().ok());
    let long = Duration::from_secs(long.unwrap_or(1_800));
    endure(Scale { long, between_swaps: Duration::from_secs(5), between_kills: long / 6 }).await;
}
