//! Whether the truth is whole, and whether the indexes say what it says.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use ragtime_policy::digest::sha256;
use rusqlite::Connection;

use crate::alive::stored_vector;
use crate::documents::slice;
use crate::folders;
use crate::index::vector::decode_vector;
use crate::lexical::Lexical;
use crate::models::{self, slot::Slot};
use crate::types::{Error, OpenError};
use crate::vectors::{FOLDER, Home};
use crate::{DATABASE, INDEXES, lock, schema};

/// How far the length of a stored vector may be from 1: it was 1 in 32 bits.
const UNIT_TOLERANCE: f32 = 1e-3;
/// Findings of one kind that are listed one by one.
const MAX_FINDINGS: usize = 20;

/// What a check looked at, and what it found.
#[derive(Debug, Default)]
pub struct Report {
    /// Documents whose text and chunks were read.
    pub documents: u64,
    /// Chunks compared with the indexes.
    pub chunks: u64,
    /// Vectors read.
    pub vectors: u64,
    /// Damage to what cannot be rebuilt. A backup has it.
    pub lost: Vec<String>,
    /// Derived data that does not agree; it can be rebuilt.
    pub differing: Vec<String>,
}

/// Reads everything in `dir` and compares. With `repair`, removes what differs
/// of the derived data: the next start rebuilds it. Blocking, and takes the
/// folder for itself.
///
/// # Errors
///
/// The folder is in use, or has no database that can be opened.
pub fn check(dir: &Path, repair: bool) -> Result<Report, OpenError> {
    let _lock = lock(dir)?;
    if !dir.join(DATABASE).exists() {
        return Err(OpenError::NoDatabase);
    }
    let db = schema::open_writer(&dir.join(DATABASE))?;
    if repair && crate::fleet::is_copy(&db)? {
        return Err(OpenError::OfFleet);
    }
    let mut report = Report::default();
    database(&db, &mut report)?;
    documents(&db, &mut report)?;
    for table in Slot::BOTH.map(Slot::vectors) {
        let bad = vectors(&db, table, &mut report)?;
        if repair {
            let mut delete = db.prepare(&format!("DELETE FROM {table} WHERE chunk = ?1"))?;
            for chunk in bad {
                delete.execute([chunk])?;
            }
        }
    }
    for folder in indexes(&db, &dir.join(INDEXES), &mut report)? {
        if repair && folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
    }
    Ok(report)
}

fn database(db: &Connection, report: &mut Report) -> rusqlite::Result<()> {
    let mut statement = db.prepare("PRAGMA integrity_check")?;
    for line in statement.query_map([], |row| row.get::<_, String>(0))? {
        let line = line?;
        if line != "ok" {
            note(&mut report.lost, format!("the database: {line}"));
        }
    }
    let mut orphans = db.prepare("PRAGMA foreign_key_check")?;
    for table in orphans.query_map([], |row| row.get::<_, String>(0))? {
        note(&mut report.lost, format!("the database: a row of {} belongs to nothing", table?));
    }
    Ok(())
}

/// Every text is what was stored, and every chunk a piece of it.
fn documents(db: &Connection, report: &mut Report) -> rusqlite::Result<()> {
    let mut chunks =
        db.prepare("SELECT start, end FROM chunks WHERE document = ?1 AND id <= ?2")?;
    let mut statement =
        db.prepare("SELECT key, id, sha256, chunk_count, text, last_chunk FROM documents")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let id: String = row.get(1)?;
        let text = row.get_ref(4)?.as_str().map_err(rusqlite::Error::from)?;
        if sha256(text) != row.get::<_, String>(2)? {
            note(&mut report.lost, format!("the text of {id:?} is not the one that was stored"));
        }
        let mut count = 0_u64;
        let mut spans = chunks.query((row.get::<_, i64>(0)?, row.get::<_, i64>(5)?))?;
        while let Some(span) = spans.next()? {
            count += 1;
            if slice(text, &(span.get(0)?..span.get(1)?)).is_none_or(str::is_empty) {
                note(&mut report.lost, format!("a chunk of {id:?} is outside its text"));
            }
        }
        if count != row.get::<_, u64>(3)? {
            note(&mut report.lost, format!("{id:?} does not have all its chunks"));
        }
        report.documents += 1;
    }
    Ok(())
}

/// The chunks whose vectors in a table cannot be right: those of one collection are of
/// one length.
fn vectors(db: &Connection, table: &str, report: &mut Report) -> rusqlite::Result<Vec<u64>> {
    let mut statement = db.prepare(&format!(
        "SELECT chunk, vector, collection FROM {table} JOIN chunks ON chunks.id = chunk
         ORDER BY chunk"
    ))?;
    let mut rows = statement.query([])?;
    let (mut bad, mut dimensions) = (Vec::new(), HashMap::<i64, usize>::new());
    while let Some(row) = rows.next()? {
        report.vectors += 1;
        let vector = row.get_ref(1)?.as_blob().ok().and_then(decode_vector);
        let collection = row.get(2)?;
        let right = vector.is_some_and(|vector| {
            let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
            (norm - 1.0).abs() <= UNIT_TOLERANCE
                && *dimensions.entry(collection).or_insert(vector.len()) == vector.len()
        });
        if !right {
            let chunk = row.get(0)?;
            note(&mut report.differing, format!("the vector of chunk {chunk} is damaged"));
            bad.push(chunk);
        }
    }
    Ok(bad)
}

/// The folders of indexes that have to be rebuilt.
fn indexes(
    db: &Connection,
    folder: &Path,
    report: &mut Report,
) -> Result<Vec<std::path::PathBuf>, OpenError> {
    let mut statement = db.prepare("SELECT key, name FROM collections")?;
    let collections: Vec<(i64, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut differing = Vec::new();
    for (key, name) in &collections {
        let index = folder.join(key.to_string());
        if let Err(error) = compare(db, *key, &index, report) {
            note(&mut report.differing, format!("the lexical index of {name:?}: {error}"));
            differing.push(index.clone());
        }
        if let Err(error) = compare_vectors(db, *key, &index) {
            note(&mut report.differing, format!("the files of vectors of {name:?}: {error}"));
            differing.push(index.join(FOLDER));
        }
    }
    let known: HashSet<_> = collections.iter().map(|(key, _)| key.to_string()).collect();
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(differing),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_str().is_none_or(|name| !known.contains(name)) {
            note(&mut report.differing, "an index of a collection that is gone".into());
            differing.push(entry.path());
        }
    }
    Ok(differing)
}

/// Every chunk as far as the index has come is in it once, and no other.
fn compare(db: &Connection, key: i64, index: &Path, report: &mut Report) -> Result<(), Error> {
    let numbers = |sql: &str, to: Option<u64>| -> Result<Vec<u64>, Error> {
        let mut statement = db.prepare(sql)?;
        let rows = statement.query_map((key, to), |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    let chunks = "SELECT id FROM chunks WHERE collection = ?1 AND id <= ?2 ORDER BY id";
    // One that has not begun is behind, and no more.
    if !index.exists() {
        return Ok(());
    }
    let lexical = Lexical::open(&folders::in_use(index, None))?;
    if !lexical.damaged()?.is_empty() {
        return Err(Error::Internal("its files are damaged".into()));
    }
    let expected = numbers(chunks, Some(lexical.state()?.progress.chunk))?;
    let gone: HashSet<_> =
        numbers("SELECT chunk FROM removals WHERE collection = ?1 AND ?2 IS NULL", None)?
            .into_iter()
            .collect();
    let mut held = lexical.chunks()?;
    held.retain(|chunk| !gone.contains(chunk));
    held.sort_unstable();
    report.chunks += expected.len() as u64;
    if held == expected {
        return Ok(());
    }
    let (held_once, wanted): (HashSet<_>, HashSet<_>) =
        (held.iter().collect(), expected.iter().collect());
    Err(Error::Internal(format!(
        "{} chunks are missing, {} are there that should not be, {} more than once",
        wanted.difference(&held_once).count(),
        held_once.difference(&wanted).count(),
        held.len() - held_once.len(),
    )))
}

/// Files of vectors are whole and hold what the database holds; there need not be any.
fn compare_vectors(db: &Connection, key: i64, index: &Path) -> Result<(), Error> {
    let models = models::of(db, key)?;
    let Some(model) = models.serving else { return Ok(()) };
    let stored = |chunk| stored_vector(db, models.slot, chunk);
    Home::new(index, key, &model).compare(stored)
}

fn note(findings: &mut Vec<String>, finding: String) {
    match findings.len() {
        0..MAX_FINDINGS => findings.push(finding),
        MAX_FINDINGS => findings.push("and more".into()),
        _ => {}
    }
}
