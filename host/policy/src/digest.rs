//! Digests as they are written.

use std::io;

use sha2::{Digest, Sha256};

/// SHA-256 (FIPS 180-4) of bytes, lower-case hex.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of all that can be read, lower-case hex.
///
/// # Errors
///
/// What reading fails with.
pub fn sha256_of(mut reader: impl io::Read) -> io::Result<String> {
    let mut hash = Sha256::new();
    io::copy(&mut reader, &mut hash)?;
    Ok(hex(&hash.finalize()))
}

/// Bytes as lower-case hex, two digits each.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    push_hex(&mut text, bytes);
    text
}

/// Bytes as lower-case hex, behind what stands in `text`. Every request writes some, so
/// the digits do not go by way of a formatter.
pub fn push_hex(text: &mut String, bytes: &[u8]) {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_digest_is_the_one_of_the_standard() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((sha256("abc").as_str(), sha256_of(&b"abc"[..]).unwrap().as_str()), (abc, abc));
        assert_eq!(hex(&[0, 9, 10, 255]), "00090aff");
    }
}
