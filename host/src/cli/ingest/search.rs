//! Which files of folders are documents, and what is passed over, and why.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ignore::overrides::{Override, OverrideBuilder};
use ignore::{DirEntry, Match, WalkBuilder};
use parking_lot::Mutex;

use super::file_kind::kind;
use super::files::{WholeFile, WholeKind};
use crate::cli::CliError;

/// Names that a summary gives for each reason; a folder may hold thousands.
const MAX_NAMES: usize = 5;

/// A file that is a text or holds records.
#[derive(Debug)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// The id it gets: its path below the folder that was named.
    pub id: String,
    /// Its size.
    pub bytes: u64,
}

/// Which files of folders to take. A file that is named itself is always taken.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Selection {
    /// Of folders, take only files that this glob matches, as in `--include '*.md'`; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub(super) include: Vec<String>,
    /// Of folders, leave out what this glob matches, as in `--exclude drafts/`; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub(super) exclude: Vec<String>,
    /// Take hidden files and folders too
    #[arg(long)]
    pub(super) hidden: bool,
    /// Take what .gitignore and .ignore leave out too
    #[arg(long)]
    pub(super) no_ignore: bool,
}

impl Selection {
    fn globs(&self, root: &Path) -> Result<Override, CliError> {
        let invalid = |error: ignore::Error| CliError::new(error.to_string());
        let mut globs = OverrideBuilder::new(root);
        for glob in &self.include {
            globs.add(glob).map_err(invalid)?;
        }
        for glob in &self.exclude {
            globs.add(&format!("!{glob}")).map_err(invalid)?;
        }
        globs.build().map_err(invalid)
    }
}

/// Why a file or a folder was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reason {
    Hidden,
    Ignored,
    Excluded,
    Link,
    Kind,
}

impl Reason {
    fn words(self) -> &'static str {
        match self {
            Self::Hidden => "hidden; --hidden takes them",
            Self::Ignored => "left out by .gitignore or .ignore; --no-ignore takes them",
            Self::Excluded => "left out by --include or --exclude",
            Self::Link => "symbolic links; name what they lead to",
            Self::Kind => "of no kind that can be read, by their names",
        }
    }
}

/// What was passed over, by reason.
#[derive(Debug, Default)]
pub struct Skipped(BTreeMap<Reason, (u64, Vec<String>)>);

impl Skipped {
    fn add(&mut self, reason: Reason, name: String) {
        let (count, names) = self.0.entry(reason).or_default();
        *count += 1;
        if names.len() < MAX_NAMES {
            names.push(name);
        }
    }

    /// A line for each reason.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(reason, (count, names))| {
            let more = if *count > names.len() as u64 { ", …" } else { "" };
            format!("skipped {count} {}: {}{more}", reason.words(), names.join(", "))
        })
    }
}

/// Files found so far.
#[derive(Default)]
pub struct Search {
    /// Texts and records.
    pub files: Vec<Found>,
    /// Files that are sent as they are.
    pub whole: Vec<WholeFile>,
    /// What cannot be reached, and why.
    pub failures: Vec<String>,
    /// What was passed over.
    pub skipped: Skipped,
    /// How many files of each kind there are, by the ends of their names.
    pub kinds: BTreeMap<String, u64>,
    /// Which file has an id: two folders may hold the same name, and the later
    /// file would replace the earlier.
    paths: HashMap<String, PathBuf>,
    seen: u64,
}

impl Search {
    /// Adds what is at a path.
    ///
    /// # Errors
    ///
    /// There is nothing, or nothing that can be read, or a glob is not valid.
    pub fn add(&mut self, root: &Path, selection: &Selection) -> Result<(), CliError> {
        let seen = self.seen;
        self.look(root, selection)?;
        if self.seen == seen {
            self.skipped.lines().for_each(|line| crate::cli::out::note(&line));
            let message = format!(
                "{} holds no text, Markdown, HTML, JSON, PDF, office, EPUB, RTF, EML, NDJSON, CSV or TSV file to take",
                root.display()
            );
            return Err(CliError::new(message));
        }
        Ok(())
    }

    /// The same, where there may be nothing to take.
    ///
    /// # Errors
    ///
    /// There is nothing, or a glob is not valid.
    pub fn look(&mut self, root: &Path, selection: &Selection) -> Result<(), CliError> {
        let unreachable =
            |error: std::io::Error| CliError::new(format!("{}: {error}", root.display()));
        match root.metadata().map_err(unreachable)?.is_dir() {
            false => self.take(root, root),
            true => self.walk(root, selection)?,
        }
        Ok(())
    }

    fn walk(&mut self, root: &Path, selection: &Selection) -> Result<(), CliError> {
        let globs = selection.globs(root)?;
        // What is hidden or left out by a glob is distinguished from what is ignored, so
        // the walk itself goes by the ignore files only.
        let passed_over = Arc::<Mutex<BTreeMap<PathBuf, Reason>>>::default();
        let (noted, chosen) = (Arc::clone(&passed_over), selection.clone());
        let walk = WalkBuilder::new(root)
            .standard_filters(false)
            .parents(!selection.no_ignore)
            .ignore(!selection.no_ignore)
            .git_ignore(!selection.no_ignore)
            .git_exclude(!selection.no_ignore)
            .require_git(false)
            .sort_by_file_name(OsStr::cmp)
            .filter_entry(move |entry| match reason_against(entry, &globs, &chosen) {
                Some(reason) => {
                    noted.lock().insert(entry.path().to_owned(), reason);
                    false
                }
                None => true,
            })
            .build();
        // What the walk has not shown of the folders that it went into, the
        // ignore files left out.
        let mut unseen = BTreeSet::new();
        for entry in walk {
            match entry {
                Ok(entry) if is_folder(&entry) => {
                    unseen.remove(entry.path());
                    let inner = entry.path().read_dir().into_iter().flatten();
                    unseen.extend(inner.filter_map(Result::ok).map(|entry| entry.path()));
                }
                Ok(entry) => {
                    unseen.remove(entry.path());
                    self.take(root, entry.path());
                }
                Err(error) => self.failures.push(error.to_string()),
            }
        }
        let passed_over = std::mem::take(&mut *passed_over.lock());
        let ignored = unseen.into_iter().filter(|path| !passed_over.contains_key(path));
        let ignored: Vec<_> = ignored.map(|path| (path, Reason::Ignored)).collect();
        for (path, reason) in passed_over.into_iter().chain(ignored) {
            self.skipped.add(reason, name(root, &path));
        }
        Ok(())
    }

    /// Takes a file under the id that it has below the folder that was named.
    fn take(&mut self, root: &Path, path: &Path) {
        self.seen += 1;
        let Some(id) = id_below(root, path) else {
            return self.failures.push(format!("{}: its name is not UTF-8", path.display()));
        };
        if let Some(other) = self.paths.get(&id) {
            if other.canonicalize().ok() != path.canonicalize().ok() {
                let (path, other) = (path.display(), other.display());
                self.failures.push(format!(
                    "{path}: would replace {other}, as both get the id {id}; name a folder above both"
                ));
            }
            return;
        }
        let bytes = path.metadata().map_or(0, |metadata| metadata.len());
        self.paths.insert(id.clone(), path.to_owned());
        let end = path.extension().map_or("no extension".to_owned(), |end| {
            format!(".{}", end.to_string_lossy().to_ascii_lowercase())
        });
        *self.kinds.entry(end).or_default() += 1;
        let path = path.to_owned();
        match WholeKind::of_path(&path) {
            Some(kind) => self.whole.push(WholeFile { path, id, bytes, kind }),
            None => self.files.push(Found { path, id, bytes }),
        }
    }
}

fn is_folder(entry: &DirEntry) -> bool {
    entry.file_type().is_some_and(|kind| kind.is_dir())
}

/// Why an entry is passed over, if it is.
fn reason_against(entry: &DirEntry, globs: &Override, selection: &Selection) -> Option<Reason> {
    if entry.depth() == 0 {
        return None;
    }
    let (path, is_folder) = (entry.path(), is_folder(entry));
    let wanted = globs.matched(path, is_folder);
    if matches!(wanted, Match::Ignore(_)) {
        return Some(Reason::Excluded);
    }
    let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
    if hidden && !selection.hidden {
        return Some(Reason::Hidden);
    }
    if entry.path_is_symlink() {
        return Some(Reason::Link);
    }
    let readable = is_folder || kind(path).is_some() || WholeKind::of_path(path).is_some();
    (!readable).then_some(Reason::Kind)
}

fn name(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

/// A file's path below the folder that was named, or its name, with `/` on
/// every system.
fn id_below(root: &Path, path: &Path) -> Option<String> {
    let below = path.strip_prefix(root).ok().filter(|below| !below.as_os_str().is_empty());
    let below = below.or_else(|| path.file_name().map(Path::new))?;
    let parts: Option<Vec<_>> = below.iter().map(|part| part.to_str()).collect();
    Some(parts?.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(files: &[&str], selection: &Selection) -> (Vec<String>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        for name in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let rules = if name.ends_with(".gitignore") { "build/\n*.log\n" } else { "x" };
            std::fs::write(path, rules).unwrap();
        }
        let mut search = Search::default();
        search.add(folder.path(), selection).unwrap();
        let ids = search.files.into_iter().map(|file| file.id);
        let whole = search.whole.into_iter().map(|file| file.id);
        (ids.chain(whole).collect(), search.skipped.lines().collect())
    }

    const FILES: &[&str] = &[
        ".gitignore",
        ".git/notes.txt",
        ".notes.md",
        "a.md",
        "build/deep/b.md",
        "c.log",
        "d.png",
        "sub/e.txt",
        "sub/f.PDF",
    ];

    #[test]
    fn what_is_passed_over_is_told_with_the_reason() {
        let (ids, skipped) = search(FILES, &Selection::default());
        assert_eq!(ids, ["a.md", "sub/e.txt", "sub/f.PDF"]);
        assert_eq!(
            skipped,
            [
                "skipped 3 hidden; --hidden takes them: .git, .gitignore, .notes.md",
                "skipped 2 left out by .gitignore or .ignore; --no-ignore takes them: build, c.log",
                "skipped 1 of no kind that can be read, by their names: d.png",
            ]
        );
    }

    #[test]
    fn what_is_passed_over_can_be_taken() {
        let all = Selection { hidden: true, no_ignore: true, ..Selection::default() };
        let (ids, _) = search(FILES, &all);
        assert_eq!(
            ids,
            [
                ".git/notes.txt",
                ".notes.md",
                "a.md",
                "build/deep/b.md",
                "c.log",
                "sub/e.txt",
                "sub/f.PDF"
            ]
        );
    }

    #[test]
    fn globs_choose_among_what_is_not_passed_over() {
        let only = |include: &[&str], exclude: &[&str]| {
            let words = |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect();
            let (include, exclude) = (words(include), words(exclude));
            search(FILES, &Selection { include, exclude, ..Selection::default() })
        };
        assert_eq!(only(&["*.md", "*.txt"], &[]).0, ["a.md", "sub/e.txt"]);
        let (ids, skipped) = only(&[], &["sub/"]);
        assert_eq!(ids, ["a.md"]);
        assert!(skipped.contains(&"skipped 1 left out by --include or --exclude: sub".to_owned()));
        assert_eq!(only(&["*.md", "*.txt"], &["sub/"]).0, ["a.md"]);
    }

    #[test]
    fn a_summary_names_a_few_of_many() {
        let names: Vec<_> = (0..9).map(|number| format!("{number}.png")).collect();
        let files: Vec<_> = names.iter().map(String::as_str).chain(["a.txt"]).collect();
        let (_, skipped) = search(&files, &Selection::default());
        assert!(skipped[0].starts_with("skipped 9 of no kind"), "{skipped:?}");
        assert!(skipped[0].ends_with(": 0.png, 1.png, 2.png, 3.png, 4.png, …"), "{skipped:?}");
    }

    #[test]
    fn a_glob_that_is_none_and_a_path_without_documents_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.txt"), "x").unwrap();
        let broken = Selection { include: vec!["a[".into()], ..Selection::default() };
        assert!(Search::default().add(folder.path(), &broken).is_err());
        let none = Selection { exclude: vec!["*".into()], ..Selection::default() };
        assert!(Search::default().add(folder.path(), &none).is_err());
        assert!(Search::default().add(&folder.path().join("b"), &Selection::default()).is_err());
        assert!(Search::default().add(&folder.path().join("a.txt"), &none).is_ok());
    }
}
