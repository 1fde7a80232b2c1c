//! The documents of folders and files, one after another.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use walkdir::WalkDir;

use crate::cli::CliError;

/// The largest file to send: the server's limit on a text.
const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024;

/// A document as the API takes it.
#[derive(Debug, Serialize)]
pub struct Document {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    text: String,
    content_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Map<String, Value>>,
}

/// A line of NDJSON. `_id` is what BEIR calls it.
#[derive(Deserialize)]
struct Line {
    #[serde(alias = "_id")]
    id: Option<String>,
    title: Option<String>,
    text: String,
    metadata: Option<Map<String, Value>>,
}

impl Document {
    /// About how many bytes it takes to send.
    pub fn size(&self) -> usize {
        self.text.len() + self.title.as_ref().map_or(0, String::len)
    }
}

/// Files still to read, and the one being read line by line.
pub struct Sources {
    files: std::vec::IntoIter<Found>,
    lines: Option<Lines>,
    total: u64,
    read: u64,
}

struct Found {
    path: PathBuf,
    /// The id it gets: its path below the folder that was named.
    id: String,
    bytes: u64,
}

struct Lines {
    reader: BufReader<File>,
    name: String,
    number: u64,
}

impl Sources {
    /// Finds all files. A path that does not exist is an error here, before
    /// anything is sent.
    pub fn open(paths: &[PathBuf]) -> Result<Self, CliError> {
        let mut files = Vec::new();
        for path in paths {
            let before = files.len();
            for entry in WalkDir::new(path).sort_by_file_name() {
                let entry = entry.map_err(|error| CliError::new(error.to_string()))?;
                let known = path.is_file() || kind(entry.path()).is_some();
                if entry.file_type().is_file() && known {
                    files.push(found(path, &entry));
                }
            }
            if files.len() == before {
                let message =
                    format!("{} holds no .txt .md .html .ndjson or .jsonl file", path.display());
                return Err(CliError::new(message));
            }
        }
        let total = files.iter().map(|file| file.bytes).sum();
        Ok(Self { files: files.into_iter(), lines: None, total, read: 0 })
    }

    /// Bytes in all files.
    pub fn total_bytes(&self) -> u64 {
        self.total
    }

    /// Bytes read so far.
    pub fn read_bytes(&self) -> u64 {
        self.read
    }

    fn next_line(&mut self) -> Option<Result<Document, String>> {
        let lines = self.lines.as_mut()?;
        loop {
            let mut bytes = Vec::new();
            lines.number += 1;
            let place = format!("{}:{}", lines.name, lines.number);
            match lines.reader.read_until(b'\n', &mut bytes) {
                Ok(0) => return None,
                Ok(read) => self.read += read as u64,
                Err(error) => {
                    let failure = format!("{place}: {error}");
                    self.lines = None;
                    return Some(Err(failure));
                }
            }
            if !bytes.trim_ascii().is_empty() {
                return Some(parse(&bytes).map_err(|error| format!("{place}: {error}")));
            }
        }
    }

    fn next_file(&mut self, file: Found) -> Option<Result<Document, String>> {
        if kind(&file.path) == Some(Kind::Lines) {
            return match File::open(&file.path) {
                Ok(open) => {
                    self.lines =
                        Some(Lines { reader: BufReader::new(open), name: file.id, number: 0 });
                    None
                }
                Err(error) => Some(Err(format!("{}: {error}", file.id))),
            };
        }
        self.read += file.bytes;
        Some(read(&file).map_err(|reason| format!("{}: {reason}", file.id)))
    }
}

impl Iterator for Sources {
    type Item = Result<Document, String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(document) = self.next_line() {
                return Some(document);
            }
            self.lines = None;
            let file = self.files.next()?;
            if let Some(document) = self.next_file(file) {
                return Some(document);
            }
        }
    }
}

fn found(root: &Path, entry: &walkdir::DirEntry) -> Found {
    let below = entry.path().strip_prefix(root).ok().filter(|path| !path.as_os_str().is_empty());
    let path = below.unwrap_or_else(|| Path::new(entry.file_name()));
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    let bytes = entry.metadata().map_or(0, |metadata| metadata.len());
    Found { path: entry.path().to_owned(), id: parts.join("/"), bytes }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Markdown,
    Html,
    Lines,
}

fn kind(path: &Path) -> Option<Kind> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "txt" | "text" => Some(Kind::Text),
        "md" | "markdown" => Some(Kind::Markdown),
        "html" | "htm" => Some(Kind::Html),
        "ndjson" | "jsonl" => Some(Kind::Lines),
        _ => None,
    }
}

fn read(file: &Found) -> Result<Document, String> {
    if file.bytes > MAX_FILE_BYTES {
        return Err(format!("{} bytes, and at most {MAX_FILE_BYTES} can be taken", file.bytes));
    }
    let bytes = std::fs::read(&file.path).map_err(|error| error.to_string())?;
    let text = String::from_utf8(bytes).map_err(|_| "not UTF-8 text".to_owned())?;
    let content_type = match kind(&file.path) {
        Some(Kind::Markdown) => "text/markdown",
        Some(Kind::Html) => "text/html",
        _ => "text/plain",
    };
    Ok(Document { id: Some(file.id.clone()), title: None, text, content_type, metadata: None })
}

fn parse(line: &[u8]) -> Result<Document, String> {
    let line: Line = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    Ok(Document {
        id: line.id,
        title: line.title.filter(|title| !title.is_empty()),
        text: line.text,
        content_type: "text/plain",
        metadata: line.metadata.filter(|metadata| !metadata.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_documents_under_stable_ids() {
        let dir = tempfile::tempdir().unwrap();
        let write =
            |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        write("sub/a.md", b"# A");
        write("b.txt", b"b");
        write("c.bin", b"\0");
        write("d.txt", b"\xff");
        write(
            "e.jsonl",
            b"{\"_id\":\"1\",\"text\":\"x\"}\n\n{\"oops\"\n{\"id\":\"2\",\"text\":\"y\"}",
        );
        let mut sources = Sources::open(&[dir.path().to_owned()]).unwrap();
        let (mut ids, mut failures) = (Vec::new(), Vec::new());
        for document in &mut sources {
            match document {
                Ok(document) => ids.push(document.id.unwrap()),
                Err(failure) => failures.push(failure),
            }
        }
        assert_eq!(ids, ["b.txt", "1", "2", "sub/a.md"]);
        assert_eq!(failures[0], "d.txt: not UTF-8 text");
        assert!(failures[1].starts_with("e.jsonl:3: "), "{failures:?}");
        assert_eq!(sources.read_bytes(), sources.total_bytes());
    }

    #[test]
    fn a_path_without_documents_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Sources::open(&[dir.path().to_owned()]).is_err());
        assert!(Sources::open(&[dir.path().join("none")]).is_err());
    }
}
