//! Commands that talk to a server over HTTP.

pub mod eval;
pub mod ingest;
pub mod keys;
mod metrics;
pub mod out;
pub mod query;
pub mod search;
mod sse;

use std::fmt;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

/// Times to repeat what the server asked to repeat (429, 503) before giving up:
/// with the waits it asks for, about a minute.
const MAX_RETRIES: u32 = 30;

/// A key given on the command line or in the environment. Does not print.
#[derive(Clone)]
pub struct Key(String);

impl From<String> for Key {
    fn from(key: String) -> Self {
        Self(key)
    }
}

impl FromStr for Key {
    type Err = std::convert::Infallible;

    fn from_str(key: &str) -> Result<Self, Self::Err> {
        Ok(Self(key.to_owned()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[key]")
    }
}

/// Which server, and as whom.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// The server
    #[arg(
        long,
        env = "RAGTIME_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    server: String,
    /// A key; better in the environment, where other users cannot see it
    #[arg(long, env = "RAGTIME_KEY", hide_env_values = true, value_name = "KEY")]
    key: Option<Key>,
}

impl Connection {
    /// The context of a command.
    pub fn context(&self) -> Context {
        Context::new(self.server.clone(), self.key.clone())
    }
}

/// A server to talk to.
pub struct Context {
    client: reqwest::Client,
    server: String,
    key: Option<Key>,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CliError {
    message: String,
    hint: Option<&'static str>,
}

impl CliError {
    /// An error without advice.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    fn with_hint(message: impl Into<String>, hint: &'static str) -> Self {
        Self { message: message.into(), hint: Some(hint) }
    }
}

/// Prints what went wrong, if anything.
pub fn outcome(result: Result<(), CliError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => out::fail(&error.message, error.hint),
    }
}

/// A problem as the server tells it (RFC 9457).
#[derive(Debug, Deserialize)]
struct Problem {
    title: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    request_id: String,
    #[serde(default)]
    errors: Vec<ProblemError>,
}

#[derive(Debug, Deserialize)]
struct ProblemError {
    detail: String,
    #[serde(default)]
    pointer: String,
}

impl Context {
    /// A context for `server`.
    pub fn new(server: String, key: Option<Key>) -> Self {
        let server = server.trim_end_matches('/').to_owned();
        Self { client: reqwest::Client::new(), server, key }
    }

    /// A request to `/v1` followed by these path segments.
    fn request(&self, method: Method, segments: &[&str]) -> Result<RequestBuilder, CliError> {
        let key = self.key.as_ref().ok_or_else(|| {
            CliError::with_hint(
                "no key",
                "set RAGTIME_KEY to a key; the first start of the server prints one",
            )
        })?;
        let mut url = reqwest::Url::parse(&self.server)
            .map_err(|error| CliError::new(format!("{} is not a URL: {error}", self.server)))?;
        match url.path_segments_mut() {
            Ok(mut path) => path.pop_if_empty().push("v1").extend(segments),
            Err(()) => return Err(CliError::new(format!("{} is not a server", self.server))),
        };
        Ok(self.client.request(method, url).bearer_auth(&key.0))
    }

    /// Sends a request, waiting and repeating as the server asks.
    async fn send(&self, request: RequestBuilder) -> Result<Response, CliError> {
        let mut retries = 0;
        loop {
            let copy = request
                .try_clone()
                .ok_or_else(|| CliError::new("the request cannot be repeated"))?;
            let response = copy.send().await.map_err(|error| self.unreachable(&error))?;
            let again = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
            if !again.contains(&response.status()) || retries == MAX_RETRIES {
                return problem_of(response).await;
            }
            retries += 1;
            let wait = response
                .headers()
                .get("retry-after")
                .and_then(|value| value.to_str().ok()?.parse().ok());
            tokio::time::sleep(Duration::from_secs(wait.unwrap_or(1).clamp(1, 60))).await;
        }
    }

    /// Sends a request and reads the answer.
    async fn json(&self, request: RequestBuilder) -> Result<Value, CliError> {
        let response = self.send(request).await?;
        response
            .json()
            .await
            .map_err(|error| CliError::new(format!("the answer cannot be read: {error}")))
    }

    fn unreachable(&self, error: &reqwest::Error) -> CliError {
        let message = format!("{} cannot be reached: {error}", self.server);
        if error.is_connect() {
            return CliError::with_hint(
                message,
                "is the server running? start it with: ragtime serve",
            );
        }
        CliError::new(message)
    }
}

async fn problem_of(response: Response) -> Result<Response, CliError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let Ok(problem) = response.json::<Problem>().await else {
        return Err(CliError::new(format!("the server answered {status}")));
    };
    let mut message = format!("{}: {}", problem.title, problem.detail);
    for error in &problem.errors {
        message.push_str(&format!("\n  {}: {}", error.pointer, error.detail));
    }
    message.push_str(&format!("\n  (code {}, request {})", problem.code, problem.request_id));
    let hint = match problem.code.as_str() {
        "unauthenticated" | "invalid_credential" | "expired_credential" => {
            Some("RAGTIME_KEY must hold a live key of this server")
        }
        "scope_required" => {
            Some("another key may do this; an admin makes one with: ragtime keys create")
        }
        "unknown_collection" => Some("ragtime ingest --collection NAME makes it"),
        _ => None,
    };
    Err(CliError { message, hint })
}

/// A string of an answer, or nothing.
fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A list of an answer, or nothing.
fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A count of an answer, or zero.
fn count(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or(0)
}
