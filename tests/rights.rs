//! Keys: nobody grants more than they have, what is revoked stays revoked, and
//! a kept response is for who may still have it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::{self, ADMIN, Answer, Server, Setup, survived};
use reqwest::Method;
use serde_json::{Value, json};

const DOCUMENTS: &str = "/v1/collections/default/documents";
const FIRST: &str = "000000000000";

/// A request with a key of ours.
async fn ask(server: &Server, key: &str, method: Method, path: &str, body: Value) -> Answer {
    let request = server.anonymous(method, path).bearer_auth(key);
    Answer::of(if body.is_null() { request } else { request.json(&body) }).await
}

/// A new key: its id and its credential.
async fn new_key(server: &Server, maker: &str, body: Value) -> (String, String) {
    let made = ask(server, maker, Method::POST, "/v1/keys", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let word = |name: &str| made.body[name].as_str().unwrap().to_owned();
    (word("id"), word("credential"))
}

#[tokio::test]
async fn nobody_grants_more_than_they_have() {
    let server = Setup::new().start();
    let all = json!(["read", "write", "admin"]);
    let refused = server
        .post("/v1/keys", json!({"name": "x", "scopes": ["admin"], "collections": ["default"]}))
        .await;
    refused.assert_problem(422, "invalid_request");
    let (reader, _) = new_key(
        &server,
        ADMIN,
        json!({"name": "r", "scopes": ["read"], "collections": ["default"]}),
    )
    .await;
    let reader = format!("/v1/keys/{reader}");
    let patched = ask(&server, ADMIN, Method::PATCH, &reader, json!({"scopes": ["admin"]})).await;
    patched.assert_problem(422, "invalid_request");
    let (_, small) = new_key(
        &server,
        ADMIN,
        json!({"name": "small", "scopes": ["read", "admin"], "rate_per_minute": 60, "burst": 50,
            "expires_at": "2090-01-01T00:00:00Z"}),
    )
    .await;
    for (wish, status, code) in [
        (json!({"scopes": all}), 403, "scope_required"),
        (json!({"scopes": ["read", "write"]}), 403, "scope_required"),
        (json!({"scopes": ["read"], "burst": 51}), 422, "invalid_request"),
        (json!({"scopes": ["read"], "rate_per_minute": 61}), 422, "invalid_request"),
        (json!({"scopes": ["read"], "expires_at": "2090-01-01T00:00:01Z"}), 422, "invalid_request"),
    ] {
        let mut wish = wish;
        wish["name"] = "more".into();
        let refused = ask(&server, &small, Method::POST, "/v1/keys", wish.clone()).await;
        refused.assert_problem(status, code);
        // The same by way of a key that is there, and of its own.
        wish.as_object_mut().unwrap().remove("name");
        let own = server.anonymous(Method::GET, "/v1/keys/self").bearer_auth(&small);
        let own = Answer::of(own).await.body["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/keys/{own}");
        let refused = ask(&server, &small, Method::PATCH, &path, wish).await;
        refused.assert_problem(status, code);
    }
    let path = format!("/v1/keys/{FIRST}/rotate");
    let rotated = ask(&server, &small, Method::POST, &path, Value::Null).await;
    rotated.assert_problem(403, "scope_required");
    // What is not asked for is no more than the maker has.
    let made = json!({"name": "child", "scopes": ["read"]});
    let made = ask(&server, &small, Method::POST, "/v1/keys", made).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(
        [&made.body["rate_per_minute"], &made.body["burst"], &made.body["expires_at"]],
        [&json!(60), &json!(50), &json!("2090-01-01T00:00:00Z")]
    );
    survived(
        "An admin key that makes itself another with more scopes, budget or life",
        "is refused, on each way there is",
        "nothing",
    );
}

#[tokio::test]
#[cfg_attr(fleet, ignore)]
async fn an_admin_key_that_an_older_version_limited_to_collections_is_no_admin() {
    let mut server = Setup::new().start();
    let (id, limited) =
        new_key(&server, ADMIN, json!({"name": "old", "scopes": ["read", "write", "admin"]})).await;
    assert_eq!(ask(&server, &limited, Method::GET, "/v1/keys", Value::Null).await.status, 200);
    server.terminate();
    let database = rusqlite::Connection::open(server.dir.path().join("ragtime.sqlite")).unwrap();
    let changed = database
        .execute("UPDATE keys SET collections = '[\"default\"]' WHERE id = ?1", [&id])
        .unwrap();
    assert_eq!(changed, 1);
    drop(database);
    let server = Setup::again(&server).start();
    let keys = "/v1/keys";
    let of = |method, path, body| ask(&server, &limited, method, path, body);
    of(Method::GET, keys, Value::Null).await.assert_problem(403, "scope_required");
    let more = json!({"name": "x", "scopes": ["read"]});
    of(Method::POST, keys, more).await.assert_problem(403, "scope_required");
    let own = format!("/v1/keys/{id}");
    of(Method::PATCH, &own, json!({"name": "y"})).await.assert_problem(403, "scope_required");
    of(Method::DELETE, &own, Value::Null).await.assert_problem(403, "scope_required");
    for path in ["/metrics", "/admin/guest", "/admin/requests", "/admin/audit"] {
        let request = server.admin(Method::GET, path);
        let (client, request) = request.build_split();
        let mut request = request.unwrap();
        let value = format!("Bearer {limited}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
        assert_eq!(client.execute(request).await.unwrap().status(), 403, "{path}");
    }
    // In its collection it does what its other scopes allow.
    let documents = of(Method::GET, DOCUMENTS, Value::Null).await;
    assert_eq!(documents.status, 200, "{documents:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_changed_while_it_is_revoked_stays_revoked() {
    const TRIES: usize = 40;
    let mut server = Setup::new().start();
    let mut revoked = Vec::new();
    for number in 0..TRIES {
        let name = format!("k{number}");
        let (id, key) = new_key(&server, ADMIN, json!({"name": name, "scopes": ["read"]})).await;
        let path = format!("/v1/keys/{id}");
        let change = || ask(&server, ADMIN, Method::PATCH, &path, json!({"name": "changed"}));
        let rotate = format!("{path}/rotate");
        let (.., deleted) = tokio::join!(
            change(),
            change(),
            ask(&server, ADMIN, Method::POST, &rotate, Value::Null),
            ask(&server, ADMIN, Method::DELETE, &path, Value::Null),
        );
        assert_eq!(deleted.status, 204, "{deleted:?}");
        revoked.push(key);
    }
    for restarted in [false, true] {
        if restarted {
            server.kill();
            server = Setup::again(&server).start();
        }
        for key in &revoked {
            let answer = ask(&server, key, Method::GET, "/v1/keys/self", Value::Null).await;
            answer.assert_problem(401, "invalid_credential");
        }
    }
    survived(
        "40 keys, each changed and rotated while it is revoked, and a power cut",
        "none comes back",
        "nothing",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_admins_that_end_each_other_leave_one() {
    let server = Setup::new().start();
    for round in 0..10 {
        let all = json!({"name": "a", "scopes": ["read", "write", "admin"]});
        let keys = server.get("/v1/keys").await;
        assert_eq!(keys.body["keys"].as_array().unwrap().len(), 1, "{round}");
        let (other, credential) = new_key(&server, ADMIN, all).await;
        let (theirs, mine) = (format!("/v1/keys/{FIRST}"), format!("/v1/keys/{other}"));
        let demote = json!({"scopes": ["read"]});
        let end = json!({"expires_at": "2001-01-01T00:00:00Z"});
        let (first, second) = match round % 3 {
            0 => tokio::join!(
                ask(&server, ADMIN, Method::DELETE, &mine, Value::Null),
                ask(&server, &credential, Method::DELETE, &theirs, Value::Null),
            ),
            1 => tokio::join!(
                ask(&server, ADMIN, Method::PATCH, &mine, demote.clone()),
                ask(&server, &credential, Method::PATCH, &theirs, demote.clone()),
            ),
            _ => tokio::join!(
                ask(&server, ADMIN, Method::PATCH, &mine, end.clone()),
                ask(&server, &credential, Method::PATCH, &theirs, end.clone()),
            ),
        };
        let won = [&first, &second].iter().filter(|answer| answer.status < 300).count();
        assert_eq!(won, 1, "{first:?} {second:?}");
        // The one that is left can do everything; the first is made whole again.
        let lives = ask(&server, ADMIN, Method::GET, "/v1/keys", Value::Null).await.status == 200;
        let (left, gone) = if lives { (ADMIN, mine) } else { (credential.as_str(), theirs) };
        if !lives {
            // Nobody can bring the first back, so the test ends with the second.
            let listed = ask(&server, left, Method::GET, "/v1/keys", Value::Null).await;
            assert_eq!(listed.status, 200, "{listed:?}");
            return;
        }
        let removed = ask(&server, left, Method::DELETE, &gone, Value::Null).await;
        assert!(matches!(removed.status, 204 | 404), "{removed:?}");
    }
}

#[tokio::test]
async fn a_kept_response_is_for_who_may_still_have_it_and_costs_what_it_cost() {
    let server = Setup::new().start();
    let wish = json!({"name": "w", "scopes": ["read", "write"], "burst": 4, "rate_per_minute": 1});
    let (id, writer) = new_key(&server, ADMIN, wish).await;
    let path = format!("/v1/keys/{id}");
    let send = || async {
        let request = server.anonymous(Method::POST, DOCUMENTS).bearer_auth(&writer);
        let request = request.header("idempotency-key", "once");
        Answer::of(request.json(&json!({"documents": [{"id": "a", "text": "secret"}]}))).await
    };
    assert_eq!(send().await.status, 202);
    let again = send().await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (202, "true"), "{again:?}");
    let change = |body| ask(&server, ADMIN, Method::PATCH, &path, body);
    assert_eq!(change(json!({"scopes": ["read"]})).await.status, 200);
    send().await.assert_problem(403, "scope_required");
    assert_eq!(change(json!({"scopes": ["read", "write"]})).await.status, 200);
    assert_eq!(send().await.header("idempotency-replayed"), "true");
    assert_eq!(change(json!({"collections": ["other"]})).await.status, 200);
    send().await.assert_problem(403, "collection_forbidden");
    assert_eq!(change(json!({"collections": ["default"]})).await.status, 200);
    assert_eq!(send().await.header("idempotency-replayed"), "true");
    let spent = send().await;
    spent.assert_problem(429, "rate_limited");
    assert!(spent.header("retry-after").parse::<u32>().unwrap() > 0);
}

#[tokio::test]
async fn a_key_that_can_never_answer_is_refused_wherever_it_is_made() {
    let least = ragtime_policy::bucket::LEAST_BURST;
    assert_eq!(ragtime_api::routes::DEAREST, least);
    let would_do = format!("{least}");
    let server = Setup::new().start();
    let wish = |burst: u32| json!({"name": "k", "scopes": ["read"], "burst": burst});
    let (id, key) = new_key(&server, ADMIN, wish(least)).await;
    let question = json!({"query": "Who?"});
    let query = "/v1/collections/default/query";
    assert_eq!(ask(&server, &key, Method::POST, query, question).await.status, 200);
    let made = server.post("/v1/keys", wish(least - 1)).await;
    let path = format!("/v1/keys/{id}");
    let changed = ask(&server, ADMIN, Method::PATCH, &path, json!({"burst": least - 1})).await;
    for refused in [made, changed] {
        refused.assert_problem(422, "validation_failed");
        let fault = &refused.body["errors"][0];
        assert_eq!(fault["pointer"], "#/burst", "{refused:?}");
        assert!(fault["detail"].as_str().unwrap().contains(&would_do), "{refused:?}");
    }
    let command = |arguments: &[&str]| {
        let mut command = harness::binary();
        command.args(arguments).env("RAGTIME_SERVER", &server.url).env("RAGTIME_KEY", ADMIN);
        command
    };
    let typed = ["keys", "create", "--name", "k", "--scope", "read", "--burst", "3"];
    let serve = ["serve", "--listen", "127.0.0.1:0", "--no-model", "--data-dir"];
    let folder = tempfile::tempdir().unwrap();
    let mut set = command(&serve);
    set.arg(folder.path())
        .env("RAGTIME_AUTH__BURST", "3")
        .env("RAGTIME_ADMIN__LISTEN", "127.0.0.1:0");
    for mut command in [command(&typed), set] {
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("burst") && said.contains(&would_do), "{said}");
    }
}
