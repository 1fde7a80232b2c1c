//! A process that is killed at random points of writing, again and again, over
//! a growing corpus: what was acknowledged is there once, what was deleted is
//! gone, and the indexes say what the documents say.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::harness::{self, Answer, Server, Setup, binary};
use reqwest::{Method, RequestBuilder};
use serde_json::json;

const KILLS: u64 = 200;
const WRITERS: u64 = 3;
/// The server lives for so long at most, under writes.
const MAX_LIFE_MS: u64 = 60;
const DOCUMENTS: &str = "/v1/collections/default/documents";
/// Documents of one batch.
const BATCH: u64 = 4;

/// Numbers that are the same in every run (Steele and Vigna 2014).
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// The versions that a document may have, none for one that is not there: one
/// when the last write was acknowledged, two when it was cut off.
type Possible = Vec<Option<u64>>;

#[derive(Default)]
struct Ledger {
    documents: BTreeMap<String, Possible>,
    version: u64,
}

impl Ledger {
    /// Notes a write that is about to be sent.
    fn begin(&mut self, id: &str, to: Option<u64>) {
        self.documents.entry(id.to_owned()).or_insert_with(|| vec![None]).push(to);
    }

    fn end(&mut self, id: &str, to: Option<u64>) {
        self.documents.insert(id.to_owned(), vec![to]);
    }

    fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }
}

/// A word that no other version of any document has.
fn word(version: u64) -> String {
    format!("word{version}x")
}

fn text(version: u64) -> String {
    format!("{} among words that all of them share", word(version))
}

/// Writes one thing after the other until the server is gone.
async fn write(server: Arc<Server>, ledger: Arc<Mutex<Ledger>>, writer: u64, seed: u64) {
    let mut random = SplitMix(seed * WRITERS + writer);
    loop {
        let id = |number: u64| format!("w{writer}n{number}");
        let first = random.below(60 + seed * 4);
        let (changes, request): (Vec<(String, Option<u64>)>, RequestBuilder) = match random.below(8)
        {
            0..2 => {
                let path = format!("{DOCUMENTS}/{}", id(first));
                (vec![(id(first), None)], server.request(Method::DELETE, &path))
            }
            2 => {
                let batch: Vec<_> = (first..first + BATCH)
                    .map(|number| (id(number), ledger.lock().next_version()))
                    .collect();
                let documents: Vec<_> = batch
                    .iter()
                    .map(|(id, version)| json!({"id": id, "text": text(*version)}))
                    .collect();
                let request = server.request(Method::POST, DOCUMENTS);
                let request = request.json(&json!({ "documents": documents }));
                (batch.into_iter().map(|(id, version)| (id, Some(version))).collect(), request)
            }
            kind => {
                let version = ledger.lock().next_version();
                let wait = if kind < 6 { "?wait=durable" } else { "" };
                let path = format!("{DOCUMENTS}/{}{wait}", id(first));
                let body = json!({"text": text(version)});
                let request = server.request(Method::PUT, &path).json(&body);
                (vec![(id(first), Some(version))], request)
            }
        };
        for (id, to) in &changes {
            ledger.lock().begin(id, *to);
        }
        let Ok(response) = request.send().await else { return };
        let status = response.status().as_u16();
        assert!([200, 201, 202, 204, 404].contains(&status), "{status}");
        for (id, to) in &changes {
            ledger.lock().end(id, *to);
        }
    }
}

/// Looks what became of the writes that were cut off.
async fn settle(server: &Server, ledger: &Mutex<Ledger>) {
    let doubtful: Vec<_> = {
        let ledger = ledger.lock();
        let doubtful = ledger.documents.iter().filter(|(_, possible)| possible.len() > 1);
        doubtful.map(|(id, possible)| (id.clone(), possible.clone())).collect()
    };
    for (id, possible) in doubtful {
        let found = server.get(&format!("{DOCUMENTS}/{id}")).await;
        let version = possible.iter().find(|version| match version {
            Some(version) => found.body["text"] == text(*version),
            None => found.status == 404,
        });
        assert!(version.is_some(), "{id} is none of {possible:?}: {found:?}");
        ledger.lock().end(&id, *version.unwrap());
    }
}

async fn accounts_add_up(server: &Server) {
    let jobs = server.get("/v1/jobs?limit=20").await;
    for job in jobs.body["jobs"].as_array().unwrap() {
        let count = |name: &str| job[name].as_u64().unwrap();
        let failed = job["failed"].as_array().unwrap().len() as u64;
        assert_eq!(count("received"), BATCH, "{job}");
        assert_eq!(count("received"), count("indexed") + count("pending") + failed, "{job}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_by_two_hundred_kills() {
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let mut random = SplitMix(7);
    let mut server = Setup::new().set("AUTH__BURST", 1_000_000).start();
    for round in 0..KILLS {
        let current = Arc::new(server);
        settle(&current, &ledger).await;
        accounts_add_up(&current).await;
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                tokio::spawn(write(Arc::clone(&current), Arc::clone(&ledger), writer, round))
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(random.below(MAX_LIFE_MS))).await;
        let pid = current.pid().to_string();
        assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
        for writer in writers {
            writer.await.unwrap();
        }
        let next = Setup::again(&current).set("AUTH__BURST", 1_000_000);
        drop(current);
        server = next.start();
    }
    settle(&server, &ledger).await;
    server.document("last", "so that the index has come as far as the documents").await;
    let ledger = std::mem::take(&mut *ledger.lock());
    every_document_is_found_once(&server, &ledger).await;
    accounts_add_up(&server).await;
    assert!(server.terminate().success());
    let check = binary().args(["check", "--data-dir"]).arg(server.dir.path()).output().unwrap();
    assert!(check.status.success(), "{check:?}");
    harness::survived(
        "200 kills while documents come and go",
        "every document is found once, deleted ones never",
        "nothing acknowledged",
    );
}

async fn every_document_is_found_once(server: &Server, ledger: &Ledger) {
    let mut alive = 1;
    for (id, possible) in &ledger.documents {
        let Some(version) = possible[0] else { continue };
        alive += 1;
        assert_eq!(server.search(&word(version)).await, std::slice::from_ref(id));
    }
    let current: std::collections::BTreeSet<_> =
        ledger.documents.values().filter_map(|possible| possible[0]).collect();
    for old in (1..=ledger.version).filter(|version| !current.contains(version)) {
        assert!(server.search(&word(old)).await.is_empty(), "version {old} is found");
    }
    let collection = Answer::of(server.request(Method::GET, "/v1/collections/default")).await;
    assert_eq!(collection.body["documents"], alive, "of {} ids", ledger.documents.len());
    assert!(alive > 100 && ledger.version > 500, "hardly anything was written: {alive}");
}
