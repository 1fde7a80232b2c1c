//! Replacing the handler of all hosts of a fleet at one moment. The short form is part of
//! the suite; the long one is
//!
//! ```text
//! RAGTIME_TEST_SWAPS=100 cargo test --workspace --test server rollout::no_request -- --nocapture
//! ```

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

#[allow(dead_code, reason = "each suite uses a part")]
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::harness::engines::{self, Mode, Postgres};
use crate::harness::{Answer, FAULTY, Server, Setup, binary, fixture, survived};
use parking_lot::{Mutex, RwLock};
use reqwest::Method;
use serde_json::{Value, json};

/// How long a state may take to come about on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the fixture handler calls itself, and answers.
const VERSION: &[u8] = b"faulty-version-0";

/// The fixture handler by another name.
fn version(number: usize) -> Vec<u8> {
    let name = format!("faulty-version-{}", number % 10);
    let mut bytes = fs::read(fixture(FAULTY)).unwrap();
    let at = bytes.windows(VERSION.len()).position(|window| window == VERSION).unwrap();
    bytes[at..at + VERSION.len()].copy_from_slice(name.as_bytes());
    bytes
}

/// A host that begins with the fixture handler, should it be the first.
fn host(url: &str, schema: &str) -> Setup {
    Setup::new()
        .argument("--handler")
        .argument(fixture(FAULTY).to_str().unwrap())
        .set("FLEET__POSTGRES", url)
        .set("FLEET__SCHEMA", schema)
        .set("FLEET__WAIT_MS", 30_000)
}

/// So many hosts of a new fleet.
fn fleet(count: usize) -> (String, Vec<Server>) {
    let schema = engines::schema();
    let hosts = (0..count).map(|_| host(&engines::shared(), &schema).start()).collect();
    (schema, hosts)
}

/// The number of the version that answers; none while the host answers nothing.
async fn served(server: &Server) -> Option<usize> {
    let answer = Answer::of(server.anonymous(Method::GET, "/")).await;
    match answer.status {
        200 => answer.text.strip_prefix("faulty-version-")?.parse().ok(),
        503 => None,
        _ => panic!("{answer:?}"),
    }
}

async fn history(server: &Server) -> Vec<Value> {
    let answer = Answer::of(server.admin(Method::GET, "/admin/guest/history")).await;
    answer.body["history"].as_array().unwrap_or_else(|| panic!("{answer:?}")).clone()
}

/// Swaps until nothing else is under way.
async fn swap_when_free(server: &Server, number: usize) -> Answer {
    let started = Instant::now();
    loop {
        let answer = server.swap(version(number), "").await;
        if answer.body["code"] != "swap_in_progress" {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_on_one_host_is_one_of_all() {
    let (schema, mut hosts) = fleet(3);
    let swapped = hosts[1].swap(version(1), "label=one.wasm").await;
    assert_eq!(swapped.status, 200, "{swapped:?}");
    assert_eq!(swapped.body["steps"]["activated"]["hosts"].as_array().unwrap().len(), 3);
    for host in &hosts {
        assert_eq!(served(host).await, Some(1));
    }
    // A condition is decided by what all hosts have done.
    let late = hosts[2].admin(Method::POST, "/admin/guest").header("if-match", "\"1\"");
    Answer::of(late.body(version(2))).await.assert_problem(412, "generation_changed");
    let tried = hosts[0].swap(version(2), "dry_run=true").await;
    assert_eq!(tried.body["outcome"], "dry-run", "{tried:?}");
    assert_eq!(swap_when_free(&hosts[2], 2).await.status, 200);
    // One that comes later has what the others serve, whatever its settings say.
    hosts.push(host(&engines::shared(), &schema).start());
    for host in &hosts {
        assert_eq!(served(host).await, Some(2));
    }
    let back = Answer::of(hosts[3].admin(Method::POST, "/admin/guest/rollback")).await;
    assert_eq!(back.status, 200, "{back:?}");
    for host in &hosts {
        assert_eq!(served(host).await, Some(1));
        assert_eq!(history(host).await, history(&hosts[0]).await);
    }
    let output = binary()
        .args(["fleet", "status", "--json"])
        .env("RAGTIME_FLEET__POSTGRES", engines::shared())
        .env("RAGTIME_FLEET__SCHEMA", &schema)
        .output()
        .unwrap();
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["hosts"].as_array().unwrap().len(), 4, "{status}");
    assert!(status["hosts"][0]["generation"].as_u64().is_some(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_cannot_serve_it_refuses_for_all() {
    let (_, hosts) = fleet(3);
    // It cannot keep what it is given.
    let handlers = hosts[2].dir.path().join("handlers");
    fs::remove_dir_all(&handlers).unwrap();
    fs::write(&handlers, "in the way").unwrap();
    let refused = hosts[0].swap(version(1), "").await;
    refused.assert_problem(422, "handler_refused_by_host");
    for host in &hosts {
        assert_eq!(served(host).await, Some(0));
        let last = &history(host).await[0];
        assert_eq!(last["outcome"], "refused", "{last}");
        let name = hosts[2].url.trim_start_matches("http://");
        assert!(last["reason"].as_str().unwrap().contains("a host of the fleet"), "{last} {name}");
    }
    fs::remove_file(&handlers).unwrap();
    fs::create_dir(&handlers).unwrap();
    assert_eq!(hosts[0].swap(version(1), "").await.status, 200);
    assert_eq!(served(&hosts[2]).await, Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_swaps_at_once_one_is_refused() {
    let (_, hosts) = fleet(2);
    let (one, other) = tokio::join!(hosts[0].swap(version(1), ""), hosts[1].swap(version(2), ""));
    let (done, refused) = if one.status == 200 { (&one, &other) } else { (&other, &one) };
    assert_eq!(done.status, 200, "{one:?} {other:?}");
    refused.assert_problem(409, "swap_in_progress");
    assert_eq!(served(&hosts[0]).await, served(&hosts[1]).await);
}

/// Orders a swap that is held back, and returns once it is.
async fn held(server: &Server, number: usize) -> reqwest::Response {
    let request = server.admin(Method::POST, "/admin/guest?hold=true");
    let request = request.header("accept", "text/event-stream").body(version(number));
    let mut response = request.send().await.unwrap();
    let mut received = String::new();
    while !received.contains("\"held\"") {
        let chunk = response.chunk().await.unwrap().unwrap_or_else(|| panic!("{received}"));
        received.push_str(&String::from_utf8_lossy(&chunk));
    }
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_whose_host_dies_is_called_off_by_the_others() {
    let (_, mut hosts) = fleet(3);
    let _under_way = held(&hosts[0], 1).await;
    hosts[1].swap(version(2), "").await.assert_problem(409, "swap_in_progress");
    hosts[0].kill();
    let swapped = swap_when_free(&hosts[1], 2).await;
    assert_eq!(swapped.status, 200, "{swapped:?}");
    for host in &hosts[1..] {
        assert_eq!(served(host).await, Some(2));
        let past = history(host).await;
        assert_eq!((&past[1]["outcome"], &past[1]["stage"]), (&json!("refused"), &json!("begun")));
    }
    survived(
        "A kill of the host that a swap of all hosts was ordered from",
        "the others go on with the handler that they have, call the swap off, and take the next",
        "that swap",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_cut_off_from_a_swap_serves_nothing_until_it_has_the_handler() {
    let postgres = Postgres::start();
    let (wire, schema) = (postgres.wire(), engines::schema());
    let here = host(&postgres.url(), &schema).start();
    let cut_off = host(&wire.url(), &schema).set("FLEET__WAIT_MS", 1_000).start();
    assert_eq!(served(&cut_off).await, Some(0));
    wire.set(Mode::Cut);
    // The others wait for it until it counts as gone.
    assert_eq!(here.swap(version(1), "").await.status, 200);
    assert_eq!(served(&here).await, Some(1));
    assert_eq!(served(&cut_off).await, None);
    wire.set(Mode::Open);
    let started = Instant::now();
    let back = loop {
        match served(&cut_off).await {
            Some(version) => break version,
            None => assert!(started.elapsed() < PATIENCE),
        }
    };
    assert_eq!(back, 1, "it must never answer by the handler of before");
    survived(
        "A host whose network is cut while the handler of all hosts is replaced",
        "the others wait until it counts as gone, and swap; it answers 503 until it has compiled the handler",
        "nothing",
    );
}

/// A request that was answered: when it began and ended, and by which version.
type Answered = (Instant, Instant, usize);

/// What happens to a swap of the load test.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// A host is killed meanwhile, and started again.
    Killed,
    /// A host cannot take the component.
    Refuses,
}

/// Asks a host again and again; what it answered, and how often it did not.
async fn load(
    host: Arc<RwLock<Option<Arc<Server>>>>,
    stop: Arc<AtomicBool>,
) -> (Vec<Answered>, usize) {
    let (mut answered, mut failed) = (Vec::new(), 0);
    while !stop.load(Relaxed) {
        let server = host.read().clone();
        let Some(server) = server else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let began = Instant::now();
        let sent = server.anonymous(Method::GET, "/").send().await;
        let read = match sent {
            Ok(response) if response.status() == 200 => response.text().await.ok(),
            Ok(_) | Err(_) => None,
        };
        match read.and_then(|text| text.strip_prefix("faulty-version-")?.parse().ok()) {
            Some(version) => answered.push((began, Instant::now(), version)),
            None => failed += 1,
        }
    }
    (answered, failed)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_sees_an_old_handler_while_all_hosts_are_swapped_under_load() {
    let swaps: usize = std::env::var("RAGTIME_TEST_SWAPS").map_or(10, |n| n.parse().unwrap());
    let (schema, hosts) = fleet(3);
    let hosts: Vec<_> =
        hosts.into_iter().map(|host| Arc::new(RwLock::new(Some(Arc::new(host))))).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..6)
        .map(|task| tokio::spawn(load(Arc::clone(&hosts[task % 3]), Arc::clone(&stop))))
        .collect();
    // Which version served from when on: ordered, and acknowledged.
    let served = Mutex::new(vec![(Instant::now(), Instant::now(), 0)]);
    for number in 1..=swaps {
        let fault = match number % 10 {
            5 => Fault::Killed,
            0 => Fault::Refuses,
            _ => Fault::None,
        };
        let driver = hosts[number % 2].read().clone().unwrap();
        let victim = hosts[2].read().clone().unwrap();
        let handlers = victim.dir.path().join("handlers");
        if fault == Fault::Refuses {
            fs::remove_dir_all(&handlers).unwrap();
            fs::write(&handlers, "in the way").unwrap();
        }
        let (began, wanted) = (Instant::now(), number % 3);
        let swap = driver.swap(version(wanted), "");
        let kill = async {
            if fault == Fault::Killed {
                driver.logged(&["a swap goes on"]).await;
                victim.kill_shared();
            }
        };
        let (answer, ()) = tokio::join!(swap, kill);
        match fault {
            Fault::None => assert_eq!(answer.status, 200, "{number}: {answer:?}"),
            Fault::Killed => {
                assert_eq!(answer.status, 200, "{number}: {answer:?}");
                *hosts[2].write() = None;
                let again = host(&engines::shared(), &schema).in_folder_of(&victim).start();
                *hosts[2].write() = Some(Arc::new(again));
            }
            Fault::Refuses => {
                answer.assert_problem(422, "handler_refused_by_host");
                fs::remove_file(&handlers).unwrap();
                fs::create_dir(&handlers).unwrap();
            }
        }
        if answer.status == 200 {
            served.lock().push((began, Instant::now(), wanted));
        }
    }
    stop.store(true, Relaxed);
    let mut all = Vec::new();
    for (at, task) in tasks.into_iter().enumerate() {
        let (answered, failed) = task.await.unwrap();
        assert!(!answered.is_empty());
        assert!(at % 3 == 2 || failed == 0, "{failed} requests to a sound host failed");
        all.extend(answered);
    }
    let served = served.into_inner();
    println!("{} requests over {} handlers", all.len(), served.len());
    check(all, &served);
    survived(
        "Swaps of all hosts under load, one in ten with a host that is killed, one with a host that refuses",
        "once anybody has been answered by the new handler nobody is by the old one; no request to a sound host fails",
        "swaps that a host refuses; requests to the host that is killed",
    );
}

/// Holds every answer against what was ordered and acknowledged by then, and against the
/// answers before it.
fn check(mut all: Vec<Answered>, served: &[(Instant, Instant, usize)]) {
    all.sort_by_key(|(began, ..)| *began);
    let mut placed = Vec::new();
    for (began, ended, version) in all {
        // Acknowledged before it began, and ordered before it ended.
        let first = served.iter().rposition(|(_, done, _)| *done <= began).unwrap_or(0);
        let last = served.iter().rposition(|(ordered, ..)| *ordered <= ended).unwrap_or(0);
        let place = (first..=last).find(|place| served[*place].2 == version);
        let place = place.unwrap_or_else(|| {
            panic!("version {version} between the handlers {first} and {last} of {served:?}")
        });
        placed.push((began, ended, place));
    }
    let mut ends: Vec<_> = placed.iter().map(|(_, ended, place)| (*ended, *place)).collect();
    ends.sort();
    let (mut seen, mut newest) = (0, 0);
    for (began, _, place) in placed {
        while ends.get(seen).is_some_and(|(ended, _)| *ended < began) {
            newest = newest.max(ends[seen].1);
            seen += 1;
        }
        assert!(place >= newest, "handler {place} answered after handler {newest} had");
    }
}
