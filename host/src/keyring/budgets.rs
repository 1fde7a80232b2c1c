//! Who counts what keys spend: each host its share, or a Redis or Valkey that the hosts of
//! a fleet take from together.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use std::{fs, io};

use ragtime_policy::breaker::SharedBreaker;
use ragtime_policy::bucket::{Decision, Limits, TokenBucket};
use ragtime_policy::key::KeyId;
use ragtime_policy::shared_bucket::{self, MAX_BURST};
use ragtime_store::fleet::TlsFault;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, ConnectionAddr, RedisError, Script, TlsCertificates};

use crate::config::{Fleet, WithoutRedis};
use crate::upstream;

/// How long a connection may take to be made: with TLS, to another town. Requests do not
/// wait for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Where the budgets of keys are kept.
pub struct Budgets {
    shared: Option<Shared>,
}

/// A server that keeps them for all hosts.
struct Shared {
    connection: ConnectionManager,
    script: Script,
    timeout: Duration,
    cooldown: Duration,
    without: WithoutRedis,
    breaker: SharedBreaker,
    started: Instant,
    fallbacks: AtomicU64,
}

/// Why the server did not decide.
#[derive(Debug, thiserror::Error)]
enum NotDecided {
    #[error("{0}")]
    Failed(#[from] RedisError),
    #[error("it took longer than {0:?}")]
    Slow(Duration),
    #[error("it is left alone after failing too often")]
    Open,
}

/// Why budgets cannot be kept as the settings say.
#[derive(Debug, thiserror::Error)]
pub enum BudgetsError {
    /// The URL is none of a Redis.
    #[error("fleet.redis is not the URL of a Redis: {0}")]
    Url(RedisError),
    /// Certificates are named for a URL that has no use for them.
    #[error("fleet.redis_ca is set, and fleet.redis does not begin with rediss://")]
    WithoutTls,
    /// The certificates that are named cannot be read.
    #[error("fleet.redis_ca: {path}: {error}")]
    Authority {
        /// The file.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// The server cannot be spoken to by TLS.
    #[error("fleet.redis: {0}")]
    Tls(TlsFault),
}

impl Budgets {
    /// As the settings say. Blocking. Nothing is asked yet, but it needs a runtime.
    ///
    /// # Errors
    ///
    /// The settings cannot be used.
    pub fn new(settings: &Fleet) -> Result<Self, BudgetsError> {
        let shared = settings.redis.as_ref().map(|url| Shared::new(url.expose(), settings));
        Ok(Self { shared: shared.transpose()? })
    }

    /// Makes the connection, so that the first request does not wait for it. A server that
    /// is away is asked again by the requests; with one whose certificate is refused nobody
    /// would come to share a budget.
    ///
    /// # Errors
    ///
    /// The server cannot be spoken to by TLS.
    pub async fn connect(&self) -> Result<(), BudgetsError> {
        match &self.shared {
            Some(shared) => shared.connect().await,
            None => Ok(()),
        }
    }

    /// Those of a host that counts by itself.
    #[cfg(test)]
    pub fn own() -> Self {
        Self { shared: None }
    }

    /// Takes `cost` units from the budget that all hosts share; with 0 it looks and takes
    /// nothing. None where this host gives out its share.
    pub async fn take(&self, id: &KeyId, limits: Limits, cost: u32) -> Option<Decision> {
        let shared = self.shared.as_ref().filter(|_| limits.burst <= MAX_BURST)?;
        match shared.take(id, limits, cost).await {
            Ok(decision) => Some(decision),
            Err(_) => shared.without(limits, cost),
        }
    }

    /// How often the server did not decide, since the start.
    pub fn fallbacks(&self) -> u64 {
        self.shared.as_ref().map_or(0, |shared| shared.fallbacks.load(Relaxed))
    }
}

impl Shared {
    fn new(url: &str, settings: &Fleet) -> Result<Self, BudgetsError> {
        let timeout = Duration::from_millis(settings.redis_timeout_ms);
        let limits =
            upstream::limits(settings.redis_breaker_failures, settings.redis_breaker_cooldown_ms);
        // The breaker says when to try again, so the connection does not.
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(timeout));
        let client = client(url, settings.redis_ca.as_deref())?;
        let connection = ConnectionManager::new_lazy_with_config(client, config);
        Ok(Self {
            connection: connection.map_err(BudgetsError::Url)?,
            script: Script::new(shared_bucket::SCRIPT),
            timeout,
            cooldown: limits.cooldown,
            without: settings.without_redis,
            breaker: SharedBreaker::new(limits),
            started: Instant::now(),
            fallbacks: AtomicU64::new(0),
        })
    }

    /// Says hello.
    async fn connect(&self) -> Result<(), BudgetsError> {
        let mut connection = self.connection.clone();
        let Err(error) = redis::cmd("PING").query_async::<()>(&mut connection).await else {
            return Ok(());
        };
        tracing::warn!(%error, "the Redis of the budgets does not answer");
        TlsFault::behind(&error).map_or(Ok(()), |fault| Err(BudgetsError::Tls(fault)))
    }

    async fn take(&self, id: &KeyId, limits: Limits, cost: u32) -> Result<Decision, NotDecided> {
        let asked = async {
            match tokio::time::timeout(self.timeout, self.ask(id, limits, cost)).await {
                Ok(answer) => answer.map_err(NotDecided::from),
                Err(_) => Err(NotDecided::Slow(self.timeout)),
            }
        };
        let now = || self.started.elapsed();
        let asked = self.breaker.guard(now, |_| true, asked).await;
        let (taken, level) = asked.ok_or(NotDecided::Open)?.inspect_err(|error| {
            tracing::warn!(%error, without = ?self.without, "the Redis of the budgets did not decide");
        })?;
        Ok(shared_bucket::decision(limits, cost, taken, level))
    }

    /// Whether the units were taken, and the level then.
    async fn ask(&self, id: &KeyId, limits: Limits, cost: u32) -> Result<(bool, u64), RedisError> {
        let mut connection = self.connection.clone();
        // Ids of keys are random, so fleets can share a server.
        let mut call = self.script.key(format!("ragtime:budget:{id}"));
        call.arg(limits.rate_per_minute).arg(limits.burst).arg(cost);
        call.invoke_async(&mut connection).await
    }

    /// What is decided without the server.
    fn without(&self, limits: Limits, cost: u32) -> Option<Decision> {
        self.fallbacks.fetch_add(1, Relaxed);
        match self.without {
            WithoutRedis::Share => None,
            WithoutRedis::Allow => {
                Some(TokenBucket::new(limits, Duration::ZERO).try_take(Duration::ZERO, cost))
            }
            WithoutRedis::Refuse => {
                let quota = TokenBucket::empty(limits).quota(Duration::ZERO);
                Some(Decision::Exhausted { quota, retry_after: self.cooldown })
            }
        }
    }
}

/// Verifies the server's certificate, with the name, by those in `ca`, or else by those that
/// the operating system trusts. Blocking.
pub fn client(url: &str, ca: Option<&Path>) -> Result<Client, BudgetsError> {
    let client = Client::open(url).map_err(BudgetsError::Url)?;
    let Some(path) = ca else { return Ok(client) };
    if !matches!(client.get_connection_info().addr(), ConnectionAddr::TcpTls { .. }) {
        return Err(BudgetsError::WithoutTls);
    }
    let unreadable = |error| BudgetsError::Authority { path: path.display().to_string(), error };
    let root_cert = Some(fs::read(path).map_err(unreadable)?);
    let certificates = TlsCertificates { client_tls: None, root_cert };
    Client::build_with_tls(url, certificates)
        .map_err(|error| unreadable(io::Error::other(error.to_string())))
}
