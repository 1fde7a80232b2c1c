//! Filters on metadata.
//!
//! `{"field": value}` and `{"field": {"gte": 3, "lt": 9}}` compare a field;
//! `{"and": […]}`, `{"or": […]}` and `{"not": {…}}` combine. Fields of one
//! object must all match. `a.b` reaches into nested metadata, and `$language` is the
//! code of the language that the document is in.

use std::cmp::Ordering;

use ragtime_policy::fault::Fault;
use serde_json::{Map, Value};

/// A filter that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub Fault);

/// How deep conditions may nest.
const MAX_DEPTH: usize = 16;

/// The name by which the language of a document is compared, which metadata does not
/// have.
const LANGUAGE: &str = "$language";

/// A condition on a document's metadata and language.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Filter(Node);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Field(Vec<String>, Test),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Test {
    Eq(Value),
    Ne(Value),
    Less(Value),
    LessOrEqual(Value),
    Greater(Value),
    GreaterOrEqual(Value),
    In(Vec<Value>),
    NotIn(Vec<Value>),
    Exists(bool),
}

impl Filter {
    /// Reads a filter. The error says where it breaks which rule.
    pub fn parse(json: &str) -> Result<Self, Invalid> {
        let value: Value = serde_json::from_str(json)
            .map_err(|error| Invalid(Fault { pointer: None, rule: format!("filter: {error}") }))?;
        Ok(Self(node(&value, "/filter", MAX_DEPTH)?))
    }

    /// Whether a document of this metadata, in a language of this code, meets the
    /// condition. A field that is missing meets `ne`, `nin` and `exists: false` only.
    pub fn matches(&self, metadata: &Value, language: Option<&str>) -> bool {
        self.0.matches(metadata, language.map(Value::from).as_ref())
    }
}

fn broken(pointer: &str, rule: &str) -> Invalid {
    Invalid(Fault::at(pointer, rule))
}

fn node(value: &Value, pointer: &str, depth: usize) -> Result<Node, Invalid> {
    let Some(fields) = value.as_object() else {
        return Err(broken(pointer, "a condition is an object"));
    };
    if depth == 0 {
        return Err(broken(pointer, "conditions nest too deep"));
    }
    let parts = fields.iter().map(|(name, value)| {
        let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
        match name.as_str() {
            "and" => Ok(Node::All(nodes(value, &pointer, depth)?)),
            "or" => Ok(Node::Any(nodes(value, &pointer, depth)?)),
            "not" => Ok(Node::Not(Box::new(node(value, &pointer, depth - 1)?))),
            _ => field(name, value, &pointer),
        }
    });
    Ok(Node::All(parts.collect::<Result<_, _>>()?))
}

fn nodes(value: &Value, pointer: &str, depth: usize) -> Result<Vec<Node>, Invalid> {
    let Some(list) = value.as_array().filter(|list| !list.is_empty()) else {
        return Err(broken(pointer, "takes a list of at least one condition"));
    };
    let parts = list.iter().enumerate();
    parts.map(|(place, part)| node(part, &format!("{pointer}/{place}"), depth - 1)).collect()
}

fn field(name: &str, value: &Value, pointer: &str) -> Result<Node, Invalid> {
    let path: Vec<_> = name.split('.').map(str::to_owned).collect();
    match value {
        Value::Object(tests) if tests.is_empty() => Err(broken(pointer, "takes at least one test")),
        Value::Object(tests) => {
            let tests = tests.iter().map(|(operator, operand)| {
                let pointer = format!("{pointer}/{operator}");
                Ok(Node::Field(path.clone(), test(operator, operand, &pointer)?))
            });
            Ok(Node::All(tests.collect::<Result<_, Invalid>>()?))
        }
        Value::Array(_) => Err(broken(pointer, "takes a value; for a list use in")),
        value => Ok(Node::Field(path, Test::Eq(value.clone()))),
    }
}

fn test(operator: &str, operand: &Value, pointer: &str) -> Result<Test, Invalid> {
    let ordered = || match operand {
        Value::Number(_) | Value::String(_) => Ok(operand.clone()),
        _ => Err(broken(pointer, "compares numbers or strings")),
    };
    let list = || match operand {
        Value::Array(list) => Ok(list.clone()),
        _ => Err(broken(pointer, "takes a list")),
    };
    match operator {
        "eq" => Ok(Test::Eq(operand.clone())),
        "ne" => Ok(Test::Ne(operand.clone())),
        "lt" => Ok(Test::Less(ordered()?)),
        "lte" => Ok(Test::LessOrEqual(ordered()?)),
        "gt" => Ok(Test::Greater(ordered()?)),
        "gte" => Ok(Test::GreaterOrEqual(ordered()?)),
        "in" => Ok(Test::In(list()?)),
        "nin" => Ok(Test::NotIn(list()?)),
        "exists" => operand
            .as_bool()
            .map(Test::Exists)
            .ok_or_else(|| broken(pointer, "takes true or false")),
        _ => Err(broken(
            pointer,
            "no such operator: use eq, ne, gt, gte, lt, lte, in, nin or exists",
        )),
    }
}

impl Node {
    fn matches(&self, metadata: &Value, language: Option<&Value>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.matches(metadata, language)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(metadata, language)),
            Self::Not(part) => !part.matches(metadata, language),
            Self::Field(path, test) => test.matches(match path.as_slice() {
                [name] if name == LANGUAGE => language,
                path => lookup(metadata, path),
            }),
        }
    }
}

fn lookup<'a>(metadata: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(metadata, |value, name| {
        value.as_object().and_then(|map: &Map<_, _>| map.get(name))
    })
}

impl Test {
    fn matches(&self, found: Option<&Value>) -> bool {
        let Some(found) = found else {
            return matches!(self, Self::Ne(_) | Self::NotIn(_) | Self::Exists(false));
        };
        match self {
            Self::Eq(value) => equal(found, value),
            Self::Ne(value) => !equal(found, value),
            Self::Less(value) => order(found, value).is_some_and(Ordering::is_lt),
            Self::LessOrEqual(value) => order(found, value).is_some_and(Ordering::is_le),
            Self::Greater(value) => order(found, value).is_some_and(Ordering::is_gt),
            Self::GreaterOrEqual(value) => order(found, value).is_some_and(Ordering::is_ge),
            Self::In(list) => list.iter().any(|value| equal(found, value)),
            Self::NotIn(list) => !list.iter().any(|value| equal(found, value)),
            Self::Exists(wanted) => *wanted,
        }
    }
}

/// Numbers compare by value; a list equals a value that it contains.
fn equal(found: &Value, value: &Value) -> bool {
    match (found, value) {
        (Value::Array(list), value) if !value.is_array() => {
            list.iter().any(|item| equal(item, value))
        }
        (Value::Number(_), Value::Number(_)) => order(found, value).is_some_and(Ordering::is_eq),
        _ => found == value,
    }
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn matches(filter: Value, metadata: Value) -> bool {
        Filter::parse(&filter.to_string()).unwrap().matches(&metadata, None)
    }

    #[test]
    fn every_operator_does_what_it_says() {
        let metadata = json!({"year": 1961, "lang": "en", "tags": ["a", "b"], "deep": {"x": 1.0}});
        for (filter, expected) in [
            (json!({"lang": "en"}), true),
            (json!({"lang": {"ne": "en"}}), false),
            (json!({"year": {"gt": 1960, "lte": 1961}}), true),
            (json!({"year": {"lt": 1961}}), false),
            (json!({"year": {"gte": 1961.5}}), false),
            (json!({"lang": {"in": ["de", "en"]}}), true),
            (json!({"lang": {"nin": ["de", "en"]}}), false),
            (json!({"tags": "b"}), true),
            (json!({"deep.x": 1}), true),
            (json!({"none": {"exists": false}}), true),
            (json!({"none": {"ne": 1}}), true),
            (json!({"none": {"lt": 1}}), false),
            (json!({"or": [{"year": 1}, {"lang": "en"}]}), true),
            (json!({"and": [{"year": 1961}, {"not": {"lang": "en"}}]}), false),
            (json!({}), true),
        ] {
            assert_eq!(matches(filter.clone(), metadata.clone()), expected, "{filter}");
        }
    }

    #[test]
    fn a_language_is_that_of_the_document() {
        let metadata = json!({"$language": "en", "lang": "en"});
        let is = |filter: Value, language| {
            Filter::parse(&filter.to_string()).unwrap().matches(&metadata, language)
        };
        assert!(is(json!({"$language": "de"}), Some("de")));
        assert!(!is(json!({"$language": "en"}), Some("de")));
        assert!(is(json!({"$language": {"in": ["fr", "de"]}, "lang": "en"}), Some("de")));
        assert!(is(json!({"$language": {"exists": false}}), None));
    }

    #[test]
    fn a_broken_filter_says_where() {
        for (filter, pointer) in [
            (json!([]), "/filter"),
            (json!({"a": {"like": 1}}), "/filter/a/like"),
            (json!({"and": []}), "/filter/and"),
            (json!({"or": [{"a": {"in": 3}}]}), "/filter/or/0/a/in"),
            (json!({"a": [1]}), "/filter/a"),
        ] {
            let error = Filter::parse(&filter.to_string()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{pointer}: ")), "{error}");
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = (0..50).fold(json!({"a": 1}), |inner, _| json!({ "not": inner }));
        assert!(Filter::parse(&deep.to_string()).is_err());
    }

    /// JSON in the shape of a filter, sound or not.
    fn filterlike() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-z~/.]{0,4}".prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(Value::Null),
        ];
        leaf.prop_recursive(5, 40, 4, |inner| {
            let name = "and|or|not|a|b|a\\.b|eq|ne|gt|gte|lt|lte|in|nin|exists|[.~/]{0,3}";
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(name, inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn noise_is_no_filter_and_breaks_nothing(text in "\\PC{0,60}") {
            if let Ok(filter) = Filter::parse(&text) {
                filter.matches(&json!({"a": 1}), None);
            }
        }

        #[test]
        fn not_is_the_opposite_of_whatever_can_be_read(
            filter in filterlike(), metadata in filterlike(),
        ) {
            let read = Filter::parse(&filter.to_string());
            match Filter::parse(&json!({"not": &filter}).to_string()) {
                Ok(not) => prop_assert_ne!(
                    read.unwrap().matches(&metadata, None),
                    not.matches(&metadata, None)
                ),
                Err(Invalid(why)) => {
                    prop_assert!(read.is_err(), "{why}");
                    prop_assert!(why.pointer.is_some_and(|place| place.starts_with("/filter")));
                }
            }
        }

        #[test]
        fn a_value_is_below_equal_or_above_and_never_two(a in any::<i64>(), b in any::<i64>()) {
            let holds = |operator: &str| matches(json!({"x": {operator: b}}), json!({"x": a}));
            let three = [holds("lt"), holds("eq"), holds("gt")];
            prop_assert_eq!(three.into_iter().filter(|holds| *holds).count(), 1);
            prop_assert_eq!(holds("lte"), holds("lt") || holds("eq"));
            prop_assert_eq!(holds("gte"), holds("gt") || holds("eq"));
            prop_assert_eq!(holds("ne"), !holds("eq"));
        }
    }
}
