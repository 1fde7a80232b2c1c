//! A connection to PostgreSQL that is made again when it is lost.

use std::sync::Arc;
use std::time::Duration;

use postgres::config::{Host, SslMode, TargetSessionAttrs};
use postgres::error::SqlState;
use postgres::{Client, Config, NoTls};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Settings;
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
    /// The connection that a transaction was begun on is lost, and the transaction with it.
    #[error("postgres: the connection was lost")]
    Lost,
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
            Self::Lost => true,
        }
    }
}

impl From<Broken> for OpenError {
    fn from(broken: Broken) -> Self {
        Self::Fleet(broken.to_string())
    }
}

/// A connection, or the means to make one.
pub(crate) struct Link {
    config: Config,
    tls: MakeRustlsConnect,
    /// The schema of the fleet's tables. [`Settings::check`] makes sure that it is a
    /// plain identifier, so it may stand in a statement.
    schema: String,
    client: Option<Client>,
}

impl Link {
    /// Prepares a connection; none is made yet.
    pub(crate) fn new(settings: &Settings) -> Result<Self, OpenError> {
        // The certificate is verified, with the name, whenever there is TLS, so these two
        // ask for what is done anyhow. The client library does not know them.
        let url = ["verify-full", "verify-ca"].iter().fold(settings.url.clone(), |url, mode| {
            url.replace(&format!("sslmode={mode}"), "sslmode=require")
        });
        let form = "fleet.postgres is no URL of the form postgresql://USER:PASSWORD@HOST/DATABASE";
        let mut config: Config = url.parse().map_err(|_| OpenError::Fleet(form.into()))?;
        config
            .application_name("ragtime")
            // A standby answers from before, and is not asked.
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives_idle(SILENCE)
            .keepalives_interval(ASK_EVERY)
            .keepalives_retries(QUESTIONS)
            .tcp_user_timeout(SILENCE);
        if config.get_ssl_mode() == SslMode::Prefer {
            // A password must not cross a network in the clear because nobody said how.
            let local = config.get_hosts().iter().all(is_local);
            config.ssl_mode(if local { SslMode::Disable } else { SslMode::Require });
        }
        let tls = MakeRustlsConnect::new(tls(settings)?);
        Ok(Self { config, tls, schema: settings.schema.clone(), client: None })
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
            None if self.config.get_ssl_mode() == SslMode::Disable => self.config.connect(NoTls)?,
            None => self.config.connect(self.tls.clone())?,
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

fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => ["localhost", "127.0.0.1", "::1"].contains(&name.as_str()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

fn tls(settings: &Settings) -> Result<rustls::ClientConfig, OpenError> {
    let failed = |error: rustls::Error| OpenError::Fleet(format!("TLS: {error}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let Some(file) = &settings.ca_file else {
        return Ok(builder.with_platform_verifier().map_err(failed)?.with_no_client_auth());
    };
    let unreadable = |error: &dyn std::fmt::Display| {
        OpenError::Fleet(format!("fleet.postgres_ca: {}: {error}", file.display()))
    };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unreadable(&error))? {
        let certificate = certificate.map_err(|error| unreadable(&error))?;
        roots.add(certificate).map_err(|error| unreadable(&error))?;
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
