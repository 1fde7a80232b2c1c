//! Copies of the whole database in PostgreSQL, from which a host starts and which let the
//! log be short.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use postgres::types::Type;
use postgres::{Client, GenericClient};
use ragtime_policy::digest::hex;
use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::link::{Broken, Link};
use super::log::{number, signed};
use super::position::Position;
use crate::files::{self, remove};
use crate::types::{Error, OpenError};

/// Bytes of one part: it is in memory as a whole, on both sides.
const PART: usize = 4 * 1024 * 1024;
/// How long entries stay that a snapshot covers: a host that was cut off for less goes on
/// where it was.
const KEEP_ENTRIES: &str = "1 hour";
/// After how long there is a snapshot even of a short log: a text that was deleted is in
/// the log, and in the snapshots before, until then.
const MOST_AGE: &str = "24 hours";
/// Snapshots that stay: a host may be reading the last but one.
const KEPT: i64 = 2;

/// Writes the database in `file` to PostgreSQL as the snapshot at `position`.
pub(crate) fn put(
    client: &mut impl GenericClient,
    schema: &str,
    file: &Path,
    position: &Position,
) -> Result<(), OpenError> {
    let n = signed(position.n);
    let mut from = File::open(file)?;
    let (mut hash, mut part, mut bytes) = (Sha256::new(), 0_i32, 0_i64);
    loop {
        let mut buffer = Vec::with_capacity(PART);
        let read = Read::by_ref(&mut from).take(PART as u64).read_to_end(&mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer);
        let insert = format!(
            "INSERT INTO {schema}.snapshot_parts VALUES ($1, $2, $3)
             ON CONFLICT (n, part) DO UPDATE SET bytes = excluded.bytes"
        );
        client
            .execute_typed(
                &insert,
                &[(&n, Type::INT8), (&part, Type::INT4), (&buffer, Type::BYTEA)],
            )
            .map_err(Broken::from)?;
        (part, bytes) = (part + 1, bytes + i64::try_from(read).unwrap_or(0));
    }
    // Last: who sees this row finds all parts.
    client
        .execute_typed(
            &format!("INSERT INTO {schema}.snapshots VALUES ($1, $2, $3, $4, $5)"),
            &[
                (&n, Type::INT8),
                (&position.token, Type::TEXT),
                (&bytes, Type::INT8),
                (&part, Type::INT4),
                (&hex(&hash.finalize()), Type::TEXT),
            ],
        )
        .map_err(Broken::from)?;
    Ok(())
}

/// Reads the last snapshot into the new file `to`.
pub(crate) fn get(client: &mut Client, schema: &str, to: &Path) -> Result<(), OpenError> {
    let head = client
        .query_typed_one(
            &format!("SELECT n, parts, sha256 FROM {schema}.snapshots ORDER BY n DESC LIMIT 1"),
            &[],
        )
        .map_err(Broken::from)?;
    let (n, parts, sha256): (i64, i32, String) = (head.get(0), head.get(1), head.get(2));
    let (mut hash, mut file) = (Sha256::new(), File::create(to)?);
    for part in 0..parts {
        let row = client
            .query_typed_opt(
                &format!("SELECT bytes FROM {schema}.snapshot_parts WHERE n = $1 AND part = $2"),
                &[(&n, Type::INT8), (&part, Type::INT4)],
            )
            .map_err(Broken::from)?;
        let gone = || {
            OpenError::Fleet(
                "a newer snapshot took the place of the one that was being read; start again"
                    .into(),
            )
        };
        let row = row.ok_or_else(gone)?;
        let bytes: &[u8] = row.get(0);
        hash.update(bytes);
        file.write_all(bytes)?;
    }
    if hex(&hash.finalize()) != sha256 {
        return Err(OpenError::Damaged(
            "the snapshot in PostgreSQL is not what was written".into(),
        ));
    }
    file.sync_all()?;
    Ok(())
}

/// What a snapshot is taken of.
pub(crate) struct Source {
    database: PathBuf,
    least_bytes: u64,
    at_work: Arc<AtomicBool>,
}

impl Source {
    /// The database of this host. The log gets a snapshot when it has `least_bytes`, and as
    /// many as the last snapshot has.
    pub(crate) fn new(database: PathBuf, least_bytes: u64) -> Self {
        Self { database, least_bytes, at_work: Arc::default() }
    }

    /// Takes a snapshot in a thread of its own if the log is long or old enough, and
    /// takes away what older ones made superfluous.
    pub(crate) fn take_if_due(&self, link: &Link) {
        if self.at_work.swap(true, Relaxed) {
            return;
        }
        let (mut link, database) = (link.another(), self.database.clone());
        let (least, at_work) = (self.least_bytes, Arc::clone(&self.at_work));
        let taken = std::thread::Builder::new().name("ragtime-snapshot".into()).spawn(move || {
            if let Err(error) = take_and_trim(&mut link, &database, least) {
                tracing::error!(%error, "no snapshot could be taken; the log grows until one is");
            }
            at_work.store(false, Relaxed);
        });
        if let Err(error) = taken {
            tracing::error!(%error, "there is no thread for a snapshot");
            self.at_work.store(false, Relaxed);
        }
    }
}

fn take_and_trim(link: &mut Link, database: &Path, least: u64) -> Result<(), OpenError> {
    if link.run(|client, schema| is_due(client, schema, least))? {
        take(link, database)?;
    }
    Ok(link.run(trim)?)
}

fn is_due(client: &mut Client, schema: &str, least: u64) -> Result<bool, postgres::Error> {
    let row = client.query_typed_one(
        &format!(
            "SELECT coalesce(sum(octet_length(changes)), 0)::bigint,
                 coalesce(min(log.at) < clock_timestamp() - interval '{MOST_AGE}', false),
                 (SELECT bytes FROM {schema}.snapshots ORDER BY n DESC LIMIT 1)
             FROM {schema}.log WHERE n > (SELECT max(n) FROM {schema}.snapshots)"
        ),
        &[],
    )?;
    let (bytes, last) = (number(row.get(0)), number(row.get(2)));
    Ok(bytes > least.max(last) || row.get(1))
}

fn take(link: &mut Link, database: &Path) -> Result<(), OpenError> {
    let folder = database.parent().unwrap_or(Path::new("."));
    let copy = folder.join(format!("{}snapshot", crate::IN_THE_MAKING));
    remove(&copy)?;
    let position = copy_of(database, &copy)?;
    let (n, schema) = (position.n, link.schema().to_owned());
    let client = link.client().map_err(OpenError::from);
    let put = client.and_then(|client| put(client, &schema, &copy, &position));
    remove(&copy)?;
    put?;
    tracing::info!(entry = n, "a snapshot was taken");
    Ok(())
}

/// Copies a database as of one moment, without what is its host's own.
pub(crate) fn copy_of(database: &Path, to: &Path) -> Result<Position, OpenError> {
    files::copy_database(database, to)?;
    let copy = Connection::open(to)?;
    copy.execute_batch("DELETE FROM removals")?;
    let position = Position::of(&copy)?;
    position
        .ok_or_else(|| OpenError::Read(Error::Internal("the database belongs to no fleet".into())))
}

/// Takes away entries and snapshots that no host needs any more.
fn trim(client: &mut Client, schema: &str) -> Result<(), postgres::Error> {
    client.batch_execute(&format!(
        "DELETE FROM {schema}.log WHERE n < (SELECT max(n) FROM {schema}.snapshots)
             AND at < clock_timestamp() - interval '{KEEP_ENTRIES}';
         DELETE FROM {schema}.snapshots WHERE n NOT IN
             (SELECT n FROM {schema}.snapshots ORDER BY n DESC LIMIT {KEPT});
         DELETE FROM {schema}.snapshot_parts WHERE n < (SELECT min(n) FROM {schema}.snapshots)"
    ))
}
