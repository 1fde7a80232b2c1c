//! Where PostgreSQL is, and how it is reached: the URL as PostgreSQL's own programs take it.

use std::path::PathBuf;

use postgres::Config;
use postgres::config::{Host, SslMode};

use super::Settings;
use crate::types::OpenError;

/// The parameters of TLS that PostgreSQL's own programs know and the client library does not.
const MODE: &str = "sslmode";
const AUTHORITY: &str = "sslrootcert";
/// What the second may say for the certificates that the operating system trusts.
const OF_THE_SYSTEM: &str = "system";

const FORM: &str = "fleet.postgres is no URL of the form postgresql://USER:PASSWORD@HOST/DATABASE";

/// What a URL says.
pub(super) struct Address {
    pub(super) config: Config,
    /// The file with the certificates that PostgreSQL's may be signed by.
    pub(super) ca: Option<PathBuf>,
}

impl Address {
    /// Reads the URL of the settings. The certificate and its name are verified wherever
    /// there is TLS, and there is TLS beyond this machine unless `sslmode=disable` says
    /// otherwise.
    pub(super) fn read(settings: &Settings) -> Result<Self, OpenError> {
        let (url, of_tls) = split(&settings.url);
        let mut config: Config = url.parse().map_err(|_| OpenError::Fleet(FORM.into()))?;
        let mut ca = settings.ca_file.clone();
        // The form of keys and values says the mode to the client library itself.
        let mut demanded = config.get_ssl_mode() == SslMode::Require;
        let mut disabled = config.get_ssl_mode() == SslMode::Disable;
        for (name, value) in &of_tls {
            match (*name, *value) {
                (AUTHORITY, OF_THE_SYSTEM) => ca = None,
                (AUTHORITY, path) => ca = Some(decoded(path)?.into()),
                (MODE, "disable") => disabled = true,
                (MODE, "allow" | "prefer") => {}
                (MODE, "require" | "verify-ca" | "verify-full") => demanded = true,
                (name, _) => return Err(unknown(name)),
            }
        }
        let local = config.get_hosts().iter().all(is_local);
        // PostgreSQL has no TLS on local sockets. A password must not cross a network in
        // the clear because nobody said how.
        let encrypted = !config.get_hosts().iter().all(is_socket)
            && (demanded || !disabled && (!local || ca.is_some()));
        config.ssl_mode(if encrypted { SslMode::Require } else { SslMode::Disable });
        Ok(Self { config, ca })
    }

    /// Whether nothing that is sent leaves this machine.
    pub(super) fn is_local(&self) -> bool {
        self.config.get_hosts().iter().all(is_local)
    }

    /// Whether what is sent is encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        self.config.get_ssl_mode() == SslMode::Require
    }
}

/// A URL without its parameters of TLS, and those. The client library takes a user and a
/// password up to the first `@`, so what comes before it is no parameter.
fn split(url: &str) -> (String, Vec<(&str, &str)>) {
    let after = url.find('@').unwrap_or(0);
    let Some((before, parameters)) = url
        .get(after..)
        .and_then(|rest| rest.find('?'))
        .and_then(|at| Some((url.get(..after + at)?, url.get(after + at + 1..)?)))
    else {
        return (url.to_owned(), Vec::new());
    };
    let (of_tls, others): (Vec<&str>, Vec<&str>) = parameters
        .split('&')
        .partition(|one| one.split_once('=').is_some_and(|(name, _)| is_of_tls(name)));
    let of_tls = of_tls.into_iter().filter_map(|one| one.split_once('=')).collect();
    match others.join("&") {
        none if none.is_empty() => (before.to_owned(), of_tls),
        others => (format!("{before}?{others}"), of_tls),
    }
}

fn is_of_tls(name: &str) -> bool {
    // How TLS is begun is the client library's to know.
    name.starts_with("ssl") && name != "sslnegotiation"
}

/// The name of a parameter is no secret where it begins with `ssl`; its value may be one.
fn unknown(name: &str) -> OpenError {
    OpenError::Fleet(match name {
        MODE => {
            "fleet.postgres: sslmode is disable, prefer, require, verify-ca or verify-full".into()
        }
        name => format!(
            "fleet.postgres: the parameter {name} is not known; of TLS there are sslmode and sslrootcert"
        ),
    })
}

/// A value with its escapes resolved, as the client library does it for those that it knows.
fn decoded(value: &str) -> Result<String, OpenError> {
    let parsed = format!("postgresql:///?application_name={value}").parse::<Config>();
    let decoded = parsed.ok().and_then(|config| config.get_application_name().map(str::to_owned));
    decoded.ok_or_else(|| OpenError::Fleet(FORM.into()))
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => ["localhost", "127.0.0.1", "::1"].contains(&name.as_str()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

fn is_socket(host: &Host) -> bool {
    match host {
        Host::Tcp(_) => false,
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(url: &str, ca: Option<&str>) -> Result<Address, OpenError> {
        Address::read(&Settings {
            url: url.into(),
            schema: "ragtime".into(),
            ca_file: ca.map(PathBuf::from),
            name: String::new(),
            version: String::new(),
            max_wait: Duration::ZERO,
            start_patience: Duration::ZERO,
            snapshot_bytes: 0,
        })
    }

    /// Whether there is TLS, and by which authority.
    fn tls(url: &str, ca: Option<&str>) -> (bool, Option<String>) {
        let address = read(url, ca).unwrap();
        (address.is_encrypted(), address.ca.map(|path| path.to_str().unwrap().to_owned()))
    }

    #[test]
    fn beyond_this_machine_there_is_tls_unless_the_url_forbids_it() {
        let far = "postgresql://u:p@db.example/r";
        assert_eq!(tls(far, None), (true, None));
        for mode in ["allow", "prefer", "require", "verify-ca", "verify-full"] {
            assert_eq!(tls(&format!("{far}?sslmode={mode}"), None), (true, None), "{mode}");
        }
        assert_eq!(
            tls(&format!("{far}?sslmode=disable"), Some("/ca")),
            (false, Some("/ca".into()))
        );
        assert_eq!(tls("postgresql://u@localhost,db.example/r", None), (true, None));
    }

    #[test]
    fn on_this_machine_there_is_tls_where_it_is_asked_for() {
        let near = "postgresql://u:p@localhost/r";
        assert_eq!(tls(near, None), (false, None));
        assert_eq!(tls(&format!("{near}?sslmode=prefer"), None), (false, None));
        assert_eq!(tls(&format!("{near}?sslmode=verify-full"), None), (true, None));
        assert_eq!(tls(near, Some("/ca")), (true, Some("/ca".into())));
        // There is no TLS on a socket, whatever is asked for.
        let socket = "postgresql:///r?user=u&host=/run/postgresql&sslmode=verify-full";
        assert!(!tls(socket, Some("/ca")).0);
        assert_eq!(tls("host=localhost user=u sslmode=require", None), (true, None));
    }

    #[test]
    fn the_authority_is_named_as_for_programs_of_postgres() {
        let url = "postgresql://u:p@h/r?connect_timeout=3&sslrootcert=%2Fetc%2Fa%20b.pem&sslmode=verify-full";
        assert_eq!(tls(url, Some("/other")), (true, Some("/etc/a b.pem".into())));
        let address = read(url, None).unwrap();
        assert_eq!(address.config.get_connect_timeout(), Some(&Duration::from_secs(3)));
        let url = "postgresql://u:p@h/r?sslrootcert=system";
        assert_eq!(tls(url, Some("/other")), (true, None));
    }

    #[test]
    fn what_is_wrong_with_a_url_is_told_without_what_is_secret() {
        for (url, words) in [
            ("postgresql://u:s3cret@h/r?sslmode=s3cret", "sslmode is disable"),
            ("postgresql://u:s3cret@h/r?sslcert=s3cret", "the parameter sslcert is not known"),
            ("postgresql://u:s3cret@h/r?s3cret=1", "of the form"),
            ("s3cret", "of the form"),
            // What comes before the @ is a password, whatever it looks like.
            ("postgresql://u:a?sslcert=s3cret@h/r?sslmode=no", "sslmode is disable"),
        ] {
            let message = read(url, None).err().unwrap().to_string();
            assert!(message.contains(words) && !message.contains("s3cret"), "{url}: {message}");
        }
    }
}
