//! The clock of the machine.

use std::time::UNIX_EPOCH;

use super::Finding;
use super::data::Folder;
use ragtime_policy::clock::unix_now;

const CHECK: &str = "clock.time";

/// How far the clock of another machine may have been from that of this one.
const TOLERANCE_SECONDS: u64 = 60;

/// Holds the clock against what is known to be past.
pub fn judge(folder: &Folder) -> Vec<Finding> {
    let newest = folder.newest.as_ref().ok().copied().flatten();
    vec![of(unix_now(), installed(), newest)]
}

/// When this program was written to the disk, in seconds since the Unix epoch.
fn installed() -> Option<u64> {
    let modified = std::env::current_exe().ok()?.metadata().ok()?.modified().ok()?;
    modified.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

fn of(now: u64, installed: Option<u64>, newest: Option<u64>) -> Finding {
    const ADVICE: &str = "set the clock, and have it kept (chrony, systemd-timesyncd): keys and \
                          certificates end by it";
    if installed.is_some_and(|installed| installed > now + TOLERANCE_SECONDS) {
        return Finding::fail(CHECK, "the clock is before this program was installed", ADVICE);
    }
    match newest.filter(|newest| *newest > now + TOLERANCE_SECONDS) {
        Some(newest) => Finding::warn(
            CHECK,
            format!("the clock is {} s before the newest row of the data folder", newest - now),
            ADVICE,
        ),
        None => Finding::ok(CHECK, "the clock is past all that is known to be past"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn a_clock_that_is_behind_is_found() {
        assert_eq!(of(1_000, Some(900), None).status, Status::Ok);
        assert_eq!(of(1_000, None, Some(1_060)).status, Status::Ok);
        assert_eq!(of(1_000, Some(900), Some(1_061)).status, Status::Warn);
        assert_eq!(of(1_000, Some(1_061), None).status, Status::Fail);
    }
}
