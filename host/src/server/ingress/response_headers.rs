//! The headers of responses that are the host's to set, whatever a handler
//! says: they rule browsers and proxies, or state what only the host knows.

use http::{HeaderMap, HeaderName, HeaderValue};
use ragtime_policy::bucket::Quota;

use crate::capability::rate_limit::POLICY;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What no handler sets: cookies and cross-origin rules of the whole origin,
/// where else it can be reached, where browsers report to, what connects two
/// hops, and what names the server.
const OWNED: [&str; 24] = [
    "alt-svc",
    "clear-site-data",
    "connection",
    "date",
    "idempotency-replayed",
    "keep-alive",
    "nel",
    "proxy-authenticate",
    "proxy-connection",
    "ratelimit",
    "ratelimit-policy",
    "refresh",
    "report-to",
    "reporting-endpoints",
    "server",
    "service-worker-allowed",
    "set-cookie",
    "set-cookie2",
    "strict-transport-security",
    "timing-allow-origin",
    "upgrade",
    "via",
    "x-powered-by",
    "x-sendfile",
];

/// Families of them. `X-Accel-*` has nginx serve another of its files in the
/// response's place.
const OWNED_PREFIXES: [&str; 3] = ["access-control-", "x-accel-", "x-ratelimit-"];

/// The one of a family that only says how the response is to be sent.
const HARMLESS: &str = "x-accel-buffering";

/// Takes out of a handler's headers what is the host's, and says what is left
/// of the caller's budget.
pub fn own(headers: &mut HeaderMap, quota: Option<&Quota>) {
    strip(headers);
    let Some(quota) = quota else { return };
    // draft-ietf-httpapi-ratelimit-headers-11
    let policy = format!("\"{POLICY}\";q={};w={}", quota.limit, quota.window_seconds);
    let state = format!("\"{POLICY}\";r={};t={}", quota.remaining, quota.reset_seconds);
    for (name, value) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, state)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
}

/// Takes out of headers or trailers what is the host's.
pub fn strip(headers: &mut HeaderMap) {
    let owned: Vec<HeaderName> =
        headers.keys().filter(|name| is_owned(name.as_str())).cloned().collect();
    for name in owned {
        headers.remove(name);
    }
}

fn is_owned(name: &str) -> bool {
    OWNED.binary_search(&name).is_ok()
        || (name != HARMLESS && OWNED_PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_list_is_in_order() {
        assert!(OWNED.is_sorted());
    }

    #[test]
    fn a_handler_keeps_its_own_headers_and_loses_the_hosts() {
        let mut headers = HeaderMap::new();
        for name in ["content-type", "etag", "x-accel-buffering", "cache-control"] {
            headers.insert(name, HeaderValue::from_static("kept"));
        }
        for name in ["set-cookie", "access-control-allow-origin", "x-accel-redirect", "ratelimit"] {
            headers.append(name, HeaderValue::from_static("first"));
            headers.append(name, HeaderValue::from_static("second"));
        }
        own(&mut headers, None);
        assert_eq!(headers.len(), 4, "{headers:?}");
        let quota = Quota { limit: 60, window_seconds: 60, remaining: 59, reset_seconds: 1 };
        own(&mut headers, Some(&quota));
        assert_eq!(headers["ratelimit"], "\"perkey\";r=59;t=1");
        assert_eq!(headers["ratelimit-policy"], "\"perkey\";q=60;w=60");
    }
}
