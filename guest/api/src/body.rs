//! What a body claims to be.

use crate::problem::{Code, Problem};

/// The media types of request bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyType {
    /// One JSON value.
    Json,
    /// A JSON value a line.
    Lines,
}

impl BodyType {
    /// From the value of `Content-Type`; a body without one is JSON.
    ///
    /// # Errors
    ///
    /// `unsupported_media_type`
    pub fn of(content_type: Option<&[u8]>) -> Result<Self, Problem> {
        let Some(value) = content_type else { return Ok(Self::Json) };
        let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        match essence.to_ascii_lowercase().as_slice() {
            b"application/json" => Ok(Self::Json),
            b"application/x-ndjson" | b"application/jsonl" => Ok(Self::Lines),
            _ => Err(Code::UnsupportedMediaType.into()),
        }
    }

    /// Like [`BodyType::of`], where only JSON will do.
    ///
    /// # Errors
    ///
    /// `unsupported_media_type`
    pub fn require_json(content_type: Option<&[u8]>) -> Result<(), Problem> {
        match Self::of(content_type)? {
            Self::Json => Ok(()),
            Self::Lines => Err(Code::UnsupportedMediaType.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_case_of_a_media_type_do_not_matter() {
        assert_eq!(BodyType::of(Some(b"Application/JSON; charset=utf-8")), Ok(BodyType::Json));
        assert_eq!(BodyType::of(Some(b"application/x-ndjson")), Ok(BodyType::Lines));
        assert_eq!(BodyType::of(None), Ok(BodyType::Json));
    }

    #[test]
    fn forms_and_files_are_not_taken_for_json() {
        for value in [
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "text/plain",
            "",
        ] {
            assert!(BodyType::of(Some(value.as_bytes())).is_err(), "{value}");
        }
        assert!(BodyType::require_json(Some(b"application/x-ndjson")).is_err());
    }
}
