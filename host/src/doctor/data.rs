//! The data folder and the disk under it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Finding;
use crate::serve;

const MIB: u64 = 1024 * 1024;

/// Below it a server writes for hours rather than days.
const FEW_BYTES: u64 = 1024 * MIB;
/// Below it the next batch of documents may be refused.
const NO_BYTES: u64 = 128 * MIB;
/// An index is some dozens of files.
const FEW_FILES: u64 = 10_000;

/// Syncs that are timed; the one in the middle counts.
const SYNCS: usize = 5;
/// What one of them writes: a page of the database.
const SYNC_BYTES: usize = 4_096;
/// What a sync may take: disks of today take 0.1 to 10 ms. A write waits for one or two.
const SLOW_SYNC: Duration = Duration::from_millis(50);

/// A data folder, as far as it can be looked at without disturbing anybody.
pub struct Folder {
    path: PathBuf,
    /// Whether it is there.
    exists: bool,
    /// Whether a server is at work on it.
    pub in_use: bool,
    /// When the newest row of its database was written, in seconds since the Unix epoch.
    pub newest: Result<Option<u64>, String>,
}

impl Folder {
    /// Looks at the folder. Blocking.
    pub fn look(path: &Path) -> Self {
        let in_use = ragtime_store::in_use(path);
        let newest = if in_use { Ok(None) } else { ragtime_store::newest(path) };
        Self {
            path: path.to_owned(),
            exists: path.is_dir(),
            in_use,
            newest: newest.map_err(|error| error.to_string()),
        }
    }

    /// The folder, or the one in which it would be made.
    fn nearest(&self) -> &Path {
        self.path.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"))
    }
}

/// Looks at what is in it and at what it is on. Blocking.
pub fn judge(folder: &Folder) -> Vec<Finding> {
    let place = folder.nearest();
    let mut findings = vec![state(folder)];
    findings.extend(folder.newest.as_ref().err().map(|error| unreadable(error)));
    findings.extend(open_to_others(folder));
    findings.extend(disk::space(place));
    findings.extend(disk::kind(place));
    findings.push(synced(place, times_of_sync(place)));
    findings
}

fn state(folder: &Folder) -> Finding {
    const CHECK: &str = "data.folder";
    let path = folder.path.display();
    match (folder.exists, folder.in_use) {
        (false, _) => Finding::ok(CHECK, format!("{path} is made at the first start")),
        (true, true) => Finding::ok(CHECK, format!("{path}, a server is at work on it")),
        (true, false) => Finding::ok(CHECK, format!("{path}, no server is at work on it")),
    }
}

fn unreadable(error: &str) -> Finding {
    Finding::fail(
        "data.database",
        format!("the database cannot be read: {error}"),
        "ragtime check says what is damaged, ragtime restore brings a backup back",
    )
}

#[cfg(unix)]
fn open_to_others(folder: &Folder) -> Option<Finding> {
    use std::os::unix::fs::PermissionsExt;
    const CHECK: &str = "data.permissions";
    let entries = fs::read_dir(&folder.path).ok()?;
    let ours = entries.flatten().filter(|entry| serve::is_ours(&entry.file_name()));
    let open = ours.filter(|entry| {
        entry
            .metadata()
            .is_ok_and(|found| !found.is_symlink() && found.permissions().mode() & 0o077 != 0)
    });
    let names: Vec<_> =
        open.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    Some(match names.is_empty() {
        true => Finding::ok(CHECK, "only its user can read what is in the data folder"),
        false => Finding::warn(
            CHECK,
            format!("other users can read {} in the data folder", names.join(", ")),
            "chmod -R go= on these; the next start of a server does so too",
        ),
    })
}

#[cfg(not(unix))]
fn open_to_others(_: &Folder) -> Option<Finding> {
    None
}

/// How long a sync takes, in a file without a name that is gone at the end.
fn times_of_sync(place: &Path) -> io::Result<Vec<Duration>> {
    let mut file = tempfile::tempfile_in(place)?;
    let page = [0_u8; SYNC_BYTES];
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        file.write_all(&page)?;
        let began = Instant::now();
        file.sync_all()?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

fn synced(place: &Path, times: io::Result<Vec<Duration>>) -> Finding {
    const CHECK: &str = "disk.sync";
    let times = match times {
        Ok(times) => times,
        Err(error) => {
            return Finding::fail(
                CHECK,
                format!("{} cannot be written: {error}", place.display()),
                "let the user of the server write there, or set data.dir to another folder",
            );
        }
    };
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    let found = format!("a sync takes {:.1} ms", middle.as_secs_f64() * 1e3);
    match middle <= SLOW_SYNC {
        true => Finding::ok(CHECK, found),
        false => Finding::warn(
            CHECK,
            found,
            "put data.dir on a faster disk: every write waits for one or two",
        ),
    }
}

#[cfg(target_os = "linux")]
mod disk {
    use super::{FEW_BYTES, FEW_FILES, Finding, MIB, NO_BYTES, Path};

    /// What a file system is to a database that must last.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Suits {
        Well,
        /// Its contents go with the machine or container.
        Passing,
        /// Locks and shared memory of SQLite are not kept by it.
        Remote,
    }

    /// File systems by their magic numbers (statfs(2), linux/magic.h).
    const KINDS: [(u64, &str, Suits); 15] = [
        (0xEF53, "ext4", Suits::Well),
        (0x5846_5342, "XFS", Suits::Well),
        (0x9123_683E, "Btrfs", Suits::Well),
        (0x2FC1_2FC1, "ZFS", Suits::Well),
        (0xF2F5_2010, "F2FS", Suits::Well),
        (0xCA45_1A4E, "bcachefs", Suits::Well),
        (0x0102_1994, "tmpfs", Suits::Passing),
        (0x8584_58F6, "ramfs", Suits::Passing),
        (0x794C_7630, "overlayfs", Suits::Passing),
        (0x6969, "NFS", Suits::Remote),
        (0xFF53_4D42, "SMB", Suits::Remote),
        (0xFE53_4D42, "SMB 2", Suits::Remote),
        (0x0102_1997, "9P", Suits::Remote),
        (0x00C3_6400, "Ceph", Suits::Remote),
        (0x6573_5546, "FUSE", Suits::Remote),
    ];

    pub fn space(place: &Path) -> Option<Finding> {
        let found = rustix::fs::statvfs(place).ok()?;
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        // Some file systems make their inodes as they go, and say none.
        let files = (found.f_files > 0).then_some(found.f_favail);
        Some(judge(free, files))
    }

    fn judge(free: u64, files: Option<u64>) -> Finding {
        const CHECK: &str = "disk.space";
        let found = format!("{} MiB are free", free / MIB);
        const ADVICE: &str = "make room: on a full disk writes are refused with 507, and reading \
                              and searching go on";
        match files.filter(|files| *files < FEW_FILES) {
            _ if free < NO_BYTES => Finding::fail(CHECK, found, ADVICE),
            Some(files) => Finding::warn(CHECK, format!("room for {files} more files"), ADVICE),
            None if free < FEW_BYTES => Finding::warn(CHECK, found, ADVICE),
            None => Finding::ok(CHECK, found),
        }
    }

    pub fn kind(place: &Path) -> Option<Finding> {
        // The type of the field differs between processors; the number has 32 bits.
        #[allow(clippy::cast_sign_loss, clippy::unnecessary_cast)]
        let magic = rustix::fs::statfs(place).ok()?.f_type as u64 & 0xFFFF_FFFF;
        Some(named(magic))
    }

    fn named(magic: u64) -> Finding {
        const CHECK: &str = "disk.file_system";
        let known = KINDS.iter().find(|(number, ..)| *number == magic);
        let Some((_, name, suits)) = known else {
            return Finding::ok(CHECK, format!("a file system with the number {magic:#x}"));
        };
        match suits {
            Suits::Well => Finding::ok(CHECK, *name),
            Suits::Passing => Finding::warn(
                CHECK,
                format!("{name}: what is there goes with the container or the machine"),
                "put data.dir on a volume or a disk",
            ),
            Suits::Remote => Finding::warn(
                CHECK,
                format!("{name}: SQLite takes a disk of the machine itself"),
                "put data.dir on a local disk or a block device, and copies of it there by \
                 ragtime backup",
            ),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::doctor::Status;

        #[test]
        fn little_room_is_told_and_no_room_fails() {
            assert_eq!(judge(2 * FEW_BYTES, Some(1 << 20)).status, Status::Ok);
            assert_eq!(judge(2 * FEW_BYTES, None).status, Status::Ok);
            assert_eq!(judge(FEW_BYTES - 1, None).status, Status::Warn);
            assert_eq!(judge(2 * FEW_BYTES, Some(7)).status, Status::Warn);
            assert_eq!(judge(NO_BYTES - 1, Some(7)).status, Status::Fail);
        }

        #[test]
        fn a_file_system_that_forgets_or_is_elsewhere_is_told() {
            assert_eq!(named(0xEF53).status, Status::Ok);
            assert_eq!(named(0x1234).status, Status::Ok);
            assert_eq!(named(0x0102_1994).status, Status::Warn);
            assert_eq!(named(0x6969).status, Status::Warn);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod disk {
    use super::{Finding, Path};

    pub fn space(_: &Path) -> Option<Finding> {
        None
    }

    pub fn kind(_: &Path) -> Option<Finding> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn a_slow_sync_is_told_and_one_that_fails_fails() {
        let times = |ms| Ok([1, ms, 900].map(Duration::from_millis).to_vec());
        let place = Path::new("/");
        assert_eq!(synced(place, times(5)).status, Status::Ok);
        assert_eq!(synced(place, times(51)).status, Status::Warn);
        assert_eq!(synced(place, Err(io::ErrorKind::PermissionDenied.into())).status, Status::Fail);
    }
}
