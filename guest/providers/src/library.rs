//! The documents: what the commits of the journal add up to.

mod collection;
mod search;

use std::collections::{BTreeMap, HashMap, VecDeque};

use ragtime_policy::bounds::Bounds;
use ragtime_policy::chunking::Chunking;
use ragtime_policy::cursor;
use ragtime_policy::details::Prompt;
use ragtime_policy::names;
use ragtime_text::Language;

use crate::bm25::Index;
use crate::records::{ChunkRecord, Commit, Document, Job};
use crate::vectors::Vectors;
pub use search::{Candidate, Query};

/// The collection that is always there.
const DEFAULT: &str = "default";

/// Why a call is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No collection has this name.
    #[error("no collection has this name")]
    UnknownCollection,
    /// A collection has this name.
    #[error("a collection of this name exists")]
    CollectionExists,
    /// The default stays.
    #[error("the collection \"default\" cannot be deleted")]
    CollectionProtected,
    /// No document has this id.
    #[error("no document has this id")]
    UnknownDocument,
    /// No job has this id.
    #[error("no job has this id")]
    UnknownJob,
    /// The document is in another version.
    #[error("the document is not in a version that the condition asks for")]
    PreconditionFailed,
    /// The cursor is of another list.
    #[error("the cursor was not made for this list")]
    InvalidCursor,
    /// A rule is broken; the text is fit for the client.
    #[error("{0}")]
    Invalid(String),
}

impl From<ragtime_policy::cursor::InvalidCursor> for Error {
    fn from(_: ragtime_policy::cursor::InvalidCursor) -> Self {
        Self::InvalidCursor
    }
}

impl From<ragtime_filter::Invalid> for Error {
    fn from(error: ragtime_filter::Invalid) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// A page and the cursor of the next.
pub type Page<T> = Result<(Vec<T>, Option<String>), Error>;

/// All collections and jobs.
#[derive(Debug)]
pub struct Library {
    bounds: Bounds,
    collections: BTreeMap<String, Collection>,
    /// Oldest first.
    jobs: VecDeque<Job>,
    /// Chunks and documents are numbered as they are committed, so that every
    /// instance gives the same numbers.
    next: u64,
}

/// A collection.
#[derive(Debug, Default)]
pub struct Collection {
    /// In seconds since the Unix epoch.
    pub created_at: u64,
    /// How its texts are cut.
    pub chunking: Chunking,
    /// Of its texts that came without one, where it is set.
    pub language: Option<Language>,
    /// How language models are asked about it.
    pub prompt: Prompt,
    documents: BTreeMap<String, Numbered>,
    /// Which document a chunk is of.
    chunks: HashMap<u64, String>,
    index: Index,
    vectors: Vectors,
}

/// A document and its numbers.
#[derive(Debug)]
pub struct Numbered {
    /// The document.
    pub document: Document,
    /// Its number; its chunks have the numbers that follow.
    pub number: u64,
    /// The language its words are compared in.
    pub language: Option<Language>,
}

impl Numbered {
    fn found<'a>(&'a self, number: u64, chunk: &'a ChunkRecord) -> Found<'a> {
        Found { number, chunk, document: &self.document, language: self.language }
    }

    fn chunks(&self) -> impl Iterator<Item = (u64, &ChunkRecord)> {
        (self.number + 1..).zip(&self.document.chunks)
    }
}

/// A chunk in its document.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// Its number.
    pub number: u64,
    /// The chunk.
    pub chunk: &'a ChunkRecord,
    /// The document.
    pub document: &'a Document,
    /// The language its words are compared in.
    pub language: Option<Language>,
}

impl Library {
    /// Empty, but for the default collection.
    pub fn new(bounds: Bounds) -> Self {
        let collections = BTreeMap::from([(DEFAULT.to_owned(), Collection::default())]);
        Self { bounds, collections, jobs: VecDeque::new(), next: 1 }
    }

    /// Adds one commit.
    pub fn apply(&mut self, commit: Commit) {
        match commit {
            Commit::CreateCollection { name, at, chunking } => {
                let chunking = chunking.map(lengths).unwrap_or_default();
                let collection = Collection { created_at: at, chunking, ..Default::default() };
                self.collections.insert(name, collection);
            }
            Commit::Chunking { collection, chunking } => {
                if let Some(collection) = self.collections.get_mut(&collection) {
                    collection.chunking = lengths(chunking);
                }
            }
            Commit::Language { collection, language } => {
                if let Some(collection) = self.collections.get_mut(&collection) {
                    collection.set_language(language.as_deref().and_then(Language::parse));
                }
            }
            Commit::Prompt { collection, prompt } => {
                if let Some(collection) = self.collections.get_mut(&collection) {
                    collection.prompt = prompt;
                }
            }
            Commit::Recut { collection, id, sha256, chunks, cut } => {
                let same_text = |document: &&Document| document.sha256 == sha256;
                let found = self.collection(&collection).and_then(|found| found.document(&id)).ok();
                if let Some(document) = found.filter(same_text).cloned() {
                    self.put(&collection, Document { chunks, cut, vectors: None, ..document });
                }
            }
            Commit::DeleteCollection { name } => {
                self.collections.remove(&name);
            }
            Commit::Put { collection, document } => self.put(&collection, *document),
            Commit::Ingest { job, documents } => {
                documents.into_iter().for_each(|document| self.put(&job.collection, document));
                self.push_job(job);
            }
            Commit::Embed { collection, vectors } => {
                if let Some(collection) = self.collections.get_mut(&collection) {
                    vectors
                        .into_iter()
                        .for_each(|(number, stored)| collection.embed(number, stored));
                }
            }
            Commit::Delete { collection, id } => {
                if let Some(collection) = self.collections.get_mut(&collection) {
                    collection.remove(&id);
                }
            }
        }
    }

    fn put(&mut self, collection: &str, document: Document) {
        let Some(collection) = self.collections.get_mut(collection) else { return };
        collection.remove(&document.id);
        let language = document.language(collection.language);
        let numbered = Numbered { number: self.next, document, language };
        self.next += 1 + numbered.document.chunks.len() as u64;
        collection.add(numbered);
    }

    /// Keeps a job, and lets those go that are too old beside it or too many. What
    /// goes depends on the journal alone, so every instance keeps the same.
    fn push_job(&mut self, job: Job) {
        let oldest = job.created_at.saturating_sub(self.bounds.job_retention.as_secs());
        self.jobs.push_back(job);
        let most = self.bounds.max_jobs.max(1);
        while self.jobs.len() as u64 > most
            || self.jobs.front().is_some_and(|job| job.created_at < oldest)
        {
            self.jobs.pop_front();
        }
    }

    /// Collections by name.
    pub fn collections(&self) -> impl Iterator<Item = (&String, &Collection)> {
        self.collections.iter()
    }

    /// One collection.
    pub fn collection(&self, name: &str) -> Result<&Collection, Error> {
        self.collections.get(name).ok_or(Error::UnknownCollection)
    }

    /// Whether a collection of this name can be made.
    pub fn check_new_collection(&self, name: &str) -> Result<(), Error> {
        names::check_collection(name).map_err(|error| Error::Invalid(error.to_string()))?;
        if self.collections.contains_key(name) {
            return Err(Error::CollectionExists);
        }
        let more = self.bounds.check_one_more_collection(self.collections.len() as u64);
        more.map_err(|error| Error::Invalid(error.to_string()))
    }

    /// Whether a collection can be deleted.
    pub fn check_deletion(&self, name: &str) -> Result<(), Error> {
        self.collection(name)?;
        if name == DEFAULT { Err(Error::CollectionProtected) } else { Ok(()) }
    }

    /// Jobs that `visible` lets through, newest first.
    pub fn jobs(
        &self,
        after: Option<&str>,
        limit: usize,
        visible: impl Fn(&Job) -> bool,
    ) -> Page<&Job> {
        const LIST: &str = "jobs";
        // The last job's id: a number would show how many others there are.
        let before = after.map(|after| cursor::decode(LIST, after)).transpose()?;
        let end = match &before {
            // Jobs go oldest first: when the cursor's has gone, so have all before it.
            Some(id) => self.jobs.iter().position(|job| job.id == *id).unwrap_or(0),
            None => self.jobs.len(),
        };
        let older = self.jobs.iter().take(end).rev().filter(|job| visible(job));
        let mut page: Vec<_> = older.take(limit + 1).collect();
        let more = page.len() > limit;
        page.truncate(limit);
        let next = page.last().filter(|_| more).map(|last| cursor::encode(LIST, &last.id));
        Ok((page, next))
    }

    /// One job.
    pub fn job(&self, id: &str) -> Result<&Job, Error> {
        self.jobs.iter().find(|job| job.id == id).ok_or(Error::UnknownJob)
    }
}

fn lengths((tokens, overlap): (u32, u32)) -> Chunking {
    Chunking { tokens, overlap }
}

/// Whether a document may be stored.
pub fn check_document(document: &Document) -> Result<(), Error> {
    names::check_document_id(&document.id).map_err(|error| Error::Invalid(error.to_string()))?;
    let fits =
        |chunk: &ChunkRecord| document.slice(chunk.start, chunk.end).is_some_and(|t| !t.is_empty());
    if !document.chunks.iter().all(fits) {
        return Err(Error::Invalid("a chunk lies outside its text or splits a character".into()));
    }
    document.details.check().map_err(Error::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ragtime_policy::details::{Details, JobWarnings};
    use ragtime_policy::digest::sha256;

    use crate::vectors::Stored;
    use std::time::Duration;

    fn put(id: &str, text: &str) -> Commit {
        let end = text.len() as u64;
        let document = Document {
            id: id.into(),
            title: None,
            text: text.into(),
            media_type: "text/plain".into(),
            metadata: "{}".into(),
            chunks: vec![ChunkRecord { start: 0, end, headings: Vec::new(), page: None }],
            sha256: sha256(text),
            created_at: 1,
            updated_at: 1,
            vectors: None,
            cut: String::new(),
            outline: String::new(),
            details: Details::default(),
        };
        Commit::Put { collection: DEFAULT.into(), document: Box::new(document) }
    }

    fn search(collection: &Collection, words: &str) -> Vec<Candidate> {
        collection.search(&Query { words: Some(words), depth: 10, ..Query::default() })
    }

    fn ingest(id: u64, created_at: u64) -> Commit {
        let job = Job {
            id: id.to_string(),
            collection: DEFAULT.into(),
            indexed: 0,
            failed: Vec::new(),
            created_at,
            warnings: JobWarnings::default(),
            stored: Vec::new(),
        };
        Commit::Ingest { job, documents: Vec::new() }
    }

    #[test]
    fn jobs_go_when_they_are_old_or_many_and_cursors_survive_it() {
        let bounds =
            Bounds { job_retention: Duration::from_secs(10), max_jobs: 3, ..Bounds::default() };
        let mut library = Library::new(bounds);
        let ids = |library: &Library, after: Option<&str>| {
            let (jobs, next) = library.jobs(after, 1, |_| true).unwrap();
            (jobs.iter().map(|job| job.id.clone()).collect::<Vec<_>>(), next)
        };
        (1..=3).for_each(|n| library.apply(ingest(n, n)));
        let (first, next) = ids(&library, None);
        assert_eq!(first, ["3"]);
        library.apply(ingest(4, 4));
        assert_eq!(library.job("1").unwrap_err(), Error::UnknownJob);
        assert_eq!(ids(&library, next.as_deref()).0, ["2"]);
        library.apply(ingest(5, 14));
        assert_eq!(library.jobs(None, 9, |_| true).unwrap().0.len(), 2);
        assert!(ids(&library, next.as_deref()).0.is_empty());
    }

    #[test]
    fn there_are_no_more_collections_than_the_operator_allows() {
        let mut library = Library::new(Bounds { max_collections: 2, ..Bounds::default() });
        library.check_new_collection("a").unwrap();
        library.apply(Commit::CreateCollection { name: "a".into(), at: 1, chunking: None });
        assert!(matches!(library.check_new_collection("b"), Err(Error::Invalid(_))));
        assert_eq!(library.check_new_collection("a"), Err(Error::CollectionExists));
    }

    #[test]
    fn vectors_come_later_and_go_with_their_document() {
        let mut library = Library::new(Bounds::default());
        library.apply(put("a", "flutter"));
        let unseen = library.collection(DEFAULT).unwrap().unembedded("m", 9);
        assert_eq!(unseen, [(1, vec!["flutter".to_owned()])]);
        let embed = |number| Commit::Embed {
            collection: DEFAULT.into(),
            vectors: vec![(number, Stored::new("m", &[vec![0.6, 0.8]]))],
        };
        library.apply(embed(1));
        let near = |library: &Library| {
            let query = Query { vector: Some(&[1.0, 0.0]), depth: 10, ..Query::default() };
            library.collection(DEFAULT).unwrap().search(&query)
        };
        assert_eq!(near(&library)[0].vector, Some(0.6));
        assert!(library.collection(DEFAULT).unwrap().unembedded("m", 9).is_empty());
        assert_eq!(library.collection(DEFAULT).unwrap().unembedded("other", 9).len(), 1);
        library.apply(put("a", "wing"));
        assert!(near(&library).is_empty());
        // Made of the text that was replaced meanwhile.
        library.apply(embed(1));
        assert!(near(&library).is_empty());
    }

    #[test]
    fn a_replaced_document_is_found_by_its_new_words_only() {
        let mut library = Library::new(Bounds::default());
        library.apply(put("a", "flutter"));
        library.apply(put("a", "wing"));
        let collection = library.collection(DEFAULT).unwrap();
        assert!(search(collection, "flutter").is_empty());
        assert_eq!(search(collection, "wings").len(), 1);
        assert_eq!(collection.size(), (1, 1));
    }

    #[test]
    fn pages_cover_a_list_once() {
        let mut library = Library::new(Bounds::default());
        (0..5).for_each(|n| library.apply(put(&n.to_string(), "wing")));
        let collection = library.collection(DEFAULT).unwrap();
        let (mut ids, mut after) = (Vec::new(), None);
        loop {
            let (page, next) = collection.documents(after.as_deref(), 2).unwrap();
            ids.extend(page.iter().map(|document| document.id.clone()));
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(ids, ["0", "1", "2", "3", "4"]);
        assert_eq!(collection.documents(Some("%"), 2).unwrap_err(), Error::InvalidCursor);
    }

    #[test]
    fn a_chunk_that_is_not_of_its_text_is_refused() {
        let Commit::Put { mut document, .. } = put("a", "kůň") else { panic!() };
        assert_eq!(check_document(&document), Ok(()));
        document.chunks[0].end = 2;
        assert!(check_document(&document).is_err());
    }
}
