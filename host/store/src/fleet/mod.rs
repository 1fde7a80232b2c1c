//! Many hosts on one PostgreSQL, with the promises of one.
//!
//! PostgreSQL keeps a log: what each write changed, row by row, in one order
//! ([`entry`]). Every host has the whole database in SQLite and its indexes beside it, as
//! a host that is alone has them, and brings both up to the end of the log ([`log`]).
//! Before it answers a request it has made sure that it is there ([`fence`]). So what one
//! host has acknowledged every host has, and no host answers that cannot know.
//!
//! SQLite is a copy here: a host without one, or with one that the log has left behind,
//! takes the last [`snapshot`] and follows from there.

mod address;
mod apply;
mod components;
mod entry;
mod examine;
mod fence;
mod link;
mod log;
mod mark;
mod member;
mod position;
mod presence;
mod record;
mod searchable;
mod snapshot;
mod start;
mod store;
mod tables;
#[cfg(test)]
mod tests;
mod tls;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ragtime_policy::clock::since_epoch;
use ragtime_policy::rollout::Host;
use tokio::sync::watch;

use apply::TakenIn;
pub use components::keep_components;
pub use examine::{Examination, Schema, Standbys, Way, check, examine};
pub use fence::NotCurrent;
use fence::Waits;
use link::Link;
pub(crate) use log::{Log, Lost, TakeIn};
use mark::Mark;
pub(crate) use member::{Member, Memory, Presence};
use position::Position;
pub use presence::{HostStatus, Overview, overview};
pub(crate) use searchable::Announcer;
pub use start::import;
use start::join;

pub use crate::tls_fault::{SharedServer, TlsFault};
use crate::types::{Error, OpenError};

/// How a host takes part in a fleet.
#[derive(Clone)]
pub struct Settings {
    /// Where PostgreSQL is, as a URL; it may hold a password.
    pub url: String,
    /// The schema of the fleet's tables: one fleet each.
    pub schema: String,
    /// Certificates that PostgreSQL's may be signed by, as PEM; none for those that the
    /// operating system trusts.
    pub ca_file: Option<PathBuf>,
    /// What the host is called where the hosts are listed, for people.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// How long a request waits until this host has what others have written.
    pub max_wait: Duration,
    /// How long a host that starts waits for PostgreSQL.
    pub start_patience: Duration,
    /// Bytes of the log after which it begins again with a snapshot, if the last snapshot
    /// is not larger.
    pub snapshot_bytes: u64,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// The longest name of a schema that PostgreSQL does not cut off.
const MAX_SCHEMA: usize = 63;

impl Settings {
    /// Whether the schema is a plain identifier.
    fn check(&self) -> Result<(), OpenError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let begins = self.schema.bytes().next().is_some_and(|first| !first.is_ascii_digit());
        if begins && self.schema.bytes().all(plain) && self.schema.len() <= MAX_SCHEMA {
            return Ok(());
        }
        Err(OpenError::Fleet(
            "fleet.schema must be of lower-case letters, digits and _, and not begin with a digit"
                .into(),
        ))
    }
}

/// What the threads of a host share.
pub(crate) struct Fleet {
    /// This process, a UUID.
    host: String,
    /// What it is called, for people.
    name: Mutex<String>,
    version: String,
    max_wait: Duration,
    /// The last entry that is in this host's database and memory.
    position: Mark,
    /// That entry with what it is known by.
    last: Mutex<(u64, String)>,
    /// The last entry there is, as of the last look.
    head: Mark,
    /// Up to which chunk this host's indexes are.
    indexed: Mark,
    /// Up to which chunk some host has said that search finds everything.
    searchable: Mark,
    /// Whether this host does what one host has to do: make vectors, retire old chunks, clean up.
    leads: AtomicBool,
    /// Whether this host can do it.
    can_lead: AtomicBool,
    /// The hosts that live, this one among them; empty until it knows.
    hosts: Mutex<Vec<Host>>,
    /// The generation that this host serves, and the SHA-256 of its component.
    handler: Mutex<(u64, String)>,
    reached: Mutex<Result<(), String>>,
    /// Since when PostgreSQL owes an answer to the fence.
    asked_at: Mutex<Option<Instant>>,
    /// Milliseconds that PostgreSQL's clock is ahead of this machine's.
    clock_ahead_ms: AtomicI64,
    requests: Mutex<Option<Sender<Waits>>>,
    keys_changed: Mutex<Option<KeysChanged>>,
    handlers_changed: Mutex<Option<HandlersChanged>>,
    /// The way to the components.
    components: Mutex<Option<Link>>,
    ended: watch::Sender<Option<String>>,
}

type KeysChanged = Box<dyn Fn(&[String]) -> Result<(), Error> + Send + Sync>;
type HandlersChanged = Box<dyn Fn() -> Result<(), Error> + Send + Sync>;

impl Fleet {
    fn new(settings: &Settings) -> Self {
        Self {
            host: uuid::Uuid::new_v4().to_string(),
            name: Mutex::new(settings.name.clone()),
            version: settings.version.clone(),
            max_wait: settings.max_wait,
            position: Mark::default(),
            last: Mutex::default(),
            head: Mark::default(),
            indexed: Mark::default(),
            searchable: Mark::default(),
            leads: AtomicBool::new(false),
            can_lead: AtomicBool::new(false),
            hosts: Mutex::default(),
            handler: Mutex::default(),
            reached: Mutex::new(Ok(())),
            asked_at: Mutex::default(),
            clock_ahead_ms: AtomicI64::new(0),
            requests: Mutex::default(),
            keys_changed: Mutex::default(),
            handlers_changed: Mutex::default(),
            components: Mutex::default(),
            ended: watch::Sender::new(None),
        }
    }

    /// Resolves once this host has all that was acknowledged before.
    pub(crate) async fn fence(&self) -> Result<(), NotCurrent> {
        let requests = self.requests.lock().clone();
        // What this host has is of no worth any more.
        let requests = requests.filter(|_| self.ended.borrow().is_none());
        match requests {
            Some(requests) => fence::wait(&requests, self).await,
            None => Err(NotCurrent::Unreachable),
        }
    }

    /// Waits until this host's indexes have what some host has called searchable.
    pub(crate) fn wait_indexed(&self) -> Result<(), Error> {
        if self.indexed.wait_for(self.searchable.get(), self.max_wait) {
            return Ok(());
        }
        Err(Error::Busy { retry_after: self.max_wait })
    }

    /// Whether this host does what one host has to do.
    pub(crate) fn leads(&self) -> bool {
        self.leads.load(Relaxed)
    }

    /// Says whether it can.
    pub(crate) fn set_can_lead(&self, can: bool) {
        self.can_lead.store(can, Relaxed);
    }

    /// Hosts that live, this one among them.
    pub(crate) fn live_hosts(&self) -> u32 {
        u32::try_from(self.hosts.lock().len()).unwrap_or(u32::MAX).max(1)
    }

    /// Names the handler that this host serves.
    pub(crate) fn set_handler(&self, generation: u64, sha256: &str) {
        *self.handler.lock() = (generation, sha256.to_owned());
    }

    /// This host, as the others know it.
    pub(crate) fn host(&self) -> Host {
        Host { id: self.host.clone(), name: self.name() }
    }

    fn name(&self) -> String {
        self.name.lock().clone()
    }

    /// Calls this host so from the next beat on.
    pub(crate) fn set_name(&self, name: String) {
        *self.name.lock() = name;
    }

    /// The hosts that live, as of the last beat.
    pub(crate) fn live(&self) -> Vec<Host> {
        self.hosts.lock().clone()
    }

    /// What to do after handlers or a rollout have changed, before any request sees it.
    pub(crate) fn on_handlers_changed(&self, take_in: HandlersChanged) {
        *self.handlers_changed.lock() = Some(take_in);
    }

    /// Handlers or a rollout have changed.
    pub(crate) fn handlers_have_changed(&self) {
        let taken = self.handlers_changed.lock().as_ref().map_or(Ok(()), |take_in| take_in());
        if let Err(error) = taken {
            tracing::error!(%error, "which handler serves cannot be read");
            self.end("the handlers cannot be read");
        }
    }

    /// Runs `work` on the connection for components.
    pub(crate) fn with_components<R>(
        &self,
        work: impl FnOnce(&mut Link) -> Result<R, link::Broken>,
    ) -> Result<R, Error> {
        let mut link = self.components.lock();
        let link =
            link.as_mut().ok_or_else(|| Error::Internal("the fleet is not joined".into()))?;
        work(link).map_err(|error| Error::Internal(error.to_string()))
    }

    /// What to do after keys with these ids have changed, before any request sees it.
    pub(crate) fn on_keys_changed(&self, take_in: KeysChanged) {
        *self.keys_changed.lock() = Some(take_in);
    }

    /// Keys with these ids have changed.
    pub(crate) fn keys_have_changed(&self, ids: &[String]) {
        let taken = self.keys_changed.lock().as_ref().map_or(Ok(()), |take_in| take_in(ids));
        if let Err(error) = taken {
            tracing::error!(%error, "keys that were changed cannot be read");
            self.end("the keys cannot be read");
        }
    }

    /// This host has everything up to this entry, in its database and in memory.
    fn advance(&self, to: &Position) {
        // Before who waits for the entry is woken: they ask for it by this.
        *self.last.lock() = (to.n, to.token.clone());
        self.position.raise(to.n);
    }

    /// Seconds since the Unix epoch, by PostgreSQL's clock.
    pub(crate) fn now(&self) -> u64 {
        let ahead = self.clock_ahead_ms.load(Relaxed);
        u64::try_from(unix_ms().saturating_add(ahead) / 1_000).unwrap_or(0)
    }

    /// Why this host must not go on, if it must not; for whoever ends it.
    pub(crate) fn ended(&self) -> watch::Receiver<Option<String>> {
        self.ended.subscribe()
    }

    /// What this host has is not what the log says, and no catching up mends that: it has
    /// to be started again, from a snapshot.
    fn end(&self, reason: &str) {
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            if first {
                tracing::error!(reason, "this host has to be started again");
                *ended = Some(reason.to_owned());
            }
            first
        });
    }

    fn set_reached(&self, reached: Result<(), String>) {
        let mut before = self.reached.lock();
        match (&*before, &reached) {
            (Ok(()), Err(error)) => {
                tracing::error!(error, "PostgreSQL cannot be reached; this host does not answer");
            }
            (Err(_), Ok(())) => tracing::info!("PostgreSQL is reached again"),
            _ => {}
        }
        *before = reached;
    }

    /// How this host stands in its fleet.
    pub(crate) fn status(&self) -> Status {
        let (position, head) = (self.position.get(), self.head.get());
        let owes = self.asked_at.lock().is_some_and(|at| at.elapsed() > self.max_wait);
        Status {
            reached: self.reached.lock().is_ok() && !owes,
            behind: head.saturating_sub(position),
            unindexed: self.searchable.get().saturating_sub(self.indexed.get()),
            leads: self.leads(),
            live_hosts: self.live_hosts(),
        }
    }

    /// Ends the threads that serve requests of this host.
    pub(crate) fn close(&self) {
        self.requests.lock().take();
    }
}

/// How a host stands in its fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Whether PostgreSQL answered last.
    pub reached: bool,
    /// Entries of the log that this host lacks.
    pub behind: u64,
    /// Chunks that another host finds and this one does not yet.
    pub unindexed: u64,
    /// Whether this host makes vectors and cleans up for all.
    pub leads: bool,
    /// Hosts that live, this one among them.
    pub live_hosts: u32,
}

/// What entry `n` is known by, as an expression: by the log, or by the snapshot that
/// stands for what is not in the log any more.
fn known_as(schema: &str, n: u64) -> String {
    format!(
        "coalesce((SELECT token FROM {schema}.log WHERE n = {n}),
                  (SELECT token FROM {schema}.snapshots WHERE n = {n}))"
    )
}

/// Milliseconds since the Unix epoch, by this machine's clock.
fn unix_ms() -> i64 {
    i64::try_from(since_epoch().as_millis()).unwrap_or(i64::MAX)
}

/// Whether a database is the copy of a fleet's host.
pub(crate) fn is_copy(db: &rusqlite::Connection) -> Result<bool, Error> {
    Ok(position::Position::of(db)?.is_some())
}
