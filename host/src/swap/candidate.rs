//! What is done with every candidate before it may serve, whether this host was asked for it
//! or another host of the fleet offers it.

use std::sync::Arc;

use serde_json::Value;

use super::{SwapError, Swaps, probe};
use crate::runtime::engine::Compiled;
use crate::runtime::generation::Generation;

impl Swaps {
    /// Compiles a component beside what serves.
    pub(super) async fn compile(&self, component: Arc<[u8]>) -> Result<Compiled, SwapError> {
        let compiled = self.compiler.compile(component).await;
        compiled.map_err(|error| SwapError::Compile(one_line(&error)))
    }

    /// Links what was compiled with what this host provides.
    pub(super) async fn link(
        self: &Arc<Self>,
        id: u64,
        label: &str,
        compiled: Compiled,
    ) -> Result<Arc<Generation>, SwapError> {
        let (swaps, label) = (Arc::clone(self), label.to_owned());
        let build = move || swaps.factory.build(id, &label, &compiled);
        let made = self.compiler.apart(build).await;
        made.map(Arc::new).map_err(|error| SwapError::Link(one_line(&error)))
    }

    /// Has a candidate answer real requests. Returns what it answered.
    pub(super) async fn probe(&self, candidate: &Arc<Generation>) -> Result<Value, SwapError> {
        let credential = self.services.keyring.probe_credential();
        let answers = probe::run(candidate, &credential, self.probe_timeout()).await;
        answers.map_err(SwapError::Probe)
    }

    /// Makes an instance of a candidate before it takes requests.
    pub(super) async fn warm_up(&self, candidate: &Arc<Generation>) {
        let credential = self.services.keyring.probe_credential();
        probe::warm_up(candidate, &credential, self.probe_timeout()).await;
    }
}

/// Wasmtime's account of an error, which may have several lines.
fn one_line(error: &wasmtime::Error) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}
