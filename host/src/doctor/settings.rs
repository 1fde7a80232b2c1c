//! Settings that do not fit together, or that give away more than they should.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;

use ragtime_policy::bucket::LEAST_BURST;
use ragtime_policy::key::Credential;

use super::{Finding, Status};
use crate::config::{GeneratorName, Secret, Settings};
use crate::tls::Listener;

const EXPOSURE: &str = "settings.exposure";
const CONTRADICTION: &str = "settings.contradiction";
const BUDGET: &str = "settings.budget";

/// Rejected credentials from one address above which throttling them is none.
const MANY_FAILURES: u32 = 10_000;

/// Settings that are nobody else's business.
const SECRETS: [&str; 3] = ["bootstrap_key", "api_key", "otlp_headers"];

/// A handler parses a body, keeps its text and makes a response: so many times its size.
const MEMORY_PER_BODY: usize = 4;

/// Holds the settings against each other. `file` is the one that they were read from.
pub fn judge(settings: &Settings, file: Option<&Path>) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(exposure(settings));
    findings.extend(origins(settings));
    findings.extend(public_url(settings));
    findings.extend(hsts(settings));
    findings.extend(contradictions(settings));
    findings.extend(budgets(settings));
    findings.extend(generator(settings));
    findings.extend(log(settings));
    findings.extend(file.and_then(secrets));
    let sound: [(&str, &str); 3] = [
        (EXPOSURE, "nobody beyond this machine is let in without TLS"),
        (CONTRADICTION, "the limits fit together"),
        (BUDGET, "the budgets of keys and failures bound something"),
    ];
    for (check, found) in sound {
        if !findings.iter().any(|one: &Finding| one.check == check) {
            findings.push(Finding::ok(check, found));
        }
    }
    findings
}

fn exposure(settings: &Settings) -> Vec<Finding> {
    let (server, admin) = (&settings.server, &settings.admin);
    let mut findings = Vec::new();
    let has_tls = |listener: Listener| listener.settings(settings).certificate_file.is_some();
    let beyond = |address: SocketAddr| !address.ip().to_canonical().is_loopback();
    if beyond(server.listen) && !has_tls(Listener::Server) && server.trusted_proxies.is_empty() {
        findings.push(Finding::warn(
            EXPOSURE,
            format!("server.listen is {}, without TLS and without a trusted proxy", server.listen),
            "set server.tls, or put a proxy with TLS in front and name it in \
             server.trusted_proxies, or listen on 127.0.0.1",
        ));
    }
    if beyond(admin.listen) {
        findings.extend(admin_exposure(admin.listen, has_tls(Listener::Admin), settings));
    }
    if server.trusted_proxies.iter().any(|network| network.is_everybody()) {
        findings.push(Finding::fail(
            EXPOSURE,
            "server.trusted_proxies has a network of all addresses",
            "name the proxies alone: whoever is trusted says which address a client has, and \
             escapes the limits of one",
        ));
    }
    findings
}

fn admin_exposure(listen: SocketAddr, has_tls: bool, settings: &Settings) -> Option<Finding> {
    let address = format!("admin.listen is {listen}");
    if !has_tls {
        const ADVICE: &str = "listen on 127.0.0.1, or set admin.tls with client_ca_file";
        let found = format!("{address}, without TLS");
        return Some(match is_public(listen.ip()) {
            true => Finding::fail(EXPOSURE, found, ADVICE),
            false => Finding::warn(EXPOSURE, found, ADVICE),
        });
    }
    settings.admin.tls.client_ca_file.is_none().then(|| {
        Finding::warn(
            EXPOSURE,
            format!("{address}, and asks for no client certificate"),
            "set admin.tls.client_ca_file, or listen on 127.0.0.1",
        )
    })
}

/// Whether an address is reached from the whole internet: one that is not of a private,
/// shared or link-local network (RFC 6890), and is not every address of the machine.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            let shared = first == 100 && (64..128).contains(&second);
            !(address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_unspecified()
                || shared)
        }
        IpAddr::V6(address) => {
            !(address.is_loopback()
                || address.is_unspecified()
                || address.is_unique_local()
                || address.is_unicast_link_local())
        }
    }
}

fn origins(settings: &Settings) -> Option<Finding> {
    settings.server.cors_origins.iter().any(|origin| origin == "*").then(|| {
        Finding::warn(
            "settings.cors",
            "server.cors_origins lets pages of every origin call",
            "name the origins of your own pages: a key in a page that anybody can read is \
             anybody's",
        )
    })
}

fn public_url(settings: &Settings) -> Option<Finding> {
    const CHECK: &str = "settings.public_url";
    let server = &settings.server;
    let url = server.public_url.as_ref()?.as_str();
    let (has_tls, is_https) = (server.tls.certificate_file.is_some(), url.starts_with("https://"));
    if has_tls && !is_https {
        return Some(Finding::warn(
            CHECK,
            format!("server.public_url is {url}, and the server speaks TLS"),
            "begin it with https://",
        ));
    }
    let behind = !has_tls && is_https && server.trusted_proxies.is_empty();
    behind.then(|| {
        Finding::warn(
            CHECK,
            format!("server.public_url is {url}, so a proxy speaks TLS, and none is trusted"),
            "name it in server.trusted_proxies, or all its clients share the limits of one address",
        )
    })
}

fn hsts(settings: &Settings) -> Vec<Finding> {
    let unused = Listener::ALL.into_iter().filter(|listener| {
        let tls = listener.settings(settings);
        tls.certificate_file.is_none() && tls.hsts_max_age_seconds > 0
    });
    let findings = unused.map(|listener| {
        Finding::warn(
            "settings.hsts",
            format!("{}.tls.hsts_max_age_seconds is set without a certificate", listener.name()),
            "set certificate_file and key_file, or have the proxy in front send the header: \
             browsers take it by TLS alone",
        )
    });
    findings.collect()
}

/// Pairs of settings of which the first must not be above the second, and what goes
/// wrong where it is.
fn contradictions(settings: &Settings) -> Vec<Finding> {
    let (server, handler, swap) = (&settings.server, &settings.handler, &settings.swap);
    type Limit = (&'static str, u64);
    let pairs: [(Limit, Limit, Status, &str); 12] = [
        (
            ("server.max_body_bytes", server.max_body_bytes as u64),
            ("server.max_bytes_in_flight", server.max_bytes_in_flight as u64),
            Status::Fail,
            "the largest body never finds room, and gets 503 for ever",
        ),
        (
            ("server.max_body_bytes", server.max_body_bytes as u64),
            ("server.max_bytes_in_flight_per_key", server.max_bytes_in_flight_per_key as u64),
            Status::Fail,
            "the largest body is more than its key may send, and gets 429 for ever",
        ),
        (
            ("server.max_bytes_in_flight_per_key", server.max_bytes_in_flight_per_key as u64),
            ("server.max_bytes_in_flight", server.max_bytes_in_flight as u64),
            Status::Warn,
            "one key can take all of it",
        ),
        (
            ("server.max_json_bytes", server.max_json_bytes as u64),
            ("server.max_body_bytes", server.max_body_bytes as u64),
            Status::Warn,
            "questions may be larger than documents",
        ),
        (
            ("server.max_connections_per_address", server.max_connections_per_address as u64),
            ("server.max_connections", server.max_connections as u64),
            Status::Warn,
            "one address can take all connections",
        ),
        (
            ("auth.max_concurrent", u64::from(settings.auth.max_concurrent)),
            ("server.max_requests", server.max_requests as u64),
            Status::Warn,
            "one key can take every slot",
        ),
        (
            ("server.overload_timeout_ms", server.overload_timeout_ms),
            ("server.queue_timeout_ms", server.queue_timeout_ms),
            Status::Warn,
            "under overload requests wait for longer than otherwise",
        ),
        (
            ("server.queue_timeout_ms", server.queue_timeout_ms),
            ("server.request_timeout_ms", server.request_timeout_ms),
            Status::Warn,
            "a request may wait for a slot for longer than it may take",
        ),
        (
            (
                "server.request_timeout_ms with server.stream_timeout_ms",
                server.request_timeout_ms.saturating_add(server.stream_timeout_ms),
            ),
            ("swap.drain_timeout_ms", swap.drain_timeout_ms),
            Status::Warn,
            "a swap cuts off what it replaces",
        ),
        (
            ("handler.max_memory_bytes", handler.max_memory_bytes as u64),
            ("handler.max_total_memory_bytes", handler.max_total_memory_bytes as u64),
            Status::Warn,
            "no instance can grow as far as one may",
        ),
        (
            (
                "four times server.max_body_bytes",
                server.max_body_bytes.saturating_mul(MEMORY_PER_BODY) as u64,
            ),
            ("handler.max_memory_bytes", handler.max_memory_bytes as u64),
            Status::Warn,
            "an instance has no room for the largest body with what is made of it",
        ),
        (
            ("handler.max_quarantined_requests", handler.max_quarantined_requests as u64),
            ("handler.max_instances", u64::from(handler.max_instances)),
            Status::Warn,
            "large bodies can take every instance",
        ),
    ];
    let above = pairs.into_iter().filter(|((_, lower), (_, upper), ..)| lower > upper);
    let findings = above.map(|((first, lower), (second, upper), status, follows)| {
        let found = format!("{first} ({lower}) is above {second} ({upper}): {follows}");
        let advice = format!("lower {first}, or raise {second}");
        Finding { status, ..Finding::warn(CONTRADICTION, found, advice) }
    });
    findings.chain(zeros(settings)).collect()
}

/// Limits that let nothing through at all.
fn zeros(settings: &Settings) -> Vec<Finding> {
    let (server, handler) = (&settings.server, &settings.handler);
    let limits = [
        ("server.max_connections", server.max_connections as u64),
        ("server.max_connections_per_address", server.max_connections_per_address as u64),
        ("server.max_requests", server.max_requests as u64),
        ("server.max_open_requests", server.max_open_requests as u64),
        ("server.max_requests_per_address", server.max_requests_per_address as u64),
        ("server.max_body_bytes", server.max_body_bytes as u64),
        ("server.max_json_bytes", server.max_json_bytes as u64),
        ("server.request_timeout_ms", server.request_timeout_ms),
        ("server.header_timeout_ms", server.header_timeout_ms),
        ("handler.max_instances", u64::from(handler.max_instances)),
        ("handler.max_cpu_ms", handler.max_cpu_ms),
        ("auth.max_concurrent", u64::from(settings.auth.max_concurrent)),
        ("data.max_index_lag_chunks", settings.data.max_index_lag_chunks),
        ("data.max_collections", settings.data.max_collections),
    ];
    let zeros = limits.into_iter().filter(|(_, limit)| *limit == 0);
    let findings = zeros.map(|(name, _)| {
        Finding::fail(CONTRADICTION, format!("{name} is 0: nothing gets through"), "leave it out")
    });
    findings.collect()
}

fn budgets(settings: &Settings) -> Vec<Finding> {
    let auth = &settings.auth;
    let mut findings = Vec::new();
    if auth.burst < LEAST_BURST || auth.rate_per_minute == 0 {
        findings.push(Finding::fail(
            BUDGET,
            format!(
                "auth.burst is {} and auth.rate_per_minute {}: no key could ever ask for an answer",
                auth.burst, auth.rate_per_minute
            ),
            format!("auth.burst is {LEAST_BURST} at least, auth.rate_per_minute 1"),
        ));
    }
    if auth.burst == u32::MAX || auth.rate_per_minute == u32::MAX {
        findings.push(Finding::warn(
            BUDGET,
            "keys that say nothing else have no budget",
            "set auth.rate_per_minute and auth.burst to what one client may cost the others",
        ));
    }
    if auth.failure_burst > MANY_FAILURES || auth.failures_per_minute > MANY_FAILURES {
        findings.push(Finding::warn(
            BUDGET,
            "credentials that are not accepted are hardly throttled",
            "set auth.failure_burst and auth.failures_per_minute near their defaults, 100 and 60",
        ));
    }
    let given = auth.bootstrap_key.as_ref().map(Secret::expose);
    if given.is_some_and(|given| Credential::parse(given).is_err()) {
        findings.push(Finding::fail(
            BUDGET,
            "auth.bootstrap_key is not of the form rt_ID_SECRET",
            "deploy/new-key.sh makes one",
        ));
    }
    findings
}

fn generator(settings: &Settings) -> Option<Finding> {
    let generator = &settings.generator;
    let nobody = generator.url.is_none() && settings.models.generation.is_empty();
    (generator.default == GeneratorName::Openai && nobody).then(|| {
        Finding::warn(
            "settings.generator",
            "generator.default is openai, and no URL of a language model is set: quotes answer",
            "set generator.url, or generator.default to extractive",
        )
    })
}

fn log(settings: &Settings) -> Option<Finding> {
    let level = settings.log.level.to_ascii_lowercase();
    let talks = ["debug", "trace"].iter().any(|one| level.contains(one));
    talks.then(|| {
        Finding::warn(
            "settings.log",
            format!("log.level is {level}: lines may quote documents and questions"),
            "set it to info where the log is kept",
        )
    })
}

/// Whether others can read a settings file that holds a secret.
#[cfg(unix)]
fn secrets(file: &Path) -> Option<Finding> {
    use std::os::unix::fs::PermissionsExt;
    const CHECK: &str = "settings.secrets";
    let open = file.metadata().ok()?.permissions().mode() & 0o004 != 0;
    let text = std::fs::read_to_string(file).ok()?;
    let key = |line: &str| line.split_once('=').map(|(key, _)| key.trim().to_owned());
    let is_set =
        |name: &&str| text.lines().filter_map(key).any(|key| key.rsplit('.').next() == Some(*name));
    let held: Vec<_> = SECRETS.into_iter().filter(is_set).collect();
    (open && !held.is_empty()).then(|| {
        Finding::warn(
            CHECK,
            format!(
                "every user of this machine can read {}, with {}",
                file.display(),
                held.join(", ")
            ),
            "chmod 600, or 640 with the group of the server",
        )
    })
}

#[cfg(not(unix))]
fn secrets(_: &Path) -> Option<Finding> {
    None
}

/// Whether the addresses are there to listen on, for a server that is not at work.
pub fn listeners(settings: &Settings) -> Vec<Finding> {
    let all = [("server.listen", settings.server.listen), ("admin.listen", settings.admin.listen)];
    all.into_iter().map(|(name, address)| listener(name, address)).collect()
}

fn listener(name: &str, address: SocketAddr) -> Finding {
    const CHECK: &str = "settings.listen";
    match TcpListener::bind(address) {
        Ok(_) => Finding::ok(CHECK, format!("{name} {address} is free")),
        Err(error) => Finding::fail(
            CHECK,
            format!("{name} {address} cannot be listened on: {error}"),
            "end the program that listens there, or set another address or port",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(change: impl FnOnce(&mut Settings)) -> Vec<(&'static str, Status)> {
        let mut settings = Settings::default();
        change(&mut settings);
        let judged = judge(&settings, None).into_iter();
        judged.filter(|one| one.status != Status::Ok).map(|one| (one.check, one.status)).collect()
    }

    fn listen(text: &str) -> SocketAddr {
        text.parse().unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    #[test]
    fn the_defaults_are_sound() {
        assert!(bad(|_| ()).is_empty());
    }

    #[test]
    fn what_is_open_to_others_is_told() {
        let (warn, fail) = ([(EXPOSURE, Status::Warn)], [(EXPOSURE, Status::Fail)]);
        assert_eq!(bad(|all| all.server.listen = listen("0.0.0.0:80")), warn);
        assert_eq!(bad(|all| all.server.listen = listen("[2001:db8::1]:80")), warn);
        assert_eq!(bad(|all| all.admin.listen = listen("10.1.2.3:81")), warn);
        assert_eq!(bad(|all| all.admin.listen = listen("192.0.2.1:81")), fail);
        let secured = |all: &mut Settings| {
            all.server.listen = listen("0.0.0.0:443");
            all.server.tls.certificate_file = Some("a".into());
            all.admin.listen = listen("192.0.2.1:81");
            all.admin.tls.certificate_file = Some("a".into());
        };
        assert_eq!(bad(secured), warn, "without client certificates");
        let everybody = |all: &mut Settings| {
            all.server.trusted_proxies = "0.0.0.0/0".parse().into_iter().collect();
        };
        assert_eq!(bad(everybody), fail);
        let any = |all: &mut Settings| all.server.cors_origins = vec!["*".into()];
        assert_eq!(bad(any), [("settings.cors", Status::Warn)]);
    }

    #[test]
    fn limits_that_do_not_fit_together_are_told() {
        let (warn, fail) = ([(CONTRADICTION, Status::Warn)], [(CONTRADICTION, Status::Fail)]);
        assert_eq!(bad(|all| all.server.max_bytes_in_flight_per_key = 1 << 20), fail);
        assert_eq!(bad(|all| all.server.max_connections_per_address = 9_999), warn);
        assert_eq!(bad(|all| all.swap.drain_timeout_ms = 1_000), warn);
        assert_eq!(bad(|all| all.handler.max_memory_bytes = 64 << 20), warn);
        assert_eq!(bad(|all| all.auth.max_concurrent = 1_000), warn);
        assert!(bad(|all| all.server.max_requests = 0).contains(&fail[0]));
    }

    #[test]
    fn budgets_that_bound_nothing_or_everything_are_told() {
        let (warn, fail) = ([(BUDGET, Status::Warn)], [(BUDGET, Status::Fail)]);
        assert_eq!(bad(|all| all.auth.burst = 1), fail);
        assert_eq!(bad(|all| all.auth.rate_per_minute = u32::MAX), warn);
        assert_eq!(bad(|all| all.auth.failures_per_minute = 1_000_000), warn);
        assert_eq!(bad(|all| all.auth.bootstrap_key = Some("secret".into())), fail);
    }

    #[test]
    fn what_else_looks_wrong_is_told() {
        let one = |check| [(check, Status::Warn)];
        assert_eq!(bad(|all| all.log.level = "info,ragtime=DEBUG".into()), one("settings.log"));
        assert_eq!(bad(|all| all.admin.tls.hsts_max_age_seconds = 1), one("settings.hsts"));
        let openai = |all: &mut Settings| all.generator.default = GeneratorName::Openai;
        assert_eq!(bad(openai), one("settings.generator"));
        let https = |all: &mut Settings| {
            all.server.public_url = "https://a.example".to_owned().try_into().ok();
        };
        assert_eq!(bad(https), one("settings.public_url"));
    }
}
