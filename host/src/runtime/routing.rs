//! Which generation takes a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;
use hdrhistogram::Histogram;
use ragtime_policy::canary::{Tally, is_chosen};

use super::generation::Generation;
use super::life::Visit;

/// The longest latency that is distinguished, and to how many digits.
const MAX_LATENCY_US: u64 = 600_000_000;
const LATENCY_DIGITS: u8 = 2;

/// Read once for each request, which stays on what it read.
pub struct Routing {
    current: ArcSwap<Route>,
}

/// The active generation, and at times one on trial.
#[derive(Clone)]
pub struct Route {
    /// Takes new requests.
    pub active: Arc<Generation>,
    /// Takes some of them, or copies.
    pub trial: Option<Arc<Trial>>,
}

/// A candidate among live traffic.
pub struct Trial {
    /// On trial.
    pub candidate: Arc<Generation>,
    /// What becomes of the share.
    pub kind: TrialKind,
    /// How much of the traffic, in percent.
    pub percent: u8,
    /// How the active generation does meanwhile.
    pub active_arm: Arm,
    /// How the candidate does.
    pub candidate_arm: Arm,
    /// Copies to be made, for a shadow.
    pub copies: Option<tokio::sync::mpsc::Sender<Mirrored>>,
    seen: AtomicU64,
}

/// What becomes of the share of traffic that a trial takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialKind {
    /// Reads are copied, and the candidate's answers thrown away.
    Shadow,
    /// The candidate answers.
    Canary,
}

/// A request to be run again on both generations.
pub struct Mirrored {
    /// Its head, with the client's credential still in it.
    pub parts: http::request::Parts,
    /// Its body.
    pub body: bytes::Bytes,
}

/// Where a request goes. Counts as one of the generation's requests until it
/// is dropped.
pub struct Choice {
    /// Answers it.
    pub generation: Arc<Generation>,
    _visit: Visit,
    /// The trial under way, and whether this request is in its share.
    trial: Option<(Arc<Trial>, bool)>,
}

impl Routing {
    /// All traffic goes to `active`.
    pub fn new(active: Arc<Generation>) -> Self {
        Self { current: ArcSwap::from_pointee(Route { active, trial: None }) }
    }

    /// The generation that takes new requests.
    pub fn active(&self) -> Arc<Generation> {
        Arc::clone(&self.current.load().active)
    }

    /// Sends all new requests to `active`.
    pub fn activate(&self, active: Arc<Generation>) {
        self.current.store(Arc::new(Route { active, trial: None }));
    }

    /// The trial under way, if there is one.
    pub fn trial(&self) -> Option<Arc<Trial>> {
        self.current.load().trial.clone()
    }

    /// Begins a trial, or ends it.
    pub fn set_trial(&self, trial: Option<Arc<Trial>>) {
        let active = self.active();
        self.current.store(Arc::new(Route { active, trial }));
    }

    /// Where the next request goes.
    pub fn choose(&self) -> Choice {
        let route = self.current.load();
        let Some(trial) = &route.trial else {
            return Choice::of(&route.active, None);
        };
        let chosen = is_chosen(trial.seen.fetch_add(1, Relaxed), trial.percent);
        let answers = match trial.kind {
            TrialKind::Canary if chosen => &trial.candidate,
            _ => &route.active,
        };
        Choice::of(answers, Some((Arc::clone(trial), chosen)))
    }
}

impl Choice {
    fn of(generation: &Arc<Generation>, trial: Option<(Arc<Trial>, bool)>) -> Self {
        Self { generation: Arc::clone(generation), _visit: generation.life.enter(), trial }
    }

    /// The active generation, when it is a candidate that lost the request.
    pub fn fallback(&self, routing: &Routing) -> Option<Self> {
        let (trial, chosen) = self.trial.as_ref()?;
        let on_trial = *chosen && trial.kind == TrialKind::Canary;
        on_trial.then(|| Self::of(&routing.active(), None))
    }

    /// Where to send a copy of the request, if it is in the share of a shadow.
    pub fn copies(&self) -> Option<&tokio::sync::mpsc::Sender<Mirrored>> {
        let (trial, chosen) = self.trial.as_ref()?;
        trial.copies.as_ref().filter(|_| *chosen)
    }

    /// Where to note how the request went.
    pub fn arm(&self) -> Option<&Arm> {
        let (trial, chosen) = self.trial.as_ref()?;
        match (trial.kind, chosen) {
            (TrialKind::Canary, true) => Some(&trial.candidate_arm),
            (TrialKind::Canary, false) => Some(&trial.active_arm),
            // The copies of a shadow are measured by themselves.
            (TrialKind::Shadow, _) => None,
        }
    }
}

impl TrialKind {
    /// The word for it in the admin API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Canary => "canary",
        }
    }
}

impl Trial {
    /// A trial of `candidate`.
    pub fn new(
        candidate: Arc<Generation>,
        kind: TrialKind,
        percent: u8,
        copies: Option<tokio::sync::mpsc::Sender<Mirrored>>,
    ) -> Self {
        Self {
            candidate,
            kind,
            percent,
            active_arm: Arm::default(),
            candidate_arm: Arm::default(),
            copies,
            seen: AtomicU64::new(0),
        }
    }
}

/// One side of a trial.
#[derive(Default)]
pub struct Arm {
    errors: AtomicU64,
    latencies: parking_lot::Mutex<Option<Histogram<u32>>>,
}

impl Arm {
    /// Notes a request whose response began after `latency`, or that was lost
    /// then.
    pub fn note(&self, latency: Duration, failed: bool) {
        if failed {
            self.note_failure();
        }
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1);
        let mut latencies = self.latencies.lock();
        if latencies.is_none() {
            *latencies = Histogram::new_with_max(MAX_LATENCY_US, LATENCY_DIGITS).ok();
        }
        if let Some(latencies) = latencies.as_mut() {
            latencies.saturating_record(micros);
        }
    }

    /// Notes that a response that had begun broke off.
    pub fn note_failure(&self) {
        self.errors.fetch_add(1, Relaxed);
    }

    /// What it has come to so far.
    pub fn tally(&self) -> Tally {
        let latencies = self.latencies.lock();
        let (requests, p95) = latencies
            .as_ref()
            .map_or((0, 0), |latencies| (latencies.len(), latencies.value_at_quantile(0.95)));
        Tally { requests, errors: self.errors.load(Relaxed), p95: Duration::from_micros(p95) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_counts_requests_and_failures() {
        let arm = Arm::default();
        assert_eq!(arm.tally(), Tally::default());
        for ms in 1..=100 {
            arm.note(Duration::from_millis(ms), ms % 50 == 0);
        }
        arm.note_failure();
        let tally = arm.tally();
        assert_eq!((tally.requests, tally.errors), (100, 3));
        assert!((94..=97).contains(&tally.p95.as_millis()), "{:?}", tally.p95);
    }
}
