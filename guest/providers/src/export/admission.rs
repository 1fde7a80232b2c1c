//! `ragtime:rate-limit/admission`. Budgets are this instance's: see `docs/handlers.md`
//! for what that means.

use std::cell::RefCell;
use std::rc::Rc;

use ragtime_openai::checked::Assessed;
use ragtime_policy::bucket::{Decision, Quota};

use super::Provider;
use super::auth::Principal;
use crate::bindings::admission as wit;
use crate::bindings::principals::PrincipalBorrow;
use crate::keys::Key;
use crate::state::state;

/// The name of the policy in `RateLimit-Policy`.
const POLICY: &str = "perkey";

/// Leave to do the work of one request.
pub(crate) struct Permit {
    pub(super) key: Rc<Key>,
    quota: Quota,
    /// What is known of the last answer under it.
    pub(super) assessed: Rc<RefCell<Option<Assessed>>>,
}

impl wit::Guest for Provider {
    type Permit = Permit;

    async fn admit(principal: PrincipalBorrow<'_>, cost: u32) -> Result<wit::Permit, wit::Refusal> {
        let key = Rc::clone(&principal.get::<Principal>().key);
        let state = state().map_err(|error| wit::Refusal::Other(Some(error)))?;
        let now = state.borrow().started.elapsed();
        // Every request costs something, whatever the handler says.
        match key.admit(now, cost.max(1)) {
            Decision::Admitted(quota) => {
                Ok(wit::Permit::new(Permit { key, quota, assessed: Rc::default() }))
            }
            Decision::Exhausted { quota, retry_after } => {
                let seconds = retry_after.as_millis().div_ceil(1000);
                Err(wit::Refusal::Exhausted(wit::Exhaustion {
                    quota: quota_to_wit(&quota),
                    retry_after_seconds: u32::try_from(seconds).unwrap_or(u32::MAX),
                }))
            }
            Decision::CostAboveBurst(_) => {
                Err(wit::Refusal::Other(Some("the cost is above the key's burst".into())))
            }
        }
    }
}

impl wit::GuestPermit for Permit {
    fn quota(&self) -> wit::Quota {
        quota_to_wit(&self.quota)
    }
}

fn quota_to_wit(quota: &Quota) -> wit::Quota {
    wit::Quota {
        policy: POLICY.into(),
        limit: quota.limit,
        window_seconds: quota.window_seconds,
        remaining: quota.remaining,
        reset_seconds: quota.reset_seconds,
    }
}
