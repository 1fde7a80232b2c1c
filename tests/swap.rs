//! Replacing the handler while it serves.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use crate::harness::{self, ADMIN, Answer, FAULTY, Server, Setup, built_in, fixture, variant};
use reqwest::Method;
use serde_json::{Value, json};

const VERSION: &[u8] = b"faulty-version-0";

/// The fixture handler with another name in it.
fn version(name: &str) -> Vec<u8> {
    assert_eq!(name.len(), VERSION.len());
    let mut bytes = std::fs::read(fixture(FAULTY)).unwrap();
    let at = bytes.windows(VERSION.len()).position(|window| window == VERSION).unwrap();
    bytes[at..at + VERSION.len()].copy_from_slice(name.as_bytes());
    bytes
}

/// Starts with the fixture handler.
fn start() -> Server {
    Setup::new().argument("--handler").argument(fixture(FAULTY).to_str().unwrap()).start()
}

async fn served(server: &Server) -> String {
    Answer::of(server.anonymous(Method::GET, "/")).await.text
}

async fn list(server: &Server) -> Answer {
    Answer::of(server.admin(Method::GET, "/admin/guest")).await
}

async fn history(server: &Server) -> Vec<Value> {
    let answer = Answer::of(server.admin(Method::GET, "/admin/guest/history")).await;
    answer.body["history"].as_array().unwrap().clone()
}

/// A component that asks for what no host has.
fn unlinkable() -> Vec<u8> {
    wat::parse_str(
        r#"(component (import "ragtime:nothing/here@0.1.0" (instance (export "f" (func)))))"#,
    )
    .unwrap()
}

#[tokio::test]
async fn a_swap_returns_when_the_new_handler_serves() {
    let server = start();
    assert_eq!(served(&server).await, "faulty-version-0");
    let answer = server.swap(version("faulty-version-1"), "label=one.wasm").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        (&answer.body["generation"], &answer.body["outcome"]),
        (&json!(2), &json!("active"))
    );
    assert_eq!(answer.header("etag"), "\"2\"");
    for step in ["compiled", "linked", "probed", "activated"] {
        assert!(answer.body["steps"][step].is_object(), "{step}: {answer:?}");
    }
    assert_eq!(served(&server).await, "faulty-version-1");
    let list = list(&server).await;
    assert_eq!((&list.body["active"], &list.body["previous"]), (&json!(2), &json!(1)));
    assert_eq!(list.header("etag"), "\"2\"");
}

#[tokio::test]
async fn a_bad_component_is_refused_with_its_reason_and_nothing_changes() {
    let server = start();
    let mut broken = version("faulty-version-1");
    broken.truncate(10_000);
    server.swap(broken, "").await.assert_problem(422, "handler_not_compiled");
    server.swap(b"no component".to_vec(), "").await.assert_problem(422, "handler_not_compiled");
    let answer = server.swap(unlinkable(), "label=greedy.wasm").await;
    answer.assert_problem(422, "handler_not_linked");
    assert!(answer.body["detail"].as_str().unwrap().contains("ragtime:nothing/here@0.1.0"));
    server.swap(Vec::new(), "").await.assert_problem(400, "invalid_request");
    server
        .swap(version("faulty-version-1"), "canary=101")
        .await
        .assert_problem(400, "invalid_request");
    assert_eq!(served(&server).await, "faulty-version-0");
    assert_eq!(list(&server).await.body["active"], 1);
    let history = history(&server).await;
    let stages: Vec<_> = history.iter().map(|one| one["stage"].as_str()).collect();
    assert_eq!(stages, [Some("linking"), Some("compiling"), Some("compiling"), None]);
    assert_eq!(
        (&history[0]["label"], &history[0]["outcome"]),
        (&json!("greedy.wasm"), &json!("refused"))
    );
}

#[tokio::test]
async fn a_handler_that_does_not_answer_is_refused_by_its_probe() {
    let server = Setup::new().set("SWAP__PROBE_TIMEOUT_MS", 500).start();
    // It is the fixture's way to trap on every path but the health check.
    let answer = server.swap(version("always-trap-here"), "").await;
    answer.assert_problem(422, "handler_probe_failed");
    assert_eq!(Answer::of(server.anonymous(Method::GET, "/livez")).await.status, 200);
}

#[tokio::test]
async fn a_dry_run_finds_out_all_and_changes_nothing() {
    let server = start();
    let answer = server.swap(built_in(), "dry_run=true").await;
    assert_eq!((answer.status, &answer.body["outcome"]), (200, &json!("dry-run")));
    let added = &answer.body["steps"]["linked"]["imports"]["added"];
    assert!(added.to_string().contains("ragtime:retrieval/search@0.1.0"), "{added}");
    assert_eq!(served(&server).await, "faulty-version-0");
    assert_eq!(history(&server).await.len(), 1);
}

#[tokio::test]
async fn a_swap_on_a_wrong_belief_is_refused() {
    let server = start();
    let swap = |tag: &str| {
        server
            .admin(Method::POST, "/admin/guest")
            .header("if-match", tag.to_owned())
            .body(version("faulty-version-1"))
    };
    Answer::of(swap("\"7\"")).await.assert_problem(412, "generation_changed");
    Answer::of(swap("weather")).await.assert_problem(400, "invalid_request");
    assert_eq!(Answer::of(swap("\"1\"")).await.status, 200);
    Answer::of(swap("\"1\"")).await.assert_problem(412, "generation_changed");
}

#[tokio::test]
async fn the_admin_api_wants_an_admin() {
    let server = Setup::new().start();
    let reader = server.key(json!({"name": "reader", "scopes": ["read", "write"]})).await;
    let url = format!("{}/admin/guest", server.admin_url);
    let client = reqwest::Client::new();
    let answer = Answer::of(client.get(&url)).await;
    answer.assert_problem(401, "unauthenticated");
    assert!(answer.header("www-authenticate").starts_with("Bearer"));
    Answer::of(client.get(&url).bearer_auth("rt_no_key"))
        .await
        .assert_problem(401, "invalid_credential");
    Answer::of(client.get(&url).bearer_auth(reader)).await.assert_problem(403, "scope_required");
    let elsewhere = Answer::of(server.request(Method::GET, "/admin/guest")).await;
    assert_eq!(elsewhere.status, 404, "the public listener has no admin API");
}

#[tokio::test]
async fn a_rollback_brings_back_what_served_before_one_by_one() {
    let server = start();
    server.swap(version("faulty-version-1"), "").await;
    server.swap(version("faulty-version-2"), "").await;
    let back = async || Answer::of(server.admin(Method::POST, "/admin/guest/rollback")).await;
    assert_eq!(back().await.status, 200);
    assert_eq!(served(&server).await, "faulty-version-1");
    assert_eq!(back().await.body["generation"], 5);
    assert_eq!(served(&server).await, "faulty-version-0");
    back().await.assert_problem(409, "nothing_to_restore");
    let kinds: Vec<_> =
        history(&server).await.iter().map(|one| one["kind"].as_str().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["rollback", "rollback", "swap", "swap", "start"]);
}

#[tokio::test]
async fn a_restart_undoes_no_swap() {
    let mut server = Setup::new().start();
    server.document("kept", "Swaps outlive the process.").await;
    server.swap(version("faulty-version-1"), "label=one.wasm").await;
    server.kill();
    let mut server = Setup::again(&server).start();
    assert_eq!(served(&server).await, "faulty-version-1");
    assert_eq!(list(&server).await.body["active"], 2, "the same component is the same generation");
    let back = Answer::of(server.admin(Method::POST, "/admin/guest/rollback")).await;
    assert_eq!(back.status, 200, "{back:?}");
    assert_eq!(server.search("outlive").await, ["kept"]);
    assert!(server.terminate().success());
    let server = Setup::again(&server).start();
    assert_eq!(server.search("outlive").await, ["kept"]);
}

#[tokio::test]
async fn one_swap_at_a_time_and_a_caller_that_goes_away_calls_it_off() {
    let server = start();
    let request = server
        .admin(Method::POST, "/admin/guest?hold=true")
        .header("accept", "text/event-stream")
        .body(version("faulty-version-1"));
    let mut held = request.send().await.unwrap();
    let mut received = String::new();
    while !received.contains("held") {
        received.push_str(&String::from_utf8_lossy(&held.chunk().await.unwrap().unwrap()));
    }
    server.swap(version("faulty-version-2"), "").await.assert_problem(409, "swap_in_progress");
    let path = "/admin/guest/2/request/";
    let candidate = Answer::of(server.admin(Method::GET, path)).await;
    assert_eq!(
        (candidate.text.as_str(), served(&server).await.as_str()),
        ("faulty-version-1", "faulty-version-0")
    );
    drop(held);
    let refused = async {
        loop {
            if let Some(entry) =
                history(&server).await.into_iter().find(|one| one["outcome"] == "refused")
            {
                break entry;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let entry = tokio::time::timeout(Duration::from_secs(10), refused).await.unwrap();
    assert_eq!(
        (entry["stage"].as_str(), entry["reason"].as_str()),
        (Some("gating"), Some("the swap was called off"))
    );
    assert_eq!(server.swap(version("faulty-version-2"), "").await.status, 200);
}

#[tokio::test]
async fn whoever_held_a_candidate_back_decides() {
    let server = start();
    for (pass, serves) in [(false, "faulty-version-0"), (true, "faulty-version-1")] {
        let generation = if pass { 3 } else { 2 };
        let swap = Answer::of(
            server
                .admin(Method::POST, "/admin/guest?hold=true")
                .header("accept", "text/event-stream")
                .body(version("faulty-version-1")),
        );
        let decide = async {
            loop {
                let path = format!("/admin/guest/{generation}/decision");
                let body = json!({"pass": pass, "reason": "as the test says"});
                let answer = Answer::of(server.admin(Method::POST, &path).json(&body)).await;
                if answer.status == 200 {
                    break;
                }
                answer.assert_problem(404, "unknown_generation");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let (swap, ()) = tokio::join!(swap, decide);
        let end = if pass { "event: done" } else { "\"code\":\"handler_gate_failed\"" };
        assert!(swap.text.contains(end), "{}", swap.text);
        assert_eq!(served(&server).await, serves);
    }
}

/// Sends requests to `path` until told to stop; returns status and body of each.
async fn load(
    server: &Server,
    path: &str,
    clients: usize,
    stop: &AtomicBool,
) -> Vec<(u16, String)> {
    let client = async || {
        let mut seen = Vec::new();
        while !stop.load(Relaxed) {
            let answer = Answer::of(server.anonymous(Method::GET, path)).await;
            seen.push((answer.status, format!("{}|{}", answer.header("x-version"), answer.text)));
        }
        seen
    };
    futures::future::join_all((0..clients).map(|_| client())).await.concat()
}

#[tokio::test]
async fn requests_under_way_stay_on_their_generation_and_none_fails() {
    let server = Arc::new(start());
    let stop = Arc::new(AtomicBool::new(false));
    let clients = tokio::spawn({
        let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
        async move { load(&server, "/slow", 8, &stop).await }
    });
    let mut broken = version("faulty-version-1");
    broken.truncate(20_000);
    for round in 0..16 {
        let (component, status) = match round % 4 {
            0 => (broken.clone(), 422),
            1 => (unlinkable(), 422),
            _ => (version(&format!("faulty-version-{}", round % 3)), 200),
        };
        let answer = server.swap(component, "").await;
        assert_eq!(answer.status, status, "{answer:?}");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    stop.store(true, Relaxed);
    let seen = clients.await.unwrap();
    assert!(seen.len() > 32, "{}", seen.len());
    let mut versions = std::collections::BTreeSet::new();
    for (status, text) in seen {
        let (version, body) = text.split_once('|').unwrap();
        assert_eq!((status, body), (200, version.repeat(8).as_str()));
        versions.insert(version.to_owned());
    }
    assert!(versions.len() > 1, "{versions:?}");
    let drained = async {
        while list(&server).await.body["generations"].as_array().unwrap().len() > 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), drained).await.unwrap();
}

#[tokio::test]
async fn what_does_not_drain_in_time_is_cut_and_can_tell() {
    let server = Setup::new()
        .set("SWAP__DRAIN_TIMEOUT_MS", 300)
        .argument("--handler")
        .argument(fixture(FAULTY).to_str().unwrap())
        .start();
    let parked = Answer::of(server.anonymous(Method::GET, "/park"));
    let swap = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.swap(version("faulty-version-1"), "").await
    };
    let (parked, swap) = tokio::join!(parked, swap);
    assert_eq!(swap.status, 200);
    parked.assert_problem(504, "handler_timeout");
}

#[tokio::test]
async fn a_canary_that_fails_hurts_nobody_and_does_not_serve() {
    let server = Arc::new(start());
    let stop = Arc::new(AtomicBool::new(false));
    let clients = tokio::spawn({
        let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
        async move { load(&server, "/trial", 4, &stop).await }
    });
    let answer = server.swap(version("trial-trap-here-"), "canary=50&for=20").await;
    stop.store(true, Relaxed);
    answer.assert_problem(422, "handler_trial_failed");
    assert!(answer.body["detail"].as_str().unwrap().contains("requests failed"), "{answer:?}");
    for (status, text) in clients.await.unwrap() {
        assert_eq!((status, text.as_str()), (200, "faulty-version-0|faulty-version-0"));
    }
    assert_eq!(served(&server).await, "faulty-version-0");
}

#[tokio::test]
async fn a_canary_that_does_as_well_takes_over() {
    let server = Arc::new(start());
    let stop = Arc::new(AtomicBool::new(false));
    let clients = tokio::spawn({
        let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
        async move { load(&server, "/trial", 4, &stop).await }
    });
    let answer = server.swap(version("faulty-version-1"), "canary=50&for=2").await;
    stop.store(true, Relaxed);
    assert_eq!(answer.status, 200, "{answer:?}");
    let trial = &answer.body["steps"]["canary"];
    let of = |side: &str| trial[side]["requests"].as_u64().unwrap() as f64;
    assert!((0.8..1.25).contains(&(of("candidate") / of("active"))), "{trial}");
    let seen = clients.await.unwrap();
    assert!(seen.iter().any(|(_, text)| text.starts_with("faulty-version-1")));
    assert!(seen.iter().all(|(status, _)| *status == 200));
    let alone = server.swap(version("faulty-version-2"), "canary=50&for=1").await;
    alone.assert_problem(422, "handler_trial_failed");
    assert!(alone.body["detail"].as_str().unwrap().contains("0 requests"), "{alone:?}");
}

#[tokio::test]
async fn a_shadow_answers_nobody_writes_nothing_and_tells_what_differs() {
    let unlimited =
        Setup::new().set("AUTH__RATE_PER_MINUTE", 1_000_000).set("AUTH__BURST", 1_000_000);
    let server = Arc::new(unlimited.start());
    server.document("one", "Ragtime is syncopated.").await;
    let stop = Arc::new(AtomicBool::new(false));
    let clients = tokio::spawn({
        let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
        async move {
            let mut number = 0;
            while !stop.load(Relaxed) {
                assert_eq!(server.search("syncopated").await, ["one"]);
                server.document(&format!("more-{}", number % 5), "Another text.").await;
                number += 1;
            }
            number
        }
    });
    let same = server.swap(variant(&built_in(), "same"), "shadow=100&for=3").await;
    assert_eq!(same.status, 200, "{same:?}");
    let shadow = &same.body["steps"]["shadow"];
    assert_eq!(shadow["differences"]["status"], 0, "{shadow}");
    assert_eq!(shadow["differences"]["results"], 0, "{shadow}");
    assert!(shadow["candidate"]["requests"].as_u64().unwrap() >= 20, "{shadow}");
    let other = server.swap(version("faulty-version-1"), "shadow=100&for=2").await;
    stop.store(true, Relaxed);
    assert!(
        other.body["steps"]["shadow"]["differences"]["results"].as_u64().unwrap() > 0,
        "{other:?}"
    );
    // The other handler serves now, so the load may have failed at its end.
    let _ = clients.await;
    let back = Answer::of(server.admin(Method::POST, "/admin/guest/rollback")).await;
    assert_eq!(back.status, 200);
    let listed = server.get("/v1/collections/default").await;
    assert!(listed.body["documents"].as_u64().unwrap() <= 6, "{listed:?}");
}

#[tokio::test]
async fn a_generation_on_trial_reads_and_writes_nothing() {
    let server = Setup::new().start();
    server.document("one", "Ragtime is syncopated.").await;
    let search = server
        .admin(Method::POST, "/admin/guest/1/request/v1/collections/default/search")
        .json(&json!({"query": "syncopated"}));
    let found = Answer::of(search).await;
    assert_eq!(found.body["results"][0]["document_id"], "one", "{found:?}");
    let write = server
        .admin(Method::PUT, "/admin/guest/1/request/v1/collections/default/documents/two")
        .json(&json!({"text": "planted"}));
    let write = Answer::of(write).await;
    assert_eq!((write.status, &write.body["code"]), (403, &json!("scope_required")));
    let keys = server.admin(Method::GET, "/admin/guest/1/request/v1/keys");
    assert_eq!(Answer::of(keys).await.status, 403);
}

#[tokio::test]
async fn a_handler_that_finds_less_is_refused_by_the_eval_gate() {
    let server = Setup::new().start();
    let dir = server.dir.path().join("task");
    std::fs::create_dir_all(dir.join("qrels")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
    write(
        "corpus.jsonl",
        "{\"_id\":\"a\",\"text\":\"stride piano\"}\n{\"_id\":\"b\",\"text\":\"march\"}\n",
    );
    write("queries.jsonl", "{\"_id\":\"1\",\"text\":\"piano\"}\n");
    write("qrels/test.tsv", "1\ta\t1\n");
    let swap = |component: Vec<u8>| {
        write("candidate.wasm", "");
        std::fs::write(dir.join("candidate.wasm"), component).unwrap();
        let output = harness::binary()
            .args(["guest", "swap"])
            .arg(dir.join("candidate.wasm"))
            .arg("--eval")
            .arg(&dir)
            .env("RAGTIME_ADMIN", &server.admin_url)
            .env("RAGTIME_SERVER", &server.url)
            .env("RAGTIME_KEY", ADMIN)
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (ok, said) = swap(version("finds-nothing---"));
    assert!(!ok && said.contains("nDCG@10 0.0000 against 1.0000"), "{said}");
    assert!(said.contains("error: The handler failed its gate"), "{said}");
    assert_eq!(list(&server).await.body["active"], 1);
    let (ok, said) = swap(variant(&built_in(), "same"));
    assert!(ok && said.contains("nDCG@10 1.0000 against 1.0000"), "{said}");
    assert_eq!(list(&server).await.body["active"], 3);
    let collections = server.get("/v1/collections").await;
    assert!(!collections.text.contains("eval-"), "{collections:?}");
}

#[tokio::test]
async fn the_command_line_swaps_lists_and_rolls_back() {
    let server = start();
    let file = server.dir.path().join("one.wasm");
    std::fs::write(&file, version("faulty-version-1")).unwrap();
    let guest = |arguments: &[&str]| {
        let output = harness::binary()
            .arg("guest")
            .args(arguments)
            .env("RAGTIME_ADMIN", &server.admin_url)
            .env("RAGTIME_SERVER", &server.url)
            .env("RAGTIME_KEY", ADMIN)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let (ok, out, steps) = guest(&["swap", file.to_str().unwrap()]);
    assert!(ok && out == "generation 2 serves\n", "{out}{steps}");
    for step in ["compiled", "linked", "probed", "activated"] {
        assert!(steps.contains(step), "{steps}");
    }
    let (_, list, _) = guest(&["list"]);
    assert!(list.contains("active") && list.contains("one.wasm"), "{list}");
    let (ok, out, _) = guest(&["rollback"]);
    assert!(ok && out == "generation 3 serves\n", "{out}");
    std::fs::write(&file, "no component").unwrap();
    let (ok, _, error) = guest(&["swap", file.to_str().unwrap()]);
    assert!(!ok && error.contains("error: The handler does not compile"), "{error}");
    let (_, history, _) = guest(&["history"]);
    assert_eq!(history.lines().count(), 4, "{history}");
    assert!(history.contains("refused") && history.contains("compiling"), "{history}");
}
