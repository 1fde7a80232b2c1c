//! `ragtime:keys/keyring`

use ragtime_policy::bucket::Limits;
use ragtime_policy::scope::{Scope, Scopes};
use wasmtime::component::{Accessor, Resource};

use super::auth::{scope_from_wit, scope_to_wit, scopes_to_wit};
use super::bindings::ragtime::keys::keyring as wit;
use super::rate_limit::{Denied, Permit};
use super::{Call, GONE, call};
use crate::keyring::{Key, KeyringError, NewKey};
use crate::runtime::state::{Capabilities, CapabilityView};

/// A name is for people and stands in every list.
const MAX_NAME_CHARS: usize = 100;
/// The longest grace of a rotation: 30 days.
const MAX_GRACE_SECONDS: u32 = 30 * 24 * 3600;

impl wit::Host for CapabilityView<'_> {}

impl<T: Send + 'static> wit::HostWithStore<T> for Capabilities {
    async fn current(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
    ) -> wasmtime::Result<Result<wit::Key, wit::KeyError>> {
        Ok(match call(accessor, &permit)? {
            Some(call) => Ok(key_to_wit(call.permit.key())),
            None => Err(gone()),
        })
    }

    async fn all(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
    ) -> wasmtime::Result<Result<Vec<wit::Key>, wit::KeyError>> {
        Ok(admin(call(accessor, &permit)?)
            .map(|call| call.services.keyring.all().iter().map(|key| key_to_wit(key)).collect()))
    }

    async fn issue(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        request: wit::KeyRequest,
    ) -> wasmtime::Result<Result<wit::IssuedKey, wit::KeyError>> {
        let call = match admin(call(accessor, &permit)?) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        let new = match new_key(&call, request) {
            Ok(new) => new,
            Err(error) => return Ok(Err(error)),
        };
        call.request.set_wrote();
        Ok(issued(call.services.keyring.issue(new).await))
    }

    async fn rotate(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        id: String,
        grace_seconds: u32,
    ) -> wasmtime::Result<Result<wit::IssuedKey, wit::KeyError>> {
        let call = match admin(call(accessor, &permit)?) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        if grace_seconds > MAX_GRACE_SECONDS {
            let rule = format!("the grace is at most {MAX_GRACE_SECONDS} seconds");
            return Ok(Err(wit::KeyError::Invalid(rule)));
        }
        call.request.set_wrote();
        Ok(issued(call.services.keyring.rotate(&id, grace_seconds).await))
    }

    async fn revoke(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        id: String,
    ) -> wasmtime::Result<Result<(), wit::KeyError>> {
        let call = match admin(call(accessor, &permit)?) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        call.request.set_wrote();
        Ok(call.services.keyring.revoke(&id).await.map_err(key_error))
    }
}

fn admin(call: Option<Call>) -> Result<Call, wit::KeyError> {
    let call = call.ok_or_else(gone)?;
    match call.permit.allows(Scope::Admin) {
        Ok(()) => Ok(call),
        Err(Denied::Scope(scope)) => Err(wit::KeyError::ScopeRequired(scope_to_wit(scope))),
        Err(Denied::Collection) => Err(wit::KeyError::ScopeRequired(scope_to_wit(Scope::Admin))),
    }
}

fn gone() -> wit::KeyError {
    wit::KeyError::Other(Some(GONE.into()))
}

fn new_key(call: &Call, request: wit::KeyRequest) -> Result<NewKey, wit::KeyError> {
    let invalid = |rule: &str| Err(wit::KeyError::Invalid(rule.into()));
    let length = request.name.chars().count();
    if length == 0 || length > MAX_NAME_CHARS || request.name.chars().any(char::is_control) {
        return invalid("the name has 1 to 100 characters and no control characters");
    }
    let scopes: Scopes = request.scopes.into_iter().map(scope_from_wit).collect();
    if scopes.is_empty() {
        return invalid("a key needs at least one scope");
    }
    if request.expires_at.is_some_and(|at| at <= crate::keyring::unix_now()) {
        return invalid("the expiry lies in the past");
    }
    let defaults = call.services.key_limits;
    let limits = Limits {
        rate_per_minute: request.rate_per_minute.unwrap_or(defaults.rate_per_minute),
        burst: request.burst.unwrap_or(defaults.burst),
    };
    if limits.rate_per_minute == 0 || limits.burst == 0 {
        return invalid("rate and burst are at least 1");
    }
    Ok(NewKey {
        name: request.name,
        scopes,
        collections: request.collections.map(|names| names.into_iter().collect()),
        expires_at: request.expires_at,
        limits,
    })
}

fn issued(
    result: Result<(std::sync::Arc<Key>, ragtime_policy::key::Credential), KeyringError>,
) -> Result<wit::IssuedKey, wit::KeyError> {
    let (key, credential) = result.map_err(key_error)?;
    Ok(wit::IssuedKey { key: key_to_wit(&key), credential: credential.expose() })
}

fn key_error(error: KeyringError) -> wit::KeyError {
    match error {
        KeyringError::Unknown => wit::KeyError::UnknownKey,
        KeyringError::LastAdmin => wit::KeyError::LastAdmin,
        error @ (KeyringError::Entropy(_) | KeyringError::Store(_)) => {
            wit::KeyError::Other(Some(error.to_string()))
        }
    }
}

fn key_to_wit(key: &Key) -> wit::Key {
    let record = &key.record;
    wit::Key {
        id: record.id.to_string(),
        name: record.name.clone(),
        scopes: scopes_to_wit(record.scopes),
        collections: record.collections.clone().map(|names| names.into_iter().collect()),
        created_at: record.created_at,
        expires_at: record.expires_at,
        last_used_at: key.last_used_at(),
        rate_per_minute: record.rate_per_minute,
        burst: record.burst,
    }
}
