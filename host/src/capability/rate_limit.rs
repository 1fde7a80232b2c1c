//! `ragtime:rate-limit/admission`

use std::sync::Arc;

use ragtime_policy::bucket::{Decision, Quota};
use ragtime_policy::scope::Scope;
use wasmtime::component::{Access, Accessor, Resource};

use super::auth::Principal;
use super::bindings::ragtime::rate_limit::admission as wit;
use super::call::current;
use super::error::{Cause, Denied, ImportError};
use super::{Owner, Ownership};
use crate::keyring::Key;
use crate::runtime::request::{Purpose, RequestContext};
use crate::runtime::state::{Capabilities, CapabilityView};
use crate::services::Services;

/// Leave to do the work of one request. Only `admit` makes one, from a
/// principal, and it ends with the request.
#[derive(Clone)]
pub struct Permit {
    key: Arc<Key>,
    quota: Quota,
    pub(super) owner: Owner,
}

impl Permit {
    /// The key behind it.
    pub(super) fn key(&self) -> &Arc<Key> {
        &self.key
    }

    /// Whether it covers `scope`. A handler on trial reads, whatever the key may
    /// do: its answers are thrown away, so what it writes would be too much.
    pub(super) fn allows(&self, scope: Scope) -> Result<(), Denied> {
        self.covers(scope, None)
    }

    /// Whether it covers `scope` in `collection`.
    pub(super) fn allows_in(&self, scope: Scope, collection: &str) -> Result<(), Denied> {
        self.covers(scope, Some(collection))
    }

    fn covers(&self, scope: Scope, collection: Option<&str>) -> Result<(), Denied> {
        let request = self.owner.request();
        let on_trial = request.as_ref().is_none_or(|request| request.purpose == Purpose::Trial);
        if (on_trial && scope != Scope::Read) || !self.key.record.allows(scope) {
            return Err(Denied::Scope(scope));
        }
        if collection.is_some_and(|name| !self.key.record.allows_collection(name)) {
            return Err(Denied::Collection);
        }
        if let Some(request) = request {
            request.note_right(scope, collection);
        }
        Ok(())
    }
}

impl wit::Host for CapabilityView<'_> {
    fn convert_refusal(
        &mut self,
        error: ImportError<wit::Refusal>,
    ) -> wasmtime::Result<wit::Refusal> {
        error.into_error()
    }
}

impl wit::HostPermit for CapabilityView<'_> {
    fn drop(&mut self, permit: Resource<Permit>) -> wasmtime::Result<()> {
        self.table.delete(permit)?;
        Ok(())
    }
}

impl<T: 'static> wit::HostPermitWithStore<T> for Capabilities {
    fn quota(
        mut access: Access<'_, T, Self>,
        permit: Resource<Permit>,
    ) -> wasmtime::Result<wit::Quota> {
        let current = current(&mut access)?;
        let permit = access.get().table.get(&permit)?;
        match permit.owner.seen_from(current.as_ref()) {
            Ownership::Own | Ownership::Ended => Ok(quota_to_wit(&permit.quota)),
            Ownership::Foreign => Err(wasmtime::format_err!("the permit is another request's")),
        }
    }
}

impl<T: Send + 'static> wit::HostWithStore<T> for Capabilities {
    async fn admit(
        accessor: &Accessor<T, Self>,
        principal: Resource<Principal>,
        cost: u32,
    ) -> Result<Resource<Permit>, ImportError<wit::Refusal>> {
        let (asks, request) = Asks::of(accessor, &principal)?;
        let Asks { key, owner, services } = asks;
        let keyring = &services.keyring;
        // Every request costs something, whatever the handler says.
        let charge = async |units| match keyring.admit(&key, units).await {
            Decision::Admitted(quota) => Ok(quota),
            refused => Err(refused),
        };
        match request.charge_once(cost.max(1), charge).await {
            Ok(paid) => {
                let quota = match (paid, request.purpose) {
                    (Some(quota), _) => quota,
                    (None, Purpose::Client) => keyring.quota(&key).await,
                    (None, Purpose::Trial | Purpose::Rechunk) => keyring.own_quota(&key),
                };
                request.set_quota(quota);
                let permit = Permit { key, quota, owner };
                accessor.with(|mut access| Ok(access.get().table.push(permit)?))
            }
            Err(refused) => {
                if let Decision::Exhausted { quota, .. } = &refused {
                    request.set_quota(*quota);
                }
                services.telemetry.metrics.rate_limited();
                Err(refused.into())
            }
        }
    }
}

/// Who asks to be admitted.
struct Asks {
    key: Arc<Key>,
    owner: Owner,
    services: Arc<Services>,
}

impl Asks {
    /// Who has this principal, and the request that it is good for.
    fn of<T: 'static>(
        accessor: &Accessor<T, Capabilities>,
        principal: &Resource<Principal>,
    ) -> Result<(Self, Arc<RequestContext>), ImportError<wit::Refusal>> {
        accessor.with(|mut access| {
            let current = current(&mut access)?;
            let view = access.get();
            let principal = view.table.get(principal)?;
            let own = current.filter(|current| principal.owner.is(current));
            let request = own.ok_or(Denied::Over)?;
            let (key, owner) = (Arc::clone(&principal.key), principal.owner.clone());
            Ok((Self { key, owner, services: Arc::clone(view.services) }, request))
        })
    }
}

impl Cause for Decision {}

/// A decision that is a refusal.
impl From<Decision> for wit::Refusal {
    fn from(refused: Decision) -> Self {
        match refused {
            Decision::Exhausted { quota, retry_after } => Self::Exhausted(wit::Exhaustion {
                quota: quota_to_wit(&quota),
                retry_after_seconds: u32::try_from(retry_after.as_millis().div_ceil(1000))
                    .unwrap_or(u32::MAX),
            }),
            Decision::CostAboveBurst(_) | Decision::Admitted(_) => {
                Self::Other(Some("the cost is above the key's burst".into()))
            }
        }
    }
}

/// The name of the policy in `RateLimit-Policy`.
pub const POLICY: &str = "perkey";

fn quota_to_wit(quota: &Quota) -> wit::Quota {
    wit::Quota {
        policy: POLICY.into(),
        limit: quota.limit,
        window_seconds: quota.window_seconds,
        remaining: quota.remaining,
        reset_seconds: quota.reset_seconds,
    }
}
