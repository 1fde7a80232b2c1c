//! Panics of the host itself: a bug, contained to the requests it happens in,
//! and told.

use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::keyring::unix_now;
use crate::telemetry::Telemetry;

/// How long readiness tells of a panic, in seconds.
const RECENT_SECONDS: u64 = 60;

/// When the last one was, in seconds since the Unix epoch; 0 for never.
static LAST: AtomicU64 = AtomicU64::new(0);

/// From now on panics are counted, and told as lines of the log. A message may
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

/// Panics where a test has ordered it: in a debug build that was started with
/// `RAGTIME_FAULT` set to this place, at the text that asks for it.
#[cfg(debug_assertions)]
#[allow(clippy::panic, reason = "it is the order")]
#[track_caller]
pub fn ordered(place: &str, text: &str) {
    if text == "panic now" && std::env::var("RAGTIME_FAULT").is_ok_and(|fault| fault == place) {
        panic!("ordered: {text}");
    }
}

/// Nothing, in a release build.
#[cfg(not(debug_assertions))]
pub fn ordered(_place: &str, _text: &str) {}
