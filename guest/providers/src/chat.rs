//! A language model behind an OpenAI-compatible API.

use std::time::Instant;

use ragtime_openai::chat::{Message, Request};
use ragtime_openai::client::{self, Question, Transport, UpstreamError};
use ragtime_policy::breaker::SharedBreaker;

use crate::settings::Generator;
use crate::upstream::{Incoming, post};

/// Its name in requests and responses.
pub(crate) const NAME: &str = "openai";

/// An answer on its way.
pub(crate) type Tokens = client::Tokens<Incoming>;

/// Reaches the model. Failures are counted by each instance for itself.
pub(crate) struct Chat {
    /// Where it is, and how long it may take.
    pub(crate) settings: Generator,
    breaker: SharedBreaker,
    started: Instant,
}

impl Chat {
    /// With these settings.
    pub(crate) fn new(settings: Generator) -> Self {
        let breaker = SharedBreaker::new(settings.breaker);
        Self { settings, breaker, started: Instant::now() }
    }

    /// Asks for an answer, and returns with its first piece.
    pub(crate) async fn answer(&self, messages: &[Message]) -> Result<Tokens, UpstreamError> {
        self.settings.chat.answer(self, messages).await
    }

    /// The question that the model makes of `messages`; none where it is not set to.
    pub(crate) async fn rewrite(
        &self,
        messages: &[Message],
    ) -> Result<Option<Question>, UpstreamError> {
        self.settings.chat.rewrite(self, messages).await
    }
}

impl Transport for Chat {
    type Incoming = Incoming;

    async fn post(&self, request: &Request<'_>) -> Result<Incoming, UpstreamError> {
        post(&self.settings.endpoint, "/chat/completions", request).await
    }

    async fn guarded<R>(
        &self,
        work: impl Future<Output = Result<R, UpstreamError>>,
    ) -> Result<R, UpstreamError> {
        let now = || self.started.elapsed();
        let done = self.breaker.guard(now, UpstreamError::is_outage, work).await;
        done.unwrap_or(Err(UpstreamError::Open))
    }
}
