//! `[backup]`: copies that the server makes by itself.

use serde::{Deserialize, Serialize};

use super::Secret;

/// `[backup]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backup {
    /// Where backups go: a folder, or `s3://BUCKET/PREFIX`. Without it the server
    /// makes none.
    pub destination: Option<String>,
    /// What the names of backups begin with; the time follows. Servers that share a
    /// destination have a name each, since a server deletes what it takes for its own.
    pub name: String,
    /// From one backup to the next. It is counted from the newest backup at the
    /// destination, so that restarts neither add backups nor put them off.
    pub interval_seconds: u64,
    /// How long to wait after a backup that failed: long enough for a destination to
    /// come back, short enough for many tries in an interval.
    pub retry_seconds: u64,
    /// Backups that are kept at most; the oldest go first. Two weeks of daily ones.
    pub max_backups: usize,
    /// Days after which a backup goes. The newest stays however old it is, so that a
    /// server whose backups fail keeps one.
    pub max_age_days: u64,
    /// Whether a backup is read again from the destination and its hashes are compared
    /// before it counts. It costs the traffic of a restore.
    pub read_back: bool,
    /// What stays free on the disk of the copy. A backup that would leave less is not
    /// begun, so that it never takes the room of writes.
    pub min_free_bytes: u64,
    /// Bytes of one part of an upload. More where the database would have over
    /// 10,000 of them, which S3 does not take; four are in memory at once.
    pub part_bytes: usize,
    /// The bucket's side.
    pub s3: S3,
}

impl Default for Backup {
    fn default() -> Self {
        Self {
            destination: None,
            name: "ragtime".into(),
            interval_seconds: 24 * 3600,
            retry_seconds: 900,
            max_backups: 14,
            max_age_days: 90,
            read_back: true,
            min_free_bytes: 1024 * 1024 * 1024,
            part_bytes: 16 * 1024 * 1024,
            s3: S3::default(),
        }
    }
}

/// `[backup.s3]`: what is not set comes from `AWS_ENDPOINT_URL`, `AWS_REGION`,
/// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` or the role of
/// the machine.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3 {
    /// The URL of a store that is not Amazon's, as in `https://minio.example:9000`.
    pub endpoint: Option<String>,
    /// The region of the bucket.
    pub region: Option<String>,
    /// The id of the access key.
    pub access_key_id: Option<Secret>,
    /// The access key.
    pub secret_access_key: Option<Secret>,
    /// Whether the bucket is part of the host's name instead of the path.
    pub virtual_hosted: bool,
    /// How long the store may say nothing: a part of 16 MiB takes so long at 1 Mbit/s.
    pub timeout_ms: u64,
    /// How often a request is sent again that the store fails at.
    pub max_retries: usize,
}

impl Default for S3 {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            access_key_id: None,
            secret_access_key: None,
            virtual_hosted: false,
            timeout_ms: 150_000,
            max_retries: 5,
        }
    }
}
