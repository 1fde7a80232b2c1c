//! The structured log: JSON or readable lines on stderr.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts the log. Lines go to stderr; stdout is for data.
pub fn start(settings: &Log) -> Result<(), InvalidLevel> {
    let filter = EnvFilter::try_new(&settings.level)
        .map_err(|error| InvalidLevel(settings.level.clone(), error.to_string()))?;
    let terminal = std::io::stderr().is_terminal();
    let json = match settings.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start (tests in one process) keeps the first subscriber.
    let _ = if json {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    } else {
        lines.with_ansi(terminal).with_target(false).compact().try_init()
    };
    Ok(())
}

/// The log level cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("log.level \"{0}\" is not a level or a list of directives: {1}")]
pub struct InvalidLevel(String, String);
