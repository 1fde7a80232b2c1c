//! Several hosts on one PostgreSQL: what one has acknowledged all have, whatever fails.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod failures;
mod figures;
mod tls;

use crate::harness::engines;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::harness::{self, ADMIN, Answer, Server, Setup, binary};
use reqwest::Method;
use serde_json::{Value, json};

/// How long a state may take to come about on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A host of the fleet that a database and a schema make. It waits for what it lacks as
/// long as it takes on a busy machine.
fn host(url: &str, schema: &str) -> Setup {
    let patience = PATIENCE.as_millis();
    Setup::new()
        .set("FLEET__POSTGRES", url)
        .set("FLEET__SCHEMA", schema)
        .set("FLEET__WAIT_MS", patience)
}

/// So many hosts of a new fleet.
fn fleet(count: usize) -> (String, Vec<Server>) {
    let schema = engines::schema();
    let one = || host(&engines::shared(), &schema).without_budget().start();
    let hosts = (0..count).map(|_| one()).collect();
    (schema, hosts)
}

fn path(id: &str) -> String {
    format!("/v1/collections/default/documents/{id}")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_host_does_the_others_have_done() {
    let (_, hosts) = fleet(3);
    let [a, b, c] = &hosts[..] else { panic!() };
    a.document("joplin", "Scott Joplin wrote the Maple Leaf Rag.").await;
    for host in [a, b, c] {
        assert_eq!(host.search("maple leaf").await, ["joplin"]);
        assert_eq!(host.get(&path("joplin")).await.body["searchable"], true);
    }
    // A condition is decided by what all hosts have done.
    let version = b.get(&path("joplin")).await.header("etag").to_owned();
    c.document("joplin", "Scott Joplin wrote The Entertainer.").await;
    let late = b.request(Method::DELETE, &path("joplin")).header("if-match", version);
    assert_eq!(Answer::of(late).await.status, 412);
    assert_eq!(a.search("maple").await, Vec::<String>::new());
    assert_eq!(a.search("entertainer").await, ["joplin"]);
    // Collections, jobs and settings too.
    let made = b.post("/v1/collections", json!({"name": "rags"})).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(c.get("/v1/collections/rags").await.status, 200);
    assert_eq!(a.delete("/v1/collections/rags").await.status, 204);
    assert_eq!(c.get("/v1/collections/rags").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_on_one_host_no_other_finds() {
    let rounds: u32 = std::env::var("RAGTIME_TEST_ROUNDS").map_or(100, |n| n.parse().unwrap());
    let (_, hosts) = fleet(3);
    for round in 0..rounds {
        let at = |shift: u32| &hosts[(round + shift) as usize % hosts.len()];
        let (id, word) = (format!("d{round}"), format!("word{round}"));
        at(0).document(&id, &format!("A document about {word}.")).await;
        assert_eq!(at(1).search(&word).await, [id.as_str()], "round {round}");
        assert_eq!(at(2).delete(&path(&id)).await.status, 204);
        assert_eq!(at(0).search(&word).await, Vec::<String>::new(), "round {round}");
        assert_eq!(at(1).search(&word).await, Vec::<String>::new(), "round {round}");
        assert_eq!(at(1).get(&path(&id)).await.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_revoked_on_one_host_is_dead_on_all() {
    let (_, hosts) = fleet(2);
    for round in 0..20 {
        let (here, there) = (&hosts[round % 2], &hosts[(round + 1) % 2]);
        let made = here.post("/v1/keys", json!({"name": "k", "scopes": ["read"]})).await;
        assert_eq!(made.status, 201, "{made:?}");
        let credential = made.body["credential"].as_str().unwrap();
        let ask = |host: &Server| {
            Answer::of(host.anonymous(Method::GET, "/v1/collections").bearer_auth(credential))
        };
        assert_eq!(ask(there).await.status, 200, "a new key works at once");
        let id = made.body["id"].as_str().unwrap();
        assert_eq!(here.delete(&format!("/v1/keys/{id}")).await.status, 204);
        assert_eq!(ask(there).await.status, 401);
        assert_eq!(ask(here).await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_start_at_once_on_an_empty_database_make_one_fleet_and_one_key() {
    let schema = engines::schema();
    let url = engines::shared();
    // Without a key from outside, so that the hosts have to agree on the first.
    let start = || {
        let (url, schema) = (url.clone(), schema.clone());
        std::thread::spawn(move || {
            host(&url, &schema).without("RAGTIME_AUTH__BOOTSTRAP_KEY").start()
        })
    };
    let starting = [start(), start(), start()];
    let hosts = starting.map(|host| host.join().unwrap());
    let keys: Vec<String> = hosts
        .iter()
        .filter_map(|host| std::fs::read_to_string(host.dir.path().join("first-key")).ok())
        .collect();
    assert_eq!(keys.len(), 1, "one host shows the first key");
    let key = keys[0].trim();
    for host in &hosts {
        let listed = host.anonymous(Method::GET, "/v1/keys").bearer_auth(key);
        let listed = Answer::of(listed).await;
        assert_eq!(listed.body["keys"].as_array().unwrap().len(), 1, "{listed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_starts_later_or_again_has_what_the_others_have() {
    let (schema, hosts) = fleet(1);
    hosts[0].document("first", "The first document is about marches.").await;
    let mut late = host(&engines::shared(), &schema).start();
    assert_eq!(late.search("marches").await, ["first"]);
    // It is away while others write, and goes on with the folder that it had.
    late.kill();
    hosts[0].document("second", "The second document is about waltzes.").await;
    assert_eq!(hosts[0].delete(&path("first")).await.status, 204);
    let again = host(&engines::shared(), &schema).in_folder_of(&late).start();
    assert_eq!(again.search("waltzes").await, ["second"]);
    assert_eq!(again.search("marches").await, Vec::<String>::new());
    // The folder of a host that is alone is not a fleet's to write over.
    let mut alone = Setup::new().start();
    alone.document("own", "A document of my own.").await;
    assert!(alone.terminate().success());
    let refused = binary()
        .args(["serve", "--no-model", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(alone.dir.path())
        .env("RAGTIME_FLEET__POSTGRES", engines::shared())
        .env("RAGTIME_FLEET__SCHEMA", &schema)
        .output()
        .unwrap();
    assert!(!refused.status.success());
    let stderr = String::from_utf8(refused.stderr).unwrap();
    assert!(stderr.contains("fleet import"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_becomes_a_fleet() {
    let mut alone = Setup::new().start();
    alone.document("own", "A document of my own.").await;
    assert!(alone.terminate().success());
    let (schema, url) = (engines::schema(), engines::shared());
    let command = |arguments: &[&str]| {
        let output = binary()
            .args(["fleet"])
            .args(arguments)
            .args(["--data-dir"])
            .arg(alone.dir.path())
            .env("RAGTIME_FLEET__POSTGRES", &url)
            .env("RAGTIME_FLEET__SCHEMA", &schema)
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    assert!(!command(&["status", "--json"]).0, "there is no fleet yet");
    assert!(command(&["import"]).0);
    assert!(!command(&["import"]).0, "there is one now");
    let hosts = [host(&url, &schema).start(), host(&url, &schema).start()];
    for host in &hosts {
        assert_eq!(host.search("document").await, ["own"]);
    }
    let (ok, stdout) = command(&["status", "--json"]);
    assert!(ok);
    let status: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(status["hosts"].as_array().unwrap().len(), 2, "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_done_once_whichever_hosts_get_it() {
    let (_, hosts) = fleet(2);
    for round in 0..10 {
        let send = |host: &Server| {
            let body = json!({"documents": [{"text": format!("round {round}")}]});
            let request = host.request(Method::POST, "/v1/collections/default/documents");
            Answer::of(request.json(&body).header("idempotency-key", format!("r{round}")))
        };
        let (one, other) = tokio::join!(send(&hosts[0]), send(&hosts[1]));
        let done = [&one, &other].iter().filter(|answer| answer.status < 300).count();
        for answer in [&one, &other] {
            if answer.status >= 300 {
                answer.assert_problem(409, "idempotency_in_progress");
            }
        }
        assert!(done >= 1, "{one:?} {other:?}");
        let again = [send(&hosts[0]).await, send(&hosts[1]).await];
        let jobs: BTreeSet<_> = [&one, &other, &again[0], &again[1]]
            .iter()
            .filter(|answer| answer.status < 300)
            .map(|answer| answer.text.clone())
            .collect();
        assert_eq!(jobs.len(), 1, "{jobs:?}");
    }
    let listed = hosts[0].get("/v1/collections/default/documents?limit=100").await;
    assert_eq!(listed.body["documents"].as_array().unwrap().len(), 10, "{listed:?}");
}

/// The ids of all documents of `default`.
async fn all_ids(host: &Server) -> BTreeSet<String> {
    let (mut ids, mut cursor) = (BTreeSet::new(), String::new());
    loop {
        let listed =
            host.get(&format!("/v1/collections/default/documents?limit=100{cursor}")).await;
        assert_eq!(listed.status, 200, "{listed:?}");
        for document in listed.body["documents"].as_array().unwrap() {
            ids.insert(document["id"].as_str().unwrap().to_owned());
        }
        match listed.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_is_cut_off_by_a_snapshot_and_hosts_start_from_it() {
    let (schema, url) = (engines::schema(), engines::shared());
    let first = host(&url, &schema).set("FLEET__SNAPSHOT_LOG_BYTES", 1).start();
    let text = "A long text about marches. ".repeat(2_000);
    for n in 0..20 {
        first.document(&format!("d{n}"), &format!("unique{n} {text}")).await;
    }
    first.logged(&["a snapshot was taken"]).await;
    let second = host(&url, &schema).start();
    assert_eq!(all_ids(&second).await.len(), 20);
    assert_eq!(second.search("unique7").await, ["d7"]);
    second.document("more", "A waltz.").await;
    assert_eq!(first.search("waltz").await, ["more"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_are_made_once_and_every_host_ranks_as_one_that_is_alone() {
    let (schema, url) = (engines::schema(), engines::shared());
    let with_model = || {
        Setup::with_model()
            .set("FLEET__POSTGRES", &url)
            .set("FLEET__SCHEMA", &schema)
            .set("FLEET__WAIT_MS", PATIENCE.as_millis())
            .start()
    };
    let hosts = [with_model(), with_model()];
    for host in &hosts {
        host.model().await;
    }
    // Hosts of other models would undo each other's vectors.
    let refused = binary()
        .args(["serve", "--no-model", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(tempfile::tempdir().unwrap().path())
        .env("RAGTIME_FLEET__POSTGRES", &url)
        .env("RAGTIME_FLEET__SCHEMA", &schema)
        .output()
        .unwrap();
    let stderr = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && stderr.contains("embedding models"), "{stderr}");
    // The same texts by one host after the other, and by one that is alone.
    let alone = Setup::with_model().start();
    alone.model().await;
    let pages = ["docs/fleet.md", "docs/operation.md"];
    let pages = pages.map(|page| std::fs::read_to_string(harness::root().join(page)).unwrap());
    let paragraphs = pages.iter().flat_map(|page| page.split("\n\n"));
    let texts: Vec<_> = paragraphs.filter(|text| text.len() > 100).take(TEXTS).collect();
    for (n, text) in texts.iter().enumerate() {
        let id = format!("p{n}");
        hosts[n % 2].document(&id, text).await;
        alone.document(&id, text).await;
    }
    let questions = [
        "what happens when a host is killed",
        "a standby that takes over",
        "how long are backups kept",
        "certificate",
        "who makes the vectors",
        "database away",
    ];
    for question in questions {
        for mode in ["lexical", "vector", "hybrid"] {
            let expected = ranked(&alone, question, mode).await;
            assert!(!expected.is_empty(), "{question}");
            for host in &hosts {
                assert_eq!(ranked(host, question, mode).await, expected, "{question}, {mode}");
            }
        }
    }
}

/// Texts that are searched for the comparison of hosts.
const TEXTS: usize = 40;

/// What a search finds, in its order, with every digit of the scores.
async fn ranked(host: &Server, query: &str, mode: &str) -> Vec<(String, String)> {
    let body = json!({"query": query, "mode": mode, "top_k": 20});
    let answer = host.post("/v1/collections/default/search", body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let results = answer.body["results"].as_array().unwrap().iter();
    results.map(|one| (one["document_id"].to_string(), one["score"].to_string())).collect()
}

/// The names of hosts, as an operator sees them.
async fn names(host: &Server) -> Vec<String> {
    let answer = Answer::of(host.admin(Method::GET, "/admin/fleet")).await;
    let hosts = answer.body["hosts"].as_array().unwrap_or_else(|| panic!("{answer:?}")).iter();
    hosts.map(|host| host["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_listed_by_machine_and_port_and_namesakes_say_so() {
    let (schema, hosts) = fleet(2);
    let mut ports: Vec<_> =
        hosts.iter().map(|host| host.url.rsplit_once(':').unwrap().1.to_owned()).collect();
    ports.sort();
    let started = Instant::now();
    loop {
        let names = names(&hosts[0]).await;
        let parts: Vec<_> = names.iter().map(|name| name.rsplit_once(':').unwrap()).collect();
        let mut listed: Vec<_> = parts.iter().map(|(_, port)| (*port).to_owned()).collect();
        listed.sort();
        // They were at port 0 until they had one.
        if listed == ports {
            assert_eq!(parts[0].0, parts[1].0, "the machine");
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{names:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let named = || host(&engines::shared(), &schema).set("FLEET__NAME", "the-same").start();
    let twins = [named(), named()];
    for host in &twins {
        let started = Instant::now();
        while !host.log().iter().any(|line| line.contains("has the same name")) {
            assert!(started.elapsed() < PATIENCE, "{:#?}", host.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    assert!(!hosts[0].log().join("\n").contains("the same name"));
}

/// How many hosts live, as a host sees it.
async fn live_hosts(host: &Server) -> Option<u32> {
    let metrics = host.admin(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix("ragtime_fleet_hosts "))?;
    line.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_is_shared_among_hosts() {
    let (_, hosts) = fleet(2);
    for host in &hosts {
        let started = Instant::now();
        while live_hosts(host).await != Some(2) {
            assert!(started.elapsed() < PATIENCE);
        }
    }
    let key = hosts[0]
        .key(json!({"name": "k", "scopes": ["read"], "rate_per_minute": 1, "burst": 40}))
        .await;
    let mut admitted = 0;
    for n in 0..80 {
        let host = &hosts[n % 2];
        let request = host.anonymous(Method::POST, "/v1/collections/default/search");
        let answer = Answer::of(request.bearer_auth(&key).json(&json!({"query": "rag"}))).await;
        admitted += u32::from(answer.status == 200);
    }
    // A unit comes back while the test runs.
    assert!((40..=44).contains(&admitted), "{admitted}");
    assert_ne!(key, ADMIN);
}
