//! The rollout that is at work in a fleet, as rows: so every host has its steps in one
//! order, and each step is decided on top of all those before it. Its end is a row of
//! [`deployments`](crate::deployments), and then nothing of it is left here.

use ragtime_policy::rollout::{Acknowledgement, Host, Next, Rollout};
use ragtime_policy::swap::{BeginError, GenerationKind, Generations};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::deployments;
use crate::types::{Deployment, Error, RolloutBegun, RolloutOrder, UnderWay};

pub(crate) const CREATE: &str = "
CREATE TABLE IF NOT EXISTS rollouts (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    label TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    actor TEXT NOT NULL,
    driver TEXT NOT NULL,
    offered INTEGER NOT NULL,
    begun_at INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS rollout_acknowledgements (
    rollout INTEGER NOT NULL,
    host TEXT NOT NULL,
    name TEXT NOT NULL,
    refused TEXT,
    PRIMARY KEY (rollout, host)
) STRICT, WITHOUT ROWID;
";

/// Begins a rollout, unless one is at work or another generation serves than its caller
/// believes.
pub(crate) fn begin(
    db: &Connection,
    order: &RolloutOrder,
    now: u64,
) -> Result<Result<RolloutBegun, BeginError>, Error> {
    if let Some(under_way) = at_work(db)? {
        return Ok(Err(BeginError::Busy(under_way.rollout.id)));
    }
    let past = deployments::activations(db)?;
    let active = past.last().map_or(0, |last| last.id);
    let kinds = past.iter().filter_map(|one| Some((one.id, GenerationKind::of_name(&one.kind)?)));
    let mut generations = Generations::restore(kinds, deployments::newest(db)?, active);
    let (id, restored) = match generations.begin(order.kind, order.expected) {
        Ok(begun) => begun,
        Err(refused) => return Ok(Err(refused)),
    };
    db.execute(
        "INSERT INTO rollouts (id, kind, sha256, label, bytes, actor, driver, offered, begun_at)
         VALUES (?1, ?2, '', ?3, 0, ?4, ?5, FALSE, ?6)",
        params![id, order.kind.name(), order.label, order.actor, order.driver, now],
    )?;
    Ok(Ok(RolloutBegun { id, restored }))
}

/// Asks the other hosts to prepare the candidate; false when it was called off.
pub(crate) fn offer(db: &Connection, candidate: &Deployment) -> Result<bool, Error> {
    let offered = db.execute(
        "UPDATE rollouts SET offered = TRUE, sha256 = ?2, bytes = ?3, label = ?4 WHERE id = ?1",
        params![candidate.id, candidate.sha256, candidate.bytes, candidate.label],
    )?;
    Ok(offered > 0)
}

/// Notes what a host has said of the candidate, if it is still at work.
pub(crate) fn acknowledge(db: &Connection, id: u64, said: &Acknowledgement) -> Result<(), Error> {
    db.execute(
        "INSERT OR IGNORE INTO rollout_acknowledgements (rollout, host, name, refused)
         SELECT id, ?2, ?3, ?4 FROM rollouts WHERE id = ?1",
        params![id, said.host.id, said.host.name, said.refused],
    )?;
    Ok(())
}

/// Makes the candidate the handler of all hosts, if by now those that live can serve it.
/// What holds otherwise is returned; nothing when it was called off.
pub(crate) fn commit(
    db: &Connection,
    deployment: &Deployment,
    live: &[Host],
) -> Result<Option<Next>, Error> {
    let under_way = at_work(db)?.filter(|one| one.rollout.id == deployment.id);
    let Some(next) = under_way.map(|one| one.rollout.next(live, false)) else {
        return Ok(None);
    };
    if next == Next::Commit {
        end(db, deployment)?;
    }
    Ok(Some(next))
}

/// Ends a rollout that does not come about, if it is at work; whether it was.
pub(crate) fn refuse(db: &Connection, deployment: &Deployment) -> Result<bool, Error> {
    let there = at_work(db)?.is_some_and(|one| one.rollout.id == deployment.id);
    if there {
        end(db, deployment)?;
    }
    Ok(there)
}

/// Ends a rollout that was only tried.
pub(crate) fn forget(db: &Connection, id: u64) -> Result<(), Error> {
    db.execute("DELETE FROM rollout_acknowledgements WHERE rollout = ?1", [id])?;
    db.execute("DELETE FROM rollouts WHERE id = ?1", [id])?;
    Ok(())
}

fn end(db: &Connection, deployment: &Deployment) -> Result<(), Error> {
    forget(db, deployment.id)?;
    deployments::record(db, deployment)
}

/// The rollout at work.
pub(crate) fn at_work(db: &Connection) -> Result<Option<UnderWay>, Error> {
    let mut statement = db.prepare_cached(
        "SELECT id, driver, offered, kind, sha256, label, bytes, actor, begun_at FROM rollouts",
    )?;
    let Some(mut under_way) = statement.query_row([], of_row).optional()? else {
        return Ok(None);
    };
    let mut statement = db.prepare_cached(
        "SELECT host, name, refused FROM rollout_acknowledgements WHERE rollout = ?1 ORDER BY name, host",
    )?;
    let said = statement.query_map([under_way.rollout.id], |row| {
        let host = Host { id: row.get(0)?, name: row.get(1)? };
        Ok(Acknowledgement { host, refused: row.get(2)? })
    })?;
    under_way.rollout.acknowledgements = said.collect::<Result<_, _>>()?;
    Ok(Some(under_way))
}

fn of_row(row: &Row<'_>) -> rusqlite::Result<UnderWay> {
    Ok(UnderWay {
        rollout: Rollout {
            id: row.get(0)?,
            driver: row.get(1)?,
            offered: row.get(2)?,
            acknowledgements: Vec::new(),
        },
        kind: row.get(3)?,
        sha256: row.get(4)?,
        label: row.get(5)?,
        bytes: row.get(6)?,
        actor: row.get(7)?,
        begun_at: row.get(8)?,
    })
}
