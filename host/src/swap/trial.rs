//! Candidates among live traffic.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ragtime_policy::canary::{Rules, Shortfall, Tally};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::ask::{Lost, Reply, ask};
use super::{Share, Swaps};
use crate::config;
use crate::runtime::generation::Generation;
use crate::runtime::routing::{Arm, Mirrored, Trial, TrialKind};

/// How often a trial is judged before its end.
const INTERIM: Duration = Duration::from_millis(500);

/// Copies that may wait. More would only make the comparison late.
const MAX_WAITING_COPIES: usize = 64;

/// Pairs of answers that differ, kept as examples for the report.
const MAX_EXAMPLES: usize = 5;

/// Members of an answer that differ from one run to the next.
const VOLATILE: [&str; 4] = ["took_ms", "request_id", "id", "created"];

/// What a trial came to.
pub struct Found {
    /// For the history.
    pub report: Value,
    /// Whether the candidate may go on.
    pub verdict: Result<(), Shortfall>,
}

/// Lets the candidate answer a share of live traffic.
pub async fn canary(swaps: &Arc<Swaps>, candidate: &Arc<Generation>, share: Share) -> Found {
    let rules = rules(&swaps.settings);
    let trial = Trial::new(Arc::clone(candidate), TrialKind::Canary, share.percent, None);
    let trial = OnTrial::start(swaps, trial);
    let end = Instant::now() + share.duration;
    let verdict = loop {
        let left = end.saturating_duration_since(Instant::now());
        let (active, tried) = trial.tallies();
        if left.is_zero() {
            break rules.verdict(&active, &tried);
        }
        if let Some(shortfall) = rules.interim(&active, &tried) {
            break Err(shortfall);
        }
        tokio::time::sleep(left.min(INTERIM)).await;
    };
    let (active, tried) = trial.tallies();
    Found { report: report(&active, &tried), verdict }
}

/// Runs copies of live reads on both generations, side by side so that neither
/// a slow client nor a change of data weighs on one of them, and compares the
/// answers. Differing is no failure: a change is meant to change something.
pub async fn shadow(swaps: &Arc<Swaps>, candidate: &Arc<Generation>, share: Share) -> Found {
    let rules = rules(&swaps.settings);
    let (copies, mut taken) = mpsc::channel(MAX_WAITING_COPIES);
    let trial = Trial::new(Arc::clone(candidate), TrialKind::Shadow, share.percent, Some(copies));
    let trial = OnTrial::start(swaps, trial);
    let active = swaps.active();
    let deadline = Duration::from_millis(swaps.settings.probe_timeout_ms);
    let end = Instant::now() + share.duration;
    let mut differences = Differences::default();
    while let Ok(Some(copy)) = timeout_at(end, taken.recv()).await {
        let (old, new) = tokio::join!(
            answer(&active, &copy, deadline, &trial.trial.active_arm),
            answer(candidate, &copy, deadline, &trial.trial.candidate_arm),
        );
        differences.note(&copy, old, new);
    }
    let (active, tried) = trial.tallies();
    let mut report = report(&active, &tried);
    if let Some(report) = report.as_object_mut() {
        report.insert("differences".into(), differences.json());
    }
    Found { report, verdict: rules.verdict(&active, &tried) }
}

async fn answer(
    generation: &Arc<Generation>,
    copy: &Mirrored,
    deadline: Duration,
    arm: &Arm,
) -> Result<Reply, Lost> {
    let started = Instant::now();
    let reply = ask(generation, &copy.parts, copy.body.clone(), deadline).await;
    let failed = reply.as_ref().map_or(true, |reply| reply.status.is_server_error());
    arm.note(reply.as_ref().map_or(started.elapsed(), |reply| reply.latency), failed);
    reply
}

fn rules(settings: &config::Swap) -> Rules {
    Rules {
        min_requests: settings.min_requests,
        max_error_increase: settings.max_error_increase,
        max_latency_ratio: settings.max_latency_ratio,
        latency_floor: Duration::from_millis(settings.latency_floor_ms),
    }
}

fn report(active: &Tally, candidate: &Tally) -> Value {
    let side = |tally: &Tally| {
        json!({
            "requests": tally.requests, "errors": tally.errors,
            "p95_ms": tally.p95.as_secs_f64() * 1e3,
        })
    };
    json!({"active": side(active), "candidate": side(candidate)})
}

/// The numbers of a trial so far, and the rules that it is judged by.
pub fn under_way(trial: &Trial, settings: &config::Swap) -> Option<Value> {
    let (active, candidate) = (trial.active_arm.tally(), trial.candidate_arm.tally());
    let mut numbers = report(&active, &candidate);
    let rules = json!({
        "min_requests": settings.min_requests,
        "max_error_increase": settings.max_error_increase,
        "max_latency_ratio": settings.max_latency_ratio,
        "latency_floor_ms": settings.latency_floor_ms,
    });
    let members = numbers.as_object_mut()?;
    members.insert("generation".into(), trial.candidate.id.into());
    members.insert("kind".into(), trial.kind.name().into());
    members.insert("percent".into(), trial.percent.into());
    members.insert("rules".into(), rules);
    Some(numbers)
}

/// A trial under way. It ends with this, however it ends.
struct OnTrial<'a> {
    swaps: &'a Swaps,
    trial: Arc<Trial>,
}

impl<'a> OnTrial<'a> {
    fn start(swaps: &'a Swaps, trial: Trial) -> Self {
        let trial = Arc::new(trial);
        swaps.routing.set_trial(Some(Arc::clone(&trial)));
        Self { swaps, trial }
    }

    fn tallies(&self) -> (Tally, Tally) {
        (self.trial.active_arm.tally(), self.trial.candidate_arm.tally())
    }
}

impl Drop for OnTrial<'_> {
    fn drop(&mut self) {
        self.swaps.routing.set_trial(None);
    }
}

/// Where two handlers answered the same request otherwise.
#[derive(Default)]
struct Differences {
    status: u64,
    results: u64,
    examples: Vec<Value>,
}

impl Differences {
    fn note(&mut self, copy: &Mirrored, old: Result<Reply, Lost>, new: Result<Reply, Lost>) {
        let status = |reply: &Result<Reply, Lost>| {
            reply.as_ref().map_or_else(|_| 0, |reply| reply.status.as_u16())
        };
        let (before, after) = (status(&old), status(&new));
        let kind = if before != after {
            self.status += 1;
            "status"
        } else if let (Ok(old), Ok(new)) = (&old, &new)
            && !same(&old.body, &new.body)
        {
            self.results += 1;
            "results"
        } else {
            return;
        };
        if self.examples.len() < MAX_EXAMPLES {
            // The path and no more: a body is a user's.
            self.examples.push(json!({
                "request": format!("{} {}", copy.parts.method, copy.parts.uri.path()),
                "differs": kind, "active": before, "candidate": after,
            }));
        }
    }

    fn json(&self) -> Value {
        json!({"status": self.status, "results": self.results, "examples": self.examples})
    }
}

/// Whether two answers say the same, times and ids aside.
fn same(old: &Bytes, new: &Bytes) -> bool {
    if old == new {
        return true;
    }
    let parse = |bytes: &Bytes| {
        let mut value = serde_json::from_slice::<Value>(bytes).ok()?;
        if let Some(members) = value.as_object_mut() {
            members.retain(|name, _| !VOLATILE.contains(&name.as_str()));
        }
        Some(value)
    };
    matches!((parse(old), parse(new)), (Some(old), Some(new)) if old == new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_compared_without_what_changes_by_itself() {
        let (old, new) = (r#"{"a":1,"took_ms":2}"#, r#"{"took_ms":3,"a":1}"#);
        assert!(same(&old.into(), &new.into()));
        assert!(!same(&old.into(), &r#"{"a":2}"#.into()));
        assert!(!same(&"x".into(), &"y".into()));
    }
}
