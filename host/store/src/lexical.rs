//! The lexical index of one collection: BM25 (k1 1.2, b 0.75) in tantivy over the
//! terms of `ragtime-text`. One index for each collection, since the statistics of
//! one must not weigh on another.

mod best;
mod listed;
mod search;
mod writer;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use ragtime_text::{self as text, KnownStems, Language, ModelLanguages};
use tantivy::collector::DocSetCollector;
use tantivy::indexer::IndexWriterOptions;
use tantivy::query::{
    BooleanQuery, BoostQuery, ConstScoreQuery, EnableScoring, Occur, PhraseQuery, Query, TermQuery,
};
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, STRING, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::{DocId, DocSet, Index, IndexReader, ReloadPolicy, Searcher, Term};

use crate::types::Error;
use listed::ListedTerms;
pub(crate) use search::LexicalSearch;
use search::chunk_at;
use writer::State;
pub(crate) use writer::{LexicalWriter, Progress};

const CHUNK: &str = "chunk";
const STEM: &str = "stem";
const EXACT: &str = "exact";
const NAMES: &str = "names";
const LANGUAGE: &str = "language";
/// Stems of English, the only field of words in an index of the first version.
const BODY: &str = "body";
/// The names under which tantivy finds the reader of a list of terms. The second is that
/// of an index of the first version.
const ANALYSERS: [&str; 2] = ["ragtime", "ragtime_en"];
/// Of a text whose language is not known.
const UNDETERMINED: &str = "und";
/// Texts in other languages are few where at most one of so many is: then it takes less time
/// to find them by themselves.
const FEW: u64 = 8;
/// The smallest heap tantivy takes for one thread.
const WRITER_HEAP: usize = 15_000_000;

/// Stems that stand together, with their places.
type Run = Vec<(u32, String)>;
/// A segment with the places and numbers of chunks in it.
type Here<'a> = (&'a tantivy::SegmentReader, Vec<(DocId, u64)>);

/// Reads a collection's lexical index.
pub(crate) struct Lexical {
    index: Index,
    reader: IndexReader,
    fields: Fields,
}

/// The fields of an index. One of the first version has no more than `stem`, and
/// serves while the next one is made.
#[derive(Clone, Copy)]
struct Fields {
    chunk: Field,
    stem: Field,
    exact: Option<Field>,
    names: Option<Field>,
    language: Option<Field>,
}

impl Fields {
    fn of(schema: &Schema) -> Result<Self, Error> {
        let field = |name| schema.get_field(name);
        let stem = field(STEM).or_else(|_| field(BODY));
        Ok(Self {
            chunk: field(CHUNK)?,
            stem: stem?,
            exact: field(EXACT).ok(),
            names: field(NAMES).ok(),
            language: field(LANGUAGE).ok(),
        })
    }

    fn get(&self, field: text::Field) -> Option<Field> {
        match field {
            text::Field::Stem => Some(self.stem),
            text::Field::Exact => self.exact,
            text::Field::Names => self.names,
        }
    }
}

fn schema() -> Schema {
    let mut schema = Schema::builder();
    let words = |option| {
        let indexing = TextFieldIndexing::default().set_tokenizer(ANALYSERS[0]);
        TextOptions::default().set_indexing_options(indexing.set_index_option(option))
    };
    schema.add_u64_field(CHUNK, INDEXED | FAST);
    schema.add_text_field(STEM, words(IndexRecordOption::WithFreqsAndPositions));
    schema.add_text_field(EXACT, words(IndexRecordOption::WithFreqs));
    schema.add_text_field(NAMES, words(IndexRecordOption::WithFreqs));
    schema.add_text_field(LANGUAGE, STRING);
    schema.build()
}

impl Lexical {
    /// Opens the index in `dir`, an empty one of this version if there is none.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(dir).map_err(|error| Error::Internal(error.to_string()))?;
        let directory =
            tantivy::directory::MmapDirectory::open(dir).map_err(tantivy::TantivyError::from)?;
        let index = match Index::exists(&directory).map_err(tantivy::TantivyError::from)? {
            true => Index::open(directory)?,
            false => Index::create(directory, schema(), tantivy::IndexSettings::default())?,
        };
        for name in ANALYSERS {
            index.tokenizers().register(name, ListedTerms::default());
        }
        let fields = Fields::of(&index.schema())?;
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Ok(Self { index, reader, fields })
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
        Ok(LexicalWriter { writer, fields: self.fields, known: KnownStems::default() })
    }

    /// Makes what was committed visible.
    pub(crate) fn reload(&self) -> Result<(), Error> {
        Ok(self.reader.reload()?)
    }

    /// How many chunks are in each language, by code; those that were deleted
    /// count until their segment is merged.
    fn languages(&self, searcher: &Searcher) -> Result<Vec<(Option<Language>, u64)>, Error> {
        let Some(field) = self.fields.language else {
            return Ok(vec![(Some(Language::ENGLISH), 1)]);
        };
        let mut counts: std::collections::BTreeMap<Option<Language>, u64> = Default::default();
        for segment in searcher.segment_readers() {
            let terms = segment.inverted_index(field)?;
            let mut stream = terms.terms().stream().map_err(tantivy::TantivyError::from)?;
            while stream.advance() {
                let code = std::str::from_utf8(stream.key()).unwrap_or_default();
                let language = Language::parse(code).filter(|_| code != UNDETERMINED);
                *counts.entry(language).or_default() += u64::from(stream.value().doc_freq);
            }
        }
        Ok(counts.into_iter().collect())
    }

    /// The language that a query is in, as far as the index shows.
    pub(crate) fn language_of(&self, query: &str) -> Result<Option<Language>, Error> {
        let languages = self.languages(&self.reader.searcher())?;
        Ok(text::language_of_query(query, &known(&languages)))
    }

    /// Those of some chunks that are in a language that a model does not know.
    pub(crate) fn in_other_languages(
        &self,
        known: &ModelLanguages,
        chunks: &[u64],
    ) -> Result<HashSet<u64>, Error> {
        let searcher = self.reader.searcher();
        let others: Vec<_> = self.languages(&searcher)?.into_iter().map(|(one, _)| one).collect();
        let others: Vec<_> = others.into_iter().filter(|one| !known.knows(*one)).collect();
        let Some(field) = self.fields.language.filter(|_| !others.is_empty()) else {
            return Ok(HashSet::new());
        };
        let mut found = HashSet::new();
        for (segment, mut here) in self.places(&searcher, chunks)? {
            here.sort_unstable();
            let terms = segment.inverted_index(field)?;
            for language in &others {
                let term = Term::from_field_text(field, code(language));
                let postings = terms.read_postings(&term, IndexRecordOption::Basic);
                let Some(mut postings) = postings.map_err(tantivy::TantivyError::from)? else {
                    continue;
                };
                for (doc, chunk) in &here {
                    if postings.doc() < *doc {
                        postings.seek(*doc);
                    }
                    if postings.doc() == *doc {
                        found.insert(*chunk);
                    }
                }
            }
        }
        Ok(found)
    }

    /// Where chunks are, segment by segment.
    fn places<'a>(&self, searcher: &'a Searcher, chunks: &[u64]) -> Result<Vec<Here<'a>>, Error> {
        places(searcher, self.fields.chunk, chunks)
    }

    /// Prepares a search; `None` when the text has no words. A word that comes
    /// twice counts twice.
    pub(crate) fn search(&self, query: &str) -> Result<Option<LexicalSearch>, Error> {
        let searcher = self.reader.searcher();
        let languages = self.languages(&searcher)?;
        let language = text::language_of_query(query, &known(&languages));
        let terms: Vec<_> = text::query_terms(query, language)
            .into_iter()
            .filter_map(|term| {
                let found = Term::from_field_text(self.fields.get(term.field)?, &term.text);
                let found = TermQuery::new(found, IndexRecordOption::WithFreqs);
                Some((term.field, BoostQuery::new(Box::new(found), term.field.weight())))
            })
            .collect();
        if terms.is_empty() {
            return Ok(None);
        }
        let scoring = EnableScoring::enabled_from_searcher(&searcher);
        let weights =
            terms.iter().map(|(_, term)| term.weight(scoring)).collect::<Result<_, _>>()?;
        let (finders, refined) = self.finders(terms, language, &languages);
        Ok(Some(LexicalSearch { searcher, finders, weights, refined, chunk: self.fields.chunk }))
    }

    /// What finds the chunks of a search, and whether other terms only score them. Each word
    /// of a query has a stem.
    ///
    /// In texts of the query's language the stem of a word finds all that the word as it is
    /// written finds. Half as many terms take a quarter of the time, so there the words as
    /// written only score. In the other texts of the index they find.
    fn finders(
        &self,
        terms: Vec<(text::Field, BoostQuery)>,
        language: Option<Language>,
        languages: &[(Option<Language>, u64)],
    ) -> (Vec<BooleanQuery>, bool) {
        let any = |terms: Vec<(text::Field, BoostQuery)>| {
            let clauses = terms.into_iter().map(|(_, term)| (Occur::Should, Box::new(term) as _));
            BooleanQuery::new(clauses.collect())
        };
        let all: u64 = languages.iter().map(|(_, chunks)| *chunks).sum();
        let covered = |other: &Option<Language>| text::stems_cover(language, *other);
        let elsewhere = languages.iter().copied().filter(|(other, _)| !covered(other));
        let (others, chunks): (Vec<_>, Vec<u64>) = elsewhere.unzip();
        if chunks.iter().sum::<u64>() > all / FEW {
            return (vec![any(terms)], false);
        }
        let (written, stems): (Vec<_>, Vec<_>) =
            terms.into_iter().partition(|(field, _)| *field == text::Field::Exact);
        let refined = !written.is_empty();
        let mut finders = vec![any(stems)];
        if refined && let Some(there) = self.is_in(&others).filter(|_| !others.is_empty()) {
            let unscored = Box::new(ConstScoreQuery::new(there, 0.0));
            let both: Vec<(Occur, Box<dyn Query>)> =
                vec![(Occur::Must, unscored), (Occur::Must, Box::new(any(written)))];
            finders.push(BooleanQuery::new(both));
        }
        (finders, refined)
    }

    /// What the words and phrases that have to be there, and those that must
    /// not, mean for each chunk; `None` when they ask for nothing.
    pub(crate) fn constraint(
        &self,
        required: &[String],
        excluded: &[String],
    ) -> Result<Option<Constraint>, Error> {
        if required.is_empty() && excluded.is_empty() {
            return Ok(None);
        }
        let searcher = self.reader.searcher();
        let languages = self.languages(&searcher)?;
        let required = self.runs(required, &languages);
        let excluded = self.runs(excluded, &languages);
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

    /// A query for each text that has words. Each chunk is compared with the words
    /// as they are in its own language.
    fn runs(&self, texts: &[String], languages: &[(Option<Language>, u64)]) -> Vec<Box<dyn Query>> {
        let mut queries: Vec<Box<dyn Query>> = Vec::with_capacity(texts.len());
        for text in texts {
            let mut alike: Vec<(Run, Vec<Option<Language>>)> = Vec::new();
            for (language, _) in languages {
                let words = text::phrase(text, *language);
                match alike.iter_mut().find(|(known, _)| *known == words) {
                    Some((_, languages)) => languages.push(*language),
                    None => alike.push((words, vec![*language])),
                }
            }
            match alike.as_slice() {
                // Nothing is in the index, or the text has no words in any language.
                [] => {}
                [(words, _)] => queries.extend(self.run(words)),
                _ => {
                    let each = alike.iter().filter_map(|(words, languages)| {
                        let run = self.run(words)?;
                        let both = vec![(Occur::Must, run), (Occur::Must, self.is_in(languages)?)];
                        Some((Occur::Should, Box::new(BooleanQuery::new(both)) as Box<dyn Query>))
                    });
                    let each: Vec<_> = each.collect();
                    if !each.is_empty() {
                        queries.push(Box::new(BooleanQuery::new(each)));
                    }
                }
            }
        }
        queries
    }

    /// Words that stand together; `None` where there are none.
    fn run(&self, words: &Run) -> Option<Box<dyn Query>> {
        let term = |text: &str| Term::from_field_text(self.fields.stem, text);
        match words.as_slice() {
            [] => None,
            [(_, word)] => Some(Box::new(TermQuery::new(term(word), IndexRecordOption::Basic))),
            words => {
                let terms = words.iter().map(|(place, word)| (*place as usize, term(word)));
                Some(Box::new(PhraseQuery::new_with_offset(terms.collect())))
            }
        }
    }

    fn is_in(&self, languages: &[Option<Language>]) -> Option<Box<dyn Query>> {
        let field = self.fields.language?;
        let clauses = languages.iter().map(|language| {
            let term = Term::from_field_text(field, code(language));
            let query = TermQuery::new(term, IndexRecordOption::Basic);
            (Occur::Should, Box::new(query) as Box<dyn Query>)
        });
        Some(Box::new(BooleanQuery::new(clauses.collect())))
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
}

fn known(languages: &[(Option<Language>, u64)]) -> Vec<(Language, u64)> {
    languages.iter().filter_map(|(language, count)| Some(((*language)?, *count))).collect()
}

fn code(language: &Option<Language>) -> &str {
    language.as_ref().map_or(UNDETERMINED, Language::code)
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

/// Where chunks are in an index, segment by segment.
fn places<'a>(
    searcher: &'a Searcher,
    numbered: Field,
    chunks: &[u64],
) -> Result<Vec<Here<'a>>, Error> {
    let mut places = Vec::new();
    for segment in searcher.segment_readers() {
        // Most chunks are of other segments; looking each up in all of them is what
        // would cost.
        let column = segment.fast_fields().u64(CHUNK)?;
        let held = column.min_value()..=column.max_value();
        let numbers = segment.inverted_index(numbered)?;
        let mut here: Vec<(DocId, u64)> = Vec::new();
        for chunk in chunks.iter().filter(|chunk| held.contains(chunk)) {
            let term = Term::from_field_u64(numbered, *chunk);
            let postings = numbers
                .read_postings(&term, IndexRecordOption::Basic)
                .map_err(tantivy::TantivyError::from)?;
            here.extend(postings.map(|postings| (postings.doc(), *chunk)));
        }
        if !here.is_empty() {
            places.push((segment, here));
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests;
