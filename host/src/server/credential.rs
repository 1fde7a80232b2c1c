//! Takes the client's credential out of a request before a handler sees it.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::Secret;

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Stands for a credential of another scheme, or for a second one that differs
/// from the first: it is in the request, and nobody can use it.
const UNUSABLE: &str = "unusable";

/// The credential a request carries, if it is one of ours to check.
pub fn find(headers: &HeaderMap) -> Option<Secret> {
    bearer(headers).or_else(|| headers.get(API_KEY)?.to_str().ok()).map(Secret::from)
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
