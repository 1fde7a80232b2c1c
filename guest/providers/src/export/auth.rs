//! `ragtime:auth/principals`. No host stands before this one, so the handler
//! passes on the credential itself.

use std::rc::Rc;

use ragtime_policy::scope::{Scope, Scopes};

use super::Provider;
use crate::bindings::principals as wit;
use crate::keys::{Key, Rejected};
use crate::state::state;
use ragtime_policy::clock::unix_now;

/// A caller whose credential was checked.
pub(crate) struct Principal {
    pub(super) key: Rc<Key>,
}

impl wit::Guest for Provider {
    type Principal = Principal;

    async fn authenticate(credential: Option<String>) -> Result<wit::Principal, wit::AuthError> {
        let credential = credential.ok_or(wit::AuthError::Missing)?;
        let state = state().map_err(|error| wit::AuthError::Other(Some(error)))?;
        let found = state.borrow().keyring.authenticate(&credential, unix_now());
        match found {
            Ok(key) => Ok(wit::Principal::new(Principal { key })),
            Err(Rejected::Malformed) => Err(wit::AuthError::Malformed),
            Err(Rejected::Unknown) => Err(wit::AuthError::Unknown),
            Err(Rejected::Expired) => Err(wit::AuthError::Expired),
        }
    }
}

impl wit::GuestPrincipal for Principal {
    fn identity(&self) -> wit::Identity {
        let record = &self.key.record;
        wit::Identity {
            key_id: record.id.to_string(),
            name: record.name.clone(),
            scopes: scopes_to_wit(record.effective_scopes()),
            collections: record.collections.clone().map(|names| names.into_iter().collect()),
            expires_at: record.expires_at,
        }
    }
}

/// Scopes as the contract spells them.
pub(super) fn scopes_to_wit(scopes: Scopes) -> Vec<wit::Scope> {
    scopes.iter().map(scope_to_wit).collect()
}

/// A scope as the contract spells it.
pub(super) fn scope_to_wit(scope: Scope) -> wit::Scope {
    match scope {
        Scope::Read => wit::Scope::Read,
        Scope::Write => wit::Scope::Write,
        Scope::Admin => wit::Scope::Admin,
    }
}
