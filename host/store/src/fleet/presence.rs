//! A host reports that it lives, learns which others do, and takes the lease under which
//! one host does the work that is to be done once.
//!
//! Nothing that a client is promised rests on this: the log gives the order and the fence
//! says what is current. Two hosts that both think they have the lease make the same
//! vectors twice.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use postgres::types::Type;
use ragtime_policy::rollout::Host;
use serde_json::{Value, json};

use super::link::{Broken, Link};
use super::log::{number, signed};
use super::{Fleet, Settings, snapshot};
use crate::types::OpenError;

/// How often a host reports that it lives.
const BEAT: Duration = Duration::from_secs(1);
/// After how long without a word a host counts as gone, and its lease is another's: a few
/// beats, so that a slow statement is no death.
const GONE_AFTER_SECONDS: i32 = 10;
/// Beats between two looks at whether the log is long enough for a snapshot.
const BEATS_A_SNAPSHOT: u32 = 5;

/// What is notified when the lease comes to this host.
pub(crate) type Lead = Box<dyn Fn() + Send>;

/// Reports until the sender is gone, then gives the lease back.
pub(crate) fn run(
    mut link: Link,
    fleet: &Arc<Fleet>,
    snapshots: &snapshot::Source,
    lead: &Lead,
    stop: &Receiver<()>,
) {
    let mut beats = 0_u32;
    let mut namesakes = Namesakes::default();
    loop {
        match beat(&mut link, fleet) {
            Ok(leads) => {
                namesakes.look(fleet);
                let before = fleet.leads.swap(leads, Relaxed);
                if leads && !before {
                    tracing::info!("this host makes vectors and cleans up for all");
                    lead();
                }
            }
            Err(error) => {
                // The fence says so louder.
                tracing::debug!(%error, "this host could not report that it lives");
                fleet.leads.store(false, Relaxed);
            }
        }
        if fleet.leads() && beats.is_multiple_of(BEATS_A_SNAPSHOT) {
            snapshots.take_if_due(&link);
        }
        beats = beats.wrapping_add(1);
        match stop.recv_timeout(BEAT) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let id = fleet.host.clone();
    let left = link.run(|client, schema| {
        client.execute_typed(
            &format!("DELETE FROM {schema}.leases WHERE holder = $1"),
            &[(&id, Type::TEXT)],
        )?;
        client.execute_typed(
            &format!("DELETE FROM {schema}.hosts WHERE id = $1"),
            &[(&id, Type::TEXT)],
        )
    });
    if let Err(error) = left {
        tracing::debug!(%error, "the others will miss this host by its silence");
    }
}

/// Beats in a row at which another host was called the same.
#[derive(Default)]
struct Namesakes(u32);

impl Namesakes {
    /// After so many beats the other is no host that was killed and started again.
    const TOO_MANY: u32 = 2 * GONE_AFTER_SECONDS.unsigned_abs();

    fn look(&mut self, fleet: &Fleet) {
        let own = fleet.host();
        let there = fleet.live().iter().any(|host| host.name == own.name && host.id != own.id);
        self.0 = if there { self.0.saturating_add(1) } else { 0 };
        if self.0 == Self::TOO_MANY {
            tracing::warn!(
                name = own.name,
                "another host of the fleet has the same name: set fleet.name of each, or nobody can tell which is meant"
            );
        }
    }
}

/// Reports that this host lives. Returns whether it has the lease.
fn beat(link: &mut Link, fleet: &Fleet) -> Result<bool, Broken> {
    let status = fleet.status();
    let state = match status {
        super::Status { reached: false, .. } => "unreachable",
        super::Status { behind: 1.., .. } | super::Status { unindexed: 1.., .. } => "catching up",
        super::Status { .. } => "ready",
    };
    let (position, indexed) = (signed(fleet.position.get()), signed(fleet.indexed.get()));
    let (generation, handler) = fleet.handler.lock().clone();
    let generation = signed(generation);
    let name = fleet.name();
    let may_lead = fleet.can_lead.load(Relaxed);
    let (leads, live) = link.run(|client, schema| {
        client.execute_typed(
            &format!(
                "INSERT INTO {schema}.hosts VALUES ($1, $2, $3, $4, $5, $6, $7, clock_timestamp(), $8)
                 ON CONFLICT (id) DO UPDATE SET address = excluded.address,
                     position = excluded.position,
                     indexed = excluded.indexed, state = excluded.state,
                     handler = excluded.handler, generation = excluded.generation,
                     seen_at = excluded.seen_at"
            ),
            &[
                (&fleet.host, Type::TEXT),
                (&name, Type::TEXT),
                (&fleet.version, Type::TEXT),
                (&position, Type::INT8),
                (&indexed, Type::INT8),
                (&state, Type::TEXT),
                (&handler, Type::TEXT),
                (&generation, Type::INT8),
            ],
        )?;
        let leads = may_lead
            && client.execute_typed(
                &format!(
                    "INSERT INTO {schema}.leases AS l
                     VALUES ('lead', $1, clock_timestamp() + make_interval(secs => $2))
                     ON CONFLICT (name) DO UPDATE SET holder = $1, until = excluded.until
                     WHERE l.holder = $1 OR l.until < clock_timestamp()"
                ),
                &[(&fleet.host, Type::TEXT), (&f64::from(GONE_AFTER_SECONDS), Type::FLOAT8)],
            )? == 1;
        let live = client.query_typed(
            &format!("SELECT id, address FROM {schema}.hosts WHERE {} ORDER BY 2, 1", is_live()),
            &[],
        )?;
        Ok((leads, live))
    })?;
    let live = live.iter().map(|row| Host { id: row.get(0), name: row.get(1) });
    *fleet.hosts.lock() = live.collect();
    Ok(leads)
}

/// A host, as the others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostStatus {
    /// Its process, a UUID.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// Its version.
    pub version: String,
    /// `ready`, `catching up` or `gone`.
    pub state: String,
    /// Entries of the log that the host lacked when it reported last.
    pub behind: u64,
    /// SHA-256 of the handler that it serves, lower-case hex; empty until it does.
    pub handler: String,
    /// The generation that this is; 0 until it serves one.
    pub generation: u64,
    /// Whether it makes vectors and cleans up for all.
    pub leads: bool,
    /// Seconds since the host reported last.
    pub silent_seconds: u64,
}

/// A fleet, as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// Its id, a UUID.
    pub fleet: String,
    /// Entries that were ever written.
    pub head: u64,
    /// Entries that are still in the log.
    pub log_entries: u64,
    /// Bytes of those.
    pub log_bytes: u64,
    /// The entry that the last snapshot goes up to.
    pub snapshot: u64,
    /// Bytes of that snapshot.
    pub snapshot_bytes: u64,
    /// The hosts, by name.
    pub hosts: Vec<HostStatus>,
}

impl Overview {
    /// As programs get it: `ragtime fleet status --json` and `GET /admin/fleet`.
    pub fn to_json(&self) -> Value {
        let host = |host: &HostStatus| {
            json!({
                "id": host.id, "name": host.name, "version": host.version, "state": host.state,
                "behind": host.behind, "generation": host.generation,
                "handler_sha256": host.handler, "leads": host.leads,
                "silent_seconds": host.silent_seconds,
            })
        };
        json!({
            "fleet": self.fleet, "entries": self.head,
            "log": {"entries": self.log_entries, "bytes": self.log_bytes},
            "snapshot": {"entry": self.snapshot, "bytes": self.snapshot_bytes},
            "hosts": self.hosts.iter().map(host).collect::<Vec<_>>(),
        })
    }
}

/// Looks at a fleet. Blocking.
///
/// # Errors
///
/// PostgreSQL cannot be reached, or has no fleet in the schema.
pub fn overview(settings: &Settings) -> Result<Overview, OpenError> {
    settings.check()?;
    let mut link = Link::new(settings)?;
    if !link.run(super::tables::there)? {
        return Err(OpenError::Fleet(format!("the schema {} has no fleet", settings.schema)));
    }
    Ok(link.run(read)?)
}

/// The same on a connection.
pub(super) fn read(
    client: &mut postgres::Client,
    schema: &str,
) -> Result<Overview, postgres::Error> {
    let row = client.query_typed_one(
        &format!(
            "SELECT id, head, (SELECT count(*) FROM {schema}.log),
                 (SELECT coalesce(sum(octet_length(changes)), 0)::bigint FROM {schema}.log),
                 coalesce((SELECT max(n) FROM {schema}.snapshots), 0),
                 coalesce((SELECT bytes FROM {schema}.snapshots ORDER BY n DESC LIMIT 1), 0)
             FROM {schema}.fleet"
        ),
        &[],
    )?;
    let at = |column: usize| number(row.get(column));
    let mut overview = Overview {
        fleet: row.get(0),
        head: at(1),
        log_entries: at(2),
        log_bytes: at(3),
        snapshot: at(4),
        snapshot_bytes: at(5),
        hosts: Vec::new(),
    };
    let hosts = client.query_typed(
        &format!(
            "SELECT address, version, state, position, handler, generation,
                 EXISTS (SELECT 1 FROM {schema}.leases WHERE holder = id AND until > clock_timestamp()),
                 extract(epoch FROM clock_timestamp() - seen_at)::bigint, id
             FROM {schema}.hosts ORDER BY address, id"
        ),
        &[],
    )?;
    overview.hosts = hosts
        .iter()
        .map(|row| {
            let silent_seconds = number(row.get(7));
            let gone = silent_seconds > u64::from(GONE_AFTER_SECONDS.unsigned_abs());
            HostStatus {
                id: row.get(8),
                name: row.get(0),
                version: row.get(1),
                state: if gone { "gone".into() } else { row.get(2) },
                behind: overview.head.saturating_sub(number(row.get(3))),
                handler: row.get(4),
                generation: number(row.get(5)),
                leads: row.get(6),
                silent_seconds,
            }
        })
        .collect();
    Ok(overview)
}

/// Hosts that live, as a condition on `hosts`; for hosts that start.
pub(crate) fn is_live() -> String {
    format!("seen_at > clock_timestamp() - make_interval(secs => {GONE_AFTER_SECONDS})")
}
