//! Files that are sent as they are: the handler reads them, in its sandbox.

use std::path::{Path, PathBuf};

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::Delivery;
use super::document::Document;
use super::file_kind::{self, FileKind};
use crate::cli::{CliError, Context};

/// The largest file to send: the server's limit on a body.
const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// A file that is a document, or a table of them.
#[derive(Debug)]
pub struct WholeFile {
    /// Where it is.
    pub path: PathBuf,
    /// The id of its document.
    pub id: String,
    /// Its size.
    pub bytes: u64,
    /// What it is.
    pub kind: WholeKind,
}

/// What such a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WholeKind {
    /// One document, of this media type.
    Document(&'static str),
    /// A document for each record.
    Csv,
}

/// Files that are one document each, by the end of their names.
const DOCUMENTS: &[(&str, &str)] = &[
    ("json", "text/json"),
    ("geojson", "text/json"),
    ("pdf", "application/pdf"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("docm", "application/vnd.ms-word.document.macroenabled.12"),
    ("dotx", "application/vnd.openxmlformats-officedocument.wordprocessingml.template"),
    ("dotm", "application/vnd.ms-word.document.macroenabled.12"),
    // Legacy files are often newer ones under an old name; the server finds out.
    ("doc", "application/msword"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("pptm", "application/vnd.ms-powerpoint.presentation.macroenabled.12"),
    ("ppsx", "application/vnd.openxmlformats-officedocument.presentationml.slideshow"),
    ("potx", "application/vnd.openxmlformats-officedocument.presentationml.template"),
    ("ppt", "application/vnd.ms-powerpoint"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("xlsm", "application/vnd.ms-excel.sheet.macroenabled.12"),
    ("xltx", "application/vnd.openxmlformats-officedocument.spreadsheetml.template"),
    ("xlsb", "application/vnd.ms-excel.sheet.binary.macroenabled.12"),
    ("xls", "application/vnd.ms-excel"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("ott", "application/vnd.oasis.opendocument.text"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("ots", "application/vnd.oasis.opendocument.spreadsheet"),
    ("odp", "application/vnd.oasis.opendocument.presentation"),
    ("otp", "application/vnd.oasis.opendocument.presentation"),
    ("epub", "application/epub+zip"),
    ("rtf", "application/rtf"),
    ("eml", "message/rfc822"),
    ("mht", "message/rfc822"),
    ("mhtml", "message/rfc822"),
];

impl WholeKind {
    /// By the end of its name.
    pub fn of_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        if matches!(&*extension, "csv" | "tsv" | "tab") {
            return Some(Self::Csv);
        }
        let found = DOCUMENTS.iter().find(|(end, _)| *end == extension)?;
        Some(Self::Document(found.1))
    }
}

/// What the server made of a file.
pub enum Sent {
    /// A document as it is described, on disk, and found by search if that was
    /// waited for.
    Document(Value),
    /// A job.
    Job(Value),
    /// It could not be taken.
    Failed(String),
}

/// Sends a file.
///
/// # Errors
///
/// The server cannot be reached, or refuses for a reason that is not the file's.
pub async fn send(
    file: &WholeFile,
    delivery: &Delivery<'_>,
    context: &Context,
) -> Result<Sent, CliError> {
    let failed = |reason: String| Ok(Sent::Failed(format!("{}: {reason}", file.id)));
    if file.bytes > MAX_BYTES {
        return failed(format!("{} bytes, and at most {MAX_BYTES} can be taken", file.bytes));
    }
    let body = match tokio::fs::read(&file.path).await {
        Ok(body) => body,
        Err(error) => return failed(error.to_string()),
    };
    match file.kind {
        WholeKind::Csv => records(file, body, delivery, context).await,
        WholeKind::Document(media_type) => {
            put(&delivery.shape.id(&file.id), body, media_type, delivery, context).await
        }
    }
}

/// Sends a document as it is.
///
/// # Errors
///
/// See [`send`].
pub async fn put(
    id: &str,
    body: Vec<u8>,
    media_type: &str,
    delivery: &Delivery<'_>,
    context: &Context,
) -> Result<Sent, CliError> {
    let place = ["collections", delivery.collection, "documents", id];
    let request = context.request(Method::PUT, &place)?;
    let request = if delivery.wait { request } else { request.query(&[("wait", "durable")]) };
    let request = in_language(request, delivery);
    let answer = context.json(request.header(CONTENT_TYPE, media_type).body(body)).await;
    outcome(id, answer.map(Sent::Document))
}

/// Sends a text with what the feed adds to it.
///
/// # Errors
///
/// See [`send`].
pub async fn put_text(
    mut document: Document,
    id: &str,
    delivery: &Delivery<'_>,
    context: &Context,
) -> Result<Sent, CliError> {
    delivery.shape.apply(&mut document);
    let place = ["collections", delivery.collection, "documents", id];
    let request = context.request(Method::PUT, &place)?;
    let request = if delivery.wait { request } else { request.query(&[("wait", "durable")]) };
    // Its id stands in the path.
    let answer = context.json(request.json(&document.without_id())).await;
    outcome(id, answer.map(Sent::Document))
}

async fn records(
    file: &WholeFile,
    body: Vec<u8>,
    delivery: &Delivery<'_>,
    context: &Context,
) -> Result<Sent, CliError> {
    let place = ["collections", delivery.collection, "documents"];
    let request = in_language(context.request(Method::POST, &place)?, delivery);
    // The server finds what parts the columns.
    let answer = context.json(request.header(CONTENT_TYPE, "text/csv").body(body)).await;
    outcome(&file.id, answer.map(Sent::Job))
}

fn in_language(request: RequestBuilder, delivery: &Delivery<'_>) -> RequestBuilder {
    match &delivery.shape.language {
        Some(language) => request.query(&[("language", language)]),
        None => request,
    }
}

fn outcome(id: &str, sent: Result<Sent, CliError>) -> Result<Sent, CliError> {
    match sent {
        // The handler may have lost its instance over it, which is the file's too.
        Err(error)
            if ["validation_failed", "body_too_large", "invalid_utf8", "handler_failed"]
                .iter()
                .any(|code| error.is(code)) =>
        {
            Ok(Sent::Failed(format!("{id}: {}", error.in_short())))
        }
        sent => sent,
    }
}

/// What a file is by the end of its name, if the server reads it as one document.
pub fn media_type_of(path: &Path) -> Option<&'static str> {
    match WholeKind::of_path(path) {
        Some(WholeKind::Document(media_type)) => Some(media_type),
        Some(WholeKind::Csv) => None,
        None => file_kind::kind(path).and_then(|kind| match kind {
            FileKind::Lines => None,
            FileKind::Text | FileKind::Markdown | FileKind::Html => {
                Some(file_kind::media_type(path))
            }
        }),
    }
}

/// Whether the server reads documents of this media type.
pub fn is_read(media_type: &str) -> bool {
    const TEXTS: [&str; 5] =
        ["text/html", "text/plain", "text/markdown", "text/json", "application/json"];
    TEXTS.contains(&media_type) || DOCUMENTS.iter().any(|(_, known)| *known == media_type)
}

#[cfg(test)]
mod tests {
    use ragtime_api::extract::MediaType;

    use super::*;

    #[test]
    fn what_the_server_reads_is_sent_as_what_it_is() {
        for (end, media_type) in DOCUMENTS {
            let found = MediaType::of_file(&format!("a.{end}"));
            assert_eq!(found, MediaType::of(media_type.as_bytes()), "{end}");
        }
        for end in MediaType::all().flat_map(MediaType::ends) {
            let path = Path::new("a").with_extension(end);
            let known = file_kind::kind(&path).is_some() || WholeKind::of_path(&path).is_some();
            assert!(known, "{end} is passed over");
        }
    }
}
