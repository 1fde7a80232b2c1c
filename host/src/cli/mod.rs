//! Commands that talk to a server over HTTP, or look after its data.

mod context;
pub mod data;
pub mod doctor;
mod error;
pub mod eval;
pub mod fleet;
pub mod guest;
pub mod health;
pub mod ingest;
pub mod keys;
pub mod mcp;
mod metrics;
pub mod models;
pub mod out;
pub mod query;
pub mod search;
pub mod shell;
mod trust;

use serde_json::Value;

pub use context::{Connection, Context, Key};
pub use error::{CliError, outcome};
pub use trust::Trust;

/// A string of an answer, or nothing.
fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A list of an answer, or nothing.
fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A count of an answer, or zero.
fn count(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or(0)
}
