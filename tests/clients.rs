//! The official Python clients of the APIs that this server speaks.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::harness::clients::{Script, run};
use crate::harness::{ADMIN, Answer, Server, Setup};
use reqwest::Method;
use serde_json::json;

const DOCUMENT: &str =
    "Ragtime keeps a steady march in the left hand. Scott Joplin wrote the Maple Leaf Rag in 1899.";

/// Runs a program with the newest clients against a server with one document.
async fn drive(server: &Server, script: &'static str, arguments: &[&str]) {
    server.document("joplin", DOCUMENT).await;
    run(server, Script::Python("newest", script), arguments).await;
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
async fn the_mcp_client_starts_a_command() {
    drive(&Setup::new().start(), "mcp_stdio.py", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openai_client_searches_files() {
    run(&Setup::new().start(), Script::Python("newest", "openai_files.py"), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_openai_client_chats_and_lists_models() {
    let server = Setup::new().start();
    server.document("joplin", DOCUMENT).await;
    run(&server, Script::Python("openai-oldest", "openai_client.py"), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn older_mcp_clients_speak_their_version() {
    let server = Setup::new().start();
    server.document("joplin", DOCUMENT).await;
    for packages in ["mcp-1.9", "mcp-1.12"] {
        run(&server, Script::Python(packages, "mcp_older.py"), &[]).await;
        run(&server, Script::Python(packages, "mcp_stdio.py"), &[]).await;
    }
}

#[tokio::test]
async fn files_outlive_the_server_and_no_search_finds_them_before_they_are_attached() {
    let mut server = Setup::new().start();
    let id = upload(&server, "lift.txt", "Lift holds an aircraft in the air.").await;
    server.kill();
    let server = Setup::again(&server).start();
    let kept = server.get(&format!("/v1/files/{id}/content")).await;
    assert_eq!(kept.text, "Lift holds an aircraft in the air.");
    let query = json!({"query": "lift aircraft"});
    let nothing = server.post("/v1/collections/openai-files/search", query.clone()).await;
    assert_eq!(nothing.body["results"], json!([]), "{nothing:?}");
    let models = server.get("/v1/models").await;
    assert!(!models.text.contains("openai-files"), "{models:?}");
    server
        .get("/v1/vector_stores/vs_openai-files")
        .await
        .assert_problem(404, "unknown_vector_store");
    let attached = server.post("/v1/vector_stores/vs_default/files", json!({"file_id": id})).await;
    assert_eq!(attached.status, 200, "{attached:?}");
    // A document of any other route is a file of the same store.
    server.document("joplin", DOCUMENT).await;
    let files = server.get("/v1/vector_stores/vs_default/files").await;
    let ids: Vec<_> = files.body["data"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, [&json!("joplin"), &json!(id)]);
    assert_eq!(server.search("lift aircraft").await, [id]);
}

#[tokio::test]
async fn a_file_has_the_name_that_its_sender_gave_it() {
    let server = Setup::new().start();
    let id = upload(&server, "na_ve.txt\"; filename*=\"UTF-8''na%C3%AFve%20%E6%96%87.txt", "Text.");
    let file = server.get(&format!("/v1/files/{}", id.await)).await;
    assert_eq!(file.body["filename"], "naïve 文.txt", "{file:?}");
}

/// Uploads a file by OpenAI's API.
async fn upload(server: &Server, name: &str, text: &str) -> String {
    let form = format!(
        "--x\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nassistants\r\n\
         --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{text}\r\n\
         --x--\r\n"
    );
    let request = server.request(Method::POST, "/v1/files");
    let request = request.header("content-type", "multipart/form-data; boundary=x").body(form);
    let file = Answer::of(request).await;
    assert_eq!(file.status, 200, "{file:?}");
    file.body["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
#[cfg_attr(stock, ignore)]
async fn a_key_reaches_the_files_and_stores_of_its_collections_and_scopes_alone() {
    let server = Setup::new().start();
    let id = upload(&server, "a.txt", "Text.").await;
    let as_key = |key: &str, method, path: &str, body: serde_json::Value| {
        Answer::of(server.anonymous(method, path).bearer_auth(key).json(&body))
    };
    let limited = json!({"name": "l", "scopes": ["read", "write"], "collections": ["default"]});
    let limited = server.key(limited).await;
    let file = format!("/v1/files/{id}");
    as_key(&limited, Method::GET, &file, json!({}))
        .await
        .assert_problem(403, "collection_forbidden");
    let elsewhere = json!({"file_id": id});
    as_key(&limited, Method::POST, "/v1/vector_stores/vs_default/files", elsewhere)
        .await
        .assert_problem(403, "collection_forbidden");
    let stores = as_key(&limited, Method::GET, "/v1/vector_stores", json!({})).await;
    assert_eq!(stores.body["data"].as_array().unwrap().len(), 1, "{stores:?}");
    let reader = server.key(json!({"name": "r", "scopes": ["read"]})).await;
    assert_eq!(as_key(&reader, Method::GET, &file, json!({})).await.status, 200);
    for (method, path) in [
        (Method::DELETE, file.as_str()),
        (Method::POST, "/v1/vector_stores"),
        (Method::POST, "/v1/vector_stores/vs_default/files"),
        (Method::DELETE, "/v1/vector_stores/vs_default"),
    ] {
        as_key(&reader, method, path, json!({})).await.assert_problem(403, "scope_required");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_work_in_a_browser_that_reaches_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let server = Setup::new().start();
    run(&server, Script::Browser("playground.mjs"), &[folder.path().to_str().unwrap()]).await;
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
    let unpublished = ask("2023-01-01", "ping").await;
    assert_eq!((unpublished.status, &unpublished.body["error"]["code"]), (400, &json!(-32022)));
    let published = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];
    assert_eq!(unpublished.body["error"]["data"]["supported"], json!(published));
    let bare = ask("2026-07-28", "tools/list").await;
    assert_eq!((bare.status, &bare.body["error"]["code"]), (400, &json!(-32602)));
    let unknown = ask("2025-11-25", "prompts/list").await;
    assert_eq!((unknown.status, &unknown.body["error"]["code"]), (200, &json!(-32601)));
}

#[tokio::test]
async fn every_published_version_is_spoken_as_it_is_asked_for() {
    let server = Setup::new().start();
    server.document("a%20b%2Fjoplin", DOCUMENT).await;
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let params = json!({
            "protocolVersion": version, "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        });
        let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
        let begun = server.post("/mcp", hello).await;
        assert_eq!(begun.body["result"]["protocolVersion"], version, "{begun:?}");
    }
    let ask = |method: &str, params: serde_json::Value| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        server.post("/mcp", body)
    };
    let listed = ask("resources/list", json!({})).await;
    let uri = listed.body["result"]["resources"][0]["uri"].clone();
    assert_eq!(uri, "ragtime://default/a%20b%2Fjoplin", "{listed:?}");
    let read = ask("resources/read", json!({"uri": uri})).await;
    assert_eq!(read.body["result"]["contents"][0]["text"], DOCUMENT, "{read:?}");
    let missing = ask("resources/read", json!({"uri": "ragtime://default/none"})).await;
    assert_eq!((missing.status, &missing.body["error"]["code"]), (200, &json!(-32002)));
    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": "b", "method": "tools/list"},
    ]);
    let answers = server.post("/mcp", batch).await;
    let ids: Vec<_> = answers.body.as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, [&json!(1), &json!("b")]);
}

/// Sends `head` and `body` as they are and reads what comes.
#[cfg(not(stock))]
fn raw(server: &Server, head: &str, body: &[u8]) -> String {
    use std::io::{Read, Write};
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[tokio::test(flavor = "multi_thread")]
#[cfg(not(stock))]
async fn a_request_names_its_host_once() {
    let server = Setup::new().start();
    let status = |hosts: &str, version: &str| {
        let head = format!("GET /livez HTTP/{version}\r\n{hosts}Connection: close\r\n\r\n");
        raw(&server, &head, b"")
    };
    assert!(status("Host: a\r\n", "1.1").starts_with("HTTP/1.1 200"));
    assert!(status("", "1.0").contains(" 200 "));
    for hosts in ["", "Host: a\r\nHost: a\r\n", "Host: a\r\nHost: b\r\n", "Host: a b\r\n"] {
        let answer = status(hosts, "1.1");
        assert!(answer.starts_with("HTTP/1.1 400"), "{hosts:?}: {answer}");
    }
    assert!(status("", "1.1").contains("invalid_host"));
}

#[tokio::test]
async fn a_body_may_be_packed_within_its_limit() {
    use std::io::Write;
    let server = Setup::new().start();
    server.document("joplin", DOCUMENT).await;
    let packed = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let send = |encoding: &'static str, body: Vec<u8>| {
        let request = server.request(Method::POST, "/v1/collections/default/search");
        let request = request.header("content-type", "application/json");
        Answer::of(request.header("content-encoding", encoding).body(body))
    };
    let query = br#"{"query":"Maple Leaf Rag"}"#;
    for (encoding, body) in [("identity", query.to_vec()), ("gzip", packed(query))] {
        let found = send(encoding, body).await;
        assert_eq!(found.body["results"][0]["document_id"], "joplin", "{encoding}: {found:?}");
    }
    send("br", query.to_vec()).await.assert_problem(415, "unsupported_encoding");
    send("gzip", query.to_vec()).await.assert_problem(400, "body_broken");
    let bomb = packed(&vec![b' '; 40 * 1024 * 1024]);
    send("gzip", bomb).await.assert_problem(413, "body_too_large");
}

#[tokio::test]
async fn an_error_of_openais_routes_names_the_parameter() {
    let server = Setup::new().start();
    let messages = json!([{"role": "user", "content": "x"}]);
    for (path, name, value) in [
        ("/v1/chat/completions", "n", json!(2)),
        ("/v1/chat/completions", "tool_choice", json!("required")),
        ("/v1/responses", "previous_response_id", json!("resp_1")),
    ] {
        let mut body = json!({"model": "ragtime/default", "messages": messages, "input": "x"});
        body[name] = value;
        let answer = server.post(path, body).await;
        answer.assert_problem(400, "invalid_value");
        let error = &answer.body["error"];
        assert_eq!(error["param"], name, "{answer:?}");
        assert!(error["message"].as_str().unwrap().contains(name), "{answer:?}");
        assert_eq!(error["type"], "invalid_request_error");
    }
    let unknown = server.get("/v1/assistants").await;
    unknown.assert_problem(404, "not_found");
    assert_eq!(unknown.body["error"]["code"], "not_found");
    let ours = server.post("/v1/collections/default/search", json!({"query": "x", "n": 1})).await;
    ours.assert_problem(422, "validation_failed");
    assert!(ours.body["detail"].as_str().unwrap().contains("`n` is not known"), "{ours:?}");
    let request = server.request(Method::POST, "/v1/chat/completions?api-version=2024-10-21");
    let body = json!({"model": "ragtime/default", "messages": messages});
    assert_eq!(Answer::of(request.json(&body)).await.status, 200);
}

#[tokio::test]
#[cfg(not(stock))]
async fn links_begin_where_clients_know_the_server() {
    let server = Setup::new().set("SERVER__PUBLIC_URL", "https://app.example/rag/").start();
    let made = server.post("/v1/collections", json!({"name": "a"})).await;
    assert_eq!(made.header("location"), "https://app.example/rag/v1/collections/a");
    let description = server.get("/openapi.json").await;
    assert_eq!(description.body["servers"], json!([{"url": "https://app.example/rag"}]));
    let forged = server.request(Method::GET, "/openapi.json");
    let forged = Answer::of(forged.header("ragtime-public-url", "https://evil.example")).await;
    assert_eq!(forged.body["servers"], json!([{"url": "https://app.example/rag"}]));
    let page = server.get("/docs").await;
    assert!(!page.text.contains("=\"/"), "{}", page.text);
}
