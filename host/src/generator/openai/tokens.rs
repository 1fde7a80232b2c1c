//! The pieces of an answer as they come.

use std::time::Duration;

pub use ragtime_openai::chat::Piece;
use ragtime_openai::chat::Reader;
use reqwest::Response;
use tokio::time::{Instant, timeout_at};

use crate::upstream::{UpstreamError, unreachable};

/// An answer on its way. Dropped, the connection closes and the model stops.
pub struct Tokens {
    response: Response,
    reader: Reader,
    deadline: Instant,
    total: Duration,
}

impl Tokens {
    /// Waits for the first piece.
    pub(super) async fn begin(
        response: Response,
        deadline: Instant,
        total: Duration,
    ) -> Result<Self, UpstreamError> {
        let mut tokens = Self { response, reader: Reader::default(), deadline, total };
        while !tokens.reader.has_begun() {
            tokens.read().await?;
        }
        Ok(tokens)
    }

    /// The next piece; none at the end.
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
        let read = timeout_at(self.deadline, self.response.chunk()).await;
        let bytes = read.map_err(|_| UpstreamError::Slow(self.total))?.map_err(unreachable)?;
        match bytes {
            Some(bytes) => Ok(self.reader.push(&bytes)?),
            None => Ok(self.reader.end()?),
        }
    }
}
