//! Backups that the server makes by itself, and which of them are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::json;

use super::manifest::{HANDLERS, MARKER, Manifest};
use super::place::Place;
use super::{BackupError, make, remove, remove_files, scratch};
use crate::config;
use crate::services::Services;
use ragtime_policy::clock::unix_now;

/// The time in the name of a backup: sorted by name they are sorted by age.
const TIME: &str = "%Y%m%dT%H%M%SZ";
/// Who acts, in the audit log.
const ACTOR: &str = "server";
/// How long the server serves before the first backup: its start has other work.
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// Seconds of a day.
const DAY_SECONDS: u64 = 24 * 3600;

/// How the backups of a server are, for readiness and metrics.
#[derive(Debug, Default)]
pub struct Backups {
    wanted: bool,
    failing: AtomicBool,
    /// Seconds since the Unix epoch; 0 before the first.
    last: AtomicU64,
    /// From when on a missing backup is late: when the schedule is behind by a whole
    /// interval.
    late_after_seconds: u64,
    started: AtomicU64,
}

/// What is wrong with the backups of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The last one failed.
    Failed,
    /// There has been none for two intervals.
    Late,
}

impl Backups {
    /// Those of these settings.
    pub fn new(settings: &config::Backup) -> Self {
        Self {
            wanted: settings.destination.is_some(),
            late_after_seconds: settings.interval_seconds.saturating_mul(2),
            started: unix_now().into(),
            ..Self::default()
        }
    }

    /// Whether the server makes any.
    pub fn wanted(&self) -> bool {
        self.wanted
    }

    /// What is wrong, if anything is.
    pub fn trouble(&self) -> Option<Trouble> {
        if self.failing.load(Relaxed) {
            return Some(Trouble::Failed);
        }
        let since = self.last.load(Relaxed).max(self.started.load(Relaxed));
        let late = unix_now().saturating_sub(since) > self.late_after_seconds;
        (self.wanted && late).then_some(Trouble::Late)
    }

    /// When the newest backup was made, in seconds since the Unix epoch; 0 if there is
    /// none.
    pub fn last(&self) -> u64 {
        self.last.load(Relaxed)
    }
}

/// Makes backups until the server goes away.
pub async fn keep_backups(
    services: Arc<Services>,
    data: std::path::PathBuf,
    settings: config::Backup,
) {
    let Some(destination) = settings.destination.clone() else { return };
    let keeper = Keeper { services, data, settings };
    tokio::time::sleep(FIRST_DELAY).await;
    while !keeper.services.draining() {
        let wait = match Place::parse(&destination, &keeper.settings) {
            Ok(place) => keeper.round(&place).await,
            Err(error) => keeper.failed(&destination, &error).await,
        };
        tokio::time::sleep(wait).await;
    }
}

struct Keeper {
    services: Arc<Services>,
    data: std::path::PathBuf,
    settings: config::Backup,
}

/// A backup at the destination.
struct KeptBackup {
    name: String,
    at: u64,
    manifest: Manifest,
}

impl Keeper {
    /// Makes a backup if one is due, and says how long to wait for the next.
    async fn round(&self, place: &Place) -> Duration {
        let kept = match self.kept(place).await {
            Ok(kept) => kept,
            Err(error) => return self.failed(&place.to_string(), &error).await,
        };
        let newest = kept.last().map_or(0, |backup| backup.at);
        self.services.backups.last.store(newest, Relaxed);
        let due = newest.saturating_add(self.settings.interval_seconds);
        let wait = Duration::from_secs(due.saturating_sub(unix_now()));
        if !wait.is_zero() {
            return wait;
        }
        match self.back_up(place, kept).await {
            Ok(()) => Duration::from_secs(self.settings.interval_seconds),
            Err(error) => self.failed(&place.to_string(), &error).await,
        }
    }

    async fn back_up(&self, place: &Place, mut kept: Vec<KeptBackup>) -> Result<(), BackupError> {
        self.clear_away(place).await?;
        let (started, at) = (Instant::now(), unix_now());
        let name = name_of(&self.settings.name, at);
        let manifest = make(&self.data, &place.child(&name), &self.settings).await?;
        tracing::info!(
            backup = name,
            destination = %place,
            documents = manifest.documents,
            bytes = manifest.total_bytes(),
            seconds = started.elapsed().as_secs(),
            "a backup was made"
        );
        let backups = &self.services.backups;
        backups.last.store(at, Relaxed);
        backups.failing.store(false, Relaxed);
        self.services.telemetry.metrics.backed_up(true);
        let detail = json!({
            "destination": place.to_string(), "documents": manifest.documents,
            "bytes": manifest.total_bytes(),
        });
        self.services.record_audit_event(ACTOR, "backup.create", &name, &detail, None).await;
        kept.push(KeptBackup { name, at, manifest });
        self.retire(place, kept).await;
        Ok(())
    }

    /// Removes what is beyond the settings' count and age. The backup that was just made
    /// counts whatever becomes of this, and the next round tries again.
    async fn retire(&self, place: &Place, kept: Vec<KeptBackup>) {
        let times: Vec<u64> = kept.iter().map(|backup| backup.at).collect();
        let old = outdated(&times, unix_now(), &self.settings);
        for backup in kept.iter().take(old) {
            let name = &backup.name;
            match remove(&place.child(name), &backup.manifest).await {
                Ok(()) => {
                    let detail = json!({"destination": place.to_string()});
                    self.services
                        .record_audit_event(ACTOR, "backup.delete", name, &detail, None)
                        .await;
                }
                Err(error) => {
                    tracing::error!(backup = name, %error, "an old backup was not deleted");
                }
            }
        }
    }

    /// Whole backups of this server, oldest first.
    async fn kept(&self, place: &Place) -> Result<Vec<KeptBackup>, BackupError> {
        let mut kept = Vec::new();
        for (at, name) in self.own(place).await? {
            match place.child(&name).manifest().await {
                Ok(Some(manifest)) => kept.push(KeptBackup { name, at, manifest }),
                Ok(None) => {}
                // It may be a later version's, so it stays and does not count.
                Err(BackupError::Manifest(reason)) => {
                    tracing::warn!(
                        backup = name,
                        reason,
                        "a backup has a manifest of no known form"
                    );
                }
                Err(error) => return Err(error),
            }
        }
        Ok(kept)
    }

    /// Removes what killed runs have left, by their markers.
    async fn clear_away(&self, place: &Place) -> Result<(), BackupError> {
        let workplace = place.workplace(&self.data);
        scratch::sweep(workplace).map_err(|error| super::at(workplace, error))?;
        for (_, name) in self.own(place).await? {
            let place = place.child(&name);
            let workplace = place.workplace(&self.data);
            scratch::sweep(workplace).map_err(|error| super::at(workplace, error))?;
            match (place.remains().await?, place.manifest().await?) {
                // Whole: what was left to do is to remove the marker.
                (Some(_), Some(_)) => place.delete(MARKER).await?,
                (Some(remains), None) => remove_files(&place, &remains).await?,
                (None, Some(_)) => {}
                // Killed before there was a marker.
                (None, None) => place.remove_folders(HANDLERS),
            }
        }
        Ok(())
    }

    /// Names with their times of what this server may have made, oldest first.
    async fn own(&self, place: &Place) -> Result<Vec<(u64, String)>, BackupError> {
        let names = place.children().await?;
        let mut own: Vec<_> = names
            .into_iter()
            .filter_map(|name| Some((time_of(&self.settings.name, &name)?, name)))
            .collect();
        own.sort();
        Ok(own)
    }

    /// Logs that a backup failed. Returns how long to wait before the next try.
    async fn failed(&self, destination: &str, error: &BackupError) -> Duration {
        let retry = self.settings.retry_seconds.min(self.settings.interval_seconds).max(1);
        tracing::error!(destination, %error, retry_in_seconds = retry, "a backup failed");
        let first = !self.services.backups.failing.swap(true, Relaxed);
        self.services.telemetry.metrics.backed_up(false);
        // Once for each trouble, however often it is tried.
        if first {
            let detail = json!({"error": error.to_string()});
            self.services
                .record_audit_event(ACTOR, "backup.fail", destination, &detail, None)
                .await;
        }
        Duration::from_secs(retry)
    }
}

/// How many of the backups made at `times`, oldest first, are to go: those beyond the
/// count and those beyond the age, and never the newest.
fn outdated(times: &[u64], now: u64, settings: &config::Backup) -> usize {
    let beyond_count = times.len().saturating_sub(settings.max_backups.max(1));
    let oldest = now.saturating_sub(settings.max_age_days.saturating_mul(DAY_SECONDS));
    let beyond_age = times.iter().filter(|at| **at < oldest).count();
    beyond_count.max(beyond_age).min(times.len().saturating_sub(1))
}

/// The name of the backup of this moment.
fn name_of(server: &str, at: u64) -> String {
    let time = i64::try_from(at).ok().and_then(|at| jiff::Timestamp::from_second(at).ok());
    format!("{server}-{}", time.unwrap_or_default().strftime(TIME))
}

/// When the backup of this name was made; none if it is not one of `server`.
fn time_of(server: &str, name: &str) -> Option<u64> {
    let time = name.strip_prefix(server)?.strip_prefix('-')?;
    let parsed = jiff::civil::DateTime::strptime(TIME, time).ok()?;
    let at = parsed.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    let at = u64::try_from(at).ok()?;
    // A name that only looks like one is somebody else's.
    (name_of(server, at) == name).then_some(at)
}

/// The newest whole backup directly below `place`, of whichever server.
pub async fn newest_below(place: &Place) -> Result<Option<String>, BackupError> {
    let mut timed: Vec<_> = place
        .children()
        .await?
        .into_iter()
        .filter_map(|name| {
            let server = name.rsplit_once('-')?.0;
            Some((time_of(server, &name)?, name))
        })
        .collect();
    timed.sort();
    for (_, name) in timed.into_iter().rev() {
        let place = place.child(&name);
        if place.manifest().await.is_ok_and(|manifest| manifest.is_some()) {
            return Ok(Some(place.to_string()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_time_and_whose_it_is() {
        let name = name_of("a-b", 1_767_323_045);
        assert_eq!(name, "a-b-20260102T030405Z");
        assert_eq!(time_of("a-b", &name), Some(1_767_323_045));
        for other in ["a", "a-", "b", ""] {
            assert_eq!(time_of(other, &name), None, "{other}");
        }
        for not_ours in ["a-b-20260102T030405Z.old", "a-b-20260102", "a-b-20261302T030405Z", "a-b"]
        {
            assert_eq!(time_of("a-b", not_ours), None, "{not_ours}");
        }
    }

    #[test]
    fn the_oldest_go_first_and_the_newest_never() {
        let settings =
            config::Backup { max_backups: 3, max_age_days: 10, ..config::Backup::default() };
        let days =
            |days: &[u64]| -> Vec<u64> { days.iter().map(|day| day * DAY_SECONDS).collect() };
        let now = 100 * DAY_SECONDS;
        assert_eq!(outdated(&days(&[96, 97, 98, 99]), now, &settings), 1);
        assert_eq!(outdated(&days(&[80, 85, 99]), now, &settings), 2);
        assert_eq!(outdated(&days(&[1, 2, 3, 4, 5]), now, &settings), 4);
        assert_eq!(outdated(&days(&[1]), now, &settings), 0);
        assert_eq!(outdated(&[], now, &settings), 0);
        let none = config::Backup { max_backups: 0, ..settings };
        assert_eq!(outdated(&days(&[98, 99]), now, &none), 1);
    }
}
