//! The documents of folders and files, one after another.

use std::fs::File;
use std::io::BufReader;

use super::document::Document;
use super::file_kind::{FileKind, kind, media_type};
use super::files::{WholeFile, WholeKind};
use super::lines::{Lines, MAX_LINE_BYTES};
use super::search::{Found, Search};

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

impl Sources {
    /// Those of a search.
    pub fn of(search: Search) -> Self {
        let whole_bytes = search.whole.iter().map(|file| file.bytes).sum::<u64>();
        Self {
            total: search.files.iter().map(|file| file.bytes).sum::<u64>() + whole_bytes,
            whole: search.whole,
            files: search.files.into_iter(),
            failures: search.failures.into_iter(),
            ..Self::default()
        }
    }

    /// The files that are sent as they are, and are not among the documents.
    /// Texts that are not UTF-8 are known to be among them at the end only.
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
        if kind(&file.path) == Some(FileKind::Lines) {
            return match File::open(&file.path) {
                Ok(open) => {
                    self.lines = Some(Lines::new(BufReader::new(open), file.id, MAX_LINE_BYTES));
                    None
                }
                Err(error) => Some(Err(format!("{}: {error}", file.id))),
            };
        }
        match read(&file) {
            Ok(Some(document)) => {
                self.read += file.bytes;
                Some(Ok(document))
            }
            // The server finds out the encoding.
            Ok(None) => {
                let kind = WholeKind::Document(media_type(&file.path));
                let Found { path, id, bytes } = file;
                self.whole.push(WholeFile { path, id, bytes, kind });
                None
            }
            Err(reason) => {
                self.read += file.bytes;
                Some(Err(format!("{}: {reason}", file.id)))
            }
        }
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

/// The document of a text; none if it is not UTF-8.
fn read(file: &Found) -> Result<Option<Document>, String> {
    if file.bytes > MAX_FILE_BYTES {
        return Err(format!("{} bytes, and at most {MAX_FILE_BYTES} can be taken", file.bytes));
    }
    let bytes = std::fs::read(&file.path).map_err(|error| error.to_string())?;
    let Ok(text) = String::from_utf8(bytes) else { return Ok(None) };
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    Ok(Some(Document::of_file(file.id.clone(), text, media_type(&file.path))))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::search::Selection;
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
        let mut search = Search::default();
        paths.iter().for_each(|path| search.add(path, &Selection::default()).unwrap());
        let mut sources = Sources::of(search);
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
        let (ids, failures, mut sources) = read_all(&[folder.path("")]);
        assert_eq!(ids, ["b.txt", "1", "2", "sub/a.md"]);
        assert!(failures[0].starts_with("e.jsonl:3: "), "{failures:?}");
        let left = sources.take_whole_files();
        assert_eq!(left.iter().map(|file| &*file.id).collect::<Vec<_>>(), ["d.txt"]);
        assert_eq!(sources.read_bytes() + 1, sources.total_bytes());
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
}
