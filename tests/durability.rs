//! What was acknowledged is there after the worst end of a process.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod harness;

use harness::{Server, Setup};

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

#[tokio::test]
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
