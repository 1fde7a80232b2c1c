//! Health.

use schemars::JsonSchema;
use serde::Serialize;

/// The answer of `GET /livez`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Live {
    /// Always `ok`.
    pub status: &'static str,
}

/// The answer of `GET /readyz`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Ready {
    /// The worst state of a component: `ready`, `degraded` or `unready`.
    pub status: &'static str,
    /// The parts of the host.
    pub components: Vec<Component>,
}

/// One part of the host.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// `ready`, `degraded` or `unready`.
    pub state: &'static str,
    /// One sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}
