//! The indexer: one thread that brings the lexical indexes up to the database.
//!
//! It follows chunk ids. What it has not done before a crash it does after: every
//! lexical index records how far it has come. Vectors are made by threads of their own,
//! one for each model ([`crate::embedders`]).

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use lru::LruCache;
use rusqlite::Connection;
use tokio::sync::watch;

use crate::embedders::Embedders;
use crate::embedding_queue;
use crate::fleet::Announcer;
use crate::index::{CollectionIndex, Indexes};
use crate::lexical::{LexicalWriter, Progress};
use crate::pace::Pace;
use crate::pending::{self, Pending, Work, by_collection};
use crate::reader::Readers;
use crate::rebuild::Rebuild;
use crate::types::Error;
use crate::wake::Wake;
use crate::writer::Writer;
use crate::{models, rechunking};

/// Writers without work are closed after this long; one holds 15 MB.
const WRITER_IDLE: Duration = Duration::from_secs(10);
/// How long to wait before trying again what failed, doubled each time that it
/// fails again.
const RETRY: Duration = Duration::from_millis(500);
/// At most 64 times as long.
const MAX_DOUBLINGS: u32 = 6;

/// How long the old and the new chunks of a document are both found: longer
/// than a search takes between finding and reading.
const RETIRE_AFTER: Duration = Duration::from_secs(2);

/// Why the indexer waits.
enum Pause {
    /// There may be more to do.
    None,
    /// Old chunks go when their time has come.
    Retiring(Duration),
    /// There is nothing to do.
    Idle,
    /// Something failed, and is tried again.
    Failed(Duration),
}

impl Pause {
    fn duration(&self) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Retiring(wait) | Self::Failed(wait) => *wait,
            Self::Idle => WRITER_IDLE,
        }
    }
}

/// What the indexer works with.
pub(crate) struct Indexer {
    pub(crate) readers: Arc<Readers>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) indexes: Arc<Indexes>,
    pub(crate) embedders: Arc<Embedders>,
    pub(crate) watermark: watch::Sender<u64>,
    /// Chunks in the queue for vectors, updated after each batch.
    pub(crate) queue_length: Arc<watch::Sender<u64>>,
    /// Chunks whose words are indexed in one step.
    pub(crate) pace: Pace,
    /// Chunks that one step adds to an index that is rebuilt.
    pub(crate) rebuild_batch: usize,
    /// Writers of lexical indexes, kept for the next batch.
    pub(crate) open: LruCache<i64, LexicalWriter>,
    pub(crate) max_open: usize,
    /// The lexical index that is being rebuilt.
    pub(crate) rebuild: Option<Rebuild>,
    /// Whether every lexical index is known to be of this analysis.
    pub(crate) rebuilt: bool,
    /// Collections whose next model may serve.
    pub(crate) made: Vec<(i64, String)>,
    /// Collections whose settings another host has changed.
    pub(crate) changed: Vec<i64>,
    /// When old chunks of rechunked documents may be retired, and up to which new chunk.
    pub(crate) retiring: VecDeque<(Instant, u64)>,
    /// Notifies the other hosts of a fleet.
    pub(crate) fleet: Option<Announcer>,
}

impl Indexer {
    /// Works until the store asks it to stop.
    pub(crate) fn run(mut self, wakes: &Receiver<Wake>) {
        let mut failures = 0;
        loop {
            let pause = match self.step_or_error() {
                Ok(more) => {
                    failures = 0;
                    if more { Pause::None } else { self.idle() }
                }
                Err(error) => {
                    let wait = RETRY * (1 << failures);
                    failures = MAX_DOUBLINGS.min(failures + 1);
                    tracing::error!(%error, ?wait, "indexing failed and will be tried again");
                    // A writer that failed half-way is not to be trusted.
                    self.open.clear();
                    self.rebuild = None;
                    Pause::Failed(wait)
                }
            };
            match wakes.recv_timeout(pause.duration()) {
                Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Wake::Written) => {}
                Ok(Wake::Language) => self.rebuilt = false,
                Ok(Wake::Changed(collection)) => self.changed.push(collection),
                Ok(Wake::Made(collection, model)) => self.made.push((collection, model)),
                Err(RecvTimeoutError::Timeout) => match pause {
                    Pause::Idle => self.close_down_to(0),
                    Pause::None | Pause::Retiring(_) | Pause::Failed(_) => {}
                },
            }
        }
    }

    /// A panic must not end the indexing.
    fn step_or_error(&mut self) -> Result<bool, Error> {
        catch_unwind(AssertUnwindSafe(|| self.step()))
            .unwrap_or_else(|_| Err(Error::Internal("the indexer panicked".into())))
    }

    /// Does one batch; true when there may be more.
    fn step(&mut self) -> Result<bool, Error> {
        self.retire()?;
        while let Some(collection) = self.changed.pop() {
            self.follow_change(collection)?;
        }
        while let Some((collection, model)) = self.made.pop() {
            self.switch(collection, model)?;
        }
        if self.index_batch()? {
            return Ok(true);
        }
        Ok(self.rebuild_batch()? || self.clean()?)
    }

    /// Takes a lexical index that another analysis made one batch further towards
    /// the next one; true when there was something to do.
    fn rebuild_batch(&mut self) -> Result<bool, Error> {
        if self.rebuilt {
            return Ok(false);
        }
        let through = *self.watermark.borrow();
        let mut rebuild = match self.rebuild.take() {
            Some(rebuild) if rebuild.is_wanted(&self.indexes)? => rebuild,
            _ => match Rebuild::next(&self.readers, &self.indexes)? {
                Some(rebuild) => rebuild,
                None => {
                    self.rebuilt = true;
                    return Ok(false);
                }
            },
        };
        if rebuild.batch(&self.readers, through, self.rebuild_batch)? {
            self.rebuild = Some(rebuild);
            return Ok(true);
        }
        let collection = rebuild.close();
        // It is of the index that goes.
        self.open.pop(&collection);
        self.indexes.finish(collection)?;
        tracing::info!(collection, "a lexical index of an earlier analysis was replaced");
        Ok(true)
    }

    fn index_batch(&mut self) -> Result<bool, Error> {
        let start = Instant::now();
        let from = *self.watermark.borrow();
        let (collections, through) =
            self.readers.read(|db| pending::upcoming(db, from, self.pace.chunks()))?;
        // In memory before the chunks are read: from here on, a removal finds
        // the index or comes before the snapshot. Held until the watermark has
        // moved: an index that was unloaded and loaded again meanwhile would
        // lack these chunks.
        let held: Vec<_> = collections
            .into_iter()
            .map(|collection| self.indexes.get_if_any(collection))
            .collect::<Result<_, _>>()?;
        let (pending, removals) = self
            .readers
            .read(|db| Ok((pending::between(db, from, through)?, pending::removals(db)?)))?;
        if pending.is_empty() && removals.is_empty() {
            self.announce(through)?;
            return Ok(through > from);
        }
        let last_removal = removals.last().map(|(n, ..)| *n);
        let chunks = pending.len();
        self.apply_all(by_collection(pending, removals), through)?;
        if let Some(last) = last_removal {
            self.writer.write_own_blocking(move |db, _| {
                db.execute("DELETE FROM removals WHERE n <= ?1", [last])?;
                Ok(())
            })?;
        }
        for model in self.readers.read(|db| embedding_queue::leaves_out(db, from, through))? {
            self.embedders.is_behind(&model);
        }
        // Before the watermark: what is behind must not look done for a moment.
        self.tell_queue(through)?;
        self.announce(through)?;
        self.embedders.wake_all();
        drop(held);
        self.indexes.shrink();
        self.pace.note(chunks, start.elapsed());
        Ok(true)
    }

    /// Whether this host does what is to be done once.
    fn leads(&self) -> bool {
        self.fleet.as_ref().is_none_or(Announcer::leads)
    }

    /// Search finds everything up to `through` by its words. The other hosts are notified
    /// first: a client that is answered here may search there.
    fn announce(&mut self, through: u64) -> Result<(), Error> {
        if let Some(announcer) = &mut self.fleet {
            announcer.announce(through)?;
        }
        self.watermark.send_replace(through);
        Ok(())
    }

    /// Brings in memory what another host has set for a collection: the language of its
    /// texts, or whose vectors serve.
    fn follow_change(&mut self, collection: i64) -> Result<(), Error> {
        self.rebuilt = false;
        let models = match self.readers.read(|db| models::of(db, collection)) {
            Ok(models) => models,
            Err(Error::UnknownCollection) => return Ok(()),
            Err(error) => return Err(error),
        };
        let index = self.indexes.loaded(collection);
        if index.is_some_and(|index| index.model() != models.serving) {
            self.indexes.reread(collection)?;
            self.embedders.has_switched();
        }
        if let Some(next) = &models.next {
            self.embedders.is_behind(next);
        }
        Ok(())
    }

    /// Retires old chunks of rechunked documents some time after search finds the new ones:
    /// a search that has seen the old ones only has yet to read their texts.
    fn retire(&mut self) -> Result<(), Error> {
        if !self.leads() {
            return Ok(());
        }
        let through = *self.watermark.borrow();
        let noted = self.retiring.back().is_some_and(|(_, last)| *last == through);
        if !noted && self.readers.read(|db| rechunking::any_to_retire(db, through))? {
            self.retiring.push_back((Instant::now() + RETIRE_AFTER, through));
        }
        while let Some((_, through)) = self.retiring.pop_front_if(|(at, _)| *at <= Instant::now()) {
            self.writer
                .write_blocking(move |db, effects| rechunking::retire(db, through, effects))?;
        }
        Ok(())
    }

    /// Why to wait for something to do.
    fn idle(&self) -> Pause {
        let due = self.retiring.front().map(|(at, _)| at.saturating_duration_since(Instant::now()));
        let wait = |due: Duration| due.clamp(Duration::from_millis(1), WRITER_IDLE);
        due.map_or(Pause::Idle, |due| Pause::Retiring(wait(due)))
    }

    fn apply_all(&mut self, all: BTreeMap<i64, Work>, through: u64) -> Result<(), Error> {
        let unloaded: Vec<_> = self.open.iter().map(|(collection, _)| *collection).collect();
        for collection in unloaded.into_iter().filter(|one| !self.indexes.is_loaded(*one)) {
            // Perhaps deleted, and its files with it.
            self.open.pop(&collection);
        }
        for (collection, work) in all {
            let Some(index) = self.indexes.get_if_any(collection)? else { continue };
            let applied = self.apply(collection, &index, &work, through);
            if self.indexes.is_loaded(collection) {
                applied?;
            } else {
                // Deleted meanwhile, and its files with it.
                self.open.pop(&collection);
            }
        }
        Ok(())
    }

    /// Brings one collection up to `through`. What a lexical index had before
    /// a crash is not added twice.
    fn apply(
        &mut self,
        collection: i64,
        index: &CollectionIndex,
        work: &Work,
        through: u64,
    ) -> Result<(), Error> {
        let done = index.lexical().state()?.progress;
        let mut writer = match self.open.pop(&collection) {
            Some(writer) => writer,
            None => {
                self.close_down_to(self.max_open.saturating_sub(1));
                index.lexical().writer()?
            }
        };
        for pending in work.chunks.iter().filter(|pending| pending.chunk > done.chunk) {
            writer.add(pending.chunk, &pending.words)?;
        }
        for (_, chunk) in &work.removals {
            writer.remove(*chunk);
            if let Some(rebuild) = &self.rebuild {
                rebuild.remove(collection, *chunk);
            }
        }
        let removal = work.removals.last().map_or(done.removal, |(n, _)| *n);
        writer.commit(Progress { chunk: through.max(done.chunk), removal })?;
        self.open.put(collection, writer);
        index.lexical().reload()?;
        index.add(&work.chunks, through);
        if self.fleet.is_some() {
            self.add_late_vectors(collection, index, &work.chunks)?;
        }
        Ok(())
    }

    /// Another host may have made vectors of these chunks after they were read and before
    /// they were in memory to take them.
    fn add_late_vectors(
        &self,
        collection: i64,
        index: &CollectionIndex,
        chunks: &[Pending],
    ) -> Result<(), Error> {
        let lacking = chunks.iter().filter(|chunk| chunk.vector.is_none());
        let lacking: Vec<u64> = lacking.map(|chunk| chunk.chunk).collect();
        let (Some(first), Some(last)) = (lacking.first(), lacking.last()) else { return Ok(()) };
        let (from, through) = (first.saturating_sub(1), *last);
        let (serving, again) = self.readers.read(|db| {
            let serving = models::of(db, collection)?.serving;
            Ok((serving, pending::of_collection(db, collection, from, through, chunks.len())?))
        })?;
        if let Some(model) = serving {
            index.add_vectors(&model, &again);
        }
        Ok(())
    }

    /// Closes the writers that were not used for longest until `most` are left.
    fn close_down_to(&mut self, most: usize) {
        while self.open.len() > most {
            let Some((_, writer)) = self.open.pop_lru() else { return };
            writer.close();
        }
    }

    /// Publishes how many chunks wait for their vectors.
    fn tell_queue(&self, through: u64) -> Result<(), Error> {
        self.queue_length.send_replace(self.readers.read(|db| embedding_queue::len(db, through))?);
        Ok(())
    }

    /// Has the vectors of a collection's next model serve, if none is missing.
    fn switch(&self, collection: i64, model: String) -> Result<(), Error> {
        let switch = {
            let model = model.clone();
            move |db: &Connection, _: &mut _| models::switch(db, collection, &model)
        };
        match self.writer.write_blocking(switch) {
            Ok(true) => {
                self.indexes.reread(collection)?;
                tracing::info!(collection, model, "the vectors of another model serve");
                self.embedders.has_switched();
                Ok(())
            }
            Ok(false) | Err(Error::UnknownCollection) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes some vectors of a model out that serves no more; true when there were any.
    fn clean(&self) -> Result<bool, Error> {
        if !self.leads() || !self.readers.read(models::is_any_stale)? {
            return Ok(false);
        }
        let known = self.embedders.known();
        let more = self.writer.write_blocking(move |db, _| models::clean(db, &known))?;
        self.embedders.wake_all();
        Ok(more)
    }
}
