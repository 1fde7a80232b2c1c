//! How a host comes to a fleet: it makes one where there is none, or takes its copy.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use postgres::types::Type;
use postgres::{Client, Transaction};
use rusqlite::Connection;

use super::link::{Broken, Link};
use super::log::{number, signed};
use super::position::Position;
use super::{Fleet, Settings, known_as, presence, snapshot, tables};
use crate::files;
use crate::models::Known;
use crate::types::OpenError;
use crate::{DATABASE, INDEXES};
use crate::{connection, schema};

/// How long to leave PostgreSQL alone that did not answer.
const RETRY: Duration = Duration::from_millis(500);

/// What a host has to agree on with the others.
struct Compatibility {
    /// How many columns its tables have. The schema only grows, so the greater number is
    /// of the newer version.
    columns: u64,
    /// Its embedding models and which of them is the default.
    models: String,
}

/// Takes part in a fleet with the database in `dir`: makes the fleet if there is none, and
/// the database if there is none that can go on. Blocking.
///
/// # Errors
///
/// PostgreSQL does not answer, the folder has documents of its own, or this host and those
/// at work do not fit together.
pub(crate) fn join(
    dir: &Path,
    settings: &Settings,
    known: &Known,
) -> Result<(Link, Fleet), OpenError> {
    settings.check()?;
    let database = dir.join(DATABASE);
    let own = own_position(&database)?;
    let mut link = Link::new(settings)?;
    reach(&mut link, settings.start_patience)?;
    let fleet = Fleet::new(settings);
    let fresh = dir.join(format!("{}fleet", crate::IN_THE_MAKING));
    let (first, columns) = make(&fresh)?;
    let kind = Compatibility { columns, models: models_of(known) };
    let agreed = run(&mut link, |client, schema| {
        let mut transaction = client.transaction().map_err(failed)?;
        tables::lock(&mut transaction).map_err(failed)?;
        let there = tables::there(&mut transaction, schema).map_err(failed)?;
        if !there {
            found(&mut transaction, schema, &fresh, &first, &kind)?;
        }
        agree(&mut transaction, schema, &kind, &fleet)?;
        transaction.commit().map_err(failed)
    });
    discard(&fresh)?;
    agreed?;
    let goes_on = match &own {
        Some(own) => run(&mut link, |client, schema| goes_on(client, schema, own))?,
        None => false,
    };
    if !goes_on {
        if own.is_some() {
            tracing::warn!(
                "the copy in the data folder is not of this log any more; a snapshot replaces it"
            );
        }
        take_copy(&mut link, dir)?;
    }
    Ok((link, fleet))
}

/// Makes a fleet of the documents, keys and settings in `dir`, where there is none yet. The
/// folder may be a host's: so a fleet is made again that PostgreSQL has lost. Returns how many documents it has. Blocking, and takes the folder for itself.
///
/// # Errors
///
/// There is a fleet already, or the folder has no database or is in use.
pub fn import(dir: &Path, settings: &Settings) -> Result<u64, OpenError> {
    settings.check()?;
    let _lock = crate::lock(dir)?;
    let database = dir.join(DATABASE);
    if !database.exists() {
        return Err(OpenError::NoDatabase);
    }
    let mut link = Link::new(settings)?;
    reach(&mut link, settings.start_patience)?;
    let copy = dir.join(format!("{}fleet", crate::IN_THE_MAKING));
    discard(&copy)?;
    files::copy_database(&database, &copy)?;
    let (first, columns, documents) = {
        let db = schema::open_writer(&copy)?;
        db.execute_batch(
            "DELETE FROM removals; DELETE FROM embedding_queue;
             DELETE FROM rollouts; DELETE FROM rollout_acknowledgements;",
        )?;
        let documents = db.query_row("SELECT count(*) FROM documents", [], |row| row.get(0))?;
        (begin(&db)?, columns(&db)?, documents)
    };
    // No models yet: the first host that starts says which.
    let kind = Compatibility { columns, models: String::new() };
    let imported = run(&mut link, |client, schema| {
        let mut transaction = client.transaction().map_err(failed)?;
        tables::lock(&mut transaction).map_err(failed)?;
        if tables::there(&mut transaction, schema).map_err(failed)? {
            return Err(OpenError::Fleet(format!("the schema {schema} has a fleet already")));
        }
        found(&mut transaction, schema, &copy, &first, &kind)?;
        transaction.commit().map_err(failed)
    });
    discard(&copy)?;
    imported.map(|()| documents)
}

fn failed(error: postgres::Error) -> OpenError {
    Broken::from(error).into()
}

/// Runs `work` on the connection, and drops that where it failed.
fn run<R>(
    link: &mut Link,
    work: impl FnOnce(&mut Client, &str) -> Result<R, OpenError>,
) -> Result<R, OpenError> {
    let schema = link.schema().to_owned();
    let done = link.client().map_err(OpenError::from).and_then(|client| work(client, &schema));
    if done.is_err() {
        link.drop_connection();
    }
    done
}

/// Connects, within `max_wait`: a database that starts beside its hosts takes some
/// seconds.
fn reach(link: &mut Link, max_wait: Duration) -> Result<(), OpenError> {
    let give_up = Instant::now() + max_wait;
    loop {
        match link.client() {
            Ok(_) => return is_new_enough(link),
            // Time does not mend it.
            Err(broken @ Broken::Tls(_)) => return Err(broken.into()),
            Err(error) if Instant::now() >= give_up => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "PostgreSQL cannot be reached yet");
                std::thread::sleep(RETRY);
            }
        }
    }
}

/// Refuses a PostgreSQL that is too old.
fn is_new_enough(link: &mut Link) -> Result<(), OpenError> {
    let version = tables::server_version(link)?;
    if tables::is_new_enough(version) {
        return Ok(());
    }
    Err(OpenError::Fleet(format!(
        "PostgreSQL is of version {}, and {} is the oldest that a fleet can use: upgrade it",
        version / tables::VERSIONS_OF_ONE,
        tables::OLDEST_SERVER
    )))
}

/// Where the database of a folder is in the log of its fleet. One that is no host's is
/// somebody's only copy, and not to be touched.
fn own_position(database: &Path) -> Result<Option<Position>, OpenError> {
    if !database.exists() {
        return Ok(None);
    }
    match Position::of(&connection::open_reader(database)?) {
        Ok(Some(position)) => Ok(Some(position)),
        Ok(None) => Err(OpenError::NotOfFleet),
        Err(error) => Err(error.into()),
    }
}

/// An empty database as this version makes it, and how many columns it has.
fn make(file: &Path) -> Result<(Position, u64), OpenError> {
    discard(file)?;
    let db = schema::open_writer(file)?;
    Ok((begin(&db)?, columns(&db)?))
}

/// Makes a database the first of a fleet.
fn begin(db: &Connection) -> Result<Position, OpenError> {
    let token = || uuid::Uuid::now_v7().to_string();
    let position = Position { fleet: token(), n: 0, token: token() };
    Position::create(db)?;
    position.save(db)?;
    // All in one file.
    db.pragma_update(None, "journal_mode", "DELETE")?;
    Ok(position)
}

fn discard(file: &Path) -> std::io::Result<()> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        files::remove(Path::new(&name))?;
    }
    Ok(())
}

fn columns(db: &Connection) -> Result<u64, OpenError> {
    Ok(db.query_row(
        "SELECT count(*) FROM sqlite_master AS t JOIN pragma_table_info(t.name) WHERE t.type = 'table'",
        [],
        |row| row.get(0),
    )?)
}

fn models_of(known: &Known) -> String {
    let names: Vec<_> = known.configured.iter().map(String::as_str).collect();
    let default = known.default.as_deref().unwrap_or("none");
    format!("{} (default {default})", names.join(", "))
}

/// Makes the fleet, beginning with the database in `file`.
fn found(
    transaction: &mut Transaction<'_>,
    schema: &str,
    file: &Path,
    first: &Position,
    kind: &Compatibility,
) -> Result<(), OpenError> {
    tables::create(transaction, schema).map_err(failed)?;
    transaction
        .execute_typed(
            &format!("INSERT INTO {schema}.fleet VALUES (true, $1, $2, 0, $3, $4)"),
            &[
                (&tables::VERSION, Type::INT4),
                (&first.fleet, Type::TEXT),
                (&signed(kind.columns), Type::INT8),
                (&kind.models, Type::TEXT),
            ],
        )
        .map_err(failed)?;
    snapshot::put(transaction, schema, file, first)?;
    tracing::info!(fleet = first.fleet, "a fleet was made");
    Ok(())
}

/// Compares what hosts must have in common. Where no host is at work this one may say how
/// it is to be from now on.
fn agree(
    transaction: &mut Transaction<'_>,
    schema: &str,
    kind: &Compatibility,
    fleet: &Fleet,
) -> Result<(), OpenError> {
    let row = transaction
        .query_typed_one(
            &format!(
                "SELECT version, columns, models,
                     (SELECT count(*) FROM {schema}.hosts WHERE {}) FROM {schema}.fleet",
                presence::is_live()
            ),
            &[],
        )
        .map_err(failed)?;
    let (version, columns): (i32, u64) = (row.get(0), number(row.get(1)));
    let (models, live): (String, i64) = (row.get(2), row.get(3));
    if version > tables::VERSION || columns > kind.columns {
        return Err(OpenError::Fleet(
            "the fleet is of a newer version of Ragtime: start this host with that version".into(),
        ));
    }
    if live > 0 && columns < kind.columns {
        return Err(OpenError::Fleet(
            "hosts of an earlier version, whose tables lack what this one writes, are at work: stop them all, then start them with this version".into(),
        ));
    }
    if live > 0 && models != kind.models {
        return Err(OpenError::Fleet(format!(
            "the hosts at work have other embedding models than this one: theirs are {models}, here they are {}; give all hosts the same, or stop the others first",
            kind.models
        )));
    }
    transaction
        .execute_typed(
            &format!("UPDATE {schema}.fleet SET columns = $1, models = $2"),
            &[(&signed(kind.columns), Type::INT8), (&kind.models, Type::TEXT)],
        )
        .map_err(failed)?;
    transaction
        .execute_typed(
            &format!(
                "INSERT INTO {schema}.hosts VALUES ($1, $2, $3, 0, 0, 'catching up', '', clock_timestamp())"
            ),
            &[
                (&fleet.host, Type::TEXT),
                (&fleet.name(), Type::TEXT),
                (&fleet.version, Type::TEXT),
            ],
        )
        .map_err(failed)?;
    // Those that were killed could not take their rows away.
    let forget =
        format!("DELETE FROM {schema}.hosts WHERE seen_at < clock_timestamp() - interval '1 hour'");
    transaction.execute_typed(&forget, &[]).map_err(failed)?;
    Ok(())
}

/// Whether a database can go on from where it is.
fn goes_on(client: &mut Client, schema: &str, own: &Position) -> Result<bool, OpenError> {
    let known = known_as(schema, own.n);
    let row = client
        .query_typed_one(&format!("SELECT id, head, {known} FROM {schema}.fleet"), &[])
        .map_err(failed)?;
    let (id, head, token): (String, i64, Option<String>) = (row.get(0), row.get(1), row.get(2));
    let next = client
        .query_typed_one(
            &format!("SELECT EXISTS (SELECT 1 FROM {schema}.log WHERE n = $1)"),
            &[(&signed(own.n + 1), Type::INT8)],
        )
        .map_err(failed)?;
    let follows = number(head) == own.n || next.get(0);
    Ok(id == own.fleet && token.as_deref() == Some(&own.token) && number(head) >= own.n && follows)
}

/// Puts the last snapshot in the place of the database; the indexes are rebuilt.
fn take_copy(link: &mut Link, dir: &Path) -> Result<(), OpenError> {
    let (database, copy) = (dir.join(DATABASE), dir.join(format!("{}copy", crate::IN_THE_MAKING)));
    run(link, |client, schema| snapshot::get(client, schema, &copy))?;
    files::remove_folder(&dir.join(INDEXES))?;
    discard(&database)?;
    fs::rename(&copy, &database)?;
    fs::File::open(dir)?.sync_all()?;
    Ok(())
}
