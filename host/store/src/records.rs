//! What is written down for operators and for requests that are sent again.

use crate::types::{AuditEntry, Claim, Claimed, Deployment, Error, KeptResponse, Page};
use crate::{Store, audit, deployments, replays};

/// Acts and repetitions.
impl Store {
    /// Writes an administrative act down. Durable when it returns.
    pub async fn record_act(&self, entry: AuditEntry) -> Result<(), Error> {
        self.0.writer.write(move |db, _| audit::record(db, &entry)).await
    }

    /// Administrative acts, newest first, from below `before`, and where the
    /// next page begins. Blocking.
    pub fn acts(&self, before: Option<u64>, limit: usize) -> Result<Page<AuditEntry, u64>, Error> {
        self.0.readers.read(|db| audit::page(db, before, limit))
    }

    /// Keeps the response to the request that `principal` named `key`, and
    /// forgets those from before `oldest`. Durable when it returns.
    pub async fn keep_response(
        &self,
        principal: String,
        key: String,
        response: KeptResponse,
        oldest: u64,
    ) -> Result<(), Error> {
        let keep = move |db: &rusqlite::Connection, _: &mut _| {
            replays::keep(db, &principal, &key, &response, oldest)
        };
        self.0.writer.write(keep).await
    }

    /// Takes a request for this host, among several. Durable when it returns. Responses
    /// from before `oldest` count as forgotten.
    pub async fn claim(&self, claim: Claim, now: u64, oldest: u64) -> Result<Claimed, Error> {
        self.0.writer.write(move |db, _| replays::claim(db, &claim, (now, oldest))).await
    }

    /// Gives a claim back.
    pub async fn release(&self, claim: Claim) -> Result<(), Error> {
        self.0.writer.write(move |db, _| replays::release(db, &claim)).await
    }

    /// The response to the request that `principal` named `key`, unless it is
    /// from before `oldest`. Blocking.
    pub fn kept_response(
        &self,
        principal: &str,
        key: &str,
        oldest: u64,
    ) -> Result<Option<KeptResponse>, Error> {
        self.0.readers.read(|db| replays::find(db, principal, key, oldest))
    }
}

/// Handlers.
impl Store {
    /// Writes down what became of a handler. Durable when it returns.
    pub async fn record_deployment(&self, deployment: Deployment) -> Result<(), Error> {
        self.0.writer.write(move |db, _| deployments::record(db, &deployment)).await
    }

    /// What became of handlers, newest first, from below `before`, and where
    /// the next page begins. Blocking.
    pub fn deployments(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page<Deployment, u64>, Error> {
        self.0.readers.read(|db| deployments::page(db, before, limit))
    }

    /// The handlers that served, oldest first. Blocking.
    pub fn activations(&self) -> Result<Vec<Deployment>, Error> {
        self.0.readers.read(deployments::activations)
    }

    /// What became of one handler. Blocking.
    pub fn deployment(&self, id: u64) -> Result<Option<Deployment>, Error> {
        self.0.readers.read(|db| deployments::get(db, id))
    }
}
