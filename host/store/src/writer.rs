//! The writer: one thread, one connection, many writes in one transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::types::{Error, Settings};

/// Writes in one transaction. Bounds how long the first waits for the last.
const MAX_GROUP: usize = 256;

/// What a committed write means for the indexes in memory.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Chunks that search must not return any more.
    pub removed: Vec<(i64, u64)>,
    /// Collections that are gone.
    pub dropped: Vec<i64>,
}

/// Runs after a commit, before the writers are told.
pub(crate) type AfterCommit = Box<dyn Fn(&Effects) + Send>;

type Run = Box<dyn FnOnce(&Connection, &mut Effects) -> Answer + Send>;
/// Tells the one who asked, once it is known whether the commit succeeded.
type Answer = Box<dyn FnOnce(Result<(), String>) -> bool>;

/// The way to the writing thread.
pub(crate) struct Writer {
    sender: mpsc::Sender<Run>,
    wait: Duration,
    healthy: Arc<AtomicBool>,
}

impl Writer {
    /// Starts the thread. It ends when the writer is dropped.
    pub(crate) fn start(
        connection: Connection,
        settings: &Settings,
        after: AfterCommit,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (sender, receiver) = mpsc::channel(settings.queued_writes);
        let healthy = Arc::new(AtomicBool::new(true));
        let health = Arc::clone(&healthy);
        let thread = std::thread::Builder::new()
            .name("ragtime-writer".into())
            .spawn(move || run(connection, receiver, &after, &health))?;
        Ok((Self { sender, wait: settings.write_wait, healthy }, thread))
    }

    /// Whether the last transaction reached the disk.
    pub(crate) fn healthy(&self) -> bool {
        self.healthy.load(Relaxed)
    }

    /// Runs `work` in a transaction shared with other writes; an error undoes
    /// this write alone. Resolves once the result is on disk.
    pub(crate) async fn write<R, F>(&self, work: F) -> Result<R, Error>
    where
        R: Send + 'static,
        F: FnOnce(&Connection, &mut Effects) -> Result<R, Error> + Send + 'static,
    {
        let (run, answer) = envelope(work);
        self.sender.send_timeout(run, self.wait).await.map_err(|error| match error {
            mpsc::error::SendTimeoutError::Timeout(_) => Error::Busy { retry_after: self.wait },
            mpsc::error::SendTimeoutError::Closed(_) => closed(),
        })?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// The same for a thread of our own.
    pub(crate) fn write_blocking<R, F>(&self, work: F) -> Result<R, Error>
    where
        R: Send + 'static,
        F: FnOnce(&Connection, &mut Effects) -> Result<R, Error> + Send + 'static,
    {
        let (run, answer) = envelope(work);
        self.sender.blocking_send(run).map_err(|_| closed())?;
        answer.blocking_recv().unwrap_or_else(|_| Err(closed()))
    }
}

fn closed() -> Error {
    Error::Internal("the store is closed".into())
}

fn envelope<R, F>(work: F) -> (Run, oneshot::Receiver<Result<R, Error>>)
where
    R: Send + 'static,
    F: FnOnce(&Connection, &mut Effects) -> Result<R, Error> + Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    let run: Run = Box::new(move |connection, effects| {
        let result = in_savepoint(connection, effects, work);
        Box::new(move |committed| {
            let result = match committed {
                Ok(()) => result,
                Err(reason) => Err(Error::Internal(reason)),
            };
            sender.send(result).is_ok()
        })
    });
    (run, receiver)
}

fn in_savepoint<R>(
    connection: &Connection,
    effects: &mut Effects,
    work: impl FnOnce(&Connection, &mut Effects) -> Result<R, Error>,
) -> Result<R, Error> {
    connection.execute_batch("SAVEPOINT one")?;
    let mut own = Effects::default();
    match work(connection, &mut own) {
        Ok(value) => {
            connection.execute_batch("RELEASE one")?;
            effects.removed.append(&mut own.removed);
            effects.dropped.append(&mut own.dropped);
            Ok(value)
        }
        Err(error) => {
            connection.execute_batch("ROLLBACK TO one; RELEASE one")?;
            Err(error)
        }
    }
}

fn run(
    connection: Connection,
    mut receiver: mpsc::Receiver<Run>,
    after: &AfterCommit,
    healthy: &AtomicBool,
) {
    let mut group = Vec::with_capacity(MAX_GROUP);
    while receiver.blocking_recv_many(&mut group, MAX_GROUP) > 0 {
        let mut effects = Effects::default();
        let mut answers = Vec::with_capacity(group.len());
        let committed = transaction(&connection, &mut group, &mut effects, &mut answers);
        healthy.store(committed.is_ok(), Relaxed);
        let told = match committed {
            Ok(()) => {
                after(&effects);
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "a transaction failed");
                Err(format!("sqlite: {error}"))
            }
        };
        for answer in answers {
            answer(told.clone());
        }
        group.clear();
    }
}

fn transaction(
    connection: &Connection,
    group: &mut Vec<Run>,
    effects: &mut Effects,
    answers: &mut Vec<Answer>,
) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    answers.extend(group.drain(..).map(|run| run(connection, effects)));
    connection.execute_batch("COMMIT").inspect_err(|_| {
        // The transaction may be over already; then there is nothing to undo.
        let _ = connection.execute_batch("ROLLBACK");
    })
}
