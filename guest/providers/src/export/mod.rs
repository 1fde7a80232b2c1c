//! The interfaces of the contract, one small file each.

mod admission;
mod assessment;
mod auth;
mod details;
mod documents;
mod embedding;
mod generation;
mod health;
mod keys;
mod listing;
mod logging;
mod measure;
mod named;
mod retrieval;
mod rewriting;

use std::rc::Rc;

use ragtime_policy::scope::Scope;

use crate::keys::Key;
use admission::Permit;

/// The component.
struct Provider;

#[allow(unsafe_code, reason = "generated code")]
mod exported {
    use super::Provider;

    // SAFETY: the macro names each export once, as the component model wants.
    crate::bindings::export_provider!(Provider with_types_in crate::bindings);
}

/// Why a permit does not cover a call.
enum Denied {
    /// The key lacks this scope.
    Scope(Scope),
    /// The key is limited to other collections.
    Collection,
}

/// Whether a key covers `scope` (in `collection`).
fn covers(key: &Rc<Key>, scope: Scope, collection: Option<&str>) -> Result<(), Denied> {
    if !key.record.allows(scope) {
        return Err(Denied::Scope(scope));
    }
    match collection {
        Some(name) if !key.record.allows_collection(name) => Err(Denied::Collection),
        _ => Ok(()),
    }
}
