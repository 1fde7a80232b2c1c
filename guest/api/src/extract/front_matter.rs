//! What stands before a Markdown text about it: YAML between lines of `---`,
//! TOML between lines of `+++`.

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

use super::{Warning, WarningCode};
use crate::limits;

/// What the front matter says.
#[derive(Debug, Default)]
pub(super) struct FrontMatter {
    pub(super) title: Option<String>,
    pub(super) metadata: Map<String, Value>,
    pub(super) warning: Option<Warning>,
}

/// The front matter, and the text after it. What looks like front matter and
/// cannot be read is left out of the text too, with a warning.
pub(super) fn split(source: &str) -> (FrontMatter, &str) {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    for (fence, closing) in [("---", ["---", "..."]), ("+++", ["+++", "+++"])] {
        let Some((block, rest)) = fenced(source, fence, &closing) else { continue };
        let toml = fence == "+++";
        if !(toml || is_mapping(block)) {
            return (FrontMatter::default(), source);
        }
        return (read(block, toml), rest);
    }
    (FrontMatter::default(), source)
}

/// What is between a first line that is the fence and one that closes it.
fn fenced<'s>(source: &'s str, fence: &str, closing: &[&str]) -> Option<(&'s str, &'s str)> {
    let mut lines = source.split_inclusive('\n');
    let first = lines.next().filter(|line| line.trim_end() == fence)?;
    let mut at = first.len();
    for line in lines {
        if closing.contains(&line.trim_end()) {
            return Some((source.get(first.len()..at)?, source.get(at + line.len()..)?));
        }
        at += line.len();
    }
    None
}

/// Whether the first line that says something is `key:`. A rule or a heading
/// between two rules is not.
fn is_mapping(block: &str) -> bool {
    let mut lines = block.lines().map(str::trim_end);
    let first_is_blank = block.lines().next().is_some_and(|line| line.trim().is_empty());
    let first = lines.find(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let Some(first) = first else { return false };
    let key = first.split_once(':').map(|(key, _)| key.trim_matches(['"', '\'']));
    !first_is_blank
        && key.is_some_and(|key| {
            !key.is_empty()
                && key.chars().all(|char| char.is_alphanumeric() || "_-. ".contains(char))
        })
}

fn read(block: &str, toml: bool) -> FrontMatter {
    let left_out = |why: &str| {
        Some(Warning::new(WarningCode::MetadataLeftOut, format!("The front matter {why}.")))
    };
    if block.len() > limits::MAX_FRONT_MATTER_BYTES {
        return FrontMatter { warning: left_out("is too long"), ..FrontMatter::default() };
    }
    let read = if toml { from_toml(block) } else { from_yaml(block) };
    let Some(Value::Object(mut metadata)) = read else {
        return FrontMatter { warning: left_out("cannot be read"), ..FrontMatter::default() };
    };
    let title = match metadata.remove("title") {
        Some(Value::String(title)) => Some(title.split_whitespace().collect::<Vec<_>>().join(" ")),
        Some(Value::Number(title)) => Some(title.to_string()),
        _ => None,
    };
    let mut front = FrontMatter { title, metadata, warning: None };
    let length = crate::json::encode(&front.metadata).len();
    if length > limits::MAX_METADATA_BYTES || depth(&front.metadata) > limits::MAX_METADATA_DEPTH {
        front.metadata.clear();
        front.warning = left_out("is too long or too deep");
    }
    front
}

fn depth(map: &Map<String, Value>) -> usize {
    fn of(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(of).max().unwrap_or(0),
            Value::Object(members) => 1 + members.values().map(of).max().unwrap_or(0),
            _ => 0,
        }
    }
    1 + map.values().map(of).max().unwrap_or(0)
}

fn from_toml(block: &str) -> Option<Value> {
    fn value(toml: toml::Value) -> Value {
        match toml {
            toml::Value::String(text) => text.into(),
            toml::Value::Integer(number) => number.into(),
            toml::Value::Float(number) => {
                Number::from_f64(number).map_or(Value::Null, Value::Number)
            }
            toml::Value::Boolean(truth) => truth.into(),
            toml::Value::Datetime(time) => time.to_string().into(),
            toml::Value::Array(items) => items.into_iter().map(value).collect(),
            toml::Value::Table(table) => {
                table.into_iter().map(|(key, member)| (key, value(member))).collect()
            }
        }
    }
    toml::from_str::<toml::Table>(block).ok().map(|table| value(toml::Value::Table(table)))
}

/// What is open while YAML is read.
enum Open {
    List(Vec<Value>),
    Map(Map<String, Value>, Option<String>),
}

/// A YAML document as JSON. An alias is null, so that nothing multiplies.
fn from_yaml(block: &str) -> Option<Value> {
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str(block) {
        let done = match event.ok()?.0 {
            Event::Scalar(text, style, ..) => scalar(&text, style),
            Event::Alias(_) => Value::Null,
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Map::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop()? {
                Open::List(items) => Value::Array(items),
                Open::Map(members, _) => Value::Object(members),
            },
            _ => continue,
        };
        if open.len() > limits::MAX_METADATA_DEPTH {
            return None;
        }
        match open.last_mut() {
            None if root.is_none() => root = Some(done),
            None => {}
            Some(Open::List(items)) => items.push(done),
            Some(Open::Map(members, key)) => match key.take() {
                Some(key) => drop(members.insert(key, done)),
                None => {
                    *key = Some(match done {
                        Value::String(key) => key,
                        other => other.to_string(),
                    });
                }
            },
        }
    }
    root
}

/// A plain scalar is what the core schema takes it for (YAML 1.2.2, section
/// 10.3.2).
fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return text.into();
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return true.into(),
        "false" | "False" | "FALSE" => return false.into(),
        _ => {}
    }
    match serde_json::from_str(text) {
        Ok(Value::Number(number)) => Value::Number(number),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn yaml_and_toml_become_title_and_metadata() {
        let yaml = "---\r\ntitle: \"Mooring: a handbook\"\r\nyear: 1958\r\ndraft: true\r\ntags: [a, 'b']\r\nby:\r\n  name: X\r\n---\r\nText";
        let (front, rest) = split(yaml);
        assert_eq!((front.title.as_deref(), rest), (Some("Mooring: a handbook"), "Text"));
        let expected =
            json!({"year": 1958, "draft": true, "tags": ["a", "b"], "by": {"name": "X"}});
        assert_eq!(Value::Object(front.metadata), expected);
        let (front, rest) = split("+++\ntitle = \"T\"\ndate = 2024-01-02\n[x]\ny = [1]\n+++\nText");
        assert_eq!((front.title.as_deref(), rest), (Some("T"), "Text"));
        assert_eq!(Value::Object(front.metadata), json!({"date": "2024-01-02", "x": {"y": [1]}}));
    }

    #[test]
    fn rules_are_no_front_matter() {
        for source in [
            "---\n\nThis: begins with a rule.\n\n---\n",
            "---\nA heading\n---\n",
            "---\na: b",
            "# A\n---\na: b\n---",
        ] {
            let (front, rest) = split(source);
            assert!(
                front.title.is_none() && front.metadata.is_empty() && rest == source,
                "{source}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_left_out_with_a_warning() {
        let bomb = format!("---\na: &a [x]\nb: {}\n---\nText", "[*a, *a]");
        assert_eq!(split(&bomb).1, "Text");
        for source in [
            "---\na: b: c\n---\nText".to_owned(),
            "+++\n[oops\n+++\nText".into(),
            format!("---\na: {}1{}\n---\nText", "[".repeat(99), "]".repeat(99)),
            format!("---\na: {}\n---\nText", "x".repeat(99_999)),
        ] {
            let (front, rest) = split(&source);
            assert_eq!((front.warning.is_some(), rest), (true, "Text"), "{source}");
        }
    }
}
