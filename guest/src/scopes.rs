//! Scopes in the words of the contract, and in ours.

use ragtime_api::routes::Scope;

use crate::bindings::principals;

/// The host's word for a scope.
pub(crate) fn to_wit(scope: Scope) -> principals::Scope {
    match scope {
        Scope::Read => principals::Scope::Read,
        Scope::Write => principals::Scope::Write,
        Scope::Admin => principals::Scope::Admin,
    }
}

/// Our word for a scope.
pub(crate) fn from_wit(scope: principals::Scope) -> Scope {
    match scope {
        principals::Scope::Read => Scope::Read,
        principals::Scope::Write => Scope::Write,
        principals::Scope::Admin => Scope::Admin,
    }
}
