//! What a certificate says of itself.

use jiff::Timestamp;
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use x509_parser::prelude::{FromDer, X509Certificate};

use ragtime_policy::clock::unix_now;

/// A certificate that has less of its life left than this share of it should have been
/// renewed: programs that renew do so after two thirds.
const DUE_SHARE: i64 = 4;

/// However long its life is, one that has more left than this is not due.
const DUE_SECONDS: i64 = 14 * 24 * 3600;

/// What matters of a certificate to whoever looks after the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is, as in `CN=rag.example`.
    pub subject: String,
    /// Seconds since the Unix epoch from which it is valid.
    pub not_before: i64,
    /// Seconds since the Unix epoch until which it is valid.
    pub not_after: i64,
    der: CertificateDer<'static>,
}

/// How a certificate stands at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its time has not come, or the clock is slow.
    Early,
    /// It is valid.
    Valid,
    /// It is valid, and should have been renewed by now.
    Due,
    /// Its time is over, or the clock is fast.
    Expired,
}

impl Certificate {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// Why it is no certificate (RFC 5280).
    pub fn read(der: &CertificateDer<'static>) -> Result<Self, String> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
        let validity = certificate.validity();
        Ok(Self {
            subject: certificate.subject().to_string(),
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
            der: der.clone(),
        })
    }

    /// How it stands at `now`, in seconds since the Unix epoch.
    pub fn standing(&self, now: i64) -> Standing {
        let life = self.not_after.saturating_sub(self.not_before);
        let left = self.not_after.saturating_sub(now);
        if now < self.not_before {
            Standing::Early
        } else if left < 0 {
            Standing::Expired
        } else if left < (life / DUE_SHARE).min(DUE_SECONDS) {
            Standing::Due
        } else {
            Standing::Valid
        }
    }

    /// Until when it is valid, for people.
    pub fn until(&self) -> String {
        at(self.not_after)
    }

    /// From when it is valid, for people.
    pub fn since(&self) -> String {
        at(self.not_before)
    }

    /// Whether a client that calls this name or address takes the certificate for that
    /// server's.
    pub fn is_for(&self, host: &str) -> bool {
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
        let parsed = ParsedCertificate::try_from(&self.der);
        name.is_ok_and(|name| parsed.is_ok_and(|cert| verify_server_name(&cert, &name).is_ok()))
    }
}

fn at(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |at| at.to_string())
}

/// Seconds since the Unix epoch.
pub fn now() -> i64 {
    i64::try_from(unix_now()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const DAY: i64 = 24 * 3600;

    fn of(names: &[&str]) -> Certificate {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Certificate::read(made.cert.der()).unwrap()
    }

    fn lasting(days: i64) -> Certificate {
        Certificate { not_before: 0, not_after: days * DAY, ..of(&["a.example"]) }
    }

    #[test]
    fn a_certificate_is_due_in_its_last_quarter_and_not_before_two_weeks() {
        for (days, passed, standing) in [
            (90, -1, Standing::Early),
            (90, 0, Standing::Valid),
            (90, 75, Standing::Valid),
            (90, 77, Standing::Due),
            (90, 90, Standing::Due),
            (90, 91, Standing::Expired),
            (6, 4, Standing::Valid),
            (6, 5, Standing::Due),
        ] {
            assert_eq!(lasting(days).standing(passed * DAY), standing, "{passed} of {days}");
        }
    }

    #[test]
    fn a_certificate_is_for_the_names_that_it_has() {
        let certificate = of(&["rag.example", "*.wild.example", "192.0.2.1", "::1"]);
        for name in ["rag.example", "RAG.example", "a.wild.example", "192.0.2.1", "[::1]"] {
            assert!(certificate.is_for(name), "{name}");
        }
        for name in ["other.example", "a.b.wild.example", "192.0.2.2", "", "a b"] {
            assert!(!certificate.is_for(name), "{name}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_an_error() {
        assert!(Certificate::read(&CertificateDer::from(vec![0x30, 3, 2, 1, 1])).is_err());
        assert!(Certificate::read(&CertificateDer::from(Vec::new())).is_err());
    }
}
