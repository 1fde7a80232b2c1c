//! A data folder that an earlier version left, opened by this one. How each was made
//! stands in `tests/fixtures/upgrade/make.py`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{self, Answer, Server, Setup, binary};
use reqwest::Method;
use serde_json::{Value, json};

/// What a version left.
struct Left {
    version: &'static str,
    /// An archive of its data folder, made with tar and gzip.
    folder: &'static [u8],
    /// What is in it, in JSON.
    expected: &'static str,
}

macro_rules! left {
    ($version:literal) => {
        Left {
            version: $version,
            folder: include_bytes!(concat!("fixtures/upgrade/data-", $version, ".tar.gz")),
            expected: include_str!(concat!("fixtures/upgrade/expected-", $version, ".json")),
        }
    };
}

/// The versions whose folders are kept.
const VERSIONS: &[Left] = &[left!("0.1.0")];

impl Left {
    /// Lays the folder down.
    fn unpack(&self, to: &Path) {
        assert!(self.folder.len() < 300_000, "fixtures stay small");
        let mut tar = Command::new("tar")
            .args(["-xzf", "-", "-C"])
            .arg(to)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        tar.stdin.take().unwrap().write_all(self.folder).unwrap();
        assert!(tar.wait().unwrap().success());
    }

    fn expected(&self) -> Value {
        serde_json::from_str(self.expected).unwrap()
    }
}

fn command(arguments: &[&str], data: &Path) -> std::process::Output {
    let mut command = binary();
    command.args(arguments).arg("--no-model").arg("--data-dir").arg(data).output().unwrap()
}

#[tokio::test]
async fn this_version_opens_what_earlier_ones_left_and_goes_on() {
    for left in VERSIONS {
        let version = left.version;
        let setup = Setup::with_model();
        let expected = left.expected();
        left.unpack(setup.folder());
        let mut server = setup.start();
        server.model().await;
        everything_is_there(&server, &expected).await;
        goes_on(&server).await;
        assert!(server.terminate().success());
        let checked = command(&["check"], server.dir.path());
        assert!(checked.status.success(), "{version}: {checked:?}");
    }
}

/// The same by way of a backup, which is the way back.
#[tokio::test]
async fn a_backup_of_an_earlier_version_is_restored() {
    for left in VERSIONS {
        let version = left.version;
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        left.unpack(old.path());
        let (backup, data) = (new.path().join("backup"), new.path().join("data"));
        let backup = backup.to_str().unwrap();
        let made = command(&["backup", backup], old.path());
        assert!(made.status.success(), "{version}: {made:?}");
        // As a version before manifests left it.
        std::fs::remove_file(new.path().join("backup/manifest.json")).unwrap();
        harness::compiled::lend(&data);
        for arguments in [&["restore", "--check", backup][..], &["restore", backup]] {
            let done = command(arguments, &data);
            assert!(done.status.success(), "{version}: {done:?}");
        }
        let count = left.expected()["documents"].as_object().unwrap().clone();
        let count: usize = count.values().map(|all| all.as_array().unwrap().len()).sum();
        let checked = command(&["check"], &data);
        let said = String::from_utf8(checked.stdout).unwrap();
        assert!(said.starts_with(&format!("{count} documents, ")), "{said}");
    }
}

/// What a value is, where this version says more than that one did.
fn assert_has(found: &Value, expected: &Value, place: &str) {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            for (name, value) in expected {
                let place = format!("{place}/{name}");
                assert_has(found.get(name).unwrap_or(&Value::Null), value, &place);
            }
        }
        _ => assert_eq!(found, expected, "{place}"),
    }
}

async fn everything_is_there(server: &Server, expected: &Value) {
    for (collection, documents) in expected["documents"].as_object().unwrap() {
        for document in documents.as_array().unwrap() {
            let id = document["id"].as_str().unwrap();
            let path = format!("/v1/collections/{collection}/documents/{id}");
            assert_has(&server.get(&path).await.body, document, id);
        }
        let listed = server.get(&format!("/v1/collections/{collection}/documents")).await;
        let count = documents.as_array().unwrap().len();
        assert_eq!(listed.body["documents"].as_array().unwrap().len(), count);
    }
    for search in expected["searches"].as_array().unwrap() {
        let path = format!("/v1/collections/{}/search", search["collection"].as_str().unwrap());
        let request = json!({"query": search["query"], "mode": search["mode"], "top_k": 20});
        let found = server.post(&path, request).await;
        assert_eq!(found.status, 200, "{found:?}");
        let results = found.body["results"].as_array().unwrap();
        let mut ids: Vec<_> = results.iter().map(|one| one["document_id"].clone()).collect();
        let mut wanted = search["documents"].as_array().unwrap().clone();
        // A later version may order better; it may not lose any.
        ids.sort_by_key(Value::to_string);
        wanted.sort_by_key(Value::to_string);
        assert_eq!(ids, wanted, "{search}");
    }
    let named = |list: &Value, name: &Value| {
        let list = list.as_array().unwrap().iter();
        list.clone().find(|one| one["name"] == *name).cloned().unwrap_or_default()
    };
    let collections = server.get("/v1/collections").await.body["collections"].clone();
    for collection in expected["collections"].as_array().unwrap() {
        assert_has(&named(&collections, &collection["name"]), collection, "collections");
    }
    let jobs = server.get("/v1/jobs").await;
    assert_eq!(jobs.body["jobs"][0]["indexed"], expected["jobs"][0]["indexed"], "{jobs:?}");
    keys_are_what_they_were(server, expected).await;
}

async fn keys_are_what_they_were(server: &Server, expected: &Value) {
    let ask = |key: &str, path: &str| {
        Answer::of(server.anonymous(Method::GET, path).bearer_auth(key.to_owned()))
    };
    let reader = expected["reader"].as_str().unwrap();
    assert_eq!(ask(reader, "/v1/collections/logbuch/documents").await.status, 200);
    assert_eq!(ask(reader, "/v1/collections/default/documents").await.status, 403);
    let revoked = expected["revoked"].as_str().unwrap();
    assert_eq!(ask(revoked, "/v1/collections/default/documents").await.status, 401);
    let audit = Answer::of(server.admin(Method::GET, "/admin/audit")).await;
    assert!(audit.text.contains("key.revoke"), "{audit:?}");
}

/// It takes what it would take in a folder of its own.
async fn goes_on(server: &Server) {
    server.document("new", "A griffin sits on the breakwater.").await;
    assert_eq!(server.search("griffin breakwater").await[0], "new");
    server.document("log.txt", "The log was rewritten.").await;
    let gone = server.delete("/v1/collections/logbuch/documents/tag-1").await;
    assert_eq!(gone.status, 204);
    let key = server.key(json!({"name": "later", "scopes": ["read"]})).await;
    let own = server.anonymous(Method::GET, "/v1/keys/self").bearer_auth(key);
    assert_eq!(Answer::of(own).await.status, 200);
}
