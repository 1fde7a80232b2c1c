//! Why the store refused, and why it could not be opened.

#![allow(missing_docs, reason = "the contract in wit/ documents each case")]

use std::time::Duration;

/// Why the store refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no collection has this name")]
    UnknownCollection,
    #[error("a collection of this name exists")]
    CollectionExists,
    #[error("the collection \"default\" cannot be deleted")]
    CollectionProtected,
    #[error("no document has this id")]
    UnknownDocument,
    #[error("the document is not in a version that the condition asks for")]
    PreconditionFailed,
    #[error("no job has this id")]
    UnknownJob,
    #[error("the cursor was not made for this list")]
    InvalidCursor,
    /// A rule is broken; the text says which and is fit for the client.
    #[error("{0}")]
    Invalid(String),
    #[error("the store cannot take more now")]
    Busy { retry_after: Duration },
    /// The disk is full, read-only or failing: nothing was written. The text
    /// is for the log.
    #[error("{0}")]
    Unwritable(String),
    /// The text is for the log.
    #[error("{0}")]
    Internal(String),
}

impl From<ragtime_policy::cursor::InvalidCursor> for Error {
    fn from(_: ragtime_policy::cursor::InvalidCursor) -> Self {
        Self::InvalidCursor
    }
}

impl From<ragtime_filter::Invalid> for Error {
    fn from(error: ragtime_filter::Invalid) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DiskFull, ReadOnly, SystemIoFailure};
        let text = format!("sqlite: {error}");
        match error.sqlite_error_code() {
            Some(DiskFull | ReadOnly | SystemIoFailure) => Self::Unwritable(text),
            _ => Self::Internal(text),
        }
    }
}

impl From<tantivy::TantivyError> for Error {
    fn from(error: tantivy::TantivyError) -> Self {
        Self::Internal(format!("tantivy: {error}"))
    }
}

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("the database: {0}")]
    Database(#[from] rusqlite::Error),
    #[error(
        "the database was made by a newer version of Ragtime (schema {found}, this one knows {known})"
    )]
    Newer { found: i64, known: i64 },
    #[error("another process has this folder open")]
    InUse,
    #[error("the folder has no database")]
    NoDatabase,
    #[error("the folder has a database already")]
    Exists,
    #[error("the copy is damaged: {0}")]
    Damaged(String),
    #[error("the path of a copy has to be valid UTF-8")]
    Path,
    #[error("{0}")]
    Read(#[from] Error),
    /// The text says what to do.
    #[error("the fleet: {0}")]
    Fleet(String),
    #[error("the fleet: PostgreSQL: {0}")]
    FleetTls(#[from] crate::tls_fault::TlsFault),
    #[error(
        "the folder has documents of its own: choose another for the host of a fleet, or make a fleet of them with `ragtime fleet import`"
    )]
    NotOfFleet,
    #[error(
        "the folder is the copy of a fleet's host: start it with --postgres; what is wrong with it goes with the folder, which the next start rebuilds"
    )]
    OfFleet,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn a_disk_that_takes_nothing_is_told_from_a_bug() {
        let of = |code| Error::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_READONLY, ffi::SQLITE_IOERR_WRITE] {
            assert!(matches!(of(code), Error::Unwritable(_)), "{code}");
        }
        assert!(matches!(of(ffi::SQLITE_CORRUPT), Error::Internal(_)));
    }
}
