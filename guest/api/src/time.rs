//! Times as RFC 3339 strings in UTC.

use jiff::Timestamp;
pub use ragtime_policy::clock::unix_now;

/// Seconds since the Unix epoch as RFC 3339, for example
/// `2026-01-31T08:30:00Z`. A time beyond year 9999 shows as the last one that
/// RFC 3339 can say.
pub fn rfc3339(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX).to_string()
}

/// Seconds since the Unix epoch of an RFC 3339 time, rounded down. A time before
/// it counts as the epoch: it is over, which is all that matters here.
pub fn parse(text: &str) -> Option<u64> {
    let time = text.parse::<Timestamp>().ok()?;
    Some(u64::try_from(time.as_second()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_and_read() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_769_848_200), "2026-01-31T08:30:00Z");
        assert_eq!(parse("2026-01-31T08:30:00Z"), Some(1_769_848_200));
        assert_eq!(parse("2026-01-31T09:30:00+01:00"), Some(1_769_848_200));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        assert_eq!(parse("2026-01-31"), None);
        assert_eq!(parse("1815-12-10T00:00:00Z"), Some(0));
        assert_eq!(parse("tomorrow"), None);
    }

    #[test]
    fn a_time_beyond_all_calendars_does_not_panic() {
        assert!(rfc3339(u64::MAX).starts_with("9999-12-30"));
    }
}
