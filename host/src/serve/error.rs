//! Why a server could not start.

use std::io;
use std::net::SocketAddr;

use ragtime_policy::bucket::LEAST_BURST;
use ragtime_store::OpenError;
use ragtime_store::fleet::SharedServer;

use crate::blocking::Panicked;
use crate::config::ConfigError;
use crate::keyring::{BudgetsError, KeyringError};
use crate::{backup, logging};
use crate::{model, tls};

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The settings cannot be read.
    #[error("the settings cannot be used: {0}")]
    Config(#[from] ConfigError),
    /// The log level cannot be understood.
    #[error(transparent)]
    Log(#[from] logging::InvalidLevel),
    /// The store cannot be opened.
    #[error("the store cannot be opened: {0}")]
    Open(#[from] OpenError),
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[from] ragtime_store::Error),
    /// The first key could not be made.
    #[error("the first key could not be made: {0}")]
    Key(#[from] KeyringError),
    /// The settings of a model.
    #[error(transparent)]
    Models(#[from] crate::config::InvalidModel),
    /// A model that cannot be waited for.
    #[error(transparent)]
    ModelStart(#[from] model::StartError),
    /// A listener cannot speak TLS.
    #[error(transparent)]
    Tls(#[from] tls::StartError),
    /// `auth.bootstrap_key` is not a key.
    #[error("auth.bootstrap_key is not of the form rt_ID_SECRET")]
    BootstrapKey,
    /// `auth.burst` never pays for an answer.
    #[error(
        "auth.burst is {0} and must be at least {LEAST_BURST}, which is what an answer costs: no \
         key with it could ever ask for one"
    )]
    Burst(u32),
    /// `auth.rate_per_minute` gives nothing back.
    #[error("auth.rate_per_minute must be at least 1, or what a key has spent never comes back")]
    Rate,
    /// The handler's file cannot be read.
    #[error("the handler {path} cannot be read: {error}")]
    HandlerFile {
        /// The file.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// The handler does not compile, or asks for what the host does not have.
    #[error("the handler cannot be served: {0:#}")]
    Handler(wasmtime::Error),
    /// The handler that served last is not where it was kept.
    #[error("the handler that served last, {0}, is not kept any more")]
    HandlerGone(String),
    /// The engine cannot start.
    #[error("the WebAssembly engine cannot start: {0:#}")]
    Engine(wasmtime::Error),
    /// The port is taken, or not ours to take.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The client for the language model cannot be set up.
    #[error("the client for generator.url cannot be set up: {0}")]
    Generator(#[from] reqwest::Error),
    /// The handler that served last cannot be read.
    #[error("the handler that served last cannot be read: {0}")]
    Handlers(#[from] crate::swap::SwapError),
    /// The embedding model could not be fetched.
    #[error("the embedding model could not be fetched: {0}")]
    Model(#[from] ragtime_embed::files::FetchError),
    /// The Redis of the fleet cannot be used.
    #[error(transparent)]
    Budgets(#[from] BudgetsError),
    /// Backups are wanted, and cannot be made by the settings.
    #[error("backups cannot be made: {0}")]
    Backup(#[from] backup::BackupError),
    /// The host of a fleet cannot go on with what it has.
    #[error("this host has to be started again: {0}")]
    RestartNeeded(String),
    /// A step of the start panicked.
    #[error(transparent)]
    Panicked(#[from] Panicked),
    /// The operating system refused something else.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ServeError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Config(_) => Some("ragtime.example.toml lists every setting with its default"),
            Self::Open(OpenError::FleetTls(fault)) => Some(fault.advice(SharedServer::Postgres)),
            Self::Budgets(BudgetsError::Tls(fault)) => Some(fault.advice(SharedServer::Redis)),
            Self::Budgets(_) => Some("docs/fleet.md says how hosts share budgets"),
            Self::Open(OpenError::Fleet(_) | OpenError::NotOfFleet | OpenError::OfFleet) => {
                Some("docs/fleet.md says what hosts of a fleet need")
            }
            Self::Open(_) => Some("set data.dir (or --data-dir) to a folder this user may write"),
            Self::Tls(start) => Some(start.error.hint()),
            Self::Handler(_) => Some("the world a handler targets is in wit/world.wit"),
            Self::RestartNeeded(_) => Some("start it again: it takes what the others have"),
            Self::HandlerGone(_) => Some(
                "--handler FILE.wasm serves another, --handler built-in the one in this binary",
            ),
            Self::Listen { .. } => {
                Some("port 0 takes a free port: --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0")
            }
            _ => None,
        }
    }
}
