//! The pieces of an answer as they come.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::Response;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::{UpstreamError, unreachable};
use crate::sse::Parser;

/// The most text of one answer. A page of text has some kilobytes.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// The most bytes of one event, or of anything that never becomes one.
const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// A piece of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// More text.
    Text(String),
    /// Tokens read and written, as the model counts.
    Usage(u32, u32),
}

/// An answer on its way. Dropped, the connection closes and the model stops.
pub struct Tokens {
    response: Response,
    parser: Parser,
    ready: VecDeque<Piece>,
    ended: bool,
    /// Bytes since the last whole event.
    unparsed: usize,
    answer_bytes: usize,
    deadline: Instant,
    total: Duration,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
}

#[derive(Default, Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    prompt_tokens: u32,
    #[serde(default)]
    completion_tokens: u32,
}

impl Tokens {
    /// Waits for the first piece.
    pub(super) async fn begin(
        response: Response,
        deadline: Instant,
        total: Duration,
    ) -> Result<Self, UpstreamError> {
        let mut tokens = Self {
            response,
            parser: Parser::default(),
            ready: VecDeque::new(),
            ended: false,
            unparsed: 0,
            answer_bytes: 0,
            deadline,
            total,
        };
        while tokens.ready.is_empty() && !tokens.ended {
            tokens.read().await?;
        }
        Ok(tokens)
    }

    /// The next piece; none at the end.
    pub async fn next(&mut self) -> Result<Option<Piece>, UpstreamError> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            if self.ended {
                return Ok(None);
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<(), UpstreamError> {
        let read = timeout_at(self.deadline, self.response.chunk()).await;
        let bytes = read.map_err(|_| UpstreamError::Slow(self.total))?.map_err(unreachable)?;
        let bytes = bytes.ok_or(UpstreamError::Unreadable("a stream without an end"))?;
        self.unparsed += bytes.len();
        for event in self.parser.push(&bytes) {
            self.unparsed = 0;
            self.take(&event.data)?;
        }
        if self.unparsed > MAX_EVENT_BYTES {
            return Err(UpstreamError::Unreadable("an event that does not end"));
        }
        Ok(())
    }

    fn take(&mut self, data: &str) -> Result<(), UpstreamError> {
        if data.trim() == "[DONE]" {
            self.ended = true;
            return Ok(());
        }
        let chunk: Chunk = serde_json::from_str(data)
            .map_err(|_| UpstreamError::Unreadable("an event that is no chunk of an answer"))?;
        for text in chunk.choices.into_iter().filter_map(|choice| choice.delta.content) {
            self.answer_bytes += text.len();
            if self.answer_bytes > MAX_ANSWER_BYTES {
                return Err(UpstreamError::Unreadable("an answer that does not end"));
            }
            if !text.is_empty() {
                self.ready.push_back(Piece::Text(text));
            }
        }
        if let Some(usage) = chunk.usage {
            self.ready.push_back(Piece::Usage(usage.prompt_tokens, usage.completion_tokens));
        }
        Ok(())
    }
}
