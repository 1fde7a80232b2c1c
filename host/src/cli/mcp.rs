//! `ragtime mcp`: the Model Context Protocol over standard input and output, for
//! clients that start a command. A message a line goes to the server's `/mcp`,
//! and what it answers comes back as a line.

use std::io::{BufRead, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use parking_lot::Mutex;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::error::Problem;
use super::{CliError, Context, out};

/// Requests that wait for the server at once; further lines stay unread.
/// Clients have a few tools at work, and a key has a bound of its own.
const MAX_AT_ONCE: usize = 16;
/// The code of an error that is the server's own (JSON-RPC 2.0, section 5.1).
const SERVER_ERROR: i32 = -32_000;
/// Where a request says its version, since 2026-07-28.
const META_VERSION: &str = "/params/_meta/io.modelcontextprotocol~1protocolVersion";
const VERSION: &str = "mcp-protocol-version";
const SESSION: &str = "mcp-session-id";

/// What the server said when the client began.
#[derive(Default)]
struct Session {
    version: Mutex<Option<String>>,
    id: Mutex<Option<HeaderValue>>,
}

/// Carries messages until the client closes standard input.
pub async fn run(context: &Context) -> Result<(), CliError> {
    // A missing key or a wrong URL ends the command before the client waits.
    let _ = context.to(Method::POST, ["mcp"].into_iter())?;
    let session = Session::default();
    let mut lines = lines();
    let mut at_work = FuturesUnordered::new();
    let mut open = true;
    loop {
        tokio::select! {
            line = lines.recv(), if open && at_work.len() < MAX_AT_ONCE => {
                match line {
                    Some(line) if line.trim_ascii().is_empty() => {}
                    Some(line) => at_work.push(relay(context, &session, line)),
                    None => open = false,
                }
            }
            Some(answer) = at_work.next() => {
                let Some(answer) = answer else { continue };
                let mut stdout = std::io::stdout();
                // A client that has gone needs no answers.
                if stdout.write_all(&answer).and_then(|()| stdout.flush()).is_err() {
                    return Ok(());
                }
            }
            else => return Ok(()),
        }
    }
}

/// The lines of standard input, which a thread reads, as they come. It ends with
/// them, or with the command.
fn lines() -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().split(b'\n').map_while(Result::ok) {
            if send.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receive
}

/// What the server answers to a message, as a line, if there is an answer.
async fn relay(context: &Context, session: &Session, line: Vec<u8>) -> Option<Vec<u8>> {
    // What is no JSON the server refuses in its own words.
    let message: Value = serde_json::from_slice(&line).unwrap_or_default();
    let answer = match exchange(context, session, &message, line).await {
        Ok(answer) => answer?,
        Err(error) => refusal(&message, &error)?,
    };
    let mut answer: Vec<u8> = answer.into_bytes();
    // Strings of JSON hold no raw line break, so these stand between members.
    answer.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    answer.push(b'\n');
    Some(answer)
}

async fn exchange(
    context: &Context,
    session: &Session,
    message: &Value,
    line: Vec<u8>,
) -> Result<Option<String>, CliError> {
    let mut request = context
        .to(Method::POST, ["mcp"].into_iter())?
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json, text/event-stream");
    for (name, value) in session.headers(message) {
        request = request.header(name, value);
    }
    let response = context.exchange(request.body(line)).await?;
    if let Some(id) = response.headers().get(SESSION) {
        *session.id.lock() = Some(id.clone());
    }
    let answer = read(response).await?;
    let begun = message.get("method").and_then(Value::as_str) == Some("initialize");
    if let (true, Some(answer)) = (begun, &answer) {
        let answer: Value = serde_json::from_str(answer).unwrap_or_default();
        let version = answer.pointer("/result/protocolVersion").and_then(Value::as_str);
        *session.version.lock() = version.map(str::to_owned);
    }
    Ok(answer)
}

/// A message of the protocol, or why there is none. Some versions send errors of
/// JSON-RPC with the status of an error.
async fn read(response: Response) -> Result<Option<String>, CliError> {
    let status = response.status();
    let body = response
        .text()
        .await
        .map_err(|error| CliError::new(format!("the answer cannot be read: {error}")))?;
    if body.trim().is_empty() && status.is_success() {
        return Ok(None);
    }
    let parsed: Value = serde_json::from_str(&body).unwrap_or_default();
    if parsed.is_array() || parsed.get("jsonrpc").is_some() {
        return Ok(Some(body));
    }
    Err(match serde_json::from_value::<Problem>(parsed) {
        Ok(problem) => problem.into(),
        Err(_) => CliError::new(format!("the server answered {status}, and no message")),
    })
}

impl Session {
    /// What the transport says of a message beside it.
    fn headers(&self, message: &Value) -> Vec<(&'static str, HeaderValue)> {
        let mut headers = Vec::new();
        let mut add = |name, value: Option<&str>| {
            headers.extend(value.and_then(|value| Some((name, header(value)?))));
        };
        let string = |pointer| message.pointer(pointer).and_then(Value::as_str);
        match string(META_VERSION) {
            // Each request says all, and its headers say it again.
            Some(version) => {
                let method = string("/method");
                let named = match method {
                    Some("tools/call") => string("/params/name"),
                    Some("resources/read") => string("/params/uri"),
                    _ => None,
                };
                add(VERSION, Some(version));
                add("mcp-method", method);
                add("mcp-name", named);
            }
            None => add(VERSION, self.version.lock().as_deref()),
        }
        headers.extend(self.id.lock().clone().map(|id| (SESSION, id)));
        headers
    }
}

/// A value of a header, as `=?base64?…?=` where it is not plain.
fn header(value: &str) -> Option<HeaderValue> {
    let plain = value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && value.trim() == value
        && !value.starts_with("=?base64?");
    match plain {
        true => HeaderValue::from_str(value).ok(),
        false => HeaderValue::from_str(&format!("=?base64?{}?=", STANDARD.encode(value))).ok(),
    }
}

/// The errors that the requests of a message get when the server has not
/// answered. Notifications get no answer, so a note on standard error says so.
fn refusal(message: &Value, error: &CliError) -> Option<String> {
    out::note(&format!("error: {error}"));
    let of = |id: &Value| {
        let error = json!({"code": SERVER_ERROR, "message": error.to_string()});
        json!({"jsonrpc": "2.0", "id": id, "error": error})
    };
    let asked =
        |message: &Value| message.get("method").is_some().then(|| message.get("id").map(of));
    match message {
        Value::Array(messages) => {
            let errors: Vec<_> = messages.iter().filter_map(asked).flatten().collect();
            (!errors.is_empty()).then(|| Value::Array(errors).to_string())
        }
        message => asked(message).flatten().map(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn headers_say_what_the_version_asks_for() {
        let session = Session::default();
        assert_eq!(session.headers(&json!({"method": "initialize"})), []);
        *session.version.lock() = Some("2025-06-18".into());
        *session.id.lock() = Some(HeaderValue::from_static("s1"));
        let headers = session.headers(&json!({"method": "tools/list"}));
        assert_eq!(headers[0], (VERSION, HeaderValue::from_static("2025-06-18")));
        assert_eq!(headers[1], (SESSION, HeaderValue::from_static("s1")));
        let headers = session.headers(&json!({"method": "resources/read", "params": {
            "uri": "ragtime://default/é",
            "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"},
        }}));
        assert_eq!(headers[0].1, "2026-07-28");
        assert_eq!(headers[1].1, "resources/read");
        assert_eq!(headers[2].1, format!("=?base64?{}?=", STANDARD.encode("ragtime://default/é")));
    }

    #[test]
    fn who_asked_is_told_why_there_is_no_answer() {
        let error = CliError::new("gone");
        let one = refusal(&json!({"id": 3, "method": "ping"}), &error);
        let one: Value = serde_json::from_str(&one.unwrap_or_default()).unwrap_or_default();
        assert_eq!((&one["id"], &one["error"]["message"]), (&json!(3), &json!("gone")));
        assert_eq!(refusal(&json!({"method": "notifications/initialized"}), &error), None);
        let batch = json!([{"id": "a", "method": "ping"}, {"method": "notifications/x"}]);
        let all = refusal(&batch, &error);
        let all: Value = serde_json::from_str(&all.unwrap_or_default()).unwrap_or_default();
        assert_eq!(all.as_array().map(Vec::len), Some(1));
    }
}
