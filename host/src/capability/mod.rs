//! The capabilities: what `wit/` promises, one small file each.
//!
//! A trap here is a bug in the host or a handle the handler never had.
//! Everything a caller can cause is a variant.

mod assessment;
pub mod auth;
mod bindings;
mod details;
mod documents;
mod embedding;
mod generation;
mod health;
mod keys;
mod listing;
mod logging;
mod measure;
mod models;
pub mod rate_limit;
mod retrieval;
mod rewriting;

use std::sync::{Arc, Weak};

use ragtime_policy::bucket::Decision;
use wasmtime::AsContextMut;
use wasmtime::component::{Access, Accessor, Linker, Resource};

use crate::runtime::request::{Purpose, RequestContext};
use crate::runtime::state::{Capabilities, InstanceState};
use crate::services::Services;
use crate::telemetry::Answering;
use rate_limit::Permit;

/// Gives a handler everything in `wit/`.
pub fn add_to_linker(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    bindings::Capabilities::add_to_linker::<_, Capabilities>(linker, InstanceState::capabilities)
}

/// The request that a handle was given for. It does not keep the request alive: a
/// handle that is kept after its request is worth nothing.
#[derive(Clone)]
pub struct Owner(Weak<RequestContext>);

/// Whose handle it is, seen from the request that a handler works on.
enum Ownership {
    /// This request's own.
    Own,
    /// One of a request that has ended, while the handler works on none. Its client
    /// has gone, which is no fault of the handler's and must not cost the other
    /// requests of its instance a second run.
    Ended,
    /// Another request's. Only a handler that guesses handles asks about one.
    Foreign,
}

impl Owner {
    /// The owner of what is made for `request`.
    fn new(request: &Arc<RequestContext>) -> Self {
        Self(Arc::downgrade(request))
    }

    /// Whether it is this request.
    fn is(&self, request: &Arc<RequestContext>) -> bool {
        std::ptr::eq(self.0.as_ptr(), Arc::as_ptr(request))
    }

    /// The request itself, until it ends.
    fn request(&self) -> Option<Arc<RequestContext>> {
        self.0.upgrade()
    }

    /// Whose it is for a handler that works on `current`.
    fn seen_from(&self, current: Option<&Arc<RequestContext>>) -> Ownership {
        match current {
            Some(current) if self.is(current) => Ownership::Own,
            None if self.request().is_none() => Ownership::Ended,
            Some(_) | None => Ownership::Foreign,
        }
    }
}

/// A permit at work: the call it is used for, and everything that call needs.
#[derive(Clone)]
struct Call {
    permit: Permit,
    request: Arc<RequestContext>,
    services: Arc<Services>,
}

/// Said to a handler whose request has ended or is not the permit's, whose client has gone, or whose
/// work has panicked.
const GONE: &str = "the request is over, or the host failed at it";

/// The permit behind a handle. `None` when its request is over, or is another
/// than the one that the handler calls for.
fn call<T: 'static>(
    accessor: &Accessor<T, Capabilities>,
    permit: &Resource<Permit>,
) -> wasmtime::Result<Option<Call>> {
    accessor.with(|mut access| {
        let current = current(&mut access)?;
        let view = access.get();
        let permit = view.table.get(permit)?.clone();
        let services = Arc::clone(view.services);
        let request = current.filter(|current| permit.owner.is(current));
        Ok(request.map(|request| Call { permit, request, services }))
    })
}

/// The request that the calling task of the handler works on. An instance works
/// on several, whose handles stand in one table, so that a handler could guess
/// another request's; each is good for calls of its own request only.
fn current<T: 'static>(
    access: &mut Access<'_, T, Capabilities>,
) -> wasmtime::Result<Option<Arc<RequestContext>>> {
    let tasks: Vec<_> = access.as_context_mut().async_call_stack()?.collect();
    Ok(access.get().request_of(&tasks))
}

/// Searches and answers that the cost of a request covers, whatever a handler
/// said it to be. The default handler makes three at most.
const COVERED_SEARCHES: u32 = 8;

impl Call {
    /// Pays for one more search or answer. The first few come with the request,
    /// each further one costs the key a unit; the error is the number of seconds
    /// until it has one.
    fn pay_for_search(&self) -> Result<(), u32> {
        let covered = self.request.count_search() < COVERED_SEARCHES;
        if covered || self.request.purpose != Purpose::Client {
            return Ok(());
        }
        match self.services.keyring.admit(self.permit.key(), 1) {
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

    /// Runs work that blocks, off the serving threads, unless the client goes
    /// first.
    async fn blocking<R, F>(&self, work: F) -> Option<R>
    where
        R: Send + 'static,
        F: FnOnce(&Call) -> R + Send + 'static,
    {
        let call = self.clone();
        let work = tokio::task::spawn_blocking(move || work(&call));
        self.request.cancelled.run_until_cancelled(work).await?.ok()
    }

    /// Takes what `units` of work cost beyond what the request has paid; false
    /// when the key's budget does not have it. A handler says itself what a
    /// request costs, and what it has the host do is counted here.
    fn pay_for_work(&self, units: u32) -> bool {
        let (keyring, key) = (&self.services.keyring, self.permit.key());
        let charge = |due| match keyring.admit(key, due) {
            Decision::Admitted(quota) => Ok(quota),
            _ => Err(()),
        };
        self.request.charge_work(units, charge).is_ok()
    }

    /// What is told of an answer by `generator`.
    fn answering(&self, generator: &'static str) -> Answering {
        Answering::new(&self.services.telemetry, &self.request.trace, generator)
    }

    /// Waits for `work`, unless the client goes first.
    async fn until_gone<R>(&self, work: impl Future<Output = R>) -> Option<R> {
        self.request.cancelled.run_until_cancelled(work).await
    }
}
