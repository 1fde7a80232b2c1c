//! What one host writes another has, row for row.

use std::sync::Arc;

use ragtime_policy::bounds::Bounds;
use ragtime_policy::chunking::ChunkingSpec;
use ragtime_policy::version::Condition;
use rusqlite::Connection;

use super::apply::{TakenIn, apply};
use super::entry::{Cell, Entry, sequences};
use super::position::Position;
use super::record::Recorder;
use crate::models::{self, Known};
use crate::types::{Details, Error, NewChunk, NewDocument};
use crate::writer::Effects;
use crate::{audit, documents, jobs, rechunking, schema};

/// A host that writes, and one that follows.
struct Pair {
    _dir: tempfile::TempDir,
    writer: Connection,
    recorder: Recorder,
    follower: Connection,
    known: Arc<Known>,
}

fn document(id: &str, text: &str) -> NewDocument {
    NewDocument {
        id: Some(id.into()),
        title: Some("A \u{0} title".into()),
        text: text.into(),
        media_type: "text/plain".into(),
        metadata: r#"{"a": [1, null, "\u0000"]}"#.into(),
        chunks: vec![NewChunk { span: 0..text.len() as u64, headings: Vec::new(), page: None }],
        cut: ChunkingSpec::default(),
        outline: "o".into(),
        details: Details::default(),
    }
}

impl Pair {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let first = schema::open_writer(&dir.path().join("first")).unwrap();
        Position::create(&first).unwrap();
        let second = dir.path().join("second");
        first.execute("VACUUM INTO ?1", [second.to_str().unwrap()]).unwrap();
        let follower = schema::open_writer(&second).unwrap();
        follower.pragma_update(None, "foreign_keys", false).unwrap();
        let recorder = Recorder::start(&first).unwrap();
        let configured = ["one", "two"].map(str::to_owned).into();
        let known = Known {
            configured,
            default: Some("one".into()),
            ready: ["one", "two"].map(str::to_owned).into(),
            ..Known::default()
        };
        Self { _dir: dir, writer: first, recorder, follower, known: Arc::new(known) }
    }

    /// Writes on the one, applies to the other, and compares.
    fn write<R>(
        &self,
        work: impl FnOnce(&Connection, &mut Effects) -> Result<R, Error>,
    ) -> (R, Effects, TakenIn) {
        let mut effects = Effects::default();
        self.writer.execute_batch("BEGIN IMMEDIATE").unwrap();
        let result = work(&self.writer, &mut effects).unwrap();
        let entry = self.recorder.take(&self.writer).unwrap();
        self.writer.execute_batch("COMMIT").unwrap();
        let entry = Entry::decode(&entry.encode().unwrap()).unwrap();
        let mut taken = TakenIn::default();
        for round in 0..2 {
            // The second time changes nothing.
            let mut again = TakenIn::default();
            let transaction = self.follower.unchecked_transaction().unwrap();
            apply(&transaction, &entry, &mut again).unwrap();
            transaction.commit().unwrap();
            if round == 0 {
                taken = again;
            }
            assert_eq!(rows(&self.writer), rows(&self.follower));
        }
        (result, effects, taken)
    }

    fn put(&self, id: &str, text: &str) -> (u64, Effects, TakenIn) {
        let prepared = documents::prepare(document(id, text), &self.known).unwrap();
        let (put, effects, taken) = self.write(|db, effects| {
            documents::put(db, "default", &prepared, &Condition::default(), 7, effects)
        });
        (put.seq, effects, taken)
    }
}

/// Every row of the tables that hosts share, and the numbers that were given last.
fn rows(db: &Connection) -> Vec<(String, Vec<Vec<String>>)> {
    let mut names = db
        .prepare("SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1")
        .unwrap();
    let names: Vec<String> =
        names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let shared = names.into_iter().filter(|name| !["removals", "meta"].contains(&name.as_str()));
    let mut all: Vec<_> = shared
        .map(|name| {
            let mut statement = db.prepare(&format!("SELECT * FROM main.\"{name}\"")).unwrap();
            let columns = statement.column_count();
            let mut found = Vec::new();
            let mut rows = statement.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let cell = |at| format!("{:?}", Cell::from(row.get_ref(at).unwrap()));
                found.push((0..columns).map(cell).collect::<Vec<_>>());
            }
            found.sort();
            (name, found)
        })
        .collect();
    let last = sequences(db).unwrap().into_iter();
    all.push((String::new(), last.map(|(name, n)| vec![name, n.to_string()]).collect()));
    all
}

#[test]
fn documents_and_what_goes_with_them() {
    let pair = Pair::new();
    let (first, _, taken) = pair.put("a", "A text.");
    assert!(taken.removed.is_empty());
    // Replaced: what this host hides the other hides too.
    let (_, effects, taken) = pair.put("a", "Another text.");
    assert_eq!(effects.removed, [(1, first)]);
    assert_eq!(taken.removed, effects.removed);
    // Put and deleted at once: the number is not given again.
    let prepared = documents::prepare(document("b", "Gone."), &pair.known).unwrap();
    pair.write(|db, effects| {
        documents::put(db, "default", &prepared, &Condition::default(), 7, effects)?;
        documents::delete(db, "default", "b", &Condition::default(), effects)
    });
    let (_, effects, taken) = pair
        .write(|db, effects| documents::delete(db, "default", "a", &Condition::default(), effects));
    assert_eq!(taken.removed, effects.removed);
}

#[test]
fn collections_with_all_that_is_in_them() {
    let pair = Pair::new();
    let known = Arc::clone(&pair.known);
    pair.write(|db, _| {
        documents::create_collection(db, "c", None, None, (&known, Bounds::default()), 7)
    });
    let item = documents::prepare(document("a", "A text."), &known).unwrap();
    let items = [(0, Ok(item))];
    pair.write(|db, effects| jobs::ingest(db, "c", &items, 7, effects));
    let (.., taken) = pair.write(|db, effects| documents::delete_collection(db, "c", effects));
    assert_eq!(taken.dropped, [2]);
    let left: u64 = pair
        .follower
        .query_row("SELECT count(*) FROM removals WHERE collection = 2", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0, "the index goes as a whole");
}

#[test]
fn vectors_and_the_change_from_one_model_to_another() {
    let pair = Pair::new();
    let known = Arc::clone(&pair.known);
    let (chunk, ..) = pair.put("a", "A text.");
    let vector = |value: f32| vec![(chunk, crate::index::vector::encode_vector(&[value, 0.0]))];
    let (.., taken) = pair.write(|db, _| models::save(db, "one", &vector(1.0)));
    let shown = [((1, "one".to_owned()), vec![(chunk, vec![1.0, 0.0])])];
    assert_eq!(taken.vectors, shown.into());
    pair.write(|db, _| models::choose(db, 1, Some("two"), &known));
    let (.., taken) = pair.write(|db, _| models::save(db, "two", &vector(2.0)));
    assert!(taken.vectors.is_empty(), "they do not serve yet");
    let (switched, _, taken) = pair.write(|db, _| models::switch(db, 1, "two"));
    assert!(switched);
    assert_eq!(taken.collections, [1]);
    pair.write(|db, _| models::clean(db, &known));
    let (.., taken) = pair.write(|db, _| models::not_embedded(db, "two", chunk));
    assert!(!taken.unembedded);
}

#[test]
fn texts_cut_anew_and_acts() {
    let pair = Pair::new();
    let known = Arc::clone(&pair.known);
    pair.put("a", "One text.");
    let sha256: String =
        pair.writer.query_row("SELECT sha256 FROM documents", [], |row| row.get(0)).unwrap();
    let chunk = |span| NewChunk { span, headings: vec!["h".into()], page: Some(1) };
    let chunks = [chunk(0..3), chunk(4..9)];
    pair.write(|db, _| {
        rechunking::rechunk(db, "default", "a", &sha256, &chunks, &ChunkingSpec::default(), &known)
    });
    pair.write(|db, _| {
        db.execute("DELETE FROM embedding_queue", [])?;
        Ok(())
    });
    let (_, effects, taken) = pair.write(|db, effects| rechunking::retire(db, 100, effects));
    assert_eq!((taken.removed.len(), taken.removed), (1, effects.removed));
    let act = crate::types::AuditEvent {
        n: 0,
        at: 7,
        actor: "k".into(),
        action: "key.issue".into(),
        target: "t".into(),
        detail: "{}".into(),
        request_id: None,
    };
    pair.write(|db, _| audit::record(db, &act));
}
