//! A server to talk to, and how.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

use super::error::{CliError, Problem};
use super::trust::{self, Trust};

/// Times to repeat what the server asked to repeat before giving up: with the
/// waits it asks for, about a minute.
const MAX_RETRIES: u32 = 30;
/// The longest wait that is taken at the server's word.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// How long a server may take to accept a connection: a host that drops
/// packets would otherwise hold the command for minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that were idle for longer are not used again: well below the time
/// after which the server closes them, or a request might meet the closing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// A key given on the command line or in the environment. Does not print.
#[derive(Clone)]
pub struct Key(String);

impl From<String> for Key {
    fn from(key: String) -> Self {
        // A key read from a file brings its line break along.
        Self(key.trim().to_owned())
    }
}

impl FromStr for Key {
    type Err = std::convert::Infallible;

    fn from_str(key: &str) -> Result<Self, Self::Err> {
        Ok(key.to_owned().into())
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
    #[command(flatten)]
    trust: Trust,
}

impl Connection {
    /// The context of a command.
    pub fn context(&self) -> Context {
        Context::new(self.server.clone(), self.key.clone(), self.trust.clone())
    }
}

/// A server to talk to.
pub struct Context {
    client: Result<Client, CliError>,
    trust: Trust,
    server: String,
    /// What comes before `/v1`.
    prefix: Vec<String>,
    key: Option<Key>,
}

impl Context {
    /// A context for `server`.
    pub fn new(server: String, key: Option<Key>, trust: Trust) -> Self {
        let server = server.trim_end_matches('/').to_owned();
        let key = key.filter(|key| !key.0.is_empty());
        Self { client: client(&server, &trust), trust, server, prefix: Vec::new(), key }
    }

    /// The same, for requests to one generation by way of the admin API.
    pub(super) fn to_generation(&self, id: u64) -> Self {
        let prefix = ["admin", "guest", &id.to_string(), "request"].map(str::to_owned);
        Self { prefix: prefix.to_vec(), ..self.at(self.server.clone()) }
    }

    /// The URL of the server.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// A request to `/v1` followed by these path segments.
    pub(super) fn request(
        &self,
        method: Method,
        segments: &[&str],
    ) -> Result<RequestBuilder, CliError> {
        let prefix = self.prefix.iter().map(String::as_str).chain(["v1"]);
        self.to(method, prefix.chain(segments.iter().copied()))
    }

    /// A request to `/admin/guest` followed by these path segments.
    pub(super) fn admin(
        &self,
        method: Method,
        segments: &[&str],
    ) -> Result<RequestBuilder, CliError> {
        self.to(method, ["admin", "guest"].into_iter().chain(segments.iter().copied()))
    }

    /// The same, for another listener: the admin API, or the API beside it.
    pub(super) fn at(&self, server: String) -> Self {
        Self::new(server, self.key.clone(), self.trust.clone())
    }

    /// A request to the path of these segments.
    pub(super) fn to<'a>(
        &self,
        method: Method,
        segments: impl Iterator<Item = &'a str>,
    ) -> Result<RequestBuilder, CliError> {
        let key = self.key.as_ref().ok_or_else(|| {
            CliError::with_hint(
                "no key",
                "set RAGTIME_KEY to a key; the first start of the server prints one",
            )
        })?;
        let client = self.client.as_ref().map_err(Clone::clone)?;
        let mut url = Url::parse(&self.server)
            .map_err(|error| CliError::new(format!("{} is not a URL: {error}", self.server)))?;
        match url.path_segments_mut() {
            Ok(mut path) => path.pop_if_empty().extend(segments),
            Err(()) => return Err(CliError::new(format!("{} is not a server", self.server))),
        };
        Ok(client.request(method, url).bearer_auth(&key.0))
    }

    /// Sends a request, waiting and repeating as the server asks with 429 or
    /// 503 and `Retry-After`. Without that header waiting would not help.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, CliError> {
        accepted(self.exchange(request).await?).await
    }

    /// Like [`Context::send`], whatever the answer's status is.
    pub(super) async fn exchange(&self, request: RequestBuilder) -> Result<Response, CliError> {
        let (client, request) = request.build_split();
        let request = request
            .map_err(|error| CliError::new(format!("the request cannot be made: {error}")))?;
        let mut retries = 0;
        loop {
            let copy = request
                .try_clone()
                .ok_or_else(|| CliError::new("the request cannot be repeated"))?;
            let response = client.execute(copy).await.map_err(|error| self.unreachable(&error))?;
            match wait(&response) {
                Some(wait) if retries < MAX_RETRIES => tokio::time::sleep(wait).await,
                _ => return Ok(response),
            }
            retries += 1;
        }
    }

    /// Sends a request and reads the answer.
    pub(super) async fn json(&self, request: RequestBuilder) -> Result<Value, CliError> {
        let response = self.send(request).await?;
        response
            .json()
            .await
            .map_err(|error| CliError::new(format!("the answer cannot be read: {}", cause(&error))))
    }

    /// What to do where the server may have closed the connection for want of a client
    /// certificate. TLS 1.3 says so after the handshake, and HTTP/2 keeps nothing of it.
    fn asked_for_certificate(&self, error: &reqwest::Error) -> Option<&'static str> {
        let broken = !error.is_connect() && !error.is_timeout();
        let is_bare = self.server.starts_with("https://") && !self.trust.has_certificate();
        (broken && is_bare).then_some(trust::ASKED)
    }

    fn unreachable(&self, error: &reqwest::Error) -> CliError {
        let message = format!("{} cannot be reached: {}", self.server, cause(error));
        if let Some(hint) = trust::hint(error).or_else(|| self.asked_for_certificate(error)) {
            return CliError::with_hint(message, hint);
        }
        if error.is_connect() {
            return CliError::with_hint(
                message,
                "is the server running? start it with: ragtime serve",
            );
        }
        CliError::new(message)
    }
}

/// The client for a server with this URL.
fn client(server: &str, trust: &Trust) -> Result<Client, CliError> {
    // A redirected POST would arrive as a GET.
    let client = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .redirect(Policy::none());
    // Plain HTTP works without the system's certificates, which a small
    // container image does not have.
    let plain = Url::parse(server).is_ok_and(|url| url.scheme() == "http");
    let client = if plain { client.tls_certs_only([]) } else { trust.apply(client)? };
    client.build().map_err(|error| {
        let message = format!("TLS cannot be set up: {}", cause(&error));
        match trust.has_ca() {
            true => CliError::new(message),
            false => CliError::with_hint(
                message,
                "install the system's certificates (the package ca-certificates), or name the \
                 authority of the server's: --ca FILE, or RAGTIME_CA",
            ),
        }
    })
}

/// How long the server asks to wait before the same request, if it does.
fn wait(response: &Response) -> Option<Duration> {
    let again = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
    if !again.contains(&response.status()) {
        return None;
    }
    let seconds = response.headers().get("retry-after")?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).clamp(Duration::from_secs(1), MAX_WAIT))
}

async fn accepted(response: Response) -> Result<Response, CliError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    Err(match response.json::<Problem>().await {
        Ok(problem) => problem.into(),
        Err(_) => CliError::new(format!("the server answered {status}")),
    })
}

/// What is at the bottom of an error: reqwest's own text stops at the surface.
pub(super) fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
