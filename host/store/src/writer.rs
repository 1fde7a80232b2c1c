//! The writer: one thread, one connection, many writes in one transaction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::fleet::{Log, Lost, TakeIn};
use crate::types::{Error, Settings};

/// Writes in one transaction. Bounds how long the first waits for the last.
const MAX_GROUP: usize = 256;

/// How long to leave a disk alone that has refused a write.
const PROBE_AFTER: Duration = Duration::from_secs(5);

/// When the last transaction failed; none when it succeeded.
#[derive(Debug, Default)]
struct Health(Mutex<Option<Instant>>);

impl Health {
    fn set(&self, good: bool) {
        *self.0.lock() = (!good).then(Instant::now);
    }

    fn failed_at(&self) -> Option<Instant> {
        *self.0.lock()
    }
}

/// What a committed write means for the indexes in memory.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Chunks that search must not return any more.
    pub removed: Vec<(i64, u64)>,
    /// Collections that are gone.
    pub dropped: Vec<i64>,
}

/// Runs after a commit, before the writers are notified.
pub(crate) type AfterCommit = Box<dyn Fn(&Effects) + Send>;

/// What a write works in, or why there is no transaction.
type Begun<'a> = Result<(&'a Connection, &'a mut Effects), Lost>;
type Run = Box<dyn FnOnce(Begun<'_>) -> Completion + Send>;

/// What the thread is asked for.
enum Task {
    /// A write.
    Write(Run),
    /// A write of what no other host needs to know.
    Own(Run),
    /// To take in what other hosts have written.
    Follow,
}

/// Where writes last, apart from this disk.
pub(crate) enum Journal {
    /// Nowhere: this host is alone.
    Alone,
    /// In the log of a fleet.
    Fleet(Box<Log>, TakeIn),
}

impl Journal {
    /// Before the first write of a group.
    fn begin(&mut self) -> Result<(), Lost> {
        match self {
            Self::Alone => Ok(()),
            Self::Fleet(log, take_in) => log.begin(&**take_in),
        }
    }

    /// Commits the transaction that `connection` is in.
    fn commit(&mut self, connection: &Connection) -> Result<(), Lost> {
        match self {
            Self::Alone => connection.execute_batch("COMMIT").map_err(unwritable),
            Self::Fleet(log, _) => log.commit(connection),
        }
    }

    /// The group cannot be committed.
    fn give_up(&mut self) {
        if let Self::Fleet(log, _) = self {
            log.give_up();
        }
    }

    /// What was committed is in memory too, but for keys.
    fn announce(&mut self) {
        if let Self::Fleet(log, _) = self {
            log.announce();
        }
    }

    fn follow(&mut self) {
        if let Self::Fleet(log, take_in) = self
            && let Err(error) = log.follow(&**take_in)
        {
            tracing::warn!(%error, "what other hosts have written could not be taken in");
        }
    }
}

fn unwritable(error: rusqlite::Error) -> Lost {
    Lost::Unwritable(format!("sqlite: {error}"))
}

/// What is left to do for a write once it is known how its transaction ended.
struct Completion {
    /// The disk refused this write.
    unwritable: bool,
    /// Notifies the writer whether the commit succeeded.
    notify: Box<dyn FnOnce(Result<(), Lost>)>,
}

/// The way to the writing thread.
pub(crate) struct Writer {
    sender: mpsc::Sender<Task>,
    wait: Duration,
    health: Arc<Health>,
}

impl Writer {
    /// Starts the thread. It ends when the writer is dropped.
    pub(crate) fn start(
        connection: Connection,
        settings: &Settings,
        after: AfterCommit,
        journal: Journal,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel(settings.queued_writes);
        let health = Arc::<Health>::default();
        let shared = Arc::clone(&health);
        std::thread::Builder::new()
            .name("ragtime-writer".into())
            .spawn(move || run(connection, receiver, &after, &shared, journal))?;
        Ok(Self { sender, wait: settings.write_wait, health })
    }

    /// Whether the last transaction reached the disk and the thread lives.
    pub(crate) fn healthy(&self) -> bool {
        self.health.failed_at().is_none() && !self.sender.is_closed()
    }

    /// After a failure writes something that changes nothing, once in a while:
    /// whether the disk takes writes again shows by writing.
    pub(crate) fn probe(&self) {
        if self.health.failed_at().is_none_or(|at| at.elapsed() < PROBE_AFTER) {
            return;
        }
        let (run, _) = envelope(|db, _| {
            let sql = "INSERT INTO meta VALUES ('probe', '') ON CONFLICT DO UPDATE SET value = ''";
            db.execute(sql, [])?;
            Ok(())
        });
        // A full queue has writes enough.
        let _ = self.sender.try_send(Task::Write(run));
    }

    /// Runs `work` in a transaction shared with other writes; an error undoes
    /// this write alone. Resolves once the result is on disk.
    pub(crate) async fn write<R, F>(&self, work: F) -> Result<R, Error>
    where
        R: Send + 'static,
        F: FnOnce(&Connection, &mut Effects) -> Result<R, Error> + Send + 'static,
    {
        let (run, answer) = envelope(work);
        self.sender.send_timeout(Task::Write(run), self.wait).await.map_err(
            |error| match error {
                mpsc::error::SendTimeoutError::Timeout(_) => Error::Busy { retry_after: self.wait },
                mpsc::error::SendTimeoutError::Closed(_) => closed(),
            },
        )?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// The same for a thread of our own.
    pub(crate) fn write_blocking<R, F>(&self, work: F) -> Result<R, Error>
    where
        R: Send + 'static,
        F: FnOnce(&Connection, &mut Effects) -> Result<R, Error> + Send + 'static,
    {
        let (run, answer) = envelope(work);
        self.sender.blocking_send(Task::Write(run)).map_err(|_| closed())?;
        answer.blocking_recv().unwrap_or_else(|_| Err(closed()))
    }

    /// The same for what is this host's own, as the removals that its indexes have yet to
    /// do: no other host hears of it.
    pub(crate) fn write_own_blocking<R, F>(&self, work: F) -> Result<R, Error>
    where
        R: Send + 'static,
        F: FnOnce(&Connection, &mut Effects) -> Result<R, Error> + Send + 'static,
    {
        let (run, answer) = envelope(work);
        self.sender.blocking_send(Task::Own(run)).map_err(|_| closed())?;
        answer.blocking_recv().unwrap_or_else(|_| Err(closed()))
    }

    /// Has what other hosts have written taken in. Where the queue is full there are writes
    /// in it, which take it in before they begin.
    pub(crate) fn follow(&self) {
        let _ = self.sender.try_send(Task::Follow);
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
    let run: Run = Box::new(move |begun| {
        let result = begun
            .map_err(Error::from)
            .and_then(|(connection, effects)| in_savepoint(connection, effects, work));
        let unwritable = matches!(result, Err(Error::Unwritable(_)));
        let notify = move |committed: Result<(), Lost>| {
            // One who stopped waiting has no use for the answer.
            let _ = sender.send(committed.map_err(Error::from).and(result));
        };
        Completion { unwritable, notify: Box::new(notify) }
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
            if let Err(undo) = connection.execute_batch("ROLLBACK TO one; RELEASE one") {
                tracing::error!(%error, %undo, "a write could not be undone alone");
            }
            Err(error)
        }
    }
}

fn run(
    connection: Connection,
    mut receiver: mpsc::Receiver<Task>,
    after: &AfterCommit,
    health: &Health,
    mut journal: Journal,
) {
    let mut tasks = Vec::with_capacity(MAX_GROUP);
    while receiver.blocking_recv_many(&mut tasks, MAX_GROUP) > 0 {
        let (mut group, mut own, mut follow) = (Vec::with_capacity(tasks.len()), Vec::new(), false);
        for task in tasks.drain(..) {
            match task {
                Task::Write(run) => group.push(run),
                Task::Own(run) => own.push(run),
                Task::Follow => follow = true,
            }
        }
        let mut current = false;
        if !group.is_empty() {
            current = write(&connection, group, after, health, &mut journal);
        }
        if follow && !current {
            journal.follow();
        }
        if !own.is_empty() {
            write(&connection, own, after, health, &mut Journal::Alone);
        }
    }
}

/// Runs a group of writes in one transaction, and notifies their writers; false where it
/// could not be committed.
fn write(
    connection: &Connection,
    group: Vec<Run>,
    after: &AfterCommit,
    health: &Health,
    journal: &mut Journal,
) -> bool {
    let mut effects = Effects::default();
    let mut answers = Vec::with_capacity(group.len());
    let committed = transaction(connection, journal, group, &mut effects, &mut answers);
    let refused = answers.iter().any(|answer| answer.unwritable);
    if refused {
        tracing::error!("the disk refused a write");
    }
    health.set(committed.is_ok() && !refused);
    match &committed {
        Ok(()) => {
            after(&effects);
            journal.announce();
        }
        Err(error) => tracing::error!(%error, "a transaction failed"),
    }
    for answer in answers {
        (answer.notify)(committed.clone());
    }
    committed.is_ok()
}

fn transaction(
    connection: &Connection,
    journal: &mut Journal,
    group: Vec<Run>,
    effects: &mut Effects,
    answers: &mut Vec<Completion>,
) -> Result<(), Lost> {
    let began = journal
        .begin()
        .and_then(|()| connection.execute_batch("BEGIN IMMEDIATE").map_err(unwritable));
    for run in group {
        let begun = match &began {
            Err(lost) => Err(lost.clone()),
            // SQLite ends the transaction itself when the disk is full or
            // fails. What ran now would commit on its own.
            Ok(()) if connection.is_autocommit() => {
                Err(Lost::Unwritable("the transaction was lost".into()))
            }
            Ok(()) => Ok((connection, &mut *effects)),
        };
        answers.push(run(begun));
    }
    let still_open = began.and_then(|()| match connection.is_autocommit() {
        true => Err(Lost::Unwritable("the transaction was lost".into())),
        false => Ok(()),
    });
    still_open.and_then(|()| journal.commit(connection)).inspect_err(|_| {
        journal.give_up();
        // The transaction may be over already; then there is nothing to undo.
        let _ = connection.execute_batch("ROLLBACK");
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    /// A writer on a table `t`, and what `after` was given.
    fn writer(queued_writes: usize) -> (Writer, Arc<Mutex<Vec<u64>>>) {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (n INTEGER UNIQUE)").unwrap();
        let removed = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&removed);
        let after = Box::new(move |effects: &Effects| {
            noted.lock().extend(effects.removed.iter().map(|(_, chunk)| *chunk));
        });
        let write_wait = Duration::from_millis(20);
        let settings = Settings { queued_writes, write_wait, ..Settings::default() };
        (Writer::start(connection, &settings, after, Journal::Alone).unwrap(), removed)
    }

    fn insert(n: u64) -> impl FnOnce(&Connection, &mut Effects) -> Result<(), Error> {
        move |db, effects| {
            effects.removed.push((0, n));
            db.execute("INSERT INTO t VALUES (?1)", [n])?;
            Ok(())
        }
    }

    /// Holds the thread until the sender is dropped.
    fn hold()
    -> (std::sync::mpsc::Sender<()>, impl FnOnce(&Connection, &mut Effects) -> Result<(), Error>)
    {
        let (release, held) = std::sync::mpsc::channel::<()>();
        (release, move |_, _| {
            let _ = held.recv();
            Ok(())
        })
    }

    async fn count(writer: &Writer) -> u64 {
        let count = |db: &Connection, _: &mut Effects| {
            Ok(db.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?)
        };
        writer.write(count).await.unwrap()
    }

    /// Polls a write once and waits until the thread is busy with it alone.
    async fn begin<F: Future>(writer: &Writer, write: std::pin::Pin<&mut F>) {
        assert!(tokio::time::timeout(Duration::ZERO, write).await.is_err());
        while writer.sender.capacity() < writer.sender.max_capacity() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_write_that_fails_takes_no_other_with_it() {
        let (writer, removed) = writer(8);
        let (release, blocked) = hold();
        let blocked = writer.write(blocked);
        tokio::pin!(blocked);
        begin(&writer, blocked.as_mut()).await;
        let (first, again, second, ()) = tokio::join!(
            writer.write(insert(1)),
            writer.write(insert(1)),
            writer.write(insert(2)),
            async { drop(release) },
        );
        assert!(first.is_ok() && second.is_ok());
        assert!(matches!(again, Err(Error::Internal(_))));
        assert_eq!(count(&writer).await, 2);
        assert_eq!(*removed.lock(), [1, 2]);
    }

    #[tokio::test]
    async fn a_full_queue_is_busy_and_says_for_how_long() {
        let (writer, _) = writer(1);
        let (release, blocked) = hold();
        let blocked = writer.write(blocked);
        tokio::pin!(blocked);
        begin(&writer, blocked.as_mut()).await;
        let (queued, refused) = tokio::join!(writer.write(insert(1)), async {
            let refused = writer.write(insert(2)).await;
            drop(release);
            refused
        });
        assert!(queued.is_ok());
        assert!(
            matches!(refused, Err(Error::Busy { retry_after }) if retry_after == writer.wait),
            "{refused:?}"
        );
        assert_eq!(count(&writer).await, 1);
    }

    #[tokio::test]
    async fn when_sqlite_ends_the_transaction_nobody_is_told_it_was_written() {
        let (writer, removed) = writer(8);
        let (release, blocked) = hold();
        let blocked = writer.write(blocked);
        tokio::pin!(blocked);
        begin(&writer, blocked.as_mut()).await;
        let lose = |db: &Connection, _: &mut Effects| Ok(db.execute_batch("ROLLBACK")?);
        let (before, lost, after, ()) = tokio::join!(
            writer.write(insert(1)),
            writer.write(lose),
            writer.write(insert(2)),
            async { drop(release) },
        );
        assert!(before.is_err() && lost.is_err() && after.is_err());
        assert!(!writer.healthy());
        assert!(removed.lock().is_empty());
        assert_eq!(count(&writer).await, 0);
        writer.write(insert(3)).await.unwrap();
        assert!(writer.healthy());
    }
}
