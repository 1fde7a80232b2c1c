//! The admission queue: the number of requests at work is bounded, and others wait a
//! little for a slot.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::problem::Problem;
use crate::config;

/// Leave for one request to be at work, until it is dropped.
pub type Slot = OwnedSemaphorePermit;

/// The slots of the server, and the queue for them.
pub struct AdmissionQueue {
    free: Arc<Semaphore>,
    /// How long a request waits for a slot.
    wait: Duration,
    /// How long a request waits for a slot while the queue does not drain.
    overload_wait: Duration,
    /// How many requests wait while the queue does not drain.
    overload_queue: usize,
    waiting: AtomicUsize,
    started: Instant,
    /// Since when somebody has been waiting, in milliseconds since the start;
    /// [`u64::MAX`] while nobody is.
    queue_since: AtomicU64,
}

impl AdmissionQueue {
    /// A queue for `most` slots, with the timeouts of the settings.
    pub fn new(most: usize, limits: &config::Server) -> Self {
        Self {
            free: Arc::new(Semaphore::new(most)),
            wait: Duration::from_millis(limits.queue_timeout_ms),
            overload_wait: Duration::from_millis(limits.overload_timeout_ms),
            overload_queue: limits.overload_queue_requests,
            waiting: AtomicUsize::new(0),
            started: Instant::now(),
            queue_since: AtomicU64::new(u64::MAX),
        }
    }

    /// Refuses a request that would wait in vain, before any work is done for it: the
    /// queue does not drain, and enough requests wait to take each slot that comes free.
    ///
    /// # Errors
    ///
    /// [`Problem::Overloaded`]
    pub fn check(&self) -> Result<(), Problem> {
        let is_full = self.waiting.load(Relaxed) >= self.overload_queue;
        if is_full && self.is_overloaded() { Err(Problem::Overloaded) } else { Ok(()) }
    }

    /// Waits for a slot.
    ///
    /// # Errors
    ///
    /// [`Problem::Overloaded`] when no slot is free in time.
    pub async fn enter(&self) -> Result<Slot, Problem> {
        if let Ok(slot) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(slot);
        }
        let _waiting = self.join();
        match timeout(self.timeout(), Arc::clone(&self.free).acquire_owned()).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_)) => Err(Problem::Draining),
            Err(_) => Err(Problem::Overloaded),
        }
    }

    /// How long the next request waits: what comes to a queue that does not drain is
    /// answered or refused soon.
    fn timeout(&self) -> Duration {
        if self.is_overloaded() { self.overload_wait.min(self.wait) } else { self.wait }
    }

    /// Whether the queue has not been empty for as long as a request may wait in it. So
    /// it is no burst.
    fn is_overloaded(&self) -> bool {
        let since = Duration::from_millis(self.queue_since.load(Relaxed));
        self.started.elapsed().saturating_sub(since) >= self.wait
    }

    fn join(&self) -> Waiting<'_> {
        if self.waiting.fetch_add(1, Relaxed) == 0 {
            let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.queue_since.store(now, Relaxed);
        }
        Waiting(self)
    }
}

/// A request that waits in the queue, until it is dropped.
struct Waiting<'a>(&'a AdmissionQueue);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.0.waiting.fetch_sub(1, Relaxed) == 1 {
            self.0.queue_since.store(u64::MAX, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn queue(wait: u64, overload: u64) -> AdmissionQueue {
        let limits = config::Server {
            queue_timeout_ms: wait,
            overload_timeout_ms: overload,
            overload_queue_requests: 1,
            ..config::Server::default()
        };
        AdmissionQueue::new(1, &limits)
    }

    #[tokio::test]
    async fn a_turn_that_ends_is_taken_by_who_waits() {
        let queue = queue(60_000, 60_000);
        let first = queue.enter().await.unwrap();
        let (second, ()) = tokio::join!(queue.enter(), async { drop(first) });
        assert!(second.is_ok());
        assert_eq!(queue.queue_since.load(Relaxed), u64::MAX);
    }

    #[tokio::test]
    async fn a_queue_that_does_not_drain_is_left_sooner() {
        let queue = queue(100, 1);
        let _first = queue.enter().await.unwrap();
        assert_eq!(queue.timeout(), Duration::from_millis(100));
        let _waiting = queue.join();
        tokio::time::sleep(Duration::from_millis(120)).await;
        assert_eq!(queue.timeout(), Duration::from_millis(1));
        assert_eq!(queue.enter().await.unwrap_err(), Problem::Overloaded);
    }

    #[tokio::test]
    async fn a_queue_that_does_not_drain_turns_away_what_would_wait_in_vain() {
        let queue = queue(0, 0);
        assert_eq!(queue.check(), Ok(()));
        let slot = queue.enter().await.unwrap();
        // Nobody waits, so the next one may.
        assert_eq!(queue.check(), Ok(()));
        let waiting = queue.join();
        assert_eq!(queue.check(), Err(Problem::Overloaded));
        drop(waiting);
        assert_eq!(queue.check(), Ok(()));
        drop(slot);
    }
}
