//! Models by name: several that embed at once, endpoints and what goes wrong with them,
//! the change from one to another, and reranking. Local models are the tiny ones of
//! `host/embed/tests/golden`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::Duration;

use crate::harness::endpoint::{Behaviour, Endpoint};
use crate::harness::model::{Behaviour as LanguageModel, Model as Says};
use crate::harness::{self, ADMIN, Answer, Server, Setup, binary, root};
use reqwest::Method;
use serde_json::{Value, json};

/// A handler that was built against the contract before.
const KEPT: &[u8] = include_bytes!("fixtures/kept/models-0.1.wasm");

fn golden(form: &str) -> String {
    root().join("host/embed/tests/golden").join(form).display().to_string()
}

/// With two tiny models, the first of which is the default.
fn two() -> Setup {
    Setup::new()
        .set("MODELS__DEFAULT_EMBEDDING", "mean")
        .set("MODELS__EMBEDDING__MEAN__DIR", golden("bert-mean"))
        .set("MODELS__EMBEDDING__CLS__DIR", golden("xlmr-cls"))
}

async fn ready(server: &Server) {
    loop {
        let answer = server.get("/readyz").await;
        let parts = answer.body["components"].as_array().unwrap().clone();
        if parts.iter().all(|part| part["state"] == "ready") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn patch(server: &Server, path: &str, body: Value) -> Answer {
    Answer::of(server.request(Method::PATCH, path).json(&body)).await
}

async fn search(server: &Server, collection: &str, body: Value) -> Value {
    let found = server.post(&format!("/v1/collections/{collection}/search"), body).await;
    assert_eq!(found.status, 200, "{found:?}");
    found.body
}

#[tokio::test]
async fn two_models_embed_at_once_and_a_collection_says_which() {
    let server = two().start();
    ready(&server).await;
    let made = json!({"name": "other", "embedding_model": "cls"});
    let made = server.post("/v1/collections", made).await;
    assert_eq!((made.status, &made.body["embedding"]["chosen"]), (201, &json!("cls")), "{made:?}");
    for collection in ["default", "other"] {
        let path = format!("/v1/collections/{collection}/documents/a");
        let put = server.put(&path, json!({"text": "the quick brown fox"})).await;
        assert_eq!(put.status, 201, "{put:?}");
        let found = search(&server, collection, json!({"query": "fox", "mode": "vector"})).await;
        assert_eq!(found["results"][0]["document_id"], "a", "{found}");
    }
    let models = server.get("/v1/models").await.body["data"].clone();
    let ids: Vec<_> = models.as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    assert!(ids.contains(&json!("mean")) && ids.contains(&json!("cls")), "{models}");
    let mut lengths = Vec::new();
    for model in ["mean", "cls"] {
        let body = json!({"model": model, "input": ["a", "b"], "input_type": "query"});
        let embedded = server.post("/v1/embeddings", body).await;
        assert_eq!(embedded.status, 200, "{embedded:?}");
        lengths.push(embedded.body["data"][1]["embedding"].as_array().unwrap().len());
    }
    assert!(lengths.iter().all(|length| *length > 0), "{lengths:?}");
    let body = json!({"model": "none", "input": "a"});
    server.post("/v1/embeddings", body).await.assert_problem(404, "unknown_model");
    let unknown = json!({"name": "third", "embedding_model": "none"});
    let unknown = server.post("/v1/collections", unknown).await;
    unknown.assert_problem(422, "invalid_request");
    assert!(unknown.body["detail"].as_str().unwrap().contains("cls, mean"), "{unknown:?}");
    assert_eq!(server.get("/v1/collections/third").await.status, 404);
    let metrics = server.admin(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    for line in [
        "ragtime_model_state{kind=\"embedding\",model=\"cls\",state=\"ready\"} 1",
        "ragtime_model_state{kind=\"embedding\",model=\"cls\",state=\"failed\"} 0",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[tokio::test]
async fn another_model_takes_over_while_search_goes_on() {
    let mut server = two().start();
    ready(&server).await;
    for n in 0..30 {
        let path = format!("/v1/collections/default/documents/{n}?wait=durable");
        let put = server.put(&path, json!({"text": format!("fox number {n}")})).await;
        assert!(put.status < 300, "{put:?}");
    }
    let changed =
        patch(&server, "/v1/collections/default", json!({"embedding_model": "cls"})).await;
    assert_eq!((changed.status, &changed.body["embedding"]["chosen"]), (200, &json!("cls")));
    // Killed half-way or not begun: the change goes on.
    server.kill();
    let server = two().in_folder_of(&server).start();
    // What was stored before the kill is indexed after it.
    while search(&server, "default", json!({"query": "fox"})).await["results"][9].is_null() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    loop {
        let found = search(&server, "default", json!({"query": "fox"})).await;
        assert_eq!(found["results"].as_array().unwrap().len(), 10, "{found}");
        let now = server.get("/v1/collections/default").await.body["embedding"].clone();
        if now["model"] == "cls" && now["next_model"].is_null() {
            break;
        }
        assert!(now["next_chunks"].as_u64().unwrap() <= 30, "{now}");
    }
    ready(&server).await;
    let found = search(&server, "default", json!({"query": "fox", "mode": "vector"})).await;
    assert_eq!(found["results"].as_array().unwrap().len(), 10, "{found}");
    let back =
        patch(&server, "/v1/collections/default", json!({"embedding_model": "default"})).await;
    assert_eq!(back.body["embedding"]["chosen"], Value::Null, "{back:?}");
}

#[tokio::test]
async fn another_ragtime_is_the_endpoint() {
    let first = Setup::with_model().start();
    first.model().await;
    let second = Setup::new()
        .set("MODELS__EMBEDDING__FAR__URL", format!("{}/v1", first.url))
        .set("MODELS__EMBEDDING__FAR__MODEL", "all-MiniLM-L6-v2")
        .set("MODELS__EMBEDDING__FAR__API_KEY", ADMIN)
        .start();
    ready(&second).await;
    let query = json!({"query": "an instrument with keys", "mode": "vector"});
    let mut found = Vec::new();
    for server in [&first, &second] {
        server.document("piano", "The piano has black and white keys.").await;
        server.document("harbour", "Ships lie in the harbour at night.").await;
        found.push(search(server, "default", query.clone()).await["results"].clone());
    }
    let told = |found: &Value| -> Vec<(String, f64)> {
        let told = |one: &Value| {
            (one["document_id"].as_str().unwrap().to_owned(), one["score"].as_f64().unwrap())
        };
        found.as_array().unwrap().iter().map(told).collect()
    };
    let (near, far) = (told(&found[0]), told(&found[1]));
    assert_eq!(near[0].0, "piano");
    for (near, far) in near.iter().zip(&far) {
        assert!(near.0 == far.0 && (near.1 - far.1).abs() < 1e-5, "{near:?} {far:?}");
    }
}

fn far(endpoint: &Endpoint) -> Setup {
    Setup::new()
        .set("MODELS__EMBEDDING__FAR__URL", &endpoint.url)
        .set("MODELS__EMBEDDING__FAR__API_KEY", "sk-embeddings-secret")
        .set("MODELS__EMBEDDING__FAR__TIMEOUT_MS", 300)
        .set("MODELS__EMBEDDING__FAR__QUERY_TIMEOUT_MS", 300)
        .set("MODELS__EMBEDDING__FAR__MAX_RETRIES", 1)
        .set("MODELS__EMBEDDING__FAR__BREAKER_COOLDOWN_MS", 50)
}

#[tokio::test]
async fn an_endpoint_that_fails_leaves_search_to_words_and_is_caught_up_with() {
    for behaviour in [
        Behaviour::Silent,
        Behaviour::Status(500, None),
        Behaviour::Status(429, Some(3_600)),
        Behaviour::WrongLength,
        Behaviour::NotANumber,
        Behaviour::DiesHalfWay,
        Behaviour::TooFew,
    ] {
        let endpoint = Endpoint::start().await;
        let server = far(&endpoint).start();
        ready(&server).await;
        server.document("before", "a fox before").await;
        endpoint.behave(behaviour);
        let put = server.put("/v1/collections/default/documents/a", json!({"text": "a fox"})).await;
        assert_eq!(put.status, 201, "{behaviour:?}: {put:?}");
        let found = search(&server, "default", json!({"query": "fox at night"})).await;
        assert_eq!((&found["mode"], &found["degraded"]), (&json!("lexical"), &json!(true)));
        assert_eq!(found["results"].as_array().unwrap().len(), 2, "{behaviour:?}: {found}");
        server
            .post("/v1/collections/default/search", json!({"query": "fox b", "mode": "vector"}))
            .await
            .assert_problem(503, "embedding_unavailable");
        let degraded = server.get("/readyz").await;
        assert!(degraded.text.contains("degraded"), "{behaviour:?}: {}", degraded.text);
        endpoint.behave(Behaviour::Works);
        ready(&server).await;
        let query = json!({"query": "fox", "mode": "vector"});
        while search(&server, "default", query.clone()).await["results"][1].is_null() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(!server.log().join("\n").contains("sk-embeddings-secret"));
    }
    harness::survived(
        "An embedding endpoint that is slow, refuses, lies or dies half-way",
        "search by words, which says so; vectors are caught up with",
        "nothing",
    );
}

#[tokio::test]
async fn an_endpoint_that_asks_to_wait_is_asked_again() {
    let endpoint = Endpoint::start().await;
    let server = far(&endpoint).start();
    ready(&server).await;
    endpoint.behave(Behaviour::Once(429, 0));
    server.document("a", "a fox").await;
    let found = search(&server, "default", json!({"query": "fox", "mode": "vector"})).await;
    assert_eq!(found["results"][0]["document_id"], "a", "{found}");
    assert!(endpoint.heads().iter().all(|head| head.contains("Bearer sk-embeddings-secret")));
}

#[tokio::test]
async fn an_endpoint_that_starts_after_the_server_is_found() {
    let endpoint = Endpoint::start().await;
    endpoint.behave(Behaviour::Status(503, None));
    let server = far(&endpoint).start();
    server.document("a", "a fox").await;
    assert_eq!(search(&server, "default", json!({"query": "fox"})).await["mode"], "lexical");
    endpoint.behave(Behaviour::Works);
    ready(&server).await;
    let found = search(&server, "default", json!({"query": "fox", "mode": "vector"})).await;
    assert_eq!(found["results"][0]["document_id"], "a", "{found}");
}

const TEXTS: [&str; 4] = ["the quick brown fox", "a lazy dog", "the fox and the dog", "a quay"];

async fn rerank(server: &Server) -> Value {
    let body = json!({"query": "fox", "documents": TEXTS, "return_documents": true});
    let ranked = server.post("/v1/rerank", body).await;
    assert_eq!(ranked.status, 200, "{ranked:?}");
    ranked.body
}

#[tokio::test]
async fn a_reranker_orders_texts_searches_and_answers() {
    for form in ["bert-reranker", "xlmr-reranker"] {
        let server = Setup::new().set("MODELS__RERANKING__SMALL__DIR", golden(form)).start();
        ready(&server).await;
        for (n, text) in TEXTS.iter().enumerate() {
            server.document(&n.to_string(), &format!("{text} fox")).await;
        }
        let ranked = rerank(&server).await;
        assert_eq!((&ranked["model"], &ranked["cut"]), (&json!("small"), &json!(false)));
        let results = ranked["results"].as_array().unwrap();
        assert_eq!(results.len(), 4);
        for pair in results.windows(2) {
            let score = |one: &Value| one["relevance_score"].as_f64().unwrap();
            assert!(score(&pair[0]) >= score(&pair[1]), "{ranked}");
        }
        let first = results[0]["index"].as_u64().unwrap() as usize;
        assert_eq!(results[0]["document"]["text"], TEXTS[first]);

        let documents: Vec<_> = TEXTS.iter().map(|text| format!("{text} fox")).collect();
        let body = json!({"query": "fox", "documents": documents, "top_n": 3});
        let expected = server.post("/v1/rerank", body).await.body["results"].clone();
        let asked = json!({"query": "fox", "rerank": true, "explain": true, "top_k": 3});
        let found = search(&server, "default", asked).await;
        assert_eq!(found["reranked"], json!({"model": "small", "depth": 4, "cut": false}));
        let order = |list: &Value, name: &str| -> Vec<String> {
            let id = |one: &Value| one[name].to_string().trim_matches('"').to_owned();
            list.as_array().unwrap().iter().map(id).collect()
        };
        assert_eq!(order(&found["results"], "document_id"), order(&expected, "index"));
        let best = &found["results"][0];
        assert_eq!(best["score"], best["explain"]["rerank"], "{best}");
        let body = json!({"query": "Where is the fox?", "rerank": 2, "top_k": 3});
        let answer = server.post("/v1/collections/default/query", body).await;
        assert_eq!(answer.body["reranked"]["depth"], 2, "{answer:?}");
        assert_eq!(answer.body["sources"].as_array().unwrap().len(), 3);
    }
}

#[tokio::test]
async fn a_reranking_endpoint_is_asked_in_its_shape_and_in_time() {
    for shape in ["cohere", "tei"] {
        let endpoint = Endpoint::start().await;
        let server = Setup::new()
            .set("MODELS__RERANKING__FAR__URL", format!("{}/rerank", endpoint.url))
            .set("MODELS__RERANKING__FAR__SHAPE", shape)
            .set("MODELS__RERANKING__FAR__TIMEOUT_MS", 300)
            .set("MODELS__RERANKING__FAR__BREAKER_COOLDOWN_MS", 50)
            .start();
        let ranked = rerank(&server).await;
        // The double finds the last best.
        assert_eq!(ranked["results"][0]["index"], 3, "{ranked}");
        let asked = endpoint.asked().pop().unwrap();
        assert_eq!(asked["query"], "fox");
        assert_eq!(asked["texts"].is_array(), shape == "tei", "{asked}");
        server.document("a", "a fox").await;
        endpoint.behave(Behaviour::Silent);
        let found = search(&server, "default", json!({"query": "fox", "rerank": true})).await;
        assert_eq!(found["reranked"]["cut"], true, "{found}");
        assert_eq!(found["results"][0]["document_id"], "a", "what was found stays found");
        endpoint.behave(Behaviour::Status(500, None));
        let body = json!({"query": "fox", "rerank": true});
        let refused = server.post("/v1/collections/default/search", body).await;
        refused.assert_problem(503, "reranking_unavailable");
    }
    let server = Setup::new().start();
    let body = json!({"query": "fox", "documents": ["a"]});
    server.post("/v1/rerank", body).await.assert_problem(422, "unknown_reranker");
    harness::survived(
        "A reranking endpoint that is slow or fails",
        "what was found in its order and `cut`, or a 503 that says what to do",
        "the order of the reranker",
    );
}

#[tokio::test]
async fn a_model_that_is_none_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), r#"{"architectures":["T5Model"]}"#).unwrap();
    let server = Setup::new().set("MODELS__EMBEDDING__WRONG__DIR", folder.path().display()).start();
    server.logged(&["no embedding model", "T5Model"]).await;
    assert!(server.get("/readyz").await.text.contains("could not be had"));
    let output = binary()
        .args(["serve", "--data-dir", "unused"])
        .env("RAGTIME_MODELS__EMBEDDING__E5__HUB", "intfloat/e5-small")
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && told.contains("`hub` with `revision`"), "{told}");
}

#[tokio::test]
async fn several_language_models_answer_by_their_names() {
    let says = Says::start(LanguageModel::Says(&["From the second [1]."])).await;
    let other = Says::start(LanguageModel::Says(&["From the first [1]."])).await;
    let server = Setup::new()
        .set("GENERATOR__URL", &other.url)
        .set("MODELS__GENERATION__SECOND__URL", &says.url)
        .set("MODELS__GENERATION__SECOND__MODEL", "large")
        .set("MODELS__DEFAULT_GENERATION", "second")
        .start();
    server.document("a", "A fox.").await;
    let ask = async |generator: Value| {
        let body = json!({"query": "fox", "generator": generator});
        server.post("/v1/collections/default/query", body).await.body
    };
    for (asked, name, said) in [
        (Value::Null, "second", "From the second [1]."),
        (json!("second"), "second", "From the second [1]."),
        (json!("openai"), "openai", "From the first [1]."),
        (json!("extractive"), "extractive", ""),
    ] {
        let answer = ask(asked.clone()).await;
        assert_eq!(answer["generator"], name, "{asked}: {answer}");
        if !said.is_empty() {
            assert_eq!(answer["answer"], said, "{asked}: {answer}");
        }
    }
    assert_eq!(says.asked.lock()[0].1["model"], "large");
}

/// A script for the kept handler: authenticate, be admitted, embed and count tokens by
/// `models@0.1.0`, and search.
const SCRIPT: &str = "0000050001000b00120000000b00130000000b000e03000003050000010101";

#[tokio::test]
async fn a_handler_of_the_contract_before_serves_in_turn_with_one_of_todays() {
    let server = two().start();
    ready(&server).await;
    server.document("mine", "mine is a word").await;
    let mut first = String::new();
    for round in 0..2 {
        let swapped = server.swap(KEPT.to_vec(), "").await;
        assert_eq!(swapped.status, 200, "{swapped:?}");
        let done = server.get(&format!("/script?{SCRIPT}")).await.text;
        assert_eq!(done.lines().filter(|line| line.starts_with("LOOT")).count(), 5, "{done}");
        assert!(!done.contains("refused"), "{done}");
        let embedded = done.lines().nth(2).unwrap().to_owned();
        if round == 0 {
            first = embedded;
        } else {
            assert_eq!(embedded, first, "by the default model, as before");
        }
        assert_eq!(server.swap(harness::built_in(), "").await.status, 200);
        let found = search(&server, "default", json!({"query": "mine", "mode": "vector"})).await;
        assert_eq!(found["results"][0]["document_id"], "mine", "{found}");
    }
}

fn model(arguments: &[&str]) -> (bool, String) {
    let output = binary()
        .args(["model"])
        .args(arguments)
        .env("RAGTIME_MODEL__SOURCE", "none")
        .env("RAGTIME_MODELS__EMBEDDING__MEAN__DIR", golden("bert-mean"))
        .env("RAGTIME_MODELS__RERANKING__SMALL__DIR", golden("bert-reranker"))
        .output()
        .unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(told).unwrap())
}

#[test]
fn models_are_listed_checked_and_measured_from_the_shell() {
    let (listed, told) = model(&["list", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert!(listed);
    let names: Vec<_> = told["models"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["mean", "small"]);
    assert_eq!(told["models"][0]["state"], "present");
    let (_, told) = model(&["check", "mean"]);
    assert!(told.contains("dimensions") && told.contains("BERT"), "{told}");
    let (checked, told) = model(&["check", "small"]);
    assert!(checked && told.contains("cross-encoder"), "{told}");
    let (measured, told) = model(&["bench", "mean"]);
    assert!(measured && told.contains("passages a second"), "{told}");
    let settings = tempfile::tempdir().unwrap();
    let file = settings.path().join("ragtime.toml");
    std::fs::write(&file, "[models.embedding.filed]\nurl = 'http://127.0.0.1:1/v1'\n").unwrap();
    let (_, told) = model(&["list", "--config", file.to_str().unwrap()]);
    assert!(told.contains("filed"), "settings may be named behind the action: {told}");
    let (fetched, told) = model(&["fetch", "nobody"]);
    assert!(!fetched && told.contains("ragtime model list"), "{told}");
}
