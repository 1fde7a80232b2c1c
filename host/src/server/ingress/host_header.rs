//! `Host` (RFC 9112 section 3.2).

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Version};

use super::problem::Problem;

/// Checks that a request names its host as its version asks: HTTP/1.1 exactly
/// once. Two names are one for a proxy and another for who stands behind it, so
/// no version may have them.
///
/// # Errors
///
/// `InvalidHost`
pub fn check(version: Version, headers: &HeaderMap) -> Result<(), Problem> {
    let mut named = headers.get_all(HOST).iter();
    match (named.next(), named.next()) {
        (None, _) if version != Version::HTTP_11 => Ok(()),
        (Some(name), None) if is_host(name) => Ok(()),
        _ => Err(Problem::InvalidHost),
    }
}

/// A name and perhaps a port; empty where the target has no authority.
fn is_host(name: &HeaderValue) -> bool {
    let bytes = name.as_bytes();
    bytes.is_empty() || (!bytes.contains(&b'@') && Authority::try_from(bytes).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(version: Version, names: &[&'static str]) -> Result<(), Problem> {
        let mut headers = HeaderMap::new();
        for name in names {
            headers.append(HOST, HeaderValue::from_static(name));
        }
        check(version, &headers)
    }

    #[test]
    fn http_1_1_names_its_host_once() {
        for names in [["a.example"], ["127.0.0.1:8080"], ["[::1]:8080"], [""]] {
            assert_eq!(checked(Version::HTTP_11, &names), Ok(()), "{names:?}");
        }
        for names in [vec![], vec!["a", "a"], vec!["a", "b"], vec!["a b"], vec!["u@a"], vec!["a/b"]]
        {
            assert_eq!(checked(Version::HTTP_11, &names), Err(Problem::InvalidHost), "{names:?}");
        }
        assert_eq!(checked(Version::HTTP_10, &[]), Ok(()));
        assert_eq!(checked(Version::HTTP_2, &[]), Ok(()));
        assert_eq!(checked(Version::HTTP_2, &["a", "b"]), Err(Problem::InvalidHost));
    }
}
