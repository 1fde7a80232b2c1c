//! The operator's console: what its listener lets through, and each of its acts done by
//! clicking in headless Chromium (`tests/clients/browser/console.mjs`).

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::time::Duration;

use crate::harness::clients::{Script, run};
use crate::harness::endpoint::{Behaviour, Endpoint};
use crate::harness::engines;
use crate::harness::{ADMIN, Answer, FAULTY, Server, Setup, WASI02, fixture, root, variant};
use reqwest::{Method, Response};
use serde_json::{Value, json};

/// Does what a part of the program is named for.
async fn browser(server: &Server, part: &str, folder: &Path) {
    run(server, Script::Browser("console.mjs"), &[part, folder.to_str().unwrap()]).await;
}

async fn browse(server: &Server, part: &str) {
    browser(server, part, &std::env::temp_dir()).await;
}

/// A request to the admin listener with a key.
fn with(server: &Server, key: &str, method: Method, path: &str) -> reqwest::RequestBuilder {
    server.admin_anonymous(method, path).bearer_auth(key)
}

/// The next of a stream of events that has this name.
async fn event(events: &mut Response, name: &str) -> Option<Value> {
    let mut received = String::new();
    loop {
        let piece = tokio::time::timeout(Duration::from_secs(30), events.chunk()).await;
        received.push_str(&String::from_utf8_lossy(&piece.unwrap().unwrap()?));
        let begin = format!("event: {name}\ndata: ");
        // The newest, of what has come whole.
        let whole = |event: &str| serde_json::from_str(event.strip_prefix(&begin)?).ok();
        if let Some(data) = received.rsplit("\n\n").find_map(whole) {
            return Some(data);
        }
    }
}

#[tokio::test]
async fn the_console_is_files_without_a_key_that_may_reach_nothing_else() {
    let server = Setup::new().start();
    let page = Answer::of(server.admin_anonymous(Method::GET, "/")).await;
    assert_eq!(page.status, 200, "{page:?}");
    let mut files = vec![String::new()];
    for mark in ["href=\"", "src=\""] {
        let names = page.text.split(mark).skip(1).filter_map(|rest| rest.split('"').next());
        files.extend(names.filter(|name| name.contains('.')).map(str::to_owned));
    }
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let path = format!("/console/{file}");
        let answer = Answer::of(server.admin_anonymous(Method::GET, &path)).await;
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
    }
    for path in ["/console/nowhere.js", "/console/../admin/guest"] {
        let answer = Answer::of(server.admin_anonymous(Method::GET, path)).await;
        answer.assert_problem(401, "unauthenticated");
    }
    let posted = Answer::of(server.admin_anonymous(Method::POST, "/console/")).await;
    posted.assert_problem(401, "unauthenticated");
}

#[tokio::test]
async fn the_public_api_is_on_the_admin_listener_for_admins_and_as_bounded_as_elsewhere() {
    let server = Setup::new().set("SERVER__MAX_JSON_BYTES", 2_000).start();
    let path = "/v1/collections";
    Answer::of(server.admin_anonymous(Method::GET, path))
        .await
        .assert_problem(401, "unauthenticated");
    for scopes in [json!(["read"]), json!(["read", "write"])] {
        let key = server.key(json!({"name": "k", "scopes": scopes})).await;
        let refused = Answer::of(with(&server, &key, Method::GET, path)).await;
        refused.assert_problem(403, "scope_required");
    }
    // Scope and budget are those of the key.
    let narrow = json!({"name": "n", "scopes": ["admin"], "burst": 4, "rate_per_minute": 1});
    let narrow = server.key(narrow).await;
    let search = "/v1/collections/default/search";
    let asked = with(&server, &narrow, Method::POST, search).json(&json!({"query": "x"}));
    Answer::of(asked).await.assert_problem(403, "scope_required");
    let mut last = 0;
    for _ in 0..5 {
        last = Answer::of(with(&server, &narrow, Method::GET, "/v1/keys")).await.status;
    }
    assert_eq!(last, 429);
    // And so are limits, the audit trail and the access log.
    let large =
        with(&server, ADMIN, Method::POST, search).json(&json!({"query": "x".repeat(3_000)}));
    Answer::of(large).await.assert_problem(413, "body_too_large");
    let made = with(&server, ADMIN, Method::POST, "/v1/keys");
    let made = Answer::of(made.json(&json!({"name": "made here", "scopes": ["read"]}))).await;
    assert_eq!(made.status, 201, "{made:?}");
    let (id, request) = (made.body["id"].as_str().unwrap(), made.header("x-request-id"));
    let acts = Answer::of(server.admin(Method::GET, "/admin/audit")).await.body["acts"].clone();
    let act = acts.as_array().unwrap().iter().find(|act| act["target"] == id).unwrap();
    assert_eq!(act["request_id"], request, "{act}");
    server.logged(&["ragtime::access", "/v1/keys", request]).await;
    // No page of another origin gets a word in: a browser asks first, and without a key.
    let preflight = server
        .admin_anonymous(Method::OPTIONS, path)
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "authorization");
    let preflight = Answer::of(preflight).await;
    assert_eq!(preflight.status, 401);
    assert_eq!(preflight.header("access-control-allow-origin"), "");
    // What is not for the console is not there.
    for path in ["/mcp", "/docs", "/openapi.json", "/assets/style.css"] {
        let answer = server.admin(Method::GET, path).send().await.unwrap();
        Answer::read(answer).await.assert_problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_stream_of_events_tells_changes_and_ends_with_its_key() {
    let server = Setup::new().set("ADMIN__MAX_EVENT_LISTENERS", 2).start();
    let key = server.key(json!({"name": "o", "scopes": ["read", "write", "admin"]})).await;
    let listen = |key: &str| with(&server, key, Method::GET, "/admin/events").send();
    let mut first = listen(&key).await.unwrap();
    assert_eq!(first.headers()["content-type"], "text/event-stream");
    let ready = event(&mut first, "readiness").await.unwrap();
    assert_eq!(ready["parts"][0], json!({"name": "server", "state": "ready", "detail": null}));
    let second = listen(ADMIN).await.unwrap();
    let third = Answer::read(listen(ADMIN).await.unwrap()).await;
    third.assert_problem(503, "too_many_listeners");
    drop(second);
    // A change is sent without being asked for.
    let batch = json!({"documents": [{"id": "a", "text": "A rag."}]});
    let job = server.post("/v1/collections/default/documents?wait=indexed", batch).await;
    let change = async {
        loop {
            let jobs = event(&mut first, "jobs").await.unwrap();
            if jobs["jobs"][0]["indexed"] == 1 {
                return jobs;
            }
        }
    };
    let change = change.await;
    assert_eq!(change["jobs"][0]["job_id"], job.body["job_id"], "{change}");
    assert!(!change.to_string().contains("A rag."), "{change}");
    let id = key.split('_').nth(1).unwrap();
    assert_eq!(server.delete(&format!("/v1/keys/{id}")).await.status, 204);
    let last = event(&mut first, "error").await.unwrap();
    assert_eq!((last["code"].as_str(), last["status"].as_u64()), (Some("key_ended"), Some(401)));
    assert_eq!(first.chunk().await.unwrap(), None);
    // Both places are free again, once the server has seen that nobody reads.
    loop {
        let (one, other) = (listen(ADMIN).await.unwrap(), listen(ADMIN).await.unwrap());
        if one.status() == 200 && other.status() == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn who_follows_the_events_does_not_hold_up_the_end_of_the_server() {
    let mut server = Setup::new().start();
    let mut events = server.admin(Method::GET, "/admin/events").send().await.unwrap();
    event(&mut events, "readiness").await.unwrap();
    let ended = tokio::task::spawn_blocking(move || server.terminate());
    assert_eq!(event(&mut events, "never").await, None);
    assert!(ended.await.unwrap().success());
}

#[tokio::test]
async fn settings_in_force_are_shown_without_secrets() {
    let server = Setup::new()
        .set("GENERATOR__URL", "http://me:hidden-password@127.0.0.1:9/v1?key=hidden-too")
        .set("GENERATOR__API_KEY", "hidden-as-well")
        .start();
    let shown = Answer::of(server.admin(Method::GET, "/admin/settings")).await;
    assert_eq!(shown.status, 200, "{shown:?}");
    assert!(!shown.text.contains("hidden") && !shown.text.contains(ADMIN), "{}", shown.text);
    assert_eq!(
        shown.body["settings"]["generator"]["url"],
        "http://[secret]@127.0.0.1:9/v1?[secret]"
    );
    assert_eq!(shown.body["settings"]["server"]["max_requests"], 512);
    let changed = shown.body["changed"].as_array().unwrap();
    assert!(changed.contains(&json!("generator.url")), "{changed:?}");
    assert!(!changed.contains(&json!("server.max_requests")), "{changed:?}");
}

#[tokio::test]
async fn what_a_key_has_spent_outlives_the_server() {
    let mut server = Setup::new().start();
    let key = server.key(json!({"name": "spender", "scopes": ["read"]})).await;
    let search = json!({"query": "x"});
    for (path, units) in [("search", 1), ("query", 4)] {
        let path = format!("/v1/collections/default/{path}");
        let request = server.anonymous(Method::POST, &path).bearer_auth(&key).json(&search);
        assert_eq!(Answer::of(request).await.status, 200, "{units}");
    }
    let spent = async |server: &Server| {
        let keys = Answer::of(server.admin(Method::GET, "/admin/keys")).await.body["keys"].clone();
        let one = keys.as_array().unwrap().iter().find(|one| one["name"] == "spender").cloned();
        one.unwrap()
    };
    let before = spent(&server).await;
    assert_eq!((&before["spent_units"], &before["in_flight"]), (&json!(5), &json!(0)), "{before}");
    assert!(server.terminate().success());
    let server = Setup::again(&server).start();
    let after = spent(&server).await;
    assert_eq!(after["spent_units"], 5, "{after}");
    assert_eq!(after["last_used_at"], before["last_used_at"]);
}

#[tokio::test]
async fn samples_are_kept_up_to_a_number() {
    let server =
        Setup::new().set("ADMIN__SAMPLE_INTERVAL_MS", 100).set("ADMIN__MAX_SAMPLES", 5).start();
    let samples = async || {
        let answer = Answer::of(server.admin(Method::GET, "/admin/samples")).await;
        answer.body["samples"].as_array().unwrap().clone()
    };
    let first = loop {
        match samples().await.first() {
            Some(first) => break first["at"].as_u64().unwrap(),
            None => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    loop {
        let now = samples().await;
        assert!(now.len() <= 5, "{}", now.len());
        // All of the first five have given way.
        if now[0]["at"].as_u64().unwrap() > first + 600 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_an_admins_and_lives_in_the_memory_of_its_tab() {
    browse(&Setup::new().start(), "session").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_and_documents_are_managed_by_clicking() {
    let server = Setup::new().start();
    browse(&server, "documents").await;
    let log = server.log().join("\n");
    assert!(!log.contains("Missouri") && !log.contains("Maple Leaf"), "a text is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_followed_and_cancelled_by_clicking() {
    let endpoint = Endpoint::start().await;
    let server = Setup::new()
        .set("MODELS__DEFAULT_EMBEDDING", "far")
        .set("MODELS__EMBEDDING__FAR__URL", &endpoint.url)
        .start();
    server.model().await;
    endpoint.behave(Behaviour::Silent);
    browse(&server, "jobs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_managed_by_clicking() {
    browse(&Setup::new().start(), "keys").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_handler_is_replaced_by_clicking() {
    let faulty = fixture(FAULTY);
    let server = Setup::new().argument("--handler").argument(faulty.to_str().unwrap()).start();
    let folder = tempfile::tempdir().unwrap();
    let same = variant(&std::fs::read(&faulty).unwrap(), "same");
    std::fs::write(folder.path().join("same.wasm"), same).unwrap();
    std::fs::copy(fixture(WASI02), folder.path().join("other.wasm")).unwrap();
    browser(&server, "handler", folder.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_charts_and_settings_are_shown_as_they_are() {
    let server = Setup::new().set("ADMIN__SAMPLE_INTERVAL_MS", 500).start();
    browse(&server, "live").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_of_a_fleet_are_shown_as_they_are() {
    let (schema, folder) = (engines::schema(), tempfile::tempdir().unwrap());
    let host = |name: &str| {
        let setup = Setup::new().set("FLEET__POSTGRES", engines::shared());
        setup.set("FLEET__SCHEMA", &schema).set("FLEET__NAME", name).start()
    };
    let (here, mut there) = (host("rag-here"), host("rag-there"));
    here.document("a", "A rag.").await;
    std::fs::write(folder.path().join("hosts"), "rag-here rag-there").unwrap();
    let seen = folder.path().join("seen");
    let kill = async {
        while !seen.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        there.kill();
    };
    // A browser that fails panics here, and who waits for it ends with the test.
    let shown = browser(&here, "fleet", folder.path());
    tokio::pin!(shown);
    tokio::select! {
        () = &mut shown => panic!("the browser ended before the host was killed"),
        () = kill => shown.await,
    }
    // The same for programs, for admins alone; a server that is alone has none.
    let reader = here.key(json!({"name": "r", "scopes": ["read"]})).await;
    let refused = Answer::of(with(&here, &reader, Method::GET, "/admin/fleet")).await;
    refused.assert_problem(403, "scope_required");
    let alone = Setup::new().start();
    let answer = Answer::of(alone.admin(Method::GET, "/admin/fleet")).await;
    assert_eq!(answer.body, json!({"fleet": null, "hosts": [], "answered_by": null}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_acts_take_no_pointer() {
    browse(&Setup::new().start(), "keyboard").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_accessible_in_both_colours_on_a_desk_and_on_a_phone() {
    let server = Setup::new().set("ADMIN__SAMPLE_INTERVAL_MS", 500).start();
    browse(&server, "accessible").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes the pictures of docs/console.md again"]
async fn the_pictures_of_the_documentation() {
    let server = Setup::new().set("ADMIN__SAMPLE_INTERVAL_MS", 500).start();
    for name in ["ARCHITECTURE", "SECURITY", "CONTRIBUTING"] {
        let text = std::fs::read_to_string(root().join(format!("{name}.md"))).unwrap();
        let path = format!("/v1/collections/default/documents/{name}.md");
        let body = json!({"text": text, "content_type": "text/markdown"});
        assert_eq!(server.put(&path, body).await.status, 201);
    }
    let pictures = root().join("docs/pictures");
    browser(&server, "pictures", &pictures).await;
}
