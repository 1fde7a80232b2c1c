//! A language model behind an OpenAI-compatible `/chat/completions`.

use std::time::Duration;

use ragtime_openai::chat::Request;
pub use ragtime_openai::chat::{Message, Piece, Role};
pub use ragtime_openai::client::Question;
use ragtime_openai::client::{self, Chat, Rewriting, Transport, UpstreamError};

use crate::config::{self, Rewrite};
use crate::telemetry::trace::TraceContext;
use crate::upstream::{Body, Upstream, limits};

/// The name of that of `[generator]` in requests and responses.
pub const NAME: &str = "openai";

/// An answer on its way.
pub type Tokens = client::Tokens<Body>;

/// Reaches the model.
pub struct OpenAi {
    name: &'static str,
    upstream: Upstream,
    chat: Chat,
}

/// Carries requests that are part of a trace.
struct Traced<'a> {
    upstream: &'a Upstream,
    trace: &'a TraceContext,
}

impl Transport for Traced<'_> {
    type Incoming = Body;

    async fn post(&self, request: &Request<'_>) -> Result<Body, UpstreamError> {
        self.upstream.send(request, Some(self.trace)).await
    }

    async fn guarded<R>(
        &self,
        work: impl Future<Output = Result<R, UpstreamError>>,
    ) -> Result<R, UpstreamError> {
        self.upstream.guarded(work).await
    }
}

impl OpenAi {
    /// The model of this name in the settings, if there is one.
    pub fn new(name: &'static str, settings: &config::Generator) -> reqwest::Result<Option<Self>> {
        let Some(base) = &settings.url else { return Ok(None) };
        let url = format!("{}/chat/completions", base.trim_end_matches('/'));
        let limits = limits(settings.breaker_failures, settings.breaker_cooldown_ms);
        let key = settings.api_key.clone();
        let upstream = Upstream::new(url, key, settings.connect_timeout_ms, limits)?;
        Ok(Some(Self { name, upstream, chat: chat(settings) }))
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
        self.chat.answer(&Traced { upstream: &self.upstream, trace }, messages).await
    }

    /// The question that the model makes of `messages`; none where it is not set to.
    pub async fn rewrite(
        &self,
        messages: &[Message],
        trace: &TraceContext,
    ) -> Result<Option<Question>, UpstreamError> {
        self.chat.rewrite(&Traced { upstream: &self.upstream, trace }, messages).await
    }
}

fn chat(settings: &config::Generator) -> Chat {
    Chat {
        model: settings.model.clone(),
        max_tokens: settings.max_tokens,
        first_token_timeout: Duration::from_millis(settings.first_token_timeout_ms),
        total_timeout: Duration::from_millis(settings.total_timeout_ms),
        max_retries: settings.max_retries,
        rewriting: match settings.rewrite {
            Rewrite::Never => None,
            Rewrite::FollowUps => Some(Rewriting {
                max_tokens: settings.rewrite_max_tokens,
                timeout: Duration::from_millis(settings.rewrite_timeout_ms),
            }),
        },
    }
}
