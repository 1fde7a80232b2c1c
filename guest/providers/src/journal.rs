//! The journal: numbered commits in a folder that several instances share.
//!
//! WASI has no file locks, so there are none. A commit is written whole to a
//! file of its own, synced, and then linked to the next number. A link to a
//! name that exists fails, so the folder itself decides who is first; the
//! other reads what it missed and tries again. Readers see whole commits only,
//! and a process that dies leaves at most a temporary file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Attempts at the next number before giving up: each failed one means that
/// another writer succeeded.
const MAX_ATTEMPTS: usize = 100;

/// A reader of, and writer to, a journal.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    /// Commits read so far.
    read: u64,
    /// Makes names of temporary files differ between instances.
    nonce: u64,
}

/// Why a commit was not made.
#[derive(Debug, thiserror::Error)]
pub enum CommitError<E> {
    /// The folder failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What was to be written does not fit what is there.
    #[error("{0}")]
    Refused(E),
    /// Others were first, again and again.
    #[error("too many writers at once")]
    Busy,
}

impl Journal {
    /// The journal in `dir`, which is made when missing. `nonce` is a random
    /// number.
    pub fn open(dir: &Path, nonce: u64) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self { dir: dir.to_owned(), read: 0, nonce })
    }

    /// Hands out the commits made since the last call, in order.
    pub fn refresh(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        loop {
            match fs::read(self.path(self.read + 1)) {
                Ok(commit) => each(&commit),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            }
            self.read += 1;
        }
    }

    /// Appends one commit and returns what was made of it. `make` is asked
    /// again whenever another writer was first, after `each` has seen that
    /// writer's commit; `None` means that there is nothing to write.
    pub fn commit<S, T, E>(
        &mut self,
        state: &mut S,
        mut each: impl FnMut(&mut S, &[u8]),
        mut make: impl FnMut(&S) -> Result<(Option<Vec<u8>>, T), E>,
    ) -> Result<T, CommitError<E>> {
        for _ in 0..MAX_ATTEMPTS {
            self.refresh(|commit| each(state, commit))?;
            let (commit, outcome) = make(state).map_err(CommitError::Refused)?;
            let Some(commit) = commit else { return Ok(outcome) };
            if self.append(&commit)? {
                self.read += 1;
                each(state, &commit);
                return Ok(outcome);
            }
        }
        Err(CommitError::Busy)
    }

    /// Whether the commit became the next one. It is on disk when this
    /// returns.
    fn append(&self, commit: &[u8]) -> io::Result<bool> {
        let temporary = self.dir.join(format!("{:016x}-{}.tmp", self.nonce, self.read));
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
        file.write_all(commit)?;
        file.sync_all()?;
        let linked = fs::hard_link(&temporary, self.path(self.read + 1));
        fs::remove_file(&temporary)?;
        match linked {
            Ok(()) => {
                // The name must last as well as the bytes.
                if let Ok(dir) = File::open(&self.dir) {
                    let _ = dir.sync_all();
                }
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:012}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(journal: &mut Journal, seen: &mut Vec<String>, text: &str) {
        let note = |seen: &mut Vec<String>, commit: &[u8]| {
            seen.push(String::from_utf8_lossy(commit).into_owned());
        };
        let made =
            journal.commit(seen, note, |_| Ok::<_, ()>((Some(text.as_bytes().to_vec()), ())));
        assert!(made.is_ok());
    }

    #[test]
    fn writers_at_once_lose_nothing_and_agree_on_the_order() {
        let dir = tempfile::tempdir().unwrap();
        let writers: Vec<_> = (0..4_u64)
            .map(|writer| {
                let dir = dir.path().to_owned();
                std::thread::spawn(move || {
                    let (mut journal, mut seen) =
                        (Journal::open(&dir, writer).unwrap(), Vec::new());
                    (0..25).for_each(|n| add(&mut journal, &mut seen, &format!("{writer}-{n}")));
                    seen
                })
            })
            .collect();
        let seen: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        let mut all = Vec::new();
        let mut journal = Journal::open(dir.path(), 9).unwrap();
        journal.refresh(|commit| all.push(String::from_utf8_lossy(commit).into_owned())).unwrap();
        assert_eq!(all.len(), 100);
        assert!(seen.iter().all(|seen| all.starts_with(seen)));
    }

    #[test]
    fn what_a_dead_writer_left_is_not_seen() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("0000000000000001-0.tmp"), b"{\"half").unwrap();
        let (mut journal, mut seen) = (Journal::open(dir.path(), 1).unwrap(), Vec::new());
        journal.refresh(|_| panic!("half a commit was read")).unwrap();
        add(&mut journal, &mut seen, "whole");
        assert_eq!(seen, ["whole"]);
    }
}
