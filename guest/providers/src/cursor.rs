//! Opaque cursors: the last key of a page. New entries do not move a page.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::library::Error;

/// A cursor of the list named `list` after `key`.
pub(crate) fn encode(list: &str, key: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{list}:{key}"))
}

/// The key of a cursor that was made for `list`.
pub(crate) fn decode(list: &str, cursor: &str) -> Result<String, Error> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| Error::InvalidCursor)?;
    let text = String::from_utf8(bytes).map_err(|_| Error::InvalidCursor)?;
    let key = text.strip_prefix(list).and_then(|rest| rest.strip_prefix(':'));
    key.map(str::to_owned).ok_or(Error::InvalidCursor)
}

/// The same for a list ordered by number.
pub(crate) fn decode_number(list: &str, cursor: &str) -> Result<u64, Error> {
    decode(list, cursor)?.parse().map_err(|_| Error::InvalidCursor)
}
