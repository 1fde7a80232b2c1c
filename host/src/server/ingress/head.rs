//! The head of a request, as far as the ingress rules on it.

use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, HeaderName};

use super::content_encoding::Encoding;
use super::host_header;
use super::problem::Problem;

/// The header in which a client says how many seconds it waits.
const DEADLINE: HeaderName = HeaderName::from_static("request-timeout");

/// What the head of a request says, when it breaks no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// How long the client waits for the head of the response, if it says so.
    pub deadline: Option<Duration>,
    /// How the body is encoded.
    pub encoding: Encoding,
}

impl Head {
    /// Checks `Host`, then `Request-Timeout`, then `Content-Encoding`.
    ///
    /// # Errors
    ///
    /// The problem of the first that breaks a rule.
    pub fn check(parts: &Parts) -> Result<Self, Problem> {
        host_header::check(parts.version, &parts.headers)?;
        Ok(Self { deadline: deadline(&parts.headers)?, encoding: Encoding::of(&parts.headers)? })
    }
}

/// A number of seconds above 0.
fn deadline(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    let Some(value) = headers.get(DEADLINE) else { return Ok(None) };
    let seconds: f64 = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .filter(|seconds: &f64| *seconds > 0.0)
        .ok_or(Problem::InvalidDeadline)?;
    // A deadline beyond what a Duration holds is none: the handler's own comes first.
    Ok(Duration::try_from_secs_f64(seconds).ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn checked(headers: &[(&str, &str)]) -> Result<Head, Problem> {
        let request = headers
            .iter()
            .fold(http::Request::get("/"), |request, (name, value)| request.header(*name, *value));
        Head::check(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_head_says_how_long_the_client_waits() {
        let of = |seconds: &str| checked(&[("host", "a"), ("request-timeout", seconds)]);
        assert_eq!(checked(&[("host", "a")]).unwrap().deadline, None);
        assert_eq!(of(" 2.5 ").unwrap().deadline, Some(Duration::from_millis(2_500)));
        assert_eq!(of("1e300").unwrap().deadline, None);
        for bad in ["0", "-1", "NaN", "soon", ""] {
            assert_eq!(of(bad), Err(Problem::InvalidDeadline), "{bad}");
        }
    }

    #[test]
    fn the_first_rule_that_is_broken_is_named() {
        let broken = [("request-timeout", "0"), ("content-encoding", "br")];
        assert_eq!(checked(&broken), Err(Problem::InvalidHost));
        let [deadline, encoding] = broken;
        let host = ("host", "a");
        assert_eq!(checked(&[host, encoding, deadline]), Err(Problem::InvalidDeadline));
        assert_eq!(checked(&[host, encoding]), Err(Problem::EncodedBody));
    }
}
