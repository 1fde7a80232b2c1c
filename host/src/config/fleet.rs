//! Hosts that share documents and keys.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

use serde::{Deserialize, Serialize};

use super::Secret;

/// `[fleet]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fleet {
    /// The PostgreSQL (15 or newer) that the hosts share, as a URL:
    /// `postgresql://USER:PASSWORD@HOST/DATABASE`. Without it a host is alone.
    pub postgres: Option<Secret>,
    /// A file with the certificates that PostgreSQL's may be signed by; `sslrootcert` in the
    /// URL says so too. Without either those count that the operating system trusts.
    pub postgres_ca: Option<PathBuf>,
    /// The schema of the fleet's tables: several fleets can share a database.
    pub schema: String,
    /// What the host is called where hosts are listed; each another name. Without it the
    /// name of the machine and the port that it listens on.
    pub name: Option<String>,
    /// How long a request waits until its host has everything that others have
    /// acknowledged; then it gets 503. Catching up takes milliseconds, so this is for a
    /// host or a database that has stalled, and below what most clients bear.
    pub wait_ms: u64,
    /// How long a host that starts waits for PostgreSQL: what a database takes that
    /// starts beside it, or that a standby takes the place of.
    pub start_wait_ms: u64,
    /// Bytes of the log after which it begins again with a snapshot, unless the last
    /// snapshot was larger. A host that starts reads the log since the last one: this much
    /// takes some seconds.
    pub snapshot_log_bytes: u64,
    /// How long the other hosts may take to prepare a handler that one of them offers: as
    /// long as `swap.compile_timeout_ms`, and half a minute to fetch and probe it.
    pub rollout_timeout_ms: u64,
    /// A Redis (7 or newer) or Valkey that keeps the budgets of keys for all hosts, as a
    /// URL: `redis://`, or `rediss://` with TLS. Without it each host gives out its share.
    pub redis: Option<Secret>,
    /// A file with the certificates that its certificate may be signed by. Without it those
    /// count that the operating system trusts.
    pub redis_ca: Option<PathBuf>,
    /// What to do while it does not answer.
    pub without_redis: WithoutRedis,
    /// How long it may take to decide about a request: a hundred times what it takes in
    /// the same data centre.
    pub redis_timeout_ms: u64,
    /// Failures in a row after which it is left alone.
    pub redis_breaker_failures: u32,
    /// For how long then. One request tries again, and costs no more than
    /// `redis_timeout_ms`.
    pub redis_breaker_cooldown_ms: u64,
}

/// What to do while the budgets of all hosts cannot be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WithoutRedis {
    /// Each host gives out its share of a budget.
    Share,
    /// Every request that costs something is refused with 429.
    Refuse,
    /// Every request is let in, and nothing is counted.
    Allow,
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            postgres: None,
            postgres_ca: None,
            schema: "ragtime".into(),
            name: None,
            wait_ms: 2_000,
            start_wait_ms: 30_000,
            snapshot_log_bytes: 256 * 1024 * 1024,
            rollout_timeout_ms: 330_000,
            redis: None,
            redis_ca: None,
            without_redis: WithoutRedis::Share,
            redis_timeout_ms: 20,
            redis_breaker_failures: 5,
            redis_breaker_cooldown_ms: 1_000,
        }
    }
}

impl Fleet {
    /// What the store needs to be part of the fleet; none for a host that is alone. `name`
    /// is what the host is called.
    pub fn store(&self, name: String) -> Option<ragtime_store::fleet::Settings> {
        let url = self.postgres.as_ref()?.expose().to_owned();
        Some(ragtime_store::fleet::Settings {
            url,
            schema: self.schema.clone(),
            ca_file: self.postgres_ca.clone(),
            name,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            max_wait: Duration::from_millis(self.wait_ms),
            start_patience: Duration::from_millis(self.start_wait_ms),
            snapshot_bytes: self.snapshot_log_bytes,
        })
    }

    /// What a host is called that listens there.
    pub fn name_at(&self, listen: SocketAddr) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None => default_name(machine().as_deref(), listen),
        }
    }
}

/// Hosts listen on one address each of many machines (`0.0.0.0:8080`), so that alone is no
/// name.
fn default_name(machine: Option<&str>, listen: SocketAddr) -> String {
    match machine.map(str::trim).filter(|name| !name.is_empty()) {
        Some(name) => format!("{name}:{}", listen.port()),
        None => listen.to_string(),
    }
}

/// The name of this machine or container, where the operating system gives one.
fn machine() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| env::var("HOSTNAME").ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_the_name_of_its_machine_and_port() {
        let listen = SocketAddr::from(([0, 0, 0, 0], 8080));
        assert_eq!(default_name(Some("rag-0\n"), listen), "rag-0:8080");
        assert_eq!(default_name(Some("\n"), listen), "0.0.0.0:8080");
        assert_eq!(default_name(None, listen), "0.0.0.0:8080");
    }
}
