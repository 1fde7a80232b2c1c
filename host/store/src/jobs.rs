//! Batches on their way into the index.
//!
//! A job's account is derived and never stored: an item is indexed once the
//! index has come as far as its last chunk and no vector of it is waited for, unless
//! a failure was noted. One
//! that was noted later has its last chunk still, and can be tried again.

use std::collections::BTreeSet;

use ragtime_policy::bounds::{Bounds, MAX_FAILURES, MAX_LISTED_FAILURES, shortened};
use ragtime_policy::cursor;
use ragtime_policy::version::Condition;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::documents::{self, Prepared};
use crate::models::slot::Slot;
use crate::types::{Error, Failure, Fate, Job, JobItem, JobWarnings, Outcome, Seq};
use crate::writer::Effects;

/// A document of a batch, or why it could not be taken.
pub(crate) type Item = Result<Prepared, Failure>;

/// Old jobs that go with a write: more than come with it, and few enough that it
/// is not delayed.
const MAX_PURGED: usize = 4;

/// What search does not find yet by all that it can: by its words, which it does
/// through chunk `?1`, and by its vectors.
const PENDING: &str = "(last_chunk > ?1 OR last_chunk IN (SELECT last_chunk FROM embedding_queue))";

/// Removes some of the jobs that are too old or too many and have nothing more to
/// do: every batch that comes takes some along.
pub(crate) fn purge(
    connection: &Connection,
    bounds: Bounds,
    through: u64,
    now: u64,
) -> Result<(), Error> {
    connection
        .prepare_cached(&format!(
            "DELETE FROM jobs WHERE n IN (
                 SELECT n FROM (SELECT n, created_at FROM jobs ORDER BY n LIMIT ?4) AS old
                 WHERE (created_at < ?2 OR n <= (SELECT max(n) FROM jobs) - ?3)
                 AND NOT EXISTS (SELECT 1 FROM job_items
                     WHERE job = old.n AND failure IS NULL AND {PENDING}))"
        ))?
        .execute((
            through,
            now.saturating_sub(bounds.job_retention.as_secs()),
            bounds.max_jobs.max(1),
            MAX_PURGED,
        ))?;
    Ok(())
}

/// Stores a batch and its job.
pub(crate) fn ingest(
    connection: &Connection,
    collection: &str,
    items: &[(u32, Item)],
    now: u64,
    effects: &mut Effects,
) -> Result<(String, Seq), Error> {
    documents::collection_key(connection, collection)?;
    let id = uuid::Uuid::now_v7().to_string();
    connection.execute(
        "INSERT INTO jobs (id, collection, created_at) VALUES (?1, ?2, ?3)",
        (&id, collection, now),
    )?;
    let job = connection.last_insert_rowid();
    let mut insert = connection.prepare_cached(
        "INSERT INTO job_items (job, position, document, last_chunk, failure, written)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut last = 0;
    let mut warnings = JobWarnings::default();
    for (position, item) in items {
        match item {
            Ok(prepared) => {
                let put = documents::put(
                    connection,
                    collection,
                    prepared,
                    &Condition::default(),
                    now,
                    effects,
                )?;
                last = last.max(put.seq);
                warnings.add(*position, &put.summary.id, prepared.warnings());
                let written = put.outcome != Outcome::Unchanged;
                let id = &put.summary.id;
                insert.execute((job, position, id, Some(put.seq), None::<&str>, written))?;
            }
            Err(failure) => {
                let reason = Some(shortened(&failure.reason));
                let id = failure.id.as_deref().map(shortened);
                insert.execute((job, position, id, None::<u64>, reason, false))?;
            }
        }
    }
    if !warnings.is_empty() {
        let warnings = serde_json::json!(warnings).to_string();
        connection.execute("UPDATE jobs SET warnings = ?2 WHERE n = ?1", (job, warnings))?;
    }
    Ok((id, last))
}

/// Why a document that was taken out of its job is not there.
const CANCELLED: &str = "cancelled";

/// Why a document is found by its words alone.
const NOT_EMBEDDED: &str =
    "the embedding model fails at a passage of it, so it is found by its words alone";

/// Takes out what a job wrote and search, whose indexes have come `through`, does not
/// find yet by all that it can.
pub(crate) fn cancel(
    connection: &Connection,
    id: &str,
    through: u64,
    effects: &mut Effects,
) -> Result<(), Error> {
    let (job, collection) = number(connection, id)?;
    let mut statement = connection.prepare_cached(&format!(
        "SELECT document, last_chunk FROM job_items
         WHERE job = ?2 AND failure IS NULL AND written AND {PENDING}"
    ))?;
    let pending: Vec<(String, u64)> = statement
        .query_map((through, job), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    // First, as documents take their places in the queue with them.
    connection
        .prepare_cached(&format!(
            "UPDATE job_items SET failure = ?3, last_chunk = NULL
             WHERE job = ?2 AND failure IS NULL AND {PENDING}"
        ))?
        .execute((through, job, CANCELLED))?;
    for (document, last_chunk) in pending {
        documents::delete_version(connection, &collection, &document, last_chunk, effects)?;
    }
    Ok(())
}

/// Has what was stored and failed later tried again.
pub(crate) fn retry(connection: &Connection, id: &str) -> Result<(), Error> {
    let (job, _) = number(connection, id)?;
    for table in Slot::BOTH.map(Slot::unembedded) {
        connection.execute(
            &format!(
                "DELETE FROM {table} WHERE chunk IN (
                     SELECT chunks.id FROM job_items
                     JOIN documents ON documents.last_chunk = job_items.last_chunk
                     JOIN chunks ON chunks.document = documents.key
                     WHERE job = ?1 AND failure IS NOT NULL)"
            ),
            [job],
        )?;
    }
    connection.execute(
        "UPDATE job_items SET failure = NULL
         WHERE job = ?1 AND failure IS NOT NULL AND last_chunk IS NOT NULL",
        [job],
    )?;
    Ok(())
}

/// Notes that a chunk cannot be embedded in the account of every job that its
/// document is part of.
pub(crate) fn not_embedded(connection: &Connection, chunk: u64) -> Result<(), Error> {
    connection.execute(
        "UPDATE job_items SET failure = ?2 WHERE failure IS NULL AND last_chunk = (
             SELECT last_chunk FROM documents JOIN chunks ON chunks.document = documents.key
             WHERE chunks.id = ?1)",
        (chunk, NOT_EMBEDDED),
    )?;
    Ok(())
}

/// Another model may embed what this one could not of a collection's documents.
pub(crate) fn forget_not_embedded(connection: &Connection, collection: i64) -> Result<(), Error> {
    connection.execute(
        "UPDATE job_items SET failure = NULL WHERE failure IS NOT NULL AND last_chunk IS NOT NULL
         AND job IN (SELECT n FROM jobs WHERE collection =
             (SELECT name FROM collections WHERE key = ?1))",
        [collection],
    )?;
    Ok(())
}

/// The warnings of a job's documents; none if there is no such job, or its
/// collection is not one that is `seen`.
pub(crate) fn warnings(
    connection: &Connection,
    id: &str,
    seen: impl Fn(&str) -> bool,
) -> Result<JobWarnings, Error> {
    let mut statement =
        connection.prepare_cached("SELECT collection, warnings FROM jobs WHERE id = ?1")?;
    let found: Option<(String, Option<String>)> =
        statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let warnings = found.filter(|(collection, _)| seen(collection)).and_then(|(_, json)| json);
    Ok(warnings.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default())
}

/// The row of a job, and its collection.
fn number(connection: &Connection, id: &str) -> Result<(i64, String), Error> {
    let mut statement =
        connection.prepare_cached("SELECT n, collection FROM jobs WHERE id = ?1")?;
    let found = statement.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    found.ok_or(Error::UnknownJob)
}

/// Documents of a job from a position on.
pub(crate) fn items(
    connection: &Connection,
    id: &str,
    first: u32,
    limit: usize,
    through: u64,
) -> Result<Vec<JobItem>, Error> {
    let (job, _) = number(connection, id)?;
    let mut statement = connection.prepare_cached(&format!(
        "SELECT position, document, failure, NOT {PENDING} FROM job_items
         WHERE job = ?2 AND position >= ?3 ORDER BY position LIMIT ?4"
    ))?;
    let items = statement.query_map((through, job, first, limit), |row| {
        let (failure, found): (Option<String>, Option<bool>) = (row.get(2)?, row.get(3)?);
        let fate = match failure {
            Some(reason) => Fate::Failed(reason),
            None if found == Some(true) => Fate::Indexed,
            None => Fate::Pending,
        };
        Ok(JobItem { position: row.get(0)?, id: row.get(1)?, fate })
    })?;
    Ok(items.collect::<Result<_, _>>()?)
}

/// The columns of [`job_of`], with `?1` as in [`PENDING`].
fn select_jobs(rest: &str) -> String {
    format!(
        "SELECT jobs.id, jobs.collection, jobs.created_at, jobs.n,
         (SELECT count(*) FROM job_items WHERE job = jobs.n),
         (SELECT count(*) FROM job_items WHERE job = jobs.n AND failure IS NULL AND NOT {PENDING}),
         (SELECT count(*) FROM job_items WHERE job = jobs.n AND failure IS NULL AND {PENDING})
         FROM jobs {rest}"
    )
}

pub(crate) fn job(connection: &Connection, id: &str, through: u64) -> Result<Job, Error> {
    let mut statement = connection.prepare_cached(&select_jobs("WHERE jobs.id = ?2"))?;
    let found = statement.query_row((through, id), job_of).optional()?;
    with_failures(connection, found.ok_or(Error::UnknownJob)?, MAX_FAILURES)
}

/// Jobs of these collections, or of all. Neither the page nor its cursor shows anything of
/// others: ids are times, and the cursor is the last job's own.
pub(crate) fn jobs(
    connection: &Connection,
    collections: Option<&BTreeSet<String>>,
    after: Option<&str>,
    limit: usize,
    through: u64,
) -> Result<(Vec<Job>, Option<String>), Error> {
    const LIST: &str = "jobs";
    let before = after.map(|after| cursor::decode(LIST, after)).transpose()?;
    let visible = collections.map(|names| serde_json::json!(names).to_string());
    let mut statement = connection.prepare_cached(&select_jobs(
        "WHERE (?2 IS NULL OR jobs.id < ?2)
         AND (?3 IS NULL OR jobs.collection IN (SELECT value FROM json_each(?3)))
         ORDER BY jobs.id DESC LIMIT ?4",
    ))?;
    let mut page = statement
        .query_map((through, before, visible, limit + 1), job_of)?
        .collect::<Result<Vec<_>, _>>()?;
    let more = documents::cut(&mut page, limit);
    let next = page.last().filter(|_| more).map(|(_, job)| cursor::encode(LIST, &job.id));
    let jobs = page.into_iter().map(|found| with_failures(connection, found, MAX_LISTED_FAILURES));
    Ok((jobs.collect::<Result<_, _>>()?, next))
}

fn job_of(row: &Row<'_>) -> rusqlite::Result<(i64, Job)> {
    let job = Job {
        id: row.get(0)?,
        collection: row.get(1)?,
        created_at: row.get(2)?,
        received: row.get(4)?,
        indexed: row.get(5)?,
        pending: row.get(6)?,
        failed: Vec::new(),
    };
    Ok((row.get(3)?, job))
}

fn with_failures(
    connection: &Connection,
    (n, mut job): (i64, Job),
    most: usize,
) -> Result<Job, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT position, document, failure FROM job_items WHERE job = ?1 AND failure IS NOT NULL ORDER BY position LIMIT ?2",
    )?;
    let failures = statement.query_map((n, most), |row| {
        Ok(Failure { position: row.get(0)?, id: row.get(1)?, reason: row.get(2)? })
    })?;
    job.failed = failures.collect::<Result<_, _>>()?;
    Ok(job)
}
