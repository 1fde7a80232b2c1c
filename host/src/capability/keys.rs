//! `ragtime:keys/keyring`

use ragtime_policy::bucket::Limits;
use ragtime_policy::grant::{Excess, Refused};
use ragtime_policy::scope::{Scope, Scopes};
use serde_json::{Value, json};
use wasmtime::component::{Accessor, Resource};

use super::bindings::ragtime::keys::keyring as wit;
use super::call::Call;
use super::error::{Cause, ImportError};
use super::rate_limit::Permit;
use super::scopes::{scope_from_wit, scope_to_wit, scopes_to_wit};
use crate::keyring::{Actor, Change, Key, KeyringError, NewKey};
use crate::runtime::state::{Capabilities, CapabilityView};

/// A name is for people and stands in every list.
const MAX_NAME_CHARS: usize = 100;
/// The longest grace of a rotation: 30 days.
const MAX_GRACE_SECONDS: u32 = 30 * 24 * 3600;

/// What a call about keys returns.
type KeysResult<R> = Result<R, ImportError<wit::KeyError>>;

impl wit::Host for CapabilityView<'_> {
    fn convert_key_error(
        &mut self,
        error: ImportError<wit::KeyError>,
    ) -> wasmtime::Result<wit::KeyError> {
        error.into_error()
    }
}

impl<T: Send + 'static> wit::HostWithStore<T> for Capabilities {
    async fn current(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
    ) -> KeysResult<wit::Key> {
        let call = Call::of(accessor, &permit)?;
        Ok(key_to_wit(call.permit.key()))
    }

    async fn all(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
    ) -> KeysResult<Vec<wit::Key>> {
        let call = Call::of(accessor, &permit)?.with(Scope::Admin)?;
        Ok(call.services.keyring.all().iter().map(|key| key_to_wit(key)).collect())
    }

    async fn issue(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        request: wit::KeyRequest,
    ) -> KeysResult<wit::IssuedKey> {
        let call = Call::of(accessor, &permit)?.with(Scope::Admin)?;
        let new = new_key(&call, request)?;
        let call = call.writing();
        let (key, credential) = call.services.keyring.issue(actor(&call), new).await?;
        audit(&call, "key.issue", &key.record.id.to_string(), described(&key)).await;
        Ok(wit::IssuedKey { key: key_to_wit(&key), credential: credential.expose() })
    }

    async fn rotate(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        id: String,
        grace_seconds: u32,
    ) -> KeysResult<wit::IssuedKey> {
        let call = Call::of(accessor, &permit)?.with(Scope::Admin)?;
        if grace_seconds > MAX_GRACE_SECONDS {
            let rule = format!("the grace is at most {MAX_GRACE_SECONDS} seconds");
            return Err(wit::KeyError::Invalid(rule).into());
        }
        let call = call.writing();
        let keyring = &call.services.keyring;
        let (key, credential) = keyring.rotate(actor(&call), &id, grace_seconds).await?;
        let successor = key.record.id.to_string();
        let detail = json!({"successor": successor, "grace_seconds": grace_seconds});
        audit(&call, "key.rotate", &id, detail).await;
        Ok(wit::IssuedKey { key: key_to_wit(&key), credential: credential.expose() })
    }

    async fn update(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        id: String,
        change: wit::KeyChange,
    ) -> KeysResult<wit::Key> {
        let call = Call::of(accessor, &permit)?.with(Scope::Admin)?;
        let change = changed(change)?;
        let call = call.writing();
        let key = call.services.keyring.update(actor(&call), &id, change).await?;
        audit(&call, "key.update", &id, described(&key)).await;
        Ok(key_to_wit(&key))
    }

    async fn revoke(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        id: String,
    ) -> KeysResult<()> {
        let call = Call::of(accessor, &permit)?.with(Scope::Admin)?.writing();
        call.services.keyring.revoke(actor(&call), &id).await?;
        audit(&call, "key.revoke", &id, json!({})).await;
        Ok(())
    }
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

/// Records an audit event. The change is done already, so a failure is for the log.
async fn audit(call: &Call, action: &str, target: &str, detail: Value) {
    let actor = call.permit.key().record.id.to_string();
    let request = Some(call.request.id.clone());
    call.services.record_audit_event(&actor, action, target, &detail, request).await;
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

impl Cause for KeyringError {}

impl From<KeyringError> for wit::KeyError {
    fn from(error: KeyringError) -> Self {
        match error {
            KeyringError::Unknown => Self::UnknownKey,
            KeyringError::LastAdmin => Self::LastAdmin,
            KeyringError::NotAdmin => Self::ScopeRequired(scope_to_wit(Scope::Admin)),
            KeyringError::Refused(Refused::Excess(Excess::Scope(scope))) => {
                Self::ScopeRequired(scope_to_wit(scope))
            }
            KeyringError::Refused(refused) => Self::Invalid(refused.to_string()),
            KeyringError::Store(ragtime_store::Error::Unwritable(_)) => Self::Unwritable,
            error @ (KeyringError::Entropy(_) | KeyringError::Store(_)) => {
                Self::Other(Some(error.to_string()))
            }
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
