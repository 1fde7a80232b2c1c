//! `ragtime:logging/log`

use wasmtime::component::Access;

use super::bindings::ragtime::logging::log as wit;
use super::call::current;
use crate::runtime::state::{Capabilities, CapabilityView};

impl wit::Host for CapabilityView<'_> {}

impl<T: 'static> wit::HostWithStore<T> for Capabilities {
    fn write(
        mut access: Access<'_, T, Self>,
        level: wit::Level,
        message: String,
        fields: Vec<(String, String)>,
    ) -> wasmtime::Result<()> {
        let request = current(&mut access)?;
        let mut view = access.get();
        // What is logged after a response is bounded as well.
        let before = match &request {
            Some(request) => request.count_log_line(),
            None => view.count_stray_log_line(),
        };
        let bounds = &view.services.bounds;
        if before >= bounds.max_log_lines {
            if before == bounds.max_log_lines {
                let request_id = request.as_ref().map(|request| request.id.as_str());
                tracing::warn!(blame = "guest", request_id, "further log lines are dropped");
            }
            return Ok(());
        }
        let trace_id = request.as_ref().map(|request| request.trace.trace_id());
        let request_id = request.as_ref().map(|request| request.id.as_str());
        let message = cut(&message, bounds.max_log_bytes);
        let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let fields = fields.join(" ");
        let fields = cut(&fields, bounds.max_log_bytes);
        line(level, request_id, trace_id.as_deref(), message, fields);
        Ok(())
    }
}

/// The levels of `tracing` are part of a line's type, hence one call for each.
fn line(
    level: wit::Level,
    request_id: Option<&str>,
    trace_id: Option<&str>,
    message: &str,
    fields: &str,
) {
    macro_rules! at {
        ($level:ident) => {
            tracing::$level!(target: "ragtime::handler", request_id, trace_id, fields, "{message}")
        };
    }
    match level {
        wit::Level::Trace => at!(trace),
        wit::Level::Debug => at!(debug),
        wit::Level::Info => at!(info),
        wit::Level::Warn => at!(warn),
        wit::Level::Error => at!(error),
    }
}

fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}
