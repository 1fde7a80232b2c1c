//! `/v1/files`: an uploaded file is a document without chunks, so no search finds
//! it, in a collection that is set aside for files. Its text is the file as it
//! came, in base64. What is attached to a store is made of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::json::{Member, Nested, Tree};
use crate::limits;

/// The collection of files as they came, and of the names of stores.
/// It is one like any other, so what a key may do in it is what a key may do.
pub const COLLECTION: &str = "openai-files";

/// What a file may be for. Other purposes are jobs that this server does not run.
pub const PURPOSES: [&str; 2] = ["assistants", "user_data"];

/// The member of a document's metadata with the facts of its file.
const FILE: &str = "_file";

/// The member of a document's metadata with the facts of a store.
const STORE: &str = "_store";

/// Before the id of the document that names a store.
const STORE_PREFIX: &str = "vs/";

/// What filters compare.
pub(super) const ATTRIBUTES: Member<Nested> = Nested::optional(
    "attributes",
    Tree {
        max_bytes: limits::MAX_METADATA_BYTES,
        max_depth: limits::MAX_METADATA_DEPTH,
        schema: None,
    },
    "What filters compare.",
);

/// The document that names a store.
pub fn store_document(collection: &str) -> String {
    format!("{STORE_PREFIX}{collection}")
}

/// Whether a document of [`COLLECTION`] is a file.
pub fn is_file(id: &str) -> bool {
    !id.starts_with(STORE_PREFIX)
}

/// The metadata of a document that names a store.
pub fn store_metadata(name: &str, metadata: &str) -> String {
    json!({STORE: {"name": name, "metadata": object(metadata)}}).to_string()
}

/// The name of a store and its client's notes.
pub fn store_facts(metadata: &str) -> Option<(String, Box<RawValue>)> {
    let mut store = object(metadata).remove(STORE)?;
    let name = store.get("name")?.as_str()?.to_owned();
    let notes = store.get_mut("metadata").map(Value::take).unwrap_or_default();
    Some((name, raw(&notes)))
}

/// The facts of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its name.
    pub name: String,
    /// Its length as it was sent.
    pub bytes: u64,
    /// What it is for.
    pub purpose: String,
    /// What it was said to be, as a `Content-Type`.
    pub content_type: Option<String>,
}

/// A file as the text of a document.
pub fn encode(source: &[u8]) -> String {
    STANDARD.encode(source)
}

/// The file that such a text is.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// The metadata of a document that is a file: what filters compare, and facts.
pub fn metadata(attributes: &str, facts: &Facts) -> String {
    let mut members = object(attributes);
    let Facts { name, bytes, purpose, content_type } = facts;
    let file = json!({
        "name": name, "bytes": bytes, "purpose": purpose, "content_type": content_type,
    });
    members.insert(FILE.into(), file);
    Value::Object(members).to_string()
}

/// The facts of a file, if the document came as one.
pub fn facts(metadata: &str) -> Option<Facts> {
    let file = object(metadata).remove(FILE)?;
    Some(Facts {
        name: file.get("name")?.as_str()?.to_owned(),
        bytes: file.get("bytes")?.as_u64()?,
        purpose: file.get("purpose")?.as_str()?.to_owned(),
        content_type: file.get("content_type").and_then(Value::as_str).map(str::to_owned),
    })
}

/// What filters compare: the metadata without the facts.
pub fn attributes(metadata: &str) -> Box<RawValue> {
    let mut members = object(metadata);
    members.remove(FILE);
    raw(&Value::Object(members))
}

/// What a document is called: its file's name, its title, or its id.
pub fn filename(id: &str, title: Option<&str>, metadata: &str) -> String {
    match facts(metadata) {
        Some(facts) => facts.name,
        None => title.filter(|title| !title.is_empty()).unwrap_or(id).to_owned(),
    }
}

fn object(json: &str) -> Map<String, Value> {
    serde_json::from_str(json).unwrap_or_default()
}

fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// A file.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "File")]
pub struct File {
    /// Unique.
    pub id: String,
    /// Always `file`.
    pub object: &'static str,
    /// Its length as it was sent.
    pub bytes: u64,
    /// Seconds since the Unix epoch.
    pub created_at: u64,
    /// Always null.
    pub expires_at: Option<()>,
    /// Its name.
    pub filename: String,
    /// What it is for.
    pub purpose: String,
    /// Always `processed`: what is of no kind that can be read is refused when it
    /// comes.
    pub status: &'static str,
    /// Always null.
    pub status_details: Option<()>,
}

/// A page of a list.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub struct List<T> {
    /// Always `list`.
    pub object: &'static str,
    /// In order.
    pub data: Vec<T>,
    /// The id of the first.
    pub first_id: Option<String>,
    /// The id of the last, after which the next page begins.
    pub last_id: Option<String>,
    /// Whether there is a next page.
    pub has_more: bool,
}

impl<T> List<T> {
    /// Of a page.
    pub fn new(data: Vec<T>, id: fn(&T) -> &str, has_more: bool) -> Self {
        let first_id = data.first().map(|one| id(one).to_owned());
        let last_id = data.last().map(|one| id(one).to_owned());
        Self { object: "list", data, first_id, last_id, has_more }
    }
}

/// What was deleted.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Deleted {
    /// Its id.
    pub id: String,
    /// The kind of thing.
    pub object: &'static str,
    /// Always true.
    pub deleted: bool,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn facts_stand_beside_attributes_and_are_told_apart() {
        let facts_of_file = Facts {
            name: "a.md".into(),
            bytes: 7,
            purpose: "assistants".into(),
            content_type: Some("text/markdown".into()),
        };
        let metadata = metadata(r#"{"year":1899}"#, &facts_of_file);
        assert_eq!(facts(&metadata), Some(facts_of_file));
        assert_eq!(attributes(&metadata).get(), r#"{"year":1899}"#);
        assert_eq!(filename("id", Some("Title"), &metadata), "a.md");
        assert_eq!(filename("id", Some("Title"), "{}"), "Title");
        assert_eq!(filename("id", None, "{}"), "id");
    }

    #[test]
    fn a_store_keeps_its_name_and_notes() {
        let (name, notes) = store_facts(&store_metadata("A b", r#"{"k":"v"}"#)).unwrap();
        assert_eq!((name.as_str(), notes.get()), ("A b", r#"{"k":"v"}"#));
        assert!(!is_file(&store_document("papers")) && is_file("file-1"));
    }
}
