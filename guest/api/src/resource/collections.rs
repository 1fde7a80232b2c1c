//! Collections.

use schemars::JsonSchema;
use serde::Serialize;

use super::rules;
use crate::json::{self, Field, Fields, Kind, Location};
use crate::problem::Problem;

/// Members of the body of `POST /v1/collections`.
pub const FIELDS: &[Field] =
    &[Field::required("name", Kind::String(&rules::COLLECTION), "The collection's name.")];

/// Reads the body of `POST /v1/collections`, `{"name": …}`.
///
/// # Errors
///
/// See [`json::read`].
pub fn read(body: &[u8]) -> Result<String, Problem> {
    json::read(body, |json, faults| {
        let mut fields = Fields::open(json, Location::Root, FIELDS, faults)?;
        fields.string("name", faults).map(Into::into)
    })
}

/// A collection and its size.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Collection {
    /// Unique.
    pub name: String,
    /// Number of documents.
    pub documents: u64,
    /// Number of chunks.
    pub chunks: u64,
    /// RFC 3339.
    pub created_at: String,
}

/// The answer of `GET /v1/collections`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct List {
    /// By name.
    pub collections: Vec<Collection>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_name_is_read_and_checked() {
        assert_eq!(read(br#"{"name":"papers"}"#).unwrap(), "papers");
        assert_eq!(
            read(br#"{"name":"P"}"#).unwrap_err().faults[0].pointer.as_deref(),
            Some("#/name")
        );
        assert_eq!(read(b"{}").unwrap_err().faults[0].detail, "is required");
    }
}
