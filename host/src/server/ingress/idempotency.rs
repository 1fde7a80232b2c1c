//! `Idempotency-Key`: a request that is sent again is answered as the first
//! time, and not done again (draft-ietf-httpapi-idempotency-key-header-07).
//!
//! A response is kept, durably, when its request has changed something and did
//! not fail. Should the process die between the change and the keeping, the
//! repetition is done again; writes of documents are the same the second time.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;
use ragtime_policy::bucket::Decision;
use ragtime_store::{Claim, Claimed, IdempotencyRecord};
use sha2::{Digest, Sha256};

use super::handler_response::HandlerResponse;
use super::problem::Problem;
use crate::blocking::blocking;
use crate::config;
use crate::keyring::Key;
use crate::runtime::request::RequestContext;
use crate::runtime::rights::{Lacking, Rights};
use crate::services::Services;

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The longest key: room for any UUID and a prefix.
const MAX_KEY_BYTES: usize = 255;

/// Headers that belong to one response and not to its repetition: the budget
/// and the date are another's.
const OWN: [&str; 5] =
    ["x-request-id", "ratelimit", "ratelimit-policy", "date", "transfer-encoding"];

type Named = (String, String);

/// The idempotency records of a server, and the requests at work that will have one.
pub struct Idempotency {
    services: Arc<Services>,
    seconds: u64,
    max_bytes: usize,
    /// How long a request may be at work, in seconds: then another host may do it, as the
    /// one that was at it is gone.
    claim_seconds: u64,
    at_work: Mutex<HashMap<Named, [u8; 32]>>,
}

/// The record of a request that is at work.
pub struct PendingRecord {
    all: Arc<Idempotency>,
    name: Named,
    fingerprint: [u8; 32],
    /// What keeps the other hosts of a fleet from the request.
    claim: Option<Claim>,
}

/// What is known of a request by its `Idempotency-Key`.
pub enum Lookup {
    /// The request names no key, or cannot change anything.
    NotApplicable,
    /// The request was not done before: do it, and [`PendingRecord::finish`] its record.
    First(PendingRecord),
    /// The request was done before, and this is its response.
    Recorded(Response<Full<Bytes>>),
}

impl Idempotency {
    /// Keeps responses by these settings.
    pub fn new(services: Arc<Services>, limits: &config::Server) -> Arc<Self> {
        Arc::new(Self {
            services,
            seconds: limits.idempotency_seconds,
            max_bytes: limits.max_kept_response_bytes,
            claim_seconds: limits.request_timeout_ms.div_ceil(1_000),
            at_work: Mutex::default(),
        })
    }

    /// Looks whether a request was done before.
    ///
    /// # Errors
    ///
    /// When its key is at work, was another request's, or is none.
    pub async fn begin(
        self: &Arc<Self>,
        principal: Option<&Arc<Key>>,
        parts: &http::request::Parts,
        body: &Bytes,
    ) -> Result<Lookup, Problem> {
        let safe = [Method::GET, Method::HEAD, Method::OPTIONS].contains(&parts.method);
        // Without a principal the handler refuses whatever changes something.
        let (Some(value), Some(principal), false) = (parts.headers.get(&HEADER), principal, safe)
        else {
            return Ok(Lookup::NotApplicable);
        };
        let name = (principal.record.id.to_string(), key(value)?);
        let fingerprint = fingerprint(parts, body);
        let mut record = self.enter(name, fingerprint)?;
        if self.services.store.in_fleet() {
            return match record.claim().await? {
                None => Ok(Lookup::First(record)),
                Some(kept) => self.recorded(principal, fingerprint, kept).await,
            };
        }
        let found = {
            let (services, name, oldest) =
                (Arc::clone(&self.services), record.name.clone(), self.oldest());
            let find = move || services.store.kept_response(&name.0, &name.1, oldest);
            blocking(find).await
        };
        match found {
            Ok(Ok(None)) => Ok(Lookup::First(record)),
            Ok(Ok(Some(kept))) => self.recorded(principal, fingerprint, kept).await,
            // Fail closed: what cannot be looked up might have been done.
            Ok(Err(_)) | Err(_) => Err(Problem::Unavailable),
        }
    }

    /// The recorded response of a request that was sent before.
    async fn recorded(
        &self,
        principal: &Key,
        fingerprint: [u8; 32],
        record: IdempotencyRecord,
    ) -> Result<Lookup, Problem> {
        if record.fingerprint != fingerprint {
            return Err(Problem::IdempotencyKeyReused);
        }
        self.admit(principal, record.rights.as_deref()).await?;
        response_of(record).map(Lookup::Recorded)
    }

    /// Whether the key may have a kept response: it needs every right that the
    /// request used, and pays what the request paid.
    async fn admit(&self, key: &Key, rights: Option<&str>) -> Result<(), Problem> {
        let rights = rights.and_then(Rights::from_json);
        let rights = rights.ok_or(Problem::IdempotencyResponseNotKept)?;
        rights.check(&key.record).map_err(|lacking| match lacking {
            Lacking::Scope => Problem::ScopeRequired,
            Lacking::Collection => Problem::CollectionForbidden,
        })?;
        // A smaller burst than then must not make the response unreachable.
        let cost = rights.cost.clamp(1, key.record.burst.max(1));
        match self.services.keyring.admit(key, cost).await {
            Decision::Admitted(_) => Ok(()),
            Decision::Exhausted { retry_after, .. } => {
                self.services.telemetry.metrics.rate_limited();
                let seconds = retry_after.as_millis().div_ceil(1_000);
                let retry_after_seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
                Err(Problem::RateLimited { retry_after_seconds })
            }
            Decision::CostAboveBurst(_) => Err(Problem::IdempotencyResponseNotKept),
        }
    }

    fn enter(
        self: &Arc<Self>,
        name: Named,
        fingerprint: [u8; 32],
    ) -> Result<PendingRecord, Problem> {
        let mut at_work = self.at_work.lock();
        match at_work.get(&name) {
            Some(other) if *other != fingerprint => Err(Problem::IdempotencyKeyReused),
            Some(_) => Err(Problem::IdempotencyInProgress),
            None => {
                at_work.insert(name.clone(), fingerprint);
                Ok(PendingRecord { all: Arc::clone(self), name, fingerprint, claim: None })
            }
        }
    }

    fn oldest(&self) -> u64 {
        self.services.store.now().saturating_sub(self.seconds)
    }
}

impl PendingRecord {
    /// Keeps the other hosts of a fleet from the request; the response of one that was
    /// done before.
    async fn claim(&mut self) -> Result<Option<IdempotencyRecord>, Problem> {
        let store = &self.all.services.store;
        let (now, (principal, key)) = (store.now(), self.name.clone());
        let claim = Claim {
            principal,
            key,
            fingerprint: self.fingerprint,
            holder: uuid::Uuid::now_v7().to_string(),
            until: now.saturating_add(self.all.claim_seconds),
        };
        match store.claim(claim.clone(), now, self.all.oldest()).await {
            Ok(Claimed::First) => {
                self.claim = Some(claim);
                Ok(None)
            }
            Ok(Claimed::Held(other)) if other != self.fingerprint => {
                Err(Problem::IdempotencyKeyReused)
            }
            Ok(Claimed::Held(_)) => Err(Problem::IdempotencyInProgress),
            Ok(Claimed::Recorded(kept)) => Ok(Some(kept)),
            // Fail closed: another host may be at it.
            Err(_) => Err(Problem::Unavailable),
        }
    }

    /// Keeps the response of a request that has changed something. The client
    /// gets it when it is on disk.
    ///
    /// # Errors
    ///
    /// [`Problem::Interrupted`] when the response breaks off.
    pub async fn finish(
        mut self,
        answered: HandlerResponse,
        context: &RequestContext,
    ) -> Result<HandlerResponse, Problem> {
        let (status, headers) = answered.head();
        let kept = context.wrote() && !status.is_server_error();
        if !kept || is_event_stream(headers) {
            return Ok(answered);
        }
        let (head, body) = match answered {
            HandlerResponse::Whole(head, body) => (head, body),
            HandlerResponse::Stream(response) => {
                let (head, body) = response.into_parts();
                let Ok(body) = body.collect().await else {
                    self.interrupted(context).await;
                    return Err(Problem::Interrupted);
                };
                (head, body.to_bytes())
            }
        };
        let storable = !is_secret(&head.headers) && body.len() <= self.all.max_bytes;
        let response = IdempotencyRecord {
            fingerprint: self.fingerprint,
            at: self.all.services.store.now(),
            status: head.status.as_u16(),
            headers: headers_to_json(&head.headers),
            body: storable.then(|| body.to_vec()),
            rights: context.rights().to_json(),
        };
        self.keep(response).await;
        Ok(HandlerResponse::Whole(head, body))
    }

    /// Notes that the request was begun and has no response, so that its
    /// repetition is not taken for the first.
    pub async fn interrupted(mut self, context: &RequestContext) {
        let response = IdempotencyRecord {
            fingerprint: self.fingerprint,
            at: self.all.services.store.now(),
            status: StatusCode::INTERNAL_SERVER_ERROR.as_u16(),
            headers: "[]".into(),
            body: None,
            rights: context.rights().to_json(),
        };
        self.keep(response).await;
    }

    async fn keep(&mut self, response: IdempotencyRecord) {
        let (principal, key) = self.name.clone();
        let store = &self.all.services.store;
        match store.keep_response(principal, key, response, self.all.oldest()).await {
            // The claim has gone with it.
            Ok(()) => self.claim = None,
            // The change itself is done and must be reported as such.
            Err(error) => {
                tracing::error!(%error, "the idempotency record of a response was not written");
            }
        }
    }
}

impl Drop for PendingRecord {
    fn drop(&mut self) {
        self.all.at_work.lock().remove(&self.name);
        if let Some(claim) = self.claim.take() {
            let store = self.all.services.store.clone();
            // What is not given back ends by itself.
            tokio::spawn(async move { store.release(claim).await });
        }
    }
}

/// A string of structured fields, with its quotes, or as most clients send it,
/// without.
fn key(value: &HeaderValue) -> Result<String, Problem> {
    let text = value.to_str().map_err(|_| Problem::InvalidIdempotencyKey)?.trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let fits =
        (1..=MAX_KEY_BYTES).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if fits { Ok(text.to_owned()) } else { Err(Problem::InvalidIdempotencyKey) }
}

fn fingerprint(parts: &http::request::Parts, body: &Bytes) -> [u8; 32] {
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let media_type = parts.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let mut hash = Sha256::new();
    for part in [parts.method.as_str().as_bytes(), target.as_bytes(), media_type, body] {
        // With its length, so that no two requests are the same bytes.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE);
    value.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

/// A response that no cache may keep holds a new credential, and secrets are
/// not written down.
fn is_secret(headers: &HeaderMap) -> bool {
    let value = headers.get(CACHE_CONTROL).and_then(|value| value.to_str().ok());
    value.is_some_and(|value| value.contains("no-store"))
}

fn headers_to_json(headers: &HeaderMap) -> String {
    let pairs: Vec<_> = headers
        .iter()
        .filter(|(name, _)| !OWN.contains(&name.as_str()))
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    serde_json::json!(pairs).to_string()
}

fn response_of(record: IdempotencyRecord) -> Result<Response<Full<Bytes>>, Problem> {
    let Some(body) = record.body else { return Err(Problem::IdempotencyResponseNotKept) };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = StatusCode::from_u16(record.status).unwrap_or(StatusCode::OK);
    let pairs: Vec<(String, String)> = serde_json::from_str(&record.headers).unwrap_or_default();
    for (name, value) in pairs {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(&value))
            && name != CONTENT_LENGTH
        {
            response.headers_mut().append(name, value);
        }
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_is_visible_text_with_or_without_quotes() {
        let of = |text: &str| key(&HeaderValue::from_str(text).unwrap());
        assert_eq!(of("\"8e03978e\"").unwrap(), "8e03978e");
        assert_eq!(of("8e03978e").unwrap(), "8e03978e");
        for bad in ["", "\"\"", "a b", &"k".repeat(256)] {
            assert_eq!(of(bad).unwrap_err(), Problem::InvalidIdempotencyKey, "{bad}");
        }
    }

    #[test]
    fn where_a_request_is_cut_matters() {
        let parts = |path: &str| http::Request::post(path).body(()).unwrap().into_parts().0;
        let one = fingerprint(&parts("/a"), &Bytes::from("bc"));
        assert_ne!(one, fingerprint(&parts("/ab"), &Bytes::from("c")));
        assert_eq!(one, fingerprint(&parts("/a"), &Bytes::from("bc")));
    }
}
