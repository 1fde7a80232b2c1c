//! Takes the client's credential out of a request before a handler sees it.

use std::borrow::Cow;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{percent_decode, percent_decode_str};

use crate::config::Secret;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Stands for a credential of another scheme, or for a second one that differs
/// from the first: it is in the request, and nobody can use it.
const UNUSABLE: &str = "unusable";

/// The credential a request carries, if it is one of ours to check.
pub fn find(headers: &HeaderMap) -> Option<Secret> {
    bearer(headers).or_else(|| headers.get(API_KEY)?.to_str().ok()).map(Secret::from)
}

/// Whether a request names its credential once. Of two in headers of one name
/// a proxy may have checked the other one.
pub fn is_unambiguous(headers: &HeaderMap) -> bool {
    [AUTHORIZATION, API_KEY].iter().all(|name| headers.get_all(name).iter().nth(1).is_none())
}

/// How a credential of this server begins, and how the parts behind it are
/// written.
const MARK: &str = "rt_";

/// A path as it may be written down: segments that look like a credential are
/// left out, also where characters of it are percent-encoded, and what is too
/// long to be of use.
pub fn redacted(path: &str) -> Cow<'_, str> {
    let end = path.floor_char_boundary(MAX_LOGGED_PATH_BYTES);
    let (path, whole) = (path.get(..end).unwrap_or_default(), end == path.len());
    if whole && !path.contains('%') && !path.contains(MARK) {
        return Cow::Borrowed(path);
    }
    let segments: Vec<_> = path
        .split('/')
        .map(|segment| if holds_credential(segment) { REDACTED } else { segment })
        .collect();
    Cow::Owned(segments.join("/") + if whole { "" } else { "…" })
}

/// The longest path that is written down whole.
const MAX_LOGGED_PATH_BYTES: usize = 1_024;

const REDACTED: &str = "[credential]";

/// The fewest characters behind the mark: an id of 12, and a part of the secret
/// that is worth something to who guesses the rest.
const FEWEST: usize = 20;

fn holds_credential(segment: &str) -> bool {
    let decoded: Vec<u8> = decode(segment);
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    decoded.windows(MARK.len()).enumerate().any(|(at, window)| {
        let rest = decoded.get(at + MARK.len()..).unwrap_or_default();
        window == MARK.as_bytes() && rest.iter().take_while(|byte| is_part(byte)).count() >= FEWEST
    })
}

/// Percent-encoding undone, twice over.
fn decode(segment: &str) -> Vec<u8> {
    let once: Vec<u8> = percent_decode_str(segment).collect();
    percent_decode(&once).collect()
}

/// Puts `reference` in the credential's place. Nothing else of what the client
/// sent in these headers is left.
pub fn replace(headers: &mut HeaderMap, reference: &str) {
    let token = bearer(headers).map(str::to_owned);
    let api_key = headers.get(API_KEY).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let scheme = match (&token, headers.contains_key(AUTHORIZATION)) {
        (Some(_), _) => Some(format!("Bearer {reference}")),
        (None, true) => Some(format!("Other {UNUSABLE}")),
        (None, false) => None,
    };
    let api_key = headers.contains_key(API_KEY).then(|| match (&token, &api_key) {
        (None, Some(_)) => reference,
        (Some(token), Some(key)) if token == key => reference,
        _ => UNUSABLE,
    });
    set(headers, AUTHORIZATION, scheme.as_deref());
    set(headers, API_KEY, api_key);
    headers.remove(http::header::COOKIE);
    headers.remove(http::header::PROXY_AUTHORIZATION);
}

/// The token of `Authorization: Bearer TOKEN` (RFC 6750 section 2.1; the
/// scheme's case does not matter, RFC 9110 section 11.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<&str>) {
    match value.and_then(|value| HeaderValue::from_str(value).ok()) {
        Some(value) => {
            headers.insert(name, value);
        }
        None => {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    #[test]
    fn a_bearer_token_is_found_and_replaced() {
        let mut headers = headers(&[("authorization", "bearer rt_a_b"), ("cookie", "c=1")]);
        assert_eq!(find(&headers).unwrap().expose(), "rt_a_b");
        replace(&mut headers, "ref_1");
        assert_eq!(headers["authorization"], "Bearer ref_1");
        assert!(!headers.contains_key("cookie"));
    }

    #[test]
    fn a_credential_in_a_path_is_not_written_down() {
        const KEY: &str = "rt_AAAAAAAAAAAA_1111111111111111111111111111111111111111111";
        for path in [
            format!("/v1/keys/{KEY}"),
            format!("/{KEY}/x"),
            format!("/v1/keys/{}", KEY.replace('_', "%5F")),
            format!("/v1/keys/{}", KEY.replace('_', "%255f").replace("rt", "%72t")),
            format!("/v1/jobs/x{KEY}y"),
        ] {
            let logged = redacted(&path);
            assert!(logged.contains(REDACTED) && !logged.contains("1111"), "{logged}");
        }
        for path in ["/v1/collections/a%20b/documents/rt_short", "/v1/keys/AAAAAAAAAAAA", "/"] {
            assert_eq!(redacted(path), path);
        }
        let long = redacted(&"/a".repeat(10_000)).into_owned();
        assert!(long.len() < 1_100 && long.ends_with('…'));
    }

    #[test]
    fn a_credential_is_named_once() {
        let mut headers = headers(&[("authorization", "Bearer a"), ("x-api-key", "a")]);
        assert!(is_unambiguous(&headers));
        headers.append("authorization", HeaderValue::from_static("Bearer a"));
        assert!(!is_unambiguous(&headers));
    }

    #[test]
    fn an_api_key_is_found_and_replaced() {
        let mut headers = headers(&[("x-api-key", "rt_a_b")]);
        assert_eq!(find(&headers).unwrap().expose(), "rt_a_b");
        replace(&mut headers, "ref_1");
        assert_eq!(headers["x-api-key"], "ref_1");
    }

    #[test]
    fn two_credentials_that_differ_stay_different() {
        let mut headers = headers(&[("authorization", "Bearer one"), ("x-api-key", "two")]);
        replace(&mut headers, "ref_1");
        assert_ne!(
            headers["authorization"],
            format!("Bearer {}", headers["x-api-key"].to_str().unwrap())
        );
    }

    #[test]
    fn no_byte_of_another_scheme_reaches_the_handler() {
        let mut headers = headers(&[("authorization", "Basic dXNlcjpwYXNz")]);
        assert!(find(&headers).is_none());
        replace(&mut headers, "ref_1");
        assert_eq!(headers["authorization"], "Other unusable");
    }
}
