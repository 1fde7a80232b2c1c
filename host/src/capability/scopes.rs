//! Scopes in the words of the contract and of the policy.

use ragtime_policy::scope::{Scope, Scopes};

use super::bindings::ragtime::auth::principals as wit;

/// Scopes as the contract has them.
pub(super) fn scopes_to_wit(scopes: Scopes) -> Vec<wit::Scope> {
    let all = [Scope::Read, Scope::Write, Scope::Admin].into_iter();
    all.filter(|scope| scopes.contains(*scope)).map(scope_to_wit).collect()
}

/// A scope as the policy has it.
pub(super) fn scope_from_wit(scope: wit::Scope) -> Scope {
    match scope {
        wit::Scope::Read => Scope::Read,
        wit::Scope::Write => Scope::Write,
        wit::Scope::Admin => Scope::Admin,
    }
}

/// A scope as the contract has it.
pub(super) fn scope_to_wit(scope: Scope) -> wit::Scope {
    match scope {
        Scope::Read => wit::Scope::Read,
        Scope::Write => wit::Scope::Write,
        Scope::Admin => wit::Scope::Admin,
    }
}
