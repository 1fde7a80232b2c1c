//! What search works on: for each collection its alive set with the vectors, and its
//! lexical index.

mod collection;
pub(crate) mod vector;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;

use lru::LruCache;
use parking_lot::{Mutex, RwLock};
use ragtime_text::Language;
use tokio::sync::watch;

use crate::alive::{AliveSet, Place};
use crate::lexical::Lexical;
use crate::reader::Readers;
use crate::recent::Recent;
use crate::types::{Error, Settings};
use crate::{details, documents, files, folders, models};
pub(crate) use collection::CollectionIndex;

/// The indexes of collections, loaded when asked for and unloaded when others
/// need the room. One that somebody holds stays: what is added to it must be
/// found by the next search.
pub(crate) struct Indexes {
    dir: PathBuf,
    readers: Arc<Readers>,
    watermark: watch::Receiver<u64>,
    loaded: Mutex<Loaded>,
    max_loaded: usize,
    max_bytes: usize,
    /// Inverted lists that a search by vectors looks through.
    search_lists: usize,
    /// Notified of collections whose vectors may need work in the background.
    maintenance: Sender<Call>,
}

/// What the maintainer is called for.
pub(crate) enum Call {
    /// Something may be to do for a collection.
    Look(i64),
    /// The store closes.
    Stop,
}

type Loaded = LruCache<i64, Arc<CollectionIndex>>;

/// Chunks that are read in one step while the lock of what is read is held, which a
/// deletion waits for: some milliseconds.
const READ_AT_ONCE: i64 = 4_096;

impl Indexes {
    pub(crate) fn new(
        dir: PathBuf,
        readers: Arc<Readers>,
        watermark: watch::Receiver<u64>,
        settings: &Settings,
        maintenance: Sender<Call>,
    ) -> Self {
        Self {
            dir,
            readers,
            watermark,
            loaded: Mutex::new(LruCache::unbounded()),
            max_loaded: settings.loaded_indexes.max(1),
            max_bytes: settings.loaded_index_bytes,
            search_lists: settings.vector_search_lists.max(1),
            maintenance,
        }
    }

    /// The indexes of a collection; when they are not in memory yet, with all
    /// chunks up to the watermark. Read under the lock that [`Self::remove`]
    /// takes, so that no removal slips between the snapshot and the map.
    pub(crate) fn get(&self, collection: i64) -> Result<Arc<CollectionIndex>, Error> {
        let mut loaded = self.loaded.lock();
        if let Some(index) = loaded.get(&collection) {
            return Ok(Arc::clone(index));
        }
        // One that is being deleted must not leave a folder behind.
        let there = self.readers.read(|db| documents::exists(db, collection))?;
        if !there {
            return Err(Error::UnknownCollection);
        }
        let through = *self.watermark.borrow();
        let folder = folders::in_use(&self.folder(collection), self.language(collection)?);
        let index = Arc::new(CollectionIndex {
            lexical: RwLock::new(Arc::new(open_lexical(&folder)?)),
            folder: Mutex::new(folder),
            alive: Arc::new(RwLock::new(
                self.readers.read(|db| AliveSet::load(db, self.place(collection), through))?,
            )),
            incoming: Mutex::new(None),
            recent: Recent::default(),
            collection,
            maintenance: self.maintenance.clone(),
            awaits_maintenance: AtomicBool::new(false),
        });
        index.is_to_be_maintained();
        loaded.put(collection, Arc::clone(&index));
        self.make_room(&mut loaded);
        Ok(index)
    }

    /// The same; `None` when the collection has been deleted.
    pub(crate) fn get_if_any(
        &self,
        collection: i64,
    ) -> Result<Option<Arc<CollectionIndex>>, Error> {
        match self.get(collection) {
            Ok(index) => Ok(Some(index)),
            Err(Error::UnknownCollection) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The language of a collection's texts that do not give their own.
    fn language(&self, collection: i64) -> Result<Option<Language>, Error> {
        self.readers.read(|db| details::collection_language(db, collection))
    }

    /// Where the next lexical index of a collection is to be made, if the one in use
    /// is of an earlier analysis.
    pub(crate) fn unfinished(&self, collection: i64) -> Result<Option<PathBuf>, Error> {
        let language = self.language(collection)?;
        let folder = self.folder(collection);
        let in_use = match self.loaded.lock().get(&collection) {
            Some(index) => index.folder(),
            None => folders::in_use(&folder, language),
        };
        Ok(folders::unfinished(&folder, &in_use, language).filter(|_| in_use.exists()))
    }

    /// Puts that index in the place of the one in use.
    pub(crate) fn finish(&self, collection: i64) -> Result<(), Error> {
        let language = self.language(collection)?;
        let mut loaded = self.loaded.lock();
        let folder = self.folder(collection);
        folders::finish(&folder, language)?;
        if let Some(index) = loaded.get(&collection) {
            let in_use = folders::in_use(&folder, language);
            let lexical = Arc::new(open_lexical(&in_use)?);
            *index.lexical.write() = lexical;
            *index.folder.lock() = in_use;
            index.recent.clear();
        }
        Ok(())
    }

    /// Hides chunks, at once.
    pub(crate) fn remove(&self, removed: &[(i64, u64)]) {
        let loaded = self.loaded.lock();
        for (collection, chunk) in removed {
            if let Some(index) = loaded.peek(collection) {
                index.write().remove(*chunk);
                if let Some(incoming) = index.incoming().as_mut() {
                    incoming.remove(*chunk);
                }
                index.recent.clear();
            }
        }
    }

    /// Forgets a collection and deletes its files.
    pub(crate) fn drop_collection(&self, collection: i64) {
        self.loaded.lock().pop(&collection);
        if let Err(error) = files::remove_folder(&self.folder(collection)) {
            tracing::warn!(%error, collection, "the index of a deleted collection could not be removed");
        }
    }

    /// Whether a collection's indexes are in memory.
    pub(crate) fn is_loaded(&self, collection: i64) -> bool {
        self.loaded.lock().contains(&collection)
    }

    /// The indexes of a collection, if they are in memory.
    pub(crate) fn loaded(&self, collection: i64) -> Option<Arc<CollectionIndex>> {
        self.loaded.lock().get(&collection).cloned()
    }

    /// Unloads what is too much by now: loaded indexes grow.
    pub(crate) fn shrink(&self) {
        self.make_room(&mut self.loaded.lock());
    }

    /// Unloads the indexes that were not used for longest, of those that nobody
    /// holds; nobody can take hold of one meanwhile.
    fn make_room(&self, loaded: &mut Loaded) {
        let mut bytes: usize = loaded.iter().map(|(_, index)| index.bytes()).sum();
        let is_too_much = |count: usize, bytes: usize| {
            count > self.max_loaded || (count > 1 && bytes > self.max_bytes)
        };
        if !is_too_much(loaded.len(), bytes) {
            return;
        }
        let free = |(collection, index): (&i64, &Arc<CollectionIndex>)| {
            (Arc::strong_count(index) == 1).then(|| (*collection, index.bytes()))
        };
        let oldest_first: Vec<_> = loaded.iter().rev().filter_map(free).collect();
        for (collection, freed) in oldest_first {
            if !is_too_much(loaded.len(), bytes) {
                break;
            }
            loaded.pop(&collection);
            bytes = bytes.saturating_sub(freed);
        }
    }

    /// Reads the chunks and vectors of a collection again, after another model's have
    /// taken their place. Searches go on with the old ones until the new ones are read;
    /// only the indexer calls this, so that no chunk comes meanwhile.
    pub(crate) fn reread(&self, collection: i64) -> Result<(), Error> {
        let Some(index) = self.loaded(collection) else { return Ok(()) };
        let through = *self.watermark.borrow();
        *index.incoming() = Some(AliveSet::new(self.place(collection)));
        let read = self.readers.read(|db| {
            let model = models::of(db, collection)?.serving;
            // Removals that came since are kept.
            if let Some(incoming) = index.incoming().as_mut() {
                incoming.begin(model);
            }
            let mut last = Some(0);
            while let Some(after) = last {
                last = match index.incoming().as_mut() {
                    Some(incoming) => incoming.extend(db, (after, through), READ_AT_ONCE)?,
                    None => None,
                };
                index.save_incoming();
            }
            Ok(())
        });
        let _loaded = self.loaded.lock();
        let incoming = index.incoming().take();
        if let (Ok(()), Some(mut incoming)) = (&read, incoming) {
            incoming.caught_up(through);
            incoming.remove_others();
            *index.write() = incoming;
            index.is_to_be_maintained();
        }
        read
    }

    fn place(&self, collection: i64) -> Place {
        Place { indexes: self.folder(collection), collection, search_lists: self.search_lists }
    }

    /// The folder of a collection's indexes, in use or not.
    fn folder(&self, collection: i64) -> PathBuf {
        self.dir.join(collection.to_string())
    }

    /// The folder of the one in use.
    pub(crate) fn in_use(&self, collection: i64) -> Result<PathBuf, Error> {
        Ok(folders::in_use(&self.folder(collection), self.language(collection)?))
    }
}

/// An index that cannot be opened is rebuilt: it holds nothing that the
/// database does not.
pub(crate) fn open_lexical(folder: &Path) -> Result<Lexical, Error> {
    Lexical::open(folder).or_else(|error| {
        tracing::warn!(%error, "a lexical index is damaged and will be rebuilt");
        std::fs::remove_dir_all(folder).map_err(|error| Error::Internal(error.to_string()))?;
        Lexical::open(folder)
    })
}
