//! Settings: flags over environment over one TOML file over defaults.
//!
//! Every limit is here, with its unit in its name, and the reason for its
//! default beside it. Unknown keys are errors.

mod admin;
mod backup;
mod data;
mod fleet;
mod generator;
mod handler;
mod models;
mod server;
mod tls;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use admin::Admin;
pub use backup::{Backup, S3};
pub use data::Data;
pub use fleet::{Fleet, WithoutRedis};
pub use generator::{Generator, GeneratorName, Model, ModelSource, Rewrite};
pub use handler::{Handler, Isolation, Swap};
pub use models::{
    Embedding, Files, Generation, InvalidModel, Models, Pooling, Precision, RerankShape, Reranking,
    Runs,
};
pub use server::{PublicUrl, Server};
pub use tls::Tls;

/// Everything that can be set.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where and how to listen.
    pub server: Server,
    /// The operator's side.
    pub admin: Admin,
    /// The handler and its bounds.
    pub handler: Handler,
    /// How a handler is replaced.
    pub swap: Swap,
    /// Where documents live.
    pub data: Data,
    /// Copies of them.
    pub backup: Backup,
    /// Hosts that share documents and keys.
    pub fleet: Fleet,
    /// Keys and budgets.
    pub auth: Auth,
    /// The built-in embedding model.
    pub model: Model,
    /// Other models.
    pub models: Models,
    /// Who answers questions.
    pub generator: Generator,
    /// What is logged, and how.
    pub log: Log,
    /// Where traces go.
    pub telemetry: Telemetry,
}

/// `[auth]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// The first admin key, for set-ups that hand it in from outside. Without
    /// it the first start makes one and shows it once.
    pub bootstrap_key: Option<Secret>,
    /// Units a key regains per minute, unless the key says otherwise.
    pub rate_per_minute: u32,
    /// Units a key may spend at once, unless the key says otherwise.
    pub burst: u32,
    /// Requests of one key at work at once: half of `server.max_requests`, so
    /// that one client cannot take every slot.
    pub max_concurrent: u32,
    /// Credentials that are not accepted, from one address (IPv6: from one /64
    /// network) in a row, before its credentials are not looked at any more. A
    /// secret has 256 bits, so this is against noise rather than guessing.
    pub failure_burst: u32,
    /// How many more it may try per minute.
    pub failures_per_minute: u32,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            bootstrap_key: None,
            rate_per_minute: ragtime_policy::bucket::DEFAULT_RATE_PER_MINUTE,
            burst: ragtime_policy::bucket::DEFAULT_BURST,
            max_concurrent: 256,
            failure_burst: 100,
            failures_per_minute: 60,
        }
    }
}

/// `[log]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// A level, or directives as in `info,ragtime=debug`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, level: "info".into() }
    }
}

/// `[telemetry]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// The base of an OpenTelemetry collector, for example
    /// `http://127.0.0.1:4318`. Without it traces are passed on and not
    /// exported.
    pub otlp_endpoint: Option<String>,
    /// Headers for it, for example a token.
    pub otlp_headers: std::collections::BTreeMap<String, Secret>,
    /// The name of this service there.
    pub service_name: String,
    /// The share of traces that are exported, 0 to 1, of those that begin here.
    /// For others the caller has decided.
    pub sample_ratio: f64,
    /// Spans that wait to be exported; further ones are dropped and counted.
    /// One takes about 1 kB.
    pub max_waiting_spans: usize,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            otlp_headers: std::collections::BTreeMap::new(),
            service_name: "ragtime".into(),
            sample_ratio: 1.0,
            max_waiting_spans: 2_048,
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

/// A value that does not print.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

/// What stands in the place of one.
const HIDDEN: &str = "[secret]";

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

impl Secret {
    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// Why settings could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(#[from] config::ConfigError);

/// The file read when none is named, if it exists.
pub const DEFAULT_FILE: &str = "ragtime.toml";

impl Settings {
    /// Reads `file` (or [`DEFAULT_FILE`] when it exists) and the environment
    /// (`RAGTIME_SECTION__KEY`).
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let source = match file {
            Some(path) => config::File::from(path).required(true),
            None => config::File::from(Path::new(DEFAULT_FILE)).required(false),
        };
        let environment = config::Environment::with_prefix("RAGTIME")
            .prefix_separator("_")
            .separator("__")
            .try_parsing(true)
            .source(Some(sections_of(std::env::vars())));
        let settings = config::Config::builder()
            .add_source(source.format(config::FileFormat::Toml))
            .add_source(environment)
            .build()?;
        Ok(settings.try_deserialize()?)
    }
}

/// `RAGTIME_KEY` and `RAGTIME_SERVER` are the client's and no section, so only
/// names with a section count.
fn sections_of(vars: impl Iterator<Item = (String, String)>) -> config::Map<String, String> {
    vars.filter(|(name, _)| name.starts_with("RAGTIME_") && name.contains("__")).collect()
}

/// Where models are kept that are fetched.
fn models_folder() -> PathBuf {
    user_dir("XDG_CACHE_HOME", ".cache").join("ragtime/models")
}

fn user_dir(variable: &str, under_home: &str) -> PathBuf {
    match std::env::var_os(variable).filter(|value| !value.is_empty()) {
        Some(dir) => PathBuf::from(dir),
        None => std::env::home_dir().unwrap_or_else(|| PathBuf::from(".")).join(under_home),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(toml: &str) -> Result<Settings, config::ConfigError> {
        config::Config::builder()
            .add_source(config::File::from_str(toml, config::FileFormat::Toml))
            .build()?
            .try_deserialize()
    }

    #[test]
    fn the_example_file_states_the_defaults() {
        let example = parse(include_str!("../../ragtime.example.toml")).unwrap();
        assert_eq!(format!("{example:?}"), format!("{:?}", Settings::default()));
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let error = parse("[server]\nlisten_on = '127.0.0.1:1'").unwrap_err().to_string();
        assert!(error.contains("listen_on"), "{error}");
    }

    #[test]
    fn a_secret_does_not_print() {
        let settings = parse("[auth]\nbootstrap_key = 'rt_a_b'").unwrap();
        assert!(!format!("{settings:?}").contains("rt_a_b"));
    }

    #[test]
    fn the_clients_variables_are_not_settings() {
        let vars = [("RAGTIME_KEY", "x"), ("RAGTIME_DATA__DIR", "/d"), ("OTHER__X", "y")];
        let kept = sections_of(vars.iter().map(|(k, v)| (k.to_string(), v.to_string())));
        assert_eq!(kept.len(), 1);
    }
}
