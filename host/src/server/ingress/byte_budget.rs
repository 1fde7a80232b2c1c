//! The bytes of bodies that are held at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::problem::Problem;
use crate::config;
use crate::keyring::Key;

/// What a body may hold without being counted. Most requests are smaller, so
/// they go on when others have used the budget up; their number is bounded.
const FREE_BYTES: usize = 64 * 1024;

/// One budget for all requests.
pub struct ByteBudget {
    held: AtomicUsize,
    most: usize,
    most_per_key: usize,
}

/// What one body holds, until it is dropped.
pub struct HeldBytes {
    budget: Arc<ByteBudget>,
    key: Arc<Key>,
    /// Bytes counted so far.
    counted: usize,
}

impl ByteBudget {
    /// The one of the settings.
    pub fn new(limits: &config::Server) -> Arc<Self> {
        Arc::new(Self {
            held: AtomicUsize::new(0),
            most: limits.max_bytes_in_flight,
            most_per_key: limits.max_bytes_in_flight_per_key,
        })
    }

    /// For a body of `key` that begins to arrive.
    pub fn begin(self: &Arc<Self>, key: &Arc<Key>) -> HeldBytes {
        HeldBytes { budget: Arc::clone(self), key: Arc::clone(key), counted: 0 }
    }
}

impl HeldBytes {
    /// Counts a body that has come to `bytes`.
    ///
    /// # Errors
    ///
    /// [`Problem::TooManyBytes`] when all bodies of the key come to too much,
    /// [`Problem::NoBytesLeft`] when those of all keys do.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Problem> {
        let more = bytes.saturating_sub(FREE_BYTES).saturating_sub(self.counted);
        if more == 0 {
            return Ok(());
        }
        self.counted += more;
        // What was one too many is given back with the rest when this is dropped.
        let of_key = self.key.bytes_held().fetch_add(more, Relaxed) + more;
        let of_all = self.budget.held.fetch_add(more, Relaxed) + more;
        if of_key > self.budget.most_per_key {
            Err(Problem::TooManyBytes)
        } else if of_all > self.budget.most {
            Err(Problem::NoBytesLeft)
        } else {
            Ok(())
        }
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.key.bytes_held().fetch_sub(self.counted, Relaxed);
        self.budget.held.fetch_sub(self.counted, Relaxed);
    }
}
