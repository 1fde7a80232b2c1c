//! The documents: what the commits of the journal add up to.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::ops::Bound;

use ragtime_filter::Filter;
use ragtime_policy::bounds::Bounds;
use ragtime_policy::chunking::{Chunking, Cut};
use ragtime_policy::details::Prompt;
use ragtime_policy::names;
use ragtime_policy::version::Condition;
use ragtime_text::{Language, ModelLanguages, phrase};

use crate::bm25::{self, Index, Places};
use crate::cursor;
use crate::records::{Chunk, Commit, Document, Job};
use crate::vectors::{Stored, Vectors};

/// The collection that is always there.
const DEFAULT: &str = "default";
/// A document's id, in bytes: it is part of URLs.
const MAX_ID: usize = 1_024;

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

/// What to look for in a collection.
#[derive(Debug, Default)]
pub struct Query<'a> {
    /// The words to find, unless it is by vector only.
    pub words: Option<&'a str>,
    /// The vector to be near to, of unit length.
    pub vector: Option<&'a [f32]>,
    /// The most chunks from each of the two.
    pub depth: usize,
    /// Which documents count.
    pub filter: Option<&'a Filter>,
    /// Words and phrases that a chunk has to have.
    pub required: &'a [String],
    /// Words and phrases that it must not have.
    pub excluded: &'a [String],
    /// The languages that the model knows, if not all. Beside words it has no vote on
    /// a chunk in another.
    pub known: Option<&'a ModelLanguages>,
}

/// A chunk that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its number.
    pub chunk: u64,
    /// Its document's number.
    pub document: u64,
    /// BM25.
    pub lexical: Option<f32>,
    /// Cosine.
    pub vector: Option<f32>,
}

/// Stems with their places.
type Phrase = Vec<(u32, String)>;

/// What has to be there and what must not, by language; none where nothing is asked.
type Conditions = Option<HashMap<Option<Language>, (Vec<Phrase>, Vec<Phrase>)>>;

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
    fn found<'a>(&'a self, number: u64, chunk: &'a Chunk) -> Found<'a> {
        Found { number, chunk, document: &self.document, language: self.language }
    }

    fn chunks(&self) -> impl Iterator<Item = (u64, &Chunk)> {
        (self.number + 1..).zip(&self.document.chunks)
    }
}

/// A chunk in its document.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// Its number.
    pub number: u64,
    /// The chunk.
    pub chunk: &'a Chunk,
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
    /// goes is told by the journal alone, so every instance keeps the same.
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
        // The last job's id: a number would tell how many others there are.
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

impl Collection {
    fn add(&mut self, numbered: Numbered) {
        for (number, chunk) in numbered.chunks() {
            self.index.add(number, &numbered.document.words(chunk, numbered.language));
            self.chunks.insert(number, numbered.document.id.clone());
        }
        let stored = numbered.document.vectors.iter().flat_map(Stored::decoded);
        (numbered.number + 1..).zip(stored).for_each(|(chunk, vector)| {
            self.vectors.insert(chunk, vector);
        });
        self.documents.insert(numbered.document.id.clone(), numbered);
    }

    /// Its documents keep their numbers: what search found a moment ago is read by them.
    fn set_language(&mut self, language: Option<Language>) {
        self.language = language;
        for numbered in self.documents.values_mut() {
            let wanted = numbered.document.language(language);
            if wanted == numbered.language {
                continue;
            }
            for (number, chunk) in (numbered.number + 1..).zip(&numbered.document.chunks) {
                let document = &numbered.document;
                self.index.remove(number, &document.words(chunk, numbered.language));
                self.index.add(number, &document.words(chunk, wanted));
            }
            numbered.language = wanted;
        }
    }

    fn remove(&mut self, id: &str) {
        let Some(old) = self.documents.remove(id) else { return };
        for (number, chunk) in old.chunks() {
            self.index.remove(number, &old.document.words(chunk, old.language));
            self.chunks.remove(&number);
            self.vectors.remove(number);
        }
    }

    /// Keeps vectors with the document of this number, which may have gone.
    fn embed(&mut self, number: u64, vectors: Stored) {
        let Some(id) = self.chunks.get(&(number + 1)) else { return };
        let Some(numbered) = self.documents.get_mut(id) else { return };
        if numbered.number == number && vectors.vectors.len() == numbered.document.chunks.len() {
            (number + 1..).zip(vectors.decoded()).for_each(|(chunk, vector)| {
                self.vectors.insert(chunk, vector);
            });
            numbered.document.vectors = Some(vectors);
        }
    }

    /// Up to `limit` documents that `model` has not seen, by number, with what
    /// is indexed of their chunks.
    pub fn unembedded(&self, model: &str, limit: usize) -> Vec<(u64, Vec<String>)> {
        let unseen = self.documents.values().filter(|numbered| {
            let made_by = numbered.document.vectors.as_ref().map(|stored| stored.model.as_str());
            made_by != Some(model) && !numbered.document.chunks.is_empty()
        });
        let texts = |numbered: &Numbered| {
            let chunks = numbered.document.chunks.iter();
            let texts = chunks.map(|chunk| numbered.document.indexed_text(chunk)).collect();
            (numbered.number, texts)
        };
        unseen.take(limit).map(texts).collect()
    }

    /// A query's vector, moved towards these chunks.
    pub fn moved(&self, query: &[f32], towards: &[u64]) -> Vec<f32> {
        self.vectors.moved(query, towards)
    }

    /// How its texts are to be cut: by estimate, as there is no model here that
    /// counts tokens.
    pub fn wanted_cut(&self) -> Cut {
        Cut { chunking: self.chunking, model: None }
    }

    fn uncut(&self) -> impl Iterator<Item = &Numbered> {
        let wanted = self.wanted_cut();
        // What has no chunks was not put in to be found.
        let uncut = move |document: &Document| {
            !document.chunks.is_empty()
                && !document.cut.is_empty()
                && !wanted.is_met_by(&document.cut)
        };
        self.documents.values().filter(move |numbered| uncut(&numbered.document))
    }

    /// Number of documents that are not cut so.
    pub fn uncut_count(&self) -> u64 {
        self.uncut().count() as u64
    }

    /// Those documents, by id.
    pub fn uncut_documents(&self, after: Option<&str>, limit: usize) -> Page<&Document> {
        const LIST: &str = "uncut";
        let after = after.map(|after| cursor::decode(LIST, after)).transpose()?;
        let documents = self.uncut().map(|numbered| &numbered.document);
        let mut page: Vec<_> = documents
            .filter(|document| after.as_ref().is_none_or(|after| document.id > *after))
            .take(limit + 1)
            .collect();
        let more = page.len() > limit;
        page.truncate(limit);
        let next = page.last().filter(|_| more).map(|last| cursor::encode(LIST, &last.id));
        Ok((page, next))
    }

    /// Number of documents and of chunks.
    pub fn size(&self) -> (u64, u64) {
        (self.documents.len() as u64, self.chunks.len() as u64)
    }

    /// One document.
    pub fn document(&self, id: &str) -> Result<&Document, Error> {
        self.documents.get(id).map(|numbered| &numbered.document).ok_or(Error::UnknownDocument)
    }

    /// The language that one is in.
    pub fn language_of_document(&self, id: &str) -> Option<Language> {
        self.documents.get(id).and_then(|numbered| numbered.language)
    }

    /// Compares the document that is there with a condition.
    pub fn check(&self, id: &str, condition: &Condition) -> Result<(), Error> {
        let current = self.document(id).ok().map(Document::version);
        if condition.holds(current.as_deref()) { Ok(()) } else { Err(Error::PreconditionFailed) }
    }

    /// Documents by id.
    pub fn documents(&self, after: Option<&str>, limit: usize) -> Page<&Document> {
        const LIST: &str = "documents";
        let after = after.map(|after| cursor::decode(LIST, after)).transpose()?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.documents.range::<String, _>((from, Bound::Unbounded));
        let mut page: Vec<_> =
            rest.map(|(_, numbered)| &numbered.document).take(limit + 1).collect();
        let more = page.len() > limit;
        page.truncate(limit);
        let next = page.last().filter(|_| more).map(|last| cursor::encode(LIST, &last.id));
        Ok((page, next))
    }

    /// The first documents with ids between two, from either end.
    pub fn between(
        &self,
        above: Option<&str>,
        below: Option<&str>,
        descending: bool,
        limit: usize,
    ) -> Vec<&Document> {
        // A range of a map may not be empty by its bounds.
        if above.zip(below).is_some_and(|(above, below)| above >= below) {
            return Vec::new();
        }
        let [above, below] = [above, below].map(|id| id.map_or(Bound::Unbounded, Bound::Excluded));
        let documents = self.documents.range::<str, _>((above, below));
        let documents = documents.map(|(_, numbered)| &numbered.document);
        match descending {
            true => documents.rev().take(limit).collect(),
            false => documents.take(limit).collect(),
        }
    }

    /// The bytes of all texts.
    pub fn bytes(&self) -> u64 {
        self.documents.values().map(|numbered| numbered.document.text.len() as u64).sum()
    }

    /// The chunks of a document, in order.
    pub fn chunks(&self, id: &str, after: Option<&str>, limit: usize) -> Page<Found<'_>> {
        const LIST: &str = "chunks";
        let after = after.map(|after| cursor::decode_number(LIST, after)).transpose()?.unwrap_or(0);
        let numbered = self.documents.get(id).ok_or(Error::UnknownDocument)?;
        let after = usize::try_from(after).map_err(|_| Error::InvalidCursor)?;
        let rest = numbered.chunks().skip(after);
        let found = |(number, chunk)| numbered.found(number, chunk);
        let mut page: Vec<_> = rest.map(found).take(limit + 1).collect();
        let more = page.len() > limit;
        page.truncate(limit);
        let next = more.then(|| cursor::encode(LIST, &(after + page.len()).to_string()));
        Ok((page, next))
    }

    /// A chunk by number, with the number of its document.
    pub fn chunk(&self, number: u64) -> Option<(u64, Found<'_>)> {
        let numbered = self.documents.get(self.chunks.get(&number)?)?;
        let place = usize::try_from(number.checked_sub(numbered.number + 1)?).ok()?;
        let chunk = numbered.document.chunks.get(place)?;
        Some((numbered.number, numbered.found(number, chunk)))
    }

    /// The language that a query is in, as far as the texts can tell.
    pub fn language_of(&self, query: &str) -> Option<Language> {
        self.index.language_of(query)
    }

    /// Whether a chunk has all the words and phrases that are required and none
    /// that is excluded, compared in its own language.
    fn has_words(&self, number: u64, conditions: &Conditions) -> bool {
        let Some(conditions) = conditions else { return true };
        let Some((_, found)) = self.chunk(number) else { return false };
        let Some((required, excluded)) = conditions.get(&found.language) else { return false };
        let text = Places::of(&found.document.words(found.chunk, found.language));
        required.iter().all(|run| text.has(run)) && !excluded.iter().any(|run| text.has(run))
    }

    /// What a query requires and excludes, in each language of the texts.
    fn conditions(&self, query: &Query<'_>) -> Conditions {
        let runs = |texts: &[String], language| -> Vec<Phrase> {
            let runs = texts.iter().map(|text| phrase(text, language));
            runs.filter(|run| !run.is_empty()).collect()
        };
        let none = query.required.is_empty() && query.excluded.is_empty();
        (!none).then(|| {
            let each = self.index.languages().map(|language| {
                (language, (runs(query.required, language), runs(query.excluded, language)))
            });
            each.collect()
        })
    }

    /// The best chunks by words and by vector among documents that the filter
    /// allows, each once, in no order. Where one way found a chunk that the
    /// other missed, its score there is given all the same.
    pub fn search(&self, query: &Query<'_>) -> Vec<Candidate> {
        let allowed: Option<HashSet<u64>> = query.filter.map(|filter| {
            let matching = self.documents.values().filter(|numbered| {
                let metadata = serde_json::from_str(&numbered.document.metadata);
                let language = numbered.language.as_ref().map(Language::code);
                filter.matches(&metadata.unwrap_or(serde_json::Value::Null), language)
            });
            matching.flat_map(|numbered| numbered.chunks().map(|(number, _)| number)).collect()
        });
        let conditions = self.conditions(query);
        let allows = |chunk: u64| {
            allowed.as_ref().is_none_or(|allowed| allowed.contains(&chunk))
                && self.has_words(chunk, &conditions)
        };
        let scores = query.words.map(|words| self.index.scores(words)).unwrap_or_default();
        let by_words = bm25::best(&scores, query.depth, allows);
        let by_vector = query.vector.map(|near| self.vectors.nearest(near, query.depth, allows));
        let found: BTreeSet<u64> = by_words
            .into_iter()
            .chain(by_vector.unwrap_or_default())
            .map(|(chunk, _)| chunk)
            .collect();
        let known = query.known.filter(|_| query.words.is_some());
        let candidate = |chunk: u64| {
            let (document, found) = self.chunk(chunk)?;
            let votes = known.is_none_or(|known| known.knows(found.language));
            Some(Candidate {
                chunk,
                document,
                lexical: scores.get(&chunk).copied(),
                vector: query
                    .vector
                    .filter(|_| votes)
                    .and_then(|near| self.vectors.similarity(chunk, near)),
            })
        };
        found.into_iter().filter_map(candidate).collect()
    }
}

fn lengths((tokens, overlap): (u32, u32)) -> Chunking {
    Chunking { tokens, overlap }
}

/// Whether a document may be stored.
pub fn check_document(document: &Document) -> Result<(), Error> {
    let id = &document.id;
    if id.is_empty() || id.len() > MAX_ID || id.chars().any(char::is_control) {
        return Err(Error::Invalid(format!(
            "an id has 1 to {MAX_ID} bytes and no control characters"
        )));
    }
    let fits =
        |chunk: &Chunk| document.slice(chunk.start, chunk.end).is_some_and(|t| !t.is_empty());
    if !document.chunks.iter().all(fits) {
        return Err(Error::Invalid("a chunk lies outside its text or splits a character".into()));
    }
    document.details.check().map_err(Error::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::sha256_hex;
    use ragtime_policy::details::{Details, JobWarnings};
    use std::time::Duration;

    fn put(id: &str, text: &str) -> Commit {
        let end = text.len() as u64;
        let document = Document {
            id: id.into(),
            title: None,
            text: text.into(),
            media_type: "text/plain".into(),
            metadata: "{}".into(),
            chunks: vec![Chunk { start: 0, end, headings: Vec::new(), page: None }],
            sha256: sha256_hex(text),
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
