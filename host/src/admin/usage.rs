//! `/admin/keys`: what each key has spent, and what it is at.

use http::StatusCode;
use serde_json::json;

use super::observe::rfc3339;
use super::{Admin, Answered, json};

impl Admin {
    /// Every live key with its use, oldest first. `GET /v1/keys` has what it may do.
    pub(super) fn keys(&self) -> Answered {
        let keyring = &self.services.keyring;
        let keys: Vec<_> = keyring
            .all()
            .iter()
            .map(|key| {
                let quota = keyring.quota(key);
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
