//! Hosts, networks, databases and clocks that fail: what was acknowledged stays, and nothing
//! that is out of date is answered.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::{PATIENCE, all_ids, fleet, host, path};
use crate::harness::engines::{self, Mode, Postgres, Wire};
use crate::harness::valkey::Valkey;
use crate::harness::{Answer, Server, Setup, survived};

/// Documents of a batch.
const BATCH: u64 = 5;

/// One that soon gives up, for tests of what it says then.
fn impatient(url: &str, schema: &str) -> Setup {
    host(url, schema).set("FLEET__WAIT_MS", 500)
}

/// Two hosts, of which one reaches the database by a wire that the test can cut.
struct Wired {
    /// The first in each pattern, so that it ends after the hosts.
    _postgres: Postgres,
    wire: Wire,
    wired: Server,
    other: Server,
}

impl Wired {
    /// `setup` is that of the host at the wire.
    fn start(setup: fn(&str, &str) -> Setup) -> Self {
        let postgres = Postgres::start();
        let (wire, schema) = (postgres.wire(), engines::schema());
        let wired = setup(&wire.url(), &schema).start();
        let other = host(&postgres.url(), &schema).start();
        Self { _postgres: postgres, wire, wired, other }
    }
}

/// Sends a request until it is answered otherwise than with a 503, as clients do.
async fn patiently(request: impl AsyncFn() -> Answer) -> Answer {
    let started = Instant::now();
    loop {
        let answer = request().await;
        if answer.status != 503 {
            return answer;
        }
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert!(started.elapsed() < PATIENCE, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether a component of readiness says so.
async fn waits_for_state(server: &Server, state: &str) {
    let started = Instant::now();
    loop {
        let answer = server.get("/readyz").await;
        let words = format!(r#""name":"fleet","state":"{state}""#);
        if answer.text.contains(&words) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Puts documents in by several tasks until told to stop; the ids that were acknowledged.
async fn put_until(servers: Vec<Arc<Server>>, stop: Arc<AtomicBool>, prefix: &str) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for n in 0.. {
        if stop.load(Relaxed) {
            break;
        }
        let id = format!("{prefix}{n}");
        let server = &servers[n % servers.len()];
        let body = json!({"text": format!("document {id}")});
        let sent = server.request(Method::PUT, &path(&id)).json(&body).send().await;
        if sent.is_ok_and(|answer| answer.status().is_success()) {
            acknowledged.push(id);
        }
    }
    acknowledged
}

/// A host has every document that was acknowledged.
async fn lacks_none(host: &Server, acknowledged: &BTreeSet<String>) {
    let found = all_ids(host).await;
    let lost: Vec<_> = acknowledged.difference(&found).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_killed_while_it_takes_documents_loses_none() {
    let (_, hosts) = fleet(3);
    let hosts: Vec<_> = hosts.into_iter().map(Arc::new).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..3)
        .map(|task| {
            let (hosts, stop) = (hosts.clone(), Arc::clone(&stop));
            tokio::spawn(async move { put_until(hosts, stop, &format!("t{task}-")).await })
        })
        .collect();
    let batches = tokio::spawn(batches_until(hosts.clone(), Arc::clone(&stop)));
    has_documents(&hosts[1], 60).await;
    hosts[0].kill_shared();
    // The others go on, and do not miss it.
    has_documents(&hosts[1], 240).await;
    stop.store(true, Relaxed);
    let mut acknowledged = BTreeSet::new();
    for task in tasks {
        acknowledged.extend(task.await.unwrap());
    }
    let jobs = batches.await.unwrap();
    assert!(!jobs.is_empty());
    for host in &hosts[1..] {
        lacks_none(host, &acknowledged).await;
        for job in &jobs {
            let started = Instant::now();
            // Each is in the one account, and each comes to its end without the dead host.
            loop {
                let job = host.get(&format!("/v1/jobs/{job}")).await.body;
                assert_eq!((&job["received"], &job["failed"]), (&json!(BATCH), &json!([])));
                let (indexed, pending) = (job["indexed"].as_u64(), job["pending"].as_u64());
                assert_eq!(indexed.zip(pending).map(|(a, b)| a + b), Some(BATCH), "{job}");
                if pending == Some(0) {
                    break;
                }
                assert!(started.elapsed() < PATIENCE, "{job}");
            }
        }
    }
    survived(
        "A kill of one of three hosts while documents come in by all",
        "the others serve on without a pause; each has every document",
        "nothing that was acknowledged",
    );
}

/// Waits until a host has so many documents.
async fn has_documents(host: &Server, least: u64) {
    let started = Instant::now();
    loop {
        let listed = host.get("/v1/collections/default").await;
        if listed.body["documents"].as_u64().is_some_and(|count| count >= least) {
            return;
        }
        assert!(started.elapsed() < 2 * PATIENCE, "{listed:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Hands batches in until told to stop; the jobs that were acknowledged.
async fn batches_until(servers: Vec<Arc<Server>>, stop: Arc<AtomicBool>) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for n in 0.. {
        if stop.load(Relaxed) {
            break;
        }
        let documents: Vec<_> = (0..BATCH)
            .map(|one| json!({"id": format!("b{n}-{one}"), "text": format!("batch {n}")}))
            .collect();
        let request =
            servers[n % servers.len()].request(Method::POST, "/v1/collections/default/documents");
        let Ok(sent) = request.json(&json!({"documents": documents})).send().await else {
            continue;
        };
        if sent.status() == 202 {
            let job: Value = serde_json::from_slice(&sent.bytes().await.unwrap()).unwrap();
            acknowledged.push(job["job_id"].as_str().unwrap().to_owned());
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_cut_off_answers_nothing_until_it_is_back() {
    let Wired { _postgres, wire, wired: cut_off, other } = Wired::start(impatient);
    cut_off.document("joplin", "The Maple Leaf Rag.").await;
    let key = other.key(json!({"name": "k", "scopes": ["read"]})).await;
    let ask =
        |host: &Server| Answer::of(host.anonymous(Method::GET, &path("joplin")).bearer_auth(&key));
    assert_eq!(ask(&cut_off).await.status, 200);
    wire.set(Mode::Cut);
    let refused = ask(&cut_off).await;
    assert!(
        ["host_behind", "database_unreachable"].contains(&refused.body["code"].as_str().unwrap()),
        "{refused:?}"
    );
    assert_eq!(refused.status, 503);
    // The others do not wait for it, and what they do it does not serve from before.
    assert_eq!(other.delete(&path("joplin")).await.status, 204);
    assert_eq!(ask(&cut_off).await.status, 503);
    assert_eq!(cut_off.get("/livez").await.status, 200);
    waits_for_state(&other, "ready").await;
    wire.set(Mode::Open);
    assert_eq!(patiently(async || ask(&cut_off).await).await.status, 404);
    assert_eq!(cut_off.search("maple").await, Vec::<String>::new());
    waits_for_state(&cut_off, "ready").await;
    survived(
        "A host whose network to PostgreSQL is cut, and mended",
        "it answers 503 while it is cut off and nothing that is out of date; the others serve on",
        "nothing",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_a_commit_that_is_lost_is_looked_up() {
    let Wired { _postgres, wire, wired: here, other } = Wired::start(host);
    for round in 0..5 {
        let id = format!("d{round}");
        wire.set(Mode::DropAnswer);
        let body = json!({"text": format!("word{round}")});
        let answer = here.put(&path(&id), body).await;
        assert!(wire.has_dropped());
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(other.search(&format!("word{round}")).await, [id]);
    }
    survived(
        "An answer of PostgreSQL to a commit that is lost on its way",
        "the host looks up whether it was committed, and tells the client what is so",
        "nothing, and nothing is written twice",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_that_dies_and_comes_back_is_used_again() {
    let (postgres, schema) = (Postgres::start(), engines::schema());
    let hosts: Vec<_> = (0..2).map(|_| Arc::new(host(&postgres.url(), &schema).start())).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let writing = {
        let (hosts, stop) = (hosts.clone(), Arc::clone(&stop));
        tokio::spawn(async move { put_until(hosts, stop, "d").await })
    };
    has_documents(&hosts[0], 30).await;
    postgres.kill();
    for host in &hosts {
        waits_for_state(host, "unready").await;
        host.get("/v1/collections").await.assert_problem(503, "database_unreachable");
        let metrics = host.admin(Method::GET, "/metrics");
        assert_eq!(metrics.send().await.unwrap().status(), 200);
    }
    postgres.go();
    for host in &hosts {
        waits_for_state(host, "ready").await;
    }
    stop.store(true, Relaxed);
    let acknowledged: BTreeSet<_> = writing.await.unwrap().into_iter().collect();
    for host in &hosts {
        lacks_none(host, &acknowledged).await;
    }
    survived(
        "A kill of PostgreSQL under the writes of its hosts",
        "the hosts answer 503 until it is back, and serve again by themselves",
        "nothing that was acknowledged",
    );
}

/// Waits until a query of PostgreSQL answers so.
async fn waits_for_value(postgres: &Postgres, query: &str, value: &str) {
    let started = Instant::now();
    while postgres.value::<Option<String>>(query).as_deref() != Some(value) {
        assert!(started.elapsed() < PATIENCE, "{query}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_synchronous_standby_that_takes_over_has_all_that_was_acknowledged() {
    let (primary, schema) = (Postgres::start(), engines::schema());
    let standby = primary.standby();
    primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'");
    primary.execute("SELECT pg_reload_conf()");
    let is_synchronous = "SELECT max(sync_state) FROM pg_stat_replication";
    waits_for_value(&primary, is_synchronous, "sync").await;
    let wire = primary.wire();
    let hosts: Vec<_> = (0..2).map(|_| Arc::new(impatient(&wire.url(), &schema).start())).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let writing = {
        let (hosts, stop) = (hosts.clone(), Arc::clone(&stop));
        tokio::spawn(async move { put_until(hosts, stop, "d").await })
    };
    has_documents(&hosts[0], 30).await;
    primary.kill();
    wire.lead_to(&standby);
    standby.promote();
    for host in &hosts {
        waits_for_state(host, "ready").await;
    }
    stop.store(true, Relaxed);
    let acknowledged: BTreeSet<_> = writing.await.unwrap().into_iter().collect();
    for host in &hosts {
        lacks_none(host, &acknowledged).await;
    }
    hosts[0].document("after", "A document from after the failover.").await;
    assert_eq!(hosts[1].search("failover").await, ["after"]);
    survived(
        "A primary of PostgreSQL that dies under writes, and a synchronous standby in its place",
        "the hosts answer 503 until the standby is promoted, and serve on by themselves",
        "nothing that was acknowledged",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_have_what_a_standby_has_lost_start_anew() {
    let (primary, schema) = (Postgres::start(), engines::schema());
    let (standby, wire) = (primary.standby(), primary.wire());
    let mut ahead = host(&wire.url(), &schema).start();
    ahead.document("kept", "A document that is kept.").await;
    let head = format!("SELECT head::text FROM {schema}.fleet");
    let before = primary.value::<String>(&head);
    waits_for_value(&standby, &head, &before).await;
    // It is away while the primary takes one more.
    standby.kill();
    ahead.document("lost", "A document that is lost.").await;
    primary.kill();
    standby.go();
    standby.promote();
    wire.lead_to(&standby);
    // It gives the numbers again that the primary had given.
    let other = host(&standby.url(), &schema).start();
    for n in 0..3 {
        other.document(&format!("new{n}"), "A document that is new.").await;
    }
    let status = ahead.wait();
    assert!(!status.success(), "it must not serve what is not so");
    ahead.logged(&["this host has to be started again"]).await;
    let again = host(&standby.url(), &schema).in_folder_of(&ahead).start();
    for host in [&again, &other] {
        let found = all_ids(host).await;
        assert_eq!(found, ["kept", "new0", "new1", "new2"].map(str::to_owned).into());
        assert_eq!(host.search("document").await.len(), 4);
    }
    survived(
        "A standby of PostgreSQL that was not synchronous, in the place of its primary",
        "hosts that have more than it end and say so, and start with what it has",
        "what the standby lacks; a synchronous one lacks nothing",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_with_a_slow_network_to_the_database_is_slow_and_right() {
    let Wired { _postgres, wire, wired: far, other: near } = Wired::start(host);
    wire.set(Mode::Slow);
    for round in 0..5 {
        let (id, word) = (format!("d{round}"), format!("word{round}"));
        near.document(&id, &format!("A document about {word}.")).await;
        assert_eq!(far.search(&word).await, [id.as_str()]);
        assert_eq!(far.delete(&path(&id)).await.status, 204);
        assert_eq!(near.search(&word).await, Vec::<String>::new());
        far.document(&id, &format!("A document about {word}, again.")).await;
        assert_eq!(near.search(&word).await, [id.as_str()]);
    }
    survived(
        "A host whose network to PostgreSQL is slow",
        "it is slow, its writes hold up those of the others for as long, and all is right",
        "nothing",
    );
}

/// A key that ends at this time, in seconds since the Unix epoch.
#[cfg(target_os = "linux")]
async fn ends_at(host: &Server, time: u64) -> String {
    let at = format!("@{time}");
    let date = Command::new("date").args(["-u", "-d", &at, "+%FT%TZ"]).output().unwrap();
    let at = String::from_utf8(date.stdout).unwrap();
    host.key(json!({"name": "k", "scopes": ["read"], "expires_at": at.trim()})).await
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn what_has_ended_is_decided_by_the_clock_of_the_database() {
    let (postgres, schema) = (Postgres::start_an_hour_ahead(), engines::schema());
    let hosts = [host(&postgres.url(), &schema).start(), host(&postgres.url(), &schema).start()];
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let (ended, lives) =
        (ends_at(&hosts[0], now + 1_800).await, ends_at(&hosts[0], now + 5_400).await);
    for host in &hosts {
        let ask =
            |key: &str| Answer::of(host.anonymous(Method::GET, "/v1/collections").bearer_auth(key));
        ask(&ended).await.assert_problem(401, "expired_credential");
        assert_eq!(ask(&lives).await.status, 200);
    }
    let send = |host: &Server| {
        let body = json!({"documents": [{"text": "once"}]});
        let request = host.request(Method::POST, "/v1/collections/default/documents");
        Answer::of(request.json(&body).header("idempotency-key", "r"))
    };
    assert_eq!(send(&hosts[0]).await.text, send(&hosts[1]).await.text);
    survived(
        "Clocks of hosts that are an hour behind PostgreSQL's",
        "keys end and repetitions are known by PostgreSQL's clock, on every host alike",
        "nothing",
    );
}

/// The sum of a metric over hosts.
async fn sum(hosts: &[Server], name: &str) -> u64 {
    let mut sum = 0;
    for host in hosts {
        let metrics = host.admin(Method::GET, "/metrics").send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        sum += value.unwrap().parse::<u64>().unwrap();
    }
    sum
}

/// Waits until a metric has this sum over hosts.
async fn waits_for_sum(hosts: &[Server], name: &str, expected: u64) {
    let started = Instant::now();
    while sum(hosts, name).await != expected {
        assert!(started.elapsed() < PATIENCE, "{name}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lease_of_a_host_that_dies_is_taken_by_another() {
    let (_, mut hosts) = fleet(2);
    waits_for_sum(&hosts, "ragtime_fleet_leads", 1).await;
    let mut led = Vec::new();
    for host in &hosts {
        led.push(sum(std::slice::from_ref(host), "ragtime_fleet_leads").await);
    }
    let at = led.iter().position(|leads| *leads == 1).unwrap();
    hosts.remove(at).kill();
    waits_for_sum(&hosts, "ragtime_fleet_leads", 1).await;
    waits_for_sum(&hosts, "ragtime_fleet_hosts", 1).await;
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn hosts_whose_clocks_are_hours_apart_decide_alike() {
    let (schema, valkey) = (engines::schema(), Valkey::start());
    let start = |seconds| {
        let host = host(&engines::shared(), &schema).clock_ahead(seconds);
        let host = host.set("FLEET__REDIS", valkey.url());
        host.set("FLEET__REDIS_TIMEOUT_MS", PATIENCE.as_millis()).start()
    };
    let hosts = [start(3_600), start(0), start(-3_600)];
    // Timestamps of documents are by the clocks of their hosts: they show that these differ.
    let mut times = Vec::new();
    for (n, host) in hosts.iter().enumerate().rev() {
        let (id, word) = (format!("d{n}"), format!("word{n}"));
        host.document(&id, &format!("A document about {word}.")).await;
        for other in &hosts {
            assert_eq!(other.search(&word).await, [id.as_str()]);
        }
        times.push(host.get(&path(&id)).await.body["updated_at"].as_str().unwrap().to_owned());
    }
    assert!(times.is_sorted() && times[0][..13] < times[2][..13], "{times:?}");
    assert_eq!(hosts[0].delete(&path("d2")).await.status, 204);
    for host in &hosts {
        assert_eq!(host.search("word2").await, Vec::<String>::new());
    }
    // The lease, and who lives.
    waits_for_sum(&hosts, "ragtime_fleet_leads", 1).await;
    waits_for_sum(&hosts, "ragtime_fleet_hosts", 9).await;
    // A key that has ended by PostgreSQL's clock alone, and one that has not.
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let (ended, lives) =
        (ends_at(&hosts[2], now - 1_800).await, ends_at(&hosts[0], now + 1_800).await);
    for host in &hosts {
        let ask =
            |key: &str| Answer::of(host.anonymous(Method::GET, "/v1/collections").bearer_auth(key));
        ask(&ended).await.assert_problem(401, "expired_credential");
        assert_eq!(ask(&lives).await.status, 200);
    }
    // A repetition, and a budget.
    let mut answers = BTreeSet::new();
    for host in &hosts {
        let body = json!({"documents": [{"text": "once"}]});
        let request = host.request(Method::POST, "/v1/collections/default/documents");
        answers.insert(Answer::of(request.json(&body).header("idempotency-key", "r")).await.text);
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    let spender = json!({"name": "s", "scopes": ["read"], "rate_per_minute": 1, "burst": 20});
    let (spender, started) = (hosts[0].key(spender).await, Instant::now());
    let mut admitted = 0;
    for n in 0..45 {
        let request = hosts[n % 3].anonymous(Method::POST, "/v1/collections/default/search");
        let request = request.bearer_auth(&spender).json(&json!({"query": "rag"}));
        admitted += u64::from(Answer::of(request).await.status == 200);
    }
    let regained = started.elapsed().as_secs() / 60 + 1;
    assert!((20..=20 + regained).contains(&admitted), "{admitted}");
    assert_eq!(sum(&hosts, "ragtime_budget_fallbacks_total").await, 0);
    survived(
        "Hosts whose clocks are one hour ahead, right, and one hour behind",
        "keys, repetitions, the lease, budgets and searches are decided alike on every host",
        "nothing; timestamps of documents are by the clock of their host",
    );
}
