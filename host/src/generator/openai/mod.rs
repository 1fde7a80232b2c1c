//! A language model behind an OpenAI-compatible `/chat/completions`.

mod tokens;

use std::time::Duration;

use ragtime_openai::Unreadable;
use ragtime_openai::chat;
pub use ragtime_openai::chat::{Message, Role};
use ragtime_openai::rewritten::Rewritten;

use crate::config::{self, Rewrite};
use crate::telemetry::trace::TraceContext;
use crate::upstream::{Upstream, UpstreamError, limits, within};
pub use tokens::{Piece, Tokens};

/// The name of that of `[generator]` in requests and responses.
pub const NAME: &str = "openai";

/// How long to wait before asking again the first time; doubled each time.
const BACKOFF: Duration = Duration::from_millis(200);

/// Reaches the model.
pub struct OpenAi {
    name: &'static str,
    upstream: Upstream,
    settings: config::Generator,
}

impl OpenAi {
    /// The model of this name that the settings tell of, if they do.
    pub fn new(name: &'static str, settings: &config::Generator) -> reqwest::Result<Option<Self>> {
        let Some(base) = &settings.url else { return Ok(None) };
        let url = format!("{}/chat/completions", base.trim_end_matches('/'));
        let limits = limits(settings.breaker_failures, settings.breaker_cooldown_ms);
        let key = settings.api_key.clone();
        Ok(Some(Self {
            name,
            upstream: Upstream::new(url, key, settings.connect_timeout_ms, limits)?,
            settings: settings.clone(),
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
            let begun = self.upstream.guarded(self.begin(messages, max_tokens, trace)).await;
            let error = match begun {
                Ok(tokens) => return Ok(tokens),
                Err(error) => error,
            };
            if error.retry_after().is_none() || attempt >= self.settings.max_retries {
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
        let asked = within(limit, async {
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
        });
        let (question, (input, output)) = asked.await?;
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
        within(first, async {
            let body = chat::Request::new(&self.settings.model, messages, max_tokens);
            let response = self.upstream.send(&body, Some(trace)).await?;
            Tokens::begin(response, tokio::time::Instant::now() + total, total).await
        })
        .await
    }
}
