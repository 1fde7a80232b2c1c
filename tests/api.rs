//! The HTTP contract, as a client sees it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::harness::{self, Answer, Server, Setup};
use reqwest::Method;
use serde_json::{Value, json};

const DOCUMENTS: &str = "/v1/collections/default/documents";

#[tokio::test]
async fn a_document_lives_from_put_to_delete() {
    let server = Setup::new().start();
    let body = json!({"title": "Flutter", "text": "Flutter is an instability.", "metadata": {"year": 1961}});
    let made = server.put(&format!("{DOCUMENTS}/a%2Fb"), body.clone()).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.body["searchable"], true);
    let same = server.put(&format!("{DOCUMENTS}/a%2Fb"), body).await;
    assert_eq!((same.status, same.header("etag")), (200, made.header("etag")));

    let got = server.get(&format!("{DOCUMENTS}/a%2Fb")).await;
    assert_eq!(got.body["text"], "Flutter is an instability.");
    assert_eq!(got.header("etag"), made.header("etag"));
    assert_eq!(got.body["metadata"], json!({"year": 1961}));
    let chunks = server.get(&format!("{DOCUMENTS}/a%2Fb/chunks")).await;
    assert_eq!(chunks.body["chunks"][0]["text"], "Flutter is an instability.");
    assert_eq!(server.search("instabilities").await, ["a/b"]);

    assert_eq!(server.delete(&format!("{DOCUMENTS}/a%2Fb")).await.status, 204);
    server.get(&format!("{DOCUMENTS}/a%2Fb")).await.assert_problem(404, "unknown_document");
    assert!(server.search("instabilities").await.is_empty());
}

#[tokio::test]
async fn collections_are_made_listed_and_deleted() {
    let server = Setup::new().start();
    assert_eq!(server.post("/v1/collections", json!({"name": "notes"})).await.status, 201);
    server
        .post("/v1/collections", json!({"name": "notes"}))
        .await
        .assert_problem(409, "collection_exists");
    let listed = server.get("/v1/collections").await;
    let names: Vec<_> =
        listed.body["collections"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
    assert_eq!(names, ["default", "notes"]);
    assert_eq!(server.delete("/v1/collections/notes").await.status, 204);
    server.get("/v1/collections/notes").await.assert_problem(404, "unknown_collection");
    server.delete("/v1/collections/default").await.assert_problem(409, "collection_protected");
}

#[tokio::test]
async fn a_batch_is_a_job_whose_account_adds_up() {
    let server = Setup::new().start();
    let lines = "{\"id\":\"1\",\"text\":\"one\"}\nno json\n{\"id\":\"2\",\"text\":\"\"}\n{\"id\":\"3\",\"text\":\"three\"}\n";
    let request = server
        .request(Method::POST, &format!("{DOCUMENTS}?wait=indexed"))
        .header("content-type", "application/x-ndjson")
        .body(lines);
    let job = Answer::of(request).await;
    assert_eq!(job.status, 200, "{job:?}");
    let failed = job.body["failed"].as_array().unwrap();
    assert_eq!((job.body["received"].as_u64(), job.body["indexed"].as_u64()), (Some(4), Some(2)));
    assert_eq!((job.body["pending"].as_u64(), failed.len()), (Some(0), 2));
    assert!(failed.iter().all(|failure| !failure["reason"].as_str().unwrap().is_empty()));
    assert_eq!(server.search("three").await, ["3"]);

    let queued = server.post(DOCUMENTS, json!({"documents": [{"text": "no id of its own"}]})).await;
    assert_eq!((queued.status, queued.body["accepted"].as_u64()), (202, Some(1)));
    let id = queued.body["job_id"].as_str().unwrap();
    assert_eq!(server.get(&format!("/v1/jobs/{id}")).await.body["received"], 1);
    assert_eq!(server.get("/v1/jobs").await.body["jobs"].as_array().unwrap().len(), 2);
    server.get("/v1/jobs/none").await.assert_problem(404, "unknown_job");

    for change in ["cancel", "retry"] {
        let changed = server.post(&format!("/v1/jobs/{id}/{change}"), json!({})).await;
        assert_eq!((changed.status, &changed.body["received"]), (200, &json!(1)), "{changed:?}");
        assert_eq!(changed.body["pending"], 0, "{changed:?}");
        let path = format!("/v1/jobs/none/{change}");
        server.post(&path, json!({})).await.assert_problem(404, "unknown_job");
    }
}

#[tokio::test]
async fn markup_becomes_text_and_spans_point_into_it() {
    let server = Setup::new().start();
    let html = "<html><head><title>Kůň</title><script>evil()</script></head><body><h1>Horses</h1>\
                <p>The k&#367;&#328; runs.</p></body></html>";
    server.put(&format!("{DOCUMENTS}/h"), json!({"text": html, "content_type": "text/html"})).await;
    let document = server.get(&format!("{DOCUMENTS}/h")).await;
    assert_eq!(document.body["title"], "Kůň");
    let text = document.body["text"].as_str().unwrap();
    assert!(
        text.contains("The kůň runs.") && !text.contains("evil") && !text.contains('<'),
        "{text}"
    );

    let found = server.post("/v1/collections/default/search", json!({"query": "runs"})).await;
    let result = &found.body["results"][0];
    assert_eq!(slice(text, &result["span"]), result["text"].as_str().unwrap());
}

fn slice<'a>(text: &'a str, span: &Value) -> &'a str {
    &text[span["start"].as_u64().unwrap() as usize..span["end"].as_u64().unwrap() as usize]
}

#[tokio::test]
async fn filters_choose_by_metadata_and_say_where_they_are_wrong() {
    let server = Setup::new().start();
    for year in 1958..1964 {
        let body = json!({"text": "wing", "metadata": {"year": year}});
        server.put(&format!("{DOCUMENTS}/{year}"), body).await;
    }
    let search = |filter: Value| {
        server.post("/v1/collections/default/search", json!({"query": "wing", "filter": filter}))
    };
    let found = search(json!({"year": {"gte": 1961, "lt": 1963}})).await;
    let mut ids: Vec<_> =
        found.body["results"].as_array().unwrap().iter().map(|r| &r["document_id"]).collect();
    ids.sort_by_key(|id| id.to_string());
    assert_eq!(ids, ["1961", "1962"]);
    let wrong = search(json!({"year": {"like": 3}})).await;
    assert_eq!(wrong.status, 422, "{wrong:?}");
    assert!(wrong.text.contains("/filter/year/like"), "{wrong:?}");
}

#[tokio::test]
#[cfg_attr(stock, ignore)]
async fn all_three_modes_and_answers_work_with_the_model() {
    let server = Setup::with_model().start();
    server.model().await;
    let facts = [
        (
            "flutter",
            "Flutter is a dangerous vibration of aircraft wings. It was studied by engineers.",
        ),
        ("bread", "Sourdough bread rises by wild yeast. The dough rests overnight before baking."),
    ];
    for (id, text) in facts {
        server.document(id, text).await;
    }
    for (mode, query) in [
        ("hybrid", "wings that vibrate"),
        ("lexical", "yeasts"),
        ("vector", "oscillation of planes"),
    ] {
        let body = json!({"query": query, "mode": mode, "explain": true});
        let found = server.post("/v1/collections/default/search", body).await;
        assert_eq!(found.status, 200, "{found:?}");
        let expected = if mode == "lexical" { "bread" } else { "flutter" };
        assert_eq!(found.body["results"][0]["document_id"], expected, "{found:?}");
        assert_eq!(found.body["mode"], mode);
    }

    let answer = server
        .post("/v1/collections/default/query", json!({"query": "How does sourdough bread rise?"}))
        .await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        (&answer.body["abstained"], &answer.body["generator"]),
        (&json!(false), &json!("extractive"))
    );
    let citations = answer.body["citations"].as_array().unwrap();
    assert!(!citations.is_empty());
    for citation in citations {
        let id = citation["document_id"].as_str().unwrap();
        let source = server.get(&format!("{DOCUMENTS}/{id}")).await;
        assert_eq!(
            slice(source.body["text"].as_str().unwrap(), &citation["span"]),
            citation["quote"].as_str().unwrap()
        );
        assert_eq!(source.body["sha256"], citation["sha256"]);
    }
    assert!(answer.body["answer"].as_str().unwrap().contains("rises by wild yeast"), "{answer:?}");

    let unknown = json!({"query": "Who won the football championship in Brazil?"});
    let answer = server.post("/v1/collections/default/query", unknown).await;
    assert_eq!(
        (&answer.body["abstained"], &answer.body["citations"]),
        (&json!(true), &json!([])),
        "{answer:?}"
    );
}

#[tokio::test]
async fn near_duplicates_can_be_left_out_and_differing_passages_preferred() {
    let server = Setup::new().start();
    let flutter = "Flutter is a dynamic instability of an elastic structure in a fluid flow, and \
                   wings show flutter at a critical speed of that flow.";
    server.document("first", flutter).await;
    server.document("again", &flutter.replace("fluid", "fast")).await;
    server.document("other", "Panel flutter heats skins. It was observed on rockets.").await;
    let found = async |options: Value| {
        let mut body = json!({"query": "flutter of wings", "mode": "lexical", "explain": true});
        body.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        server.post("/v1/collections/default/search", body).await
    };
    let ids = |found: &Answer| -> Vec<String> {
        let results = found.body["results"].as_array().unwrap_or_else(|| panic!("{found:?}"));
        results.iter().map(|result| result["document_id"].as_str().unwrap().to_owned()).collect()
    };
    let all = found(json!({})).await;
    assert_eq!(ids(&all).len(), 3, "{all:?}");
    let best = ids(&all)[0].clone();
    assert_eq!(ids(&found(json!({"dedupe": true})).await), [best.as_str(), "other"]);
    let varied = found(json!({"diversity": 0.9, "top_k": 2})).await;
    assert_eq!(ids(&varied), [best.as_str(), "other"], "{varied:?}");

    let explained = &all.body["results"][0];
    assert_eq!(explained["explain"]["lexical"]["rank"], 1);
    assert_eq!(explained["explain"]["lexical"]["weight"], 1.0);
    assert_eq!(explained["explain"]["lexical"]["normalised"], 1.0);
    assert_eq!(explained["explain"]["fused"], explained["score"]);

    found(json!({"diversity": 2})).await.assert_problem(422, "validation_failed");
    let asked = json!({"query": "What is flutter of wings?", "dedupe": true});
    let answer = server.post("/v1/collections/default/query", asked).await;
    assert_eq!(answer.body["sources"].as_array().unwrap().len(), 2, "{answer:?}");
}

#[tokio::test]
async fn an_answer_streams_as_events_with_a_clear_end() {
    let server = Setup::new().start();
    server.document("a", "Lift is the force that holds an aircraft in the air.").await;
    let body = json!({"query": "What force holds an aircraft in the air?", "stream": true});
    let answer = server.post("/v1/collections/default/query", body).await;
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let names: Vec<_> =
        answer.text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(names, ["sources", "delta", "citation", "usage", "done"], "{}", answer.text);
}

#[tokio::test]
async fn without_the_model_search_is_lexical_and_says_so() {
    let server = Setup::new().start();
    server.document("a", "phoenix").await;
    let search = |mode| {
        server.post("/v1/collections/default/search", json!({"query": "phoenix", "mode": mode}))
    };
    let hybrid = search("hybrid").await;
    assert_eq!((&hybrid.body["mode"], &hybrid.body["degraded"]), (&json!("lexical"), &json!(true)));
    search("vector").await.assert_problem(503, "embedding_unavailable");
}

#[tokio::test]
#[cfg_attr(stock, ignore)]
async fn keys_are_made_used_rotated_and_revoked() {
    let server = Setup::new().start();
    server.document("a", "apple").await;
    server.post("/v1/collections", json!({"name": "closed"})).await;
    let key =
        server.key(json!({"name": "reader", "scopes": ["read"], "collections": ["default"]})).await;
    let as_reader = |method, path: &str| {
        Answer::of(server.anonymous(method, path).header("x-api-key", key.clone()))
    };

    let own = as_reader(Method::GET, "/v1/keys/self").await;
    assert_eq!((&own.body["name"], &own.body["scopes"]), (&json!("reader"), &json!(["read"])));
    assert!(!own.text.contains(key.rsplit('_').next().unwrap()));
    assert_eq!(as_reader(Method::GET, &format!("{DOCUMENTS}/a")).await.status, 200);
    as_reader(Method::GET, "/v1/collections/closed")
        .await
        .assert_problem(403, "collection_forbidden");
    let denied = as_reader(Method::DELETE, &format!("{DOCUMENTS}/a")).await;
    denied.assert_problem(403, "scope_required");
    assert!(denied.header("www-authenticate").contains("insufficient_scope"));
    as_reader(Method::GET, "/v1/keys").await.assert_problem(403, "scope_required");

    let id = own.body["id"].as_str().unwrap();
    let rotated = server.post(&format!("/v1/keys/{id}/rotate"), json!({"grace_seconds": 60})).await;
    assert!(rotated.body["credential"].as_str().unwrap().starts_with("rt_"), "{rotated:?}");
    assert_eq!(as_reader(Method::GET, "/v1/keys/self").await.status, 200);
    assert_eq!(server.delete(&format!("/v1/keys/{id}")).await.status, 204);
    as_reader(Method::GET, "/v1/keys/self").await.assert_problem(401, "invalid_credential");
    server.delete(&format!("/v1/keys/{id}")).await.assert_problem(404, "unknown_key");
}

#[tokio::test]
async fn bad_input_gets_its_problem_and_disturbs_nobody() {
    let server = Setup::new().start();
    server.document("a", "calm").await;
    let steady = async {
        for _ in 0..50 {
            assert_eq!(server.search("calm").await, ["a"]);
        }
    };
    tokio::join!(steady, all_bad_input(&server));
}

async fn all_bad_input(server: &Server) {
    const SEARCH: &str = "/v1/collections/default/search";
    let no_key = Answer::of(server.anonymous(Method::GET, DOCUMENTS)).await;
    no_key.assert_problem(401, "unauthenticated");
    assert_eq!(no_key.header("www-authenticate"), "Bearer realm=\"ragtime\"");
    for wrong in [
        harness::ADMIN.replace("01", "02"),
        harness::ADMIN.replace("rt_0", "rt_1"),
        "rubbish".into(),
    ] {
        let answer = Answer::of(server.anonymous(Method::GET, DOCUMENTS).bearer_auth(wrong)).await;
        answer.assert_problem(401, "invalid_credential");
        assert!(answer.header("www-authenticate").contains("invalid_token"));
    }
    server
        .post("/v1/collections/none/search", json!({"query": "x"}))
        .await
        .assert_problem(404, "unknown_collection");
    server.get("/v1/nothing").await.assert_problem(404, "not_found");

    let unknown_field = server.post(SEARCH, json!({"query": "x", "qurey": 1})).await;
    unknown_field.assert_problem(422, "validation_failed");
    assert!(unknown_field.text.contains("qurey"), "{unknown_field:?}");
    let empty = server.post(SEARCH, json!({"query": " "})).await;
    empty.assert_problem(422, "validation_failed");
    assert!(empty.body["errors"][0]["pointer"].as_str().unwrap().ends_with("/query"), "{empty:?}");
    server
        .post(SEARCH, json!({"query": "x", "top_k": 1e9}))
        .await
        .assert_problem(422, "validation_failed");

    let raw = |bytes: Vec<u8>| {
        Answer::of(
            server
                .request(Method::POST, SEARCH)
                .header("content-type", "application/json")
                .body(bytes),
        )
    };
    raw(b"{\"query\": ".to_vec()).await.assert_problem(400, "malformed_json");
    raw(b"{\"query\": \"\xff\"}".to_vec()).await.assert_problem(400, "invalid_utf8");
    raw("[".repeat(50_000).into_bytes()).await.assert_problem(400, "malformed_json");
    let text = server.request(Method::POST, SEARCH).header("content-type", "text/plain").body("x");
    Answer::of(text).await.assert_problem(415, "unsupported_media_type");
    let method = Answer::of(server.request(Method::PATCH, SEARCH)).await;
    method.assert_problem(405, "method_not_allowed");
    assert!(method.header("allow").contains("POST"), "{method:?}");
    let both = server.request(Method::GET, DOCUMENTS).header("x-api-key", "another");
    assert_eq!(Answer::of(both).await.status, 400);
}

#[tokio::test]
#[cfg_attr(stock, ignore)]
async fn a_body_over_the_limit_is_refused() {
    let server = Setup::new().set("SERVER__MAX_BODY_BYTES", 100_000).start();
    let long = vec![b' '; 200_000];
    let request = server.request(Method::PUT, &format!("{DOCUMENTS}/a")).body(long);
    Answer::of(request).await.assert_problem(413, "body_too_large");
}

#[tokio::test]
#[cfg_attr(stock, ignore)]
async fn a_key_that_spends_its_budget_is_told_when_to_come_back() {
    let server = Setup::new().start();
    let key = server
        .key(json!({"name": "slow", "scopes": ["read"], "rate_per_minute": 60, "burst": 4}))
        .await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let answer =
            Answer::of(server.anonymous(Method::GET, "/v1/keys/self").bearer_auth(&key)).await;
        assert_eq!(answer.header("ratelimit-policy"), "\"perkey\";q=4;w=4");
        if answer.status == 429 {
            answer.assert_problem(429, "rate_limited");
            assert_eq!(answer.header("retry-after"), "1");
        }
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [200, 200, 200, 200, 429]);
    assert_eq!(server.get("/v1/keys/self").await.status, 200);
}

#[tokio::test]
async fn health_needs_no_key() {
    let server = Setup::new().start();
    assert_eq!(Answer::of(server.anonymous(Method::GET, "/livez")).await.status, 200);
    let ready = Answer::of(server.anonymous(Method::GET, "/readyz")).await;
    assert_eq!((ready.status, &ready.body["status"]), (200, &json!("ready")));
}

#[tokio::test]
#[cfg_attr(stock, ignore)]
async fn shutting_down_waits_for_no_idle_connection() {
    let mut server = Setup::new().start();
    assert_eq!(Answer::of(server.anonymous(Method::GET, "/livez")).await.status, 200);
    assert!(server.terminate().success());
}

#[tokio::test]
#[cfg_attr(stock, ignore)]
async fn every_request_leaves_one_line_without_secrets_or_texts() {
    let server = Setup::new().argument("--log-level").argument("debug").start();
    server.document("a", "unmistakable-text").await;
    server.search("unmistakable-query").await;
    let id = server.get("/v1/keys/self").await.header("x-request-id").to_owned();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let log = server.log();
    let lines = log.iter().filter(|line| line.contains(&id) && line.contains("ragtime::access"));
    assert_eq!(lines.count(), 1);
    let secret = harness::ADMIN.rsplit('_').next().unwrap();
    for forbidden in [secret, "unmistakable-text", "unmistakable-query", "Bearer"] {
        assert!(log.iter().all(|line| !line.contains(forbidden)), "{forbidden}");
    }
}

#[tokio::test]
async fn the_description_is_open_and_names_the_generators_that_answer() {
    let server = Setup::new().start();
    let document = Answer::of(server.anonymous(Method::GET, "/openapi.json")).await;
    assert_eq!((document.status, &document.body["openapi"]), (200, &json!("3.1.0")));
    let generators = &document.body["components"]["schemas"]["Generator"]["enum"];
    assert_eq!(generators, &json!(["extractive"]));
    let unknown = Answer::of(server.anonymous(Method::GET, "/openapi.yaml")).await;
    unknown.assert_problem(404, "not_found");
}
