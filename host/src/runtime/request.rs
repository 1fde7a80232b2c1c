//! One request, as the host knows it.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::Uri;
use http::header::HOST;
use http::uri::{Authority, Scheme};
use parking_lot::Mutex;
use ragtime_policy::bucket::Quota;
use ragtime_policy::scope::Scope;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::rights::Rights;
use crate::config::Secret;
use crate::generator::Assessed;
use crate::telemetry::trace::TraceContext;

/// How long the cause of a loss may take to be known. It is a matter of
/// microseconds, unless the host itself panicked.
const FATE_TIMEOUT: Duration = Duration::from_secs(1);

/// A handler that waits for something keeps this share of the time until its deadline to
/// make and send its answer: a quarter.
const ANSWERING_SHARE: u32 = 4;

/// The most that a handler keeps so: no answer to a write takes longer to make.
const ANSWERING_TIME: Duration = Duration::from_secs(1);

/// What the host keeps of a request while a handler works on it. The handler
/// sees the reference in place of the credential, and none of the rest.
pub struct RequestContext {
    /// Names the request in the log, in problems and in `X-Request-Id`.
    pub id: String,
    /// Whose request it is.
    pub purpose: Purpose,
    /// Its place in a trace.
    pub trace: TraceContext,
    /// What stands in the credential's place, good for this request alone.
    reference: String,
    credential: Option<Secret>,
    /// Cancelled when the client has gone; work behind the request ends then.
    pub cancelled: CancellationToken,
    /// The key that the ingress found behind the credential.
    tenant: OnceLock<String>,
    /// The key, once authenticated, for the access line.
    key_id: OnceLock<String>,
    /// Held while something is paid, which may take a while: what a request pays is
    /// counted once. In it are the units of what it has had the host do.
    paying: tokio::sync::Mutex<u32>,
    /// Units taken from the key's budget. Changes only while `paying` is held.
    paid: AtomicU32,
    /// What was left of it then.
    quota: Mutex<Option<Quota>>,
    /// Whether its instance was lost by its fault and nobody else's.
    to_blame: AtomicBool,
    /// What it has used of its key's rights.
    rights: Mutex<Rights>,
    wrote: AtomicBool,
    fate: AtomicU8,
    fate_known: Notify,
    log_lines: AtomicU32,
    searches: AtomicU32,
    /// What is known of its last answer.
    assessed: Mutex<Option<Assessed>>,
    /// Its place among the requests that run apart, once it has one.
    quarantined: OnceLock<Box<dyn Any + Send + Sync>>,
    /// When the client does not wait any more, if it has said so.
    client_deadline: OnceLock<Instant>,
    /// When the handler that works on it has to have answered.
    handler_deadline: Mutex<Option<Instant>>,
}

impl RequestContext {
    /// A context for a request that carried `credential`.
    pub fn new(
        id: String,
        purpose: Purpose,
        credential: Option<Secret>,
        trace: TraceContext,
    ) -> Arc<Self> {
        // 122 bits of a cryptographic generator that asks the operating system
        // for a seed now and then, and not for every request.
        let reference = format!("ref_{}", uuid::Uuid::new_v4().simple());
        Arc::new(Self {
            id,
            purpose,
            trace,
            reference,
            credential,
            cancelled: CancellationToken::new(),
            tenant: OnceLock::new(),
            key_id: OnceLock::new(),
            paying: tokio::sync::Mutex::new(0),
            paid: AtomicU32::new(0),
            quota: Mutex::new(None),
            to_blame: AtomicBool::new(false),
            rights: Mutex::default(),
            wrote: AtomicBool::new(false),
            fate: AtomicU8::new(Fate::Running as u8),
            fate_known: Notify::new(),
            log_lines: AtomicU32::new(0),
            searches: AtomicU32::new(0),
            assessed: Mutex::new(None),
            quarantined: OnceLock::new(),
            client_deadline: OnceLock::new(),
            handler_deadline: Mutex::new(None),
        })
    }

    /// Notes when the client does not wait any more.
    pub fn set_client_deadline(&self, at: Instant) {
        let _ = self.client_deadline.set(at);
    }

    /// Notes when the handler that begins to work on it has to have answered.
    pub fn set_handler_deadline(&self, at: Instant) {
        *self.handler_deadline.lock() = Some(at);
    }

    /// How long a call of the handler may wait for what is not needed for its answer, at
    /// most `wait`: there must be time left to answer.
    pub fn time_to_wait(&self, wait: Duration) -> Duration {
        let handler = *self.handler_deadline.lock();
        let deadline = [self.client_deadline.get().copied(), handler].into_iter().flatten().min();
        let Some(deadline) = deadline else { return wait };
        let left = deadline.saturating_duration_since(Instant::now());
        wait.min(left.saturating_sub(ANSWERING_TIME.min(left / ANSWERING_SHARE)))
    }

    /// Whether it has its place among the requests that run apart.
    pub fn is_quarantined(&self) -> bool {
        self.quarantined.get().is_some()
    }

    /// Keeps its place among the requests that run apart until it is over: its
    /// response has been sent, and no instance works for it any more. One place
    /// does for all its attempts.
    pub fn quarantine(&self, place: impl Send + Sync + 'static) {
        let _ = self.quarantined.set(Box::new(place));
    }

    /// Notes what is known of an answer that has ended.
    pub fn assess(&self, assessed: Assessed) {
        *self.assessed.lock() = Some(assessed);
    }

    /// What is known of the answer that ended last.
    pub fn assessed(&self) -> Option<Assessed> {
        self.assessed.lock().clone()
    }

    /// What the handler gets in the credential's place.
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// The client's credential.
    pub fn credential(&self) -> Option<&Secret> {
        self.credential.as_ref()
    }

    /// The client's credential, for whoever shows the reference to it.
    pub fn credential_behind(&self, reference: &str) -> Option<&Secret> {
        self.credential.as_ref().filter(|_| reference == self.reference)
    }

    /// Notes which key the ingress found.
    pub fn set_tenant(&self, key_id: &str) {
        let _ = self.tenant.set(key_id.to_owned());
    }

    /// The key that the ingress found; empty when it found none.
    pub fn tenant(&self) -> &str {
        self.tenant.get().map_or("", String::as_str)
    }

    /// Notes whose request this is.
    pub fn set_key_id(&self, id: &str) {
        // A handler that authenticates twice changes nothing.
        let _ = self.key_id.set(id.to_owned());
    }

    /// Whose request this is, once known.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.get().map(String::as_str)
    }

    /// Takes `cost` units by `charge`, less what this request has paid before:
    /// a replay does not pay twice, and the host's own requests do not pay.
    /// `None` when nothing was left to pay.
    pub async fn charge_once<Q, E>(
        &self,
        cost: u32,
        charge: impl AsyncFnOnce(u32) -> Result<Q, E>,
    ) -> Result<Option<Q>, E> {
        let _paying = self.paying.lock().await;
        self.charge_beyond_paid(cost, charge).await
    }

    /// The same, while `paying` is held.
    async fn charge_beyond_paid<Q, E>(
        &self,
        cost: u32,
        charge: impl AsyncFnOnce(u32) -> Result<Q, E>,
    ) -> Result<Option<Q>, E> {
        let due = cost.saturating_sub(self.paid.load(Relaxed));
        if due == 0 || self.purpose != Purpose::Client {
            return Ok(None);
        }
        let quota = charge(due).await?;
        self.paid.fetch_add(due, Relaxed);
        Ok(Some(quota))
    }

    /// Notes what is left of the key's budget.
    pub fn set_quota(&self, quota: Quota) {
        *self.quota.lock() = Some(quota);
    }

    /// What was left of the key's budget when the handler last asked.
    pub fn quota(&self) -> Option<Quota> {
        *self.quota.lock()
    }

    /// Notes that its instance is lost by its fault: it was the only one in it,
    /// or the one at work when time was up.
    pub fn set_to_blame(&self) {
        self.to_blame.store(true, Relaxed);
    }

    /// Whether its instance was lost by its fault.
    pub fn is_to_blame(&self) -> bool {
        self.to_blame.load(Relaxed)
    }

    /// Counts `units` of work, and takes by `charge` what all of it costs beyond
    /// what has been paid. When that fails, the work is not to be done.
    pub async fn charge_work<Q, E>(
        &self,
        units: u32,
        charge: impl AsyncFnOnce(u32) -> Result<Q, E>,
    ) -> Result<(), E> {
        let mut work = self.paying.lock().await;
        let sum = work.saturating_add(units);
        self.charge_beyond_paid(sum, charge).await?;
        *work = sum;
        Ok(())
    }

    /// Notes that a scope was used, in a collection or outside of any.
    pub fn note_right(&self, scope: Scope, collection: Option<&str>) {
        let mut rights = self.rights.lock();
        rights.note(scope, collection);
    }

    /// What the request has used and paid so far.
    pub fn rights(&self) -> Rights {
        let rights = self.rights.lock();
        let mut rights = rights.clone();
        rights.cost = self.paid.load(Relaxed);
        rights
    }

    /// Notes that the handler changed something, so the request must not run
    /// a second time.
    pub fn set_wrote(&self) {
        self.wrote.store(true, Relaxed);
    }

    /// Whether the handler changed something.
    pub fn wrote(&self) -> bool {
        self.wrote.load(Relaxed)
    }

    /// Notes what became of the instance at work on this request.
    pub fn set_fate(&self, fate: Fate) {
        self.fate.store(fate as u8, Relaxed);
        self.fate_known.notify_one();
    }

    /// What became of an instance that is known to be lost. Its requests learn
    /// of the loss a moment before its cause is known.
    pub async fn fate_of_lost(&self) -> Fate {
        let known = async {
            while self.fate() == Fate::Running {
                self.fate_known.notified().await;
            }
        };
        match tokio::time::timeout(FATE_TIMEOUT, known).await {
            Ok(()) => self.fate(),
            Err(_) => Fate::Trapped,
        }
    }

    /// What became of the instance at work on this request.
    pub fn fate(&self) -> Fate {
        match self.fate.load(Relaxed) {
            0 => Fate::Running,
            1 => Fate::Trapped,
            2 => Fate::Overran,
            3 => Fate::TimedOut,
            4 => Fate::Outgrew,
            _ => Fate::Starved,
        }
    }

    /// Counts a search or an answer and returns how many came before it.
    pub fn count_search(&self) -> u32 {
        self.searches.fetch_add(1, Relaxed)
    }

    /// Counts a log line and returns how many came before it.
    pub fn count_log_line(&self) -> u32 {
        self.log_lines.fetch_add(1, Relaxed)
    }
}

/// Gives the URI the authority that `Host` names: WASI hands that header to no
/// handler, and 0.2 has no request without an authority, as HTTP/1.0 has. Its scheme
/// is that of the connection, which the listener has noted, whatever the client says.
pub fn ensure_authority(parts: &mut http::request::Parts) {
    let named = parts.headers.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut uri = parts.uri.clone().into_parts();
    uri.scheme = Some(parts.extensions.get().cloned().unwrap_or(Scheme::HTTP));
    uri.authority.get_or_insert(named.unwrap_or_else(|| Authority::from_static("localhost")));
    // That of `CONNECT` has no path, and stays as it is.
    if let Ok(uri) = Uri::from_parts(uri) {
        parts.uri = uri;
    }
}

/// Whose request it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A client's.
    Client,
    /// The host's own, to try a handler out. It reads and never writes, and
    /// costs no key anything.
    Trial,
    /// The host's own, to have stale documents rechunked. It costs no key anything.
    Rechunk,
}

/// What became of the instance at work on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fate {
    /// It lives, or has done its work.
    Running = 0,
    /// It trapped, in this request or in another.
    Trapped = 1,
    /// It used up its processor time.
    Overran = 2,
    /// It did not answer in time.
    TimedOut = 3,
    /// It was refused memory beyond what one instance may have.
    Outgrew = 4,
    /// It was refused memory for what other instances hold.
    Starved = 5,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Arc<RequestContext> {
        let trace = TraceContext::of(&http::HeaderMap::new(), 0.0);
        RequestContext::new("r".into(), Purpose::Client, None, trace)
    }

    #[test]
    fn who_waits_leaves_time_to_answer() {
        let long = Duration::from_secs(3_600);
        assert_eq!(context().time_to_wait(long), long);
        let context = context();
        context.set_handler_deadline(Instant::now() + Duration::from_secs(60));
        let wait = context.time_to_wait(long);
        assert!(wait <= Duration::from_secs(59) && wait > Duration::from_secs(50), "{wait:?}");
        assert_eq!(context.time_to_wait(Duration::from_secs(1)), Duration::from_secs(1));
        context.set_client_deadline(Instant::now());
        assert_eq!(context.time_to_wait(long), Duration::ZERO);
    }
}
