//! One connection: what is at work on it, and when it ends by itself.
//!
//! hyper polls a response's body only when the client takes more of it, so a
//! client that takes nothing is never looked at again. Here a clock runs beside
//! the connection and looks at each response.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use parking_lot::{Mutex, MutexGuard};
use tokio::task::AbortHandle;

use crate::config;

/// How much of a body is handed over at once. HTTP/2 takes whatever it gets into
/// its buffer, however little the client is ready to receive; this is the size
/// of its frames (RFC 9113 section 4.2).
const PIECE_BYTES: usize = 16 * 1024;

/// How often the clock looks, as a part of the shortest time it watches.
const LOOKS: u32 = 4;

/// The shortest pause between two looks.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);

/// How long things may take on a connection.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Until its first request.
    first: Duration,
    /// Without a request at work.
    idle: Duration,
    /// Without the client taking anything of a response that is there.
    send: Duration,
    /// From the head of a response to its end.
    whole: Option<Duration>,
}

impl Bounds {
    /// Those of the settings. `ends` says whether responses have to end.
    pub fn new(limits: &config::Server, ends: bool) -> Self {
        let send = Duration::from_millis(limits.send_timeout_ms);
        Self {
            first: Duration::from_millis(limits.header_timeout_ms),
            idle: Duration::from_millis(limits.idle_timeout_ms),
            send,
            // A body that is asked for more ends by itself, and better.
            whole: ends.then(|| Duration::from_millis(limits.stream_timeout_ms) + send / LOOKS),
        }
    }

    fn pause(&self) -> Duration {
        (self.first.min(self.idle).min(self.send) / LOOKS).max(SHORTEST_PAUSE)
    }
}

/// A connection at work.
pub struct Connection {
    started: Instant,
    state: Mutex<State>,
}

struct State {
    next: u64,
    at_work: HashMap<u64, Arc<Clock>>,
    /// Since when nothing has been at work, once something was.
    idle_since: Option<Instant>,
    served: bool,
}

/// When a request's client last took something, in milliseconds since the
/// connection began; [`NEVER`] while it is not the client that is waited for.
struct Clock {
    head_at: AtomicU64,
    waiting_since: AtomicU64,
    /// The task that sends the response, where it is not the connection's.
    stream: Option<Stream>,
}

const NEVER: u64 = u64::MAX;

/// What is to become of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Goes,
    /// It has nothing to do, and should say good-bye.
    Idle,
    /// Nobody reads at its other end, or nobody has asked for anything.
    Dead,
}

impl Connection {
    /// One that begins now.
    pub fn new() -> Arc<Self> {
        let state = State { next: 0, at_work: HashMap::new(), idle_since: None, served: false };
        Arc::new(Self { started: Instant::now(), state: Mutex::new(state) })
    }

    /// A request has begun.
    pub fn begin(self: &Arc<Self>) -> Work {
        let clock = Arc::new(Clock {
            head_at: AtomicU64::new(NEVER),
            waiting_since: AtomicU64::new(NEVER),
            stream: STREAM.try_with(Arc::clone).ok(),
        });
        let mut state = self.state();
        let number = state.next;
        (state.next, state.served, state.idle_since) = (number + 1, true, None);
        state.at_work.insert(number, Arc::clone(&clock));
        Work { connection: Arc::clone(self), number, clock }
    }

    /// Looks at everything again and again, and says so when the connection is
    /// not to go on as it is.
    pub async fn watch(&self, bounds: &Bounds) -> Verdict {
        loop {
            tokio::time::sleep(bounds.pause()).await;
            match self.look(bounds) {
                Verdict::Goes => {}
                verdict => return verdict,
            }
        }
    }

    /// Resets the streams whose client takes nothing. A connection on which
    /// nobody takes anything is dead.
    fn look(&self, bounds: &Bounds) -> Verdict {
        let now = self.now();
        let state = self.state();
        if !state.served {
            let over = self.started.elapsed() > bounds.first + bounds.pause();
            return if over { Verdict::Dead } else { Verdict::Goes };
        }
        if state.at_work.is_empty() {
            let over = state.idle_since.is_some_and(|since| since.elapsed() > bounds.idle);
            return if over { Verdict::Idle } else { Verdict::Goes };
        }
        let (mut stuck, mut alone) = (0, false);
        for clock in state.at_work.values().filter(|clock| clock.is_stuck(now, bounds)) {
            stuck += 1;
            match clock.stream.as_ref().and_then(|stream| stream.get()) {
                Some(stream) => stream.abort(),
                None => alone = true,
            }
        }
        if stuck > 0 {
            tracing::debug!(stuck, "responses were not taken in time");
        }
        if alone || (stuck > 0 && stuck == state.at_work.len()) {
            Verdict::Dead
        } else {
            Verdict::Goes
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(NEVER - 1)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl Clock {
    fn is_stuck(&self, now: u64, bounds: &Bounds) -> bool {
        let over = |since: u64, allowed: Duration| {
            since != NEVER && u128::from(now.saturating_sub(since)) > allowed.as_millis()
        };
        over(self.waiting_since.load(Relaxed), bounds.send)
            || bounds.whole.is_some_and(|whole| over(self.head_at.load(Relaxed), whole))
    }
}

/// A request at work, until its response has been taken.
pub struct Work {
    connection: Arc<Connection>,
    number: u64,
    clock: Arc<Clock>,
}

impl Work {
    fn head_sent(&self) {
        let now = self.connection.now();
        self.clock.head_at.store(now, Relaxed);
        self.clock.waiting_since.store(now, Relaxed);
    }

    /// Something is there for the client to take.
    fn offered(&self) {
        self.clock.waiting_since.store(self.connection.now(), Relaxed);
    }

    /// The client has taken all there is.
    fn asked(&self) {
        self.clock.waiting_since.store(NEVER, Relaxed);
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let mut state = self.connection.state();
        state.at_work.remove(&self.number);
        if state.at_work.is_empty() {
            state.idle_since = Some(Instant::now());
        }
    }
}

/// A body that is watched while it is sent.
pub struct Watched<B> {
    body: B,
    work: Work,
    /// What the client gets next of what the body has given.
    rest: Bytes,
    in_pieces: bool,
}

impl<B> Watched<B> {
    /// The body of a response whose head is sent now.
    pub fn new(body: B, work: Work, version: http::Version) -> Self {
        work.head_sent();
        Self { body, work, rest: Bytes::new(), in_pieces: version == http::Version::HTTP_2 }
    }

    /// What is handed over now of what there is; the rest waits.
    fn piece(&mut self, mut data: Bytes) -> Bytes {
        if self.in_pieces && data.len() > PIECE_BYTES {
            self.rest = data.split_off(PIECE_BYTES);
        }
        self.work.offered();
        data
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            return Poll::Ready(Some(Ok(Frame::data(self.piece(rest)))));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            self.work.asked();
            return Poll::Pending;
        };
        Poll::Ready(frame.map(|frame| {
            let data = frame?.into_data();
            Ok(data.map_or_else(|other| other, |data| Frame::data(self.piece(data))))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

/// The task of an HTTP/2 stream, once it has been spawned.
type Stream = Arc<OnceLock<AbortHandle>>;

tokio::task_local! {
    /// The stream that the current task serves.
    static STREAM: Stream;
}

/// Spawns the streams of HTTP/2 connections so that each can be ended by
/// itself. Its task owns the stream, which is reset when the task goes.
#[derive(Clone)]
pub struct Streams;

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        let stream = Stream::default();
        let task = tokio::spawn(STREAM.scope(Arc::clone(&stream), future));
        let _ = stream.set(task.abort_handle());
    }
}
