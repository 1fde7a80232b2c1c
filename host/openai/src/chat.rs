//! `POST /chat/completions`, streamed.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::Unreadable;
use crate::sse::Parser;

/// The most text of one answer. A page of text has some kilobytes.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// The most bytes of one event, or of anything that never becomes one.
const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// Who says a message.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The rules.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// One message of a prompt.
#[derive(Debug, Serialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// The body of a request for a streamed answer.
#[derive(Debug, Serialize)]
pub struct Request<'a> {
    model: &'a str,
    messages: &'a [Message],
    stream: bool,
    stream_options: StreamOptions,
    max_tokens: u32,
    temperature: f32,
}

#[derive(Debug, Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl<'a> Request<'a> {
    /// Asks `model` for at most `max_tokens` tokens.
    pub fn new(model: &'a str, messages: &'a [Message], max_tokens: u32) -> Self {
        Self {
            model,
            messages,
            stream: true,
            stream_options: StreamOptions { include_usage: true },
            max_tokens,
            // Answers from sources are no place for invention.
            temperature: 0.0,
        }
    }
}

/// A piece of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// More text.
    Text(String),
    /// Tokens read and written, as the model counts.
    Usage(u32, u32),
    /// Why it ends.
    Ending(Ending),
}

/// Why an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ending {
    /// The model had said all.
    #[default]
    Stop,
    /// The most tokens were said.
    Length,
    /// The endpoint held the rest back.
    Filtered,
}

/// Puts the pieces of an answer together from bytes as they come.
#[derive(Default)]
pub struct Reader {
    parser: Parser,
    ready: VecDeque<Piece>,
    ended: bool,
    /// Bytes since the last whole event.
    unparsed: usize,
    answer_bytes: usize,
}

#[derive(Deserialize)]
struct StreamChunk {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
    #[serde(default)]
    finish_reason: Option<String>,
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

impl Reader {
    /// Takes bytes of the body.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Unreadable> {
        self.unparsed += bytes.len();
        for event in self.parser.push(bytes) {
            self.unparsed = 0;
            self.take(&event.data)?;
        }
        if self.unparsed > MAX_EVENT_BYTES {
            return Err(Unreadable("an event that does not end"));
        }
        Ok(())
    }

    /// The body has ended: an error, unless the answer had.
    pub fn end(&self) -> Result<(), Unreadable> {
        if self.ended { Ok(()) } else { Err(Unreadable("a stream without an end")) }
    }

    /// The next piece that is whole.
    pub fn next_piece(&mut self) -> Option<Piece> {
        self.ready.pop_front()
    }

    /// Whether a piece is whole, or none will follow.
    pub fn has_begun(&self) -> bool {
        self.ended || !self.ready.is_empty()
    }

    /// Whether the answer has ended; pieces may be left.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    fn take(&mut self, data: &str) -> Result<(), Unreadable> {
        if data.trim() == "[DONE]" {
            self.ended = true;
            return Ok(());
        }
        let chunk: StreamChunk = serde_json::from_str(data)
            .map_err(|_| Unreadable("an event that is no chunk of an answer"))?;
        for Choice { delta, finish_reason } in chunk.choices {
            let text = delta.content.unwrap_or_default();
            self.answer_bytes += text.len();
            if self.answer_bytes > MAX_ANSWER_BYTES {
                return Err(Unreadable("an answer that does not end"));
            }
            if !text.is_empty() {
                self.ready.push_back(Piece::Text(text));
            }
            match finish_reason.as_deref() {
                None => {}
                Some("length") => self.ready.push_back(Piece::Ending(Ending::Length)),
                Some("content_filter") => self.ready.push_back(Piece::Ending(Ending::Filtered)),
                // `stop`, and words of other servers for the same.
                Some(_) => self.ready.push_back(Piece::Ending(Ending::Stop)),
            }
        }
        if let Some(usage) = chunk.usage {
            self.ready.push_back(Piece::Usage(usage.prompt_tokens, usage.completion_tokens));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_order_and_the_end_is_told() {
        let mut reader = Reader::default();
        reader
            .push(b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"usage\":")
            .unwrap();
        assert!(reader.has_begun() && reader.end().is_err());
        reader.push(b"{\"prompt_tokens\":5,\"completion_tokens\":7}}\n\ndata: [DONE]\n\n").unwrap();
        assert_eq!(reader.next_piece(), Some(Piece::Text("a".into())));
        assert_eq!(reader.next_piece(), Some(Piece::Usage(5, 7)));
        assert_eq!((reader.next_piece(), reader.has_ended(), reader.end()), (None, true, Ok(())));
    }

    #[test]
    fn the_end_is_the_models() {
        let mut reader = Reader::default();
        reader
            .push(b"data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\n\n")
            .unwrap();
        assert_eq!(reader.next_piece(), Some(Piece::Ending(Ending::Length)));
    }

    #[test]
    fn what_never_ends_is_refused() {
        let mut reader = Reader::default();
        let line = vec![b'x'; MAX_EVENT_BYTES + 1];
        assert_eq!(reader.push(&line), Err(Unreadable("an event that does not end")));
        let mut reader = Reader::default();
        let piece = format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n",
            "x".repeat(MAX_ANSWER_BYTES / 2 + 1)
        );
        assert_eq!(reader.push(piece.as_bytes()), Ok(()));
        assert!(reader.push(piece.as_bytes()).is_err());
    }
}
