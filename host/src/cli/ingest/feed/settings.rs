//! What is fed where: flags, or a manifest with many feeds.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::ledger::{self, Ledger};
use crate::cli::ingest::Delivery;
use crate::cli::ingest::document::Shape;
use crate::cli::ingest::search::Selection;
use crate::cli::ingest::site::settings::SiteArgs;
use crate::cli::{CliError, Context};

/// How sources are followed.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Following sources")]
pub struct FeedArgs {
    /// Go on: send what changes as it changes, until interrupted
    #[arg(long, conflicts_with = "dry_run")]
    pub watch: bool,
    /// Delete what an earlier run of this feed put and is gone from its sources
    #[arg(long)]
    delete_missing: bool,
    /// Of 100 documents, how many may go at once; with 100 also all of an empty source [default: 50]
    #[arg(long, value_name = "PERCENT")]
    max_delete: Option<u8>,
    /// Say what would be sent and deleted, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// A name for this feed; by default its sources name it
    #[arg(long, value_name = "NAME")]
    feed: Option<String>,
    /// Feeds from a file: which sources go where
    #[arg(long, value_name = "FILE.toml")]
    manifest: Option<PathBuf>,
    /// Where is kept what feeds have put [default: ~/.local/state/ragtime/feeds]
    #[arg(long, env = "RAGTIME_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// How long a file has to stay as it is before it is sent, with --watch
    #[arg(long, value_name = "MS", default_value_t = 500)]
    settle_ms: u64,
    /// How often everything is compared with the server, with --watch
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    rescan_seconds: u64,
    #[command(flatten)]
    site: SiteArgs,
}

/// Half of the documents: more at once is rather an accident.
const MAX_DELETE_PERCENT: u8 = 50;

/// Sources that belong together, and where they go.
#[derive(Debug)]
pub struct Feed {
    /// For people, and for the state.
    pub name: String,
    sources: Vec<Source>,
    /// Where documents go.
    pub collection: String,
    /// Which files of folders.
    pub selection: Selection,
    /// What is added to each document.
    pub shape: Shape,
    /// Whether what is gone is deleted.
    pub delete_missing: bool,
    /// How much may go at once, of 100.
    pub max_delete_percent: u8,
    /// How sites are visited.
    pub site: SiteArgs,
}

#[derive(Debug, Clone)]
enum Source {
    Path(PathBuf),
    Url(Url),
}

impl Source {
    /// A URL of HTTP, else a path below `base`.
    fn parse(text: &str, base: &Path) -> Result<Self, CliError> {
        if !is_url(text) {
            return Ok(Self::Path(base.join(text)));
        }
        let url = Url::parse(text)
            .map_err(|error| CliError::new(format!("{text} is no URL: {error}")))?;
        Ok(Self::Url(url))
    }

    fn name(&self) -> String {
        match self {
            Self::Path(path) => {
                std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string()
            }
            Self::Url(url) => url.to_string(),
        }
    }
}

/// Whether a source is on the web.
pub fn is_url(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

/// A manifest.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    feed: Vec<Entry>,
}

/// One feed of a manifest.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    sources: Vec<String>,
    #[serde(default = "default_collection")]
    collection: String,
    #[serde(default)]
    id_prefix: String,
    #[serde(default)]
    metadata: Map<String, Value>,
    language: Option<String>,
    #[serde(default)]
    delete_missing: bool,
    max_delete: Option<u8>,
    #[serde(default)]
    include: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default)]
    hidden: bool,
    #[serde(default)]
    no_ignore: bool,
}

fn default_collection() -> String {
    "default".to_owned()
}

impl FeedArgs {
    /// Whether these flags or sources ask for a feed rather than for one ingestion.
    pub fn asked(&self, sources: &[String]) -> bool {
        self.watch
            || self.delete_missing
            || self.dry_run
            || self.feed.is_some()
            || self.manifest.is_some()
            || sources.iter().any(|source| is_url(source))
    }

    /// Where ledgers are.
    pub fn state_dir(&self) -> PathBuf {
        self.state_dir.clone().unwrap_or_else(ledger::default_folder)
    }

    /// How long a file has to stay as it is.
    pub fn settle(&self) -> Duration {
        Duration::from_millis(self.settle_ms)
    }

    /// How often everything is compared.
    pub fn rescan(&self) -> Duration {
        Duration::from_secs(self.rescan_seconds.max(1))
    }
}

/// The feeds that the command line asks for.
///
/// # Errors
///
/// The manifest cannot be read, or a source is none.
pub fn feeds(
    sources: &[String],
    collection: &str,
    selection: &Selection,
    args: &FeedArgs,
) -> Result<Vec<Feed>, CliError> {
    if let Some(path) = &args.manifest {
        return manifest(path, args);
    }
    let sources = sources
        .iter()
        .map(|text| Source::parse(text, Path::new("")))
        .collect::<Result<Vec<_>, _>>()?;
    let name = args.feed.clone().unwrap_or_else(|| named_by(&sources));
    Ok(vec![Feed {
        name,
        sources,
        collection: collection.to_owned(),
        selection: selection.clone(),
        shape: Shape::default(),
        delete_missing: args.delete_missing,
        max_delete_percent: args.max_delete.unwrap_or(MAX_DELETE_PERCENT),
        site: args.site.clone(),
    }])
}

/// The last part of the first source.
fn named_by(sources: &[Source]) -> String {
    let name = sources.first().map(Source::name).unwrap_or_default();
    let last = name.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    last.to_owned()
}

fn manifest(path: &Path, args: &FeedArgs) -> Result<Vec<Feed>, CliError> {
    let wrong = |error: &dyn std::fmt::Display| {
        CliError::with_hint(
            format!("{}: {error}", path.display()),
            "docs/feeds.md shows a manifest with every field",
        )
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
    let manifest: Manifest = toml::from_str(&text).map_err(|error| wrong(&error))?;
    let base = path.parent().unwrap_or(Path::new(""));
    let mut names = std::collections::HashSet::new();
    if let Some(twice) = manifest.feed.iter().find(|entry| !names.insert(entry.name.clone())) {
        return Err(wrong(&format!("two feeds have the name {:?}", twice.name)));
    }
    manifest.feed.into_iter().map(|entry| feed(entry, base, args)).collect()
}

fn feed(entry: Entry, base: &Path, args: &FeedArgs) -> Result<Feed, CliError> {
    let sources = entry.sources.iter().map(|text| Source::parse(text, base));
    let Entry { include, exclude, hidden, no_ignore, .. } = entry;
    Ok(Feed {
        sources: sources.collect::<Result<_, _>>()?,
        name: entry.name,
        collection: entry.collection,
        selection: Selection { include, exclude, hidden, no_ignore },
        shape: Shape::new(entry.id_prefix, entry.metadata, entry.language),
        delete_missing: entry.delete_missing || args.delete_missing,
        max_delete_percent: args.max_delete.or(entry.max_delete).unwrap_or(MAX_DELETE_PERCENT),
        site: args.site.clone(),
    })
}

impl Feed {
    /// The folders and files.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.sources.iter().filter_map(|source| match source {
            Source::Path(path) => Some(path.as_path()),
            Source::Url(_) => None,
        })
    }

    /// The sitemaps and pages.
    pub fn urls(&self) -> impl Iterator<Item = &Url> {
        self.sources.iter().filter_map(|source| match source {
            Source::Path(_) => None,
            Source::Url(url) => Some(url),
        })
    }

    /// Opens its state. A feed is another one for another server, collection or source.
    pub fn ledger(&self, folder: &Path, context: &Context) -> Result<Ledger, CliError> {
        let sources: Vec<String> = self.sources.iter().map(Source::name).collect();
        let mut identity = vec![context.server(), &self.collection, &self.name];
        identity.extend(sources.iter().map(String::as_str));
        Ledger::open(folder, &self.name, &identity)
    }

    /// Where its documents go.
    pub fn delivery(&self) -> Delivery<'_> {
        Delivery {
            collection: &self.collection,
            shape: self.shape.clone(),
            wait: true,
            recorder: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
[[feed]]
name = "handbook"
sources = ["handbook", "https://example.org/sitemap.xml"]
collection = "handbook"
id_prefix = "hb/"
language = "en"
include = ["*.md"]
delete_missing = true

[feed.metadata]
team = "ops"
"#;

    fn read(text: &str) -> Result<Vec<Entry>, toml::de::Error> {
        toml::from_str::<Manifest>(text).map(|manifest| manifest.feed)
    }

    #[test]
    fn a_manifest_says_what_goes_where() {
        let entries = read(MANIFEST).unwrap();
        let entry = &entries[0];
        assert_eq!(
            (&*entry.name, &*entry.collection, &*entry.id_prefix),
            ("handbook", "handbook", "hb/")
        );
        assert_eq!(entry.include, ["*.md"]);
        assert!(entry.delete_missing && entry.metadata["team"] == "ops");
        assert!(matches!(
            Source::parse(&entry.sources[1], Path::new("/x")).unwrap(),
            Source::Url(_)
        ));
        let Source::Path(path) = Source::parse("a", Path::new("/x")).unwrap() else { panic!() };
        assert_eq!(path, Path::new("/x/a"));
    }

    #[test]
    fn a_word_that_a_manifest_does_not_know_is_an_error() {
        let error = read("[[feed]]\nname = 'a'\nsources = []\ncolection = 'b'\n").unwrap_err();
        assert!(error.to_string().contains("colection"), "{error}");
    }
}
