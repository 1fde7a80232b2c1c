//! The end of a swap on a fleet: every host prepares the candidate, and one entry of the
//! log makes it the handler of all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ragtime_policy::rollout::{Host, Next};
use ragtime_policy::swap::{GenerationKind, State};
use ragtime_store::{Deployment, RolloutBegun, RolloutOrder};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::super::{Order, SwapError, Swaps};
use super::{Attempt, account, keep, millis, wanted, write_down};
use crate::blocking::blocking;
use crate::runtime::generation::Generation;

/// How often to look who lives, where nothing else happens.
const LOOK: Duration = Duration::from_millis(500);

/// Begins a swap: on this host alone, or as the one of its fleet. Returns its id, and for a
/// rollback the generation whose component it brings back.
pub(super) async fn begin(
    swaps: &Arc<Swaps>,
    order: &Order,
) -> Result<(u64, Option<u64>), SwapError> {
    let Some(host) = swaps.store().host() else {
        return Ok(swaps.generations().begin(order.kind, order.expected)?);
    };
    // Nobody takes the rollout for one without a driver before it is known here.
    let _beginning = swaps.beginning.lock().await;
    let order = RolloutOrder {
        kind: order.kind,
        label: order.label.clone(),
        actor: order.actor.clone(),
        driver: host.id,
        expected: order.expected,
    };
    let kind = order.kind;
    let RolloutBegun { id, restored } = swaps.store().begin_rollout(order).await??;
    // First, or this host would let go of what nobody seems to drive.
    swaps.set_driving(Some(id));
    swaps.enter(id, kind);
    Ok((id, restored))
}

impl Attempt<'_> {
    /// Whether this is a swap of all hosts of a fleet.
    pub(super) fn is_rollout(&self) -> bool {
        self.swaps.store().in_fleet()
    }

    /// Has every host prepare the candidate, and makes it the handler of all of them.
    pub(super) async fn activate_everywhere(
        &mut self,
        candidate: Arc<Generation>,
        component: Arc<[u8]>,
    ) -> Result<(), SwapError> {
        self.offer(&component).await?;
        let deadline = Instant::now() + self.swaps.rollout_timeout;
        let mut changes = self.swaps.changes();
        loop {
            changes.borrow_and_update();
            let live = self.swaps.store().live();
            let overdue = Instant::now() >= deadline;
            match self.next(&live, overdue).await? {
                Next::Wait => {}
                Next::Refuse(reason) => return Err(SwapError::Fleet(reason)),
                Next::Commit => {
                    if self.commit(&candidate, &component, &live).await? {
                        let names: Vec<_> = live.iter().map(|host| &host.name).collect();
                        self.step("activated", json!({"ms": millis(self.started), "hosts": names}));
                        return Ok(());
                    }
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let _ = timeout(left.min(LOOK), changes.changed()).await;
        }
    }

    /// Puts the component where every host gets it, and asks them to prepare it.
    async fn offer(&mut self, component: &Arc<[u8]>) -> Result<(), SwapError> {
        let (store, sha256) = (self.swaps.store().clone(), self.record.sha256.clone());
        let bytes = Arc::clone(component);
        blocking(move || store.put_component(&sha256, &bytes)).await??;
        if !self.swaps.store().offer_rollout(self.record.clone()).await? {
            return Err(SwapError::CalledOff);
        }
        self.step("offered", json!({"hosts": self.swaps.store().live().len()}));
        Ok(())
    }

    async fn next(&self, live: &[Host], overdue: bool) -> Result<Next, SwapError> {
        let store = self.swaps.store().clone();
        let under_way = blocking(move || store.rollout()).await??;
        let mine = under_way.filter(|one| one.rollout.id == self.id);
        let mine = mine.ok_or(SwapError::CalledOff)?;
        let knows = live.iter().any(|host| host.id == mine.rollout.driver);
        Ok(match (knows, overdue) {
            (true, _) => mine.rollout.next(live, overdue),
            // A host that has just begun to live does not know yet who else does.
            (false, false) => Next::Wait,
            (false, true) => Next::Refuse("which hosts live is not known".to_owned()),
        })
    }

    /// The moment of the swap; false where by then a host lives that has yet to prepare.
    /// Once begun it is done to the end, whether or not the caller is still there.
    async fn commit(
        &mut self,
        candidate: &Arc<Generation>,
        component: &Arc<[u8]>,
        live: &[Host],
    ) -> Result<bool, SwapError> {
        let mut record = self.finished();
        record.active = true;
        let (swaps, live) = (Arc::clone(self.swaps), live.to_vec());
        let (candidate, component) = (Arc::clone(candidate), Arc::clone(component));
        let (sender, receiver) = oneshot::channel();
        self.ended = true;
        tokio::spawn(async move {
            let next = committed(&swaps, &candidate, component, record.clone(), live).await;
            // Nobody waits: then nobody goes on with what has not come about either.
            if let Err(next) = sender.send(next)
                && !matches!(next, Ok(Some(Next::Commit)))
            {
                swaps.let_go(candidate.id);
                write_down(&swaps, called_off(record)).await;
            }
        });
        let next = receiver.await.unwrap_or_else(|error| Err(SwapError::Host(error.to_string())));
        self.ended = matches!(next, Ok(Some(Next::Commit)));
        match next? {
            Some(Next::Commit) => Ok(true),
            Some(Next::Wait) => Ok(false),
            Some(Next::Refuse(reason)) => Err(SwapError::Fleet(reason)),
            None => Err(SwapError::CalledOff),
        }
    }
}

/// Commits, and does what follows from it once. That this host serves the candidate follows
/// from the log, as on every other.
async fn committed(
    swaps: &Arc<Swaps>,
    candidate: &Arc<Generation>,
    component: Arc<[u8]>,
    record: Deployment,
    live: Vec<Host>,
) -> Result<Option<Next>, SwapError> {
    keep(swaps, candidate, component).await?;
    let (kind, actor) = (record.kind.clone(), record.actor.clone().unwrap_or_default());
    let next = swaps.store().commit_rollout(record, live).await?;
    if next == Some(Next::Commit) {
        swaps.set_driving(None);
        account(swaps, candidate, &kind, &actor).await;
        forget_old(Arc::clone(swaps)).await;
    }
    Ok(next)
}

/// The row of a swap whose caller went away.
fn called_off(record: Deployment) -> Deployment {
    let reason = Some(SwapError::CalledOff.to_string());
    Deployment { active: false, stage: Some(State::Gating.name().to_owned()), reason, ..record }
}

/// Takes components out of the database that no rollback will want.
async fn forget_old(swaps: Arc<Swaps>) {
    let forgotten = blocking(move || -> Result<(), SwapError> {
        Ok(swaps.store().retain_components(&wanted(&swaps)?)?)
    });
    if let Err(error) = forgotten.await.map_err(SwapError::from).flatten() {
        tracing::warn!(%error, "components that nobody will want again were not removed");
    }
}

/// The end of a rollout whose driver is gone, as a row of the history.
pub(in crate::swap) fn abandoned(under_way: ragtime_store::UnderWay, now: u64) -> Deployment {
    let took_ms = now.saturating_sub(under_way.begun_at).saturating_mul(1_000);
    let stage = if under_way.rollout.offered { "offered" } else { "begun" };
    Deployment {
        id: under_way.rollout.id,
        kind: under_way.kind,
        sha256: under_way.sha256,
        label: under_way.label,
        bytes: under_way.bytes,
        at: now,
        took_ms,
        actor: Some(under_way.actor),
        active: false,
        stage: Some(stage.to_owned()),
        reason: Some("the swap was called off: the host that it was ordered from is gone".into()),
        report: "{}".to_owned(),
    }
}

/// The kind of a rollout, from its row.
pub(in crate::swap) fn kind_of(name: &str) -> GenerationKind {
    GenerationKind::of_name(name).unwrap_or(GenerationKind::Swap)
}
