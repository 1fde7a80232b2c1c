//! The thread that looks after the vectors of collections: what is full goes to files and
//! into lists. Searches and writes go on meanwhile, and whatever it has not done before a
//! crash it does after.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::index::{Call, CollectionIndex, Indexes};

/// How long a collection is left alone whose files could not be written: the disk is
/// full, and each try writes 25 MB.
const RETRY: Duration = Duration::from_secs(30);

/// That thread.
pub(crate) struct Maintainer {
    calls: Sender<Call>,
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Maintainer {
    /// Starts it.
    pub(crate) fn start(
        indexes: Weak<Indexes>,
        calls: Sender<Call>,
        called: Receiver<Call>,
    ) -> std::io::Result<Self> {
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("ragtime-maintain".into())
            .spawn(move || run(&indexes, &called, &stopped))?;
        Ok(Self { calls, stop, thread: Mutex::new(Some(thread)) })
    }

    /// Has it stop soon.
    pub(crate) fn stop(&self) -> Option<JoinHandle<()>> {
        self.stop.store(true, Relaxed);
        // It may have stopped already.
        let _ = self.calls.send(Call::Stop);
        self.thread.lock().take()
    }
}

impl Drop for Maintainer {
    fn drop(&mut self) {
        drop(self.stop());
    }
}

fn run(indexes: &Weak<Indexes>, calls: &Receiver<Call>, stop: &AtomicBool) {
    let mut failed: HashMap<i64, Instant> = HashMap::new();
    while let Ok(Call::Look(collection)) = calls.recv() {
        failed.retain(|_, at| at.elapsed() < RETRY);
        // A collection that is not in memory needs nothing.
        let index = indexes.upgrade().and_then(|indexes| indexes.loaded(collection));
        let Some(index) = index else { continue };
        index.is_heard();
        if !failed.contains_key(&collection) && !maintain(&index, collection, stop) {
            failed.insert(collection, Instant::now());
        }
    }
}

/// Whether it worked. Neither an error nor a panic ends the thread: what stays to be done
/// is in memory, and found all the same.
fn maintain(index: &CollectionIndex, collection: i64, stop: &AtomicBool) -> bool {
    match catch_unwind(AssertUnwindSafe(|| index.maintain(stop))) {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, collection, "vectors could not be written and stay in memory");
            false
        }
        Err(_) => {
            tracing::error!(collection, "looking after vectors panicked");
            false
        }
    }
}
