//! Opaque cursors: the last key of a page. New entries do not move a page.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The cursor was not made for this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor was not made for this list")]
pub struct InvalidCursor;

/// A cursor of the list named `list` after `key`.
pub fn encode(list: &str, key: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{list}:{key}"))
}

/// The key of a cursor that was made for `list`.
///
/// # Errors
///
/// When the cursor is of another list, or none.
pub fn decode(list: &str, cursor: &str) -> Result<String, InvalidCursor> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| InvalidCursor)?;
    let text = String::from_utf8(bytes).map_err(|_| InvalidCursor)?;
    let key = text.strip_prefix(list).and_then(|rest| rest.strip_prefix(':'));
    key.map(str::to_owned).ok_or(InvalidCursor)
}

/// The key of a cursor of a list that is ordered by number.
///
/// # Errors
///
/// When the cursor is of another list, or none.
pub fn decode_number<N: FromStr>(list: &str, cursor: &str) -> Result<N, InvalidCursor> {
    decode(list, cursor)?.parse().map_err(|_| InvalidCursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_fits_its_own_list_only() {
        let cursor = encode("documents", "a:b");
        assert_eq!(decode("documents", &cursor).as_deref(), Ok("a:b"));
        assert!(matches!(decode("jobs", &cursor), Err(InvalidCursor)));
        assert!(matches!(decode("documents", "%%%"), Err(InvalidCursor)));
    }
}
