//! Where the lexical index of a collection lives.
//!
//! Its folder is named after the analysis that made it. When that changes, the next
//! one is made beside it, under a name that begins with `new-`, and takes its place
//! when it has everything; until then the old one serves.

use std::path::{Path, PathBuf};

use ragtime_text::Language;

use crate::types::Error;
use crate::vectors::FOLDER;

/// Before the name of an index that is not complete.
const UNFINISHED: &str = "new-";
/// What tantivy writes last: a folder without it holds no index.
const META: &str = "meta.json";

/// The name of an index made by this version, where texts whose own language is
/// not given are in `language`.
fn name(language: Option<Language>) -> String {
    match language {
        Some(language) => format!("v{}-{language}", ragtime_text::VERSION),
        None => format!("v{}", ragtime_text::VERSION),
    }
}

/// The folder of the index that serves a collection: the one that is wanted, else
/// one of an earlier version, else the one that is to be begun.
pub(crate) fn in_use(collection: &Path, language: Option<Language>) -> PathBuf {
    let wanted = collection.join(name(language));
    if wanted.join(META).exists() {
        return wanted;
    }
    earlier(collection).unwrap_or(wanted)
}

/// The folder of the index that is to replace the one in use, where that is not
/// as it should be.
pub(crate) fn unfinished(
    collection: &Path,
    in_use: &Path,
    language: Option<Language>,
) -> Option<PathBuf> {
    let name = name(language);
    (in_use != collection.join(&name)).then(|| collection.join(format!("{UNFINISHED}{name}")))
}

/// Puts a finished index in the place that it was made for, and takes away what is
/// not wanted any more. Vectors are of no analysis.
pub(crate) fn finish(collection: &Path, language: Option<Language>) -> Result<(), Error> {
    let failed = |error: std::io::Error| Error::Internal(error.to_string());
    let name = name(language);
    let from = collection.join(format!("{UNFINISHED}{name}"));
    std::fs::rename(from, collection.join(&name)).map_err(failed)?;
    for entry in std::fs::read_dir(collection).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if ![name.as_str(), FOLDER].map(Some).contains(&entry.file_name().to_str()) {
            remove(&entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> std::io::Result<()> {
    if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
}

/// The latest complete index of a name of its own, or the one that an early version
/// kept in the folder itself.
fn earlier(collection: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(collection).ok()?;
    let folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let complete = folders.filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| !name.starts_with(UNFINISHED)) && path.join(META).exists()
    });
    let flat = || collection.join(META).exists().then(|| collection.to_owned());
    complete.max().or_else(flat)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(path: &Path) {
        std::fs::create_dir_all(path).unwrap();
        std::fs::write(path.join(META), "{}").unwrap();
    }

    #[test]
    fn the_old_index_serves_until_the_new_one_is_finished() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let wanted = dir.join(name(None));
        assert_eq!(in_use(dir, None), wanted);
        assert_eq!(unfinished(dir, &wanted, None), None);
        index(dir);
        assert_eq!(in_use(dir, None), dir);
        let new = unfinished(dir, dir, None).unwrap();
        index(&new);
        assert_eq!(in_use(dir, None), dir);
        finish(dir, None).unwrap();
        assert_eq!(in_use(dir, None), wanted);
        assert!(!dir.join(META).exists() && !new.exists());
        let german = Language::parse("de");
        assert_eq!(in_use(dir, german), wanted);
        assert!(unfinished(dir, &wanted, german).is_some());
    }
}
