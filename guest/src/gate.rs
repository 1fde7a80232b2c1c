//! From a stranger's request to the leave to serve it.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use ragtime_api::credential;
use ragtime_api::problem::{Code, Problem};
use ragtime_api::rate::Quota;
use ragtime_api::routes::Scope;

use crate::bindings::admission::{self, Permit, Refusal};
use crate::bindings::principals::{self, Principal};
use crate::failure;
use crate::scopes::to_wit;

/// Why a request does not pass. Holds the budget when that is the reason.
pub(crate) struct Refused {
    /// What to answer.
    pub(crate) problem: Problem,
    /// The budget that is spent.
    pub(crate) quota: Option<Quota>,
}

impl<P: Into<Problem>> From<P> for Refused {
    fn from(problem: P) -> Self {
        Self { problem: problem.into(), quota: None }
    }
}

/// Authenticates and checks the scope. The scope is checked here to answer
/// early; the host checks it at each call.
pub(crate) async fn authenticate(
    headers: &HeaderMap,
    scope: Option<Scope>,
) -> Result<Principal, Refused> {
    let value = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
    let credential = credential::find(value(AUTHORIZATION.as_str()), value("x-api-key"))?;
    let principal = principals::authenticate(credential.map(str::to_owned)).await?;
    if let Some(scope) = scope
        && !principal.identity().scopes.contains(&to_wit(scope))
    {
        return Err(Problem::scope_required(scope.name()).into());
    }
    Ok(principal)
}

/// Admits at `cost` units.
pub(crate) async fn admit(principal: &Principal, cost: u32) -> Result<(Permit, Quota), Refused> {
    match admission::admit(principal, cost).await {
        Ok(permit) => {
            let quota = permit.quota().into();
            Ok((permit, quota))
        }
        Err(Refusal::Exhausted(exhaustion)) => Err(Refused {
            problem: Problem::retry(Code::RateLimited, exhaustion.retry_after_seconds),
            quota: Some(exhaustion.quota.into()),
        }),
        Err(Refusal::Other(text)) => Err(failure::internal("admit", text).into()),
    }
}

impl From<admission::Quota> for Quota {
    fn from(quota: admission::Quota) -> Self {
        Self {
            policy: quota.policy,
            limit: quota.limit,
            window_seconds: quota.window_seconds,
            remaining: quota.remaining,
            reset_seconds: quota.reset_seconds,
        }
    }
}
