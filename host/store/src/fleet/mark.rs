//! A number that only grows, and that threads wait for.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::lock_mutex;

#[derive(Debug, Default)]
pub(crate) struct Mark {
    value: Mutex<u64>,
    grown: Condvar,
}

impl Mark {
    pub(crate) fn get(&self) -> u64 {
        *self.lock()
    }

    /// Makes it at least this.
    pub(crate) fn raise(&self, to: u64) {
        let mut value = self.lock();
        if to > *value {
            *value = to;
            self.grown.notify_all();
        }
    }

    /// Waits until it is at least this; false if it is not within `max_wait`.
    pub(crate) fn wait_for(&self, least: u64, max_wait: Duration) -> bool {
        let give_up = Instant::now() + max_wait;
        let mut value = self.lock();
        while *value < least {
            let left = give_up.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.grown.wait_timeout(value, left);
            value = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        lock_mutex(&self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_woken_and_nothing_goes_back() {
        let mark = Mark::default();
        mark.raise(5);
        mark.raise(3);
        assert_eq!(mark.get(), 5);
        assert!(!mark.wait_for(6, Duration::ZERO));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| mark.wait_for(7, Duration::from_secs(60)));
            mark.raise(7);
            assert!(waits.join().unwrap());
        });
    }
}
