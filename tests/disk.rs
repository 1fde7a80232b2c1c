//! A disk that is full, a folder that is damaged, a process out of descriptors:
//! what was acknowledged stays, what can be served is, and somebody is alerted.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::time::Duration;

use crate::harness::{self, Answer, Server, Setup};
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpStream;

const DOCUMENTS: &str = "/v1/collections/default/documents";

/// A text that fills a disk and has few words.
fn long(number: usize) -> String {
    format!("Part{number} of the score. {}", "la ".repeat(100_000))
}

async fn ready(server: &Server) -> String {
    server.get("/readyz").await.text
}

async fn metric(server: &Server, name: &str) -> String {
    let metrics = server.admin(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("missing");
    line.trim().to_owned()
}

/// Waits until what is asked for is so.
async fn until<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    let wait = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(60), wait).await;
    assert!(done.is_ok(), "it never came: {what}");
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_stops_nobody_from_reading() {
    // A limit on the size of each file is the disk that anybody may fill. It
    // has room for the store's log of writes, and not for many long texts.
    let mut server = Setup::new().limited("-f 24000").start();
    let mut kept = Vec::new();
    let refused = loop {
        let id = format!("d{}", kept.len());
        let body = json!({"text": long(kept.len())});
        let answer = server.put(&format!("{DOCUMENTS}/{id}?wait=durable"), body).await;
        match answer.status {
            201 => kept.push(id),
            _ => break answer,
        }
        assert!(kept.len() < 500, "the disk does not fill");
    };
    refused.assert_problem(507, "store_unwritable");
    assert!(!kept.is_empty());
    let one = server.get(&format!("{DOCUMENTS}/{}", kept[0])).await;
    assert_eq!(one.status, 200, "reading goes on");
    let search = server.post("/v1/collections/default/search", json!({"query": "score"})).await;
    assert_eq!(search.status, 200, "{search:?}");
    server.logged(&["\"ERROR\"", "disk"]).await;
    assert!(ready(&server).await.contains("writes fail"));
    assert_eq!(metric(&server, "ragtime_ready{part=\"store\"}").await, "0");

    server.kill();
    let server = Setup::again(&server).start();
    for id in &kept {
        let found = server.get(&format!("{DOCUMENTS}/{id}")).await;
        assert_eq!(found.status, 200, "{id}");
    }
    server.document("new", "There is room again.").await;
    assert_eq!(metric(&server, "ragtime_ready{part=\"store\"}").await, "1");
    harness::survived(
        "A disk that fills up",
        "writes are refused with 507, reading and searching go on, readiness and metrics say so",
        "nothing acknowledged",
    );
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").unwrap();
    for dir in [file.join("data"), Path::new("/proc/ragtime").to_owned()] {
        let started = harness::binary()
            .args(["serve", "--listen", "127.0.0.1:0", "--no-model", "--data-dir"])
            .arg(&dir)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&started.stderr);
        assert!(!started.status.success());
        assert!(said.contains("error: ") && !said.contains("panicked"), "{said}");
    }
    harness::survived(
        "A data folder that cannot be written",
        "the start fails and says why",
        "nothing",
    );
}

/// Overwrites some of a file.
fn damage(file: &Path, from: usize, bytes: usize) {
    let mut all = std::fs::read(file).unwrap();
    let end = (from + bytes).min(all.len());
    all[from..end].fill(0xa5);
    std::fs::write(file, all).unwrap();
}

#[tokio::test]
async fn a_damaged_page_of_the_database_takes_no_other_document_with_it() {
    let mut server = Setup::new().start();
    for number in 0..30 {
        server.document(&format!("d{number}"), &long(number)).await;
    }
    assert!(server.terminate().success());
    let file = server.dir.path().join("ragtime.sqlite");
    let middle = usize::try_from(std::fs::metadata(&file).unwrap().len()).unwrap() / 2;
    damage(&file, middle, 4_096);
    let server = Setup::again(&server).start();
    let (mut whole, mut hurt) = (0, 0);
    for number in 0..30 {
        let found = server.get(&format!("{DOCUMENTS}/d{number}")).await;
        match found.status {
            200 if found.body["text"] == long(number) => whole += 1,
            200 | 500 => hurt += 1,
            _ => panic!("{found:?}"),
        }
    }
    assert!(hurt <= 1 && whole >= 29, "{whole} whole, {hurt} hurt");
    server.document("new", "Writing goes on.").await;
    let checked =
        harness::binary().args(["check", "--data-dir"]).arg(server.dir.path()).output().unwrap();
    assert!(!checked.status.success(), "a check says so: {checked:?}");
    harness::survived(
        "A damaged page of the database",
        "all other documents are served, writing goes on, `ragtime check` tells",
        "the text on that page",
    );
}

#[tokio::test]
async fn a_lexical_index_that_is_damaged_is_made_anew() {
    let mut server = Setup::new().start();
    server.document("a", "Syncopation.").await;
    assert!(server.terminate().success());
    let index = server.dir.path().join("index");
    let files = walk(&index);
    assert!(!files.is_empty());
    for file in files {
        damage(&file, 0, 1 << 20);
    }
    let server = Setup::again(&server).start();
    until("the index is rebuilt", || async { server.search("syncopation").await == ["a"] }).await;
    server.logged(&["damaged"]).await;
    harness::survived("A damaged index", "it is made anew from the database", "nothing");
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let (folders, mut files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    files.extend(folders.iter().flat_map(|folder| walk(folder)));
    files
}

#[tokio::test]
async fn with_a_model_that_is_damaged_search_is_by_words_and_says_so() {
    let model = tempfile::tempdir().unwrap();
    for name in ["model.safetensors", "tokenizer.json", "config.json"] {
        std::fs::write(model.path().join(name), "not a model").unwrap();
    }
    // By default it would be fetched again.
    let server = Setup::with_model()
        .set("MODEL__SOURCE", "local")
        .set("MODEL__DIR", model.path().display())
        .start();
    until("the model is given up", || async { ready(&server).await.contains("could not be had") })
        .await;
    server.document("a", "Syncopation.").await;
    let body = json!({"query": "syncopation"});
    let found = server.post("/v1/collections/default/search", body).await;
    assert_eq!((found.status, &found.body["degraded"]), (200, &json!(true)), "{found:?}");
    harness::survived(
        "Damaged model files",
        "search is by words and says `degraded`; by default the model is fetched again",
        "nothing",
    );
}

#[tokio::test]
async fn a_process_out_of_descriptors_serves_again_when_clients_leave() {
    let server = Setup::new().limited("-n 160").start();
    server.document("a", "Syncopation.").await;
    let address = server.url.strip_prefix("http://").unwrap();
    let mut crowd = Vec::new();
    for _ in 0..400 {
        // The kernel queues what the process cannot take.
        let connect = tokio::time::timeout(Duration::from_secs(2), TcpStream::connect(address));
        match connect.await {
            Ok(Ok(stream)) => crowd.push(stream),
            _ => break,
        }
    }
    assert!(crowd.len() > 160);
    drop(crowd);
    until("the server serves again", || async {
        let request = server.request(Method::GET, &format!("{DOCUMENTS}/a"));
        let request = request.timeout(Duration::from_secs(5));
        matches!(request.send().await, Ok(response) if response.status() == 200)
    })
    .await;
    assert_eq!(server.search("syncopation").await, ["a"]);
    let put = server.request(Method::PUT, &format!("{DOCUMENTS}/b"));
    assert_eq!(Answer::of(put.json(&json!({"text": "Stride."}))).await.status, 201);
    harness::survived(
        "More connections than descriptors",
        "it serves again when clients leave",
        "connections that found no place",
    );
}
