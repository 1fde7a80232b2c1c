//! What one client, or one document, or many collections can make the server
//! hold: memory, threads, maps, processor time, rows.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::harness::{self, ADMIN, Answer, Server, Setup, survived};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const DOCUMENTS: &str = "/v1/collections/default/documents";
/// How long a state may take to come about on a machine with much to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// A number of `/proc/PID/status`, in its unit there.
fn status(server: &Server, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Resident memory in kB.
fn resident(server: &Server) -> u64 {
    status(server, "VmRSS")
}

fn maps(server: &Server) -> usize {
    std::fs::read_to_string(format!("/proc/{}/maps", server.pid())).unwrap().lines().count()
}

/// Processor time of the server so far, in ticks of a hundredth of a second.
fn ticks(server: &Server) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

async fn fill(server: &Server, from: usize, to: usize) {
    for number in from..to {
        let made = server.post("/v1/collections", json!({"name": format!("c{number}")})).await;
        assert_eq!(made.status, 201, "{made:?}");
        let path = format!("/v1/collections/c{number}/documents/d");
        let put = server.put(&path, json!({"text": format!("phoenix number {number}")})).await;
        assert_eq!(put.status, 201, "{put:?}");
    }
}

async fn found(server: &Server, collection: usize, query: &str) -> Vec<String> {
    let path = format!("/v1/collections/c{collection}/search");
    let answer = server.post(&path, json!({"query": query})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let results = answer.body["results"].as_array().unwrap();
    results.iter().map(|result| result["text"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn many_collections_hold_no_more_threads_and_maps_than_a_few() {
    const FEW: usize = 24;
    const MANY: usize = 240;
    let mut server = Setup::new()
        .set("DATA__MAX_LOADED_INDEXES", 16)
        .set("DATA__MAX_INDEX_WRITERS", 4)
        .set("AUTH__BURST", 1_000_000)
        .start();
    fill(&server, 0, FEW).await;
    let few = (status(&server, "Threads"), maps(&server));
    fill(&server, FEW, MANY).await;
    let many = (status(&server, "Threads"), maps(&server));
    // Ten times as many collections; the blocking threads of the runtime and the
    // allocator's maps may be some more.
    assert!(many.0 * 2 < few.0 * 3, "threads: {few:?}, {many:?}");
    assert!(many.1 * 2 < few.1 * 3, "maps: {few:?}, {many:?}");
    // Each is found again, and a change of one that was unloaded is seen.
    for number in (0..MANY).step_by(7) {
        assert_eq!(found(&server, number, "phoenix").await, [format!("phoenix number {number}")]);
    }
    let path = "/v1/collections/c0/documents";
    server.put(&format!("{path}/e"), json!({"text": "a second phoenix"})).await;
    fill(&server, MANY, MANY + FEW).await;
    assert_eq!(found(&server, 0, "phoenix").await.len(), 2);
    assert_eq!(server.delete(&format!("{path}/d")).await.status, 204);
    assert_eq!(found(&server, 0, "phoenix").await, ["a second phoenix"]);
    server.kill();
    let server = Setup::again(&server).set("DATA__MAX_LOADED_INDEXES", 16).start();
    for number in (1..MANY + FEW).step_by(11) {
        assert_eq!(found(&server, number, "phoenix").await, [format!("phoenix number {number}")]);
    }
    survived(
        "ten times as many collections as are held in memory",
        "threads and memory maps stay as they were, and each is found",
        "nothing",
    );
}

#[tokio::test]
async fn there_are_no_more_collections_than_the_operator_allows() {
    let server = Setup::new().set("DATA__MAX_COLLECTIONS", 3).start();
    for name in ["a", "b"] {
        assert_eq!(server.post("/v1/collections", json!({"name": name})).await.status, 201);
    }
    let refused = server.post("/v1/collections", json!({"name": "c"})).await;
    refused.assert_problem(422, "invalid_request");
    assert!(refused.text.contains("data.max_collections"));
    server
        .post("/v1/collections", json!({"name": "a"}))
        .await
        .assert_problem(409, "collection_exists");
    assert_eq!(server.delete("/v1/collections/a").await.status, 204);
    assert_eq!(server.post("/v1/collections", json!({"name": "c"})).await.status, 201);
}

#[tokio::test]
async fn the_tokens_of_a_text_take_few_times_its_size() {
    const BYTES: usize = 2 * 1024 * 1024;
    let server = Setup::with_model().start();
    server.model().await;
    let put = async |id: &str, text: String| {
        let request = server.request(Method::PUT, &format!("{DOCUMENTS}/{id}?wait=durable"));
        let request = request.header("content-type", "text/markdown");
        Answer::of(request.body(text)).await
    };
    // One that the handler and the model have seen, so that what they keep is
    // not counted.
    assert_eq!(put("warm", "| a | b |\n".repeat(64)).await.status, 201);
    let before = status(&server, "VmHWM");
    let answer = put("hostile", "|a".repeat(BYTES / 2)).await;
    assert!(answer.status < 500, "{answer:?}");
    let peak = status(&server, "VmHWM") - before;
    // The handler's own memory is most of it: its parser's tree and chunks.
    assert!(peak < 150 * BYTES as u64 / 1_024, "{peak} kB for {BYTES} bytes");
}

#[tokio::test]
async fn memory_that_was_needed_once_is_given_back() {
    let server = Setup::new().set("HANDLER__IDLE_TIMEOUT_MS", 500).start();
    server.document("small", "phoenix").await;
    let before = resident(&server);
    let text = "word after word of a long text. ".repeat(200_000);
    for number in 0..4 {
        let path = format!("{DOCUMENTS}/{number}");
        let put = server.put(&path, json!({"text": text})).await;
        assert_eq!(put.status, 201, "{}", put.status);
    }
    for number in 0..4 {
        assert_eq!(server.delete(&format!("{DOCUMENTS}/{number}")).await.status, 204);
    }
    let started = Instant::now();
    let most = before + 2 * text.len() as u64 / 1_024 + 64 * 1_024;
    while resident(&server) > most {
        let held = resident(&server);
        assert!(
            started.elapsed() < PATIENCE,
            "{before} kB before, {held} kB after, at most {most}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_share_one_budget_of_memory_and_who_needs_more_fails_alone() {
    let server = Setup::new()
        .set("HANDLER__MAX_TOTAL_MEMORY_BYTES", 96 * 1024 * 1024)
        .set("SERVER__QUEUE_TIMEOUT_MS", 200)
        .set("AUTH__BURST", 1_000_000)
        .start();
    server.document("a", "phoenix").await;
    let before = resident(&server);
    let text = "word after word of a long text. ".repeat(150_000);
    let body = json!({"text": text});
    let large = (0..12).map(|number| {
        let (server, body) = (&server, &body);
        async move { server.put(&format!("{DOCUMENTS}/l{number}?wait=durable"), body.clone()).await }
    });
    let small = async {
        let mut failed = 0;
        for _ in 0..50 {
            let answer = server.post("/v1/collections/default/search", json!({"query": "phoenix"}));
            failed += usize::from(answer.await.status != 200);
        }
        failed
    };
    let (large, failed) = tokio::join!(futures::future::join_all(large), small);
    let refused: Vec<_> = large.iter().filter(|answer| answer.status >= 300).collect();
    assert!(!refused.is_empty(), "the budget was never met");
    for answer in refused {
        let code = answer.body["code"].as_str().unwrap();
        assert!(
            matches!(
                (answer.status, code),
                (503, "no_memory" | "no_instance") | (500, "change_interrupted")
            ),
            "{answer:?}"
        );
    }
    assert!(failed <= 5, "{failed} of 50 searches failed beside them");
    let grown = status(&server, "VmHWM").saturating_sub(before);
    assert!(grown < 12 * 4 * text.len() as u64 / 1_024, "{grown} kB");
    let after = server.post("/v1/collections/default/search", json!({"query": "phoenix"})).await;
    assert_eq!(after.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn embedding_costs_by_its_tokens_and_ends_when_the_client_leaves() {
    let server = Setup::with_model().set("AUTH__RATE_PER_MINUTE", 1).start();
    server.model().await;
    let embed = |key: &str, texts: usize, words: usize| {
        let input = vec!["wing ".repeat(words); texts];
        let request = server.anonymous(Method::POST, "/v1/embeddings").bearer_auth(key);
        request.json(&json!({"model": "all-MiniLM-L6-v2", "input": input}))
    };
    let key = |burst: u32| {
        server.key(json!({"name": "e", "scopes": ["read"], "burst": burst, "rate_per_minute": 1}))
    };
    let left = |answer: &Answer| {
        let quota = answer.header("ratelimit").to_owned();
        quota.split(";r=").nth(1).unwrap().split(';').next().unwrap().parse::<u32>().unwrap()
    };
    let reader = key(40).await;
    let one = Answer::of(embed(&reader, 1, 3)).await;
    assert_eq!(one.status, 200, "{one:?}");
    let own = |key: String| {
        let server = &server;
        async move { Answer::of(server.anonymous(Method::GET, "/v1/keys/self").bearer_auth(key)).await }
    };
    let before = left(&own(reader.clone()).await);
    let sixteen = Answer::of(embed(&reader, 16, 300)).await;
    assert_eq!(sixteen.status, 200, "{sixteen:?}");
    let cost = before - left(&own(reader.clone()).await) - 1;
    assert_eq!(cost, 16, "one unit for each text of the longest that the model reads");
    Answer::of(embed(&reader, 30, 300)).await.assert_problem(429, "rate_limited");
    Answer::of(embed(&reader, 64, 300)).await.assert_problem(400, "invalid_value");

    // How much work a large one is, and what is left of it when nobody waits.
    let start = ticks(&server);
    let whole = Answer::of(embed(ADMIN, 96, 300)).await;
    assert_eq!(whole.status, 200);
    let whole = ticks(&server) - start;
    let start = ticks(&server);
    let gone = embed(ADMIN, 256, 300).timeout(Duration::from_millis(300)).send().await;
    assert!(gone.is_err());
    let mut last = ticks(&server);
    let since = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let now = ticks(&server);
        if now - last <= 4 {
            break;
        }
        last = now;
        assert!(since.elapsed() < PATIENCE);
    }
    let spent = ticks(&server) - start;
    assert!(spent * 3 < whole * 256 / 96, "{spent} ticks; a whole one of 96 texts takes {whole}");
}

#[tokio::test]
async fn a_document_costs_by_its_size() {
    let server = Setup::new().start();
    let key = json!({"name": "w", "scopes": ["write"], "burst": 20, "rate_per_minute": 1});
    let key = server.key(key).await;
    let put = |id: &str, bytes: usize| {
        let request = server.anonymous(Method::PUT, &format!("{DOCUMENTS}/{id}?wait=durable"));
        let request = request.header("content-type", "text/plain").bearer_auth(&key);
        Answer::of(request.body("word ".repeat(bytes / 5)))
    };
    assert_eq!(put("a", 100).await.status, 201);
    assert_eq!(put("b", 10 * 65_536).await.status, 201);
    put("c", 12 * 65_536).await.assert_problem(429, "rate_limited");
    assert_eq!(put("d", 100).await.status, 201);
}

#[tokio::test]
async fn jobs_tell_nothing_of_other_collections_are_bounded_and_go() {
    let server = Setup::new().set("DATA__JOB_RETENTION_SECONDS", 2).start();
    for name in ["mine", "theirs"] {
        server.post("/v1/collections", json!({"name": name})).await;
    }
    let ingest = |collection: &str, documents: Value| {
        let path = format!("/v1/collections/{collection}/documents?wait=indexed");
        Answer::of(server.request(Method::POST, &path).json(&json!({"documents": documents})))
    };
    let good = json!([{"id": "d", "text": "phoenix"}]);
    let writer = json!({"name": "m", "scopes": ["read", "write"], "collections": ["mine"]});
    let writer = server.key(writer).await;
    // Line by line, as a batch of JSON is refused for its first fault.
    let bad: String = (0..1_500).map(|n| format!("{{\"id\":\"x{n}\",\"text\":\" \"}}\n")).collect();
    let path = "/v1/collections/mine/documents?wait=indexed";
    let bad =
        server.request(Method::POST, path).header("content-type", "application/x-ndjson").body(bad);
    let failed = Answer::of(bad).await;
    assert_eq!(failed.status, 200, "{}", failed.status);
    let job = &failed.body;
    let count = |job: &Value| job["failed"].as_array().unwrap().len();
    assert_eq!((count(job), &job["failed_count"]), (1_000, &json!(1_500)));
    assert_eq!((&job["failed_truncated"], &job["received"]), (&json!(true), &json!(1_500)));
    for _ in 0..3 {
        assert_eq!(ingest("theirs", good.clone()).await.status, 200);
    }
    assert_eq!(ingest("mine", good.clone()).await.status, 200);
    let page = |cursor: &str| {
        let request = server.anonymous(Method::GET, &format!("/v1/jobs?limit=1{cursor}"));
        Answer::of(request.bearer_auth(&writer))
    };
    // Every page is full as long as there is more, whatever stands between.
    let first = page("").await;
    assert_eq!(first.body["jobs"].as_array().unwrap().len(), 1, "{first:?}");
    let cursor = first.body["next_cursor"].as_str().unwrap().to_owned();
    let second = page(&format!("&cursor={cursor}")).await;
    assert_eq!(count(&second.body["jobs"][0]), 10);
    assert_eq!(second.body["jobs"][0]["failed_count"], 1_500);
    assert_eq!(second.body["next_cursor"], Value::Null);

    // The name of a chunk does not count across collections.
    let names = async || {
        let answer = server.post("/v1/collections/mine/search", json!({"query": "phoenix"})).await;
        answer.body["results"][0]["chunk_id"].as_str().unwrap().to_owned()
    };
    let before = names().await;
    ingest("theirs", json!((0..50).map(|n| json!({"text": format!("p{n}")})).collect::<Vec<_>>()))
        .await;
    ingest("mine", json!([{"id": "d", "text": "a phoenix"}])).await;
    ingest("mine", good).await;
    assert_eq!(names().await, before);

    // Jobs that are done go after a while, a few with each that comes.
    let old = format!("/v1/jobs/{}", job["job_id"].as_str().unwrap());
    let started = Instant::now();
    while server.get(&old).await.status == 200 {
        assert!(started.elapsed() < PATIENCE);
        ingest("theirs", json!([{"id": "t", "text": "tick"}])).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    server.get(&old).await.assert_problem(404, "unknown_job");
}

/// Files and folders that others than their owner can open.
fn open_to_others(folder: &std::path::Path) -> Vec<String> {
    let others = |entry: &walkdir::DirEntry| {
        entry.metadata().unwrap().permissions().mode() & 0o077 != 0 && !entry.path_is_symlink()
    };
    let all = walkdir::WalkDir::new(folder).min_depth(1).into_iter().map(Result::unwrap);
    all.filter(others).map(|entry| entry.path().display().to_string()).collect()
}

#[tokio::test]
async fn nothing_that_the_server_makes_is_open_to_others() {
    let setup = Setup::new();
    let mut server = setup.start();
    server.document("a", "phoenix").await;
    let other = std::fs::read(harness::fixture(harness::FAULTY)).unwrap();
    assert_eq!(server.swap(other, "").await.status, 200);
    assert_eq!(open_to_others(server.dir.path()), [""; 0]);
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::set_permissions(elsewhere.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let backup = elsewhere.path().join("backup");
    let run = |arguments: &[&str], data: &std::path::Path| {
        let made = harness::binary().args(arguments).arg("--data-dir").arg(data).output().unwrap();
        assert!(made.status.success(), "{made:?}");
    };
    run(&["backup", backup.to_str().unwrap()], server.dir.path());
    server.terminate();
    let restored = elsewhere.path().join("restored");
    run(&["restore", backup.to_str().unwrap()], &restored);
    assert_eq!(open_to_others(elsewhere.path()), [""; 0]);
    // What an older version left open is closed at the next start.
    let database = server.dir.path().join("ragtime.sqlite");
    std::fs::set_permissions(&database, std::fs::Permissions::from_mode(0o644)).unwrap();
    let server = Setup::again(&server).start();
    assert_eq!(open_to_others(server.dir.path()), [""; 0]);
}

#[tokio::test]
async fn the_first_key_is_not_written_into_a_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut command = harness::binary();
    command.args([
        "serve",
        "--no-model",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ]);
    command.arg("--data-dir").arg(folder.path().join("data"));
    command.stderr(std::fs::File::create(&log).unwrap()).stdout(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    let started = Instant::now();
    let said = loop {
        let said = std::fs::read_to_string(&log).unwrap();
        if said.contains("first-key") {
            break said;
        }
        assert!(started.elapsed() < 2 * PATIENCE, "{said}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(!said.contains("rt_"), "{said}");
    let file = folder.path().join("data/first-key");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let key = std::fs::read_to_string(&file).unwrap();
    let url = said.split("Ragtime is ready on ").nth(1).unwrap().split(' ').next().unwrap();
    let asked = reqwest_client().get(format!("{url}/v1/keys")).bearer_auth(key.trim()).send().await;
    assert_eq!(asked.unwrap().status(), StatusCode::OK);
    child.kill().unwrap();
    child.wait().unwrap();
}

fn reqwest_client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

#[tokio::test]
async fn a_component_that_takes_too_much_to_compile_is_given_up() {
    let body = "(i32.add (i32.mul (local.get 0) (i32.const 7)) (local.get 0))";
    let body = (0..60).fold(body.to_owned(), |inner, _| format!("(i32.add {inner} (local.get 0))"));
    let function = format!("(func (param i32) (result i32) {body})");
    let heavy = format!("(component (core module {}))", function.repeat(4_000));
    let heavy = wat::parse_str(heavy).unwrap();
    for (name, value, words) in [
        ("SWAP__COMPILE_TIMEOUT_MS", 20, "compile_timeout_ms"),
        ("SWAP__MAX_COMPILE_MEMORY_BYTES", 48 * 1024 * 1024, ""),
    ] {
        let server = Setup::new().set(name, value).start();
        let before = resident(&server);
        let refused = server.swap(heavy.clone(), "").await;
        assert!((400..500).contains(&refused.status), "{refused:?}");
        assert!(refused.text.contains(words), "{refused:?}");
        // It is another process that held it, and it is gone.
        assert!(resident(&server) < before + 64 * 1_024);
        assert_eq!(server.get("/v1/collections").await.status, 200);
    }
}
