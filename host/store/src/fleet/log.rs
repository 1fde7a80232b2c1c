//! The writer's side of the log: a group of writes becomes one entry.
//!
//! The row of the fleet is locked from before the first write of a group is decided until
//! the entry is committed. So entries come one after the other, each made on top of all
//! those before it, and what a write decides by (a condition, the last admin key, the
//! next number) is what holds at that place in the order.

use std::time::Duration;

use postgres::SimpleQueryMessage;
use postgres::types::Type;
use rusqlite::Connection;

use super::apply::{TakenIn, apply};
use super::entry::{Entry, changed_keys, changes_handlers};
use super::link::{Broken, Link};
use super::position::Position;
use super::record::Recorder;
use super::{Fleet, known_as};
use crate::types::Error;

/// Entries that are taken in by one transaction, at most, and their bytes beyond the first.
const AT_ONCE: i64 = 64;
const BYTES_AT_ONCE: i64 = 8 * 1024 * 1024;

/// Statements that are kept prepared: some for each table.
const STATEMENTS: usize = 256;

/// After how long PostgreSQL takes the lock from a host that has stalled or was cut off while
/// it held it: longer than the largest group takes to be decided. How long a write waits for
/// those of other hosts: longer than that, so that it goes on. How long one statement may
/// take: what the largest entry takes on a slow network.
const BEGIN: &str = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '10s';
    SET LOCAL lock_timeout = '15s'; SET LOCAL statement_timeout = '30s';";

/// After how long a write is worth another try that PostgreSQL did not take.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a group of writes did not come to its end.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Lost {
    /// Nothing was written: PostgreSQL could not be asked, or another host held the lock.
    #[error("{0}")]
    Away(String),
    /// Nothing was written: this host's disk refuses.
    #[error("{0}")]
    Unwritable(String),
    /// Nobody knows whether it was.
    #[error("{0}")]
    Unknown(String),
}

impl From<Lost> for Error {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Away(_) => Self::Busy { retry_after: RETRY_AFTER },
            Lost::Unwritable(text) => Self::Unwritable(text),
            Lost::Unknown(text) => Self::Internal(text),
        }
    }
}

impl From<Broken> for Lost {
    fn from(broken: Broken) -> Self {
        Self::Away(broken.to_string())
    }
}

impl From<Broken> for Error {
    fn from(broken: Broken) -> Self {
        Self::Internal(broken.to_string())
    }
}

/// Takes in what other hosts have written.
pub(crate) type TakeIn = Box<dyn Fn(&TakenIn) + Send>;

/// The log, as the one thread that writes has it.
pub(crate) struct Log {
    link: Link,
    /// Notes nothing and checks no foreign keys: entries of other hosts go through it.
    applier: Connection,
    recorder: Recorder,
    fleet: std::sync::Arc<Fleet>,
    at: Position,
    /// Keys that this host has changed and that are not in memory yet.
    changed_keys: Vec<String>,
    /// The same of handlers and rollouts.
    changed_handlers: bool,
}

impl Log {
    /// Has `writer` note what it changes.
    pub(crate) fn start(
        link: Link,
        writer: &Connection,
        applier: Connection,
        fleet: std::sync::Arc<Fleet>,
    ) -> Result<Self, Error> {
        let at = Position::of(writer)?
            .ok_or_else(|| Error::Internal("the database belongs to no fleet".into()))?;
        applier.pragma_update(None, "foreign_keys", false)?;
        for connection in [writer, &applier] {
            // What the disk loses of the end is read again from the log.
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.set_prepared_statement_cache_capacity(STATEMENTS);
        }
        let recorder = Recorder::start(writer)?;
        fleet.advance(&at);
        Ok(Self {
            link,
            applier,
            recorder,
            fleet,
            at,
            changed_keys: Vec::new(),
            changed_handlers: false,
        })
    }

    /// Brings this host up to the end of the log as it is now.
    pub(crate) fn follow(&mut self, take_in: &dyn Fn(&TakenIn)) -> Result<(), Error> {
        let known = known_as(self.link.schema(), self.at.n);
        let (head, token) = self.link.ask(|client, schema| {
            let row = client
                .query_typed_one(&format!("SELECT head, {known} FROM {schema}.fleet"), &[])?;
            Ok((row.get::<_, i64>(0), row.get::<_, Option<String>>(1)))
        })?;
        self.check(number(head), token.as_deref())?;
        self.catch_up(number(head), take_in)
    }

    /// Locks the end of the log, and brings this host up to it.
    pub(crate) fn begin(&mut self, take_in: &dyn Fn(&TakenIn)) -> Result<(), Lost> {
        if self.fleet.head.get() > self.at.n {
            // As much as can be taken in while no other host waits for the lock.
            self.follow(take_in).map_err(|error| Lost::Away(error.to_string()))?;
        }
        let known = known_as(self.link.schema(), self.at.n);
        let locked = self.link.ask(|client, schema| {
            client.simple_query(&format!(
                "{BEGIN} SELECT head, {known} FROM {schema}.fleet FOR UPDATE"
            ))
        })?;
        let row = locked.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let head = row.and_then(|row| row.get(0)?.parse().ok());
        let token = row.and_then(|row| row.get(1));
        let ready = head
            .ok_or_else(|| Error::Internal("the row of the fleet is gone".into()))
            .and_then(|head| {
                self.check(head, token)?;
                self.catch_up(head, take_in)
            });
        ready.map_err(|error| {
            self.give_up();
            Lost::Away(error.to_string())
        })
    }

    /// Makes what `writer` has changed in its transaction the next entry, and commits both.
    pub(crate) fn commit(&mut self, writer: &Connection) -> Result<(), Lost> {
        let entry = self.recorder.take(writer).map_err(unwritable)?;
        if entry.is_empty() {
            self.link.go_on(|client, _| client.batch_execute("ROLLBACK"))?;
            return local(writer.execute_batch("COMMIT"));
        }
        let next = Position {
            fleet: self.at.fleet.clone(),
            n: self.at.n + 1,
            token: uuid::Uuid::now_v7().to_string(),
        };
        next.save(writer).map_err(unwritable)?;
        self.append(entry.encode().map_err(unwritable)?, &next)?;
        self.changed_keys = changed_keys(&entry);
        self.changed_handlers = changes_handlers(&entry);
        // From here on it is written, whatever this host's disk does: what it cannot take
        // it reads again from the log.
        match writer.execute_batch("COMMIT") {
            Ok(()) => self.at = next,
            Err(error) => {
                tracing::error!(%error, "a committed write did not reach this host's disk and will be read again");
                let _ = writer.execute_batch("ROLLBACK");
            }
        }
        Ok(())
    }

    /// Says how far this host is, once what it has written is in its memory too.
    pub(crate) fn announce(&mut self) {
        let keys = std::mem::take(&mut self.changed_keys);
        if !keys.is_empty() {
            self.fleet.keys_have_changed(&keys);
        }
        if std::mem::take(&mut self.changed_handlers) {
            self.fleet.handlers_have_changed();
        }
        self.fleet.advance(&self.at);
    }

    /// Lets go of the lock, when the group cannot be written.
    pub(crate) fn give_up(&mut self) {
        self.link.drop_connection();
    }

    fn append(&mut self, changes: Vec<u8>, next: &Position) -> Result<(), Lost> {
        let (n, host) = (signed(next.n), self.fleet.host.clone());
        self.link.go_on(|client, schema| {
            client.execute_typed(
                &format!(
                    "INSERT INTO {schema}.log (n, token, host, changes) VALUES ($1, $2, $3, $4)"
                ),
                &[
                    (&n, Type::INT8),
                    (&next.token, Type::TEXT),
                    (&host, Type::TEXT),
                    (&changes, Type::BYTEA),
                ],
            )
        })?;
        let committed = self.link.go_on(|client, schema| {
            client.batch_execute(&format!("UPDATE {schema}.fleet SET head = {n}; COMMIT"))
        });
        match committed {
            Ok(()) => Ok(()),
            Err(error) => self.resolve(next, &error),
        }
    }

    /// The answer to a commit was lost: the log itself says whether it came through. The
    /// old transaction may still be at its commit, so the row's lock is waited for.
    fn resolve(&mut self, next: &Position, error: &Broken) -> Result<(), Lost> {
        let n = signed(next.n);
        let looked = self.link.run(|client, schema| {
            client.batch_execute(BEGIN)?;
            client.query_typed(&format!("SELECT head FROM {schema}.fleet FOR UPDATE"), &[])?;
            let row = client.query_typed_opt(
                &format!("SELECT token FROM {schema}.log WHERE n = $1"),
                &[(&n, Type::INT8)],
            )?;
            client.batch_execute("ROLLBACK")?;
            Ok(row.map(|row| row.get::<_, String>(0)))
        });
        match looked {
            Ok(token) if token.as_ref() == Some(&next.token) => {
                tracing::warn!(%error, entry = next.n, "the answer to a commit was lost; the entry is in the log");
                Ok(())
            }
            Ok(_) => Err(Lost::Away(error.to_string())),
            Err(second) => Err(Lost::Unknown(format!(
                "whether a write was committed is not known: {error}; {second}"
            ))),
        }
    }

    /// Whether the log is still the one that this host follows.
    fn check(&self, head: u64, token: Option<&str>) -> Result<(), Error> {
        if head >= self.at.n && token == Some(self.at.token.as_str()) {
            return Ok(());
        }
        let reason = match token {
            None if head > self.at.n => {
                "this host was away for so long that the log does not begin where it left off"
            }
            _ => "PostgreSQL has lost entries that this host has",
        };
        self.fleet.end(reason);
        Err(Error::Internal(reason.into()))
    }

    fn catch_up(&mut self, head: u64, take_in: &dyn Fn(&TakenIn)) -> Result<(), Error> {
        while self.at.n < head {
            let taken = self.take_some()?;
            take_in(&taken);
            self.announce();
        }
        Ok(())
    }

    /// Takes in the next entries, in one transaction.
    fn take_some(&mut self) -> Result<TakenIn, Error> {
        let from = signed(self.at.n);
        // Bytes of those before it: only what comes out is read from where long values are.
        let rows = self.link.run(|client, schema| {
            client.query_typed(
                &format!(
                    "SELECT n, token, changes FROM (
                         SELECT n, token, changes,
                             sum(size) OVER (ORDER BY n) - size AS before
                         FROM (SELECT n, token, changes, octet_length(changes) AS size
                               FROM {schema}.log WHERE n > $1 ORDER BY n LIMIT $2) AS next
                     ) AS sized WHERE before <= $3 ORDER BY n"
                ),
                &[(&from, Type::INT8), (&AT_ONCE, Type::INT8), (&BYTES_AT_ONCE, Type::INT8)],
            )
        })?;
        let mut at = self.at.clone();
        let mut taken = TakenIn::default();
        let transaction = self.applier.unchecked_transaction()?;
        for row in &rows {
            let n = number(row.get(0));
            if n != at.n + 1 {
                break;
            }
            at.n = n;
            at.token = row.get(1);
            apply(&transaction, &Entry::decode(row.get(2))?, &mut taken)?;
        }
        if at.n == self.at.n {
            let reason = "the log lacks an entry";
            self.fleet.end(reason);
            return Err(Error::Internal(reason.into()));
        }
        at.save(&transaction)?;
        transaction.commit()?;
        self.at = at;
        Ok(taken)
    }
}

fn local(committed: rusqlite::Result<()>) -> Result<(), Lost> {
    committed.map_err(|error| Lost::Unwritable(format!("sqlite: {error}")))
}

fn unwritable(error: Error) -> Lost {
    Lost::Unwritable(error.to_string())
}

/// Numbers of entries are far below the largest of either kind.
pub(crate) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The inverse.
pub(crate) fn number(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}
