//! `ragtime:health/readiness`

use super::bindings::ragtime::health::readiness as wit;
use crate::model::LoadState;
use crate::panics;
use crate::runtime::state::CapabilityView;

impl wit::Host for CapabilityView<'_> {
    fn check(&mut self) -> wasmtime::Result<Vec<wit::Component>> {
        let services = self.services;
        let status = services.store.status();
        let server = if services.draining() {
            (wit::State::Unready, Some("shutting down"))
        } else if panics::recent() {
            (wit::State::Degraded, Some("failed at a request within the last minute, see the log"))
        } else {
            (wit::State::Ready, None)
        };
        let store = match status.writable {
            true => (wit::State::Ready, None),
            // Reading and searching go on, so this is no reason to be passed by.
            false => (wit::State::Degraded, Some("writes fail, see the log")),
        };
        let model = match services.embeddings.state() {
            LoadState::Ready if status.vectors_complete => (wit::State::Ready, None),
            LoadState::Ready => (
                wit::State::Degraded,
                Some("older documents are being embedded, until then only words find them"),
            ),
            LoadState::Off => (wit::State::Ready, Some("no model wanted, search is lexical only")),
            LoadState::Coming => {
                (wit::State::Degraded, Some("on its way, search is lexical only until then"))
            }
            LoadState::Failed => {
                (wit::State::Degraded, Some("could not be had, search is lexical only"))
            }
        };
        let part = |name: &str, (state, detail): (wit::State, Option<&str>)| wit::Component {
            name: name.into(),
            state,
            detail: detail.map(str::to_owned),
        };
        Ok(vec![part("server", server), part("store", store), part("embedding-model", model)])
    }
}
