//! `ragtime:keys/keyring`: keys can be seen here, and changed in the settings.

use std::rc::Rc;

use ragtime_policy::scope::Scope;

use super::auth::{scope_to_wit, scopes_to_wit};
use super::{Permit, Provider, covers};
use crate::bindings::admission::PermitBorrow;
use crate::bindings::keyring as wit;
use crate::keys::Key;
use crate::state::state;

/// Said to a client who wants to change keys.
const IN_SETTINGS: &str = "this server takes its keys from its settings; change them there";

impl wit::Guest for Provider {
    async fn current(permit: PermitBorrow<'_>) -> Result<wit::Key, wit::KeyError> {
        Ok(key_to_wit(&permit.get::<Permit>().key))
    }

    async fn all(permit: PermitBorrow<'_>) -> Result<Vec<wit::Key>, wit::KeyError> {
        admin(&permit)?;
        let state = state().map_err(|error| wit::KeyError::Other(Some(error)))?;
        let keys = state.borrow().keyring.all();
        Ok(keys.iter().map(key_to_wit).collect())
    }

    async fn issue(
        permit: PermitBorrow<'_>,
        _: wit::KeyRequest,
    ) -> Result<wit::IssuedKey, wit::KeyError> {
        admin(&permit)?;
        Err(wit::KeyError::Invalid(IN_SETTINGS.into()))
    }

    async fn rotate(
        permit: PermitBorrow<'_>,
        _: String,
        _: u32,
    ) -> Result<wit::IssuedKey, wit::KeyError> {
        admin(&permit)?;
        Err(wit::KeyError::Invalid(IN_SETTINGS.into()))
    }

    async fn update(
        permit: PermitBorrow<'_>,
        _: String,
        _: wit::KeyChange,
    ) -> Result<wit::Key, wit::KeyError> {
        admin(&permit)?;
        Err(wit::KeyError::Invalid(IN_SETTINGS.into()))
    }

    async fn revoke(permit: PermitBorrow<'_>, _: String) -> Result<(), wit::KeyError> {
        admin(&permit)?;
        Err(wit::KeyError::Invalid(IN_SETTINGS.into()))
    }
}

fn admin(permit: &PermitBorrow<'_>) -> Result<(), wit::KeyError> {
    covers(&permit.get::<Permit>().key, Scope::Admin, None)
        .map_err(|_| wit::KeyError::ScopeRequired(scope_to_wit(Scope::Admin)))
}

fn key_to_wit(key: &Rc<Key>) -> wit::Key {
    let record = &key.record;
    wit::Key {
        id: record.id.to_string(),
        name: record.name.clone(),
        scopes: scopes_to_wit(record.scopes),
        collections: record.collections.clone().map(|names| names.into_iter().collect()),
        created_at: record.created_at,
        expires_at: record.expires_at,
        last_used_at: None,
        rate_per_minute: record.rate_per_minute,
        burst: record.burst,
    }
}
