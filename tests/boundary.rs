//! The boundary between handler and host, fuzzed: a handler that calls imports
//! in any order with any arguments, for keys that may do little. The short form
//! is part of the suite; a long one is
//!
//! ```text
//! RAGTIME_FUZZ_SECONDS=600 cargo test --release --workspace --test server boundary:: -- --nocapture
//! ```

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stdout)]

use std::time::{Duration, Instant};

use crate::harness::{self, CHEAT, Server, Setup, fixture};
use futures::stream::{self, StreamExt};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// Stands in what the keys of the scripts must not reach.
const CANARY: &str = "canary-7f3a";
const SCRIPTS: usize = 600;
const AT_ONCE: usize = 8;
const SEED: u64 = 20_261_124;

/// Done, refused and trapped: a neighbour on the instance trapped while this
/// response was on its way.
const BROKEN_OFF: (usize, usize, usize) = (0, 0, 1);

/// A status and a whole text, or an error when it broke off.
async fn read(request: RequestBuilder) -> reqwest::Result<(u16, String)> {
    let response = request.send().await?;
    Ok((response.status().as_u16(), response.text().await?))
}

/// Everything that no script may change.
async fn protected(server: &Server) -> Value {
    let documents = server.get("/v1/collections/theirs/documents?limit=1000").await;
    let chunks = server.get("/v1/collections/theirs/documents/secret/chunks").await;
    let keys = server.get("/v1/keys").await;
    assert_eq!((documents.status, chunks.status, keys.status), (200, 200, 200));
    let mut keys = keys.body;
    for key in keys["keys"].as_array_mut().unwrap() {
        key.as_object_mut().unwrap().remove("last_used_at");
    }
    json!({"documents": documents.body, "chunks": chunks.body, "keys": keys})
}

/// Scripts made from a fixed seed, so that a failure can be repeated.
fn scripts() -> impl Iterator<Item = (usize, Vec<u8>)> {
    let config = Config { rng_seed: RngSeed::Fixed(SEED), ..Config::default() };
    let mut runner = TestRunner::new(config);
    let step = prop_oneof![
        // A fair chance to come by a permit at all.
        1 => Just(vec![0, 0, 5, 0, 1, 0]),
        6 => prop::collection::vec(any::<u8>(), 1..24),
    ];
    let script = prop::collection::vec(step, 1..16).prop_map(|steps| steps.concat());
    (0..).map(move |number| (number, script.new_tree(&mut runner).unwrap().current()))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_order_of_imports_reaches_what_the_key_does_not() {
    let seconds = std::env::var("RAGTIME_FUZZ_SECONDS").ok().map(|text| text.parse().unwrap());
    // A key grants no larger budget than the operator's, which is the first key's.
    let server = Setup::new()
        .set("SERVER__REQUEST_TIMEOUT_MS", 20_000)
        .set("AUTH__BURST", 1_000_000)
        .set("AUTH__RATE_PER_MINUTE", 1_000_000)
        .start();
    for collection in ["mine", "theirs"] {
        let created = server.post("/v1/collections", json!({"name": collection})).await;
        assert_eq!(created.status, 201, "{created:?}");
    }
    let secret = json!({"text": format!("secret {CANARY}"), "metadata": {"canary": CANARY}});
    let put = server.put("/v1/collections/theirs/documents/secret", secret).await;
    assert_eq!(put.status, 201, "{put:?}");
    let put = server.put("/v1/collections/mine/documents/mine", json!({"text": "mine"})).await;
    assert_eq!(put.status, 201, "{put:?}");
    let key = |name: &str, scopes: Value| {
        let ample = 1_000_000;
        server.key(json!({"name": name, "scopes": scopes, "collections": ["mine"],
            "burst": ample, "rate_per_minute": ample}))
    };
    let keys =
        [key("reader", json!(["read"])).await, key("writer", json!(["read", "write"])).await];
    let before = protected(&server).await;

    let cheat = std::fs::read(fixture(CHEAT)).unwrap();
    assert_eq!(server.swap(cheat, "").await.status, 200);
    let started = Instant::now();
    let enough = |number: usize| match seconds {
        Some(seconds) => started.elapsed() >= Duration::from_secs(seconds),
        None => number >= SCRIPTS,
    };
    let (server, keys) = (&server, &keys);
    let ended = stream::iter(scripts().take_while(|(number, _)| !enough(*number)))
        .map(|(number, script)| async move {
            // An admin's permit that a later request finds must be worth nothing.
            if number % 16 == 0 {
                drop(read(server.request(Method::GET, "/keep")).await);
            }
            let digits: String = script.iter().map(|byte| format!("{byte:02x}")).collect();
            let request = server.anonymous(Method::GET, &format!("/script?{digits}"));
            let request = match number % 3 {
                0 => request,
                key => request.bearer_auth(&keys[key - 1]),
            };
            let Ok((status, text)) = read(request).await else { return BROKEN_OFF };
            let context = format!("script {number} {digits}: {status} {text}");
            assert!(!text.contains(CANARY), "{context}");
            assert!(matches!(status, 200 | 500), "{context}");
            if status == 500 {
                // A script may have changed something before it trapped.
                let codes = [r#""code":"handler_failed""#, r#""code":"change_interrupted""#];
                assert!(codes.iter().any(|code| text.contains(code)), "{context}");
            } else if number % 3 == 0 {
                assert!(!text.contains("LOOT"), "without a key: {context}");
            }
            let count = |what: &str| text.lines().filter(|line| line.starts_with(what)).count();
            (count("LOOT"), count("refused"), usize::from(status == 500))
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    let sum = |of: fn(&(usize, usize, usize)) -> usize| ended.iter().map(of).sum::<usize>();
    let (done, refused, trapped) = (sum(|one| one.0), sum(|one| one.1), sum(|one| one.2));
    println!("{} scripts: {done} calls done, {refused} refused, {trapped} traps", ended.len());
    // A fuzzer that gets nowhere shows nothing.
    assert!(done > ended.len() && refused > ended.len() && trapped > 0, "it got nowhere");

    let metrics = server.admin(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("ragtime_panics_total 0"), "the host panicked: {:#?}", server.log());
    assert!(!server.log().iter().any(|line| line.contains(CANARY)));
    assert_eq!(server.swap(harness::built_in(), "").await.status, 200);
    assert_eq!(protected(server).await, before);
    harness::survived(
        "Imports in any order with any arguments",
        "a script reaches what its key does, or ends at a trap",
        "nothing",
    );
}
