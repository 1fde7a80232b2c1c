//! The fence: before a host answers a request, it has every write that was acknowledged
//! anywhere before the request came.
//!
//! One thread asks PostgreSQL for the end of the log on behalf of all requests that wait,
//! so a host asks once at a time however many requests there are. Between requests it
//! asks on its own account, so that there is little to catch up with.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use postgres::Client;
use tokio::sync::oneshot;

use super::link::Link;
use super::log::number;
use super::{Fleet, known_as, unix_ms};
use crate::writer::Writer;

/// How often to look without being asked: what another host waits for, as a document for its
/// vectors, is seen so soon.
const POLL: Duration = Duration::from_millis(50);

/// Why a host cannot answer as things are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotCurrent {
    /// PostgreSQL does not answer.
    #[error("PostgreSQL cannot be reached")]
    Unreachable,
    /// The host has not caught up in time.
    #[error("this host has not caught up with the others yet")]
    Behind,
}

/// One who waits for the fence.
pub(crate) type Waits = oneshot::Sender<Result<(), NotCurrent>>;

/// What PostgreSQL says.
struct FenceReply {
    /// The last entry of the log.
    head: u64,
    /// What the last entry that this host has is known by there.
    token: Option<String>,
    /// Up to which chunk some host has said that search finds everything.
    searchable: u64,
    /// Milliseconds since the Unix epoch.
    now_ms: i64,
}

/// Answers until the senders are gone.
fn run(mut link: Link, fleet: &Fleet, writer: &Weak<Writer>, requests: &Receiver<Waits>) {
    loop {
        let first = match requests.recv_timeout(POLL) {
            Ok(first) => Some(first),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        // All that came before the question is sent is covered by its answer.
        let waiting: Vec<_> = first.into_iter().chain(requests.try_iter()).collect();
        let current = pass(&mut link, fleet, writer);
        for one in waiting {
            // One who has stopped waiting has no use for the answer.
            let _ = one.send(current);
        }
    }
}

fn pass(link: &mut Link, fleet: &Fleet, writer: &Weak<Writer>) -> Result<(), NotCurrent> {
    let (at, token) = fleet.last.lock().clone();
    *fleet.asked_at.lock() = Some(Instant::now());
    let sent = unix_ms();
    let asked = link.ask(|client, schema| ask(client, schema, at));
    let came = unix_ms();
    *fleet.asked_at.lock() = None;
    let answer = match asked {
        Ok(answer) => answer,
        Err(broken) => {
            fleet.set_reached(Err(broken.to_string()));
            return Err(NotCurrent::Unreachable);
        }
    };
    fleet.set_reached(Ok(()));
    // PostgreSQL looked at its clock somewhere between the two.
    fleet.clock_ahead_ms.store(answer.now_ms - sent.midpoint(came), Relaxed);
    fleet.searchable.raise(answer.searchable);
    fleet.head.raise(answer.head);
    // An entry of this number and another token is of a log that has lost entries.
    let follows = answer.token == Some(token) && answer.head >= at;
    if follows && answer.head == at {
        return Ok(());
    }
    // The writer looks at the token too, and ends the host where the log is another.
    if let Some(writer) = writer.upgrade() {
        writer.follow();
    }
    let current = follows && fleet.position.wait_for(answer.head, fleet.max_wait);
    if current { Ok(()) } else { Err(NotCurrent::Behind) }
}

fn ask(client: &mut Client, schema: &str, at: u64) -> Result<FenceReply, postgres::Error> {
    let known = known_as(schema, at);
    let row = client.query_typed_one(
        &format!(
            "SELECT head, {known}, through,
                 (extract(epoch FROM clock_timestamp()) * 1000)::bigint
             FROM {schema}.fleet, {schema}.searchable"
        ),
        &[],
    )?;
    Ok(FenceReply {
        head: number(row.get(0)),
        token: row.get(1),
        searchable: number(row.get(2)),
        now_ms: row.get(3),
    })
}

/// Asks for the fence, and waits.
pub(crate) async fn wait(requests: &Sender<Waits>, fleet: &Fleet) -> Result<(), NotCurrent> {
    let (sender, answer) = oneshot::channel();
    requests.send(sender).map_err(|_| NotCurrent::Unreachable)?;
    match tokio::time::timeout(fleet.max_wait, answer).await {
        Ok(Ok(current)) => current,
        Ok(Err(_)) => Err(NotCurrent::Unreachable),
        // PostgreSQL has yet to answer the question, or others' before it.
        Err(_) if fleet.asked_at.lock().is_some() => Err(NotCurrent::Unreachable),
        Err(_) => Err(NotCurrent::Behind),
    }
}

/// Starts the thread.
pub(crate) fn start(
    link: Link,
    fleet: Arc<Fleet>,
    writer: Weak<Writer>,
    requests: Receiver<Waits>,
) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("ragtime-fence".into())
        .spawn(move || run(link, &fleet, &writer, &requests))
        .map(drop)
}
