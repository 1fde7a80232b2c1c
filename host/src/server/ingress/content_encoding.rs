//! The encodings that a request's body may come in (RFC 9110 section 8.4).

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};

use super::problem::Problem;
use crate::blocking::blocking;

/// Bodies below it are decoded where they are read: handing them to another
/// thread takes longer.
const MIN_BLOCKING_BYTES: usize = 16 * 1024;

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    Gzip,
}

impl Encoding {
    /// From `Content-Encoding`. `identity` is no encoding, and a body that is
    /// encoded twice is refused like one of an encoding that is not known.
    ///
    /// # Errors
    ///
    /// `EncodedBody`
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut encoding = Self::Identity;
        for value in headers.get_all(CONTENT_ENCODING) {
            let names = value.to_str().map_err(|_| Problem::EncodedBody)?.split(',');
            for name in names.map(str::trim).filter(|name| !name.is_empty()) {
                let is = |known: &str| name.eq_ignore_ascii_case(known);
                if is("identity") {
                    continue;
                }
                if encoding != Self::Identity || !(is("gzip") || is("x-gzip")) {
                    return Err(Problem::EncodedBody);
                }
                encoding = Self::Gzip;
            }
        }
        Ok(encoding)
    }

    /// The body without its encoding, at most `limit` bytes of it, and headers
    /// that say so.
    ///
    /// # Errors
    ///
    /// `BodyTooLarge` or `BodyBroken`
    pub async fn decode(
        self,
        headers: &mut HeaderMap,
        body: Bytes,
        limit: usize,
    ) -> Result<Bytes, Problem> {
        headers.remove(CONTENT_ENCODING);
        if self == Self::Identity {
            return Ok(body);
        }
        let decoded = if body.len() < MIN_BLOCKING_BYTES {
            gunzip(&body, limit)?
        } else {
            let decoded = blocking(move || gunzip(&body, limit)).await;
            decoded.map_err(|_| Problem::Unavailable)??
        };
        headers.insert(CONTENT_LENGTH, decoded.len().into());
        Ok(decoded)
    }
}

/// Reads one byte beyond the limit at most, so that a bomb costs no more than an
/// honest body.
fn gunzip(body: &[u8], limit: usize) -> Result<Bytes, Problem> {
    let mut decoded = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = MultiGzDecoder::new(body).take(most).read_to_end(&mut decoded);
    read.map_err(|_| Problem::BodyBroken)?;
    if decoded.len() > limit { Err(Problem::BodyTooLarge) } else { Ok(decoded.into()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http::HeaderValue;

    use super::*;

    fn of(values: &[&'static str]) -> Result<Encoding, Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
        }
        Encoding::of(&headers)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn identity_is_no_encoding_and_others_are_known_or_refused() {
        assert_eq!(of(&[]), Ok(Encoding::Identity));
        assert_eq!(of(&["Identity"]), Ok(Encoding::Identity));
        assert_eq!(of(&["identity", "x-GZIP"]), Ok(Encoding::Gzip));
        for refused in ["br", "gzip, gzip", "deflate", "gzip;q=1"] {
            assert_eq!(of(&[refused]), Err(Problem::EncodedBody), "{refused}");
        }
        assert_eq!(of(&["gzip", "gzip"]), Err(Problem::EncodedBody));
    }

    #[test]
    fn a_bomb_is_too_large_and_half_a_body_broken() {
        let bomb = gzip(&vec![0; 1_000_000]);
        assert!(bomb.len() < 2_000);
        assert_eq!(gunzip(&bomb, 999_999), Err(Problem::BodyTooLarge));
        assert_eq!(gunzip(&bomb, 1_000_000).unwrap().len(), 1_000_000);
        let half = bomb.get(..bomb.len() / 2).unwrap();
        assert_eq!(gunzip(half, 1_000_000), Err(Problem::BodyBroken));
        assert_eq!(gunzip(b"{}", 10), Err(Problem::BodyBroken));
        let two = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(gunzip(&two, 10).unwrap().as_ref(), b"one two");
    }
}
