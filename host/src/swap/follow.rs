//! What a host of a fleet does for its handler without being asked: it serves what the log
//! says, prepares what another host offers, and calls off what nobody drives any more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ragtime_policy::rollout::{Acknowledgement, Host};
use ragtime_policy::swap::{GenerationKind, State};
use ragtime_store::{Deployment, UnderWay};
use tokio::sync::watch;
use tokio::time::timeout;

use super::attempt;
use super::{SwapError, Swaps, past, probe};
use crate::blocking::blocking;
use crate::runtime::generation::Generation;

/// How often to look without a notification: who lives changes without an entry of the log.
const LOOK: Duration = Duration::from_secs(1);

/// How long to wait after a failure. What fails is the database, or a component that every
/// other host could serve.
const RETRY: Duration = Duration::from_secs(5);

/// For how long a driver has to be missed until its rollout is called off: a host that has
/// just begun to live is not known to all.
const MISSED: Duration = Duration::from_secs(5);

/// What a host has seen so far.
struct Seen {
    /// The rollout whose driver is missed, and since when.
    missed: Option<(u64, Instant)>,
    /// The generation after which it has removed what is old.
    tidied: u64,
}

impl Swaps {
    /// From now on follows the log, if there is one. Blocking.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub fn watch(self: &Arc<Self>) -> Result<(), ragtime_store::Error> {
        let swaps = Arc::downgrade(self);
        self.store().on_handlers_changed(move || match swaps.upgrade() {
            Some(swaps) => swaps.take_in(),
            None => Ok(()),
        });
        match self.store().in_fleet() {
            true => self.take_in(),
            false => Ok(()),
        }
    }

    /// Does what there is to do for as long as the server runs.
    pub async fn follow(self: Arc<Self>) {
        if !self.store().in_fleet() {
            return;
        }
        let mut changes = self.changes();
        let mut seen = Seen { missed: None, tidied: self.active().id };
        while !self.services.draining() {
            changes.borrow_and_update();
            if let Err(error) = self.look(&mut seen).await {
                tracing::warn!(%error, "this host could not do its part for the handler of the fleet");
                tokio::time::sleep(RETRY).await;
            }
            let _ = timeout(LOOK, changes.changed()).await;
        }
    }

    /// Notified when handlers or a rollout change.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Brings memory up to what the log says of handlers, before any request that is to
    /// see it. It runs on the thread that writes, so it waits for nobody.
    fn take_in(self: &Arc<Self>) -> Result<(), ragtime_store::Error> {
        let _switching = self.switching.lock();
        let (past, newest) = past(self.store())?;
        if let Some(last) = past.last().filter(|last| !self.serves(last)) {
            match self.ready(last) {
                Some(candidate) => self.switch_to(candidate),
                None => {
                    tracing::warn!(
                        generation = last.id,
                        "this host does not have the handler of the fleet and answers nothing until it does"
                    );
                    self.services.withhold_handler();
                }
            }
        }
        let kinds =
            past.iter().filter_map(|one| Some((one.id, GenerationKind::of_name(&one.kind)?)));
        self.generations().follow(kinds, newest);
        self.changed.send_replace(());
        Ok(())
    }

    fn serves(&self, last: &Deployment) -> bool {
        let active = self.active();
        active.id == last.id && active.sha256 == last.sha256
    }

    /// The candidate of this generation, if it has passed its probe.
    fn ready(&self, last: &Deployment) -> Option<Arc<Generation>> {
        let probed = self.generations().state(last.id) == Some(State::Gating);
        self.find(last.id).filter(|one| probed && one.sha256 == last.sha256)
    }

    /// Sends all requests from now on to `candidate`.
    fn switch_to(self: &Arc<Self>, candidate: Arc<Generation>) {
        let old = self.active();
        tracing::info!(
            generation = candidate.id,
            sha256 = candidate.sha256,
            replaced = old.id,
            "the swap is done"
        );
        self.store().set_handler(candidate.id, &candidate.sha256);
        self.routing.activate(candidate);
        self.services.release_handler();
        self.drain(old);
    }

    async fn look(self: &Arc<Self>, seen: &mut Seen) -> Result<(), SwapError> {
        let Some(me) = self.store().host() else { return Ok(()) };
        self.catch_up().await?;
        let store = self.store().clone();
        let under_way = blocking(move || store.rollout()).await??;
        self.let_go_unless(under_way.as_ref().map(|one| one.rollout.id));
        let Some(under_way) = under_way else { return self.tidy_once(seen).await };
        if under_way.rollout.awaits(&me.id) {
            return self.prepare(me, under_way).await;
        }
        self.call_off_orphan(&me, under_way, &mut seen.missed).await
    }

    /// Removes what nobody will want again, after a swap.
    async fn tidy_once(self: &Arc<Self>, seen: &mut Seen) -> Result<(), SwapError> {
        let active = self.active().id;
        if seen.tidied != active {
            let swaps = Arc::clone(self);
            blocking(move || attempt::tidy(&swaps, None)).await??;
            seen.tidied = active;
        }
        Ok(())
    }

    /// Compiles what the fleet serves, where this host was not there when that was prepared.
    async fn catch_up(self: &Arc<Self>) -> Result<(), SwapError> {
        let store = self.store().clone();
        let activations = blocking(move || store.activations()).await??;
        let Some(last) = activations.last().filter(|last| !self.serves(last)) else {
            return Ok(());
        };
        let candidate = self.make(last.id, &last.label, &last.sha256).await?;
        self.warm_up(&candidate).await;
        let _switching = self.switching.lock();
        // It may not be what the fleet serves any more; then the next look has another.
        let newest = tokio::task::block_in_place(|| self.store().activations())?;
        if newest.last().is_some_and(|newest| newest.id == candidate.id) {
            self.live().insert(candidate.id, Arc::clone(&candidate));
            self.switch_to(candidate);
        }
        Ok(())
    }

    /// Prepares what another host offers, and says what came of it.
    async fn prepare(self: &Arc<Self>, me: Host, under_way: UnderWay) -> Result<(), SwapError> {
        let id = under_way.rollout.id;
        tracing::info!(generation = id, sha256 = under_way.sha256, "another host offers a handler");
        let refused = self.try_out(&under_way).await.err().map(|error| error.to_string());
        if let Some(reason) = &refused {
            tracing::warn!(generation = id, reason, "this host refuses the handler");
            self.let_go(id);
        }
        let said = Acknowledgement { host: me, refused };
        Ok(self.store().acknowledge_rollout(id, said).await?)
    }

    async fn try_out(self: &Arc<Self>, under_way: &UnderWay) -> Result<(), SwapError> {
        let id = under_way.rollout.id;
        self.enter(id, attempt::kind_of(&under_way.kind));
        let candidate = self.make(id, &under_way.label, &under_way.sha256).await?;
        self.live().insert(id, Arc::clone(&candidate));
        self.probe(&candidate).await?;
        probe::described(&candidate, self.probe_timeout()).await;
        self.warm_up(&candidate).await;
        let mut generations = self.generations();
        while generations.candidate() == Some(id) && generations.state(id) != Some(State::Gating) {
            generations.advance();
        }
        Ok(())
    }

    /// Compiles and links a component that the fleet keeps.
    async fn make(
        self: &Arc<Self>,
        id: u64,
        label: &str,
        sha256: &str,
    ) -> Result<Arc<Generation>, SwapError> {
        let compiled = self.compile(self.component(id, sha256).await?).await?;
        self.link(id, label, compiled).await
    }

    /// Lets go of a candidate whose rollout has ended without it.
    fn let_go_unless(&self, at_work: Option<u64>) {
        let candidate = self.generations().candidate();
        match candidate {
            Some(id) if at_work != Some(id) && self.driving() != Some(id) => self.let_go(id),
            Some(_) | None => {}
        }
    }

    /// Ends a rollout that nobody drives.
    async fn call_off_orphan(
        &self,
        me: &Host,
        under_way: UnderWay,
        missed: &mut Option<(u64, Instant)>,
    ) -> Result<(), SwapError> {
        let Ok(_beginning) = self.beginning.try_lock() else { return Ok(()) };
        let (live, rollout) = (self.store().live(), &under_way.rollout);
        if !live.contains(me) || !rollout.is_orphan(&me.id, self.driving(), &live) {
            *missed = None;
            return Ok(());
        }
        let since = match *missed {
            Some((id, since)) if id == rollout.id => since,
            Some(_) | None => missed.insert((rollout.id, Instant::now())).1,
        };
        if rollout.driver != me.id && since.elapsed() < MISSED {
            return Ok(());
        }
        let id = rollout.id;
        let record = attempt::abandoned(under_way, self.store().now());
        if self.store().refuse_rollout(record).await? {
            tracing::warn!(generation = id, "a swap was called off that no host drives any more");
        }
        Ok(())
    }
}
