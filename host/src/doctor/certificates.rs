//! Certificates and keys of the listeners.

use super::Finding;
use crate::config::Settings;
use crate::tls::Listener;
use crate::tls::certificate::{Certificate, Standing, now};
use crate::tls::material::Files;

const FILES: &str = "certificates.files";
const TIME: &str = "certificates.time";

/// Looks at those that the settings name. Blocking.
pub fn judge(settings: &Settings) -> Vec<Finding> {
    Listener::ALL.into_iter().flat_map(|listener| of(listener, settings)).collect()
}

fn of(listener: Listener, settings: &Settings) -> Vec<Finding> {
    let name = listener.name();
    let files = match Files::of(listener.settings(settings)) {
        Ok(Some(files)) => files,
        Ok(None) => return Vec::new(),
        Err(error) => {
            return vec![Finding::fail(FILES, format!("[{name}.tls] {error}"), error.hint())];
        }
    };
    let read = files.read().and_then(|contents| Ok((files.material(&contents)?, contents)));
    let (material, contents) = match read {
        Ok(read) => read,
        Err(error) => {
            return vec![Finding::fail(FILES, format!("[{name}.tls] {error}"), error.hint())];
        }
    };
    let mut findings = vec![Finding::ok(FILES, format!("[{name}.tls] certificate and key match"))];
    if contents.key_is_public {
        findings.push(Finding::warn(
            "certificates.key_permissions",
            format!("every user of this machine can read {}", files.key.display()),
            "chmod 600, or 640 with the group of the server",
        ));
    }
    for (place, certificate) in material.chain.iter().enumerate() {
        let which = if place == 0 { "the certificate" } else { "a certificate between" };
        findings.push(time(&format!("[{name}.tls] {which}"), certificate, now()));
    }
    if let (Listener::Server, Some(first)) = (listener, material.chain.first()) {
        findings.extend(named(first, settings));
    }
    findings
}

fn time(which: &str, certificate: &Certificate, now: i64) -> Finding {
    let (subject, until) = (&certificate.subject, certificate.until());
    match certificate.standing(now) {
        Standing::Valid => Finding::ok(TIME, format!("{which} ({subject}) is valid until {until}")),
        Standing::Due => Finding::warn(
            TIME,
            format!("{which} ({subject}) is valid until {until} only"),
            "renew it, and look why it was not renewed by itself",
        ),
        Standing::Expired => Finding::fail(
            TIME,
            format!("{which} ({subject}) has expired at {until}"),
            "renew it; clients refuse the server",
        ),
        Standing::Early => Finding::fail(
            TIME,
            format!("{which} ({subject}) is not valid before {}", certificate.since()),
            "look at the clock of this machine",
        ),
    }
}

/// Whether the certificate has the name by which clients know the server.
fn named(certificate: &Certificate, settings: &Settings) -> Option<Finding> {
    const CHECK: &str = "certificates.name";
    let url = settings.server.public_url.as_ref()?.as_str();
    let uri: http::Uri = url.parse().ok()?;
    let host = uri.host()?;
    Some(match certificate.is_for(host) {
        true => Finding::ok(CHECK, format!("the certificate is for {host}")),
        false => Finding::warn(
            CHECK,
            format!("the certificate is not for {host}, which server.public_url names"),
            "request one with this name, or correct server.public_url",
        ),
    })
}
