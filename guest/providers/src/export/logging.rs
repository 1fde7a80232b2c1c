//! `ragtime:logging/log`: one JSON object a line, on standard error.

use serde_json::{Map, Value};

use super::Provider;
use crate::bindings::log as wit;
use ragtime_policy::clock::unix_now;

/// Bytes of one line's message, and of each field: as much as the host keeps by
/// default.
const MAX_BYTES: usize = 8_192;

impl wit::Guest for Provider {
    #[allow(clippy::print_stderr, reason = "standard error is a stock runtime's log")]
    fn write(level: wit::Level, message: String, fields: Vec<(String, String)>) {
        let level = match level {
            wit::Level::Trace => "trace",
            wit::Level::Debug => "debug",
            wit::Level::Info => "info",
            wit::Level::Warn => "warn",
            wit::Level::Error => "error",
        };
        let fields: Map<_, _> =
            fields.into_iter().map(|(name, value)| (name, cut(&value).into())).collect();
        let line = serde_json::json!({
            "time": unix_now(), "level": level, "message": cut(&message),
            "fields": Value::Object(fields),
        });
        eprintln!("{line}");
    }
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_BYTES)).unwrap_or(text)
}
