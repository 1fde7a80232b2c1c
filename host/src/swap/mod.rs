//! Replacing the handler while it serves.
//!
//! The steps of a swap: compile, link, probe, gate, activate, drain. Each step
//! is logged, and whatever happens there is one last line and one row in the
//! history. Until the last moment the active generation serves as if nothing
//! happened, and a swap whose caller goes away is called off.

pub mod archive;
mod ask;
mod attempt;
mod candidate;
mod error;
mod follow;
mod probe;
mod trial;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use ragtime_policy::swap::{GenerationKind, Generations, State};
use ragtime_store::{Deployment, Store};
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use crate::blocking::blocking;
use crate::config;
use crate::runtime::compiler::Compiler;
use crate::runtime::generation::{Generation, GenerationFactory};
use crate::runtime::routing::Routing;
use crate::services::Services;

pub use archive::{Archive, archive_folder};
pub use ask::{ask, ask_as};
pub use error::SwapError;
pub use probe::described;

/// The label of the handler that is part of the binary.
pub const BUILT_IN: &str = "built-in";

/// Everything it takes to replace the handler.
pub struct Swaps {
    generations: Mutex<Generations>,
    /// Those that have not gone, to look at and to send gate requests to.
    live: Mutex<BTreeMap<u64, Arc<Generation>>>,
    /// Whoever holds a candidate back until its own measurements are done.
    held: Mutex<Option<(u64, oneshot::Sender<Decision>)>>,
    routing: Arc<Routing>,
    factory: GenerationFactory,
    compiler: Compiler,
    archive: Archive,
    services: Arc<Services>,
    settings: config::Swap,
    /// Where work goes on that the thread which writes begins.
    runtime: Handle,
    /// How long hosts of a fleet may take to prepare a candidate.
    rollout_timeout: Duration,
    /// Held while a rollout begins, until it is known here that this host drives it.
    beginning: tokio::sync::Mutex<()>,
    /// The rollout that this host drives.
    driving: Mutex<Option<u64>>,
    /// Held while another generation becomes the active one of a host of a fleet.
    switching: Mutex<()>,
    /// Handlers or a rollout have changed.
    changed: watch::Sender<()>,
}

/// What is to happen.
pub struct Order {
    /// Swap or rollback.
    pub kind: GenerationKind,
    /// The component; none for a rollback.
    pub component: Option<Arc<[u8]>>,
    /// Where it comes from, for people.
    pub label: String,
    /// The generation that the caller believes to be active.
    pub expected: Option<u64>,
    /// The id of the key that asks.
    pub actor: String,
    /// What is asked of the candidate beyond the probe.
    pub gates: Gates,
}

/// What a candidate has to go through before it serves.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gates {
    /// Stop before it would serve.
    pub dry_run: bool,
    /// Wait for the caller's own decision.
    pub hold: bool,
    /// Copies of live reads.
    pub shadow: Option<Share>,
    /// Live traffic.
    pub canary: Option<Share>,
}

/// A share of live traffic for some time.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    /// 1 to 100.
    pub percent: u8,
    /// For how long.
    pub duration: Duration,
}

/// What whoever held a candidate back decided.
#[derive(Debug)]
pub struct Decision {
    /// Whether it may go on.
    pub pass: bool,
    /// Why, and what was measured; kept in the history.
    pub report: Value,
}

/// A step of a swap that has been done.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its name.
    pub name: &'static str,
    /// What came of it, a JSON object.
    pub detail: Value,
}

/// How a swap ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The candidate.
    pub generation: u64,
    /// Whether it serves; else it was a dry run.
    pub active: bool,
    /// What was found out, by step.
    pub report: Map<String, Value>,
}

impl Swaps {
    /// The swaps of a server that starts with what `routing` has. Needs a runtime.
    pub fn new(
        generations: Generations,
        routing: Arc<Routing>,
        factory: GenerationFactory,
        compiler: Compiler,
        archive: Archive,
        services: Arc<Services>,
        settings: &config::Settings,
    ) -> Self {
        let active = routing.active();
        Self {
            generations: Mutex::new(generations),
            live: Mutex::new(BTreeMap::from([(active.id, active)])),
            held: Mutex::new(None),
            routing,
            factory,
            compiler,
            archive,
            services,
            settings: settings.swap.clone(),
            runtime: Handle::current(),
            rollout_timeout: Duration::from_millis(settings.fleet.rollout_timeout_ms),
            beginning: tokio::sync::Mutex::new(()),
            driving: Mutex::new(None),
            switching: Mutex::new(()),
            changed: watch::Sender::new(()),
        }
    }

    /// Does as ordered, and reports each step. Returns when the candidate serves,
    /// or with why it does not; then nothing has changed. Dropped before that,
    /// the swap is called off.
    pub async fn run(
        self: &Arc<Self>,
        order: Order,
        report_step: impl Fn(Step) + Send + Sync,
    ) -> Result<Outcome, SwapError> {
        attempt::run(self, order, &report_step).await
    }

    /// The generation that takes new requests.
    pub fn active(&self) -> Arc<Generation> {
        self.routing.active()
    }

    /// The generation that a rollback would bring back.
    pub fn previous(&self) -> Option<u64> {
        self.generations().previous()
    }

    /// A generation that has not gone.
    pub fn find(&self, id: u64) -> Option<Arc<Generation>> {
        self.live().get(&id).cloned()
    }

    /// Those that have not gone, oldest first, and where they stand.
    pub fn list(&self) -> Vec<(Arc<Generation>, State)> {
        let states: Vec<_> = self.generations().live().collect();
        let live = self.live();
        states.into_iter().filter_map(|(id, state)| Some((live.get(&id)?.clone(), state))).collect()
    }

    /// The trial under way as far as it has come, with what is asked of it.
    pub fn on_trial(&self) -> Option<Value> {
        let under_way = self.routing.trial()?;
        trial::under_way(&under_way, &self.settings)
    }

    /// Lets a candidate that is held back go on, or not. Whether it was held.
    pub fn decide(&self, id: u64, decision: Decision) -> bool {
        let mut held = self.held.lock();
        match held.take_if(|(candidate, _)| *candidate == id) {
            Some((_, decide)) => decide.send(decision).is_ok(),
            None => false,
        }
    }

    /// What became of handlers, newest first, from below `before`, and where
    /// the next page begins. Blocking.
    pub fn history(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<ragtime_store::Page<Deployment, u64>, ragtime_store::Error> {
        self.store().deployments(before, limit)
    }

    fn store(&self) -> &Store {
        &self.services.store
    }

    fn generations(&self) -> MutexGuard<'_, Generations> {
        self.generations.lock()
    }

    fn live(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Generation>>> {
        self.live.lock()
    }

    /// What this host drives.
    fn driving(&self) -> Option<u64> {
        *self.driving.lock()
    }

    fn set_driving(&self, id: Option<u64>) {
        *self.driving.lock() = id;
    }

    fn probe_timeout(&self) -> Duration {
        Duration::from_millis(self.settings.probe_timeout_ms)
    }

    /// Begins with a candidate whose id the fleet has given. One of before whose end this
    /// host has not seen yet goes.
    fn enter(&self, id: u64, kind: GenerationKind) {
        let before = self.generations().candidate();
        before.into_iter().for_each(|before| self.let_go(before));
        self.generations().enter(id, kind);
    }

    /// Lets a candidate go, when the requests it has on trial have ended. One that serves
    /// by now stays.
    fn let_go(&self, id: u64) {
        {
            let mut generations = self.generations();
            if generations.candidate() == Some(id) {
                generations.refuse();
            }
            if generations.active() == id {
                return;
            }
        }
        if let Some(candidate) = self.live().remove(&id) {
            let deadline = Duration::from_millis(self.settings.drain_timeout_ms);
            self.runtime.spawn(async move { candidate.life.drain(deadline).await });
        }
    }

    /// The component of a generation: of this host's archive, else of the fleet.
    async fn component(self: &Arc<Self>, id: u64, sha256: &str) -> Result<Arc<[u8]>, SwapError> {
        let (swaps, sha256) = (Arc::clone(self), sha256.to_owned());
        let read = move || -> Result<Arc<[u8]>, SwapError> {
            let kept = kept_component(swaps.store(), &swaps.archive, &sha256)?;
            Ok(kept.ok_or(SwapError::NotKept(id))?.into())
        };
        blocking(read).await?
    }

    fn hold(&self, id: u64) -> oneshot::Receiver<Decision> {
        let (decide, decision) = oneshot::channel();
        let mut held = self.held.lock();
        *held = Some((id, decide));
        decision
    }

    /// Ends a generation that takes no new requests, in the background.
    fn drain(self: &Arc<Self>, old: Arc<Generation>) {
        let swaps = Arc::clone(self);
        self.runtime.spawn(async move {
            let deadline = Duration::from_millis(swaps.settings.drain_timeout_ms);
            let cut = old.life.drain(deadline).await;
            swaps.generations().drained(old.id);
            swaps.live().remove(&old.id);
            tracing::info!(generation = old.id, cut, "a generation has drained");
        });
    }
}

/// A component of this host's archive, else of the fleet, from where it is put into the
/// archive. Blocking.
pub fn kept_component(
    store: &Store,
    archive: &Archive,
    sha256: &str,
) -> Result<Option<Vec<u8>>, SwapError> {
    if let Some(component) = archive.read(sha256)? {
        return Ok(Some(component));
    }
    let kept = store.component(sha256)?;
    // Whoever may write to the database could have put anything there.
    let kept = kept.filter(|component| crate::digest::sha256(component) == sha256);
    if let Some(component) = &kept {
        archive.save(sha256, component)?;
    }
    Ok(kept)
}

/// Keeps a component that a server starts with, so that a later rollback finds
/// it. A failure costs that rollback and nothing else.
pub fn keep(folder: &Path, sha256: &str, component: &[u8]) {
    let kept = Archive::new(folder).and_then(|archive| archive.save(sha256, component));
    if let Err(error) = kept {
        tracing::warn!(%error, "the handler was not kept for a rollback");
    }
}

/// The state of a store's past: what to start with, and how its ids go on.
pub fn past(store: &Store) -> Result<(Vec<Deployment>, u64), ragtime_store::Error> {
    let newest = store.deployments(None, 1)?.0.first().map_or(0, |newest| newest.id);
    Ok((store.activations()?, newest))
}

/// The generations of a server that starts with `active`.
pub fn generations(past: &[Deployment], newest: u64, active: u64) -> Generations {
    let kinds = past.iter().filter_map(|one| Some((one.id, GenerationKind::of_name(&one.kind)?)));
    Generations::restore(kinds, newest, active)
}

impl From<io::Error> for SwapError {
    fn from(error: io::Error) -> Self {
        Self::Host(error.to_string())
    }
}
