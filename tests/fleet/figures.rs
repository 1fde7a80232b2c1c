//! What a fleet costs beside a host that is alone, on this machine:
//! `cargo test --release --workspace --test server fleet::figures -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::{host, path};
use crate::harness::engines::{self, Postgres};
use crate::harness::{Answer, Server, Setup};

/// Requests of each kind.
const REQUESTS: usize = 400;
/// Documents that are there before, of some hundred words each.
const DOCUMENTS: usize = 2_000;
const BATCH: usize = 100;

/// Times of requests.
struct Times(Vec<Duration>);

impl Times {
    async fn of(count: usize, mut request: impl AsyncFnMut(usize)) -> Self {
        let mut times = Vec::with_capacity(count);
        for n in 0..count {
            let started = Instant::now();
            request(n).await;
            times.push(started.elapsed());
        }
        times.sort();
        Self(times)
    }

    /// The median and the 99th percentile, in milliseconds.
    fn summary(&self) -> String {
        let at = |share: usize| self.0[(self.0.len() * share / 100).min(self.0.len() - 1)];
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        format!("{:.2} / {:.2} ms", ms(at(50)), ms(at(99)))
    }
}

/// Milliseconds of processor time that a process has used, with the children that it has
/// waited for.
fn used_ms(pid: u32) -> u64 {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return 0 };
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    // From `state` on: user, system, and both of children, in hundredths of a second.
    fields[11..15].iter().map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum()
}

/// The same of a server of PostgreSQL with its processes.
fn used_by(postgres: &Postgres) -> u64 {
    let main = postgres.pid();
    let children = std::fs::read_to_string(format!("/proc/{main}/task/{main}/children")).unwrap();
    let children = children.split_whitespace().map(|pid| pid.parse().unwrap());
    used_ms(main) + children.map(used_ms).sum::<u64>()
}

fn text(n: usize) -> String {
    let word = |i: usize| format!("word{}", (n * 31 + i * i * 7) % 5_000);
    (0..100).map(word).collect::<Vec<_>>().join(" ")
}

async fn fill(host: &Server) {
    for batch in 0..DOCUMENTS / BATCH {
        let documents: Vec<_> = (0..BATCH)
            .map(|n| batch * BATCH + n)
            .map(|n| json!({"id": format!("d{n}"), "text": text(n)}))
            .collect();
        let request = host.request(Method::POST, "/v1/collections/default/documents?wait=indexed");
        let answer = Answer::of(request.json(&json!({"documents": documents}))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

async fn searches(host: &Server) -> Times {
    let search =
        async |n: usize| drop(host.search(&format!("word{} word{n}", n * 7 % 5_000)).await);
    Times::of(REQUESTS, search).await
}

async fn writes(host: &Server, prefix: &str) -> Times {
    Times::of(REQUESTS, async |n| host.document(&format!("{prefix}{n}"), &text(n)).await).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it measures for minutes"]
async fn figures() {
    let alone = Setup::new().without_budget().start();
    let (postgres, schema) = (Postgres::start(), engines::schema());
    let start = || host(&postgres.url(), &schema).without_budget().start();
    let hosts: Vec<_> = (0..3).map(|_| start()).collect();
    let [a, b, c] = &hosts[..] else { panic!() };
    println!("| what | alone | one of three hosts |\n|---|---|---|");
    fill(&alone).await;
    fill(a).await;
    let row = |what: &str, alone: &str, fleet: &str| println!("| {what} | {alone} | {fleet} |");
    let (one, other) = (searches(&alone).await, searches(b).await);
    row("search by words, p50 / p99", &one.summary(), &other.summary());
    let (one, other) = (writes(&alone, "w").await, writes(b, "w").await);
    row("`PUT` of a document until search finds it, p50 / p99", &one.summary(), &other.summary());

    // Reading on one host while another writes: it waits for what the other has done.
    let (writing, reading) = tokio::join!(
        Times::of(REQUESTS, async |n| b.document(&format!("x{n}"), &text(n)).await),
        Times::of(REQUESTS, async |_| drop(c.get(&path("d0")).await)),
    );
    row("`GET` of a document while another host writes, p50 / p99", "", &reading.summary());
    row("those writes, p50 / p99", "", &writing.summary());
    let fresh = Times::of(REQUESTS, async |n| {
        a.document("fresh", &format!("fresh{n}")).await;
        assert_eq!(c.search(&format!("fresh{n}")).await, ["fresh"]);
    });
    let fresh = fresh.await;
    row(
        "`PUT` on one host and the search on another that finds it, p50 / p99",
        "",
        &fresh.summary(),
    );
    let mut ended = Vec::new();
    for _ in 0..20 {
        let made = a.post("/v1/keys", json!({"name": "k", "scopes": ["read"]})).await;
        let (id, key) = (made.body["id"].as_str().unwrap(), made.body["credential"].clone());
        let ask = || c.anonymous(Method::GET, "/v1/collections").bearer_auth(key.as_str().unwrap());
        assert_eq!(Answer::of(ask()).await.status, 200);
        assert_eq!(a.delete(&format!("/v1/keys/{id}")).await.status, 204);
        let revoked = Instant::now();
        assert_eq!(Answer::of(ask()).await.status, 401);
        ended.push(revoked.elapsed());
    }
    ended.sort();
    row(
        "the first request after a key was revoked on another host: refused, after",
        "",
        &Times(ended).summary(),
    );

    for (what, search) in [("searches", true), ("writes", false)] {
        let before = (used_ms(alone.pid()), used_ms(b.pid()), used_by(&postgres));
        match search {
            true => drop((searches(&alone).await, searches(b).await)),
            false => drop((writes(&alone, "c").await, writes(b, "c").await)),
        }
        let after = (used_ms(alone.pid()), used_ms(b.pid()), used_by(&postgres));
        let each = |before: u64, after: u64| {
            format!("{:.2} ms", (after - before) as f64 / REQUESTS as f64)
        };
        let fleet =
            format!("{} here, {} in PostgreSQL", each(before.1, after.1), each(before.2, after.2));
        row(
            &format!("processor time for each of {REQUESTS} {what}"),
            &each(before.0, after.0),
            &fleet,
        );
    }
    let started = Instant::now();
    let late = start();
    assert!(!late.search("word7").await.is_empty());
    let took = started.elapsed().as_secs_f64();
    let chunks = late.get("/v1/collections/default").await.body["chunks"].clone();
    row(
        &format!("start of a host without a copy until its first search, {chunks} chunks"),
        "",
        &format!("{took:.2} s"),
    );
}
