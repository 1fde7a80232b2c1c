//! The official Python clients of the APIs that this server speaks.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod harness;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use harness::{ADMIN, Answer, Server, Setup};
use reqwest::Method;
use serde_json::json;

const DOCUMENT: &str =
    "Ragtime keeps a steady march in the left hand. Scott Joplin wrote the Maple Leaf Rag in 1899.";

fn folder() -> PathBuf {
    harness::root().join("tests/clients")
}

/// A Python with the clients, below the target folder, where a second run finds
/// what the first one made.
fn python() -> PathBuf {
    static INSTALL: Mutex<()> = Mutex::new(());
    let _one_at_a_time = INSTALL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    let python = venv.join("bin/python");
    let (wanted, installed) = (folder().join("requirements.txt"), venv.join("installed.txt"));
    let wanted_text = std::fs::read_to_string(&wanted).unwrap();
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == wanted_text) {
        return python;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv));
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    run(Command::new(&python).args(pip).arg(&wanted));
    std::fs::write(installed, wanted_text).unwrap();
    python
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let (said, wrong) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{said}\n{wrong}");
}

async fn drive(server: &Server, script: &str, arguments: &[&str]) {
    server.document("joplin", DOCUMENT).await;
    let mut command = Command::new(python());
    command
        .arg(folder().join(script))
        .args(arguments)
        .env("SERVER", &server.url)
        .env("KEY", ADMIN)
        .env("no_proxy", "127.0.0.1");
    tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openai_client_chats_and_lists_models() {
    drive(&Setup::new().start(), "openai_client.py", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[cfg_attr(stock, ignore)]
async fn the_openai_client_embeds_with_the_model() {
    let server = Setup::with_model().start();
    server.model().await;
    drive(&server, "openai_client.py", &["model"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mcp_client_lists_and_calls_tools_in_both_versions() {
    drive(&Setup::new().start(), "mcp_client.py", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_work_in_a_browser_that_reaches_nothing_else() {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&paths)
        .flat_map(|dir| names.map(|name| dir.join(name)))
        .filter(|path| path.is_file());
    let Some(browser) = found.next() else {
        return println!("skipped: there is no Chromium on the path");
    };
    let shots = tempfile::tempdir().unwrap();
    let arguments = [browser.to_str().unwrap(), shots.path().to_str().unwrap()];
    drive(&Setup::new().start(), "pages.py", &arguments).await;
    for name in ["playground.png", "docs.png"] {
        assert!(std::fs::metadata(shots.path().join(name)).unwrap().len() > 1_000, "{name}");
    }
}

#[tokio::test]
#[cfg_attr(stock, ignore)]
async fn a_tool_costs_what_it_does_and_needs_the_key_of_its_work() {
    let server = Setup::new().start();
    server.document("joplin", DOCUMENT).await;
    let limited = json!({"name": "m", "scopes": ["read"], "burst": 5, "rate_per_minute": 1});
    let key = server.key(limited).await;
    let call = |name: &str| {
        let params = json!({"name": name, "arguments": {"query": "Maple Leaf Rag"}});
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params});
        Answer::of(server.anonymous(Method::POST, "/mcp").bearer_auth(&key).json(&body))
    };
    let search = call("search").await;
    assert!(search.header("ratelimit").contains("r=4"), "{search:?}");
    let answer = call("answer").await;
    assert!(answer.header("ratelimit").contains("r=0"), "{answer:?}");
    call("search").await.assert_problem(429, "rate_limited");

    let writer = server.key(json!({"name": "w", "scopes": ["write"]})).await;
    let list = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let request = |key: &str| server.anonymous(Method::POST, "/mcp").bearer_auth(key).json(&list);
    Answer::of(request(&writer)).await.assert_problem(403, "scope_required");
    Answer::of(server.anonymous(Method::POST, "/mcp").json(&list))
        .await
        .assert_problem(401, "unauthenticated");
    let elsewhere = request(ADMIN).header("origin", "http://evil.example");
    Answer::of(elsewhere).await.assert_problem(403, "origin_forbidden");
    let elsewhere = request(ADMIN).header("origin", "http://localhost:1");
    Answer::of(elsewhere).await.assert_problem(403, "origin_forbidden");
    let named =
        request(ADMIN).header("host", "rag.example").header("origin", "https://rag.example");
    assert_eq!(Answer::of(named).await.status, 200, "behind a proxy that ends TLS");
    let here = request(ADMIN).header("origin", &server.url);
    let here = Answer::of(here).await;
    assert_eq!(here.body["id"], 1, "{here:?}");
    assert_eq!(server.get("/mcp").await.header("allow"), "POST");
}

#[tokio::test]
async fn what_is_no_message_of_the_protocol_is_an_error_of_json_rpc() {
    let server = Setup::new().start();
    let batch = server.post("/mcp", json!([])).await;
    assert_eq!((batch.status, &batch.body["error"]["code"]), (400, &json!(-32600)));
    let notice = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(server.post("/mcp", notice).await.status, 202);
    let ask = |version: &'static str, method: &str| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method});
        let request = server.request(Method::POST, "/mcp").json(&body);
        Answer::of(request.header("mcp-protocol-version", version))
    };
    let old = ask("2024-11-05", "ping").await;
    assert_eq!((old.status, &old.body["error"]["code"]), (400, &json!(-32022)));
    assert_eq!(old.body["error"]["data"]["supported"], json!(["2025-11-25", "2026-07-28"]));
    let bare = ask("2026-07-28", "tools/list").await;
    assert_eq!((bare.status, &bare.body["error"]["code"]), (400, &json!(-32602)));
    let unknown = ask("2025-11-25", "resources/list").await;
    assert_eq!((unknown.status, &unknown.body["error"]["code"]), (200, &json!(-32601)));
}
