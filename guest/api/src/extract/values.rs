//! JSON, and JSON a line, as a document: objects that are alike are a table,
//! all else is a line for each value, after its path.

use super::builder::Builder;
use super::{BlockKind, Extracted, Unreadable, Warning, WarningCode};
use crate::json::{self, Json};
use crate::limits;

/// Reads a value, else a value a line. A line that is none is left out with a
/// warning.
///
/// # Errors
///
/// No line is JSON.
pub(super) fn extract(source: &str) -> Result<Extracted, Unreadable> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let mut builder = Builder::default();
    let value = match json::parse(source) {
        Ok(value) => value,
        Err(_) => {
            let mut values = Vec::new();
            let mut broken = Vec::new();
            let lines = source.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            for (number, line) in lines {
                match json::parse(line) {
                    Ok(value) => values.push(value),
                    Err(_) => broken.push(number + 1),
                }
            }
            if values.is_empty() {
                return Err(Unreadable::Damaged("JSON"));
            }
            for line in broken {
                builder.warn(Warning::new(WarningCode::PartLeftOut, format!("line {line}")));
            }
            Json::Array(values)
        }
    };
    let title = match &value {
        Json::Object(members) => members.iter().find_map(|(name, value)| match value {
            Json::String(title) if name == "title" => Some(title.to_string()),
            _ => None,
        }),
        _ => None,
    };
    write(&value, "", &mut builder);
    Ok(builder.finish(title))
}

fn write(value: &Json<'_>, path: &str, builder: &mut Builder) {
    if builder.len() > limits::MAX_TEXT_BYTES {
        return;
    }
    match value {
        Json::Array(items) => match columns(items) {
            Some(columns) => table(items, &columns, path, builder),
            None => items.iter().for_each(|item| write(item, path, builder)),
        },
        Json::Object(members) => {
            for (name, value) in members {
                let path =
                    if path.is_empty() { name.to_string() } else { format!("{path}.{name}") };
                write(value, &path, builder);
            }
        }
        Json::Null => {}
        value => {
            let text = scalar(value).unwrap_or_default();
            let line = if path.is_empty() { text } else { format!("{path}: {text}") };
            builder.block(BlockKind::Paragraph, &line);
        }
    }
}

/// The names of the members of objects that hold nothing but plain values.
fn columns<'v>(items: &'v [Json<'_>]) -> Option<Vec<&'v str>> {
    let mut columns: Vec<&str> = Vec::new();
    if items.len() < 2 {
        return None;
    }
    for item in items {
        let Json::Object(members) = item else { return None };
        for (name, value) in members {
            scalar(value)?;
            if !columns.contains(&name.as_ref()) {
                columns.push(name);
            }
        }
        if columns.len() > limits::MAX_COLUMNS {
            return None;
        }
    }
    (!columns.is_empty()).then_some(columns)
}

fn table(items: &[Json<'_>], columns: &[&str], path: &str, builder: &mut Builder) {
    if !path.is_empty() {
        builder.block(BlockKind::Heading(1), path);
    }
    builder.start(BlockKind::Table);
    builder.row(columns);
    for item in items {
        let Json::Object(members) = item else { continue };
        let cell = |name: &&str| {
            let found = members.iter().find(|(known, _)| known == name);
            found.and_then(|(_, value)| scalar(value)).unwrap_or_default()
        };
        builder.row(&columns.iter().map(cell).collect::<Vec<_>>());
    }
    builder.end();
}

/// A value that is no list and no object; null is empty.
fn scalar(value: &Json<'_>) -> Option<String> {
    Some(match value {
        Json::Null => String::new(),
        Json::Bool(truth) => truth.to_string(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => text.to_string(),
        Json::Array(_) | Json::Object(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_keep_their_paths_and_alike_objects_are_a_table() {
        let source = "\u{feff}{\"title\":\"T\",\"z\":{\"b\":1,\"a\":null},\"rows\":[{\"p\":\"x\",\"q\":2},{\"q\":3}]}";
        let extracted = extract(source).unwrap();
        assert_eq!(extracted.title.as_deref(), Some("T"));
        assert_eq!(extracted.text, "title: T\n\nz.b: 1\n\nrows\n\np | q\nx | 2\n | 3");
    }

    #[test]
    fn a_line_that_is_no_json_is_left_out_with_a_warning() {
        let extracted = extract("{\"a\":1}\n\noops\n{\"a\":2}\n").unwrap();
        assert_eq!((extracted.text.as_str(), extracted.warnings.len()), ("a\n1\n2", 1));
        assert!(extract("no").is_err());
        assert!(extract(&"[".repeat(100_000)).is_err());
    }
}
