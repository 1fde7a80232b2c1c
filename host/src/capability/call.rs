//! A permit at work: the call of an import, and everything that the call needs.

use std::sync::Arc;

use ragtime_policy::bucket::Decision;
use ragtime_policy::scope::Scope;
use ragtime_store as store;
use tokio::runtime::Handle;
use wasmtime::AsContextMut;
use wasmtime::component::{Access, Accessor, Resource};

use super::error::{Cause, Denied, ImportError};
use super::rate_limit::Permit;
use crate::runtime::request::{Purpose, RequestContext};
use crate::runtime::state::Capabilities;
use crate::services::Services;
use crate::telemetry::Answering;

/// Searches and answers that the cost of a request covers, whatever a handler
/// said it to be. The default handler makes three at most.
const COVERED_SEARCHES: u32 = 8;

/// A permit at work: the call it is used for, and everything that call needs.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) permit: Permit,
    pub(super) request: Arc<RequestContext>,
    pub(super) services: Arc<Services>,
}

/// The request that the calling task of the handler works on. An instance works
/// on several, whose handles stand in one table, so that a handler could guess
/// another request's; each is good for calls of its own request only.
pub(super) fn current<T: 'static>(
    access: &mut Access<'_, T, Capabilities>,
) -> wasmtime::Result<Option<Arc<RequestContext>>> {
    let tasks: Vec<_> = access.as_context_mut().async_call_stack()?.collect();
    Ok(access.get().request_of(&tasks))
}

impl Call {
    /// The call that a permit is used for.
    ///
    /// # Errors
    ///
    /// [`Denied::Over`] when the permit's request is over, or is another than the one
    /// that the handler calls for; a trap when the handler never had such a handle.
    pub(super) fn of<T: 'static, E: From<Denied>>(
        accessor: &Accessor<T, Capabilities>,
        permit: &Resource<Permit>,
    ) -> Result<Self, ImportError<E>> {
        accessor.with(|mut access| {
            let current = current(&mut access)?;
            let view = access.get();
            let permit = view.table.get(permit)?.clone();
            let services = Arc::clone(view.services);
            let request = current.filter(|current| permit.owner.is(current));
            let request = request.ok_or(Denied::Over)?;
            Ok(Self { permit, request, services })
        })
    }

    /// The call, if its permit covers `scope`.
    pub(super) fn with(self, scope: Scope) -> Result<Self, Denied> {
        self.permit.allows(scope).map(|()| self)
    }

    /// The call, if its permit covers one of two scopes.
    pub(super) fn with_either(self, one: Scope, other: Scope) -> Result<Self, Denied> {
        self.permit.allows(one).or_else(|_| self.permit.allows(other)).map(|()| self)
    }

    /// The call, if its permit covers `scope` in `collection`.
    pub(super) fn with_in(self, scope: Scope, collection: &str) -> Result<Self, Denied> {
        self.permit.allows_in(scope, collection).map(|()| self)
    }

    /// The call, if its permit covers `scope` in each of `collections`.
    pub(super) fn with_in_each(self, scope: Scope, collections: &[String]) -> Result<Self, Denied> {
        self.permit.allows(scope)?;
        collections.iter().try_for_each(|name| self.permit.allows_in(scope, name))?;
        Ok(self)
    }

    /// The call, which is noted to change something.
    pub(super) fn writing(self) -> Self {
        self.request.set_wrote();
        self
    }

    /// Pays for one more search or answer. The first few come with the request,
    /// each further one costs the key a unit; the error is the number of seconds
    /// until it has one.
    pub(super) async fn pay_for_search(&self) -> Result<(), u32> {
        let covered = self.request.count_search() < COVERED_SEARCHES;
        if covered || self.request.purpose != Purpose::Client {
            return Ok(());
        }
        match self.services.keyring.admit(self.permit.key(), 1).await {
            Decision::Admitted(quota) => {
                self.request.set_quota(quota);
                Ok(())
            }
            Decision::Exhausted { retry_after, .. } => {
                self.services.telemetry.metrics.rate_limited();
                Err(u32::try_from(retry_after.as_millis().div_ceil(1000)).unwrap_or(u32::MAX))
            }
            Decision::CostAboveBurst(_) => Err(u32::MAX),
        }
    }

    /// Takes what `units` of work cost beyond what the request has paid; false
    /// when the key's budget does not have it. A handler says itself what a
    /// request costs, and what it has the host do is counted here. Blocking.
    pub(super) fn pay_for_work(&self, units: u32) -> bool {
        let (keyring, key) = (&self.services.keyring, self.permit.key());
        let charge = async |due| match keyring.admit(key, due).await {
            Decision::Admitted(quota) => Ok(quota),
            _ => Err(()),
        };
        Handle::current().block_on(self.request.charge_work(units, charge)).is_ok()
    }

    /// Runs work that blocks, off the serving threads.
    ///
    /// # Errors
    ///
    /// [`Denied::Over`] when the client goes first, or the work panics.
    pub(super) async fn blocking<R, F>(&self, work: F) -> Result<R, Denied>
    where
        R: Send + 'static,
        F: FnOnce(&Call) -> R + Send + 'static,
    {
        let call = self.clone();
        let work = crate::blocking::blocking(move || work(&call));
        self.until_gone(work).await?.map_err(|_| Denied::Over)
    }

    /// Reads the store, off the serving threads.
    pub(super) async fn read<R, F, E>(&self, work: F) -> Result<R, ImportError<E>>
    where
        R: Send + 'static,
        F: FnOnce(&Call) -> Result<R, store::Error> + Send + 'static,
        E: From<Denied> + From<store::Error>,
    {
        Ok(self.blocking(work).await??)
    }

    /// Waits for `work`.
    ///
    /// # Errors
    ///
    /// [`Denied::Over`] when the client goes first.
    pub(super) async fn until_gone<R>(&self, work: impl Future<Output = R>) -> Result<R, Denied> {
        self.request.cancelled.run_until_cancelled(work).await.ok_or(Denied::Over)
    }

    /// What is recorded of an answer by `generator`.
    pub(super) fn answering(&self, generator: &'static str) -> Answering {
        Answering::new(&self.services.telemetry, &self.request.trace, generator)
    }
}

impl Cause for store::Error {}
