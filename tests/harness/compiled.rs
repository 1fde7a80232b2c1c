//! Compiled code that the servers of the suite share. Each has a data folder of
//! its own, and compiling the handler again in each would take seconds.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::{fs, io, process};

use super::binaries;

/// Gives a server that has compiled nothing yet what another has compiled.
pub fn lend(data: &Path) {
    let compiled = data.join("compiled");
    if let Some(shared) = shared().filter(|shared| shared.exists() && !compiled.exists()) {
        link_all(&shared, &compiled).unwrap();
    }
}

/// Keeps for others what this server has compiled, unless another's is kept.
pub fn keep(data: &Path) {
    let Some(shared) = shared().filter(|shared| !shared.exists()) else { return };
    let parent = shared.parent().unwrap();
    DirBuilder::new().recursive(true).mode(0o700).create(parent).unwrap();
    // Those of binaries that are no more.
    for old in fs::read_dir(parent).unwrap().flatten() {
        let _ = fs::remove_dir_all(old.path());
    }
    let mine = parent.join(format!("{}-{:p}", process::id(), data));
    // A server that is at it changes its cache: what is not whole is not kept.
    let whole = link_all(&data.join("compiled"), &mine).and_then(|()| fs::rename(&mine, &shared));
    if whole.is_err() {
        let _ = fs::remove_dir_all(&mine);
    }
}

/// Where the code of this very binary's handler is kept.
fn shared() -> Option<PathBuf> {
    let binary = fs::metadata(binaries().join("ragtime")).ok()?;
    let name = format!("{}-{}-{}", binary.size(), binary.mtime(), binary.mtime_nsec());
    Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled").join(name))
}

/// Files of a cache are replaced and never changed, so a second name is as good
/// as a copy.
fn link_all(from: &Path, to: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            link_all(&entry.path(), &to)?;
        } else if fs::hard_link(entry.path(), &to).is_err() {
            // The data folder may be on another file system.
            fs::copy(entry.path(), &to)?;
        }
    }
    Ok(())
}
