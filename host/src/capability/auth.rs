//! `ragtime:auth/principals`

use std::sync::Arc;

use wasmtime::component::{Access, Accessor, Resource};

use super::bindings::ragtime::auth::principals as wit;
use super::call::current;
use super::error::{Cause, ImportError};
use super::scopes::scopes_to_wit;
use super::{Owner, Ownership};
use crate::keyring::{Key, Rejected};
use crate::runtime::request::Purpose;
use crate::runtime::state::{Capabilities, CapabilityView};

/// A caller whose credential was checked.
pub struct Principal {
    pub(super) key: Arc<Key>,
    pub(super) owner: Owner,
}

/// Who is behind a request that has ended: no key, and no right.
fn nobody() -> wit::Identity {
    wit::Identity {
        key_id: String::new(),
        name: String::new(),
        scopes: Vec::new(),
        collections: Some(Vec::new()),
        expires_at: None,
    }
}

impl wit::Host for CapabilityView<'_> {
    fn convert_auth_error(
        &mut self,
        error: ImportError<wit::AuthError>,
    ) -> wasmtime::Result<wit::AuthError> {
        error.into_error()
    }
}

impl wit::HostPrincipal for CapabilityView<'_> {
    fn drop(&mut self, principal: Resource<Principal>) -> wasmtime::Result<()> {
        self.table.delete(principal)?;
        Ok(())
    }
}

impl<T: 'static> wit::HostPrincipalWithStore<T> for Capabilities {
    fn identity(
        mut access: Access<'_, T, Self>,
        principal: Resource<Principal>,
    ) -> wasmtime::Result<wit::Identity> {
        let current = current(&mut access)?;
        let principal = access.get().table.get(&principal)?;
        match principal.owner.seen_from(current.as_ref()) {
            Ownership::Own => {}
            Ownership::Ended => return Ok(nobody()),
            Ownership::Foreign => {
                return Err(wasmtime::format_err!("the principal is another request's"));
            }
        }
        let record = &principal.key.record;
        Ok(wit::Identity {
            key_id: record.id.to_string(),
            name: record.name.clone(),
            scopes: scopes_to_wit(record.effective_scopes()),
            collections: record.collections.clone().map(|names| names.into_iter().collect()),
            expires_at: record.expires_at,
        })
    }
}

impl<T: Send + 'static> wit::HostWithStore<T> for Capabilities {
    async fn authenticate(
        accessor: &Accessor<T, Self>,
        reference: Option<String>,
    ) -> Result<Resource<Principal>, ImportError<wit::AuthError>> {
        accessor.with(|mut access| {
            let current = current(&mut access)?;
            let view = access.get();
            let reference = reference.ok_or(wit::AuthError::Missing)?;
            let request = current.ok_or(wit::AuthError::Malformed)?;
            let credential =
                request.credential_behind(&reference).ok_or(wit::AuthError::Malformed)?;
            let keyring = &view.services.keyring;
            let key = match request.purpose {
                // A key that was made since the ingress looked is another tenant's.
                Purpose::Client => keyring.authenticate(credential.expose()).and_then(|key| {
                    match request.tenant() == key.record.id.as_str() {
                        true => Ok(key),
                        false => Err(Rejected::Unknown),
                    }
                }),
                Purpose::Rechunk => keyring.authenticate_rechunker(credential.expose()),
                Purpose::Trial => keyring.authenticate_on_trial(credential.expose()),
            }?;
            request.set_key_id(&key.record.id.to_string());
            let principal = Principal { key, owner: Owner::new(&request) };
            Ok(view.table.push(principal)?)
        })
    }
}

impl Cause for Rejected {}

impl From<Rejected> for wit::AuthError {
    fn from(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Malformed => Self::Malformed,
            Rejected::Unknown => Self::Unknown,
            Rejected::Expired => Self::Expired,
        }
    }
}
