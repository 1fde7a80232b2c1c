//! Handlers that served, and rollouts.

use ragtime_policy::rollout::Rollout;
use ragtime_policy::swap::GenerationKind;

/// A handler that served, or was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    /// Its generation.
    pub id: u64,
    /// `start`, `swap` or `rollback`.
    pub kind: String,
    /// SHA-256 of the component, lower-case hex.
    pub sha256: String,
    /// Where it came from, for people.
    pub label: String,
    /// Size of the component.
    pub bytes: u64,
    /// When it was decided, in seconds since the Unix epoch.
    pub at: u64,
    /// From the request to the decision.
    pub took_ms: u64,
    /// The id of the key that asked for it.
    pub actor: Option<String>,
    /// Whether it served.
    pub active: bool,
    /// The stage it failed at.
    pub stage: Option<String>,
    /// Why it failed.
    pub reason: Option<String>,
    /// What was found out about it, a JSON object.
    pub report: String,
}

/// A swap of all hosts of a fleet, as it is ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutOrder {
    /// Swap or rollback.
    pub kind: GenerationKind,
    /// Where the component comes from, for people.
    pub label: String,
    /// The id of the key that asks.
    pub actor: String,
    /// The id of the host that drives it.
    pub driver: String,
    /// The generation that the caller believes to be active.
    pub expected: Option<u64>,
}

/// A rollout that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolloutBegun {
    /// The generation that the candidate is to be.
    pub id: u64,
    /// For a rollback the generation whose component it brings back.
    pub restored: Option<u64>,
}

/// A rollout at work, with what its row in the history will say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnderWay {
    /// How far it is.
    pub rollout: Rollout,
    /// `swap` or `rollback`.
    pub kind: String,
    /// SHA-256 of the component, lower-case hex; empty until it is offered.
    pub sha256: String,
    /// Where it came from, for people.
    pub label: String,
    /// Size of the component.
    pub bytes: u64,
    /// The id of the key that asked for it.
    pub actor: String,
    /// When it began, in seconds since the Unix epoch.
    pub begun_at: u64,
}
