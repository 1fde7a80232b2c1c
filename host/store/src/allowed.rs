//! The documents that a filter allows, kept from one search to the next.
//!
//! Metadata and language of a stored document never change: a document that is written
//! again gets a row with a greater key, and keys are never given twice. So what a filter
//! has once allowed stays allowed, and a later search looks only at documents with greater
//! keys. Documents that have been deleted stay in the set; search does not return them,
//! since their chunks are not alive.

use std::sync::Arc;

use lru::LruCache;
use parking_lot::Mutex;
use ragtime_filter::Filter;
use roaring::RoaringTreemap;
use rusqlite::Connection;

use crate::types::Error;
use crate::{details, documents};

/// What the answer of a filter depends on, apart from the documents.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    collection: i64,
    /// The language that is set for the collection's documents without one of their own.
    language: Option<String>,
    filter: Filter,
}

#[derive(Clone, Default)]
struct Allowed {
    /// Keys of documents.
    documents: Arc<RoaringTreemap>,
    /// The greatest key that was looked at.
    through: i64,
}

/// The answers of the filters that were used last.
pub(crate) struct AllowedDocuments {
    /// Documents that all answers have together at most.
    max_documents: usize,
    cache: Mutex<Cache>,
}

struct Cache {
    answers: LruCache<Key, Allowed>,
    documents: usize,
}

impl AllowedDocuments {
    /// Keeps answers of at most `max_documents` documents together, with 0 none.
    pub(crate) fn new(max_documents: usize) -> Self {
        let cache = Cache { answers: LruCache::unbounded(), documents: 0 };
        Self { max_documents, cache: Mutex::new(cache) }
    }

    /// The documents of a collection that a filter allows, by their keys. Those that have
    /// been deleted may be among them.
    pub(crate) fn of(
        &self,
        connection: &Connection,
        collection: i64,
        filter: &Filter,
    ) -> Result<Arc<RoaringTreemap>, Error> {
        let language = details::collection_language(connection, collection)?;
        let language = language.map(|language| language.code().to_owned());
        let key = Key { collection, language, filter: filter.clone() };
        let mut allowed = self.cache.lock().answers.get(&key).cloned().unwrap_or_default();
        let last = documents::last_key(connection)?;
        if allowed.through < last {
            let more = documents::matching(connection, collection, filter, allowed.through)?;
            if !more.is_empty() {
                Arc::make_mut(&mut allowed.documents).extend(more);
            }
            allowed.through = last;
            self.keep(key, allowed.clone());
        }
        Ok(allowed.documents)
    }

    fn keep(&self, key: Key, allowed: Allowed) {
        let mut cache = self.cache.lock();
        cache.put(key, allowed);
        while cache.documents > self.max_documents && cache.pop() {}
    }
}

impl Cache {
    fn put(&mut self, key: Key, allowed: Allowed) {
        self.documents += allowed.size();
        if let Some((_, before)) = self.answers.push(key, allowed) {
            self.documents -= before.size();
        }
    }

    /// Gives up the answer that was not used for longest; false when there is none.
    fn pop(&mut self) -> bool {
        let popped = self.answers.pop_lru();
        self.documents -= popped.as_ref().map_or(0, |(_, allowed)| allowed.size());
        popped.is_some()
    }
}

impl Allowed {
    /// How much of the bound this takes: one more than its documents, so that answers
    /// without any are bounded too.
    fn size(&self) -> usize {
        usize::try_from(self.documents.len()).unwrap_or(usize::MAX).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(documents: i64) -> Connection {
        let db = crate::schema::open_writer(std::path::Path::new(":memory:")).unwrap();
        (1..=documents).for_each(|number| add(&db, number));
        db
    }

    fn add(db: &Connection, number: i64) {
        let id = format!("{number} of {}", documents::last_key(db).unwrap());
        db.execute(
            "INSERT INTO documents (collection, id, media_type, metadata, sha256, fingerprint,
                 chunk_count, last_chunk, created_at, updated_at, text)
             VALUES (1, ?1, '', json_object('n', ?2), '', x'', 0, 0, 0, 0, '')",
            (id, number),
        )
        .unwrap();
    }

    fn at_least(number: u64) -> Filter {
        Filter::parse(&format!("{{\"n\": {{\"gte\": {number}}}}}")).unwrap()
    }

    fn sorted(documents: &RoaringTreemap) -> Vec<u64> {
        documents.iter().collect()
    }

    /// How many answers are kept, and what they take of the bound.
    fn size(allowed: &AllowedDocuments) -> (usize, usize) {
        let cache = allowed.cache.lock();
        (cache.answers.len(), cache.documents)
    }

    #[test]
    fn only_documents_that_came_since_are_looked_at() {
        let db = database(3);
        let cache = AllowedDocuments::new(100);
        let first = cache.of(&db, 1, &at_least(2)).unwrap();
        assert_eq!(sorted(&first), [2, 3]);
        // One that was looked at before is not asked for again, so this is not seen.
        db.execute("UPDATE documents SET metadata = '{\"n\": 9}' WHERE key = 1", []).unwrap();
        add(&db, 4);
        add(&db, 1);
        assert_eq!(sorted(&cache.of(&db, 1, &at_least(2)).unwrap()), [2, 3, 4]);
        assert_eq!(sorted(&cache.of(&db, 2, &at_least(2)).unwrap()), [0_u64; 0]);
        assert_eq!(sorted(&cache.of(&db, 1, &at_least(3)).unwrap()), [1, 3, 4]);
    }

    #[test]
    fn another_language_of_the_collection_is_another_question() {
        let db = database(1);
        let cache = AllowedDocuments::new(100);
        let german = Filter::parse("{\"$language\": \"de\"}").unwrap();
        assert!(cache.of(&db, 1, &german).unwrap().is_empty());
        db.execute("UPDATE collections SET language = 'de' WHERE key = 1", []).unwrap();
        assert_eq!(sorted(&cache.of(&db, 1, &german).unwrap()), [1]);
    }

    #[test]
    fn answers_that_are_too_many_together_give_way() {
        let db = database(10);
        let cache = AllowedDocuments::new(12);
        cache.of(&db, 1, &at_least(6)).unwrap();
        cache.of(&db, 1, &at_least(6)).unwrap();
        assert_eq!(size(&cache), (1, 6));
        cache.of(&db, 1, &at_least(7)).unwrap();
        assert_eq!(size(&cache), (2, 11));
        cache.of(&db, 1, &at_least(11)).unwrap();
        cache.of(&db, 1, &at_least(10)).unwrap();
        assert_eq!(size(&cache), (3, 8));
        cache.of(&db, 1, &at_least(0)).unwrap();
        assert_eq!(size(&cache), (1, 11));
    }
}
