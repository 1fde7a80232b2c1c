//! The client of a chat endpoint, whatever carries its requests: the host has reqwest,
//! the provider for stock runtimes `wasi:http`.

use std::time::Duration;

use http::StatusCode;

use crate::Unreadable;
use crate::chat::{Message, Piece, Reader, Request};
use crate::rewritten::Rewritten;

/// How long to wait before asking again the first time; doubled each time.
const BACKOFF: Duration = Duration::from_millis(200);

/// How long to wait after a try failed, the first of which is 0.
pub fn backoff(attempt: u32) -> Duration {
    BACKOFF.saturating_mul(2_u32.saturating_pow(attempt))
}

/// Why there is no answer, or no whole one. Fit for the log: no text of a document, no
/// key and no URL.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// It has failed too often lately.
    #[error("it is left alone after failing too often")]
    Open,
    /// No connection, or a broken one.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It refused, perhaps saying when to come back.
    #[error("it answered {0}")]
    Refused(StatusCode, Option<Duration>),
    /// It took too long.
    #[error("it took longer than {0:?}")]
    Slow(Duration),
    /// It sent what is no answer.
    #[error("it sent what cannot be read: {0}")]
    Unreadable(#[from] Unreadable),
}

impl UpstreamError {
    /// How long to wait at least until the same request may succeed; none where it will
    /// not.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(status, after) => {
                let again = status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS;
                again.then_some(after.unwrap_or_default())
            }
            Self::Unreachable(_) | Self::Slow(_) | Self::Unreadable(_) => Some(Duration::ZERO),
            Self::Open => None,
        }
    }

    /// Whether the endpoint is not well. A request that it does not like says nothing
    /// about its health.
    pub fn is_outage(&self) -> bool {
        self.retry_after().is_some()
    }
}

/// What carries requests to the endpoint.
pub trait Transport {
    /// The body of an answer.
    type Incoming: Incoming;

    /// Posts a request, and returns when the answer has begun with 200.
    fn post(
        &self,
        request: &Request<'_>,
    ) -> impl Future<Output = Result<Self::Incoming, UpstreamError>>;

    /// Does work that asks the endpoint if the circuit is closed, and notes how it ended.
    fn guarded<R>(
        &self,
        work: impl Future<Output = Result<R, UpstreamError>>,
    ) -> impl Future<Output = Result<R, UpstreamError>>;
}

/// The body of an answer on its way, and the clock by which it is waited for. Dropped,
/// the connection closes and the model stops.
pub trait Incoming: Sized {
    /// Bytes as they come.
    type Bytes: AsRef<[u8]>;
    /// A point in time.
    type Deadline: Copy;

    /// The point in time that is so long from now.
    fn deadline(limit: Duration) -> Self::Deadline;

    /// What work comes to, if it is done by then.
    fn by<R>(
        deadline: Self::Deadline,
        work: impl Future<Output = R>,
    ) -> impl Future<Output = Option<R>>;

    /// Waits.
    fn sleep(time: Duration) -> impl Future<Output = ()>;

    /// The next bytes; none at the end.
    fn chunk(&mut self) -> impl Future<Output = Result<Option<Self::Bytes>, UpstreamError>>;
}

/// Gives up after `limit`.
///
/// # Errors
///
/// Those of `work`, and [`UpstreamError::Slow`].
pub async fn within<I: Incoming, R>(
    limit: Duration,
    work: impl Future<Output = Result<R, UpstreamError>>,
) -> Result<R, UpstreamError> {
    I::by(I::deadline(limit), work).await.unwrap_or(Err(UpstreamError::Slow(limit)))
}

/// A model that answers, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    /// The model's name at the endpoint.
    pub model: String,
    /// The most tokens of an answer.
    pub max_tokens: u32,
    /// How long the first piece may take.
    pub first_token_timeout: Duration,
    /// How long a whole answer may take.
    pub total_timeout: Duration,
    /// Further tries of a request that may succeed a moment later.
    pub max_retries: u32,
    /// How questions are rewritten; none where they are not.
    pub rewriting: Option<Rewriting>,
}

/// How questions are rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewriting {
    /// The most tokens of a question.
    pub max_tokens: u32,
    /// How long it may take.
    pub timeout: Duration,
}

/// A question that the model made of a conversation.
#[derive(Debug)]
pub struct Question {
    /// The question.
    pub text: String,
    /// Tokens that the model read.
    pub input_tokens: u32,
    /// Tokens that the model wrote.
    pub output_tokens: u32,
}

impl Chat {
    /// Asks for an answer, and returns with its first piece.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub async fn answer<T: Transport>(
        &self,
        transport: &T,
        messages: &[Message],
    ) -> Result<Tokens<T::Incoming>, UpstreamError> {
        self.ask(transport, messages, self.max_tokens).await
    }

    /// The question that the model makes of `messages`; none where it is not set to.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub async fn rewrite<T: Transport>(
        &self,
        transport: &T,
        messages: &[Message],
    ) -> Result<Option<Question>, UpstreamError> {
        let Some(Rewriting { max_tokens, timeout }) = self.rewriting else { return Ok(None) };
        let asked = async {
            let mut tokens = self.ask(transport, messages, max_tokens).await?;
            let (mut rewritten, mut usage) = (Rewritten::default(), (0, 0));
            while let Some(piece) = tokens.next().await? {
                if let Piece::Usage(input, output) = piece {
                    usage = (input, output);
                }
                if !rewritten.push(&piece) {
                    break;
                }
            }
            let text = rewritten.question().ok_or(Unreadable("no question"))?;
            Ok(Question { text, input_tokens: usage.0, output_tokens: usage.1 })
        };
        within::<T::Incoming, _>(timeout, asked).await.map(Some)
    }

    /// Asks for at most `max_tokens` tokens, and returns with the first piece of the
    /// answer. Asks again only before that, since what was said cannot be unsaid.
    async fn ask<T: Transport>(
        &self,
        transport: &T,
        messages: &[Message],
        max_tokens: u32,
    ) -> Result<Tokens<T::Incoming>, UpstreamError> {
        let mut attempt = 0;
        loop {
            let begun = self.begin(transport, messages, max_tokens);
            let begun = within::<T::Incoming, _>(self.first_token_timeout, begun);
            let error = match transport.guarded(begun).await {
                Ok(tokens) => return Ok(tokens),
                Err(error) => error,
            };
            if error.retry_after().is_none() || attempt >= self.max_retries {
                return Err(error);
            }
            T::Incoming::sleep(backoff(attempt)).await;
            attempt += 1;
        }
    }

    async fn begin<T: Transport>(
        &self,
        transport: &T,
        messages: &[Message],
        max_tokens: u32,
    ) -> Result<Tokens<T::Incoming>, UpstreamError> {
        let deadline = T::Incoming::deadline(self.total_timeout);
        let request = Request::new(&self.model, messages, max_tokens);
        let body = transport.post(&request).await?;
        let (reader, total) = (Reader::default(), self.total_timeout);
        let mut tokens = Tokens { body, reader, deadline, total };
        while !tokens.reader.has_begun() {
            tokens.read().await?;
        }
        Ok(tokens)
    }
}

/// An answer on its way. Dropped, the connection closes and the model stops.
pub struct Tokens<I: Incoming> {
    body: I,
    reader: Reader,
    deadline: I::Deadline,
    total: Duration,
}

impl<I: Incoming> Tokens<I> {
    /// The next piece; none at the end.
    ///
    /// # Errors
    ///
    /// Why there is no more, though the answer has not ended.
    pub async fn next(&mut self) -> Result<Option<Piece>, UpstreamError> {
        loop {
            if let Some(piece) = self.reader.next_piece() {
                return Ok(Some(piece));
            }
            if self.reader.has_ended() {
                return Ok(None);
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<(), UpstreamError> {
        let read = I::by(self.deadline, self.body.chunk()).await;
        match read.ok_or(UpstreamError::Slow(self.total))?? {
            Some(bytes) => Ok(self.reader.push(bytes.as_ref())?),
            None => Ok(self.reader.end()?),
        }
    }
}
