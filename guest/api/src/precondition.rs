//! Conditions of requests on the version of a document (RFC 9110 sections 8.8.3
//! and 13.1).

use crate::problem::{Code, Problem};

/// Versions that a header names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tags {
    /// `*`: whichever.
    Any,
    /// Some.
    These(Vec<Tag>),
}

/// An entity tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Without quotation marks.
    pub opaque: String,
    /// Whether it came with `W/`.
    pub weak: bool,
}

impl Tags {
    /// Reads the values of `If-Match` or `If-None-Match`; none when there are
    /// none.
    ///
    /// # Errors
    ///
    /// `invalid_precondition`.
    pub fn read<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Option<Self>, Problem> {
        let mut found: Option<Self> = None;
        for value in values {
            let more = std::str::from_utf8(value).ok().and_then(list);
            let more = more.ok_or_else(|| Problem::from(Code::InvalidPrecondition))?;
            found = match (found, more) {
                (None, more) => Some(more),
                (Some(Self::These(mut tags)), Self::These(more)) => {
                    tags.extend(more);
                    Some(Self::These(tags))
                }
                _ => return Err(Code::InvalidPrecondition.into()),
            };
        }
        Ok(found)
    }

    /// Whether one of them is this version, weak or not (weak comparison).
    pub fn name(&self, version: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|tag| tag.opaque == version),
        }
    }

    /// The versions that are named strongly: a weak tag is no ground for a
    /// write (strong comparison). None for all of them.
    pub fn strong(self) -> Option<Vec<String>> {
        match self {
            Self::Any => None,
            Self::These(tags) => {
                Some(tags.into_iter().filter(|tag| !tag.weak).map(|tag| tag.opaque).collect())
            }
        }
    }

    /// The versions that are named, weakly or not. None for all of them.
    pub fn all(self) -> Option<Vec<String>> {
        match self {
            Self::Any => None,
            Self::These(tags) => Some(tags.into_iter().map(|tag| tag.opaque).collect()),
        }
    }
}

fn list(value: &str) -> Option<Tags> {
    let mut rest = value.trim_matches([' ', '\t']);
    if rest == "*" {
        return Some(Tags::Any);
    }
    let mut tags = Vec::new();
    loop {
        let weak = rest.strip_prefix("W/");
        let (opaque, after) = weak.unwrap_or(rest).strip_prefix('"')?.split_once('"')?;
        let allowed = |c: char| c == '!' || ('#'..='~').contains(&c) || c >= '\u{80}';
        if !opaque.chars().all(allowed) {
            return None;
        }
        tags.push(Tag { opaque: opaque.to_owned(), weak: weak.is_some() });
        let after = after.trim_start_matches([' ', '\t']);
        if after.is_empty() {
            return Some(Tags::These(tags));
        }
        rest = after.strip_prefix(',')?.trim_start_matches([' ', '\t']);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(values: &[&str]) -> Option<Tags> {
        Tags::read(values.iter().map(|value| value.as_bytes())).unwrap()
    }

    #[test]
    fn tags_are_read_over_all_lines_of_the_header() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[" * "]), Some(Tags::Any));
        let tags = read(&[r#""a", W/"b,c""#, r#""d""#]).unwrap();
        assert!(["a", "b,c", "d"].iter().all(|version| tags.name(version)) && !tags.name("b"));
        assert_eq!(tags.clone().strong(), Some(vec!["a".to_owned(), "d".to_owned()]));
        assert_eq!(tags.all().map(|all| all.len()), Some(3));
        assert_eq!(Tags::Any.strong(), None);
    }

    #[test]
    fn what_is_no_list_of_tags_is_refused() {
        for bad in ["", "a", "\"a", "\"a\" \"b\"", "\"a\",", "*, \"a\"", "w/\"a\"", "\"a b\""] {
            let problem = Tags::read(std::iter::once(bad.as_bytes())).unwrap_err();
            assert_eq!(problem.code, Code::InvalidPrecondition, "{bad}");
        }
        let mixed = [b"*".as_slice(), b"\"a\""].into_iter();
        assert!(Tags::read(mixed).is_err());
    }
}
