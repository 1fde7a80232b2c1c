//! How long a generation lives: until its last request has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// The requests of a generation, and its end.
#[derive(Default)]
pub struct Life {
    in_flight: AtomicUsize,
    requests: AtomicU64,
    left: Notify,
    /// It takes no new requests: instances without work go.
    pub retired: Stage,
    /// Its time is over: instances go with the work they have.
    pub overdue: Stage,
}

/// A stage of life that is entered once. Asked about several times for each
/// request, so the answer takes no lock.
#[derive(Default)]
pub struct Stage {
    entered: AtomicBool,
    token: CancellationToken,
}

impl Stage {
    fn enter(&self) {
        self.entered.store(true, SeqCst);
        self.token.cancel();
    }

    /// Whether it has been entered.
    pub fn is_entered(&self) -> bool {
        self.entered.load(SeqCst)
    }

    /// Resolves when it is entered.
    pub fn entered(&self) -> WaitForCancellationFutureOwned {
        self.token.clone().cancelled_owned()
    }
}

impl Life {
    /// Counts a request until the visit is dropped.
    pub fn enter(self: &Arc<Self>) -> Visit {
        self.in_flight.fetch_add(1, SeqCst);
        self.requests.fetch_add(1, Relaxed);
        Visit(Arc::clone(self))
    }

    /// Requests at work, from their head to the last byte of their response.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(SeqCst)
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Relaxed)
    }

    /// Ends it when its last request has ended, or at the deadline. Returns how
    /// many requests were cut off.
    pub async fn drain(&self, deadline: Duration) -> usize {
        self.retired.enter();
        let _ = tokio::time::timeout(deadline, self.empty()).await;
        let cut = self.in_flight();
        self.overdue.enter();
        cut
    }

    async fn empty(&self) {
        loop {
            let left = self.left.notified();
            if self.in_flight() == 0 {
                return;
            }
            left.await;
        }
    }
}

/// One request at work.
pub struct Visit(Arc<Life>);

impl Drop for Visit {
    fn drop(&mut self) {
        if self.0.in_flight.fetch_sub(1, SeqCst) == 1 {
            self.0.left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn draining_waits_for_the_last_request() {
        let life = Arc::new(Life::default());
        let visit = life.enter();
        let draining = tokio::spawn({
            let life = Arc::clone(&life);
            async move { life.drain(Duration::from_secs(60)).await }
        });
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert!(!draining.is_finished() && life.retired.is_entered());
        assert!(!life.overdue.is_entered());
        drop(visit);
        assert!(matches!(draining.await, Ok(0)));
        assert!(life.overdue.is_entered());
    }

    #[tokio::test(start_paused = true)]
    async fn draining_ends_at_its_deadline() {
        let life = Arc::new(Life::default());
        let _visit = life.enter();
        assert_eq!(life.drain(Duration::from_secs(60)).await, 1);
        assert!(life.overdue.is_entered());
    }
}
