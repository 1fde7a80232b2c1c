//! The headers of draft-ietf-httpapi-ratelimit-headers-11.

/// A caller's budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// The policy's name.
    pub policy: String,
    /// Units per window.
    pub limit: u32,
    /// Length of the window in seconds.
    pub window_seconds: u32,
    /// Units left now.
    pub remaining: u32,
    /// Seconds until the budget is whole again.
    pub reset_seconds: u32,
}

impl Quota {
    /// The value of `RateLimit-Policy`.
    pub fn policy_header(&self) -> String {
        format!("{};q={};w={}", string(&self.policy), self.limit, self.window_seconds)
    }

    /// The value of `RateLimit`.
    pub fn state_header(&self) -> String {
        format!("{};r={};t={}", string(&self.policy), self.remaining, self.reset_seconds)
    }
}

/// A structured-field string (RFC 9651 section 3.3.3): printable ASCII, with
/// quote and backslash escaped.
fn string(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('"');
    for char in value.chars().filter(|char| matches!(char, ' '..='~')) {
        if matches!(char, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(char);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_are_as_the_draft_shows_them() {
        let quota = Quota {
            policy: "perkey".into(),
            limit: 60,
            window_seconds: 60,
            remaining: 59,
            reset_seconds: 1,
        };
        assert_eq!(quota.policy_header(), "\"perkey\";q=60;w=60");
        assert_eq!(quota.state_header(), "\"perkey\";r=59;t=1");
    }

    #[test]
    fn a_policy_name_cannot_break_out_of_its_quotes() {
        assert_eq!(string("a\";r=9\r\n"), "\"a\\\";r=9\"");
    }
}
