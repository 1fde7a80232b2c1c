//! Where the files of a collection's vectors are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ragtime_policy::digest::hex;

use super::file::{Identity, Refused, identity};
use super::lists::Lists;
use super::segment::Segment;
use crate::files;
use crate::index::vector::encode_vector;
use crate::types::Error;

/// The folder of vectors in that of a collection's indexes.
pub(crate) const FOLDER: &str = "vectors";
/// Ends of names.
const SEGMENT: &str = "segment";
const LISTS: &str = "lists";

/// The files of the vectors of one model in one collection.
#[derive(Clone)]
pub(crate) struct Home {
    folder: PathBuf,
    identity: Identity,
    /// What the names of its files begin with.
    prefix: String,
}

impl Home {
    /// Of the vectors that `model` made of a collection whose indexes are in `indexes`.
    pub(crate) fn new(indexes: &Path, collection: i64, model: &str) -> Self {
        let identity = identity(collection, model);
        let prefix = hex(identity.get(..8).unwrap_or_default());
        Self { folder: indexes.join(FOLDER), identity, prefix }
    }

    fn segment(&self, number: u32) -> PathBuf {
        self.folder.join(format!("{}-{number:08}.{SEGMENT}", self.prefix))
    }

    fn lists(&self) -> PathBuf {
        self.folder.join(format!("{}.{LISTS}", self.prefix))
    }

    /// Makes the folder; not its parent, which is gone when the collection is.
    fn prepare(&self) -> std::io::Result<()> {
        match std::fs::create_dir(&self.folder) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    /// Puts a segment into its file, and gives it as it is there.
    pub(crate) fn save_segment(
        &self,
        number: u32,
        segment: &Segment,
        dimensions: usize,
    ) -> Result<Segment, Refused> {
        self.prepare()?;
        let path = self.segment(number);
        segment.save(&path, &self.identity, dimensions)?;
        Segment::open(&path, &self.identity)
    }

    /// The same of lists.
    pub(crate) fn save_lists(&self, lists: &Lists) -> Result<Lists, Refused> {
        self.prepare()?;
        lists.save(&self.lists(), &self.identity)?;
        Lists::open(&self.lists(), &self.identity)
    }

    /// Removes the file of a segment.
    pub(crate) fn remove_segment(&self, number: u32) {
        remove(&self.segment(number));
    }

    /// Removes all files but those of this model.
    pub(crate) fn remove_others(&self) {
        for path in files(&self.folder) {
            if !self.is_own(&path) {
                remove(&path);
            }
        }
    }

    /// Removes the files of this model.
    pub(crate) fn remove_own(&self) {
        files(&self.folder).filter(|path| self.is_own(path)).for_each(|path| remove(&path));
    }

    fn is_own(&self, path: &Path) -> bool {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with(&self.prefix))
    }

    /// The segments that are in files, by number. Files that cannot be taken are removed.
    pub(super) fn open_segments(&self) -> BTreeMap<u32, Arc<Segment>> {
        let mut found = BTreeMap::new();
        for path in files(&self.folder).filter(|path| self.is_own(path)) {
            let Some(number) = self.number(&path) else { continue };
            match Segment::open(&path, &self.identity) {
                Ok(segment) => drop(found.insert(number, Arc::new(segment))),
                Err(error) => refuse(&path, &error),
            }
        }
        found
    }

    /// Reads every file, and compares the vectors with those that are `stored`; what is
    /// the matter with the first that is not as it should be.
    pub(crate) fn compare(
        &self,
        mut stored: impl FnMut(u64) -> Result<Option<Vec<u8>>, Error>,
    ) -> Result<(), Error> {
        for path in files(&self.folder).filter(|path| self.is_own(path)) {
            let refused = |error: Refused| Error::Internal(error.to_string());
            if self.number(&path).is_none() {
                Lists::open(&path, &self.identity).map_err(refused)?;
                continue;
            }
            let segment = Segment::open(&path, &self.identity).map_err(refused)?;
            if !segment.is_sound() {
                return Err(refused(Refused::Damaged));
            }
            let vectors = segment.values().chunks_exact(segment.dimensions().max(1));
            for (chunk, vector) in segment.chunks().iter().zip(vectors) {
                if stored(*chunk)?.is_some_and(|stored| stored != encode_vector(vector)) {
                    let text = format!("the vector of chunk {chunk} is not that of the database");
                    return Err(Error::Internal(text));
                }
            }
        }
        Ok(())
    }

    /// The number of a file of a segment.
    fn number(&self, path: &Path) -> Option<u32> {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix(&self.prefix)?
            .strip_prefix('-')?
            .strip_suffix(SEGMENT)?
            .strip_suffix('.')?
            .parse()
            .ok()
    }

    /// The lists that are in a file, if they are of these segments: each that they have
    /// and that is there is the one that they were made of.
    pub(super) fn open_lists(&self, segments: &BTreeMap<u32, Arc<Segment>>) -> Option<Lists> {
        let path = self.lists();
        let lists = match Lists::open(&path, &self.identity) {
            Ok(lists) => lists,
            Err(Refused::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => {
                refuse(&path, &error);
                return None;
            }
        };
        lists.fit(|number| segments.get(&number).map(Arc::as_ref)).then_some(lists)
    }
}

fn files(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path()))
}

/// One that stays costs room on the disk and is removed at the next start.
fn remove(path: &Path) {
    if let Err(error) = files::remove(path) {
        tracing::warn!(%error, file = ?path.file_name(), "a file of vectors could not be removed");
    }
}

fn refuse(path: &Path, error: &Refused) {
    let file = path.file_name();
    tracing::warn!(%error, ?file, "a file of vectors cannot be used and will be rebuilt");
    remove(path);
}
