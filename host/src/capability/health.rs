//! `ragtime:health/readiness`

use super::bindings::ragtime::health::readiness as wit;
use crate::readiness::{self, Part, State};
use crate::runtime::state::CapabilityView;

impl wit::Host for CapabilityView<'_> {
    fn check(&mut self) -> wasmtime::Result<Vec<wit::Component>> {
        Ok(readiness::parts(self.services).into_iter().map(wit::Component::from).collect())
    }
}

impl From<Part> for wit::Component {
    fn from(part: Part) -> Self {
        let state = match part.state {
            State::Ready => wit::State::Ready,
            State::Degraded => wit::State::Degraded,
            State::Unready => wit::State::Unready,
        };
        Self { name: part.name, state, detail: part.detail.map(str::to_owned) }
    }
}
