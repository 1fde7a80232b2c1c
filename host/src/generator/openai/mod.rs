//! A language model behind an OpenAI-compatible `/chat/completions`.

mod tokens;

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use ragtime_openai::Unreadable;
use ragtime_openai::chat;
pub use ragtime_openai::chat::{Message, Role};
use ragtime_openai::rewritten::Rewritten;
use ragtime_policy::breaker::{CircuitBreaker, Limits};
use reqwest::{Client, Response, StatusCode};

use crate::config::{self, Rewrite};
use crate::telemetry::trace::{TRACEPARENT, TraceContext};
pub use tokens::{Piece, Tokens};

/// The name of that of `[generator]` in requests and responses.
pub const NAME: &str = "openai";

/// How long to wait before asking again the first time; doubled each time.
const BACKOFF: Duration = Duration::from_millis(200);

/// Reaches the model.
pub struct OpenAi {
    name: &'static str,
    client: Client,
    url: String,
    settings: config::Generator,
    breaker: Mutex<CircuitBreaker>,
    started: Instant,
}

/// Why the model did not answer, or not to the end. Fit for the log: no text
/// of a prompt and no key.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// It has failed too often of late.
    #[error("it is left alone after failing too often")]
    Open,
    /// No connection, or a broken one.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It refused.
    #[error("it answered {0}")]
    Refused(StatusCode),
    /// It took too long.
    #[error("it took longer than {0:?}")]
    Slow(Duration),
    /// It sent what is no answer.
    #[error("it sent what cannot be read: {0}")]
    Unreadable(#[from] Unreadable),
}

impl OpenAi {
    /// The model of this name that the settings tell of, if they do.
    pub fn new(name: &'static str, settings: &config::Generator) -> reqwest::Result<Option<Self>> {
        let Some(base) = &settings.url else { return Ok(None) };
        let limits = Limits {
            failures: settings.breaker_failures.max(1),
            cooldown: Duration::from_millis(settings.breaker_cooldown_ms),
        };
        Ok(Some(Self {
            name,
            client: client(base, settings.connect_timeout_ms)?,
            url: format!("{}/chat/completions", base.trim_end_matches('/')),
            settings: settings.clone(),
            breaker: Mutex::new(CircuitBreaker::new(limits)),
            started: Instant::now(),
        }))
    }

    /// Asks for at most `max_tokens` tokens, and returns with the first piece of the
    /// answer. Asks again only before that, since what was said cannot be unsaid.
    async fn ask(
        &self,
        messages: &[Message],
        max_tokens: u32,
        trace: &TraceContext,
    ) -> Result<Tokens, UpstreamError> {
        let mut attempt = 0;
        loop {
            if !self.breaker().allows(self.started.elapsed()) {
                return Err(UpstreamError::Open);
            }
            let error = match self.begin(messages, max_tokens, trace).await {
                Ok(tokens) => {
                    self.breaker().succeeded();
                    return Ok(tokens);
                }
                Err(error) => error,
            };
            // A request that it does not like says nothing about its health.
            match error.is_transient() {
                true => self.breaker().failed(self.started.elapsed()),
                false => self.breaker().succeeded(),
            }
            if !error.is_transient() || attempt >= self.settings.max_retries {
                return Err(error);
            }
            tokio::time::sleep(BACKOFF * 2_u32.saturating_pow(attempt)).await;
            attempt += 1;
        }
    }

    /// Its name in requests and responses.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Asks for an answer, and returns with its first piece.
    pub async fn answer(
        &self,
        messages: &[Message],
        trace: &TraceContext,
    ) -> Result<Tokens, UpstreamError> {
        self.ask(messages, self.settings.max_tokens, trace).await
    }

    /// The question that the model makes of `messages`, and the tokens that it read and
    /// wrote; nothing where it is not set to.
    pub async fn rewrite(
        &self,
        messages: &[Message],
        trace: &TraceContext,
    ) -> Result<Option<(String, u32, u32)>, UpstreamError> {
        match self.settings.rewrite {
            Rewrite::Never => return Ok(None),
            Rewrite::FollowUps => {}
        }
        let limit = Duration::from_millis(self.settings.rewrite_timeout_ms);
        let asked = async {
            let mut tokens = self.ask(messages, self.settings.rewrite_max_tokens, trace).await?;
            let (mut rewritten, mut usage) = (Rewritten::default(), (0, 0));
            while let Some(piece) = tokens.next().await? {
                if let Piece::Usage(input, output) = piece {
                    usage = (input, output);
                }
                if !rewritten.push(&piece) {
                    break;
                }
            }
            Ok((rewritten.question(), usage))
        };
        let asked = tokio::time::timeout(limit, asked).await;
        let (question, (input, output)) = asked.unwrap_or(Err(UpstreamError::Slow(limit)))?;
        let question = question.ok_or(Unreadable("no question"))?;
        Ok(Some((question, input, output)))
    }

    async fn begin(
        &self,
        messages: &[Message],
        max_tokens: u32,
        trace: &TraceContext,
    ) -> Result<Tokens, UpstreamError> {
        let total = Duration::from_millis(self.settings.total_timeout_ms);
        let first = Duration::from_millis(self.settings.first_token_timeout_ms);
        let begun = async {
            let response = self.send(messages, max_tokens, trace).await?;
            Tokens::begin(response, tokio::time::Instant::now() + total, total).await
        };
        tokio::time::timeout(first, begun).await.unwrap_or(Err(UpstreamError::Slow(first)))
    }

    async fn send(
        &self,
        messages: &[Message],
        max_tokens: u32,
        trace: &TraceContext,
    ) -> Result<Response, UpstreamError> {
        let body = chat::Request::new(&self.settings.model, messages, max_tokens);
        let mut request =
            self.client.post(&self.url).header(TRACEPARENT, trace.traceparent()).json(&body);
        if let Some(key) = &self.settings.api_key {
            request = request.bearer_auth(key.expose());
        }
        let response = request.send().await.map_err(unreachable)?;
        match response.status() {
            StatusCode::OK => Ok(response),
            status => Err(UpstreamError::Refused(status)),
        }
    }

    fn breaker(&self) -> MutexGuard<'_, CircuitBreaker> {
        self.breaker.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl UpstreamError {
    /// Whether the same question may have an answer a moment later.
    fn is_transient(&self) -> bool {
        match self {
            Self::Refused(status) => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Open | Self::Unreachable(_) | Self::Slow(_) | Self::Unreadable(_) => true,
        }
    }
}

/// A client of an endpoint with this base, which follows nobody elsewhere.
pub fn client(base: &str, connect_timeout_ms: u64) -> reqwest::Result<Client> {
    let client = Client::builder()
        .connect_timeout(Duration::from_millis(connect_timeout_ms))
        .redirect(reqwest::redirect::Policy::none());
    // Plain HTTP works without the system's certificates, which a small container
    // image does not have.
    let plain = base.starts_with("http://");
    let client = if plain { client.tls_certs_only([]) } else { client };
    client.build()
}

fn unreachable(error: reqwest::Error) -> UpstreamError {
    UpstreamError::Unreachable(cause(error))
}

/// The deepest cause of an error. The URL stays out: it may hold a password.
pub fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
