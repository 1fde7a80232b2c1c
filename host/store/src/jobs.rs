//! Batches on their way into the index.
//!
//! A job's account is derived and never stored: an item is indexed once the
//! index has come as far as its last chunk.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::cursor;
use crate::documents::{self, Prepared};
use crate::types::{Error, Failure, Job, Seq};
use crate::writer::Effects;

/// A document of a batch, or why it could not be taken.
pub(crate) type Item = Result<Prepared, Failure>;

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
        "INSERT INTO job_items (job, position, document, last_chunk, failure) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut last = 0;
    for (position, item) in items {
        match item {
            Ok(prepared) => {
                let put = documents::put(connection, collection, prepared, now, effects)?;
                last = last.max(put.seq);
                insert.execute((job, position, &put.summary.id, Some(put.seq), None::<&str>))?;
            }
            Err(failure) => {
                insert.execute((job, position, &failure.id, None::<u64>, Some(&failure.reason)))?;
            }
        }
    }
    Ok((id, last))
}

const JOB: &str = "SELECT jobs.id, jobs.collection, jobs.created_at, jobs.n,
    (SELECT count(*) FROM job_items WHERE job = jobs.n),
    (SELECT count(*) FROM job_items WHERE job = jobs.n AND last_chunk <= ?1),
    (SELECT count(*) FROM job_items WHERE job = jobs.n AND last_chunk > ?1)
    FROM jobs";

pub(crate) fn job(connection: &Connection, id: &str, through: u64) -> Result<Job, Error> {
    let mut statement = connection.prepare_cached(&format!("{JOB} WHERE jobs.id = ?2"))?;
    let found = statement.query_row((through, id), job_of).optional()?;
    with_failures(connection, found.ok_or(Error::UnknownJob)?)
}

pub(crate) fn jobs(
    connection: &Connection,
    after: Option<&str>,
    limit: usize,
    through: u64,
) -> Result<(Vec<Job>, Option<String>), Error> {
    const LIST: &str = "jobs";
    let before =
        after.map(|after| cursor::decode_number(LIST, after)).transpose()?.unwrap_or(i64::MAX);
    let mut statement = connection
        .prepare_cached(&format!("{JOB} WHERE jobs.n < ?2 ORDER BY jobs.n DESC LIMIT ?3"))?;
    let mut page = statement
        .query_map((through, before, limit + 1), job_of)?
        .collect::<Result<Vec<_>, _>>()?;
    let more = documents::cut(&mut page, limit);
    let next = page.last().filter(|_| more).map(|(n, _)| cursor::encode(LIST, &n.to_string()));
    let jobs = page.into_iter().map(|found| with_failures(connection, found));
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

fn with_failures(connection: &Connection, (n, mut job): (i64, Job)) -> Result<Job, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT position, document, failure FROM job_items WHERE job = ?1 AND failure IS NOT NULL ORDER BY position",
    )?;
    let failures = statement.query_map([n], |row| {
        Ok(Failure { position: row.get(0)?, id: row.get(1)?, reason: row.get(2)? })
    })?;
    job.failed = failures.collect::<Result<_, _>>()?;
    Ok(job)
}
