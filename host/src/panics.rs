//! Panics of the host itself: each is a bug, stays within the requests it happens in,
//! and is counted and logged.

use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::telemetry::Telemetry;
use ragtime_policy::clock::unix_now;

/// How long readiness reports a panic, in seconds.
const RECENT_SECONDS: u64 = 60;

/// When the last one was, in seconds since the Unix epoch; 0 for never.
static LAST: AtomicU64 = AtomicU64::new(0);

/// From now on panics are counted and logged. A message may
/// quote what was at work, a document for one, so it is for `debug`.
pub fn watch(telemetry: Arc<Telemetry>) {
    std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        LAST.store(unix_now(), Relaxed);
        telemetry.metrics.panics.inc();
        let place = info.location().map(ToString::to_string);
        tracing::error!(blame = "host", place, "a panic");
        tracing::debug!(message = info.payload_as_str(), place, "a panic");
    }));
}

/// Whether there was one within the last minute.
pub fn recent() -> bool {
    unix_now().saturating_sub(LAST.load(Relaxed)) < RECENT_SECONDS
}

/// Where a test can have the host fail: panics in a debug build that was started with
/// `RAGTIME_FAULT` set to `PLACE:COLLECTION` of this place and collection. What a client
/// sends has no say in it.
#[cfg(debug_assertions)]
#[allow(clippy::panic, reason = "the test that set the variable asks for it")]
#[track_caller]
pub fn fail_point(place: &str, collection: &str) {
    let fault = std::env::var("RAGTIME_FAULT").unwrap_or_default();
    if fault.split_once(':') == Some((place, collection)) {
        panic!("a fail point: {fault}");
    }
}

/// Nothing, in a release build.
#[cfg(not(debug_assertions))]
pub fn fail_point(_place: &str, _collection: &str) {}
