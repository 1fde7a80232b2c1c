//! How the parts of the server are, with the reason where one is less than ready.

use ragtime_store::fleet::Status;
use serde::Serialize;

use crate::backup::Trouble;
use crate::model::LoadState;
use crate::panics;
use crate::services::Services;
use crate::tls::Endpoint;

/// Entries of the log that a host of a fleet may lack and still be sent requests: each
/// waits until they are there, which takes some milliseconds.
const MAX_BEHIND: u64 = 1_000;
/// The same of chunks in its indexes: some tenths of a second.
const MAX_UNINDEXED: u64 = 2_048;

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It does all that it is there for.
    Ready,
    /// It does less, and what it still does is right.
    Degraded,
    /// The server takes no requests because of it.
    Unready,
}

/// A part of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Its name, stable.
    pub name: String,
    /// How it is.
    pub state: State,
    /// Why it is so, for people.
    pub detail: Option<&'static str>,
}

/// Every part: the server, the store, the default embedding model, the fleet and the
/// backups where there are any, then the other models and the certificates.
/// Blocking.
pub fn parts(services: &Services) -> Vec<Part> {
    let status = services.store.status();
    let part = |name: &str, (state, detail): (State, Option<&'static str>)| Part {
        name: name.into(),
        state,
        detail,
    };
    let mut parts = vec![
        part("server", server(services)),
        part("store", store(status.writable)),
        part("embedding-model", model(services, &status)),
    ];
    if let Some(status) = services.store.fleet() {
        parts.push(part("fleet", fleet(status)));
        parts.push(part("handler", handler(services.lacks_handler())));
    }
    if services.backups.wanted() {
        parts.push(part("backup", backup(services.backups.trouble())));
    }
    let default = services.embeddings.default_name();
    let others = services.embeddings.all().filter(|model| Some(model.name()) != default);
    parts.extend(others.map(|model| named("embedding-model", model.name(), &model.state())));
    let rerankers = services.rerankers.all();
    parts.extend(rerankers.map(|model| named("reranking-model", model.name(), &model.state())));
    parts.extend(services.tls.all().map(|endpoint| certificate(endpoint)));
    parts
}

fn server(services: &Services) -> (State, Option<&'static str>) {
    if services.draining() {
        (State::Unready, Some("shutting down"))
    } else if panics::recent() {
        (State::Degraded, Some("failed at a request within the last minute, see the log"))
    } else {
        (State::Ready, None)
    }
}

fn store(writable: bool) -> (State, Option<&'static str>) {
    match writable {
        true => (State::Ready, None),
        // Reading and searching go on, so this is no reason to be passed by.
        false => (State::Degraded, Some("writes fail, see the log")),
    }
}

/// Whether this host has the handler that its fleet serves.
fn handler(lacks: bool) -> (State, Option<&'static str>) {
    match lacks {
        true => (State::Unready, Some("the fleet serves a handler that this host is compiling")),
        false => (State::Ready, None),
    }
}

/// Whether this host has what the other hosts of its fleet have.
fn fleet(status: Status) -> (State, Option<&'static str>) {
    match status {
        Status { reached: false, .. } => {
            (State::Unready, Some("PostgreSQL does not answer, see the log"))
        }
        Status { behind: MAX_BEHIND.., .. } => {
            (State::Unready, Some("catching up with what other hosts have written"))
        }
        Status { unindexed: MAX_UNINDEXED.., .. } => {
            (State::Unready, Some("indexing what other hosts have indexed already"))
        }
        Status { .. } => (State::Ready, None),
    }
}

fn model(services: &Services, status: &ragtime_store::Status) -> (State, Option<&'static str>) {
    match services.embeddings.state() {
        LoadState::Ready if status.models.iter().any(|model| model.failing) => (
            State::Degraded,
            Some("a model fails, search is by words where it is asked, see the log"),
        ),
        LoadState::Ready if status.vectors_complete => (State::Ready, None),
        LoadState::Ready => (
            State::Degraded,
            Some("older documents are being embedded, until then only words find them"),
        ),
        LoadState::Off => (State::Ready, Some("no model wanted, search is lexical only")),
        LoadState::Coming => {
            (State::Degraded, Some("on its way, search is lexical only until then"))
        }
        LoadState::Failed(_) => (State::Degraded, Some("could not be had, search is lexical only")),
    }
}

/// One of several models. Search goes on without it, so it is no reason to be passed by.
fn named(kind: &str, name: &str, state: &LoadState) -> Part {
    let (state, detail) = match state {
        LoadState::Ready | LoadState::Off => (State::Ready, None),
        LoadState::Coming => (State::Degraded, Some("on its way")),
        LoadState::Failed(_) => (State::Degraded, Some("could not be had, see the log")),
    };
    Part { name: format!("{kind}/{name}"), state, detail }
}

/// The certificate of a listener. Anybody may ask, so files and reasons are in the log alone.
fn certificate(endpoint: &Endpoint) -> Part {
    let detail = endpoint.trouble();
    let state = if detail.is_some() { State::Degraded } else { State::Ready };
    Part { name: format!("certificate/{}", endpoint.listener.name()), state, detail }
}

/// The server's own backups. It serves without them, so they are no reason to be passed by.
fn backup(trouble: Option<Trouble>) -> (State, Option<&'static str>) {
    match trouble {
        None => (State::Ready, None),
        Some(Trouble::Failed) => (State::Degraded, Some("the last one failed, see the log")),
        Some(Trouble::Late) => (State::Degraded, Some("there was none for two intervals")),
    }
}
