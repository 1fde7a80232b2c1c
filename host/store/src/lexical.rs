//! The lexical index of one collection: BM25 (k1 1.2, b 0.75) over stemmed
//! words, in tantivy. One index for each collection, since the statistics of
//! one must not weigh on another.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use tantivy::collector::{DocSetCollector, FilterCollector, TopDocs};
use tantivy::indexer::IndexWriterOptions;
use tantivy::query::{BooleanQuery, EnableScoring, Occur, PhraseQuery, Query, TermQuery, Weight};
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{
    Language, LowerCaser, RemoveLongFilter, SimpleTokenizer, Stemmer, StopWordFilter, TextAnalyzer,
    TokenStream,
};
use tantivy::{
    DocAddress, DocId, Index, IndexReader, IndexWriter, ReloadPolicy, Searcher, TantivyDocument,
    Term,
};

use crate::types::Error;

const CHUNK: &str = "chunk";
const BODY: &str = "body";
/// Words in lower case, without the commonest of English, as stems (Porter2).
const ANALYSER: &str = "ragtime_en";
/// A longer word is an encoding or an accident.
const MAX_WORD_BYTES: usize = 40;
/// The smallest heap tantivy takes for one thread.
const WRITER_HEAP: usize = 15_000_000;
/// Terms of one query; the rest would cost much and change little.
const MAX_TERMS: usize = 128;
/// Phrases of one query.
const MAX_PHRASES: usize = 8;
/// Hits to take beyond those asked for, since some may be of chunks that are
/// gone and not yet out of the index.
const SPARE_HITS: usize = 64;

/// Reads a collection's lexical index.
pub(crate) struct Lexical {
    index: Index,
    reader: IndexReader,
    chunk: Field,
    body: Field,
}

impl Lexical {
    /// Opens the index in `dir`, empty if there is none.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(dir).map_err(|error| Error::Internal(error.to_string()))?;
        let mut schema = Schema::builder();
        let chunk = schema.add_u64_field(CHUNK, INDEXED | FAST);
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(ANALYSER)
            .set_index_option(IndexRecordOption::WithFreqsAndPositions);
        let body =
            schema.add_text_field(BODY, TextOptions::default().set_indexing_options(indexing));
        let directory =
            tantivy::directory::MmapDirectory::open(dir).map_err(tantivy::TantivyError::from)?;
        let index = Index::open_or_create(directory, schema.build())?;
        index.tokenizers().register(ANALYSER, analyser());
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Ok(Self { index, reader, chunk, body })
    }

    /// How far the index has come and what it holds, as of the last commit.
    pub(crate) fn state(&self) -> Result<State, Error> {
        let meta = self.index.load_metas()?;
        let progress = meta.payload.as_deref().and_then(Progress::parse).unwrap_or_default();
        let chunks = meta.segments.iter().map(|segment| u64::from(segment.num_docs())).sum();
        Ok(State { progress, chunks })
    }

    /// Names of files whose bytes are not those that were written.
    pub(crate) fn damaged(&self) -> Result<Vec<PathBuf>, Error> {
        Ok(self.index.validate_checksum()?.into_iter().collect())
    }

    /// The chunks in the index, in no order; one that is there twice comes
    /// twice.
    pub(crate) fn chunks(&self) -> Result<Vec<u64>, Error> {
        let mut chunks = Vec::new();
        for segment in self.reader.searcher().segment_readers() {
            let column = segment.fast_fields().u64(CHUNK)?;
            chunks.extend(segment.doc_ids_alive().filter_map(|doc| column.first(doc)));
        }
        Ok(chunks)
    }

    /// A writer for this index. There can be one at a time.
    pub(crate) fn writer(&self) -> Result<LexicalWriter, Error> {
        // One thread to write and one to merge: there is one batch at a time.
        let options = IndexWriterOptions::builder()
            .num_worker_threads(1)
            .memory_budget_per_thread(WRITER_HEAP)
            .num_merge_threads(1)
            .build();
        let writer = self.index.writer_with_options(options)?;
        Ok(LexicalWriter { writer, chunk: self.chunk, body: self.body })
    }

    /// Makes what was committed visible.
    pub(crate) fn reload(&self) -> Result<(), Error> {
        Ok(self.reader.reload()?)
    }

    /// Prepares a search; `None` when the text has no words. A word that comes
    /// twice counts twice. Words in quotation marks count once more where they
    /// stand together.
    pub(crate) fn search(&self, text: &str) -> Result<Option<LexicalSearch>, Error> {
        let terms = self.terms(text)?;
        if terms.is_empty() {
            return Ok(None);
        }
        let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::with_capacity(terms.len());
        for (_, term) in terms {
            let query = TermQuery::new(term, IndexRecordOption::WithFreqs);
            clauses.push((Occur::Should, Box::new(query)));
        }
        for phrase in phrases(text) {
            let terms = self.terms(phrase)?;
            if terms.len() > 1 {
                clauses.push((Occur::Should, Box::new(PhraseQuery::new_with_offset(terms))));
            }
        }
        let searcher = self.reader.searcher();
        let scoring = EnableScoring::enabled_from_searcher(&searcher);
        let weights =
            clauses.iter().map(|(_, clause)| clause.weight(scoring)).collect::<Result<_, _>>()?;
        let query = BooleanQuery::new(clauses);
        Ok(Some(LexicalSearch { searcher, query, weights, chunk: self.chunk }))
    }

    /// What the words and phrases that have to be there, and those that must
    /// not, mean for each chunk; `None` when they ask for nothing.
    pub(crate) fn constraint(
        &self,
        required: &[String],
        excluded: &[String],
    ) -> Result<Option<Constraint>, Error> {
        let searcher = self.reader.searcher();
        let required = self.runs(required)?;
        let excluded = self.runs(excluded)?;
        if required.is_empty() && excluded.is_empty() {
            return Ok(None);
        }
        let required = match required.is_empty() {
            true => None,
            false => Some(self.matching(&searcher, Occur::Must, required)?),
        };
        let excluded = self.matching(&searcher, Occur::Should, excluded)?;
        Ok(Some(Constraint { required, excluded }))
    }

    /// A query for each text that has words.
    fn runs(&self, texts: &[String]) -> Result<Vec<Box<dyn Query>>, Error> {
        let mut queries: Vec<Box<dyn Query>> = Vec::with_capacity(texts.len());
        for text in texts {
            let terms = self.terms(text)?;
            match terms.as_slice() {
                [] => {}
                [(_, term)] => {
                    let basic = IndexRecordOption::Basic;
                    queries.push(Box::new(TermQuery::new(term.clone(), basic)));
                }
                _ => queries.push(Box::new(PhraseQuery::new_with_offset(terms))),
            }
        }
        Ok(queries)
    }

    /// The chunks that match all of these, or any.
    fn matching(
        &self,
        searcher: &Searcher,
        occur: Occur,
        queries: Vec<Box<dyn Query>>,
    ) -> Result<HashSet<u64>, Error> {
        let clauses = queries.into_iter().map(|query| (occur, query)).collect();
        let found = searcher.search(&BooleanQuery::new(clauses), &DocSetCollector)?;
        let mut columns = HashMap::new();
        found.into_iter().map(|at| chunk_at(searcher, at, &mut columns)).collect()
    }

    /// The words of a text as the index knows them, each with its position.
    fn terms(&self, text: &str) -> Result<Vec<(usize, Term)>, Error> {
        let mut analyser = self.index.tokenizer_for_field(self.body)?;
        let mut stream = analyser.token_stream(text);
        let mut terms = Vec::new();
        while terms.len() < MAX_TERMS && stream.advance() {
            let token = stream.token();
            terms.push((token.position, Term::from_field_text(self.body, &token.text)));
        }
        Ok(terms)
    }
}

/// Which chunks a search may return for the sake of their words.
pub(crate) struct Constraint {
    /// One of these, if it matters.
    required: Option<HashSet<u64>>,
    /// None of these.
    excluded: HashSet<u64>,
}

impl Constraint {
    pub(crate) fn allows(&self, chunk: u64) -> bool {
        self.required.as_ref().is_none_or(|required| required.contains(&chunk))
            && !self.excluded.contains(&chunk)
    }
}

/// The number of the chunk at a place in the index.
fn chunk_at(
    searcher: &Searcher,
    at: DocAddress,
    columns: &mut HashMap<u32, tantivy::columnar::Column<u64>>,
) -> Result<u64, Error> {
    let column = match columns.entry(at.segment_ord) {
        std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
        std::collections::hash_map::Entry::Vacant(vacant) => {
            let segment = searcher.segment_reader(at.segment_ord);
            vacant.insert(segment.fast_fields().u64(CHUNK)?)
        }
    };
    column
        .first(at.doc_id)
        .ok_or_else(|| Error::Internal("a chunk in the index has no number".into()))
}

/// What stands between quotation marks.
fn phrases(text: &str) -> impl Iterator<Item = &str> {
    let parts: Vec<_> = text.split(['"', '\u{201c}', '\u{201d}']).collect();
    let closed = parts.len().saturating_sub(1);
    parts.into_iter().take(closed).skip(1).step_by(2).take(MAX_PHRASES)
}

fn analyser() -> TextAnalyzer {
    let words = TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(MAX_WORD_BYTES))
        .filter(LowerCaser);
    match StopWordFilter::new(Language::English) {
        Some(stop_words) => {
            words.filter(stop_words).filter(Stemmer::new(Language::English)).build()
        }
        None => words.filter(Stemmer::new(Language::English)).build(),
    }
}

/// How far an index has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Every chunk up to this id is in.
    pub chunk: u64,
    /// Every removal up to this number is done.
    pub removal: i64,
}

/// What was committed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) progress: Progress,
    /// Chunks in the index.
    pub(crate) chunks: u64,
}

impl Progress {
    fn parse(payload: &str) -> Option<Self> {
        let (chunk, removal) = payload.split_once(' ')?;
        Some(Self { chunk: chunk.parse().ok()?, removal: removal.parse().ok()? })
    }
}

/// Changes a collection's lexical index.
pub(crate) struct LexicalWriter {
    writer: IndexWriter,
    chunk: Field,
    body: Field,
}

impl LexicalWriter {
    pub(crate) fn add(&self, chunk: u64, text: &str) -> Result<(), Error> {
        let mut document = TantivyDocument::default();
        document.add_u64(self.chunk, chunk);
        document.add_text(self.body, text);
        self.writer.add_document(document)?;
        Ok(())
    }

    pub(crate) fn remove(&self, chunk: u64) {
        self.writer.delete_term(Term::from_field_u64(self.chunk, chunk));
    }

    /// Lets the index go once what it is merging is merged, or an index that is
    /// often closed would never be merged.
    pub(crate) fn close(self) {
        if let Err(error) = self.writer.wait_merging_threads() {
            tracing::warn!(%error, "segments of a lexical index were not merged");
        }
    }

    /// Makes the changes last, together with how far they reach.
    pub(crate) fn commit(&mut self, progress: Progress) -> Result<(), Error> {
        let mut prepared = self.writer.prepare_commit()?;
        prepared.set_payload(&format!("{} {}", progress.chunk, progress.removal));
        prepared.commit()?;
        Ok(())
    }
}

/// A search under way, on one state of the index.
pub(crate) struct LexicalSearch {
    searcher: Searcher,
    query: BooleanQuery,
    /// Of each word and phrase of the query.
    weights: Vec<Box<dyn Weight>>,
    chunk: Field,
}

impl LexicalSearch {
    /// The best `depth` chunks that are `alive`, with their scores, where most
    /// are: unlike [`Self::top_of`] it need not score every match.
    pub(crate) fn top<F>(&self, depth: usize, alive: F) -> Result<Vec<(u64, f32)>, Error>
    where
        F: Fn(u64) -> bool + Send + Sync + Clone + 'static,
    {
        let limit = depth + SPARE_HITS;
        let hits =
            self.searcher.search(&self.query, &TopDocs::with_limit(limit).order_by_score())?;
        let all = hits.len() < limit;
        let mut found = self.numbered(hits)?;
        found.retain(|(chunk, _)| alive(*chunk));
        if found.len() < depth && !all {
            return self.top_of(depth, alive);
        }
        found.truncate(depth);
        Ok(found)
    }

    /// The best `depth` chunks that `accept` takes, with their scores.
    pub(crate) fn top_of<F>(&self, depth: usize, accept: F) -> Result<Vec<(u64, f32)>, Error>
    where
        F: Fn(u64) -> bool + Send + Sync + Clone + 'static,
    {
        let top = TopDocs::with_limit(depth).order_by_score();
        let collector = FilterCollector::new(CHUNK.to_owned(), accept, top);
        self.numbered(self.searcher.search(&self.query, &collector)?)
    }

    /// Chunk ids for places in the index.
    fn numbered(&self, hits: Vec<(f32, DocAddress)>) -> Result<Vec<(u64, f32)>, Error> {
        let mut columns = HashMap::new();
        hits.into_iter()
            .map(|(score, at)| Ok((chunk_at(&self.searcher, at, &mut columns)?, score)))
            .collect()
    }

    /// The scores of these chunks, of those that match at all.
    pub(crate) fn scores(&self, chunks: &[u64]) -> Result<HashMap<u64, f32>, Error> {
        let mut scores = HashMap::new();
        for segment in self.searcher.segment_readers() {
            // Most chunks are of other segments; looking each up in all of
            // them is what would cost.
            let column = segment.fast_fields().u64(CHUNK)?;
            let held = column.min_value()..=column.max_value();
            let numbers = segment.inverted_index(self.chunk)?;
            let mut here: Vec<(DocId, u64)> = Vec::new();
            for chunk in chunks.iter().filter(|chunk| held.contains(chunk)) {
                let term = Term::from_field_u64(self.chunk, *chunk);
                let postings = numbers
                    .read_postings(&term, IndexRecordOption::Basic)
                    .map_err(tantivy::TantivyError::from)?;
                here.extend(postings.map(|postings| (tantivy::DocSet::doc(&postings), *chunk)));
            }
            if here.is_empty() {
                continue;
            }
            here.sort_unstable();
            // Each word by itself: their union scores all that lies near what
            // it is asked for.
            for weight in &self.weights {
                let mut scorer = weight.scorer(segment, 1.0)?;
                for (doc, chunk) in &here {
                    if scorer.doc() < *doc {
                        scorer.seek(*doc);
                    }
                    if scorer.doc() == *doc {
                        *scores.entry(*chunk).or_default() += scorer.score();
                    }
                }
            }
        }
        Ok(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_have_to_be_there_are_and_those_that_must_not_be_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let lexical = Lexical::open(dir.path()).unwrap();
        let mut writer = lexical.writer().unwrap();
        let texts = ["the maple leaf rag", "a rag for the maple, leaf by leaf", "leaf of a maple"];
        for (chunk, text) in (1..).zip(texts) {
            writer.add(chunk, text).unwrap();
        }
        writer.commit(Progress { chunk: 3, removal: 0 }).unwrap();
        lexical.reload().unwrap();
        let allowed = |required: &[&str], excluded: &[&str]| {
            let owned = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
            let found = lexical.constraint(&owned(required), &owned(excluded)).unwrap();
            let all = 1..=3_u64;
            all.filter(|chunk| found.as_ref().is_none_or(|c| c.allows(*chunk))).collect::<Vec<_>>()
        };
        assert_eq!(allowed(&["maple leaf"], &[]), [1, 2]);
        assert_eq!(allowed(&["Leaf of the maples"], &[]), [3], "stop words keep their places");
        assert_eq!(allowed(&["maples", "rags"], &[]), [1, 2]);
        assert_eq!(allowed(&["maple"], &["leaf rag", "nothing"]), [2, 3]);
        assert_eq!(allowed(&["the", "?"], &["of"]), [1, 2, 3], "without words it asks for nothing");
        assert_eq!(allowed(&["nothing"], &[]), [0_u64; 0]);
    }

    #[test]
    fn scores_are_those_of_the_top_whichever_segment_a_chunk_is_in() {
        let dir = tempfile::tempdir().unwrap();
        let lexical = Lexical::open(dir.path()).unwrap();
        let mut writer = lexical.writer().unwrap();
        for segment in 0..3_u64 {
            for chunk in (segment..30).step_by(3) {
                let text = if chunk % 4 == 3 { "fuselage" } else { "swept wing" };
                let rest = "flutter ".repeat(chunk as usize);
                writer.add(chunk, &format!("{text} {rest}")).unwrap();
            }
            writer.commit(Progress { chunk: segment, removal: 0 }).unwrap();
        }
        lexical.reload().unwrap();
        let search = lexical.search("wing").unwrap().unwrap();
        assert!(search.searcher.segment_readers().len() > 1);
        let all: Vec<_> = (0..40).collect();
        let top: HashMap<_, _> = search.top(40, |_| true).unwrap().into_iter().collect();
        assert_eq!(top.len(), 23);
        assert_eq!(search.scores(&all).unwrap(), top);
    }
}
