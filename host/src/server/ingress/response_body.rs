//! The body of a response on its way to the client.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::DropGuard;
use wasmtime_wasi_http::WasiBody;

use super::access_log::{AccessLogGuard, Outcome};
use super::problem::Problem;
use super::{admission_queue, response_headers};
use crate::keyring::{self, Key};
use crate::runtime::request::{Fate, RequestContext};
use crate::runtime::routing::Choice;
use crate::server::places::Place;
use crate::services::Services;

/// A body from the handler or from the host itself.
#[derive(Default)]
pub struct ResponseBody {
    source: Source,
    access: Option<AccessLogGuard>,
    /// The client's place among the requests of its address.
    _place: Option<Place<IpAddr>>,
}

#[derive(Default)]
enum Source {
    Host(Full<Bytes>),
    Handler(Box<(WasiBody, ResponseGuard)>),
    #[default]
    Over,
}

/// What lasts until a handler's response has been sent. When it is dropped, the work
/// behind the response is cancelled and the slots are free.
pub struct ResponseGuard {
    context: Arc<RequestContext>,
    /// When the client must have all of it.
    deadline: Instant,
    /// Made when the body first has to be waited for; most never have.
    alarm: Option<Pin<Box<Sleep>>>,
    /// The request's path, where the response is an event stream, which says why
    /// it breaks off.
    events_of: Option<Box<str>>,
    /// The generation that works for the response, which ends after its last one.
    choice: Choice,
    key: Option<KeyWatch>,
    _slots: Slots,
    _cancel: DropGuard,
}

/// The slots of the server and of the key that a request holds while a handler works
/// for it.
pub type Slots = (admission_queue::Slot, Option<keyring::Slot>);

/// Knows whether the key of a response still lets it go on.
pub struct KeyWatch {
    /// The key that the request was let in with.
    pub key: Arc<Key>,
    /// All keys.
    pub services: Arc<Services>,
}

impl KeyWatch {
    fn has_ended(&self) -> bool {
        !self.services.keyring.still_lets_in(&self.key)
    }
}

/// How often a stream that gives nothing looks whether its key still lets it go
/// on.
const KEY_LOOKS: Duration = Duration::from_secs(1);

impl ResponseGuard {
    /// The guard of a response to a request for `path`, which has to end after `timeout`.
    pub fn new(
        context: Arc<RequestContext>,
        choice: Choice,
        slots: Slots,
        key: Option<KeyWatch>,
        timeout: Duration,
        head: &HeaderMap,
        path: &str,
    ) -> Self {
        let event_stream = head
            .get(CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
        Self {
            deadline: Instant::now() + timeout,
            alarm: None,
            events_of: event_stream.then(|| path.into()),
            choice,
            key,
            _slots: slots,
            _cancel: context.cancelled.clone().drop_guard(),
            context,
        }
    }

    /// Why the response has to end here, if it has to: its time is over, or its key does
    /// not allow what it allowed when the request was let in.
    fn has_to_end(&self) -> Option<Problem> {
        if Instant::now() >= self.deadline {
            return Some(Problem::HandlerTimeout);
        }
        self.key.as_ref().filter(|key| key.has_ended()).map(|_| Problem::KeyEnded)
    }

    /// Why a response that has nothing to send has to end here, if it has to. A clock
    /// looks again, as nothing else wakes such a response.
    fn has_to_end_idle(&mut self, cx: &mut Context<'_>) -> Option<Problem> {
        loop {
            let next = self.deadline.min(Instant::now() + KEY_LOOKS);
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(next)));
            if alarm.as_mut().poll(cx).is_pending() {
                return None;
            }
            if let Some(problem) = self.has_to_end() {
                return Some(problem);
            }
            self.alarm = None;
        }
    }

    /// The last event of an event stream that breaks off.
    fn error_event(&self, problem: Problem) -> Option<Bytes> {
        let problem = problem.json(&self.context.id, self.events_of.as_deref()?);
        Some(Bytes::from(format!("event: error\ndata: {problem}\n\n")))
    }
}

/// A response that cannot be completed. The connection is aborted, so that the
/// client sees the break.
#[derive(Debug, thiserror::Error)]
#[error("the response broke off")]
pub struct Broken;

impl ResponseBody {
    /// A body that the host wrote.
    pub fn host(body: Full<Bytes>, access: AccessLogGuard) -> Self {
        Self { source: Source::Host(body), access: Some(access), _place: None }
    }

    /// A body that the handler writes.
    pub fn handler(body: WasiBody, guard: ResponseGuard, access: AccessLogGuard) -> Self {
        Self {
            source: Source::Handler(Box::new((body, guard))),
            access: Some(access),
            _place: None,
        }
    }

    /// The same, which holds its client's place until it has been sent.
    pub fn holding(self, place: Option<Place<IpAddr>>) -> Self {
        Self { _place: place, ..self }
    }

    /// The access line of this response. One without a request of its own, as
    /// the answer to a CORS preflight, has none.
    pub fn access_mut(&mut self) -> Option<&mut AccessLogGuard> {
        self.access.as_mut()
    }

    fn end(&mut self, outcome: Outcome) {
        if let Some(access) = &mut self.access {
            access.set_outcome(outcome);
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

/// Notes the head of a response that is about to be sent.
pub fn head_sent(response: &mut Response<ResponseBody>) {
    let status = response.status();
    let length =
        response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let length = length.or_else(|| response.body().size_hint().exact());
    if let Some(access) = response.body_mut().access_mut() {
        access.set_head(status, length);
    }
}

fn count(access: &mut Option<AccessLogGuard>, frame: &Frame<Bytes>) {
    if let Some(access) = access {
        access.add_bytes(frame.data_ref().map_or(0, Bytes::len));
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self;
        let (body, guard) = match &mut this.source {
            Source::Over => return Poll::Ready(None),
            Source::Host(body) => {
                let frame = std::task::ready!(Pin::new(body).poll_frame(cx));
                match &frame {
                    Some(Ok(frame)) => count(&mut this.access, frame),
                    _ => this.end(Outcome::Complete),
                }
                return Poll::Ready(frame.map(|frame| frame.map_err(|never| match never {})));
            }
            Source::Handler(source) => (&mut source.0, &mut source.1),
        };
        let problem = match Pin::new(body).poll_frame(cx) {
            Poll::Ready(Some(Ok(mut frame))) => match guard.has_to_end() {
                None => {
                    if let Some(trailers) = frame.trailers_mut() {
                        response_headers::strip(trailers);
                    }
                    count(&mut this.access, &frame);
                    return Poll::Ready(Some(Ok(frame)));
                }
                Some(problem) => problem,
            },
            Poll::Ready(None) if guard.context.fate() == Fate::Running => {
                this.end(Outcome::Complete);
                return Poll::Ready(None);
            }
            Poll::Ready(_) => {
                if let Some(arm) = guard.choice.arm() {
                    arm.note_failure();
                }
                Problem::HandlerFailed
            }
            Poll::Pending => match guard.has_to_end_idle(cx) {
                None => return Poll::Pending,
                Some(problem) => problem,
            },
        };
        let event = guard.error_event(problem);
        this.break_off(event)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Host(body) => body.is_end_stream(),
            Source::Handler(_) => false,
            Source::Over => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Host(body) => body.size_hint(),
            Source::Handler(source) => source.0.size_hint(),
            Source::Over => SizeHint::with_exact(0),
        }
    }
}
