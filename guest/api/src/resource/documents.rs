//! Documents, chunks and jobs.

use ragtime_text::Language;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Span, rules, words};
use crate::extract::{self, Hints, MediaType, WarningCode};
use crate::json::{
    self, Faults, Field, Fields, Json, Location, Member, Nested, Objects, Text, Tree, Word,
};
use crate::limits;
use crate::problem::Problem;

/// A document as it was sent, checked.
#[derive(Debug, PartialEq, Eq)]
pub struct NewDocument {
    /// Unique in its collection; the host makes one when absent.
    pub id: Option<String>,
    /// For people.
    pub title: Option<String>,
    /// The source, not yet plain text.
    pub source: Vec<u8>,
    /// What the source is.
    pub media_type: MediaType,
    /// A JSON object.
    pub metadata: String,
    /// The name of the file that it came as.
    pub file_name: Option<String>,
    /// What else is known of the source.
    pub hints: Hints,
    /// The tag of the language that it is in, where the client says so.
    pub language: Option<String>,
}

impl NewDocument {
    /// The code of the language that the client says its text is in; none where that
    /// is left to the collection or the text.
    pub fn given_language(&self) -> Option<String> {
        let given = self.language.as_deref().and_then(Language::parse);
        given.filter(|one| one.code() != rules::UNDETERMINED).map(|one| one.code().to_owned())
    }
}

/// A document of a batch that cannot be taken.
#[derive(Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its place in the batch, from 0.
    pub position: u32,
    /// Its id, where it has one.
    pub id: Option<String>,
    /// Why.
    pub reason: String,
}

/// A batch: the documents that can be taken, with their places, and the rest.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// In order.
    pub documents: Vec<(u32, NewDocument)>,
    /// In order.
    pub rejected: Vec<Rejected>,
}

const ID: Member<Text> = Text::optional(
    "id",
    &rules::DOCUMENT_ID,
    "Unique in its collection. Default: one that the host makes.",
);
const TITLE: Member<Text> = Text::optional("title", &rules::TITLE, "For people.");
const TEXT: Member<Text> = Text::required("text", &rules::TEXT, "The source.");
const CONTENT_TYPE: Member<Word> = Word::optional(
    "content_type",
    || words(MediaType::WORDS),
    "What the source is. Default: text/plain.",
);
const METADATA: Member<Nested> = Nested::optional(
    "metadata",
    Tree {
        max_bytes: limits::MAX_METADATA_BYTES,
        max_depth: limits::MAX_METADATA_DEPTH,
        schema: None,
    },
    "Returned with every result; filters compare it.",
);

const LANGUAGE: Member<Text> = Text::optional(
    "language",
    &rules::LANGUAGE,
    "The language that the text is in, as a BCP 47 tag. Default: the collection's, else the one that the text tells.",
);

/// Members of the body of `PUT …/documents/{id}`.
pub const FIELDS: &[Field] =
    &[TITLE.field(), TEXT.field(), CONTENT_TYPE.field(), METADATA.field(), LANGUAGE.field()];

/// Members of a document in a batch.
const BATCH_ITEM: &[Field] = &[
    ID.field(),
    TITLE.field(),
    TEXT.field(),
    CONTENT_TYPE.field(),
    METADATA.field(),
    LANGUAGE.field(),
];

const DOCUMENTS: Member<Objects> =
    Objects::required("documents", BATCH_ITEM, 1, limits::MAX_BATCH_DOCUMENTS, "The documents.");
/// Members of the body of `POST …/documents`.
pub const BATCH_FIELDS: &[Field] = &[DOCUMENTS.field()];

/// Reads the body of `PUT …/documents/{id}`.
///
/// # Errors
///
/// See [`json::read`].
pub fn read(body: &[u8]) -> Result<NewDocument, Problem> {
    json::read(body, |json, faults| document(json, Location::Root, FIELDS, faults))
}

/// A document that came as a file. What it is, its content says first, then
/// `declared`.
///
/// # Errors
///
/// Why it cannot be taken, fit for the client.
pub fn of_file(
    id: Option<String>,
    title: Option<String>,
    declared: Option<MediaType>,
    file_name: Option<String>,
    hints: Hints,
    source: &[u8],
) -> Result<NewDocument, String> {
    if let Some(title) = &title {
        rules::title(title).map_err(|detail| format!("the title {detail}"))?;
    }
    let media_type =
        extract::detect(source, declared).map_err(|unreadable| unreadable.to_string())?;
    if !media_type.is_packed() && source.len() > limits::MAX_TEXT_BYTES {
        return Err(format!("must be at most {} bytes", limits::MAX_TEXT_BYTES));
    }
    let (source, metadata) = (source.to_vec(), "{}".to_owned());
    Ok(NewDocument { id, title, source, media_type, metadata, file_name, hints, language: None })
}

/// Metadata as it was sent, with what the source says of itself where that is
/// not said already and the whole is not too long.
pub fn joined(sent: String, own: serde_json::Map<String, serde_json::Value>) -> String {
    if own.is_empty() {
        return sent;
    }
    let Ok(members) = serde_json::from_str::<serde_json::Map<_, _>>(&sent) else { return sent };
    let mut all = own;
    all.extend(members);
    let joined = json::encode(&all);
    if joined.len() <= limits::MAX_METADATA_BYTES { joined } else { sent }
}

/// Reads the body of `POST …/documents` as JSON, `{"documents": […]}`.
///
/// # Errors
///
/// See [`json::read`].
pub fn read_batch(body: &[u8]) -> Result<Batch, Problem> {
    json::read(body, |json, faults| {
        let mut fields = Fields::open(json, Location::Root, BATCH_FIELDS, faults)?;
        let (declared, items) = fields.objects(DOCUMENTS, faults)?;
        let location = fields.location(DOCUMENTS);
        let documents = (0..)
            .zip(items)
            .filter_map(|(index, item)| {
                let document =
                    document(item, Location::Item(&location, index as usize), declared, faults)?;
                Some((index, document))
            })
            .collect();
        Some(Batch { documents, rejected: Vec::new() })
    })
}

/// Reads the body of `POST …/documents` as NDJSON, one document a line. A line
/// that cannot be taken is rejected and the others go on.
///
/// # Errors
///
/// `invalid_utf8`, or `validation_failed` when there are no lines or too many.
pub fn read_lines(body: &[u8]) -> Result<Batch, Problem> {
    let lines: Vec<_> = json::utf8(body)?.lines().filter(|line| !line.trim().is_empty()).collect();
    if !(1..=limits::MAX_BATCH_DOCUMENTS).contains(&lines.len()) {
        let detail =
            format!("must be 1 to {} lines, one document each", limits::MAX_BATCH_DOCUMENTS);
        return Err(Problem::invalid(vec![Location::Root.fault(detail)]));
    }
    let mut batch = Batch::default();
    for (position, line) in (0..).zip(lines) {
        match read_line(line) {
            Ok(document) => batch.documents.push((position, document)),
            Err((id, reason)) => batch.rejected.push(Rejected { position, id, reason }),
        }
    }
    Ok(batch)
}

fn read_line(line: &str) -> Result<NewDocument, (Option<String>, String)> {
    let json = json::parse(line).map_err(|problem| (None, problem.detail.unwrap_or_default()))?;
    let id = line_id(&json);
    let mut faults = Faults::default();
    match document(json, Location::Root, BATCH_ITEM, &mut faults) {
        Some(document) if faults.is_empty() => Ok(document),
        _ => Err((id, faults.first().unwrap_or_default())),
    }
}

/// The id of a line that may be wrong otherwise.
fn line_id(json: &Json<'_>) -> Option<String> {
    let Json::Object(members) = json else { return None };
    members.iter().find_map(|(name, value)| match value {
        Json::String(id) if name == "id" && rules::document_id(id).is_ok() => Some(id.to_string()),
        _ => None,
    })
}

fn document(
    json: Json<'_>,
    location: Location<'_>,
    declared: &'static [Field],
    faults: &mut Faults,
) -> Option<NewDocument> {
    let mut fields = Fields::open(json, location, declared, faults)?;
    let id = fields.string(ID, faults);
    let title = fields.string(TITLE, faults);
    let text = fields.string(TEXT, faults);
    let media_type =
        fields.choice(CONTENT_TYPE, MediaType::WORDS, faults).unwrap_or(MediaType::Plain);
    let metadata = fields.tree(METADATA, faults);
    let language = fields.string(LANGUAGE, faults);
    Some(NewDocument {
        id: id.map(Into::into),
        title: title.map(Into::into),
        source: text?.into_owned().into_bytes(),
        media_type,
        metadata: metadata.unwrap_or_else(|| "{}".to_owned()),
        file_name: None,
        hints: Hints::default(),
        language: language.map(Into::into),
    })
}

/// A document without its text.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Summary<'a> {
    /// Unique in its collection.
    pub id: &'a str,
    /// For people.
    pub title: Option<&'a str>,
    /// What the text was made from.
    pub content_type: &'a str,
    /// A JSON object.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub metadata: &'a RawValue,
    /// Length of the text in bytes.
    pub bytes: u64,
    /// Number of chunks.
    pub chunks: u32,
    /// SHA-256 of the text, lower-case hex.
    pub sha256: &'a str,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
    /// Whether search finds this version.
    pub searchable: bool,
    /// The language of the text, as a BCP 47 tag, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<&'a str>,
    /// The name of the file that it came as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_name: Option<&'a str>,
    /// What was left out or guessed when the text was made.
    pub warnings: Vec<Warning<'a>>,
}

/// Something that a reader of a document should know of how its text was made.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Warning<'a> {
    /// The kind, stable; `GET /warnings/{code}` explains it. There may be others
    /// than those of the examples: of documents that another handler took.
    #[schemars(extend("examples" = WarningCode::names()))]
    pub code: &'a str,
    /// The page it is about, from 1, where the source has pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// What it is about, for people.
    pub detail: &'a str,
}

/// A document.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Document<'a> {
    /// All but the text.
    #[serde(flatten)]
    pub summary: Summary<'a>,
    /// The plain text that spans point into.
    pub text: &'a str,
}

/// A page of documents.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DocumentPage<'a> {
    /// By id.
    pub documents: Vec<Summary<'a>>,
    /// Where the next page starts; null at the end.
    pub next_cursor: Option<String>,
}

/// A piece of a document.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Chunk")]
pub struct DocumentChunk<'a> {
    /// As a search names it.
    pub id: String,
    /// The bytes of the document's text.
    pub span: Span,
    /// Headings above it, outermost first.
    pub headings: &'a [String],
    /// The page it begins on, from 1, where the source has pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// The text of the span.
    pub text: &'a str,
}

/// A page of chunks.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ChunkPage<'a> {
    /// In the order of the text.
    pub chunks: Vec<DocumentChunk<'a>>,
    /// Where the next page starts; null at the end.
    pub next_cursor: Option<String>,
}

/// A batch on its way into the index: `received` = `indexed` + `failed_count` +
/// `pending`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Job {
    /// Unique.
    pub job_id: String,
    /// Where the documents go.
    pub collection: String,
    /// `running` or `done`.
    pub state: &'static str,
    /// Documents that were taken: `received` without `failed`.
    pub accepted: u32,
    /// Documents in the batch.
    pub received: u32,
    /// Documents that search finds.
    pub indexed: u32,
    /// Documents that search does not find yet.
    pub pending: u32,
    /// Documents that could not be taken, the first of them.
    pub failed: Vec<Failure>,
    /// How many could not be taken.
    pub failed_count: u32,
    /// Whether `failed` leaves some out; one job by its id shows more of them.
    pub failed_truncated: bool,
    /// What was left out of the documents that were taken, or guessed: the
    /// first 100.
    pub warnings: Vec<JobWarning>,
    /// How many warnings there were.
    pub warning_count: u64,
    /// RFC 3339.
    pub created_at: String,
}

/// A warning of a document of a batch.
#[derive(Debug, Serialize, JsonSchema)]
pub struct JobWarning {
    /// The place of the document in the batch, from 0.
    pub position: u32,
    /// The document's id.
    pub id: String,
    /// The kind, stable, as in the warnings of a document.
    #[schemars(extend("examples" = WarningCode::names()))]
    pub code: String,
    /// The page it is about, from 1, where the source has pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// What it is about, for people.
    pub detail: String,
}

/// A document of a batch that could not be taken.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Failure {
    /// Its place in the batch, from 0.
    pub position: u32,
    /// Its id, where it has one.
    pub id: Option<String>,
    /// Why.
    pub reason: String,
}

/// The name of a chunk: of its document and its place there. Numbers that the
/// host gives chunks would tell how many other collections have.
pub fn chunk_id(document: &str, span: Span) -> String {
    format!("{document}:{}-{}", span.start, span.end)
}

/// A page of jobs.
#[derive(Debug, Serialize, JsonSchema)]
pub struct JobPage {
    /// Newest first.
    pub jobs: Vec<Job>,
    /// Where the next page starts; null at the end.
    pub next_cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_document_has_defaults() {
        let document = read(br#"{"text":"Hello"}"#).unwrap();
        assert_eq!((document.metadata.as_str(), document.media_type), ("{}", MediaType::Plain));
    }

    #[test]
    fn a_fault_deep_in_a_batch_is_pointed_at() {
        let body = br#"{"documents":[{"text":"a"},{"text":3},{"text":"c","content_type":"image/png","x":1}]}"#;
        let faults = read_batch(body).unwrap_err().faults;
        let pointers: Vec<_> = faults.iter().filter_map(|fault| fault.pointer.as_deref()).collect();
        assert_eq!(
            pointers,
            ["#/documents/1/text", "#/documents/2/x", "#/documents/2/content_type"]
        );
    }

    #[test]
    fn the_id_of_a_put_is_in_the_path_alone() {
        assert_eq!(
            read(br#"{"id":"a","text":"b"}"#).unwrap_err().faults[0].pointer.as_deref(),
            Some("#/id")
        );
    }

    #[test]
    fn a_bad_line_does_not_stop_the_others() {
        let batch = read_lines(b"{\"id\":\"a\",\"text\":\"one\"}\n\n{oops\r\n{\"id\":\"c\",\"text\":7}\n{\"text\":\"four\"}").unwrap();
        let taken: Vec<_> = batch.documents.iter().map(|(position, _)| *position).collect();
        assert_eq!(taken, [0, 3]);
        assert_eq!(batch.rejected.len(), 2);
        assert_eq!(batch.rejected[1].id.as_deref(), Some("c"));
        assert!(
            batch.rejected[1].reason.contains("#/text must be a string"),
            "{:?}",
            batch.rejected
        );
    }

    #[test]
    fn metadata_is_bounded_in_depth_size_and_kind() {
        let at =
            |metadata: &str| read(format!(r#"{{"text":"a","metadata":{metadata}}}"#).as_bytes());
        assert_eq!(at(r#"{"year":1958}"#).unwrap().metadata, r#"{"year":1958}"#);
        assert!(at("[]").is_err());
        assert!(at(r#"{"a":1,"a":2}"#).is_err());
        assert!(at(&format!("{}1{}", r#"{"a":"#.repeat(9), "}".repeat(9))).is_err());
        assert!(at(&format!(r#"{{"a":"{}"}}"#, "x".repeat(limits::MAX_METADATA_BYTES))).is_err());
    }

    #[test]
    fn an_empty_batch_is_refused() {
        assert!(read_batch(br#"{"documents":[]}"#).is_err());
        assert!(read_lines(b"\n \n").is_err());
    }
}
