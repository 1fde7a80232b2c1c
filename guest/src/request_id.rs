//! The id of a request. The Ragtime host gives one to each, whatever the client
//! sent; a stock runtime does not.

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// Carries it, in and out.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id that the request has, or a new one that it has from now on. What is
/// no UUID was a client's idea, and could be of any length.
pub(crate) fn ensure(headers: &mut HeaderMap) -> HeaderValue {
    let given = headers.get(HEADER).filter(|id| Uuid::try_parse_ascii(id.as_bytes()).is_ok());
    if let Some(id) = given {
        return id.clone();
    }
    let mut buffer = Uuid::encode_buffer();
    let id = Uuid::now_v7().hyphenated().encode_lower(&mut buffer);
    let id = HeaderValue::from_str(id).unwrap_or_else(|_| HeaderValue::from_static("none"));
    headers.insert(HEADER, id.clone());
    id
}
