//! Documents put together for one request.

use super::document::{Document, Shape};
use super::files::WholeFile;
use super::sources::Sources;

/// Documents and bytes of one request: large enough for the server to embed in
/// full batches, small enough to show progress and to be sent again.
const BATCH_DOCUMENTS: usize = 256;
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// One request: a document a line, so that one that breaks a rule fails alone.
#[derive(Debug, Default)]
pub struct Batch {
    /// The body.
    pub lines: Vec<u8>,
    /// Its documents; at least one.
    pub documents: Vec<Member>,
}

/// A document of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The file that it comes from.
    pub source: String,
    /// Its id.
    pub id: String,
}

/// Fills batches from `sources`.
pub struct Batches<S = Sources> {
    sources: S,
    shape: Shape,
    /// What the last batch had no room for.
    held: Option<(Member, Vec<u8>)>,
}

impl Batches {
    /// Bytes of files read so far.
    pub fn read_bytes(&self) -> u64 {
        self.sources.read_bytes()
    }

    /// The files that are not for batches, once there is no other batch.
    pub fn take_whole_files(&mut self) -> Vec<WholeFile> {
        self.sources.take_whole_files()
    }
}

impl<S: Iterator<Item = Result<Document, String>>> Batches<S> {
    /// Batches of what `sources` gives.
    pub fn new(sources: S, shape: Shape) -> Self {
        Self { sources, shape, held: None }
    }

    /// The next batch; none at the end. A document that alone is larger than a
    /// batch is sent alone. What cannot be read goes to `failed`.
    pub fn next(&mut self, failed: &mut Vec<String>) -> Option<Batch> {
        let mut batch = Batch::default();
        while batch.documents.len() < BATCH_DOCUMENTS {
            let Some((member, line)) = self.held.take().or_else(|| self.line(failed)) else {
                break;
            };
            let is_first = batch.documents.is_empty();
            if !is_first && batch.lines.len() + line.len() > BATCH_BYTES {
                self.held = Some((member, line));
                break;
            }
            batch.lines.extend(line);
            batch.documents.push(member);
        }
        (!batch.documents.is_empty()).then_some(batch)
    }

    fn line(&mut self, failed: &mut Vec<String>) -> Option<(Member, Vec<u8>)> {
        loop {
            let encoded = self.sources.next()?.and_then(|mut document| {
                self.shape.apply(&mut document);
                let line = serde_json::to_vec(&document).map_err(|error| error.to_string())?;
                Ok((Member { source: document.source, id: document.id }, line))
            });
            match encoded {
                Ok((member, mut line)) => {
                    line.push(b'\n');
                    return Some((member, line));
                }
                Err(failure) => failed.push(failure),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batches(sizes: &[usize]) -> Vec<(String, usize)> {
        let documents = sizes.iter().enumerate().map(|(number, size)| {
            Ok(Document::of_file(number.to_string(), "x".repeat(*size), "text/plain"))
        });
        let mut batches = Batches::new(documents, Shape::default());
        let mut failed = Vec::new();
        let all = std::iter::from_fn(|| batches.next(&mut failed)).map(|batch| {
            let count = batch.documents.len();
            assert!(count == 1 || batch.lines.len() <= BATCH_BYTES);
            assert_eq!(batch.lines.iter().filter(|byte| **byte == b'\n').count(), count);
            (batch.documents[0].id.clone(), count)
        });
        all.collect()
    }

    #[test]
    fn a_batch_is_bounded_in_documents_and_in_bytes_as_sent() {
        let many = batches(&[1; 300]);
        assert_eq!(many, [("0".into(), BATCH_DOCUMENTS), ("256".into(), 300 - BATCH_DOCUMENTS)]);
        let half = BATCH_BYTES / 2;
        let large = batches(&[half, half, 2 * BATCH_BYTES, 1]);
        assert_eq!(large.iter().map(|(_, documents)| *documents).collect::<Vec<_>>(), [1; 4]);
    }

    #[test]
    fn what_cannot_be_read_is_set_aside() {
        let sources = [
            Err("a".to_owned()),
            Ok(Document::of_file("1".into(), "x".into(), "text/plain")),
            Err("b".into()),
        ];
        let (mut batches, mut failed) =
            (Batches::new(sources.into_iter(), Shape::default()), Vec::new());
        assert_eq!(batches.next(&mut failed).unwrap().documents.len(), 1);
        assert!(batches.next(&mut failed).is_none());
        assert_eq!(failed, ["a", "b"]);
    }
}
