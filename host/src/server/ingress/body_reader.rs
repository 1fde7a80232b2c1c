//! The bodies of requests: read whole, within their limits, and only for a key.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::EXPECT;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use ragtime_policy::scope::Scope;
use tokio::time::{Instant, timeout, timeout_at};

use super::byte_budget::{ByteBudget, HeldBytes};
use super::content_encoding::Encoding;
use super::problem::Problem;
use crate::config;
use crate::keyring::Key;
use crate::telemetry::Route;

/// How much of a body that nobody wants is taken and thrown away. A client that
/// is still sending when the connection closes may not see why (RFC 9112 section
/// 9.6).
const DISCARDED_BYTES: usize = 256 * 1024;

/// How long that may take.
const DISCARD_TIME: Duration = Duration::from_millis(500);

/// Reads the bodies of requests.
pub struct BodyReader {
    budget: Arc<ByteBudget>,
    most: usize,
    most_json: usize,
    wait: Duration,
}

impl BodyReader {
    /// Within the limits of the settings.
    pub fn new(limits: &config::Server) -> Self {
        Self {
            budget: ByteBudget::new(limits),
            most: limits.max_body_bytes,
            most_json: limits.max_json_bytes.min(limits.max_body_bytes),
            wait: Duration::from_millis(limits.body_timeout_ms),
        }
    }

    /// The whole body of a request of `key`, so that a slow client holds no
    /// instance and a lost instance costs no request. Limits hold for the body
    /// without its encoding too, and its bytes count until the second value is
    /// dropped.
    ///
    /// # Errors
    ///
    /// The limit that it breaks.
    pub async fn read(
        &self,
        body: Incoming,
        headers: &mut HeaderMap,
        encoding: Encoding,
        key: &Arc<Key>,
        route: &Route,
    ) -> Result<(Bytes, HeldBytes), Problem> {
        let held = self.budget.begin(key);
        if body.is_end_stream() {
            return Ok((Bytes::new(), held));
        }
        let limit = self.limit(key, route);
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        // Who asks before sending need not send.
        if announced > limit && headers.contains_key(EXPECT) {
            return Err(Problem::BodyTooLarge);
        }
        let discarded = limit.saturating_mul(2).max(self.most);
        let until = Instant::now() + self.wait;
        let (body, mut held) = whole(body, limit, discarded, held, until).await?;
        let body = encoding.decode(headers, body, limit).await?;
        held.grow(body.len())?;
        Ok((body, held))
    }

    /// Only who may write has documents to send, and only where documents go.
    fn limit(&self, key: &Key, route: &Route) -> usize {
        let sends_documents = key.record.allows(Scope::Write) && !route.takes_only_json();
        if sends_documents { self.most } else { self.most_json }
    }
}

/// Reads a body of up to `limit` bytes. One that is longer, or for which there
/// is no room, is read on to `discarded` and thrown away, so that a client that
/// is still sending sees why: see [`DISCARDED_BYTES`]. All of it must have come
/// by `until`.
async fn whole(
    mut body: Incoming,
    limit: usize,
    discarded: usize,
    mut held: HeldBytes,
    until: Instant,
) -> Result<(Bytes, HeldBytes), Problem> {
    let (mut kept, mut total) = (BytesMut::new(), 0_usize);
    let refusal = loop {
        let frame = timeout_at(until, body.frame()).await.map_err(|_| Problem::BodyTimeout)?;
        let Some(frame) = frame else { return Ok((kept.freeze(), held)) };
        let Ok(data) = frame.map_err(|_| Problem::BodyBroken)?.into_data() else { continue };
        total = total.saturating_add(data.len());
        if total > limit {
            break Problem::BodyTooLarge;
        }
        if let Err(problem) = held.grow(total) {
            break problem;
        }
        kept.extend_from_slice(&data);
    };
    // What is thrown away takes no memory, and counts no longer.
    drop((kept, held));
    let _ = timeout_at(until, skip(&mut body, discarded.saturating_sub(total))).await;
    Err(refusal)
}

/// Takes up to `most` bytes of a body and keeps nothing of them. Returns whether
/// that was all of it.
async fn skip(body: &mut Incoming, most: usize) -> bool {
    let mut total = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        total += frame.data_ref().map_or(0, Bytes::len);
        if total > most {
            return false;
        }
    }
    true
}

/// Takes a little of a body that nobody wants, and keeps nothing of it. Returns
/// whether that was all of it: if it was not, the connection can carry no other
/// request.
pub async fn discard(mut body: Incoming, headers: &HeaderMap) -> bool {
    if body.is_end_stream() {
        return true;
    }
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > DISCARDED_BYTES || headers.contains_key(EXPECT) {
        return false;
    }
    // What has not come by then is for the client to notice.
    timeout(DISCARD_TIME, skip(&mut body, DISCARDED_BYTES)).await.unwrap_or(false)
}
