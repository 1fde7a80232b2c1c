//! Lines for who runs the component.

use ragtime_policy::clock::unix_now;

/// The provider's own lines in the log.
#[allow(clippy::print_stderr, reason = "standard error is a stock runtime's log")]
pub(crate) fn log(level: &str, message: &str, error: &str) {
    let line = serde_json::json!({
        "time": unix_now(), "level": level, "message": message, "error": error,
    });
    eprintln!("{line}");
}
