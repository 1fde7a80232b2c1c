//! `/admin/fleet`: the hosts that share a database.

use http::StatusCode;
use serde_json::json;

use super::{Admin, Answered, json};
use crate::blocking::blocking;
use crate::swap::SwapError;

impl Admin {
    /// What `ragtime fleet status` shows, and which of the hosts answers. A server that is
    /// alone has no `fleet`, and no `hosts`.
    pub(super) async fn fleet(&self) -> Answered {
        let store = self.services.store.clone();
        let id = store.host().map(|host| host.id);
        let looked = blocking(move || store.fleet_overview()).await.map_err(SwapError::from)?;
        let overview = looked.map_err(SwapError::from)?;
        let overview = match overview {
            Some(overview) => overview.to_json(),
            None => json!({"fleet": null, "hosts": []}),
        };
        let mut body = overview.as_object().cloned().unwrap_or_default();
        body.insert("answered_by".into(), json!(id));
        Ok(json(StatusCode::OK, &body.into()))
    }
}
