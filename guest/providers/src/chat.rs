//! A language model behind an OpenAI-compatible API.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use ragtime_openai::Unreadable;
use ragtime_openai::chat::{Message, Piece, Reader, Request};
use ragtime_openai::rewritten::Rewritten;
use ragtime_policy::breaker::CircuitBreaker;

use crate::settings::Generator;
use crate::upstream::{Error, Incoming, post, sleep, within};

/// Its name in requests and responses.
pub(crate) const NAME: &str = "openai";

/// How long to wait before asking again the first time; doubled each time.
const BACKOFF: Duration = Duration::from_millis(200);

/// Reaches the model. Failures are counted by each instance for itself.
pub(crate) struct Chat {
    /// Where it is, and how long it may take.
    pub(crate) settings: Generator,
    breaker: RefCell<CircuitBreaker>,
    started: Instant,
}

/// An answer on its way.
pub(crate) struct Tokens {
    body: Incoming,
    reader: Reader,
    deadline: Instant,
    total: Duration,
}

impl Chat {
    /// With these settings.
    pub(crate) fn new(settings: Generator) -> Self {
        let breaker = RefCell::new(CircuitBreaker::new(settings.breaker));
        Self { settings, breaker, started: Instant::now() }
    }

    /// Asks for an answer, and returns with its first piece.
    pub(crate) async fn answer(&self, messages: &[Message]) -> Result<Tokens, Error> {
        self.ask(messages, self.settings.max_tokens).await
    }

    /// The question that the model makes of `messages`; none where it is not set to.
    pub(crate) async fn rewrite(&self, messages: &[Message]) -> Result<Option<String>, Error> {
        if !self.settings.rewrites {
            return Ok(None);
        }
        let asked = async {
            let mut tokens = self.ask(messages, self.settings.rewrite_max_tokens).await?;
            let mut rewritten = Rewritten::default();
            while let Some(piece) = tokens.next().await? {
                if !rewritten.push(&piece) {
                    break;
                }
            }
            Ok(rewritten.question().ok_or(Unreadable("no question"))?)
        };
        within(self.settings.rewrite_timeout, asked).await.map(Some)
    }

    /// Asks for at most `max_tokens` tokens, and returns with the first piece of the
    /// answer. Asks again only before that, since what was said cannot be unsaid.
    async fn ask(&self, messages: &[Message], max_tokens: u32) -> Result<Tokens, Error> {
        let mut attempt = 0;
        loop {
            if !self.breaker.borrow_mut().allows(self.started.elapsed()) {
                return Err(Error::Open);
            }
            let begun =
                within(self.settings.first_token_timeout, self.begin(messages, max_tokens)).await;
            let error = match begun {
                Ok(tokens) => {
                    self.breaker.borrow_mut().succeeded();
                    return Ok(tokens);
                }
                Err(error) => error,
            };
            // A request that it does not like says nothing about its health.
            match error.is_transient() {
                true => self.breaker.borrow_mut().failed(self.started.elapsed()),
                false => self.breaker.borrow_mut().succeeded(),
            }
            if !error.is_transient() || attempt >= self.settings.max_retries {
                return Err(error);
            }
            sleep(BACKOFF * 2_u32.saturating_pow(attempt)).await;
            attempt += 1;
        }
    }

    async fn begin(&self, messages: &[Message], max_tokens: u32) -> Result<Tokens, Error> {
        let Generator { endpoint, total_timeout, .. } = &self.settings;
        let deadline = Instant::now() + *total_timeout;
        let request = Request::new(&endpoint.model, messages, max_tokens);
        let body = post(endpoint, "/chat/completions", &request).await?;
        let mut tokens =
            Tokens { body, reader: Reader::default(), deadline, total: *total_timeout };
        while !tokens.reader.has_begun() {
            tokens.read().await?;
        }
        Ok(tokens)
    }
}

impl Tokens {
    /// The next piece; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Piece>, Error> {
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

    async fn read(&mut self) -> Result<(), Error> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let read = within(left, self.body.chunk()).await;
        let bytes = read.map_err(|error| match error {
            Error::Slow(_) => Error::Slow(self.total),
            other => other,
        })?;
        match bytes {
            Some(bytes) => Ok(self.reader.push(&bytes)?),
            None => Ok(self.reader.end()?),
        }
    }
}
