//! What a file is, by the end of its name.

use std::path::Path;

/// What a file is that the server does not have to unpack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    Text,
    Markdown,
    Html,
    Lines,
}

/// By the end of its name.
pub fn kind(path: &Path) -> Option<FileKind> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "txt" | "text" | "log" => Some(FileKind::Text),
        "md" | "markdown" => Some(FileKind::Markdown),
        "html" | "htm" | "xhtml" => Some(FileKind::Html),
        "ndjson" | "jsonl" => Some(FileKind::Lines),
        _ => None,
    }
}

/// The media type of a text, by the end of its name.
pub fn media_type(path: &Path) -> &'static str {
    match kind(path) {
        Some(FileKind::Markdown) => "text/markdown",
        Some(FileKind::Html) => "text/html",
        Some(FileKind::Text | FileKind::Lines) | None => "text/plain",
    }
}
