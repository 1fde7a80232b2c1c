//! `/v1/keys`

use http::StatusCode;
use ragtime_api::resource::keys::{self, IssuedKey, Key, List};
use ragtime_api::{parameters, time};

use super::RouteResult;
use crate::bindings::keyring;
use crate::call::Call;
use crate::reply;
use crate::scopes::{from_wit, to_wit};

/// `GET /v1/keys`
pub(super) async fn list(call: Call) -> RouteResult {
    parameters::none(call.query())?;
    let keys = keyring::all(&call.permit).await?;
    Ok(reply::json(StatusCode::OK, &List { keys: keys.into_iter().map(Key::from).collect() }))
}

/// `GET /v1/keys/self`
pub(super) async fn current(call: Call) -> RouteResult {
    parameters::none(call.query())?;
    let key = keyring::current(&call.permit).await?;
    Ok(reply::json(StatusCode::OK, &Key::from(key)))
}

/// `POST /v1/keys`
pub(super) async fn create(mut call: Call) -> RouteResult {
    parameters::none(call.query())?;
    let request = keys::read(&call.json_body().await?)?;
    let request = keyring::KeyRequest {
        name: request.name,
        scopes: request.scopes.into_iter().map(to_wit).collect(),
        collections: request.collections,
        expires_at: request.expires_at,
        rate_per_minute: request.rate_per_minute,
        burst: request.burst,
    };
    Ok(issued(keyring::issue(&call.permit, request).await?))
}

/// `POST /v1/keys/{id}/rotate`
pub(super) async fn rotate(mut call: Call) -> RouteResult {
    parameters::none(call.query())?;
    let id = call.id().await?;
    let grace_seconds = keys::read_grace(&call.json_body().await?)?;
    Ok(issued(keyring::rotate(&call.permit, id, grace_seconds).await?))
}

/// `PATCH /v1/keys/{id}`
pub(super) async fn update(mut call: Call) -> RouteResult {
    parameters::none(call.query())?;
    let id = call.id().await?;
    let change = keys::read_change(&call.json_body().await?)?;
    let change = keyring::KeyChange {
        name: change.name,
        scopes: change.scopes.map(|scopes| scopes.into_iter().map(to_wit).collect()),
        collections: change.collections,
        expires_at: change.expires_at,
        rate_per_minute: change.rate_per_minute,
        burst: change.burst,
    };
    let key = keyring::update(&call.permit, id, change).await?;
    Ok(reply::json(StatusCode::OK, &Key::from(key)))
}

/// `DELETE /v1/keys/{id}`
pub(super) async fn revoke(mut call: Call) -> RouteResult {
    parameters::none(call.query())?;
    let id = call.id().await?;
    keyring::revoke(&call.permit, id).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// The one response that holds a secret: no cache may keep it.
fn issued(issued: keyring::IssuedKey) -> axum::response::Response {
    let body = IssuedKey { key: issued.key.into(), credential: issued.credential };
    let mut response = reply::json(StatusCode::CREATED, &body);
    let no_store = http::HeaderValue::from_static("no-store");
    response.headers_mut().insert(http::header::CACHE_CONTROL, no_store);
    response
}

impl From<keyring::Key> for Key {
    fn from(key: keyring::Key) -> Self {
        Self {
            id: key.id,
            name: key.name,
            scopes: key.scopes.into_iter().map(|scope| from_wit(scope).name()).collect(),
            collections: key.collections,
            created_at: time::rfc3339(key.created_at),
            expires_at: key.expires_at.map(time::rfc3339),
            last_used_at: key.last_used_at.map(time::rfc3339),
            rate_per_minute: key.rate_per_minute,
            burst: key.burst,
        }
    }
}
