//! Strict reading of JSON bodies: every fault gets a pointer, unknown and
//! repeated members are faults, and all faults of a body come in one answer.

pub(crate) mod fault;
mod field;
mod fields;
pub(crate) mod value;

pub use fault::Fault;
pub use field::{
    Any, Field, Flag, Member, Nested, Number, Object, Objects, Rule, Text, Texts, Tree, Whole,
    Word, any_of, lenient_object, object,
};
pub(crate) use fields::whole;
pub use fields::{Fields, Location};
pub use value::{Json, encode};

use crate::limits;
use crate::problem::{Code, Problem};

/// The faults of one request.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Notes a fault; those beyond [`limits::MAX_REPORTED_FAULTS`] are left out.
    pub fn push(&mut self, fault: Fault) {
        if self.0.len() < limits::MAX_REPORTED_FAULTS {
            self.0.push(fault);
        }
    }

    /// The value, if there was no fault.
    ///
    /// # Errors
    ///
    /// `validation_failed` with every fault noted.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Problem> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(Problem::invalid(self.0)),
        }
    }

    /// The first fault in words, for a report that has room for one.
    pub fn first(&self) -> Option<String> {
        let fault = self.0.first()?;
        let place = fault.pointer.as_deref().unwrap_or_default();
        Some(format!("{place} {}", fault.detail).trim().to_owned())
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads the bytes of a body as UTF-8.
///
/// # Errors
///
/// `invalid_utf8`, naming the first bad byte.
pub fn utf8(body: &[u8]) -> Result<&str, Problem> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let detail = format!("The byte at {} is not UTF-8.", error.valid_up_to());
        Problem::new(Code::InvalidUtf8, detail)
    })?;
    // A byte order mark is no part of the text (RFC 8259 section 8.1).
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Reads a text as one JSON value.
///
/// # Errors
///
/// `malformed_json`, naming line and column; `json_too_complex` before anything
/// is read when there are more than [`limits::MAX_JSON_VALUES`]. Nesting is
/// bounded by `serde_json`, to 128 levels.
pub fn parse(text: &str) -> Result<Json<'_>, Problem> {
    if values(text) > limits::MAX_JSON_VALUES {
        let most = limits::MAX_JSON_VALUES;
        let detail =
            format!("At most {most} values, members' names included, can be sent at once.");
        return Err(Problem::new(Code::JsonTooComplex, detail));
    }
    serde_json::from_str(text)
        .map_err(|error| Problem::new(Code::MalformedJson, format!("{error}.")))
}

/// At least as many as a JSON text has values and names of members: each but
/// the first stands behind one of these characters.
fn values(text: &str) -> usize {
    let (mut values, mut quoted, mut escaped) = (1_usize, false, false);
    for byte in text.bytes() {
        if quoted {
            quoted = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else {
            quoted = byte == b'"';
            values += usize::from(matches!(byte, b',' | b':' | b'[' | b'{'));
        }
    }
    values
}

/// Reads a body with `read`, which notes what is wrong.
///
/// # Errors
///
/// `invalid_utf8`, `malformed_json` or `validation_failed`.
pub fn read<'a, T>(
    body: &'a [u8],
    read: impl FnOnce(Json<'a>, &mut Faults) -> Option<T>,
) -> Result<T, Problem> {
    let json = parse(utf8(body)?)?;
    let mut faults = Faults::default();
    let value = read(json, &mut faults);
    faults.finish(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn count(json: &Json<'_>) -> usize {
        1 + match json {
            Json::Array(items) => items.iter().map(count).sum(),
            Json::Object(members) => members.iter().map(|(_, value)| 1 + count(value)).sum(),
            _ => 0,
        }
    }

    #[test]
    fn more_values_than_there_may_be_are_not_read() {
        let most = limits::MAX_JSON_VALUES;
        let array = |items: usize| format!("[{}0]", "0,".repeat(items - 1));
        assert!(parse(&array(most - 1)).is_ok());
        assert_eq!(parse(&array(most + 1)).unwrap_err().code, Code::JsonTooComplex);
        let nested = "[]".repeat(most);
        assert_eq!(parse(&nested).unwrap_err().code, Code::JsonTooComplex);
        // What stands in a string is no value.
        assert!(parse(&format!("[\"{}\"]", "\\\"[,:{".repeat(most))).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_value_is_missed(texts in prop::collection::vec("[\\PC\"\\\\]{0,8}", 0..8), depth in 0_usize..8) {
            let mut value = serde_json::json!(texts);
            for level in 0..depth {
                value = if level % 2 == 0 { serde_json::json!({"a": value, "b": 1}) } else { serde_json::json!([value]) };
            }
            let text = value.to_string();
            prop_assert!(values(&text) >= count(&parse(&text).unwrap()));
        }
    }
}
