//! The same requests to one `ragtime serve` and to the host of the suite, and every
//! difference between the answers.

use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value, json};

use crate::harness::{ADMIN, Answer, Host, Server, Setup};

const READER: &str = "rt_000000000001_0000000000000000000000000000000000000000002";
const DOCUMENTS: &str = "/v1/collections/default/documents";
const TEXT: &str = "Flutter is a dynamic instability of an elastic structure. It comes from the \
                    interaction of inertia, elasticity and the forces of the air.";

/// Headers whose values are part of the contract.
const VALUES: [&str; 10] = [
    "content-type",
    "www-authenticate",
    "etag",
    "location",
    "cache-control",
    "allow",
    "x-accel-buffering",
    "content-security-policy",
    "access-control-allow-origin",
    "ratelimit-policy",
];
/// Headers that both must have or lack; the values are of the moment.
const PRESENCE: [&str; 3] = ["retry-after", "ratelimit", "x-request-id"];
/// Members that are each host's own: ids, times, and what is made of them. A
/// stock runtime does not note when a key was last used.
const OWN: [&str; 11] = [
    "request_id",
    "id",
    "job_id",
    "key_id",
    "chunk_id",
    "created_at",
    "updated_at",
    "last_used_at",
    "created",
    "took_ms",
    "next_cursor",
];
/// Numbers that may differ a little on a stock runtime: tantivy rounds the lengths of long
/// texts.
const SCORES: [&str; 5] = ["score", "lexical", "vector", "normalised", "fused"];
/// By how much.
const TOLERANCE: f64 = if cfg!(fleet) { 0.0 } else { 0.02 };

/// A request: method, path, body (null for none), and headers.
type Step = (&'static str, &'static str, Value, &'static [(&'static str, &'static str)]);

const JSON: &str = "application/json";

fn steps() -> Vec<Step> {
    let mut steps = documents();
    steps.extend(searches());
    steps.extend(mistakes());
    steps.extend(protocols());
    steps
}

fn documents() -> Vec<Step> {
    let page = json!({"text": "# Wings\n\nA wing gives lift.", "content_type": "text/markdown"});
    vec![
        ("GET", "/v1/collections", Value::Null, &[]),
        ("POST", "/v1/collections", json!({"name": "notes"}), &[]),
        ("POST", "/v1/collections", json!({"name": "notes"}), &[]),
        ("POST", "/v1/collections", json!({"name": "No"}), &[]),
        ("PUT", "/v1/collections/default/documents/a", json!({"title": "T", "text": TEXT}), &[]),
        ("PUT", "/v1/collections/default/documents/a", json!({"title": "T", "text": TEXT}), &[]),
        ("PUT", "/v1/collections/default/documents/b", page, &[]),
        (
            "POST",
            "/v1/collections/default/documents?wait=indexed",
            json!({"documents": [{"id": "c", "text": "A shell buckles.", "metadata": {"year": 1961}}]}),
            &[],
        ),
        ("POST", DOCUMENTS, json!("1,2\n"), &[("content-type", "text/csv")]),
        ("GET", DOCUMENTS, Value::Null, &[]),
        ("GET", "/v1/collections/default/documents?limit=2", Value::Null, &[]),
        ("GET", "/v1/collections/default/documents?limit=0", Value::Null, &[]),
        ("GET", "/v1/collections/default/documents?cursor=x", Value::Null, &[]),
        ("GET", "/v1/collections/default/documents/a", Value::Null, &[]),
        ("HEAD", "/v1/collections/default/documents/a", Value::Null, &[]),
        ("GET", "/v1/collections/default/documents/b/chunks", Value::Null, &[]),
        ("GET", "/v1/collections/default/documents/none", Value::Null, &[]),
        (
            "PUT",
            "/v1/collections/default/documents/a",
            json!({"text": "x"}),
            &[("if-match", "\"0\"")],
        ),
        (
            "PUT",
            "/v1/collections/default/documents/a",
            json!({"text": "x"}),
            &[("if-none-match", "*")],
        ),
        ("DELETE", "/v1/collections/default/documents/a", Value::Null, &[("if-match", "a")]),
        ("GET", "/v1/jobs", Value::Null, &[]),
        ("GET", "/v1/jobs/none", Value::Null, &[]),
        ("GET", "/v1/collections/default", Value::Null, &[]),
    ]
}

fn searches() -> Vec<Step> {
    const SEARCH: &str = "/v1/collections/default/search";
    const QUERY: &str = "/v1/collections/default/query";
    let search = |body: Value| ("POST", SEARCH, body, &[] as &[_]);
    let question = "What is flutter of an elastic structure?";
    vec![
        search(json!({"query": "instability of wings"})),
        search(json!({"query": "instability of wings", "mode": "lexical", "explain": true})),
        search(json!({"query": "wings", "mode": "vector"})),
        search(json!({"query": "shell", "filter": {"year": {"gte": 1960}}})),
        search(json!({"query": "shell", "filter": {"year": {"like": 1}}})),
        search(json!({"query": "wing lift", "top_k": 1, "per_document": false})),
        search(json!({"query": "\"elastic structure\" wings", "explain": true})),
        search(json!({"query": "wing structure -lift"})),
        search(json!({"query": "unheard"})),
        search(json!({"query": " "})),
        search(json!({"query": "x", "qurey": 1})),
        ("POST", "/v1/collections/none/search", json!({"query": "x"}), &[]),
        ("POST", QUERY, json!({"query": question}), &[]),
        ("POST", QUERY, json!({"query": question, "stream": true}), &[]),
        ("POST", QUERY, json!({"query": "Who won the cup?"}), &[]),
        ("POST", QUERY, json!({"query": question, "generator": "none"}), &[]),
    ]
}

fn mistakes() -> Vec<Step> {
    const SEARCH: &str = "/v1/collections/default/search";
    vec![
        ("GET", DOCUMENTS, Value::Null, &[("authorization", "")]),
        ("GET", DOCUMENTS, Value::Null, &[("authorization", "Basic dXNlcjpwYXNz")]),
        ("GET", DOCUMENTS, Value::Null, &[("authorization", "Bearer rubbish")]),
        (
            "GET",
            DOCUMENTS,
            Value::Null,
            &[(
                "authorization",
                "Bearer rt_000000000000_0000000000000000000000000000000000000000009",
            )],
        ),
        ("GET", DOCUMENTS, Value::Null, &[("x-api-key", "another")]),
        ("GET", "/v1/nothing", Value::Null, &[]),
        ("PATCH", SEARCH, Value::Null, &[]),
        ("OPTIONS", SEARCH, Value::Null, &[]),
        ("POST", SEARCH, json!("x"), &[("content-type", "text/plain")]),
        ("POST", SEARCH, json!({"query": 7}), &[]),
        ("DELETE", "/v1/collections/default", Value::Null, &[]),
        ("DELETE", "/v1/collections/none", Value::Null, &[]),
        ("GET", "/problems/rate_limited", Value::Null, &[]),
        ("GET", "/problems/none", Value::Null, &[]),
        ("GET", "/warnings/part_left_out", Value::Null, &[]),
        ("GET", "/warnings/none", Value::Null, &[]),
    ]
}

fn protocols() -> Vec<Step> {
    let user = json!([{"role": "user", "content": "What is flutter of an elastic structure?"}]);
    let chat = json!({"model": "ragtime/default", "messages": user});
    let mut streamed = chat.clone();
    streamed["stream"] = json!(true);
    let rpc = |method: &str, params: Value| {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        ("POST", "/mcp", body, &[] as &[_])
    };
    let tool = json!({"name": "search", "arguments": {"query": "instability"}});
    vec![
        ("GET", "/v1/models", Value::Null, &[]),
        ("POST", "/v1/chat/completions", chat, &[]),
        ("POST", "/v1/chat/completions", streamed, &[]),
        ("POST", "/v1/chat/completions", json!({"model": "none", "messages": []}), &[]),
        ("POST", "/v1/embeddings", json!({"model": "x", "input": "y"}), &[]),
        rpc("ping", json!({})),
        rpc("tools/list", json!({})),
        rpc("tools/call", tool),
        ("POST", "/mcp", json!([]), &[]),
        ("GET", "/mcp", Value::Null, &[]),
        ("GET", "/livez", Value::Null, &[]),
        ("GET", "/", Value::Null, &[("authorization", "")]),
        ("GET", "/docs", Value::Null, &[("authorization", "")]),
        ("GET", "/openapi.json", Value::Null, &[("authorization", "")]),
        ("POST", "/v1/collections/notes/documents", json!({"documents": [{"text": "one"}]}), &[]),
        ("DELETE", "/v1/collections/default/documents/a", Value::Null, &[]),
        ("DELETE", "/v1/collections/notes", Value::Null, &[]),
    ]
}

fn request(server: &Server, key: &str, step: &Step) -> RequestBuilder {
    let (method, path, body, headers) = step;
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = server.anonymous(method, path);
    let own = |name: &str| headers.iter().any(|(own, _)| *own == name);
    if !own("authorization") {
        request = request.bearer_auth(key);
    }
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        request = request.header(*name, *value);
    }
    match body {
        Value::Null => request,
        Value::String(text) => request.body(text.clone()),
        body => request.header("content-type", JSON).body(body.to_string()),
    }
}

/// What must be the same of an answer.
fn contract(answer: &Answer) -> Value {
    let mut headers = Map::new();
    for name in VALUES {
        let value = answer.header(name);
        let value = if value.starts_with("/v1/jobs/") { "/v1/jobs/{id}" } else { value };
        headers.insert(name.into(), value.into());
    }
    for name in PRESENCE {
        headers.insert(name.into(), (!answer.header(name).is_empty()).into());
    }
    let body = match &answer.body {
        Value::Null => answer.text.lines().map(event).collect(),
        // How far a job has come that nobody waits for is of the moment.
        Value::Object(_) if answer.status == 202 => Value::Null,
        body => masked(body.clone()),
    };
    json!({"status": answer.status, "headers": headers, "body": body})
}

/// A line of an event stream, or of any other text.
fn event(line: &str) -> Value {
    let data = line.strip_prefix("data: ").and_then(|data| serde_json::from_str(data).ok());
    data.map_or_else(|| line.into(), masked)
}

/// Without what is each host's own.
fn masked(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(masked).collect(),
        Value::Object(members) => {
            let member = |(name, value): (String, Value)| match value {
                value if OWN.contains(&name.as_str()) => {
                    let kind = own(&value);
                    (name, kind)
                }
                value => (name, masked(value)),
            };
            Value::Object(members.into_iter().map(member).collect())
        }
        // An answer of a tool is JSON within a string.
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(inner @ Value::Object(_)) => masked(inner),
            _ => Value::String(text),
        },
        other => other,
    }
}

/// The kind of a value that is a host's own. Of the ids, those that the client
/// chose stay: letters, or the name of a model.
fn own(value: &Value) -> Value {
    match value {
        Value::String(id) if id.contains('/') || matches!(id.as_str(), "a" | "b" | "c") => {
            value.clone()
        }
        _ => "its own".into(),
    }
}

/// Where two values differ, if they do.
fn differences(at: &str, left: &Value, right: &Value, found: &mut Vec<String>) {
    match (left, right) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().for_each(|(name, value)| {
                differences(&format!("{at}/{name}"), value, &b[name], found);
            });
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (place, (a, b)) in a.iter().zip(b).enumerate() {
                differences(&format!("{at}/{place}"), a, b, found);
            }
        }
        (Value::Number(a), Value::Number(b)) if is_score(at) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            if (a - b).abs() > TOLERANCE * a.abs().max(b.abs()) {
                found.push(format!("{at}: {a} and {b}"));
            }
        }
        (a, b) if a == b => {}
        (a, b) => found.push(format!("{at}: ragtime {a}, the other {b}")),
    }
}

fn is_score(at: &str) -> bool {
    at.rsplit('/').next().is_some_and(|name| SCORES.contains(&name))
}

#[tokio::test(flavor = "multi_thread")]
async fn both_hosts_give_the_same_answers() {
    let ragtime = Setup::new().on(Host::Ragtime).start();
    let other = Setup::new().start();
    let mut found = Vec::new();
    let steps = steps();
    for step in &steps {
        let left = contract(&Answer::of(request(&ragtime, ADMIN, step)).await);
        let right = contract(&Answer::of(request(&other, ADMIN, step)).await);
        differences(&format!("{} {}", step.0, step.1), &left, &right, &mut found);
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    println!("{} requests, 0 differences", steps.len());
}

/// The host of the suite with this key, and the credential.
async fn with_key(mut key: Value) -> (Server, String) {
    if cfg!(stock) {
        key["credential"] = json!(READER);
        return (Setup::new().set("KEYS", json!([key])).start(), READER.to_owned());
    }
    let server = Setup::new().start();
    let credential = server.key(key).await;
    (server, credential)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_hosts_refuse_the_same() {
    let limited = json!({"name": "reader", "scopes": ["read"], "collections": ["default"],
        "rate_per_minute": 1, "burst": 12});
    let ragtime = Setup::new().on(Host::Ragtime).start();
    let key = ragtime.key(limited.clone()).await;
    let (other, other_key) = with_key(limited).await;
    for server in [&ragtime, &other] {
        server.post("/v1/collections", json!({"name": "closed"})).await;
        server.document("a", "calm").await;
    }
    let mut steps: Vec<Step> = vec![
        ("GET", "/v1/keys/self", Value::Null, &[]),
        ("GET", "/v1/collections", Value::Null, &[]),
        ("GET", "/v1/collections/closed", Value::Null, &[]),
        ("PUT", "/v1/collections/default/documents/b", json!({"text": "x"}), &[]),
        ("DELETE", "/v1/collections/default/documents/a", Value::Null, &[]),
        ("GET", "/v1/keys", Value::Null, &[]),
        ("GET", "/v1/jobs", Value::Null, &[]),
        ("POST", "/v1/collections/default/query", json!({"query": "calm"}), &[]),
    ];
    // The last of these find the budget spent.
    steps.extend(vec![("GET", "/v1/collections/default", Value::Null, &[] as &[_]); 12]);
    let (mut found, mut refused) = (Vec::new(), 0);
    for step in &steps {
        let sent = |server, key| Answer::of(request(server, key, step));
        let (left, right) = (sent(&ragtime, &key).await, sent(&other, &other_key).await);
        refused += usize::from(left.status == 429);
        let at = format!("{} {}", step.0, step.1);
        differences(&at, &contract(&left), &contract(&right), &mut found);
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    assert!(refused > 0, "the budget was not spent");
}
