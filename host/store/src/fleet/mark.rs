//! A number that only grows, and that threads wait for.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

#[derive(Debug, Default)]
pub(crate) struct Mark {
    value: Mutex<u64>,
    grown: Condvar,
}

impl Mark {
    pub(crate) fn get(&self) -> u64 {
        *self.value.lock()
    }

    /// Makes it at least this.
    pub(crate) fn raise(&self, to: u64) {
        let mut value = self.value.lock();
        if to > *value {
            *value = to;
            self.grown.notify_all();
        }
    }

    /// Waits until it is at least this; false if it is not within `max_wait`.
    pub(crate) fn wait_for(&self, least: u64, max_wait: Duration) -> bool {
        let give_up = Instant::now() + max_wait;
        let mut value = self.value.lock();
        while *value < least {
            let left = give_up.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.grown.wait_for(&mut value, left);
        }
        true
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
