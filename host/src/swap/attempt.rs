//! One swap, from its order to its end.

mod rollout;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Instant;

use ragtime_policy::swap::State;
use ragtime_store::Deployment;
use serde_json::{Map, Value, json};

use super::{Decision, Order, Outcome, Step, SwapError, Swaps, probe, trial};
use crate::blocking::blocking;
use crate::digest::sha256;
use crate::runtime::engine::Compiled;
use crate::runtime::generation::Generation;
use ragtime_policy::clock::unix_now;

pub(super) use rollout::{abandoned, kind_of};

/// A swap under way. Dropped before it has ended, it is called off.
struct Attempt<'a> {
    swaps: &'a Arc<Swaps>,
    report_step: &'a (dyn Fn(Step) + Send + Sync),
    id: u64,
    record: Deployment,
    report: Map<String, Value>,
    started: Instant,
    ended: bool,
}

pub(super) async fn run(
    swaps: &Arc<Swaps>,
    order: Order,
    report_step: &(dyn Fn(Step) + Send + Sync),
) -> Result<Outcome, SwapError> {
    let (id, restored) = rollout::begin(swaps, &order).await?;
    tracing::info!(generation = id, kind = order.kind.name(), actor = order.actor, "a swap begins");
    let mut attempt = Attempt {
        swaps,
        report_step,
        id,
        record: Deployment {
            id,
            kind: order.kind.name().to_owned(),
            sha256: String::new(),
            label: order.label.clone(),
            bytes: 0,
            at: 0,
            took_ms: 0,
            actor: Some(order.actor.clone()),
            active: false,
            stage: None,
            reason: None,
            report: String::new(),
        },
        report: Map::new(),
        started: Instant::now(),
        ended: false,
    };
    match attempt.walk(order, restored).await {
        Ok(active) => {
            attempt.ended = true;
            Ok(Outcome { generation: id, active, report: std::mem::take(&mut attempt.report) })
        }
        Err(error) => {
            attempt.refuse(&error.to_string()).await;
            Err(error)
        }
    }
}

impl Attempt<'_> {
    /// Runs the steps of a swap. Returns whether the candidate serves at their end.
    async fn walk(&mut self, order: Order, restored: Option<u64>) -> Result<bool, SwapError> {
        let component = match order.component {
            Some(component) => component,
            None => self.restored(restored).await?,
        };
        self.record.sha256 = sha256(&component);
        self.record.bytes = component.len() as u64;
        let compiled = self.compile(&component).await?;
        let candidate = self.link(compiled).await?;
        self.probe(&candidate).await?;
        if order.gates.dry_run {
            self.swaps.generations().refuse();
            self.swaps.let_go(self.id);
            if self.is_rollout() {
                self.swaps.store().forget_rollout(self.id).await?;
                self.swaps.set_driving(None);
            }
            tracing::info!(generation = self.id, "a swap was tried and not made");
            return Ok(false);
        }
        if order.gates.hold {
            self.hold().await?;
        }
        if let Some(share) = order.gates.shadow {
            let found = trial::shadow(self.swaps, &candidate, share).await;
            self.trial("shadow", found)?;
        }
        if let Some(share) = order.gates.canary {
            let found = trial::canary(self.swaps, &candidate, share).await;
            self.trial("canary", found)?;
        }
        self.swaps.warm_up(&candidate).await;
        match self.is_rollout() {
            true => self.activate_everywhere(candidate, component).await?,
            false => self.activate(candidate, component).await?,
        }
        Ok(true)
    }

    /// The component of an earlier generation.
    async fn restored(&mut self, id: Option<u64>) -> Result<Arc<[u8]>, SwapError> {
        let id = id.unwrap_or_default();
        let store = self.swaps.store().clone();
        let deployment = blocking(move || store.deployment(id)).await??;
        let deployment = deployment.ok_or(SwapError::NotKept(id))?;
        let component = self.swaps.component(id, &deployment.sha256).await?;
        self.record.label = deployment.label;
        self.step("restored", json!({"from": id}));
        Ok(component)
    }

    async fn compile(&mut self, component: &Arc<[u8]>) -> Result<Compiled, SwapError> {
        let started = Instant::now();
        let compiled = self.swaps.compile(Arc::clone(component)).await?;
        self.advance();
        let detail = json!({
            "sha256": compiled.sha256, "bytes": compiled.bytes, "ms": millis(started),
            "same_as_active": compiled.sha256 == self.swaps.active().sha256,
        });
        self.step("compiled", detail);
        Ok(compiled)
    }

    async fn link(&mut self, compiled: Compiled) -> Result<Arc<Generation>, SwapError> {
        let candidate = self.swaps.link(self.id, &self.record.label, compiled).await?;
        self.swaps.live().insert(self.id, Arc::clone(&candidate));
        self.advance();
        let active = self.swaps.active();
        let (old, new) = (interfaces(&active), interfaces(&candidate));
        let added: Vec<_> = new.difference(&old).collect();
        let removed: Vec<_> = old.difference(&new).collect();
        self.step("linked", json!({"imports": {"added": added, "removed": removed}}));
        Ok(candidate)
    }

    async fn probe(&mut self, candidate: &Arc<Generation>) -> Result<(), SwapError> {
        let answers = self.swaps.probe(candidate).await?;
        let (active, deadline) = (self.swaps.active(), self.swaps.probe_timeout());
        let routes = probe::routes(&active, candidate, deadline).await;
        self.advance();
        self.step("probed", json!({"answers": answers, "routes": routes}));
        Ok(())
    }

    /// Waits for whoever measures the candidate by other means.
    async fn hold(&mut self) -> Result<(), SwapError> {
        let decision = self.swaps.hold(self.id);
        (self.report_step)(Step { name: "held", detail: json!({"generation": self.id}) });
        let Decision { pass, report } = decision.await.map_err(|_| SwapError::CalledOff)?;
        let reason = report.get("reason").and_then(Value::as_str).unwrap_or("no reason was given");
        let outcome = if pass { Ok(()) } else { Err(SwapError::Gate(reason.to_owned())) };
        self.step("gated", report);
        outcome
    }

    fn trial(&mut self, name: &'static str, found: trial::Found) -> Result<(), SwapError> {
        self.step(name, found.report);
        found.verdict.map_err(|shortfall| SwapError::Trial(shortfall.to_string()))
    }

    /// The moment of the swap. Once begun it is done to the end, whether or not
    /// the caller is still there.
    async fn activate(
        &mut self,
        candidate: Arc<Generation>,
        component: Arc<[u8]>,
    ) -> Result<(), SwapError> {
        let mut record = self.finished();
        record.active = true;
        let kind = record.kind.clone();
        let swaps = Arc::clone(self.swaps);
        let commit = async move {
            keep(&swaps, &candidate, component).await?;
            let actor = record.actor.clone().unwrap_or_default();
            swaps.store().record_deployment(record).await?;
            let old = swaps.active();
            swaps.generations().advance();
            swaps.routing.activate(Arc::clone(&candidate));
            account(&swaps, &candidate, &kind, &actor).await;
            tracing::info!(
                generation = candidate.id,
                sha256 = candidate.sha256,
                replaced = old.id,
                "the swap is done"
            );
            swaps.drain(old);
            Ok::<_, SwapError>(())
        };
        // From here on the swap happens or fails by itself.
        self.ended = true;
        let committed = tokio::spawn(commit).await;
        let committed = committed.unwrap_or_else(|error| Err(SwapError::Host(error.to_string())));
        self.ended = committed.is_ok();
        committed?;
        self.step("activated", json!({"ms": millis(self.started)}));
        Ok(())
    }

    fn advance(&self) -> Option<State> {
        self.swaps.generations().advance()
    }

    fn step(&mut self, name: &'static str, detail: Value) {
        tracing::info!(generation = self.id, step = name, "a swap goes on");
        self.report.insert(name.to_owned(), detail.clone());
        (self.report_step)(Step { name, detail });
    }

    /// The row of the history as things stand.
    fn finished(&mut self) -> Deployment {
        self.record.at = unix_now();
        self.record.took_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.record.report = Value::Object(self.report.clone()).to_string();
        self.record.clone()
    }

    /// The one end of a swap that did not come about.
    fn give_up(&mut self, reason: &str) -> Deployment {
        self.ended = true;
        let stage = self.swaps.generations().refuse().map_or("activating", State::name);
        self.swaps.let_go(self.id);
        self.record.stage = Some(stage.to_owned());
        self.record.reason = Some(reason.to_owned());
        self.swaps.services.telemetry.metrics.swapped(&self.record.kind, false);
        tracing::warn!(generation = self.id, stage, reason, "the swap was refused");
        self.finished()
    }

    async fn refuse(&mut self, reason: &str) {
        let record = self.give_up(reason);
        write_down(self.swaps, record).await;
    }
}

/// Writes down that a swap was refused. In a fleet that ends the rollout; one that cannot be
/// ended has no driver from then on, and is called off.
async fn write_down(swaps: &Arc<Swaps>, record: Deployment) {
    let written = match swaps.store().in_fleet() {
        true => swaps.store().refuse_rollout(record).await.map(drop),
        false => swaps.store().record_deployment(record).await,
    };
    swaps.set_driving(None);
    if let Err(error) = written {
        tracing::error!(%error, "a refused swap was not written down");
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let record = self.give_up(&SwapError::CalledOff.to_string());
        let swaps = Arc::clone(self.swaps);
        tokio::spawn(async move { write_down(&swaps, record).await });
    }
}

/// Counts a swap that has come about, and writes down who made it.
async fn account(swaps: &Swaps, candidate: &Generation, kind: &str, actor: &str) {
    swaps.services.telemetry.metrics.swapped(kind, true);
    let (action, target) = (format!("guest.{kind}"), candidate.id.to_string());
    let detail = json!({"sha256": candidate.sha256});
    swaps.services.record_audit_event(actor, &action, &target, &detail, None).await;
}

/// Keeps the component, and of the others those that a rollback may want.
async fn keep(
    swaps: &Arc<Swaps>,
    candidate: &Arc<Generation>,
    component: Arc<[u8]>,
) -> Result<(), SwapError> {
    let (swaps, sha256) = (Arc::clone(swaps), candidate.sha256.clone());
    let keep = move || -> Result<(), SwapError> {
        swaps.archive.save(&sha256, &component)?;
        tidy(&swaps, Some(sha256))
    };
    blocking(keep).await?
}

/// Removes components and code that neither serve nor may be wanted by a rollback, nor are
/// of this hash. Blocking.
pub(super) fn tidy(swaps: &Swaps, also: Option<String>) -> Result<(), SwapError> {
    let mut names = wanted(swaps)?;
    names.extend(also);
    swaps.compiler.cache().retain(&names)?;
    Ok(swaps.archive.retain(&names)?)
}

/// The components that serve or that rollbacks may want, by their SHA-256. Blocking.
fn wanted(swaps: &Swaps) -> Result<HashSet<String>, ragtime_store::Error> {
    let kept: Vec<_> = swaps.generations().ancestors().take(swaps.settings.keep).collect();
    let mut wanted = HashSet::from([swaps.active().sha256.clone()]);
    for id in kept {
        wanted.extend(swaps.store().deployment(id)?.map(|one| one.sha256));
    }
    Ok(wanted)
}

/// What a handler imports. Which WASI 0.2 its toolchain was made for matters to
/// nobody, so those interfaces stand without the last number.
fn interfaces(handler: &Generation) -> BTreeSet<&str> {
    let name = |import: &'_ String| -> usize {
        match (import.starts_with("wasi:"), import.rfind('.')) {
            (true, Some(patch)) => patch,
            _ => import.len(),
        }
    };
    handler.imports.iter().filter_map(|import| import.get(..name(import))).collect()
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
