//! A store as part of a fleet: what its opening begins and what follows the log.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::watch;

use super::{
    Announcer, Fleet, Link, Log, Settings, TakeIn, TakenIn, fence, join, presence, snapshot,
};
use crate::embedders::Embedders;
use crate::index::Indexes;
use crate::models::Known;
use crate::reader::Readers;
use crate::types::{Error, OpenError};
use crate::wake::Wake;
use crate::writer::{Journal, Writer};
use crate::{embedding_queue, schema};

/// A host that has joined, and what it is still to be given.
pub(crate) struct Member {
    settings: Settings,
    pub(crate) fleet: Arc<Fleet>,
    link: Link,
    database: PathBuf,
}

/// Reports to the fleet that this host lives, until the sender is dropped.
pub(crate) type Presence = (Sender<()>, JoinHandle<()>);

impl Member {
    /// Joins with the database in `dir`, which may be replaced by a copy of the fleet's.
    pub(crate) fn join(dir: &Path, settings: &Settings, known: &Known) -> Result<Self, OpenError> {
        let (link, fleet) = join(dir, settings, known)?;
        fleet.set_can_lead(known.configured.is_empty());
        Ok(Self {
            settings: settings.clone(),
            fleet: Arc::new(fleet),
            link,
            database: dir.join(crate::DATABASE),
        })
    }

    /// Brings the database up to the end of the log. Returns the collections that went
    /// since it was last open: their indexes are still on disk.
    pub(crate) fn follow(&self, connection: &Connection) -> Result<(Log, Vec<i64>), OpenError> {
        let applier = schema::open_writer(&self.database)?;
        let fleet = Arc::clone(&self.fleet);
        let mut log = Log::start(self.link.another(), connection, applier, fleet)?;
        let dropped = Mutex::new(Vec::new());
        log.follow(&|taken: &TakenIn| dropped.lock().extend(&taken.dropped))?;
        Ok((log, dropped.into_inner()))
    }

    /// What the indexer announces to the others how far it is with; it is `through` here.
    pub(crate) fn announcer(&self, through: u64) -> Result<Announcer, Error> {
        let mut announcer = Announcer::new(self.link.another(), Arc::clone(&self.fleet));
        announcer.announce(through)?;
        Ok(announcer)
    }

    /// Starts the fence, and the thread that reports to the others that this host lives.
    pub(crate) fn start(
        self,
        writer: &Arc<Writer>,
        embedders: &Arc<Embedders>,
        wake: &Sender<Wake>,
    ) -> std::io::Result<Presence> {
        let Self { settings, fleet, link, database } = self;
        let (requests, asked) = channel();
        fence::start(link.another(), Arc::clone(&fleet), Arc::downgrade(writer), asked)?;
        *fleet.requests.lock() = Some(requests);
        *fleet.components.lock() = Some(link.another());
        let lead = lead(writer, embedders, wake);
        let snapshots = snapshot::Source::new(database, settings.snapshot_bytes);
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new()
            .name("ragtime-presence".into())
            .spawn(move || presence::run(link, &fleet, &snapshots, &lead, &stopped))?;
        Ok((stop, thread))
    }
}

/// What is to be done once this host does what one host has to do.
fn lead(writer: &Arc<Writer>, embedders: &Arc<Embedders>, wake: &Sender<Wake>) -> presence::Lead {
    let (writer, embedders) = (Arc::clone(writer), Arc::clone(embedders));
    let wake = wake.clone();
    Box::new(move || {
        if embedders.known().configured.is_empty()
            // Nobody makes the vectors that documents wait for.
            && let Err(error) = writer.write_blocking(|db, _| embedding_queue::clear(db))
        {
            tracing::warn!(%error, "the queue for vectors could not be cleared");
        }
        embedders.are_behind();
        embedders.has_switched();
        // The indexer retires old chunks and cleans up.
        let _ = wake.send(Wake::Written);
    })
}

/// What is in memory and has to follow what other hosts write.
pub(crate) struct Memory {
    pub(crate) readers: Arc<Readers>,
    pub(crate) indexes: Arc<Indexes>,
    pub(crate) embedders: Arc<Embedders>,
    pub(crate) watermark: watch::Receiver<u64>,
    /// Chunks in the queue for vectors.
    pub(crate) queue_length: Arc<watch::Sender<u64>>,
    pub(crate) wake: Sender<Wake>,
}

impl Memory {
    /// The journal of a writer that follows `log`.
    pub(crate) fn journal(self, log: Log, fleet: &Arc<Fleet>) -> Journal {
        let fleet = Arc::clone(fleet);
        let take_in: TakeIn = Box::new(move |taken| self.take_in(taken, &fleet));
        Journal::Fleet(Box::new(log), take_in)
    }

    fn take_in(&self, taken: &TakenIn, fleet: &Fleet) {
        self.indexes.remove(&taken.removed);
        taken.dropped.iter().for_each(|one| self.indexes.drop_collection(*one));
        for ((collection, model), vectors) in &taken.vectors {
            if let Some(index) = self.indexes.loaded(*collection) {
                index.add_made(model, vectors);
            }
        }
        if !taken.keys.is_empty() {
            fleet.keys_have_changed(&taken.keys);
        }
        if taken.handlers {
            fleet.handlers_have_changed();
        }
        for collection in &taken.collections {
            let _ = self.wake.send(Wake::Changed(*collection));
        }
        // The indexer may have stopped already; then it reads the database at the next
        // start.
        let _ = self.wake.send(Wake::Written);
        if taken.queue {
            self.tell_queue();
        }
        if !taken.vectors.is_empty() {
            self.embedders.wake_all();
        }
        if taken.unembedded {
            self.embedders.are_behind();
        }
        if taken.chunkings {
            // The rechunker looks for stale documents again.
            self.embedders.has_switched();
        }
    }

    /// Who waits for vectors looks again.
    fn tell_queue(&self) {
        let through = *self.watermark.borrow();
        match self.readers.read(|db| embedding_queue::len(db, through)) {
            Ok(length) => drop(self.queue_length.send_replace(length)),
            Err(error) => {
                tracing::warn!(%error, "the queue for vectors cannot be read");
                self.queue_length.send_modify(|_| ());
            }
        }
    }
}
