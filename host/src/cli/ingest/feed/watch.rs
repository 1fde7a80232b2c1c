//! Feeds that go on: a pass when something changes below a source, and every while one
//! that looks at everything, since no notice of changes is sure to come.

use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::ledger::Ledger;
use super::{Feed, FeedArgs, Follower, Pass, watched};
use crate::cli::ingest::Progress;
use crate::cli::{CliError, Context, out};
use crate::signal;

/// How often to look where the system does not report changes.
const WITHOUT_NOTICE: Duration = Duration::from_secs(10);
/// Times the settling that a pass waits at most while changes go on: files that are
/// still written are left out of it.
const MAX_SETTLES: u32 = 10;
/// The first and the last wait after a pass that failed.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// Follows the feeds until the person or the system ends it.
pub async fn watch(
    feeds: Vec<Feed>,
    args: &FeedArgs,
    wait: bool,
    context: &Context,
) -> Result<(), CliError> {
    let mut followed = Vec::new();
    for feed in feeds {
        let ledger = feed.ledger(&args.state_dir(), context)?;
        followed.push((feed, ledger));
    }
    let paths = watched(followed.iter().map(|(feed, _)| feed));
    let (changed, changes) = channel(1);
    // Before the first pass, so that no change falls between.
    let (watcher, rescan) = match start(&paths, changed) {
        Ok(watcher) => (Some(watcher), args.rescan()),
        Err(error) => {
            let rescan = args.rescan().min(WITHOUT_NOTICE);
            let seconds = rescan.as_secs();
            out::note(&format!(
                "the system does not report changes ({error}): looking every {seconds} s"
            ));
            (None, rescan)
        }
    };
    let mut watch = Watch { followed, args, wait, context, changes, rescan };
    let ended = tokio::select! {
        ended = watch.run() => ended,
        () = signal::stopped() => Ok(()),
    };
    drop(watcher);
    ended
}

struct Watch<'a> {
    followed: Vec<(Feed, Ledger)>,
    args: &'a FeedArgs,
    wait: bool,
    context: &'a Context,
    changes: Receiver<()>,
    rescan: Duration,
}

impl Watch<'_> {
    async fn run(&mut self) -> Result<(), CliError> {
        let (mut compared, mut retry, mut is_first) = (true, FIRST_RETRY, true);
        loop {
            let next_rescan = Instant::now() + self.rescan;
            match self.pass(compared).await {
                Ok(unsettled) => {
                    retry = FIRST_RETRY;
                    if std::mem::take(&mut is_first) {
                        out::note("watching; changes are sent as they come");
                    }
                    compared = self.next(unsettled, next_rescan).await;
                }
                Err(error) if is_first => return Err(error),
                Err(error) => {
                    out::note(&format!("error: {error}"));
                    out::note(&format!("trying again in {} s", retry.as_secs()));
                    tokio::time::sleep(retry).await;
                    retry = (retry * 2).min(LAST_RETRY);
                    // What the server has is not known any more.
                    compared = true;
                }
            }
        }
    }

    /// Follows each feed once; whether files are left that are still written.
    async fn pass(&mut self, compared: bool) -> Result<bool, CliError> {
        let pass = Pass { rehearsed: false, compared, settle: Some(self.args.settle()) };
        let mut unsettled = false;
        for (feed, ledger) in &mut self.followed {
            let mut progress = Progress::new();
            let follower = Follower { feed, pass, wait: self.wait, context: self.context };
            let report = follower.follow(ledger, &mut progress).await?;
            unsettled |= report.unsettled > 0;
            if !report.is_empty() || !progress.failed.is_empty() {
                report.print(feed, &progress, false, false);
            } else {
                progress.clear();
            }
        }
        Ok(unsettled)
    }

    /// Waits for a reason to pass over the sources again; whether it is time to compare
    /// everything.
    async fn next(&mut self, unsettled: bool, next_rescan: Instant) -> bool {
        let settle = self.args.settle();
        let settled = if unsettled { Instant::now() + settle } else { next_rescan };
        tokio::select! {
            change = self.changes.recv() => match change {
                Some(()) => self.calm(settle).await,
                None => sleep_until(settled.min(next_rescan)).await,
            },
            () = sleep_until(settled.min(next_rescan)) => {}
        }
        Instant::now() >= next_rescan
    }

    /// Waits until nothing has changed for a while.
    async fn calm(&mut self, settle: Duration) {
        let last = Instant::now() + settle * MAX_SETTLES;
        while let Ok(Some(())) =
            timeout_at(last.min(Instant::now() + settle), self.changes.recv()).await
        {
            if Instant::now() >= last {
                return;
            }
        }
    }
}

/// Has the system report changes below these paths.
fn start(
    paths: &std::collections::BTreeSet<PathBuf>,
    changed: Sender<()>,
) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // A full channel says already that there was a change; an error may have been one.
        if event.map_or(true, |event| is_change(event.kind)) {
            let _ = changed.try_send(());
        }
    })?;
    for path in paths {
        match path.is_dir() {
            true => watcher.watch(path, RecursiveMode::Recursive)?,
            // Editors put a new file in the place of the old one, which only a watch of the
            // folder reports.
            false => watcher.watch(folder_of(path), RecursiveMode::NonRecursive)?,
        }
    }
    Ok(watcher)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A pass opens and reads files, which is no change.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => true,
    }
}
