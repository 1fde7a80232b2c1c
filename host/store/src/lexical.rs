//! The lexical index of one collection: BM25 (k1 1.2, b 0.75) over stemmed
//! words, in tantivy. One index for each collection, since the statistics of
//! one must not weigh on another.

use std::collections::HashMap;
use std::path::Path;

use tantivy::collector::{FilterCollector, TopDocs};
use tantivy::query::{BooleanQuery, EnableScoring, Occur, Query, TermQuery, Weight};
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

    /// How far the index has come: the last chunk and the last removal in it.
    pub(crate) fn progress(&self) -> Result<Progress, Error> {
        let payload = self.index.load_metas()?.payload;
        Ok(payload.as_deref().and_then(Progress::parse).unwrap_or_default())
    }

    /// A writer for this index. There can be one at a time.
    pub(crate) fn writer(&self) -> Result<LexicalWriter, Error> {
        let writer = self.index.writer_with_num_threads(1, WRITER_HEAP)?;
        Ok(LexicalWriter { writer, chunk: self.chunk, body: self.body })
    }

    /// Makes what was committed visible.
    pub(crate) fn reload(&self) -> Result<(), Error> {
        Ok(self.reader.reload()?)
    }

    /// Prepares a search; `None` when the text has no words.
    pub(crate) fn search(&self, text: &str) -> Result<Option<LexicalSearch>, Error> {
        let terms = self.terms(text)?;
        if terms.is_empty() {
            return Ok(None);
        }
        let clauses = terms.into_iter().map(|term| {
            let query: Box<dyn Query> =
                Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs));
            (Occur::Should, query)
        });
        let query = BooleanQuery::new(clauses.collect());
        let searcher = self.reader.searcher();
        let weight = query.weight(EnableScoring::enabled_from_searcher(&searcher))?;
        Ok(Some(LexicalSearch { searcher, query, weight, chunk: self.chunk }))
    }

    /// The words of a text as the index knows them. A word that comes twice
    /// counts twice.
    fn terms(&self, text: &str) -> Result<Vec<Term>, Error> {
        let mut analyser = self.index.tokenizer_for_field(self.body)?;
        let mut stream = analyser.token_stream(text);
        let mut terms = Vec::new();
        while terms.len() < MAX_TERMS && stream.advance() {
            terms.push(Term::from_field_text(self.body, &stream.token().text));
        }
        Ok(terms)
    }
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
    weight: Box<dyn Weight>,
    chunk: Field,
}

impl LexicalSearch {
    /// The best `depth` chunks that `alive` accepts, with their scores.
    pub(crate) fn top<F>(&self, depth: usize, alive: F) -> Result<Vec<(u64, f32)>, Error>
    where
        F: Fn(u64) -> bool + Send + Sync + Clone + 'static,
    {
        let top = TopDocs::with_limit(depth).order_by_score();
        let collector = FilterCollector::new(CHUNK.to_owned(), alive, top);
        let found = self.searcher.search(&self.query, &collector)?;
        let mut columns = HashMap::new();
        found.into_iter().map(|(score, at)| Ok((self.chunk_at(at, &mut columns)?, score))).collect()
    }

    /// The scores of these chunks, of those that match at all.
    pub(crate) fn scores(&self, chunks: &[u64]) -> Result<HashMap<u64, f32>, Error> {
        let mut scores = HashMap::new();
        for segment in self.searcher.segment_readers() {
            let numbers = segment.inverted_index(self.chunk)?;
            let mut here: Vec<(DocId, u64)> = Vec::new();
            for chunk in chunks {
                let term = Term::from_field_u64(self.chunk, *chunk);
                let postings = numbers
                    .read_postings(&term, IndexRecordOption::Basic)
                    .map_err(tantivy::TantivyError::from)?;
                here.extend(postings.map(|postings| (tantivy::DocSet::doc(&postings), *chunk)));
            }
            here.sort_unstable();
            let mut scorer = self.weight.scorer(segment, 1.0)?;
            for (doc, chunk) in here {
                if scorer.doc() < doc {
                    scorer.seek(doc);
                }
                if scorer.doc() == doc {
                    scores.insert(chunk, scorer.score());
                }
            }
        }
        Ok(scores)
    }

    fn chunk_at(
        &self,
        at: DocAddress,
        columns: &mut HashMap<u32, tantivy::columnar::Column<u64>>,
    ) -> Result<u64, Error> {
        let column = match columns.entry(at.segment_ord) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(vacant) => {
                let segment = self.searcher.segment_reader(at.segment_ord);
                vacant.insert(segment.fast_fields().u64(CHUNK)?)
            }
        };
        column
            .first(at.doc_id)
            .ok_or_else(|| Error::Internal("a chunk in the index has no number".into()))
    }
}

/// The last chunk in the index in `folder`; 0 when it cannot be read, so that
/// it is built anew.
pub(crate) fn progress_of(folder: &Path) -> u64 {
    let progress = Lexical::open(folder).and_then(|lexical| lexical.progress());
    progress.map_or(0, |progress| progress.chunk)
}
