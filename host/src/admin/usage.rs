//! `/admin/keys`: what each key has spent, and what it is at.

use std::sync::Arc;

use futures::stream::{self, StreamExt};
use http::StatusCode;
use serde_json::json;

use super::observe::rfc3339;
use super::{Admin, Answered, json};
use crate::keyring::Key;

/// Budgets that are looked at at once, where another server keeps them: so many take it
/// about a millisecond.
const AT_ONCE: usize = 32;

impl Admin {
    /// Every live key with its use, oldest first. `GET /v1/keys` has what it may do.
    pub(super) async fn keys(&self) -> Answered {
        let keyring = &self.services.keyring;
        let all = keyring.all();
        let look = |key: Arc<Key>| async move { keyring.quota(&key).await };
        let quotas = stream::iter(all.clone()).map(look).buffered(AT_ONCE);
        let quotas: Vec<_> = quotas.collect().await;
        let keys: Vec<_> = all
            .iter()
            .zip(quotas)
            .map(|(key, quota)| {
                json!({
                    "id": key.record.id.as_str(), "name": key.record.name,
                    "last_used_at": key.last_used_at().map(rfc3339),
                    "spent_units": key.spent_units(), "in_flight": key.at_work(),
                    "remaining_units": quota.remaining, "limit_units": quota.limit,
                })
            })
            .collect();
        Ok(json(StatusCode::OK, &json!({"keys": keys})))
    }
}
