//! What was acknowledged is there after the worst end of a process.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::harness::{self, Server, Setup};

#[tokio::test]
async fn documents_survive_kill_9_once_the_call_has_returned() {
    let mut server = Setup::new().start();
    let mut expected: Vec<String> = Vec::new();
    for round in 0..5 {
        for number in 0..20 {
            let id = format!("r{round}n{number}");
            server.document(&id, &format!("word{round}x{number} shared")).await;
            expected.push(id);
        }
        let gone = expected.remove(round);
        let deleted = server.delete(&format!("/v1/collections/default/documents/{gone}")).await;
        assert_eq!(deleted.status, 204);
        server.kill();
        server = Setup::again(&server).start();
    }
    assert_everything_is_there(&server, &expected).await;
}

async fn assert_everything_is_there(server: &Server, expected: &[String]) {
    let mut listed = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server.get(&format!("/v1/collections/default/documents?limit=30{cursor}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        let documents = page.body["documents"].as_array().unwrap();
        listed.extend(documents.iter().map(|document| document["id"].as_str().unwrap().to_owned()));
        match page.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let mut sorted = expected.to_vec();
    sorted.sort();
    assert_eq!(listed, sorted);
    for id in expected {
        let (round, number) = id[1..].split_once('n').unwrap();
        assert_eq!(server.search(&format!("word{round}x{number}")).await, std::slice::from_ref(id));
    }
}

/// A command on the server's data folder.
fn data_command(server: &Server, arguments: &[&str]) -> std::process::Output {
    harness::binary().args(arguments).arg("--data-dir").arg(server.dir.path()).output().unwrap()
}

#[tokio::test]
#[cfg_attr(any(stock, fleet), ignore)]
async fn a_backup_made_while_serving_comes_back_with_handler_and_keys() {
    let mut server = Setup::new().start();
    let key = server.key(serde_json::json!({"name": "k", "scopes": ["read"]})).await;
    server.document("kept", "phoenix").await;
    let swapped = harness::variant(&harness::built_in(), "backup");
    assert_eq!(server.swap(swapped, "label=mine").await.status, 200);
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("monday");
    let backup = backup.to_str().unwrap();
    let made = data_command(&server, &["backup", backup]);
    assert!(made.status.success(), "{made:?}");
    let said = String::from_utf8(made.stdout).unwrap();
    assert!(said.starts_with("1 document and "), "{said}");
    assert!(!data_command(&server, &["backup", backup]).status.success(), "never written over");
    server.document("later", "griffin").await;
    let refused = data_command(&server, &["restore", backup, "--replace"]);
    assert!(String::from_utf8(refused.stderr).unwrap().contains("hint: stop it first"));
    assert!(server.terminate().success());
    let refused = data_command(&server, &["restore", backup]);
    assert!(String::from_utf8(refused.stderr).unwrap().contains("--replace gives it up"));
    let restored = data_command(&server, &["restore", backup, "--replace"]);
    assert!(restored.status.success(), "{restored:?}");
    let server = Setup::again(&server).start();
    // Searchable once the index is rebuilt, which a new document waits for.
    server.document("new", "roc").await;
    assert_eq!(server.search("phoenix").await, ["kept"]);
    assert!(server.search("griffin").await.is_empty());
    let own = server.anonymous(reqwest::Method::GET, "/v1/keys/self").bearer_auth(key);
    assert_eq!(harness::Answer::of(own).await.status, 200);
    let active = harness::Answer::of(server.admin(reqwest::Method::GET, "/admin/guest")).await;
    assert!(active.text.contains("\"mine\""), "{active:?}");
}

#[tokio::test]
#[cfg_attr(any(stock, fleet), ignore)]
async fn a_check_is_clean_after_use_and_says_what_is_not() {
    let mut server = Setup::new().start();
    server.document("a", "phoenix").await;
    let refused = data_command(&server, &["check"]);
    assert!(String::from_utf8(refused.stderr).unwrap().contains("hint: stop it first"));
    assert!(server.terminate().success());
    let clean = data_command(&server, &["check"]);
    assert!(clean.status.success(), "{clean:?}");
    assert_eq!(
        String::from_utf8(clean.stdout).unwrap(),
        "1 document, 1 chunk, 0 vectors checked\n"
    );
    let files = walkdir::WalkDir::new(server.dir.path().join("index")).into_iter();
    let mut files = files.filter_map(Result::ok);
    let meta = files.find(|entry| entry.file_name() == "meta.json").unwrap();
    std::fs::write(meta.path(), "no json").unwrap();
    let found = data_command(&server, &["check"]);
    assert!(!found.status.success());
    assert!(String::from_utf8(found.stderr).unwrap().contains("nothing is lost"));
    assert!(data_command(&server, &["check", "--repair"]).status.success());
    let mut server = Setup::again(&server).start();
    server.document("b", "griffin").await;
    assert_eq!(server.search("phoenix").await, ["a"]);
    assert!(server.terminate().success());
    assert!(data_command(&server, &["check"]).status.success());
}

#[tokio::test]
#[cfg_attr(stock, ignore)]
async fn keys_survive_and_the_first_key_is_made_once() {
    let mut server = Setup::new().start();
    let key = server.key(serde_json::json!({"name": "k", "scopes": ["read"]})).await;
    server.kill();
    let server = Setup::again(&server)
        .set("AUTH__BOOTSTRAP_KEY", "rt_111111111111_0000000000000000000000000000000000000000002")
        .start();
    let own = server.anonymous(reqwest::Method::GET, "/v1/keys/self").bearer_auth(key);
    assert_eq!(harness::Answer::of(own).await.status, 200);
    assert_eq!(server.get("/v1/keys").await.body["keys"].as_array().unwrap().len(), 2);
}

#[tokio::test]
#[cfg_attr(stock, ignore)]
async fn no_secret_is_in_any_file() {
    let server = Setup::new().start();
    let key = server.key(serde_json::json!({"name": "k", "scopes": ["read"]})).await;
    let secrets = [key.rsplit('_').next().unwrap(), harness::ADMIN.rsplit('_').next().unwrap()];
    let mut files = 0;
    for entry in walkdir::WalkDir::new(server.dir.path()).into_iter().filter_map(Result::ok) {
        if entry.file_type().is_file() {
            files += 1;
            let bytes = std::fs::read(entry.path()).unwrap();
            for secret in secrets {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "a secret is in {}", entry.path().display());
            }
        }
    }
    assert!(files > 2);
}
