//! Opening a store: the folder, the database, the threads.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use lru::LruCache;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::watch;

use crate::allowed::AllowedDocuments;
use crate::embedders::{Embedders, Tools};
use crate::fleet::{self, Member, Memory};
use crate::index::Indexes;
use crate::indexer::Indexer;
use crate::maintainer::Maintainer;
use crate::models::Known;
use crate::pace::Pace;
use crate::reader::Readers;
use crate::types::{Error, OpenError, Settings};
use crate::wake::Wake;
use crate::writer::{Effects, Journal, Writer};
use crate::{DATABASE, INDEXES, LOCK, Shared, Store};
use crate::{documents, embedding_queue, lexical, models, schema};

/// Opens the store in `dir`; see [`Store::open`].
pub(crate) fn open(dir: &Path, settings: Settings) -> Result<Store, OpenError> {
    std::fs::create_dir_all(dir)?;
    let lock = lock(dir)?;
    sweep(dir, MAX_SWEEP_DEPTH);
    let known = Known {
        configured: settings.models.clone(),
        default: settings.default_model.clone(),
        ..Known::default()
    };
    let database = dir.join(DATABASE);
    // It may put a copy of the fleet's database there.
    let member = settings.fleet.as_ref().map(|fleet| Member::join(dir, fleet, &known));
    let member = member.transpose()?;
    let connection = schema::open_writer(&database)?;
    let (log, dropped) = match &member {
        Some(member) => member.follow(&connection).map(|(log, dropped)| (Some(log), dropped))?,
        None => {
            ready_alone(&connection, &known)?;
            (None, Vec::new())
        }
    };
    let readers = Arc::new(Readers::new(database));
    let (sender, watermark) = watch::channel(0);
    let (maintenance, maintained) = channel();
    let indexes = Indexes::new(
        dir.join(INDEXES),
        Arc::clone(&readers),
        watermark.clone(),
        &settings,
        maintenance.clone(),
    );
    let indexes = Arc::new(indexes);
    let maintainer = Maintainer::start(Arc::downgrade(&indexes), maintenance, maintained)?;
    dropped.into_iter().for_each(|collection| indexes.drop_collection(collection));
    let through = resume_from(&connection, &indexes)?;
    sender.send_replace(through);
    let (wake, wakes) = channel();
    let embedders = Arc::new(Embedders::new(known));
    let (queue_length, queue) = watch::channel(0);
    let queue_length = Arc::new(queue_length);
    let fleet = member.as_ref().map(|member| Arc::clone(&member.fleet));
    let journal = match (log, &fleet) {
        (Some(log), Some(fleet)) => {
            let memory = Memory {
                readers: Arc::clone(&readers),
                indexes: Arc::clone(&indexes),
                embedders: Arc::clone(&embedders),
                watermark: watermark.clone(),
                queue_length: Arc::clone(&queue_length),
                wake: wake.clone(),
            };
            memory.journal(log, fleet)
        }
        _ => Journal::Alone,
    };
    let writer = start_writer(connection, &settings, &indexes, &wake, journal)?;
    let tools = Tools {
        readers: Arc::clone(&readers),
        writer: Arc::clone(&writer),
        indexes: Arc::clone(&indexes),
        watermark: watermark.clone(),
        queue_length: Arc::clone(&queue_length),
        indexer: wake.clone(),
        batch: settings.embed_batch.max(1),
        fleet: fleet.clone(),
    };
    let announcer = member.as_ref().map(|member| member.announcer(through)).transpose()?;
    let indexer = Indexer {
        readers: Arc::clone(&readers),
        writer: Arc::clone(&writer),
        indexes: Arc::clone(&indexes),
        embedders: Arc::clone(&embedders),
        watermark: sender,
        queue_length,
        pace: Pace::new(settings.index_batch),
        rebuild_batch: settings.index_batch,
        open: LruCache::unbounded(),
        max_open: settings.index_writers.max(1),
        rebuild: None,
        rebuilt: false,
        made: Vec::new(),
        changed: Vec::new(),
        retiring: VecDeque::new(),
        fleet: announcer,
    };
    let indexer_thread = std::thread::Builder::new()
        .name("ragtime-indexer".into())
        .spawn(move || indexer.run(&wakes))?;
    let presence = member.map(|member| member.start(&writer, &embedders, &wake)).transpose()?;
    Ok(Store(Arc::new(Shared {
        writer,
        readers,
        indexes,
        allowed: AllowedDocuments::new(settings.kept_filter_documents),
        embedders,
        tools,
        watermark,
        queue,
        wake,
        max_index_lag: settings.max_index_lag,
        bounds: settings.bounds,
        indexer: Mutex::new(Some(indexer_thread)),
        maintainer,
        fleet,
        presence: Mutex::new(presence),
        _lock: lock,
    })))
}

/// Readies the database of a host that is alone.
fn ready_alone(connection: &Connection, known: &Known) -> Result<(), OpenError> {
    if fleet::is_copy(connection)? {
        return Err(OpenError::OfFleet);
    }
    embedding_queue::clear(connection)?;
    models::plan_all(connection, known)?;
    Ok(())
}

/// Starts the writing thread. What it commits the indexes in memory hide at once, and the
/// indexer is woken for the rest.
fn start_writer(
    connection: Connection,
    settings: &Settings,
    indexes: &Arc<Indexes>,
    wake: &Sender<Wake>,
    journal: Journal,
) -> Result<Arc<Writer>, OpenError> {
    let (indexes, wake) = (Arc::clone(indexes), wake.clone());
    let after = Box::new(move |effects: &Effects| {
        indexes.remove(&effects.removed);
        effects.dropped.iter().for_each(|collection| indexes.drop_collection(*collection));
        // The indexer may have stopped already; then it reads the database
        // at the next start.
        let _ = wake.send(Wake::Written);
    });
    Ok(Arc::new(Writer::start(connection, settings, after, journal)?))
}

/// Takes a folder for this process, until the file is dropped.
pub(crate) fn lock(dir: &Path) -> Result<File, OpenError> {
    let lock = File::create(dir.join(LOCK))?;
    lock.try_lock().map_err(|_| OpenError::InUse)?;
    Ok(lock)
}

/// Where the indexer goes on: before the first chunk that some lexical index
/// does not have.
fn resume_from(db: &Connection, indexes: &Indexes) -> Result<u64, Error> {
    let last = documents::last_chunk_ever(db)?;
    let mut statement = db.prepare("SELECT key FROM collections")?;
    let keys: Vec<i64> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut start = last;
    for key in keys {
        let folder = indexes.in_use(key)?;
        let done = if folder.exists() { done(&folder) } else { 0 };
        let first_missing: Option<u64> = db.query_row(
            "SELECT min(id) FROM chunks WHERE collection = ?1 AND id > ?2",
            (key, done),
            |row| row.get(0),
        )?;
        if let Some(first) = first_missing {
            start = start.min(first.saturating_sub(1));
        }
    }
    Ok(start)
}

/// The last chunk in the index in `folder`; 0 when it cannot be read, so that
/// it is rebuilt.
fn done(folder: &Path) -> u64 {
    let state = lexical::Lexical::open(folder).and_then(|lexical| lexical.state());
    state.map_or(0, |state| state.progress.chunk)
}

/// Levels of folders, the data folder included, that may hold files in the making:
/// the files of an index lie deepest, in `index/<collection>/<version>`.
const MAX_SWEEP_DEPTH: u32 = 4;
/// What such files are called until they are whole.
pub(crate) const IN_THE_MAKING: &str = ".tmp";

/// Removes what a process that was killed had begun to write. Nobody else has
/// the folder.
fn sweep(folder: &Path, depth: u32) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let begun = entry.file_name().to_string_lossy().starts_with(IN_THE_MAKING);
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 1 => sweep(&entry.path(), depth - 1),
            // One that stays is small and no harm.
            Ok(kind) if kind.is_file() && begun => drop(std::fs::remove_file(entry.path())),
            _ => {}
        }
    }
}
