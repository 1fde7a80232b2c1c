//! The body of a response on its way to the client.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::DropGuard;
use wasmtime_wasi_http::WasiBody;

use super::access::{Line, Outcome};
use super::problem::Problem;
use super::turns::Turn;
use crate::config;
use crate::keyring::Slot;
use crate::runtime::request::{Fate, RequestContext};
use crate::runtime::routing::Choice;

/// A body from the handler or from the host itself.
#[derive(Default)]
pub struct EdgeBody {
    source: Source,
    line: Option<Line>,
}

#[derive(Default)]
enum Source {
    Host(Full<Bytes>),
    Handler(Box<(WasiBody, Ending)>),
    #[default]
    Over,
}

/// What lasts until a handler's response has been sent.
pub struct Ending {
    context: Arc<RequestContext>,
    /// When the client must have all of it.
    deadline: Instant,
    /// Made when the body first has to be waited for; most never have.
    alarm: Option<Pin<Box<Sleep>>>,
    /// The error event to send when an event stream breaks off.
    error_event: Option<Bytes>,
    /// Whose work it is, so that a generation ends after its last response.
    choice: Choice,
    _turn: Turn,
    _slot: Option<Slot>,
    _cancel: DropGuard,
}

impl Ending {
    /// The ending of a response whose head is `headers`.
    pub fn new(
        context: Arc<RequestContext>,
        choice: Choice,
        (turn, slot): (Turn, Option<Slot>),
        limits: &config::Server,
        headers: &HeaderMap,
        path: &str,
    ) -> Self {
        let event_stream = headers
            .get(CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
        let error_event = event_stream.then(|| {
            let problem = Problem::HandlerFailed.json(&context.id, path);
            Bytes::from(format!("event: error\ndata: {problem}\n\n"))
        });
        Self {
            deadline: Instant::now() + Duration::from_millis(limits.stream_timeout_ms),
            alarm: None,
            error_event,
            choice,
            _turn: turn,
            _slot: slot,
            _cancel: context.cancelled.clone().drop_guard(),
            context,
        }
    }

    fn is_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        let deadline = self.deadline;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        alarm.as_mut().poll(cx).is_ready()
    }
}

/// A response that cannot be completed. The connection is aborted, so that the
/// client sees the break.
#[derive(Debug, thiserror::Error)]
#[error("the response broke off")]
pub struct Broken;

impl EdgeBody {
    /// A body that the host wrote.
    pub fn host(body: Full<Bytes>, line: Line) -> Self {
        Self { source: Source::Host(body), line: Some(line) }
    }

    /// A body that the handler writes.
    pub fn handler(body: WasiBody, ending: Ending, line: Line) -> Self {
        Self { source: Source::Handler(Box::new((body, ending))), line: Some(line) }
    }

    /// The access line of this response. One without a request of its own, as
    /// the answer to a CORS preflight, has none.
    pub fn line_mut(&mut self) -> Option<&mut Line> {
        self.line.as_mut()
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(line) = &mut self.line {
            line.set_outcome(outcome);
        }
        self.source = Source::Over;
    }

    /// An event stream says that it broke; any other body is aborted.
    fn break_off(
        &mut self,
        error_event: Option<Bytes>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.end(Outcome::Broken);
        match error_event {
            Some(event) => Poll::Ready(Some(Ok(Frame::data(event)))),
            None => Poll::Ready(Some(Err(Broken))),
        }
    }
}

fn count(line: &mut Option<Line>, frame: &Frame<Bytes>) {
    if let Some(line) = line {
        line.add_bytes(frame.data_ref().map_or(0, Bytes::len));
    }
}

impl Body for EdgeBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        let (body, ending) = match &mut this.source {
            Source::Over => return Poll::Ready(None),
            Source::Host(body) => {
                let frame = std::task::ready!(Pin::new(body).poll_frame(cx));
                match &frame {
                    Some(Ok(frame)) => count(&mut this.line, frame),
                    _ => this.end(Outcome::Complete),
                }
                return Poll::Ready(frame.map(|frame| frame.map_err(|never| match never {})));
            }
            Source::Handler(source) => (&mut source.0, &mut source.1),
        };
        match Pin::new(body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                count(&mut this.line, &frame);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) if ending.context.fate() == Fate::Running => {
                this.end(Outcome::Complete);
                Poll::Ready(None)
            }
            Poll::Ready(_) => {
                if let Some(arm) = ending.choice.arm() {
                    arm.note_failure();
                }
                let event = ending.error_event.take();
                this.break_off(event)
            }
            Poll::Pending if ending.is_overdue(cx) => {
                let event = ending.error_event.take();
                this.break_off(event)
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::Over)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Host(body) => body.size_hint(),
            Source::Handler(source) => source.0.size_hint(),
            Source::Over => SizeHint::with_exact(0),
        }
    }
}
