//! How collections and documents may be called, whichever host keeps them.

/// Length of a collection's name: it is part of URLs and names a folder.
pub const MAX_COLLECTION_NAME: usize = 64;

/// A collection cannot have this name. The text is fit for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a collection's name has 1 to {MAX_COLLECTION_NAME} of a-z 0-9 _ - and starts with a letter or digit"
)]
pub struct InvalidName;

/// Whether a collection can have this name.
///
/// # Errors
///
/// When the name is too long, empty, or has characters that URLs or folders
/// would change.
pub fn check_collection(name: &str) -> Result<(), InvalidName> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let valid = name.bytes().next().is_some_and(plain)
        && name.len() <= MAX_COLLECTION_NAME
        && name.bytes().all(|byte| plain(byte) || byte == b'_' || byte == b'-');
    if valid { Ok(()) } else { Err(InvalidName) }
}

/// Length of a document's id, in bytes.
pub const MAX_DOCUMENT_ID: usize = 1_024;

/// A document cannot have this id. The text is fit for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id has 1 to {MAX_DOCUMENT_ID} bytes and no control characters")]
pub struct InvalidId;

/// Whether a document can have this id.
///
/// # Errors
///
/// When the id is too long, empty, or has control characters.
pub fn check_document_id(id: &str) -> Result<(), InvalidId> {
    let valid = (1..=MAX_DOCUMENT_ID).contains(&id.len()) && !id.chars().any(char::is_control);
    if valid { Ok(()) } else { Err(InvalidId) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_short() {
        for valid in ["a", "0", "a-b_c9", &"x".repeat(MAX_COLLECTION_NAME)] {
            assert_eq!(check_collection(valid), Ok(()), "{valid}");
        }
        for invalid in ["", "-a", "_a", "A", "a b", "ä", "a/b", &"x".repeat(65)] {
            assert_eq!(check_collection(invalid), Err(InvalidName), "{invalid}");
        }
    }
}
