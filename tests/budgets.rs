//! Budgets of keys that hosts share by a Redis or Valkey, and what becomes of them while
//! it does not answer.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[allow(dead_code, reason = "each suite uses a part")]
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use crate::harness::certificates::{Authority, Files, Issued};
use crate::harness::engines;
use crate::harness::tls_front::{self, Begins};
use crate::harness::valkey::Valkey;
use crate::harness::{Answer, Server, Setup, binary, survived};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use ragtime_policy::bucket::{Limits, TokenBucket};
use ragtime_policy::shared_bucket::{MAX_BURST, SCRIPT, decision};
use reqwest::Method;
use serde_json::json;

/// How long a state may take to come about on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the key of the tests may spend at once. It regains one unit a minute.
const BURST: u32 = 40;

/// A password that must be shown nowhere.
const PASSWORD: &str = "Cl0thing-of-the-b0ld";

/// A host whose budgets are in this server.
fn host(server: &Valkey) -> Setup {
    Setup::new()
        .set("FLEET__REDIS", server.url())
        .set("AUTH__RATE_PER_MINUTE", 1)
        .set("AUTH__BURST", BURST)
}

fn search(host: &Server) -> impl Future<Output = Answer> {
    let request = host.request(Method::POST, "/v1/collections/default/search");
    Answer::of(request.json(&json!({"query": "rag"})))
}

/// A metric of a host.
async fn metric(host: &Server, name: &str) -> u64 {
    let metrics = host.admin(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap().parse().unwrap()
}

/// The units that the key has left, for all hosts together.
async fn left(host: &Server) -> u64 {
    let keys = Answer::of(host.admin(Method::GET, "/admin/keys")).await;
    keys.body["keys"][0]["remaining_units"].as_u64().unwrap()
}

/// Waits until the budgets are kept by the server again.
async fn is_decided_by_the_server(host: &Server) {
    let started = Instant::now();
    loop {
        let before = metric(host, "ragtime_budget_fallbacks_total").await;
        search(host).await;
        if metric(host, "ragtime_budget_fallbacks_total").await == before {
            return;
        }
        assert!(started.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What happens to a bucket: microseconds later or earlier, units to take, other limits.
type Step = (u64, bool, u32, Option<Limits>);

fn limits() -> impl Strategy<Value = Limits> {
    let burst = prop_oneof![1..500_u32, 1..=MAX_BURST];
    let rate = prop_oneof![0..10_000_u32, any::<u32>()];
    (rate, burst).prop_map(|(rate_per_minute, burst)| Limits { rate_per_minute, burst })
}

fn step() -> impl Strategy<Value = Step> {
    let gap = prop_oneof![0..5_000_000_u64, 0..40_000_000_000_u64];
    (gap, any::<bool>(), 0..200_u32, prop::option::weighted(0.1, limits()))
}

/// The script as it is, apart from whose clock it reads.
#[test]
fn the_script_decides_as_the_bucket_does() {
    let server = Valkey::start();
    let connection = RefCell::new(server.connection().unwrap());
    let clock = "redis.call('TIME')";
    assert_eq!(SCRIPT.matches(clock).count(), 1);
    let script = redis::Script::new(&SCRIPT.replace(clock, "{ARGV[4], ARGV[5]}"));
    let bucket_number = Cell::new(0);
    let cases = (limits(), prop::collection::vec(step(), 1..40));
    let config = Config { cases: 100, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let found = runner.run(&cases, |(first, steps)| {
        bucket_number.set(bucket_number.get() + 1);
        let mut now = 1_800_000_000_000_000_u64;
        let mut limits = first;
        let mut bucket = TokenBucket::new(limits, Duration::from_micros(now));
        // A bucket that is not kept is full, so the first step is one that takes.
        for (gap, back, cost, changed) in std::iter::once((0, false, 1, None)).chain(steps) {
            now = if back { now - gap.min(1_000_000) } else { now + gap };
            let at = Duration::from_micros(now);
            if let Some(changed) = changed {
                bucket.set_limits(at, changed);
                limits = changed;
            }
            let mut call = script.key(format!("bucket:{}", bucket_number.get()));
            call.arg(limits.rate_per_minute).arg(limits.burst).arg(cost);
            call.arg(now / 1_000_000).arg(now % 1_000_000);
            let (taken, level): (bool, u64) = call.invoke(&mut *connection.borrow_mut()).unwrap();
            prop_assert_eq!(decision(limits, cost, taken, level), bucket.try_take(at, cost));
        }
        Ok(())
    });
    found.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_give_out_a_budget_once() {
    let server = Valkey::start();
    // No answer is too late here, however busy the machine.
    let start = |_| host(&server).set("FLEET__REDIS_TIMEOUT_MS", 60_000).start();
    let hosts: Vec<_> = (0..3).map(start).collect();
    let started = Instant::now();
    let asked = (0..90).map(|n| search(&hosts[n % hosts.len()]));
    let answers = futures::future::join_all(asked).await;
    let admitted = answers.iter().filter(|answer| answer.status == 200).count() as u64;
    let regained = started.elapsed().as_secs() / 60;
    let burst = u64::from(BURST);
    assert!((burst..=burst + regained).contains(&admitted), "{admitted}");
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        refused.assert_problem(429, "rate_limited");
    }
    for host in &hosts {
        assert_eq!(metric(host, "ragtime_budget_fallbacks_total").await, 0);
        // Looking takes nothing, and every host sees the same.
        assert!(left(host).await <= 1 + regained);
    }
    // A server that has forgotten the script is given it again.
    server.command("SCRIPT FLUSH").unwrap();
    search(&hosts[0]).await.assert_problem(429, "rate_limited");
    assert_eq!(metric(&hosts[0], "ragtime_budget_fallbacks_total").await, 0);
    // One that has lost the buckets has full ones.
    server.command("FLUSHALL").unwrap();
    assert_eq!(search(&hosts[1]).await.status, 200);
    assert_eq!(left(&hosts[2]).await, burst - 1);
    survived(
        "A Redis of the budgets that loses them all",
        "budgets are full again, and counted from there",
        "what keys had spent",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_server_it_is_as_the_settings_say() {
    let server = Valkey::start();
    let start = |without: &str| host(&server).set("FLEET__WITHOUT_REDIS", without).start();
    let [shares, refuses, allows] = ["share", "refuse", "allow"].map(start);
    for host in [&shares, &refuses, &allows] {
        is_decided_by_the_server(host).await;
    }
    let before = metric(&shares, "ragtime_budget_fallbacks_total").await;
    server.kill();
    // A host counts by itself then, from a full bucket.
    let asked = (0..60).map(|_| search(&shares));
    let answers = futures::future::join_all(asked).await;
    let admitted = answers.iter().filter(|answer| answer.status == 200).count() as u64;
    let burst = u64::from(BURST);
    assert!((burst - before..=burst + before + 1).contains(&admitted), "{admitted}");
    let refused = search(&refuses).await;
    refused.assert_problem(429, "rate_limited");
    assert_eq!(refused.header("retry-after"), "1");
    for _ in 0..60 {
        assert_eq!(search(&allows).await.status, 200);
    }
    for host in [&shares, &refuses, &allows] {
        assert!(metric(host, "ragtime_budget_fallbacks_total").await > 0);
    }
    server.go();
    for host in [&shares, &refuses, &allows] {
        is_decided_by_the_server(host).await;
    }
    survived(
        "A Redis of the budgets that dies, and comes back",
        "each host gives out its share meanwhile, or refuses, or allows, as the settings say",
        "what keys had spent, as Redis keeps it in memory",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stalls_holds_nobody_up() {
    let server = Valkey::start();
    let host = host(&server).start();
    is_decided_by_the_server(&host).await;
    server.stall();
    let before = metric(&host, "ragtime_budget_fallbacks_total").await;
    for _ in 0..30 {
        assert_eq!(search(&host).await.status, 200);
    }
    assert_eq!(metric(&host, "ragtime_budget_fallbacks_total").await, before + 30);
    server.go_on();
    is_decided_by_the_server(&host).await;
    survived(
        "A Redis of the budgets that stalls",
        "requests wait for it for 20 ms, and after five of them not at all until it answers",
        "nothing; hosts give out their share meanwhile",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_to_the_server_may_be_tls_and_its_certificate_is_verified() {
    let (server, authority) = (Valkey::start(), Authority::new());
    let files = Files::of(&authority.server());
    let ca = files.write("ca.crt", &authority.pem);
    let front = |issued: &Issued| {
        let port = tls_front::before(server.socket(), issued, Begins::AtOnce);
        format!("rediss://:{PASSWORD}@localhost:{port}")
    };
    server.command(&format!("CONFIG SET requirepass {PASSWORD}")).unwrap();
    let right = front(&authority.server());
    let setup = || Setup::new().set("FLEET__REDIS_TIMEOUT_MS", 60_000);
    let host = setup().set("FLEET__REDIS", &right).set("FLEET__REDIS_CA", ca.display()).start();
    assert_eq!(search(&host).await.status, 200);
    assert_eq!(metric(&host, "ragtime_budget_fallbacks_total").await, 0);
    let trusted = ca.to_str();
    for (url, ca, found, advice) in [
        (&right, None, "authority that is not trusted", "fleet.redis_ca"),
        (
            &front(&Authority::new().server()),
            trusted,
            "authority that is not trusted",
            "fleet.redis_ca",
        ),
        (&front(&authority.named("cache.example")), trusted, "not for the host", "name the host"),
        (&front(&authority.of_days((-9, -1))), trusted, "has expired", "renew"),
        (
            &right.replace("rediss:", "redis:"),
            trusted,
            "does not begin with rediss://",
            "docs/fleet.md",
        ),
    ] {
        let mut command = binary();
        command.args(["serve", "--no-model", "--listen", "127.0.0.1:0", "--data-dir"]);
        command
            .arg(tempfile::tempdir().unwrap().path())
            .env("RAGTIME_ADMIN__LISTEN", "127.0.0.1:0");
        command.env("RAGTIME_FLEET__REDIS", url);
        if let Some(ca) = ca {
            command.env("RAGTIME_FLEET__REDIS_CA", ca);
        }
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{stderr}");
        assert!(stderr.contains(found) && stderr.contains(advice), "{url}: {stderr}");
        assert!(!stderr.contains(PASSWORD), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_of_a_fleet_give_out_their_shares_while_the_server_is_away() {
    let (server, schema) = (Valkey::start(), engines::schema());
    let start = |_| {
        let host = host(&server).set("FLEET__POSTGRES", engines::shared());
        host.set("FLEET__SCHEMA", &schema).start()
    };
    let hosts: Vec<_> = (0..2).map(start).collect();
    for host in &hosts {
        is_decided_by_the_server(host).await;
        let started = Instant::now();
        while metric(host, "ragtime_fleet_hosts").await != 2 {
            assert!(started.elapsed() < PATIENCE);
        }
    }
    let mut before = Vec::new();
    for host in &hosts {
        before.push(metric(host, "ragtime_budget_fallbacks_total").await);
    }
    server.kill();
    // What a host gives out is its half, from a full bucket but for what it gave out already.
    let share = u64::from(BURST) / 2;
    for (host, before) in hosts.iter().zip(before) {
        let answers = futures::future::join_all((0..BURST).map(|_| search(host))).await;
        let admitted = answers.iter().filter(|answer| answer.status == 200).count() as u64;
        assert!((share.saturating_sub(before)..=share + 1).contains(&admitted), "{admitted}");
        for refused in answers.iter().filter(|answer| answer.status != 200) {
            refused.assert_problem(429, "rate_limited");
        }
    }
    // When it is there again all take from one budget, which is full.
    server.go();
    for host in &hosts {
        is_decided_by_the_server(host).await;
    }
    let spent = left(&hosts[0]).await;
    assert!(spent > share, "{spent}");
    assert_eq!(search(&hosts[0]).await.status, 200);
    assert!(left(&hosts[1]).await < spent);
}
