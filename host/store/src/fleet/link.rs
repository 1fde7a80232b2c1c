//! A connection to PostgreSQL that is made again when it is lost.

use std::time::Duration;

use postgres::config::TargetSessionAttrs;
use postgres::error::SqlState;
use postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Settings;
use super::address::Address;
use super::tls;
use crate::tls_fault::TlsFault;
use crate::types::OpenError;

/// How long the server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long bytes may stay unacknowledged, and a connection idle, before the operating
/// system asks whether the other side is still there. Without it a cut network looks
/// like a slow query for many minutes.
const SILENCE: Duration = Duration::from_secs(5);
/// How often it asks then, and after how many questions without an answer the connection
/// is lost.
const ASK_EVERY: Duration = Duration::from_secs(2);
const QUESTIONS: u32 = 3;

/// Why a statement did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// What PostgreSQL or the way to it says.
    #[error("postgres: {}", text(.0))]
    Postgres(#[from] postgres::Error),
    /// The server cannot be spoken to by TLS.
    #[error("PostgreSQL: {0}")]
    Tls(#[from] TlsFault),
    /// The connection that a transaction was begun on is lost, and the transaction with it.
    #[error("postgres: the connection was lost")]
    Lost,
}

/// What the client library says of a server that has no TLS.
const WITHOUT_TLS: &str = "server does not support TLS";

/// Why no connection was made. A fault of TLS is kept apart, as only a person can mend it.
fn of_connecting(error: postgres::Error) -> Broken {
    let source = std::error::Error::source(&error);
    if source.is_some_and(|source| source.to_string() == WITHOUT_TLS) {
        return TlsFault::NotSpoken.into();
    }
    match TlsFault::behind(&error) {
        Some(fault) => fault.into(),
        None => error.into(),
    }
}

/// By itself the client library says no more than "db error". It names the server's host
/// and never the password.
fn text(error: &postgres::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

impl Broken {
    /// Whether the connection was at fault: the server ended, or the way to it was cut.
    /// A connection that was made before may be so without anybody having noticed.
    fn is_of_the_connection(&self) -> bool {
        match self {
            Self::Postgres(error) => error.code().is_none_or(|code| {
                [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN].contains(code)
            }),
            Self::Lost | Self::Tls(_) => true,
        }
    }
}

impl From<Broken> for OpenError {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Tls(fault) => Self::FleetTls(fault),
            Broken::Postgres(_) | Broken::Lost => Self::Fleet(broken.to_string()),
        }
    }
}

/// A connection, or the means to make one.
pub(crate) struct Link {
    config: Config,
    /// How what is sent is encrypted; none where it is not.
    tls: Option<MakeRustlsConnect>,
    /// The schema of the fleet's tables. [`Settings::check`] makes sure that it is a
    /// plain identifier, so it may stand in a statement.
    schema: String,
    client: Option<Client>,
}

impl Link {
    /// Prepares a connection; none is made yet.
    pub(crate) fn new(settings: &Settings) -> Result<Self, OpenError> {
        let mut address = Address::read(settings)?;
        address
            .config
            .application_name("ragtime")
            // A standby answers from before, and is not asked.
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives_idle(SILENCE)
            .keepalives_interval(ASK_EVERY)
            .keepalives_retries(QUESTIONS)
            .tcp_user_timeout(SILENCE);
        let tls = match address.is_encrypted() {
            true => Some(MakeRustlsConnect::new(tls::client(address.ca.as_deref())?)),
            false => None,
        };
        Ok(Self { config: address.config, tls, schema: settings.schema.clone(), client: None })
    }

    /// Another connection of the same kind.
    pub(crate) fn another(&self) -> Self {
        Self {
            config: self.config.clone(),
            tls: self.tls.clone(),
            schema: self.schema.clone(),
            client: None,
        }
    }

    /// The schema of the tables.
    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    /// The connection, made if there is none.
    pub(crate) fn client(&mut self) -> Result<&mut Client, Broken> {
        if self.client.as_ref().is_some_and(Client::is_closed) {
            self.client = None;
        }
        let client = match self.client.take() {
            Some(client) => client,
            None => match &self.tls {
                Some(tls) => self.config.connect(tls.clone()),
                None => self.config.connect(NoTls),
            }
            .map_err(of_connecting)?,
        };
        Ok(self.client.insert(client))
    }

    /// Runs `work`. A connection on which something failed is not used again: nobody
    /// knows what it is in the middle of.
    pub(crate) fn run<R>(
        &mut self,
        work: impl FnOnce(&mut Client, &str) -> Result<R, postgres::Error>,
    ) -> Result<R, Broken> {
        self.client()?;
        self.go_on(work)
    }

    /// The same for work that may be done twice: where a connection that was made before is
    /// lost, as after a failover, a new one is tried.
    pub(crate) fn ask<R>(
        &mut self,
        work: impl Fn(&mut Client, &str) -> Result<R, postgres::Error>,
    ) -> Result<R, Broken> {
        let was_there = self.client.is_some();
        match self.run(&work) {
            Err(broken) if was_there && broken.is_of_the_connection() => self.run(&work),
            done => done,
        }
    }

    /// The same for work that goes on with a transaction: on another connection it would
    /// run without that.
    pub(crate) fn go_on<R>(
        &mut self,
        work: impl FnOnce(&mut Client, &str) -> Result<R, postgres::Error>,
    ) -> Result<R, Broken> {
        let client = self.client.as_mut().ok_or(Broken::Lost)?;
        let done = work(client, &self.schema);
        if done.is_err() {
            self.client = None;
        }
        Ok(done?)
    }

    /// Lets go of the connection, and of what was begun on it.
    pub(crate) fn drop_connection(&mut self) {
        self.client = None;
    }
}
