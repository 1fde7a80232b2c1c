//! Which embedding model a collection's vectors are of.
//!
//! A collection has room for the vectors of two models, in two tables. Those of the
//! one serve while those of the next are made; once none is missing, the tables change
//! their parts, and what is left of the old model goes in the background. So search
//! finds by vectors all the time, and whatever a crash leaves half done is gone on
//! with.

pub(crate) mod slot;

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row};

use crate::index::vector::encode_vector;
use crate::pending::Pending;
use crate::types::{CollectionModels, Error};
use slot::Slot;

/// Rows of a table as [`crate::schema`] has made it the first; see there.
pub(crate) const CREATE: &str = "
CREATE TABLE IF NOT EXISTS vectors_1 (
    chunk INTEGER PRIMARY KEY REFERENCES chunks ON DELETE CASCADE,
    vector BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS unembedded_1 (
    chunk INTEGER PRIMARY KEY REFERENCES chunks ON DELETE CASCADE
) STRICT;
";

/// Earlier versions had one model for all, whose name stood in `meta`.
pub(crate) const ONE_FOR_ALL: &str = "
UPDATE collections SET vectors_model = (SELECT value FROM meta WHERE name = 'embedding_model')
    WHERE vectors_model IS NULL;
DELETE FROM meta WHERE name = 'embedding_model';
";

/// Rows that go at once, of a table that nobody reads: some milliseconds, so that
/// writes of clients do not wait.
const MAX_CLEANED: usize = 2_000;

/// The models there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// Those that the settings name, whether or not they are ready.
    pub(crate) configured: BTreeSet<String>,
    /// The one of collections that chose none.
    pub(crate) default: Option<String>,
    /// Those that embed.
    pub(crate) ready: BTreeSet<String>,
    /// Those of them that count tokens.
    pub(crate) counting: BTreeSet<String>,
}

/// The models of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Models {
    /// What was chosen for it.
    pub(crate) chosen: Option<String>,
    /// Whose vectors serve.
    pub(crate) serving: Option<String>,
    /// Where those are.
    pub(crate) slot: Slot,
    /// Whose are being made in the other table.
    pub(crate) next: Option<String>,
    stale: bool,
}

impl Models {
    const SELECT: &str = "SELECT model, vectors_model, vectors_slot, next_model, stale";

    fn of_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            chosen: row.get(0)?,
            serving: row.get(1)?,
            slot: Slot::of(row.get(2)?),
            next: row.get(3)?,
            stale: row.get(4)?,
        })
    }

    /// The model that it is to have: the one that was chosen while there is one of
    /// this name.
    pub(crate) fn wanted<'a>(&'a self, known: &'a Known) -> Option<&'a str> {
        let chosen = self.chosen.as_deref().filter(|name| known.configured.contains(*name));
        chosen.or(known.default.as_deref())
    }

    /// The model whose vectors serve, or will as soon as there are any.
    pub(crate) fn effective<'a>(&'a self, known: &'a Known) -> Option<&'a str> {
        let serving = self.serving.as_deref().filter(|name| known.configured.contains(*name));
        serving.or_else(|| self.wanted(known))
    }

    /// The table in which the vectors of `model` are.
    fn slot_of(&self, model: &str) -> Option<Slot> {
        match model {
            model if self.serving.as_deref() == Some(model) => Some(self.slot),
            model if self.next.as_deref() == Some(model) => Some(self.slot.other()),
            _ => None,
        }
    }
}

/// The models of a collection.
pub(crate) fn of(db: &Connection, collection: i64) -> Result<Models, Error> {
    let mut statement =
        db.prepare_cached(&format!("{} FROM collections WHERE key = ?1", Models::SELECT))?;
    let found = statement.query_row([collection], Models::of_row).optional()?;
    found.ok_or(Error::UnknownCollection)
}

/// Chooses the model of a collection; none for the default.
///
/// # Errors
///
/// `Invalid` where there is no model of this name.
pub(crate) fn choose(
    db: &Connection,
    collection: i64,
    model: Option<&str>,
    known: &Known,
) -> Result<(), Error> {
    if let Some(name) = model
        && !known.configured.contains(name)
    {
        let names: Vec<_> = known.configured.iter().map(String::as_str).collect();
        let there = if names.is_empty() { "none".into() } else { names.join(", ") };
        return Err(Error::Invalid(format!(
            "no embedding model is called {name:?}; there are: {there}"
        )));
    }
    db.execute("UPDATE collections SET model = ?2 WHERE key = ?1", (collection, model))?;
    plan(db, collection, known)
}

/// Plans for every collection what [`plan`] does.
pub(crate) fn plan_all(db: &Connection, known: &Known) -> Result<(), Error> {
    crate::documents::collection_keys(db)?.into_iter().try_for_each(|key| plan(db, key, known))
}

/// Decides whose vectors of a collection are made next, after a choice, another start
/// or the end of cleaning. Doing it twice changes nothing.
pub(crate) fn plan(db: &Connection, collection: i64, known: &Known) -> Result<(), Error> {
    let models = of(db, collection)?;
    // Without a model vectors are of no use, and may be again.
    let Some(wanted) = models.wanted(known) else { return Ok(()) };
    let serving = models.serving.as_deref();
    if serving == Some(wanted) {
        if models.next.is_some() {
            give_up_next(db, collection)?;
        }
        return Ok(());
    }
    let serves = serving.is_some_and(|name| known.configured.contains(name))
        && has_vectors(db, collection, models.slot)?;
    if !serves {
        return start_over(db, collection, wanted);
    }
    match models.next.as_deref() {
        Some(next) if next == wanted => Ok(()),
        Some(_) => give_up_next(db, collection),
        None if models.stale => Ok(()),
        None => {
            db.execute(
                "UPDATE collections SET next_model = ?2 WHERE key = ?1",
                (collection, wanted),
            )?;
            Ok(())
        }
    }
}

/// What has been made for the next model goes, and then it is planned again.
fn give_up_next(db: &Connection, collection: i64) -> Result<(), Error> {
    db.execute("UPDATE collections SET next_model = NULL, stale = 1 WHERE key = ?1", [collection])?;
    Ok(())
}

/// Nothing that is there can serve: all vectors go, and `model` begins.
fn start_over(db: &Connection, collection: i64, model: &str) -> Result<(), Error> {
    for table in Slot::BOTH.into_iter().flat_map(|slot| [slot.vectors(), slot.unembedded()]) {
        db.execute(
            &format!(
                "DELETE FROM {table} WHERE chunk IN (SELECT id FROM chunks WHERE collection = ?1)"
            ),
            [collection],
        )?;
    }
    crate::jobs::forget_not_embedded(db, collection)?;
    db.execute(
        "UPDATE collections SET vectors_model = ?2, vectors_slot = 0, next_model = NULL, stale = 0
         WHERE key = ?1",
        (collection, model),
    )?;
    Ok(())
}

fn has_vectors(db: &Connection, collection: i64, slot: Slot) -> Result<bool, Error> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT EXISTS (SELECT 1 FROM chunks JOIN {} ON chunk = chunks.id WHERE collection = ?1)",
        slot.vectors()
    ))?;
    Ok(statement.query_row([collection], |row| row.get(0))?)
}

/// Whether a chunk that is written now is embedded at once. A collection that has
/// waited for its model may have it.
pub(crate) fn embeds(db: &Connection, collection: i64, known: &Known) -> Result<bool, Error> {
    let is_ready = |models: Models| models.serving.is_some_and(|name| known.ready.contains(&name));
    if is_ready(of(db, collection)?) {
        return Ok(true);
    }
    plan(db, collection, known)?;
    Ok(is_ready(of(db, collection)?))
}

/// Collections whose next vectors are of this model.
pub(crate) fn changing_to(db: &Connection, model: &str) -> Result<Vec<i64>, Error> {
    let mut statement =
        db.prepare_cached("SELECT key FROM collections WHERE next_model = ?1 ORDER BY key")?;
    Ok(statement.query_map([model], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// The first `limit` chunks of a collection after `from` up to `through` that lack their vector for the next model
/// and can have one.
pub(crate) fn without_next(
    db: &Connection,
    collection: i64,
    (from, through): (u64, u64),
    limit: usize,
) -> Result<Vec<Pending>, Error> {
    let slot = of(db, collection)?.slot.other();
    let which = format!(
        "chunks.collection = ?1 AND chunks.id > ?2 AND chunks.id <= ?3 AND {}
         ORDER BY chunks.id LIMIT ?4",
        lacks(slot)
    );
    crate::pending::read(db, &which, (collection, from, through, limit))
}

fn lacks(slot: Slot) -> String {
    format!(
        "NOT EXISTS (SELECT 1 FROM {} AS made WHERE made.chunk = chunks.id)
         AND NOT EXISTS (SELECT 1 FROM {} AS failed WHERE failed.chunk = chunks.id)",
        slot.vectors(),
        slot.unembedded()
    )
}

/// The models of a collection, as clients see them.
pub(crate) fn describe(
    db: &Connection,
    collection: i64,
    known: &Known,
) -> Result<CollectionModels, Error> {
    let models = of(db, collection)?;
    let next_made = match &models.next {
        Some(_) => made(db, collection, models.slot.other())?,
        None => 0,
    };
    let serving = models.effective(known).map(str::to_owned);
    Ok(CollectionModels { chosen: models.chosen, serving, next: models.next, next_made })
}

/// Chunks of a collection that have a vector in a table.
fn made(db: &Connection, collection: i64, slot: Slot) -> Result<u64, Error> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT count(*) FROM chunks JOIN {} ON chunk = chunks.id WHERE collection = ?1",
        slot.vectors()
    ))?;
    Ok(statement.query_row([collection], |row| row.get(0))?)
}

/// Has the vectors of the next model serve if none is missing; true if they do now.
pub(crate) fn switch(db: &Connection, collection: i64, model: &str) -> Result<bool, Error> {
    let models = of(db, collection)?;
    if models.next.as_deref() != Some(model) {
        return Ok(false);
    }
    let missing: bool = db
        .prepare_cached(&format!(
            "SELECT EXISTS (SELECT 1 FROM chunks WHERE collection = ?1 AND {})",
            lacks(models.slot.other())
        ))?
        .query_row([collection], |row| row.get(0))?;
    if missing {
        return Ok(false);
    }
    db.execute(
        "UPDATE collections SET vectors_model = next_model, vectors_slot = 1 - vectors_slot,
             next_model = NULL, stale = 1 WHERE key = ?1",
        [collection],
    )?;
    db.execute("DELETE FROM embedding_queue WHERE collection = ?1", [collection])?;
    crate::jobs::forget_not_embedded(db, collection)?;
    Ok(true)
}

/// Takes some rows that nobody reads out of the other table of a collection; true when
/// there was something to do.
pub(crate) fn clean(db: &Connection, known: &Known) -> Result<bool, Error> {
    let found: Option<(i64, i64)> = db
        .prepare_cached("SELECT key, vectors_slot FROM collections WHERE stale = 1 LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((collection, slot)) = found else { return Ok(false) };
    let slot = Slot::of(slot).other();
    let mut deleted = 0;
    for table in [slot.vectors(), slot.unembedded()] {
        deleted += db
            .prepare_cached(&format!(
                "DELETE FROM {table} WHERE chunk IN (SELECT chunk FROM {table}
                 JOIN chunks ON chunks.id = chunk WHERE collection = ?1 LIMIT {MAX_CLEANED})"
            ))?
            .execute([collection])?;
    }
    if deleted == 0 {
        db.execute("UPDATE collections SET stale = 0 WHERE key = ?1", [collection])?;
        plan(db, collection, known)?;
    }
    Ok(true)
}

/// Whether there is something to clean.
pub(crate) fn is_any_stale(db: &Connection) -> Result<bool, Error> {
    let mut statement =
        db.prepare_cached("SELECT EXISTS (SELECT 1 FROM collections WHERE stale = 1)")?;
    Ok(statement.query_row([], |row| row.get(0))?)
}

/// Stores vectors of `model`, each in the table where its collection has those of this
/// model; none where it has them no more. A chunk may have been deleted while its
/// vector was made.
pub(crate) fn save(db: &Connection, model: &str, chunks: &[(u64, Vec<u8>)]) -> Result<(), Error> {
    for slot in Slot::BOTH {
        let mut insert = db.prepare_cached(&format!(
            "INSERT OR REPLACE INTO {} (chunk, vector) SELECT chunks.id, ?2 FROM chunks
             JOIN collections ON collections.key = chunks.collection WHERE chunks.id = ?1
             AND ?3 = CASE vectors_slot WHEN {} THEN vectors_model ELSE next_model END",
            slot.vectors(),
            slot.number()
        ))?;
        for (chunk, vector) in chunks {
            insert.execute((chunk, vector, model))?;
        }
    }
    Ok(())
}

/// Notes that `model` cannot embed a chunk; the account of the jobs of its document
/// says so when it is the model that serves.
pub(crate) fn not_embedded(db: &Connection, model: &str, chunk: u64) -> Result<(), Error> {
    let collection: Option<i64> = db
        .prepare_cached("SELECT collection FROM chunks WHERE id = ?1")?
        .query_row([chunk], |row| row.get(0))
        .optional()?;
    let Some(collection) = collection else { return Ok(()) };
    let models = of(db, collection)?;
    let Some(slot) = models.slot_of(model) else { return Ok(()) };
    db.execute(
        &format!("INSERT OR IGNORE INTO {} (chunk) VALUES (?1)", slot.unembedded()),
        [chunk],
    )?;
    if slot == models.slot {
        crate::jobs::not_embedded(db, chunk)?;
    }
    Ok(())
}

/// Chunks that have a vector, and the vector as it is stored.
pub(crate) fn encoded<'a>(chunks: impl IntoIterator<Item = &'a Pending>) -> Vec<(u64, Vec<u8>)> {
    let vector = |chunk: &Pending| Some((chunk.chunk, encode_vector(chunk.vector.as_deref()?)));
    chunks.into_iter().filter_map(vector).collect()
}
