//! The documents of folders and files, one after another.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::document::Document;
use super::files::{WholeFile, WholeKind};
use super::lines::{Lines, MAX_LINE_BYTES};
use crate::cli::CliError;

/// The largest file to send: the server's limit on a text.
const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024;

/// Files still to read, and the one being read line by line.
#[derive(Default)]
pub struct Sources {
    files: std::vec::IntoIter<Found>,
    lines: Option<Lines<BufReader<File>>>,
    failures: std::vec::IntoIter<String>,
    whole: Vec<WholeFile>,
    total: u64,
    read: u64,
}

struct Found {
    path: PathBuf,
    /// The id it gets: its path below the folder that was named.
    id: String,
    bytes: u64,
}

impl Sources {
    /// Finds all files. A path that does not exist is an error here, before
    /// anything is sent; what cannot be reached below it is a failure.
    pub fn open(paths: &[PathBuf]) -> Result<Self, CliError> {
        let mut search = Search::default();
        for path in paths {
            let seen = search.seen;
            for entry in WalkDir::new(path).sort_by_file_name() {
                match entry {
                    Ok(entry) => search.look_at(path, &entry),
                    Err(error) if error.depth() == 0 => {
                        return Err(CliError::new(error.to_string()));
                    }
                    Err(error) => search.failures.push(error.to_string()),
                }
            }
            if search.seen == seen {
                let message = format!(
                    "{} holds no text, Markdown, HTML, PDF, office, EPUB, RTF, EML, NDJSON, CSV or TSV file",
                    path.display()
                );
                return Err(CliError::new(message));
            }
        }
        let whole_bytes = search.whole.iter().map(|file| file.bytes).sum::<u64>();
        Ok(Self {
            total: search.files.iter().map(|file| file.bytes).sum::<u64>() + whole_bytes,
            whole: search.whole,
            files: search.files.into_iter(),
            failures: search.failures.into_iter(),
            ..Self::default()
        })
    }

    /// The files that are sent as they are, and are not among the documents.
    pub fn take_whole_files(&mut self) -> Vec<WholeFile> {
        std::mem::take(&mut self.whole)
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
        let line = lines.next();
        self.read += lines.take_read();
        line
    }

    fn next_file(&mut self, file: Found) -> Option<Result<Document, String>> {
        if kind(&file.path) == Some(Kind::Lines) {
            return match File::open(&file.path) {
                Ok(open) => {
                    self.lines = Some(Lines::new(BufReader::new(open), file.id, MAX_LINE_BYTES));
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
        if let Some(failure) = self.failures.next() {
            return Some(Err(failure));
        }
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

/// Files found so far.
#[derive(Default)]
struct Search {
    files: Vec<Found>,
    whole: Vec<WholeFile>,
    failures: Vec<String>,
    /// Which file has an id: two folders may hold the same name, and the later
    /// file would replace the earlier.
    paths: HashMap<String, PathBuf>,
    /// Files of a known kind, whether they can be taken or not.
    seen: usize,
}

impl Search {
    fn look_at(&mut self, root: &Path, entry: &walkdir::DirEntry) {
        let (path, named) = (entry.path(), entry.depth() == 0);
        // A file that was named is taken for text, whatever its name ends with.
        let is_file = if named { path.is_file() } else { entry.file_type().is_file() };
        if !is_file || !(named || kind(path).is_some() || whole_kind(path).is_some()) {
            return;
        }
        self.seen += 1;
        let Some(id) = id_below(root, path) else {
            return self.failures.push(format!("{}: its name is not UTF-8", path.display()));
        };
        if let Some(other) = self.paths.get(&id) {
            if other.canonicalize().ok() != path.canonicalize().ok() {
                let (path, other) = (path.display(), other.display());
                self.failures.push(format!(
                    "{path}: would replace {other}, as both get the id {id}; name a folder above both"
                ));
            }
            return;
        }
        let bytes = path.metadata().map_or(0, |metadata| metadata.len());
        self.paths.insert(id.clone(), path.to_owned());
        let path = path.to_owned();
        match whole_kind(&path) {
            Some(kind) => self.whole.push(WholeFile { path, id, bytes, kind }),
            None => self.files.push(Found { path, id, bytes }),
        }
    }
}

/// A file's path below the folder that was named, or its name, with `/` on
/// every system.
fn id_below(root: &Path, path: &Path) -> Option<String> {
    let below = path.strip_prefix(root).ok().filter(|below| !below.as_os_str().is_empty());
    let below = below.or_else(|| path.file_name().map(Path::new))?;
    let parts: Option<Vec<_>> = below.iter().map(|part| part.to_str()).collect();
    Some(parts?.join("/"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Markdown,
    Html,
    Lines,
}

fn whole_kind(path: &Path) -> Option<WholeKind> {
    WholeKind::of(&path.extension()?.to_str()?.to_ascii_lowercase())
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
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    let content_type = match kind(&file.path) {
        Some(Kind::Markdown) => "text/markdown",
        Some(Kind::Html) => "text/html",
        _ => "text/plain",
    };
    Ok(Document::of_file(file.id.clone(), text, content_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new(files: &[(&str, &[u8])]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            for (name, bytes) in files {
                let path = dir.path().join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, bytes).unwrap();
            }
            Self(dir)
        }

        fn path(&self, below: &str) -> PathBuf {
            self.0.path().join(below)
        }
    }

    fn read_all(paths: &[PathBuf]) -> (Vec<String>, Vec<String>, Sources) {
        let mut sources = Sources::open(paths).unwrap();
        let (mut ids, mut failures) = (Vec::new(), Vec::new());
        for document in &mut sources {
            match document {
                Ok(document) => ids.push(document.id),
                Err(failure) => failures.push(failure),
            }
        }
        (ids, failures, sources)
    }

    #[test]
    fn a_folder_gives_its_documents_under_stable_ids() {
        let lines = b"{\"_id\":\"1\",\"text\":\"x\"}\n\n{\"oops\"\n{\"id\":\"2\",\"text\":\"y\"}";
        let folder = Folder::new(&[
            ("sub/a.md", b"# A"),
            ("b.txt", b"b"),
            ("c.bin", b"\0"),
            ("d.txt", b"\xff"),
            ("e.jsonl", lines),
        ]);
        let (ids, failures, sources) = read_all(&[folder.path("")]);
        assert_eq!(ids, ["b.txt", "1", "2", "sub/a.md"]);
        assert_eq!(failures[0], "d.txt: not UTF-8 text");
        assert!(failures[1].starts_with("e.jsonl:3: "), "{failures:?}");
        assert_eq!(sources.read_bytes(), sources.total_bytes());
    }

    #[test]
    fn a_file_never_replaces_another_of_the_same_run() {
        let folder = Folder::new(&[("x/a.txt", b"one"), ("y/a.txt", b"two")]);
        let (x, y) = (folder.path("x"), folder.path("y"));
        let (ids, failures, _) = read_all(&[x.clone(), y]);
        assert_eq!(ids, ["a.txt"]);
        assert!(failures[0].contains("would replace") && failures.len() == 1, "{failures:?}");
        // The same file twice is the same document.
        let (ids, failures, _) = read_all(&[x.clone(), x.join("a.txt")]);
        assert_eq!((ids.len(), failures.len()), (1, 0));
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let folder = Folder::new(&[("a.txt", b"\xef\xbb\xbfa")]);
        let large = File::create(folder.path("b.txt")).unwrap();
        large.set_len(MAX_FILE_BYTES + 1).unwrap();
        let (ids, failures, _) = read_all(&[folder.path("")]);
        assert_eq!(ids, ["a.txt"]);
        assert_eq!(failures, ["b.txt: 8388609 bytes, and at most 8388608 can be taken"]);
    }

    #[test]
    fn a_path_without_documents_is_an_error() {
        let folder = Folder::new(&[]);
        assert!(Sources::open(&[folder.path("")]).is_err());
        assert!(Sources::open(&[folder.path("none")]).is_err());
    }
}
