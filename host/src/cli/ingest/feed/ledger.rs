//! What a feed has put on a server, kept on this machine: what is unchanged is not
//! sent again, what is gone from the source can be deleted, and a run that was killed
//! goes on where it was.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use ragtime_policy::digest::hex;
use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest, Sha256};

use crate::cli::CliError;

/// Bytes of the hash in the name of a ledger: enough to distinguish feeds.
const NAME_BYTES: usize = 8;

/// `seen` is the last pass that found a source, `sent` the last that sent all of it.
/// A document that was not sent with its source the last time is gone from it.
const CREATE: &str = "
CREATE TABLE IF NOT EXISTS sources (
    source TEXT PRIMARY KEY,
    quick TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    etag TEXT,
    modified TEXT,
    seen INTEGER NOT NULL,
    sent INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS documents (
    id TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    stamp TEXT,
    sent INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS documents_by_source ON documents (source);
CREATE TABLE IF NOT EXISTS passes (pass INTEGER PRIMARY KEY) STRICT;
";

/// The state of one feed.
pub struct Ledger {
    db: Connection,
    pass: i64,
    /// One run of a feed at a time.
    _lock: File,
}

/// What is known of a source: a file, or a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Print {
    /// What shows without reading that nothing changed: size and time of a file.
    pub quick: String,
    /// The hash of its content.
    pub sha256: String,
    /// The `ETag` of a page.
    pub etag: Option<String>,
    /// The `Last-Modified` of a page.
    pub modified: Option<String>,
}

/// A document that the feed put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Its id.
    pub id: String,
    /// The version that the feed put; none while that has not been looked at.
    pub stamp: Option<String>,
}

impl Ledger {
    /// That of the feed with this identity, below `folder`.
    ///
    /// # Errors
    ///
    /// It cannot be written, or another run of the feed is at work.
    pub fn open(folder: &Path, name: &str, identity: &[&str]) -> Result<Self, CliError> {
        fs::create_dir_all(folder).map_err(|error| broken(folder, &error))?;
        let path = folder.join(format!("{}.sqlite", file_name(name, identity)));
        let lock = path.with_extension("lock");
        let lock = File::create(&lock).map_err(|error| broken(&lock, &error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(CliError::with_hint(
                    "another run of this feed is at work",
                    "wait for it, or give this one a name of its own with --feed",
                ));
            }
            Err(TryLockError::Error(error)) => return Err(broken(&path, &error)),
        }
        let open = || -> rusqlite::Result<Connection> {
            let db = Connection::open(&path)?;
            db.pragma_update(None, "journal_mode", "WAL")?;
            // What a power cut takes is sent once more.
            db.pragma_update(None, "synchronous", "NORMAL")?;
            db.execute_batch(CREATE)?;
            Ok(db)
        };
        let db = open().map_err(|error| broken(&path, &error))?;
        Ok(Self { db, pass: 0, _lock: lock })
    }

    /// Begins a pass over the source. A rehearsed one leaves nothing behind.
    pub fn begin(&mut self, rehearsed: bool) -> Result<(), CliError> {
        if rehearsed {
            self.run("BEGIN", ())?;
        }
        self.run("INSERT INTO passes DEFAULT VALUES", ())?;
        self.pass = self.db.last_insert_rowid();
        self.run("DELETE FROM passes WHERE pass < ?1", [self.pass])
    }

    /// Undoes a pass that was rehearsed.
    pub fn undo(&mut self) -> Result<(), CliError> {
        self.run("ROLLBACK", ())
    }

    /// Notes that the source is there; what was known of it.
    pub fn see(&mut self, source: &str) -> Result<Option<Print>, CliError> {
        self.run("UPDATE sources SET seen = ?2 WHERE source = ?1", (source, self.pass))?;
        self.print(source)
    }

    /// What is known of a source.
    pub fn print(&self, source: &str) -> Result<Option<Print>, CliError> {
        let known = self.db.query_row(
            "SELECT quick, sha256, etag, modified FROM sources WHERE source = ?1",
            [source],
            |row| {
                Ok(Print {
                    quick: row.get(0)?,
                    sha256: row.get(1)?,
                    etag: row.get(2)?,
                    modified: row.get(3)?,
                })
            },
        );
        known.optional().map_err(unreadable)
    }

    /// Everything that was known stays as it was: the source cannot be looked at.
    pub fn see_all(&mut self) -> Result<(), CliError> {
        self.run("UPDATE sources SET seen = ?1", [self.pass])
    }

    /// The same of pages alone. Files have no `//` in their names.
    pub fn see_pages(&mut self) -> Result<(), CliError> {
        self.run("UPDATE sources SET seen = ?1 WHERE source LIKE 'http%://%'", [self.pass])
    }

    /// The source is as it was, by what costs more to compare.
    pub fn touch(&mut self, source: &str, print: &Print) -> Result<(), CliError> {
        self.run(
            "UPDATE sources SET quick = ?2, etag = ?3, modified = ?4 WHERE source = ?1",
            (source, &print.quick, &print.etag, &print.modified),
        )
    }

    /// The server has a document of a source.
    pub fn taken(&mut self, source: &str, id: &str) -> Result<(), CliError> {
        self.run(
            "INSERT INTO documents (id, source, sent) VALUES (?1, ?2, ?3)
             ON CONFLICT (id) DO UPDATE SET source = ?2, stamp = NULL, sent = ?3",
            (id, source, self.pass),
        )
    }

    /// The server has all documents of a source.
    pub fn done(&mut self, source: &str, print: &Print) -> Result<(), CliError> {
        self.run(
            "INSERT INTO sources (source, quick, sha256, etag, modified, seen, sent)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)
             ON CONFLICT (source) DO UPDATE SET
             quick = ?2, sha256 = ?3, etag = ?4, modified = ?5, seen = ?6, sent = ?6",
            (source, &print.quick, &print.sha256, &print.etag, &print.modified, self.pass),
        )
    }

    /// Takes down the versions of what was put and has not been looked at since.
    pub fn adopt(&mut self, server: &HashMap<String, String>) -> Result<(), CliError> {
        for put in self.unstamped()? {
            if let Some(stamp) = server.get(&put.id) {
                self.run("UPDATE documents SET stamp = ?2 WHERE id = ?1", (&put.id, stamp))?;
            }
        }
        Ok(())
    }

    /// What was put and has not been looked at since.
    pub fn unstamped(&self) -> Result<Vec<Put>, CliError> {
        self.rows("SELECT id, stamp FROM documents WHERE stamp IS NULL", ())
    }

    /// The documents of a source.
    pub fn documents_of(&self, source: &str) -> Result<Vec<Put>, CliError> {
        self.rows("SELECT id, stamp FROM documents WHERE source = ?1 ORDER BY id", [source])
    }

    /// Documents that are gone from the source.
    pub fn gone(&self) -> Result<Vec<Put>, CliError> {
        self.rows(
            "SELECT id, stamp FROM documents LEFT JOIN sources USING (source)
             WHERE sources.seen IS NULL OR sources.seen < ?1 OR documents.sent < sources.sent
             ORDER BY id",
            [self.pass],
        )
    }

    /// How many documents the feed has put.
    pub fn count(&self) -> Result<u64, CliError> {
        let count = self.db.query_row("SELECT count(*) FROM documents", (), |row| row.get(0));
        count.map_err(unreadable)
    }

    /// The document is not the feed's any more.
    pub fn forget(&mut self, id: &str) -> Result<(), CliError> {
        self.run("DELETE FROM documents WHERE id = ?1", [id])?;
        // Sources of several documents stay as long as one is left; those without any
        // are files whose documents the server names.
        self.run(
            "DELETE FROM sources WHERE seen < ?1 AND source NOT IN (SELECT source FROM documents)",
            [self.pass],
        )
    }

    fn run(&self, sql: &str, values: impl rusqlite::Params) -> Result<(), CliError> {
        let done = self.db.prepare_cached(sql).and_then(|mut statement| statement.execute(values));
        done.map(drop).map_err(unreadable)
    }

    fn rows(&self, sql: &str, values: impl rusqlite::Params) -> Result<Vec<Put>, CliError> {
        let read = || {
            let mut statement = self.db.prepare_cached(sql)?;
            let put = |row: &rusqlite::Row<'_>| Ok(Put { id: row.get(0)?, stamp: row.get(1)? });
            statement.query_map(values, put)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(unreadable)
    }
}

/// Where ledgers are kept where nothing else is said: `XDG_STATE_HOME`, as the XDG Base
/// Directory Specification has it.
pub fn default_folder() -> PathBuf {
    let named = std::env::var_os("XDG_STATE_HOME").filter(|value| !value.is_empty());
    let home = || std::env::home_dir().unwrap_or_default().join(".local/state");
    named.map_or_else(home, PathBuf::from).join("ragtime/feeds")
}

/// The hash distinguishes feeds, the name is for people.
fn file_name(name: &str, identity: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in identity {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    let hash = hex(hash.finalize().get(..NAME_BYTES).unwrap_or_default());
    let safe = |char: char| if char.is_ascii_alphanumeric() { char } else { '-' };
    let name: String = name.chars().take(40).map(safe).collect();
    format!("{name}-{hash}")
}

fn broken(path: &Path, error: &dyn std::fmt::Display) -> CliError {
    CliError::with_hint(
        format!("the state of the feed, {}: {error}", path.display()),
        "--state-dir names another folder for it",
    )
}

fn unreadable(error: rusqlite::Error) -> CliError {
    CliError::new(format!("the state of the feed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> (tempfile::TempDir, Ledger) {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "a feed", &["server", "default"]).unwrap();
        (folder, ledger)
    }

    fn print(quick: &str) -> Print {
        Print { quick: quick.to_owned(), ..Print::default() }
    }

    fn ids(put: Vec<Put>) -> Vec<String> {
        put.into_iter().map(|put| put.id).collect()
    }

    #[test]
    fn what_is_not_seen_again_is_gone() {
        let (_folder, mut ledger) = ledger();
        ledger.begin(false).unwrap();
        for source in ["a", "b"] {
            assert_eq!(ledger.see(source).unwrap(), None);
            ledger.taken(source, source).unwrap();
            ledger.done(source, &print("1")).unwrap();
        }
        assert!(ledger.gone().unwrap().is_empty());
        ledger.begin(false).unwrap();
        assert_eq!(ledger.see("a").unwrap(), Some(print("1")));
        assert_eq!(ids(ledger.gone().unwrap()), ["b"]);
        ledger.forget("b").unwrap();
        assert!(ledger.gone().unwrap().is_empty() && ledger.count().unwrap() == 1);
    }

    #[test]
    fn a_record_that_is_not_in_its_file_any_more_is_gone() {
        let (_folder, mut ledger) = ledger();
        ledger.begin(false).unwrap();
        ledger.taken("table", "1").unwrap();
        ledger.taken("table", "2").unwrap();
        ledger.done("table", &print("1")).unwrap();
        ledger.begin(false).unwrap();
        ledger.see("table").unwrap();
        ledger.taken("table", "2").unwrap();
        // Not before all of the file was sent.
        assert!(ledger.gone().unwrap().is_empty());
        ledger.done("table", &print("2")).unwrap();
        assert_eq!(ids(ledger.gone().unwrap()), ["1"]);
    }

    #[test]
    fn a_rehearsed_pass_leaves_nothing_behind() {
        let (_folder, mut ledger) = ledger();
        ledger.begin(false).unwrap();
        ledger.taken("a", "a").unwrap();
        ledger.done("a", &print("1")).unwrap();
        ledger.begin(true).unwrap();
        assert_eq!(ids(ledger.gone().unwrap()), ["a"]);
        ledger.undo().unwrap();
        ledger.begin(false).unwrap();
        ledger.see("a").unwrap();
        assert!(ledger.gone().unwrap().is_empty());
    }

    #[test]
    fn a_version_is_taken_down_once() {
        let (_folder, mut ledger) = ledger();
        ledger.begin(false).unwrap();
        ledger.taken("a", "a").unwrap();
        let server = |stamp: &str| HashMap::from([("a".to_owned(), stamp.to_owned())]);
        ledger.adopt(&server("first")).unwrap();
        ledger.adopt(&server("second")).unwrap();
        let put = Put { id: "a".into(), stamp: Some("first".into()) };
        assert_eq!(ledger.documents_of("a").unwrap(), [put]);
    }

    #[test]
    fn one_run_of_a_feed_is_at_work_at_a_time() {
        let (folder, ledger) = ledger();
        let again = || Ledger::open(folder.path(), "a feed", &["server", "default"]);
        assert!(again().is_err());
        assert!(Ledger::open(folder.path(), "a feed", &["other", "default"]).is_ok());
        drop(ledger);
        assert!(again().is_ok());
    }
}
