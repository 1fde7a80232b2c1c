//! `ragtime:keys/keyring`

use ragtime_policy::bucket::Limits;
use ragtime_policy::grant::{Excess, Refused};
use ragtime_policy::scope::{Scope, Scopes};
use serde_json::{Value, json};
use wasmtime::component::{Accessor, Resource};

use super::auth::{scope_from_wit, scope_to_wit, scopes_to_wit};
use super::bindings::ragtime::keys::keyring as wit;
use super::rate_limit::{Denied, Permit};
use super::{Call, GONE, call};
use crate::keyring::{Actor, Change, Key, KeyringError, NewKey};
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
        let made = call.services.keyring.issue(actor(&call), new).await;
        if let Ok((key, _)) = &made {
            audit(&call, "key.issue", &key.record.id.to_string(), described(key)).await;
        }
        Ok(issued(made))
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
        let made = call.services.keyring.rotate(actor(&call), &id, grace_seconds).await;
        if let Ok((key, _)) = &made {
            let detail =
                json!({"successor": key.record.id.to_string(), "grace_seconds": grace_seconds});
            audit(&call, "key.rotate", &id, detail).await;
        }
        Ok(issued(made))
    }

    async fn update(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        id: String,
        change: wit::KeyChange,
    ) -> wasmtime::Result<Result<wit::Key, wit::KeyError>> {
        let call = match admin(call(accessor, &permit)?) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        let change = match changed(change) {
            Ok(change) => change,
            Err(error) => return Ok(Err(error)),
        };
        call.request.set_wrote();
        let updated = call.services.keyring.update(actor(&call), &id, change).await;
        if let Ok(key) = &updated {
            audit(&call, "key.update", &id, described(key)).await;
        }
        Ok(updated.map(|key| key_to_wit(&key)).map_err(key_error))
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
        let revoked = call.services.keyring.revoke(actor(&call), &id).await;
        if revoked.is_ok() {
            audit(&call, "key.revoke", &id, json!({})).await;
        }
        Ok(revoked.map_err(key_error))
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

fn actor(call: &Call) -> Actor {
    Actor::Key(call.permit.key().record.id.clone())
}

/// What is not asked for is the operator's default, or what the maker's own key
/// has where that is less.
fn new_key(call: &Call, request: wit::KeyRequest) -> Result<NewKey, wit::KeyError> {
    let (defaults, maker) = (call.services.key_limits, &call.permit.key().record);
    let limits = Limits {
        rate_per_minute: request
            .rate_per_minute
            .unwrap_or(defaults.rate_per_minute.min(maker.rate_per_minute)),
        burst: request.burst.unwrap_or(defaults.burst.min(maker.burst)),
    };
    let scopes: Scopes = request.scopes.into_iter().map(scope_from_wit).collect();
    valid(Some(&request.name), Some(scopes), limits)?;
    Ok(NewKey {
        name: request.name,
        scopes,
        collections: request.collections.map(|names| names.into_iter().collect()),
        expires_at: request.expires_at.or(maker.expires_at),
        limits,
    })
}

fn changed(change: wit::KeyChange) -> Result<Change, wit::KeyError> {
    let limits = Limits {
        rate_per_minute: change.rate_per_minute.unwrap_or(1),
        burst: change.burst.unwrap_or(1),
    };
    let scopes: Option<Scopes> =
        change.scopes.map(|scopes| scopes.into_iter().map(scope_from_wit).collect());
    valid(change.name.as_deref(), scopes, limits)?;
    Ok(Change {
        name: change.name,
        scopes,
        collections: change.collections.map(|names| names.into_iter().collect()),
        expires_at: change.expires_at,
        rate_per_minute: change.rate_per_minute,
        burst: change.burst,
    })
}

fn valid(name: Option<&str>, scopes: Option<Scopes>, limits: Limits) -> Result<(), wit::KeyError> {
    let invalid = |rule: &str| Err(wit::KeyError::Invalid(rule.into()));
    let bad_name = |name: &str| {
        !(1..=MAX_NAME_CHARS).contains(&name.chars().count()) || name.chars().any(char::is_control)
    };
    if name.is_some_and(bad_name) {
        return invalid("the name has 1 to 100 characters and no control characters");
    }
    if scopes.is_some_and(Scopes::is_empty) {
        return invalid("a key needs at least one scope");
    }
    if limits.rate_per_minute == 0 || limits.burst == 0 {
        return invalid("rate and burst are at least 1");
    }
    Ok(())
}

/// Writes an act down. It is done already, so a failure is for the log.
async fn audit(call: &Call, action: &str, target: &str, detail: Value) {
    let actor = call.permit.key().record.id.to_string();
    let request = Some(call.request.id.clone());
    call.services.record_act(&actor, action, target, &detail, request).await;
}

/// What a key may do, for the audit log.
fn described(key: &Key) -> Value {
    let record = &key.record;
    json!({
        "name": record.name, "scopes": record.scopes.to_string(),
        "collections": record.collections, "expires_at": record.expires_at,
        "rate_per_minute": record.rate_per_minute, "burst": record.burst,
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
        KeyringError::NotAdmin => wit::KeyError::ScopeRequired(scope_to_wit(Scope::Admin)),
        KeyringError::Refused(Refused::Excess(Excess::Scope(scope))) => {
            wit::KeyError::ScopeRequired(scope_to_wit(scope))
        }
        KeyringError::Refused(refused) => wit::KeyError::Invalid(refused.to_string()),
        KeyringError::Store(ragtime_store::Error::Unwritable(_)) => wit::KeyError::Unwritable,
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
