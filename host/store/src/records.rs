//! What is written down for operators and for requests that are sent again.

use ragtime_policy::rollout::{Acknowledgement, Host, Next};
use ragtime_policy::swap::BeginError;

use crate::types::{
    AuditEvent, Claim, Claimed, Deployment, Error, IdempotencyRecord, Page, RolloutBegun,
    RolloutOrder, UnderWay,
};
use crate::{Store, audit, deployments, idempotency_records, rollouts};

/// Acts and repetitions.
impl Store {
    /// Writes an administrative act down. Durable when it returns.
    pub async fn record_audit_event(&self, entry: AuditEvent) -> Result<(), Error> {
        self.0.writer.write(move |db, _| audit::record(db, &entry)).await
    }

    /// Administrative acts, newest first, from below `before`, and where the
    /// next page begins. Blocking.
    pub fn audit_events(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page<AuditEvent, u64>, Error> {
        self.0.readers.read(|db| audit::page(db, before, limit))
    }

    /// Keeps the response to the request that `principal` named `key`, and
    /// forgets those from before `oldest`. Durable when it returns.
    pub async fn keep_response(
        &self,
        principal: String,
        key: String,
        response: IdempotencyRecord,
        oldest: u64,
    ) -> Result<(), Error> {
        let keep = move |db: &rusqlite::Connection, _: &mut _| {
            idempotency_records::keep(db, &principal, &key, &response, oldest)
        };
        self.0.writer.write(keep).await
    }

    /// Takes a request for this host, among several. Durable when it returns. Responses
    /// from before `oldest` count as forgotten.
    pub async fn claim(&self, claim: Claim, now: u64, oldest: u64) -> Result<Claimed, Error> {
        self.0
            .writer
            .write(move |db, _| idempotency_records::claim(db, &claim, (now, oldest)))
            .await
    }

    /// Gives a claim back.
    pub async fn release(&self, claim: Claim) -> Result<(), Error> {
        self.0.writer.write(move |db, _| idempotency_records::release(db, &claim)).await
    }

    /// The response to the request that `principal` named `key`, unless it is
    /// from before `oldest`. Blocking.
    pub fn kept_response(
        &self,
        principal: &str,
        key: &str,
        oldest: u64,
    ) -> Result<Option<IdempotencyRecord>, Error> {
        self.0.readers.read(|db| idempotency_records::find(db, principal, key, oldest))
    }
}

/// Handlers.
impl Store {
    /// Writes down what became of a handler. Durable when it returns.
    pub async fn record_deployment(&self, deployment: Deployment) -> Result<(), Error> {
        self.0.writer.write(move |db, _| deployments::record(db, &deployment)).await
    }

    /// Writes down the handler that a fleet begins with, unless another host has done so
    /// before.
    pub async fn record_first_deployment(&self, deployment: Deployment) -> Result<(), Error> {
        let record = move |db: &rusqlite::Connection, _: &mut _| match deployments::activations(db)?
            .is_empty()
        {
            true => deployments::record(db, &deployment),
            false => Ok(()),
        };
        self.0.writer.write(record).await
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

/// Swaps of all hosts of a fleet. Each step is durable, and on its way to all hosts, when it
/// returns.
impl Store {
    /// Begins a rollout. The inner error is a refusal, and nothing is written then.
    pub async fn begin_rollout(
        &self,
        order: RolloutOrder,
    ) -> Result<Result<RolloutBegun, BeginError>, Error> {
        let now = self.now();
        self.0.writer.write(move |db, _| rollouts::begin(db, &order, now)).await
    }

    /// Asks the other hosts to prepare the candidate; false when it was called off.
    pub async fn offer_rollout(&self, candidate: Deployment) -> Result<bool, Error> {
        self.0.writer.write(move |db, _| rollouts::offer(db, &candidate)).await
    }

    /// Notes what a host has said of the candidate.
    pub async fn acknowledge_rollout(&self, id: u64, said: Acknowledgement) -> Result<(), Error> {
        self.0.writer.write(move |db, _| rollouts::acknowledge(db, id, &said)).await
    }

    /// Makes the candidate the handler of all hosts, if by then all that live can serve it.
    /// What holds otherwise is returned; nothing when it was called off.
    pub async fn commit_rollout(
        &self,
        deployment: Deployment,
        live: Vec<Host>,
    ) -> Result<Option<Next>, Error> {
        self.0.writer.write(move |db, _| rollouts::commit(db, &deployment, &live)).await
    }

    /// Ends a rollout that does not come about, and writes it down; whether it was at work.
    pub async fn refuse_rollout(&self, deployment: Deployment) -> Result<bool, Error> {
        self.0.writer.write(move |db, _| rollouts::refuse(db, &deployment)).await
    }

    /// Ends a rollout that was only tried, and writes nothing down.
    pub async fn forget_rollout(&self, id: u64) -> Result<(), Error> {
        self.0.writer.write(move |db, _| rollouts::forget(db, id)).await
    }

    /// The rollout at work. Blocking.
    pub fn rollout(&self) -> Result<Option<UnderWay>, Error> {
        self.0.readers.read(rollouts::at_work)
    }
}
