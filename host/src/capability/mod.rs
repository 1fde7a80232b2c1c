//! The capabilities: what `wit/` promises, one small file each.
//!
//! A trap here is a bug in the host or a handle that the handler never had.
//! Everything that a caller can cause is a variant of the interface's error, which
//! `error` makes of its cause. `call` is what stands before each import.

mod assessment;
pub mod auth;
mod bindings;
mod call;
mod details;
mod documents;
mod embedding;
mod error;

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
mod scopes;

use std::sync::{Arc, Weak};

use wasmtime::component::Linker;

use crate::runtime::request::RequestContext;
use crate::runtime::state::{Capabilities, InstanceState};

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
