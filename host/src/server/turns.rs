//! Whose turn it is: requests at work are bounded, the others wait a little.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::problem::Problem;
use crate::config;

/// Leave to be at work.
pub type Turn = OwnedSemaphorePermit;

/// Turns and the queue for them.
pub struct Turns {
    free: Arc<Semaphore>,
    /// How long to wait for one.
    wait: Duration,
    /// The same when the queue does not drain.
    overload_wait: Duration,
    waiting: AtomicUsize,
    started: Instant,
    /// Since when somebody has been waiting, in milliseconds since the start;
    /// [`u64::MAX`] while nobody is.
    queue_since: AtomicU64,
}

impl Turns {
    /// As many as `most`, with the patience of the settings.
    pub fn new(most: usize, limits: &config::Server) -> Self {
        Self {
            free: Arc::new(Semaphore::new(most)),
            wait: Duration::from_millis(limits.queue_timeout_ms),
            overload_wait: Duration::from_millis(limits.overload_timeout_ms),
            waiting: AtomicUsize::new(0),
            started: Instant::now(),
            queue_since: AtomicU64::new(u64::MAX),
        }
    }

    /// Waits for a turn.
    ///
    /// # Errors
    ///
    /// [`Problem::Overloaded`] when none comes in time.
    pub async fn take(&self) -> Result<Turn, Problem> {
        if let Ok(turn) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(turn);
        }
        let _waiting = self.join();
        match timeout(self.patience(), Arc::clone(&self.free).acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) => Err(Problem::Draining),
            Err(_) => Err(Problem::Overloaded),
        }
    }

    /// A queue that has not been empty for as long as one may wait in it is not
    /// a burst. Who comes then gets an answer soon, one way or the other.
    fn patience(&self) -> Duration {
        let since = Duration::from_millis(self.queue_since.load(Relaxed));
        let overloaded = self.started.elapsed().saturating_sub(since) >= self.wait;
        if overloaded { self.overload_wait.min(self.wait) } else { self.wait }
    }

    fn join(&self) -> Waiting<'_> {
        if self.waiting.fetch_add(1, Relaxed) == 0 {
            let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.queue_since.store(now, Relaxed);
        }
        Waiting(self)
    }
}

struct Waiting<'a>(&'a Turns);

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

    fn turns(wait: u64, overload: u64) -> Turns {
        let limits = config::Server {
            queue_timeout_ms: wait,
            overload_timeout_ms: overload,
            ..config::Server::default()
        };
        Turns::new(1, &limits)
    }

    #[tokio::test]
    async fn a_turn_that_ends_is_taken_by_who_waits() {
        let turns = turns(60_000, 60_000);
        let first = turns.take().await.unwrap();
        let (second, ()) = tokio::join!(turns.take(), async { drop(first) });
        assert!(second.is_ok());
        assert_eq!(turns.queue_since.load(Relaxed), u64::MAX);
    }

    #[tokio::test]
    async fn a_queue_that_does_not_drain_is_left_sooner() {
        let turns = turns(100, 1);
        let _first = turns.take().await.unwrap();
        assert_eq!(turns.patience(), Duration::from_millis(100));
        let _waiting = turns.join();
        tokio::time::sleep(Duration::from_millis(120)).await;
        assert_eq!(turns.patience(), Duration::from_millis(1));
        assert_eq!(turns.take().await.unwrap_err(), Problem::Overloaded);
    }
}
