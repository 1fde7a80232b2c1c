//! Keys: `rt_<id>_<secret>`.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const PREFIX: &str = "rt_";
/// Base62 digits of an id: 71 bits, so that ids do not collide by chance.
const ID_DIGITS: usize = 12;
/// Base62 digits of a secret: the fewest that hold 256 bits.
const SECRET_DIGITS: usize = 43;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The public part of a key: 12 base62 digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(String);

/// Not a credential of the form `rt_<id>_<secret>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a key of the form rt_ID_SECRET")]
pub struct Malformed;

impl KeyId {
    /// Reads an id.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let valid = text.len() == ID_DIGITS && text.bytes().all(|digit| ALPHABET.contains(&digit));
        if valid { Ok(Self(text.to_owned())) } else { Err(Malformed) }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key with its secret. Prints its id only.
#[derive(Clone)]
pub struct Credential {
    id: KeyId,
    secret: [u8; 32],
}

impl Credential {
    /// A credential from randomness: 72 bits for the id, 256 for the secret.
    pub fn from_entropy(id: [u8; 9], secret: [u8; 32]) -> Self {
        // At the low end, where the last digits are: they keep log2(62^12) =
        // 71.4 of the 72 bits.
        let mut wide = [0_u8; 32];
        wide.iter_mut().rev().zip(id).for_each(|(to, from)| *to = from);
        let digits = encode(wide);
        Self { id: KeyId(digits.chars().rev().take(ID_DIGITS).collect()), secret }
    }

    /// Reads a credential. Every credential has exactly one spelling.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let (id, secret) =
            text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or(Malformed)?;
        Ok(Self { id: KeyId::parse(id)?, secret: decode(secret).ok_or(Malformed)? })
    }

    /// The whole credential, secret and all. For the one who asked for it,
    /// once.
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}_{}", self.id, encode(self.secret))
    }

    /// The public part.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// What may be stored of the secret.
    pub fn digest(&self) -> SecretDigest {
        SecretDigest(Sha256::digest(self.secret).into())
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({})", self.id)
    }
}

/// SHA-256 of a secret. A password hash would add nothing: the secret has 256
/// bits of entropy, so there is nothing to guess.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// A digest as it was stored.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest to store.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether `credential` has the secret, in constant time.
    pub fn verify(&self, credential: &Credential) -> bool {
        self.0.ct_eq(&credential.digest().0).into()
    }
}

/// Big-endian base62, padded to [`SECRET_DIGITS`].
fn encode(mut number: [u8; 32]) -> String {
    let mut digits: Vec<char> = Vec::with_capacity(SECRET_DIGITS);
    for _ in 0..SECRET_DIGITS {
        let mut remainder = 0_u32;
        for byte in &mut number {
            let value = (remainder << 8) | u32::from(*byte);
            *byte = (value / 62) as u8;
            remainder = value % 62;
        }
        digits.extend(ALPHABET.get(remainder as usize).map(|digit| char::from(*digit)));
    }
    digits.iter().rev().collect()
}

/// The inverse of [`encode`]; `None` for another length, another alphabet, or
/// 2^256 and more.
fn decode(text: &str) -> Option<[u8; 32]> {
    if text.len() != SECRET_DIGITS {
        return None;
    }
    let mut number = [0_u8; 32];
    for digit in text.bytes() {
        let mut carry = ALPHABET.iter().position(|known| *known == digit)? as u32;
        for byte in number.iter_mut().rev() {
            let value = u32::from(*byte) * 62 + carry;
            *byte = value as u8;
            carry = value >> 8;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_credential_survives_a_round_trip(id: [u8; 9], secret: [u8; 32]) {
            let made = Credential::from_entropy(id, secret);
            let read = Credential::parse(&made.expose()).unwrap();
            prop_assert_eq!(read.expose(), made.expose());
            prop_assert!(made.digest().verify(&read));
        }

        #[test]
        fn parsing_never_panics(text: String) {
            let _ = Credential::parse(&text);
        }

        #[test]
        fn another_secret_does_not_verify(a: [u8; 32], b: [u8; 32]) {
            prop_assume!(a != b);
            let (a, b) = (Credential::from_entropy([0; 9], a), Credential::from_entropy([0; 9], b));
            prop_assert!(!a.digest().verify(&b));
        }
    }

    #[test]
    fn every_byte_of_entropy_makes_another_id() {
        for place in 0..9 {
            let ids: std::collections::BTreeSet<_> = (0..=255)
                .map(|byte| {
                    let mut entropy = [0; 9];
                    entropy[place] = byte;
                    Credential::from_entropy(entropy, [0; 32]).id
                })
                .collect();
            assert_eq!(ids.len(), 256, "byte {place}");
        }
    }

    #[test]
    fn every_place_of_an_id_takes_every_digit() {
        let mut seen = vec![std::collections::BTreeSet::new(); ID_DIGITS];
        for seed in 0..4_096_u32 {
            let hash = Sha256::digest(seed.to_le_bytes());
            let id = Credential::from_entropy(hash[..9].try_into().unwrap(), [0; 32]).id;
            seen.iter_mut().zip(id.as_str().bytes()).for_each(|(digits, digit)| {
                digits.insert(digit);
            });
        }
        assert!(seen.iter().all(|digits| digits.len() == ALPHABET.len()));
    }

    #[test]
    fn a_secret_of_2_to_the_256_is_malformed() {
        let text = format!("rt_{}_{}", "0".repeat(12), "z".repeat(43));
        assert_eq!(Credential::parse(&text).unwrap_err(), Malformed);
    }

    #[test]
    fn near_misses_are_malformed() {
        let good = Credential::from_entropy([7; 9], [9; 32]).expose();
        for bad in [
            &good[1..],
            &good[..good.len() - 1],
            &format!("{good}0"),
            &good.replace('_', "-"),
            "",
            "rt_",
            "rt__",
        ] {
            assert_eq!(Credential::parse(bad).unwrap_err(), Malformed, "{bad}");
        }
    }

    #[test]
    fn printing_shows_no_secret() {
        let credential = Credential::from_entropy([1; 9], [2; 32]);
        let secret = credential.expose().rsplit('_').next().unwrap().to_owned();
        assert!(!format!("{credential:?}").contains(&secret));
    }
}
