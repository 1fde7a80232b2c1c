//! Where a request carries its key.

use crate::problem::{Code, Problem};

/// The key of a request, from the values of `Authorization` and `X-API-Key`.
/// None when there is neither.
///
/// # Errors
///
/// `invalid_credential` for another scheme than Bearer or an empty token,
/// `conflicting_credentials` when both are present and differ.
pub fn find<'h>(
    authorization: Option<&'h [u8]>,
    api_key: Option<&'h [u8]>,
) -> Result<Option<&'h str>, Problem> {
    let bearer =
        authorization.map(|value| bearer(value).ok_or(Code::InvalidCredential)).transpose()?;
    let api_key = api_key.map(|value| token(value).ok_or(Code::InvalidCredential)).transpose()?;
    match (bearer, api_key) {
        (Some(bearer), Some(api_key)) if bearer != api_key => {
            Err(Code::ConflictingCredentials.into())
        }
        (bearer, api_key) => Ok(bearer.or(api_key)),
    }
}

/// The token of `Bearer TOKEN`; the scheme's case does not matter (RFC 9110
/// section 11.1).
fn bearer(value: &[u8]) -> Option<&str> {
    let (scheme, rest) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token(rest.as_bytes()))?
}

fn token(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value).ok().map(str::trim).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn code(authorization: Option<&str>, api_key: Option<&str>) -> Code {
        find(authorization.map(str::as_bytes), api_key.map(str::as_bytes)).unwrap_err().code
    }

    #[test]
    fn a_key_comes_from_either_header_or_from_both_alike() {
        assert_eq!(find(None, None), Ok(None));
        assert_eq!(find(Some(b"bearer  k"), None), Ok(Some("k")));
        assert_eq!(find(None, Some(b"k")), Ok(Some("k")));
        assert_eq!(find(Some(b"Bearer k"), Some(b"k")), Ok(Some("k")));
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        assert_eq!(code(Some("Basic dXNlcjpw"), None), Code::InvalidCredential);
        assert_eq!(code(Some("Bearer "), None), Code::InvalidCredential);
        assert_eq!(code(Some("Bearer a"), Some("b")), Code::ConflictingCredentials);
        assert_eq!(find(Some(b"Bearer \xff"), None).unwrap_err().code, Code::InvalidCredential);
    }
}
