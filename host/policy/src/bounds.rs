//! How many collections and jobs a store keeps, whichever host it is of.

use std::time::Duration;

/// Failures of one job that are listed when it is asked for, and in a list of jobs:
/// a page of a thousand jobs stays below a few megabytes. How many there are is
/// listed in full.
pub const MAX_FAILURES: usize = 1_000;
/// See [`MAX_FAILURES`].
pub const MAX_LISTED_FAILURES: usize = 10;
/// Length of a failure's reason and of the id that failed, in bytes.
const MAX_FAILURE_BYTES: usize = 512;

/// What an operator may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Collections there may be.
    pub max_collections: u64,
    /// How long jobs that are done are kept.
    pub job_retention: Duration,
    /// Jobs that are kept at most; the oldest that are done go first.
    pub max_jobs: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            max_collections: 10_000,
            job_retention: Duration::from_secs(7 * 24 * 3_600),
            max_jobs: 100_000,
        }
    }
}

/// There are as many collections as the operator allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are {0} collections, and the operator allows no more (data.max_collections)")]
pub struct TooManyCollections(u64);

impl Bounds {
    /// Whether there may be one more collection beside `count`.
    ///
    /// # Errors
    ///
    /// When there are as many as may be. The text is fit for the client.
    pub fn check_one_more_collection(&self, count: u64) -> Result<(), TooManyCollections> {
        if count < self.max_collections { Ok(()) } else { Err(TooManyCollections(count)) }
    }
}

/// What is kept of a failure's reason, or of the id that failed.
pub fn shortened(words: &str) -> &str {
    words.get(..words.floor_char_boundary(MAX_FAILURE_BYTES)).unwrap_or(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_collection_that_may_be_is_let_through() {
        let bounds = Bounds { max_collections: 2, ..Bounds::default() };
        assert_eq!(bounds.check_one_more_collection(1), Ok(()));
        let refused = bounds.check_one_more_collection(2).map_err(|error| error.to_string());
        assert!(refused.is_err_and(|text| text.contains("data.max_collections")));
    }

    #[test]
    fn long_words_are_cut_between_characters() {
        assert_eq!(shortened("short"), "short");
        let long = "ä".repeat(MAX_FAILURE_BYTES);
        assert_eq!(shortened(&long).len(), MAX_FAILURE_BYTES);
        let odd = format!("a{long}");
        assert_eq!(shortened(&odd).len(), MAX_FAILURE_BYTES - 1);
    }
}
