//! Why an import has no result.

use ragtime_policy::scope::Scope;
use wasmtime::component::ResourceTableError;

use super::bindings::ragtime::{auth, documents, keys, models0_1_0, models0_2_0, rate_limit};
use super::scopes::scope_to_wit;

/// Why an import has no result: the error that its interface has for that, or a trap.
/// `E` is the error of the interface. `?` makes it of whatever cause `E` can be made of.
#[derive(Debug)]
pub enum ImportError<E> {
    /// The handler gets the reason.
    Error(E),
    /// The instance ends.
    Trap(wasmtime::Error),
}

impl<E> ImportError<E> {
    /// The reason that the handler gets.
    ///
    /// # Errors
    ///
    /// The trap, if it is one.
    pub fn into_error(self) -> wasmtime::Result<E> {
        match self {
            Self::Error(error) => Ok(error),
            Self::Trap(trap) => Err(trap),
        }
    }
}

/// What an error of an interface may be made of. Traps are none.
pub(super) trait Cause {}

impl<E: From<C>, C: Cause> From<C> for ImportError<E> {
    fn from(cause: C) -> Self {
        Self::Error(cause.into())
    }
}

impl<E> From<wasmtime::Error> for ImportError<E> {
    fn from(trap: wasmtime::Error) -> Self {
        Self::Trap(trap)
    }
}

impl<E> From<ResourceTableError> for ImportError<E> {
    fn from(error: ResourceTableError) -> Self {
        Self::Trap(error.into())
    }
}

impl Cause for auth::principals::AuthError {}
impl Cause for rate_limit::admission::Refusal {}
impl Cause for keys::keyring::KeyError {}
impl Cause for documents::store::Error {}
impl Cause for models0_1_0::embedding::Error {}
impl Cause for models0_1_0::generation::Error {}
impl Cause for models0_2_0::embedding::Error {}
impl Cause for models0_2_0::reranking::Error {}

/// Why a permit does not give a call that may do what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// The request of the permit is over or is not the handler's, its client has gone, or
    /// the work for it has panicked.
    Over,
    /// The key lacks this scope.
    Scope(Scope),
    /// The key is limited to other collections.
    Collection,
}

impl Cause for Denied {}

/// The text that a handler gets for [`Denied::Over`].
const OVER: &str = "the request is over, or the host failed at it";

fn over() -> Option<String> {
    Some(OVER.to_owned())
}

impl From<Denied> for rate_limit::admission::Refusal {
    fn from(_: Denied) -> Self {
        Self::Other(over())
    }
}

impl From<Denied> for documents::store::Error {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Over => Self::Other(over()),
            Denied::Scope(scope) => Self::ScopeRequired(scope_to_wit(scope)),
            Denied::Collection => Self::CollectionForbidden,
        }
    }
}

impl From<Denied> for keys::keyring::KeyError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Over => Self::Other(over()),
            Denied::Scope(scope) => Self::ScopeRequired(scope_to_wit(scope)),
            // Keys belong to no collection.
            Denied::Collection => Self::ScopeRequired(scope_to_wit(Scope::Admin)),
        }
    }
}

impl From<Denied> for models0_1_0::generation::Error {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Over => Self::Other(over()),
            Denied::Scope(_) => Self::ScopeRequired,
            Denied::Collection => Self::CollectionForbidden,
        }
    }
}

/// Models belong to no collection.
macro_rules! denied_by_scope {
    ($($error:ty),*) => {$(
        impl From<Denied> for $error {
            fn from(denied: Denied) -> Self {
                match denied {
                    Denied::Over => Self::Other(over()),
                    Denied::Scope(_) | Denied::Collection => Self::ScopeRequired,
                }
            }
        }
    )*};
}

denied_by_scope!(
    models0_1_0::embedding::Error,
    models0_2_0::embedding::Error,
    models0_2_0::reranking::Error
);
