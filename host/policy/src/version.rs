//! Versions of documents, and conditions on them (RFC 9110 section 13).

use sha2::{Digest, Sha256};

use crate::digest::hex;

/// Bytes of the hash that a version shows. A collision would take 2^64
/// documents in one place of the collection.
const BYTES: usize = 16;

/// The version of a document: a hash of everything a client can set, in lower
/// case hex. `text_sha256` is the hash of its text, in hex. Of a document
/// without language and file name it is what it was before there were any.
pub fn version(
    title: Option<&str>,
    media_type: &str,
    metadata: &str,
    text_sha256: &str,
    [language, file_name]: [Option<&str>; 2],
) -> String {
    let mut hash = Sha256::new();
    hash.update([u8::from(title.is_some())]);
    for part in [title.unwrap_or_default(), media_type, metadata, text_sha256] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    for (name, part) in [("language", language), ("file_name", file_name)] {
        if let Some(part) = part {
            hash.update(name);
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    hex(hash.finalize().get(..BYTES).unwrap_or_default())
}

/// Versions that a condition speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Versions {
    /// Whichever.
    Any,
    /// One of these.
    These(Vec<String>),
}

impl Versions {
    fn hold(&self, current: Option<&str>) -> bool {
        current.is_some_and(|current| match self {
            Self::Any => true,
            Self::These(these) => these.iter().any(|one| one == current),
        })
    }
}

/// When a write is done and when not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Condition {
    /// Only if the document exists in one of these (`If-Match`).
    pub must_be: Option<Versions>,
    /// Not if the document exists in one of these (`If-None-Match`).
    pub must_not_be: Option<Versions>,
}

impl Condition {
    /// Whether the write may be done; `current` is the version of the document
    /// that is there.
    pub fn holds(&self, current: Option<&str>) -> bool {
        self.must_be.as_ref().is_none_or(|versions| versions.hold(current))
            && !self.must_not_be.as_ref().is_some_and(|versions| versions.hold(current))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_changes_with_each_part_and_with_nothing_else() {
        let parts =
            [(None, "a", "{}", "0"), (Some(""), "a", "{}", "0"), (Some("t"), "a", "{}", "0")];
        let more = [(None, "b", "{}", "0"), (None, "a", "[]", "0"), (None, "a", "{}", "1")];
        let shifted = [(Some("ta"), "", "{}", "0"), (None, "a{}", "", "0")];
        let all = parts.into_iter().chain(more).chain(shifted);
        let of = |(t, m, d, s)| version(t, m, d, s, [None, None]);
        let details = [[Some("de"), None], [None, Some("de")], [Some("de"), Some("a.txt")]];
        let detailed = |details| version(None, "a", "{}", "0", details);
        let mut versions: Vec<_> = all.clone().map(of).collect();
        versions.extend(details.map(detailed));
        let mut again: Vec<_> = all.map(of).collect();
        again.extend(details.map(detailed));
        assert_eq!(versions, again);
        let different: std::collections::HashSet<_> = versions.iter().collect();
        assert_eq!(different.len(), versions.len());
        assert!(versions.iter().all(|version| version.len() == 2 * BYTES));
    }

    #[test]
    fn a_condition_is_about_what_is_there() {
        let these = |names: &[&str]| {
            Some(Versions::These(names.iter().map(|name| (*name).to_owned()).collect()))
        };
        let condition = |must_be, must_not_be| Condition { must_be, must_not_be };
        let table = [
            (condition(None, None), [true, true, true]),
            (condition(Some(Versions::Any), None), [false, true, true]),
            (condition(these(&["a", "b"]), None), [false, true, false]),
            (condition(these(&[]), None), [false, false, false]),
            (condition(None, Some(Versions::Any)), [true, false, false]),
            (condition(None, these(&["a"])), [true, false, true]),
            (condition(Some(Versions::Any), these(&["a"])), [false, false, true]),
        ];
        for (condition, expected) in table {
            let found = [None, Some("a"), Some("c")].map(|current| condition.holds(current));
            assert_eq!(found, expected, "{condition:?}");
        }
    }
}
