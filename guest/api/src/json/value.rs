//! A JSON value that keeps repeated members and borrows its strings.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Number;

/// A JSON value as it was sent: members in order, repeated ones included.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string; borrowed where it has no escapes.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl Json<'_> {
    /// What to call it in a message.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// Levels of nesting: 0 for a scalar, 1 for a flat array or object.
    pub fn depth(&self) -> usize {
        let inner = match self {
            Self::Array(items) => items.iter().map(Json::depth).max(),
            Self::Object(members) => members.iter().map(|(_, value)| value.depth()).max(),
            _ => return 0,
        };
        1 + inner.unwrap_or(0)
    }

    /// The first member that an object, here or deeper, holds twice.
    pub fn repeated(&self) -> Option<&str> {
        match self {
            Self::Array(items) => items.iter().find_map(Json::repeated),
            Self::Object(members) => {
                let mut seen = std::collections::HashSet::with_capacity(members.len());
                let repeated = members.iter().find(|(name, _)| !seen.insert(name));
                repeated
                    .map(|(name, _)| name.as_ref())
                    .or_else(|| members.iter().find_map(|(_, value)| value.repeated()))
            }
            _ => None,
        }
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(value) => value.serialize(serializer),
            Self::String(value) => serializer.serialize_str(value),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Json::String(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Json::String(Cow::Owned(value.to_owned())))
    }

    fn visit_string<E>(self, value: String) -> Result<Self::Value, E> {
        Ok(Json::String(Cow::Owned(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(Name(name)) = access.next_key()? {
            members.push((name, access.next_value()?));
        }
        Ok(Json::Object(members))
    }
}

/// A member's name; `Cow` itself always deserialises into an owned string.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Json::deserialize(deserializer)? {
            Json::String(name) => Ok(Self(name)),
            _ => Err(serde::de::Error::custom("a member's name must be a string")),
        }
    }
}

/// Writes a value as compact JSON. The types of this crate have string keys
/// and no fallible `Serialize`, which are the only ways to fail.
pub fn encode(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn repeated_members_are_seen_at_any_depth() {
        let repeated = |text: &str| {
            serde_json::from_str::<Json<'_>>(text).unwrap().repeated().map(str::to_owned)
        };
        assert_eq!(repeated(r#"{"a":1,"b":{"c":1,"c":2}}"#), Some("c".to_owned()));
        assert_eq!(repeated(r#"{"a":1,"b":{"a":2}}"#), None);
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_an_overflow() {
        let text = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(serde_json::from_str::<Json<'_>>(&text).is_err());
    }

    #[test]
    fn a_string_without_escapes_is_borrowed() {
        let json: Json<'_> = serde_json::from_str(r#""plain""#).unwrap();
        assert!(matches!(json, Json::String(Cow::Borrowed("plain"))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_read_is_written_again(text in "\\PC{0,20}", number in any::<i64>(), flag: bool) {
            let value = serde_json::json!({"text": text, "list": [number, flag, null]});
            let text = value.to_string();
            let json: Json<'_> = serde_json::from_str(&text).unwrap();
            let again: serde_json::Value = serde_json::from_str(&crate::json::encode(&json)).unwrap();
            prop_assert_eq!(again, value);
        }
    }
}
