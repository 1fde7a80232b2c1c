//! `ragtime:health/readiness`

use super::bindings::ragtime::health::readiness as wit;
use crate::model::LoadState;
use crate::panics;
use crate::runtime::state::CapabilityView;

/// One of several models. Search goes on without it, so it is no reason to be passed by.
fn named(kind: &str, name: &str, state: LoadState) -> wit::Component {
    let (state, detail) = match state {
        LoadState::Ready | LoadState::Off => (wit::State::Ready, None),
        LoadState::Coming => (wit::State::Degraded, Some("on its way")),
        LoadState::Failed(_) => (wit::State::Degraded, Some("could not be had, see the log")),
    };
    wit::Component { name: format!("{kind}/{name}"), state, detail: detail.map(str::to_owned) }
}

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
            LoadState::Ready if status.models.iter().any(|model| model.failing) => (
                wit::State::Degraded,
                Some("a model fails, search is by words where it is asked, see the log"),
            ),
            LoadState::Ready if status.vectors_complete => (wit::State::Ready, None),
            LoadState::Ready => (
                wit::State::Degraded,
                Some("older documents are being embedded, until then only words find them"),
            ),
            LoadState::Off => (wit::State::Ready, Some("no model wanted, search is lexical only")),
            LoadState::Coming => {
                (wit::State::Degraded, Some("on its way, search is lexical only until then"))
            }
            LoadState::Failed(_) => {
                (wit::State::Degraded, Some("could not be had, search is lexical only"))
            }
        };
        let part = |name: &str, (state, detail): (wit::State, Option<&str>)| wit::Component {
            name: name.into(),
            state,
            detail: detail.map(str::to_owned),
        };
        let mut parts =
            vec![part("server", server), part("store", store), part("embedding-model", model)];
        let default = services.embeddings.default_name();
        let others = services.embeddings.all().filter(|model| Some(model.name()) != default);
        parts.extend(others.map(|model| named("embedding-model", model.name(), model.state())));
        let rerankers = services.rerankers.all();
        parts.extend(rerankers.map(|model| named("reranking-model", model.name(), model.state())));
        Ok(parts)
    }
}
