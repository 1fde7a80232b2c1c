//! A document on its way to the server.

use std::borrow::Cow;

use ragtime_policy::digest::hex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Bytes of the hash that make an id: 128 bits, so that two lines of a corpus
/// never share one by chance.
const ID_BYTES: usize = 16;

/// A document as the API takes it.
#[derive(Debug, Serialize)]
pub struct Document {
    /// Unique in its collection, and the same each time it is read.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    text: String,
    content_type: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    /// The file that it comes from.
    #[serde(skip)]
    pub source: String,
}

/// What a feed adds to each document.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    prefix: String,
    metadata: Map<String, Value>,
    /// The language that documents are in which do not say so themselves.
    pub language: Option<String>,
}

impl Shape {
    /// A prefix of ids, metadata where a document has none of that name, and a language.
    pub fn new(prefix: String, metadata: Map<String, Value>, language: Option<String>) -> Self {
        Self { prefix, metadata, language }
    }

    /// The id of what has this name in its source.
    pub fn id(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Whether metadata is added, which only texts can carry.
    pub fn has_metadata(&self) -> bool {
        !self.metadata.is_empty()
    }

    /// What distinguishes this shape from others; nothing where nothing is added.
    pub fn print(&self) -> String {
        match self.metadata.is_empty() && self.prefix.is_empty() && self.language.is_none() {
            true => String::new(),
            false => json!([self.prefix, self.metadata, self.language]).to_string(),
        }
    }

    /// Adds what a feed adds.
    pub fn apply(&self, document: &mut Document) {
        document.id = self.id(&document.id);
        document.language = document.language.take().or_else(|| self.language.clone());
        if self.has_metadata() {
            let mut all = self.metadata.clone();
            all.extend(document.metadata.take().unwrap_or_default());
            document.metadata = Some(all);
        }
    }
}

/// A line of NDJSON. `_id` is what BEIR calls it.
#[derive(Deserialize)]
struct Line {
    id: Option<String>,
    #[serde(rename = "_id")]
    beir_id: Option<String>,
    title: Option<String>,
    text: String,
    content_type: Option<String>,
    metadata: Option<Map<String, Value>>,
    language: Option<String>,
}

impl Document {
    /// The document of a file.
    pub fn of_file(id: String, text: String, content_type: &'static str) -> Self {
        Self {
            source: id.clone(),
            id,
            title: None,
            text,
            content_type: content_type.into(),
            metadata: None,
            language: None,
        }
    }

    /// The same, of the file of this name.
    pub fn in_file(self, name: &str) -> Self {
        Self { source: name.to_owned(), ..self }
    }

    /// The same for a place that says the id.
    pub fn without_id(self) -> Self {
        Self { id: String::new(), ..self }
    }

    /// The document of a line. One without an id gets it from its content: the
    /// server would make another one each time the line is sent.
    ///
    /// # Errors
    ///
    /// What is wrong with the line.
    pub fn of_line(bytes: &[u8]) -> Result<Self, String> {
        let line: Line = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        Ok(Self {
            id: line.id.or(line.beir_id).unwrap_or_else(|| content_id(bytes)),
            title: line.title.filter(|title| !title.is_empty()),
            text: line.text,
            content_type: line.content_type.map_or("text/plain".into(), Cow::Owned),
            metadata: line.metadata.filter(|metadata| !metadata.is_empty()),
            language: line.language,
            source: String::new(),
        })
    }
}

fn content_id(line: &[u8]) -> String {
    hex(Sha256::digest(line.trim_ascii()).get(..ID_BYTES).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(line: &str) -> String {
        Document::of_line(line.as_bytes()).unwrap().id
    }

    #[test]
    fn a_line_without_an_id_keeps_the_one_that_its_content_gives() {
        assert_eq!(id("{\"text\":\"a\"}\n"), id("{\"text\":\"a\"}\r\n"));
        assert_ne!(id(r#"{"text":"a"}"#), id(r#"{"text":"b"}"#));
        assert_eq!(id(r#"{"text":"a"}"#).len(), 2 * ID_BYTES);
    }

    #[test]
    fn both_names_of_an_id_are_read() {
        assert_eq!(id(r#"{"_id":"beir","text":"a"}"#), "beir");
        assert_eq!(id(r#"{"_id":"beir","id":"ours","text":"a","url":"ignored"}"#), "ours");
    }

    #[test]
    fn a_line_says_what_its_text_is() {
        let sent = |line: &str| serde_json::to_value(Document::of_line(line.as_bytes()).unwrap());
        let html = sent(r#"{"id":"1","text":"<p>a","content_type":"text/html","metadata":{}}"#);
        let expected = serde_json::json!({"id": "1", "text": "<p>a", "content_type": "text/html"});
        assert_eq!(html.unwrap(), expected);
        assert!(Document::of_line(br#"{"id":"1"}"#).unwrap_err().contains("missing field `text`"));
    }
}
