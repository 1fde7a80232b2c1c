//! A source that is followed: a pass sends what is new or has changed, and deletes what
//! is gone where that is asked for.

pub mod ledger;
pub mod pass;
mod server;
pub mod settings;
mod watch;

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ragtime_policy::digest::sha256_of;

use super::search::Search;
use super::site::{self, Site};
use super::{Delivery, Progress, kinds, put_in};
use crate::cli::{CliError, Context, out};
use ledger::{Ledger, Print, Put};
use pass::{Pass, Report, is_intact};
use server::Deletion;
pub use settings::{Feed, FeedArgs, feeds};
pub use watch::watch;

/// Deletions up to which a share says nothing: of three documents two may well go.
const MIN_DELETIONS_TO_REFUSE: usize = 10;

/// Documents whose versions are asked for one by one; beyond it, a list of all costs less.
const MAX_ASKED_ALONE: usize = 32;

/// Follows each feed once, or on and on, and reports what became of it.
pub async fn run(
    feeds: Vec<Feed>,
    args: &FeedArgs,
    wait: bool,
    context: &Context,
    as_json: bool,
) -> Result<(), CliError> {
    if args.watch {
        return watch(feeds, args, wait, context).await;
    }
    let pass = Pass { rehearsed: args.dry_run, compared: true, settle: None };
    let mut incomplete = None;
    for feed in &feeds {
        let mut ledger = feed.ledger(&args.state_dir(), context)?;
        let mut progress = Progress::new();
        let follower = Follower { feed, pass, wait, context };
        let ended = tokio::select! {
            ended = follower.follow(&mut ledger, &mut progress) => ended,
            _ = tokio::signal::ctrl_c() => Err(CliError::interrupted()),
        };
        let report = match ended {
            Ok(report) => report,
            Err(error) => {
                progress.report(as_json);
                return Err(error.or_hint(super::AGAIN));
            }
        };
        report.print(feed, &progress, pass.rehearsed, as_json);
        if !progress.failed.is_empty() {
            incomplete = Some(CliError::incomplete("some documents could not be taken"));
        } else if report.refused {
            incomplete = Some(CliError::incomplete("what is gone was not deleted"));
        }
    }
    incomplete.map_or(Ok(()), Err)
}

/// Follows a feed: what a pass over its sources goes by.
pub struct Follower<'a> {
    pub feed: &'a Feed,
    pub pass: Pass,
    /// Whether to wait until search finds what was sent.
    pub wait: bool,
    pub context: &'a Context,
}

impl Follower<'_> {
    /// One pass over the sources of the feed.
    pub async fn follow(
        &self,
        ledger: &mut Ledger,
        progress: &mut Progress,
    ) -> Result<Report, CliError> {
        ledger.begin(self.pass.rehearsed)?;
        let followed = self.pass_over(ledger, progress).await;
        if self.pass.rehearsed {
            ledger.undo()?;
        }
        followed
    }

    async fn pass_over(
        &self,
        ledger: &mut Ledger,
        progress: &mut Progress,
    ) -> Result<Report, CliError> {
        let Self { feed, pass, wait, context } = *self;
        let known = match pass.compared {
            true => Some(server::documents(&feed.collection, context).await?),
            false => None,
        };
        if let Some(known) = &known {
            ledger.adopt(known)?;
        }
        let mut report = Report::default();
        let mut seen = 0;
        let paths: Vec<&Path> = feed.paths().collect();
        if !paths.is_empty() {
            let (found, changed) = changes(feed, ledger, &known, pass, &mut report)?;
            seen += found;
            if !pass.rehearsed {
                self.send(changed, ledger, progress).await?;
            }
        }
        // Nothing reports changes of a site, so a pass for the changes of files leaves it.
        if !pass.compared {
            ledger.see_pages()?;
        }
        for url in feed.urls().filter(|_| pass.compared) {
            let mut visit = site::Visit {
                feed,
                ledger: &mut *ledger,
                known: &known,
                pass,
                report: &mut report,
            };
            let site = Site::new(url.clone(), &feed.site)?;
            seen += visit.site(site, wait, progress, context).await?;
        }
        if feed.delete_missing {
            self.mirror(ledger, seen, &mut report).await?;
        }
        if !pass.rehearsed {
            self.take_down(ledger).await?;
        }
        Ok(report)
    }

    /// Takes down the versions of what was just sent, so that what somebody else writes
    /// from now on is known from it.
    async fn take_down(&self, ledger: &mut Ledger) -> Result<(), CliError> {
        let collection = &self.feed.collection;
        let new = ledger.unstamped()?;
        let known = match new.len() {
            0 => return Ok(()),
            1..=MAX_ASKED_ALONE => server::some(collection, &new, self.context).await?,
            _ => server::documents(collection, self.context).await?,
        };
        ledger.adopt(&known)
    }

    async fn send(
        &self,
        changed: Changed,
        ledger: &mut Ledger,
        progress: &mut Progress,
    ) -> Result<(), CliError> {
        changed.search.skipped.lines().for_each(|line| out::note(&line));
        if !changed.search.kinds.is_empty() {
            out::note(&kinds(&changed.search.kinds));
        }
        let recorder = Recorder { ledger, prints: changed.prints };
        let mut delivery =
            Delivery { wait: self.wait, recorder: Some(recorder), ..self.feed.delivery() };
        put_in(changed.search, &mut delivery, progress, self.context).await
    }

    /// Deletes what the feed put and is gone from its sources.
    async fn mirror(
        &self,
        ledger: &mut Ledger,
        seen: u64,
        report: &mut Report,
    ) -> Result<(), CliError> {
        let (gone, all) = (ledger.gone()?, ledger.count()?);
        if let Some(refusal) = refusal(gone.len(), all, seen, self.feed.max_delete_percent) {
            let kept = gone.iter().map(|put| put.id.clone());
            report.kept.extend(kept);
            report.refused = true;
            out::note(&format!("nothing is deleted: {refusal}; --max-delete 100 allows it"));
            return Ok(());
        }
        for put in gone {
            self.delete(ledger, &put, report).await?;
        }
        Ok(())
    }

    async fn delete(
        &self,
        ledger: &mut Ledger,
        put: &Put,
        report: &mut Report,
    ) -> Result<(), CliError> {
        let deletion = match self.pass.rehearsed {
            true => Deletion::Done,
            false => server::delete(&self.feed.collection, put, self.context).await?,
        };
        match deletion {
            Deletion::Done => report.deleted.push(put.id.clone()),
            Deletion::Changed => {
                out::note(&format!("kept: {}: somebody else has written it since", put.id));
                report.kept.push(put.id.clone());
            }
        }
        ledger.forget(&put.id)
    }
}

/// What of a file search is to be sent, with what is known of each file.
struct Changed {
    search: Search,
    prints: HashMap<String, Print>,
}

/// Looks at every file; how many there are, and those that changed.
fn changes(
    feed: &Feed,
    ledger: &mut Ledger,
    known: &Option<HashMap<String, String>>,
    pass: Pass,
    report: &mut Report,
) -> Result<(u64, Changed), CliError> {
    let mut search = Search::default();
    for path in feed.paths() {
        search.look(path, &feed.selection)?;
    }
    if !search.failures.is_empty() {
        // What cannot be looked at is not gone.
        ledger.see_all()?;
    }
    let mut prints = HashMap::new();
    let mut is_changed = |path: &Path, id: &str| -> Result<bool, CliError> {
        match look_at(path, id, feed, ledger, known, pass)? {
            Look::Unchanged => report.unchanged += 1,
            Look::Unsettled => report.unsettled += 1,
            Look::Changed(print) => {
                prints.insert(id.to_owned(), print);
                report.sent.push(feed.shape.id(id));
                return Ok(true);
            }
        }
        Ok(false)
    };
    let mut files = Vec::new();
    let found = (search.files.len() + search.whole.len()) as u64;
    for file in std::mem::take(&mut search.files) {
        if is_changed(&file.path, &file.id)? {
            files.push(file);
        }
    }
    let mut whole = Vec::new();
    for file in std::mem::take(&mut search.whole) {
        if is_changed(&file.path, &file.id)? {
            whole.push(file);
        }
    }
    (search.files, search.whole) = (files, whole);
    Ok((found, Changed { search, prints }))
}

/// What a look at a file finds.
enum Look {
    Unchanged,
    Unsettled,
    Changed(Print),
}

fn look_at(
    path: &Path,
    id: &str,
    feed: &Feed,
    ledger: &mut Ledger,
    known: &Option<HashMap<String, String>>,
    pass: Pass,
) -> Result<Look, CliError> {
    let before = ledger.see(id)?;
    let Ok(metadata) = path.metadata() else { return Ok(Look::Unsettled) };
    let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
    if pass.settle.is_some_and(|settle| is_within(modified, settle)) {
        return Ok(Look::Unsettled);
    }
    let nanos = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    // What is added to a document is part of what it is.
    let quick = format!("{} {nanos} {}", metadata.len(), feed.shape.print());
    let before = match before {
        Some(before) if is_intact(ledger, known, id)? => before,
        Some(_) | None => Print::default(),
    };
    if before.quick == quick {
        return Ok(Look::Unchanged);
    }
    let Ok(content) = File::open(path).and_then(sha256_of) else { return Ok(Look::Unsettled) };
    let sha256 = format!("{content} {}", feed.shape.print());
    let print = Print { quick, sha256, ..Print::default() };
    if before.sha256 == print.sha256 {
        ledger.touch(id, &print)?;
        return Ok(Look::Unchanged);
    }
    Ok(Look::Changed(print))
}

fn is_within(modified: SystemTime, settle: Duration) -> bool {
    SystemTime::now().duration_since(modified).is_ok_and(|age| age < settle)
}

/// Writes down what the server takes, as soon as it has it.
pub struct Recorder<'a> {
    ledger: &'a mut Ledger,
    prints: HashMap<String, Print>,
}

impl Recorder<'_> {
    /// The server has a document of a source.
    pub fn taken(&mut self, source: &str, id: &str) -> Result<(), CliError> {
        self.ledger.taken(source, id)
    }

    /// The server has all of a source.
    pub fn done(&mut self, source: &str) -> Result<(), CliError> {
        match self.prints.get(source) {
            Some(print) => self.ledger.done(source, print),
            None => Ok(()),
        }
    }
}

/// Why so many deletions are not done unasked, if they are not: a source that is empty
/// or half gone is more often a disk that is not mounted than a wish.
fn refusal(gone: usize, all: u64, seen: u64, max_percent: u8) -> Option<String> {
    if gone == 0 || max_percent >= 100 {
        return None;
    }
    if seen == 0 {
        return Some(format!("the source is empty, and {gone} documents would go"));
    }
    let over = (gone as u64).saturating_mul(100) > all.saturating_mul(u64::from(max_percent));
    (over && gone > MIN_DELETIONS_TO_REFUSE)
        .then(|| format!("{gone} of {all} documents would go, more than {max_percent} of 100"))
}

/// The folders and files of these feeds, for whoever watches them.
pub fn watched<'a>(feeds: impl Iterator<Item = &'a Feed>) -> BTreeSet<PathBuf> {
    feeds.flat_map(Feed::paths).map(Path::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deletions_that_look_like_an_accident_are_refused() {
        assert_eq!(refusal(0, 100, 0, 50), None);
        assert!(refusal(1, 1, 0, 50).unwrap().contains("is empty"));
        assert_eq!(refusal(1, 1, 0, 100), None);
        assert_eq!(refusal(2, 3, 1, 50), None);
        assert_eq!(refusal(50, 100, 50, 50), None);
        assert!(refusal(51, 100, 49, 50).unwrap().contains("51 of 100"));
        assert_eq!(refusal(51, 100, 49, 60), None);
    }
}
