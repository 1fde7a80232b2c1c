//! The embedding models that are there, each with a thread that makes vectors.
//!
//! A thread for each: a model that is slow or out of reach holds up neither the words
//! of its documents nor another model. Vectors are in the database as soon as they are
//! made, so that after a crash no chunk is embedded twice.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::bisect;
use crate::embedding_queue::{self, Share};
use crate::fleet::Fleet;
use crate::index::Indexes;
use crate::models::{self, Known};
use crate::pending::{self, Pending, by_collection};
use crate::reader::Readers;
use crate::types::{Embed, Error, ModelStatus};
use crate::wake::Wake;
use crate::writer::Writer;

/// How long to wait before asking a model again that failed, doubled each time that it
/// fails again.
const RETRY: Duration = Duration::from_millis(500);
/// At most 64 times as long.
const MAX_DOUBLINGS: u32 = 6;

/// Those that are there.
pub(crate) struct Embedders {
    /// How often another model's vectors have come to serve a collection.
    switches: watch::Sender<u64>,
    known: Mutex<Arc<Known>>,
    running: Mutex<BTreeMap<String, Running>>,
}

/// A thread that makes vectors.
struct Running {
    wake: Sender<Call>,
    state: Arc<State>,
    thread: JoinHandle<()>,
}

/// How a model is doing.
#[derive(Default)]
struct State {
    complete: AtomicBool,
    failing: AtomicBool,
}

/// What a thread is called for, each more than the one before it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Call {
    /// There may be something to do.
    Look,
    /// Chunks may lack vectors that are not waited for.
    Behind,
    /// The store closes.
    Stop,
}

/// What a thread works with.
#[derive(Clone)]
pub(crate) struct Tools {
    pub(crate) readers: Arc<Readers>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) indexes: Arc<Indexes>,
    pub(crate) watermark: watch::Receiver<u64>,
    /// Chunks in the queue for vectors, updated after each batch.
    pub(crate) queue_length: Arc<watch::Sender<u64>>,
    /// The indexer, which has another model's vectors serve.
    pub(crate) indexer: Sender<Wake>,
    /// Chunks that are embedded in one step.
    pub(crate) batch: usize,
    /// The fleet that this host is part of. One of its hosts makes the vectors.
    pub(crate) fleet: Option<Arc<Fleet>>,
}

impl Embedders {
    /// None yet of those that are known.
    pub(crate) fn new(known: Known) -> Self {
        let switches = watch::Sender::new(0);
        Self { switches, known: Mutex::new(Arc::new(known)), running: Mutex::default() }
    }

    /// The models there are, as of now.
    pub(crate) fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.lock())
    }

    /// Brings a model in; false if one of its name is there.
    pub(crate) fn add(&self, model: Arc<dyn Embed>, tools: Tools) -> std::io::Result<bool> {
        let name = model.name().to_owned();
        let mut running = self.running.lock();
        if running.contains_key(&name) {
            return Ok(false);
        }
        let known = {
            let mut known = self.known.lock();
            let mut next = Known::clone(&known);
            next.default.get_or_insert_with(|| name.clone());
            next.configured.insert(name.clone());
            if model.counts_tokens() {
                next.counting.insert(name.clone());
            }
            next.ready.insert(name.clone());
            *known = Arc::new(next);
            Arc::clone(&known)
        };
        let (wake, calls) = channel();
        let state = Arc::<State>::default();
        let worker = Worker {
            name: name.clone(),
            model,
            known,
            tools,
            state: Arc::clone(&state),
            last_collection: 0,
            filled: 0,
            filled_next: BTreeMap::new(),
        };
        let thread = std::thread::Builder::new()
            .name("ragtime-vectors".into())
            .spawn(move || worker.run(&calls))?;
        running.insert(name, Running { wake, state, thread });
        Ok(true)
    }

    /// Another model's vectors serve a collection.
    pub(crate) fn has_switched(&self) {
        self.switches.send_modify(|count| *count += 1);
        self.wake_all();
    }

    /// Notified whenever another model's vectors serve a collection.
    pub(crate) fn switches(&self) -> watch::Receiver<u64> {
        self.switches.subscribe()
    }

    /// Has every thread look for something to do.
    pub(crate) fn wake_all(&self) {
        for running in self.running.lock().values() {
            // One that has stopped has nothing to do.
            let _ = running.wake.send(Call::Look);
        }
    }

    /// Chunks may lack vectors of this model that are not waited for.
    pub(crate) fn is_behind(&self, model: &str) {
        if let Some(running) = self.running.lock().get(model) {
            running.state.complete.store(false, Relaxed);
            let _ = running.wake.send(Call::Behind);
        }
    }

    /// The same of all models.
    pub(crate) fn are_behind(&self) {
        let names: Vec<_> = self.running.lock().keys().cloned().collect();
        names.iter().for_each(|name| self.is_behind(name));
    }

    /// How the models are doing that are there.
    pub(crate) fn status(&self) -> Vec<ModelStatus> {
        let status = |(name, running): (&String, &Running)| ModelStatus {
            name: name.clone(),
            complete: running.state.complete.load(Relaxed),
            failing: running.state.failing.load(Relaxed),
        };
        self.running.lock().iter().map(status).collect()
    }

    /// Stops the threads; what they have not done yet they do after the next start.
    pub(crate) fn stop(&self) -> Vec<JoinHandle<()>> {
        let stopped = std::mem::take(&mut *self.running.lock());
        let stop = |running: Running| {
            let _ = running.wake.send(Call::Stop);
            running.thread
        };
        stopped.into_values().map(stop).collect()
    }
}

/// Makes the vectors of one model.
struct Worker {
    name: String,
    model: Arc<dyn Embed>,
    /// The models there were when this one came.
    known: Arc<Known>,
    tools: Tools,
    state: Arc<State>,
    /// The collection that had the last turn.
    last_collection: i64,
    /// Every chunk up to this id is known to have its vector.
    filled: u64,
    /// The same of collections whose next model this is.
    filled_next: BTreeMap<i64, u64>,
}

/// What a step did.
enum Step {
    /// Something, and there may be more.
    More,
    /// There was nothing to do.
    Done,
    /// The model does not work; what waited for it does so no more.
    Fails,
}

impl Worker {
    /// Works until the store asks it to stop.
    fn run(mut self, calls: &Receiver<Call>) {
        while let Err(error) = self.plan() {
            tracing::error!(%error, model = self.name, "the models of collections cannot be read");
            if let Some(Call::Stop) = self.next_call(calls, Some(RETRY)) {
                return;
            }
        }
        let mut failures = 0;
        // When the model is asked again that failed.
        let mut retry: Option<Instant> = None;
        loop {
            let due = retry.is_none_or(|at| at <= Instant::now());
            let step = if due { self.step_or_error() } else { self.give_up_queue() };
            let wait = match step {
                Ok(Step::More) => Some(Duration::ZERO),
                Ok(Step::Done) => {
                    (failures, retry) = (0, None);
                    self.state.failing.store(false, Relaxed);
                    None
                }
                Ok(Step::Fails) if !due => {
                    retry.map(|at| at.saturating_duration_since(Instant::now()))
                }
                Ok(Step::Fails) | Err(_) => {
                    if let Err(error) = &step {
                        tracing::error!(%error, model = self.name, "making vectors failed and will be tried again");
                    }
                    let wait = RETRY * (1 << failures);
                    failures = MAX_DOUBLINGS.min(failures + 1);
                    retry = Some(Instant::now() + wait);
                    self.state.failing.store(true, Relaxed);
                    Some(wait)
                }
            };
            match self.next_call(calls, wait) {
                Some(Call::Stop) => return,
                Some(Call::Behind) => self.filled = 0,
                Some(Call::Look) | None => {}
            }
        }
    }

    /// Collections that have waited for this model have it from now on.
    fn plan(&self) -> Result<(), Error> {
        let known = self.known.clone();
        self.tools.writer.write_blocking(move |db, _| models::plan_all(db, &known))
    }

    /// The next call, or none once so long has passed. Of several calls that wait one
    /// is enough.
    fn next_call(&self, calls: &Receiver<Call>, wait: Option<Duration>) -> Option<Call> {
        let first = match wait {
            Some(wait) => match calls.recv_timeout(wait) {
                Ok(call) => call,
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => return Some(Call::Stop),
            },
            None => calls.recv().unwrap_or(Call::Stop),
        };
        // The dearest of them covers the others.
        calls.try_iter().chain([first]).max()
    }

    /// A model that panics must not end the thread.
    fn step_or_error(&mut self) -> Result<Step, Error> {
        catch_unwind(AssertUnwindSafe(|| self.step()))
            .unwrap_or_else(|_| Err(Error::Internal("the thread of a model panicked".into())))
    }

    /// Embeds one batch: of documents that somebody may wait for, else of chunks that
    /// have no vector, else for a collection whose next model this is.
    fn step(&mut self) -> Result<Step, Error> {
        if self.tools.fleet.as_ref().is_some_and(|fleet| !fleet.leads()) {
            return self.look_on();
        }
        match self.embed_queued()? {
            Step::Done => {}
            other => return Ok(other),
        }
        match self.fill()? {
            Step::Done => self.fill_next(),
            other => Ok(other),
        }
    }

    /// Another host makes the vectors: whether all are here.
    fn look_on(&mut self) -> Result<Step, Error> {
        let through = self.through();
        let missing = self
            .tools
            .readers
            .read(|db| pending::without_vector(db, &self.name, self.filled, through, 1))?;
        let complete = missing.is_empty();
        // Where to look on the next time.
        self.filled = missing.first().map_or(through, |first| first.chunk.saturating_sub(1));
        self.state.complete.store(complete, Relaxed);
        Ok(Step::Done)
    }

    fn through(&self) -> u64 {
        *self.tools.watermark.borrow()
    }

    fn embed_queued(&mut self) -> Result<Step, Error> {
        let (through, batch) = (self.through(), self.tools.batch);
        let (mut shares, last) = self.tools.readers.read(|db| {
            embedding_queue::next(db, &self.name, self.last_collection, through, batch)
        })?;
        if shares.is_empty() {
            return Ok(Step::Done);
        }
        self.last_collection = last;
        let mut chunks: Vec<_> = shares.iter_mut().flat_map(|share| &mut share.chunks).collect();
        if let Err(error) = self.embed(&mut chunks) {
            tracing::error!(%error, model = self.name, "embedding failed and will be tried again");
            self.state.complete.store(false, Relaxed);
            self.filled = 0;
            return self.give_up_queue();
        }
        self.state.failing.store(false, Relaxed);
        let vectors = models::encoded(shares.iter().flat_map(|share| &share.chunks));
        let progress: Vec<_> = shares.iter().map(Share::progress).collect();
        let model = self.name.clone();
        // Shown first: who waits for a document finds it once its row is gone.
        self.show(shares.into_iter().flat_map(|share| share.chunks).collect());
        self.tools.writer.write_blocking(move |db, _| {
            models::save(db, &model, &vectors)?;
            progress.iter().try_for_each(|progress| progress.save(db))
        })?;
        self.tell_queue(through)?;
        Ok(Step::More)
    }

    /// While the model does not work nobody waits for it: documents are found by their
    /// words.
    fn give_up_queue(&mut self) -> Result<Step, Error> {
        let model = self.name.clone();
        self.tools.writer.write_blocking(move |db, _| embedding_queue::give_up(db, &model))?;
        self.filled = 0;
        self.state.complete.store(false, Relaxed);
        self.tell_queue(self.through())?;
        Ok(Step::Fails)
    }

    /// Publishes how many chunks wait for their vectors.
    fn tell_queue(&self, through: u64) -> Result<(), Error> {
        let length = self.tools.readers.read(|db| embedding_queue::len(db, through))?;
        self.tools.queue_length.send_replace(length);
        Ok(())
    }

    /// Gives each chunk its vector. One at which the model fails gets none, and its
    /// document's jobs say so.
    ///
    /// # Errors
    ///
    /// What the model says when it fails at everything.
    fn embed(&self, chunks: &mut [&mut Pending]) -> Result<(), Error> {
        for chunk in chunks.iter_mut() {
            // It may be another model's.
            chunk.vector = None;
        }
        let texts: Vec<_> = chunks.iter().map(|chunk| chunk.words.text.as_str()).collect();
        let vectors = bisect::embed_each(self.model.as_ref(), &texts).map_err(Error::Internal)?;
        for (chunk, vector) in chunks.iter_mut().zip(vectors) {
            match vector {
                Ok(vector) => chunk.vector = Some(vector),
                Err(error) => self.leave_out(chunk.chunk, &error)?,
            }
        }
        Ok(())
    }

    /// A chunk that the model fails at holds up no other.
    fn leave_out(&self, chunk: u64, error: &str) -> Result<(), Error> {
        tracing::error!(chunk, error, model = self.name, "a chunk cannot be embedded");
        let model = self.name.clone();
        self.tools.writer.write_blocking(move |db, _| models::not_embedded(db, &model, chunk))
    }

    /// Has search find chunks by the vectors that were saved. A collection that is not
    /// in memory reads them from the database.
    fn show(&self, chunks: Vec<Pending>) {
        for (collection, work) in by_collection(chunks, Vec::new()) {
            if let Some(index) = self.tools.indexes.loaded(collection) {
                index.add_vectors(&self.name, &work.chunks);
            }
        }
    }

    /// Makes vectors for chunks that are found already and have none.
    fn fill(&mut self) -> Result<Step, Error> {
        if self.state.complete.load(Relaxed) {
            return Ok(Step::Done);
        }
        let (through, batch) = (self.through(), self.tools.batch);
        let mut missing = self
            .tools
            .readers
            .read(|db| pending::without_vector(db, &self.name, self.filled, through, batch))?;
        let Some(last) = missing.last().map(|pending| pending.chunk) else {
            self.filled = through;
            self.state.complete.store(true, Relaxed);
            return Ok(Step::Done);
        };
        self.embed(&mut missing.iter_mut().collect::<Vec<_>>())?;
        self.save(&missing)?;
        self.show(missing);
        self.filled = last;
        Ok(Step::More)
    }

    fn save(&self, chunks: &[Pending]) -> Result<(), Error> {
        let (vectors, model) = (models::encoded(chunks), self.name.clone());
        self.tools.writer.write_blocking(move |db, _| models::save(db, &model, &vectors))
    }

    /// Makes vectors for a collection that is to have this model, while those of
    /// another serve.
    fn fill_next(&mut self) -> Result<Step, Error> {
        let (through, batch) = (self.through(), self.tools.batch);
        for collection in self.tools.readers.read(|db| models::changing_to(db, &self.name))? {
            let from = self.filled_next.get(&collection).copied().unwrap_or(0);
            let mut missing = self
                .tools
                .readers
                .read(|db| models::without_next(db, collection, (from, through), batch))?;
            let Some(last) = missing.last().map(|pending| pending.chunk) else {
                // The indexer looks at all of them again, as chunks come meanwhile.
                self.filled_next.remove(&collection);
                let _ = self.tools.indexer.send(Wake::Made(collection, self.name.clone()));
                continue;
            };
            self.embed(&mut missing.iter_mut().collect::<Vec<_>>())?;
            self.save(&missing)?;
            self.filled_next.insert(collection, last);
            return Ok(Step::More);
        }
        Ok(Step::Done)
    }
}
