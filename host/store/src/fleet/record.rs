//! Writing down which rows a transaction changes.
//!
//! Triggers of the writing connection note the keys of changed rows in a temporary
//! table. Before the commit the rows are read by those keys as they have become, so an
//! entry says what the transaction left behind and not how it came to it.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::entry::{Cell, Entry, Table, quoted, sequences};
use crate::types::Error;

/// Tables that are each host's own: what its indexes have yet to take out, where it is
/// in the log, and notes of the store itself.
const OWN: [&str; 3] = ["removals", "meta", super::position::TABLE];

/// A table that hosts share.
struct Shared {
    name: String,
    columns: Vec<String>,
    key: Vec<String>,
}

/// Knows the tables, and reads what was noted.
pub(crate) struct Recorder {
    tables: Vec<Shared>,
}

impl Recorder {
    /// Has a connection note what it changes.
    ///
    /// # Errors
    ///
    /// A table has no primary key of one or two columns.
    pub(crate) fn start(db: &Connection) -> Result<Self, Error> {
        let tables = tables(db)?;
        // Rows that `INSERT OR REPLACE` pushes out are changes too.
        db.pragma_update(None, "recursive_triggers", true)?;
        db.pragma_update(None, "temp_store", "MEMORY")?;
        db.execute_batch(
            "CREATE TEMP TABLE changed (t INTEGER, a, b, PRIMARY KEY (t, a, b)) WITHOUT ROWID;",
        )?;
        for (number, table) in tables.iter().enumerate() {
            db.execute_batch(&triggers(number, table)?)?;
        }
        Ok(Self { tables })
    }

    /// What the transaction has changed so far. The notes are taken away.
    pub(crate) fn take(&self, db: &Connection) -> Result<Entry, Error> {
        let mut entry = Entry::default();
        let changed: BTreeSet<usize> = db
            .prepare_cached("SELECT DISTINCT t FROM temp.changed")?
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        if changed.is_empty() {
            return Ok(entry);
        }
        let numbered = self.tables.iter().enumerate();
        for (number, table) in numbered.filter(|(number, _)| changed.contains(number)) {
            let mut rows = Table {
                name: table.name.clone(),
                columns: table.columns.clone(),
                key: table.key.clone(),
                ..Table::default()
            };
            read(db, number, table, &mut rows)?;
            if !rows.gone.is_empty() || !rows.rows.is_empty() {
                entry.tables.push(rows);
            }
        }
        db.prepare_cached("DELETE FROM temp.changed")?.execute([])?;
        entry.sequences = sequences(db)?;
        Ok(entry)
    }
}

/// The tables that hosts share. What an operator or an extension has added is not known
/// to other hosts, but then nobody adds to a database of ours.
fn tables(db: &Connection) -> Result<Vec<Shared>, Error> {
    let mut statement = db.prepare(
        "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
         ORDER BY name",
    )?;
    let names: Vec<String> =
        statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let shared = names.into_iter().filter(|name| !OWN.contains(&name.as_str()));
    shared.map(|name| table(db, name)).collect()
}

fn table(db: &Connection, name: String) -> Result<Shared, Error> {
    let mut statement = db.prepare("SELECT name, pk FROM pragma_table_info(?1) ORDER BY cid")?;
    let all: Vec<(String, i64)> = statement
        .query_map([&name], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut key: Vec<_> = all.iter().filter(|(_, place)| *place > 0).cloned().collect();
    key.sort_by_key(|(_, place)| *place);
    let key = key.into_iter().map(|(column, _)| column).collect();
    Ok(Shared { name, columns: all.into_iter().map(|(column, _)| column).collect(), key })
}

/// The two columns by which a row is noted; the second is 0 where the key has one.
fn noted(table: &Shared, row: &str) -> Result<String, Error> {
    match table.key.as_slice() {
        [one] => Ok(format!("{row}.{}, 0", quoted(one))),
        [one, two] => Ok(format!("{row}.{}, {row}.{}", quoted(one), quoted(two))),
        _ => Err(Error::Internal(format!(
            "the table {} has no key of one or two columns",
            table.name
        ))),
    }
}

fn triggers(number: usize, table: &Shared) -> Result<String, Error> {
    let (name, new, old) = (&table.name, noted(table, "NEW")?, noted(table, "OLD")?);
    let note = |row: &str| format!("INSERT OR IGNORE INTO changed VALUES ({number}, {row});");
    let (new, old) = (note(&new), note(&old));
    Ok(format!(
        "CREATE TEMP TRIGGER \"{name}_added\" AFTER INSERT ON main.\"{name}\" BEGIN {new} END;
         CREATE TEMP TRIGGER \"{name}_changed\" AFTER UPDATE ON main.\"{name}\" BEGIN {old} {new} END;
         CREATE TEMP TRIGGER \"{name}_gone\" AFTER DELETE ON main.\"{name}\" BEGIN {old} END;"
    ))
}

/// Reads the rows that were noted of one table, or that they are gone.
fn read(db: &Connection, number: usize, table: &Shared, into: &mut Table) -> Result<(), Error> {
    let columns: Vec<_> =
        table.columns.iter().map(|column| format!("r.{}", quoted(column))).collect();
    let on: Vec<_> = table
        .key
        .iter()
        .zip(["c.a", "c.b"])
        .map(|(column, c)| format!("r.{} = {c}", quoted(column)))
        .collect();
    let mut statement = db.prepare_cached(&format!(
        "SELECT c.a, c.b, r.{} IS NOT NULL, {} FROM temp.changed AS c
         LEFT JOIN main.{} AS r ON {} WHERE c.t = {number}",
        quoted(table.key.first().map_or("", String::as_str)),
        columns.join(", "),
        quoted(&table.name),
        on.join(" AND ")
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let cell = |at: usize| -> rusqlite::Result<Cell> { Ok(Cell::from(row.get_ref(at)?)) };
        if row.get(2)? {
            let cells = (3..3 + columns.len()).map(cell);
            into.rows.push(cells.collect::<Result<_, _>>()?);
        } else {
            into.gone.push((0..table.key.len()).map(cell).collect::<Result<_, _>>()?);
        }
    }
    Ok(())
}
