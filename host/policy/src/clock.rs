//! The machine's clock, for who hands the time to a rule; no rule reads it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time since the Unix epoch; zero on a machine whose clock is before it.
#[expect(clippy::disallowed_methods, reason = "the one place that reads it")]
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Seconds since the Unix epoch.
pub fn unix_now() -> u64 {
    since_epoch().as_secs()
}
