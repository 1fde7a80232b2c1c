//! The first requests of a candidate, all of them the host's own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::ask::{Reply, ask, ask_to_stay};
use crate::runtime::generation::Generation;

/// A question that any collection may be asked.
const QUESTION: &str = "What is this about?";

/// Where candidates are asked to search.
const SEARCH: &str = "/v1/collections/default/search";

/// What a candidate is asked, in order: whether it lives, and a real question
/// about the collection that always exists.
fn requests(credential: &str) -> Vec<(Method, &'static str, Option<String>, Option<Value>)> {
    let bearer = || Some(format!("Bearer {credential}"));
    vec![
        (Method::GET, "/livez", None, None),
        (Method::POST, SEARCH, bearer(), Some(json!({"query": QUESTION}))),
        (Method::POST, "/v1/collections/default/query", bearer(), Some(json!({"query": QUESTION}))),
    ]
}

/// Asks the candidate. A handler need not have these routes, so 404 is an
/// answer; but it has to answer, must not fail, and has to let a key in that
/// may read.
pub async fn run(
    candidate: &Arc<Generation>,
    credential: &str,
    deadline: Duration,
) -> Result<Value, String> {
    let mut answers = Vec::new();
    for (method, path, bearer, body) in requests(credential) {
        let asked = format!("{method} {path}");
        let (head, body) = built(method, path, bearer, body).map_err(|error| error.to_string())?;
        let reply = ask(candidate, &head, body, deadline).await;
        let reply = reply.map_err(|lost| format!("{asked}: {lost}"))?;
        accepted(&asked, &reply)?;
        let ms = reply.latency.as_secs_f64() * 1e3;
        answers.push(json!({"request": asked, "status": reply.status.as_u16(), "ms": ms}));
    }
    Ok(Value::Array(answers))
}

/// The head and the body of a request.
fn built(
    method: Method,
    path: &str,
    bearer: Option<String>,
    body: Option<Value>,
) -> http::Result<(Parts, Bytes)> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(bearer) = bearer {
        request = request.header(AUTHORIZATION, bearer);
    }
    if body.is_some() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
    Ok((request.body(())?.into_parts().0, body))
}

/// Has a candidate answer a question in an instance that stays: so code is loaded, and the
/// first instance is made, before clients ask. One, since many requests share it. What it
/// answers does not matter here, as [`run`] has looked.
pub async fn warm_up(candidate: &Arc<Generation>, credential: &str, deadline: Duration) {
    let bearer = Some(format!("Bearer {credential}"));
    let question = Some(json!({"query": QUESTION, "mode": "lexical"}));
    // A credential is visible ASCII, so this is a request.
    let Ok((head, body)) = built(Method::POST, SEARCH, bearer, question) else { return };
    let _ = ask_to_stay(candidate, &head, body, deadline).await;
}

/// What the candidate's own description of its API has that the active
/// handler's has not, and the other way round; null when one describes nothing.
pub async fn routes(
    active: &Arc<Generation>,
    candidate: &Arc<Generation>,
    deadline: Duration,
) -> Value {
    let (old, new) = tokio::join!(described(active, deadline), described(candidate, deadline));
    let (Some(old), Some(new)) = (old, new) else { return Value::Null };
    let added: Vec<_> = new.difference(&old).collect();
    let removed: Vec<_> = old.difference(&new).collect();
    json!({"added": added, "removed": removed})
}

/// The operations of a handler's OpenAPI document, as `GET /path`. Its
/// generation takes note of the paths.
pub async fn described(handler: &Arc<Generation>, deadline: Duration) -> Option<BTreeSet<String>> {
    let request = Request::get("/openapi.json").body(()).ok()?;
    let reply = ask(handler, &request.into_parts().0, Bytes::new(), deadline).await.ok()?;
    let document: Value = serde_json::from_slice(&reply.body).ok()?;
    let paths = document.get("paths")?.as_object()?;
    handler.set_paths(paths);
    let operations = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flat_map(|item| item.keys());
        methods
            .filter(|method| Method::from_bytes(method.to_uppercase().as_bytes()).is_ok())
            .map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    Some(operations.collect())
}

fn accepted(asked: &str, reply: &Reply) -> Result<(), String> {
    // A model that is not there yet is no fault of the handler's.
    let waiting = reply.status == StatusCode::SERVICE_UNAVAILABLE;
    let shut = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&reply.status);
    if shut || (reply.status.is_server_error() && !waiting) {
        return Err(format!("{asked} was answered with {}", reply.status));
    }
    Ok(())
}
