//! Bringing an entry of the log into this host's database.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::entry::{Cell, Entry, Table, changed_keys, changes_handlers, quoted};
use crate::index::vector::decode_vector;
use crate::models::{self, slot::Slot};
use crate::types::Error;

/// A chunk and its vector.
pub(crate) type ChunkVector = (u64, Vec<f32>);

/// What an entry of another host means for what is in memory here.
#[derive(Debug, Default)]
pub(crate) struct TakenIn {
    /// Chunks that search must not return any more: collection and chunk.
    pub(crate) removed: Vec<(i64, u64)>,
    /// Collections that are gone.
    pub(crate) dropped: Vec<i64>,
    /// Vectors that serve, by collection and model.
    pub(crate) vectors: BTreeMap<(i64, String), Vec<ChunkVector>>,
    /// Collections whose row changed: language, models, prompt.
    pub(crate) collections: Vec<i64>,
    /// Ids of keys that changed.
    pub(crate) keys: Vec<String>,
    /// Which handler serves has changed, or a rollout.
    pub(crate) handlers: bool,
    /// The queue for vectors changed.
    pub(crate) queue: bool,
    /// Chunks that had vectors, or that a model failed at, are to be embedded again.
    pub(crate) unembedded: bool,
    /// How texts are to be cut has changed.
    pub(crate) chunkings: bool,
}

/// Applies an entry within the transaction that `db` is in. Foreign keys are off there:
/// what a deletion took with it stands in the entry by itself.
pub(crate) fn apply(db: &Connection, entry: &Entry, taken: &mut TakenIn) -> Result<(), Error> {
    // All that goes, before anything comes: a document that replaces another has its id.
    for table in &entry.tables {
        if table.name == "chunks" {
            hide(db, table, taken)?;
        }
        delete(db, table)?;
        if table.name == "collections" {
            drop_all(db, table, taken)?;
        }
    }
    for table in &entry.tables {
        insert(db, table)?;
        match table.name.as_str() {
            "collections" => taken.collections.extend(first_numbers(&table.rows)),
            "embedding_queue" => taken.queue = true,
            "chunkings" => taken.chunkings = true,
            name if Slot::BOTH
                .iter()
                .any(|slot| [slot.vectors(), slot.unembedded()].contains(&name)) =>
            {
                // With their chunks they go for good.
                taken.unembedded |= !table.gone.is_empty() && taken.removed.is_empty();
            }
            // Of the others nothing is kept in memory.
            _ => {}
        }
    }
    for slot in Slot::BOTH {
        let made = entry.tables.iter().find(|table| table.name == slot.vectors());
        made.map_or(Ok(()), |table| show(db, slot, table, taken))?;
    }
    taken.keys.extend(changed_keys(entry));
    taken.handlers |= changes_handlers(entry);
    sequences(db, &entry.sequences)
}

/// The first cells of rows, as numbers.
fn first_numbers(rows: &[Vec<Cell>]) -> impl Iterator<Item = i64> {
    rows.iter().filter_map(|row| match row.first() {
        Some(Cell::Integer(number)) => Some(*number),
        Some(Cell::Null | Cell::Real(_) | Cell::Text(_) | Cell::Blob(_)) | None => None,
    })
}

/// The indexes of this host have yet to take these chunks out.
fn hide(db: &Connection, chunks: &Table, taken: &mut TakenIn) -> Result<(), Error> {
    let mut of = db.prepare_cached("SELECT collection FROM chunks WHERE id = ?1")?;
    let mut note = db.prepare_cached("INSERT INTO removals (collection, chunk) VALUES (?1, ?2)")?;
    for chunk in first_numbers(&chunks.gone) {
        let Some(collection) = of.query_row([chunk], |row| row.get(0)).optional()? else {
            continue;
        };
        note.execute((collection, chunk))?;
        taken.removed.push((collection, u64::try_from(chunk).unwrap_or(u64::MAX)));
    }
    Ok(())
}

/// The index of a collection that is gone goes as a whole.
fn drop_all(db: &Connection, collections: &Table, taken: &mut TakenIn) -> Result<(), Error> {
    let mut delete = db.prepare_cached("DELETE FROM removals WHERE collection = ?1")?;
    for collection in first_numbers(&collections.gone) {
        delete.execute([collection])?;
        taken.dropped.push(collection);
    }
    Ok(())
}

fn delete(db: &Connection, table: &Table) -> Result<(), Error> {
    if table.gone.is_empty() {
        return Ok(());
    }
    let on: Vec<_> = table.key.iter().map(|column| format!("{} = ?", quoted(column))).collect();
    let sql = format!("DELETE FROM {} WHERE {}", quoted(&table.name), on.join(" AND "));
    let mut statement = db.prepare_cached(&sql)?;
    for key in &table.gone {
        statement.execute(params_from_iter(key))?;
    }
    Ok(())
}

fn insert(db: &Connection, table: &Table) -> Result<(), Error> {
    if table.rows.is_empty() {
        return Ok(());
    }
    let columns: Vec<_> = table.columns.iter().map(|column| quoted(column)).collect();
    let places = vec!["?"; columns.len()].join(", ");
    let sql = format!(
        "INSERT OR REPLACE INTO {} ({}) VALUES ({places})",
        quoted(&table.name),
        columns.join(", ")
    );
    let mut statement = db.prepare_cached(&sql)?;
    for row in &table.rows {
        statement.execute(params_from_iter(row))?;
    }
    Ok(())
}

/// Which of the new vectors of a table serve.
fn show(db: &Connection, slot: Slot, table: &Table, taken: &mut TakenIn) -> Result<(), Error> {
    let mut of = db.prepare_cached("SELECT collection FROM chunks WHERE id = ?1")?;
    for row in &table.rows {
        let [Cell::Integer(chunk), Cell::Blob(bytes), ..] = row.as_slice() else { continue };
        let found: Option<i64> = of.query_row([chunk], |row| row.get(0)).optional()?;
        let (Some(collection), Some(vector)) = (found, decode_vector(bytes)) else { continue };
        let serving = models::of(db, collection)?;
        if let Some(model) = serving.serving.filter(|_| serving.slot == slot) {
            let chunk = u64::try_from(*chunk).unwrap_or(u64::MAX);
            taken.vectors.entry((collection, model)).or_default().push((chunk, vector));
        }
    }
    Ok(())
}

fn sequences(db: &Connection, last: &[(String, i64)]) -> Result<(), Error> {
    let mut update =
        db.prepare_cached("UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1")?;
    let mut insert =
        db.prepare_cached("INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)")?;
    for (name, seq) in last {
        if update.execute((name, seq))? == 0 {
            insert.execute((name, seq))?;
        }
    }
    Ok(())
}
