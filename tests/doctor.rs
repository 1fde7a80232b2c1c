//! `ragtime doctor`, as an operator runs it: with limits, on a disk with a fault, with
//! settings that contradict each other, beside a server at work and alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::harness::certificates::{Authority, Files, Issued};
use crate::harness::engines::{self, Postgres};
use crate::harness::tls_front::{self, Begins};
use crate::harness::valkey::Valkey;
use crate::harness::{ADMIN, Setup, binary};
use serde_json::Value;
use tempfile::TempDir;

/// Settings in which nothing is wrong by itself, with others after them.
struct Case {
    folder: TempDir,
    data: PathBuf,
    settings: String,
    flags: Vec<&'static str>,
    limit: Option<&'static str>,
}

/// What was found.
struct Found {
    output: Output,
    findings: Vec<Value>,
}

impl Case {
    fn new(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Free ports, and no model, which this machine may not have.
        let listens = "server.listen = '127.0.0.1:0'\nadmin.listen = '127.0.0.1:0'\n";
        Self {
            data: folder.path().join("data"),
            settings: format!("{listens}model.source = 'none'\n{settings}"),
            folder,
            flags: Vec::new(),
            limit: None,
        }
    }

    /// With a data folder that is there, and holds this.
    fn with(self, name: &str, text: &str) -> Self {
        std::fs::create_dir_all(&self.data).unwrap();
        std::fs::write(self.data.join(name), text).unwrap();
        self
    }

    fn run(&self) -> Output {
        let file = self.folder.path().join("ragtime.toml");
        std::fs::write(&file, &self.settings).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        let ragtime = binary();
        let limit = self.limit.map(|limit| format!("ulimit {limit}; ")).unwrap_or_default();
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{limit}exec \"$@\""), "sh"]).arg(ragtime.get_program());
        for (name, _) in ragtime.get_envs() {
            command.env_remove(name);
        }
        command.arg("doctor").arg("--config").arg(file).arg("--data-dir").arg(&self.data);
        command.args(&self.flags).output().unwrap()
    }

    fn found(mut self) -> Found {
        self.flags.push("--json");
        let output = self.run();
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let findings = report["findings"].as_array().unwrap().clone();
        let fails = findings.iter().any(|one| one["status"] == "fail");
        assert_eq!(output.status.code(), Some(i32::from(fails)), "{output:?}");
        assert_eq!(report["status"] == "fail", fails);
        Found { output, findings }
    }
}

impl Found {
    /// Asserts that a check has found this, with advice where something is wrong.
    fn assert(&self, check: &str, status: &str, words: &str) {
        let found = self.findings.iter().find(|one| {
            let text = one["found"].as_str().unwrap();
            one["check"] == check && one["status"] == status && text.contains(words)
        });
        let found =
            found.unwrap_or_else(|| panic!("no {status} {check} {words}: {:?}", self.output));
        assert_eq!(found["advice"].is_string(), status != "ok", "{found}");
    }

    fn has(&self, check: &str) -> bool {
        self.findings.iter().any(|one| one["check"] == check)
    }
}

#[test]
fn a_folder_that_is_not_there_yet_is_sound_and_is_not_made() {
    let case = Case::new("");
    // For people, the worst last.
    let text = String::from_utf8(case.run().stdout).unwrap();
    assert!(text.contains("ok    settings.exposure"), "{text}");
    let last = text.lines().last().unwrap();
    assert!(last.contains(" ok, ") && last.ends_with(" to mend"), "{text}");
    assert!(!case.data.exists(), "it made something");
    let found = case.found();
    found.assert("data.folder", "ok", "is made at the first start");
    found.assert("disk.sync", "ok", "a sync takes");
    found.assert("settings.contradiction", "ok", "fit together");
    found.assert("settings.listen", "ok", "admin.listen 127.0.0.1:0 is free");
    found.assert("clock.time", "ok", "past");
    for check in ["machine.descriptors", "machine.memory", "disk.space", "disk.file_system"] {
        assert!(found.has(check), "{check}");
    }
}

#[test]
fn limits_of_the_process_are_found() {
    let limited = |limit| Case { limit: Some(limit), ..Case::new("") }.found();
    limited("-n 512").assert("machine.descriptors", "warn", "512 open files");
    limited("-v 33554432").assert("machine.address_space", "fail", "32768 MiB of addresses");
    let greedy = Case::new("data.max_loaded_index_bytes = 900000000000000\n").found();
    greedy.assert("machine.memory", "warn", "data.max_loaded_index_bytes 858306884 MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_beside_a_server_at_work_and_changes_nothing() {
    let mut server = Setup::new().start();
    server.document("a", "The quay is old.").await;
    let listing = |folder: &Path| -> BTreeSet<PathBuf> {
        let all = walkdir::WalkDir::new(folder).into_iter();
        // Indexes are at work by themselves.
        let all = all.filter_entry(|entry| entry.file_name() != "index");
        all.map(|entry| entry.unwrap().into_path()).collect()
    };
    let beside = || Case { data: server.dir.path().to_owned(), ..Case::new("") };
    let before = listing(server.dir.path());
    let found = beside().found();
    found.assert("data.folder", "ok", "a server is at work on it");
    found.assert("data.permissions", "ok", "only its user");
    assert!(!found.has("settings.listen"), "its own port is taken for another's");
    assert_eq!(listing(server.dir.path()), before);
    assert_eq!(server.search("quay").await, ["a"]);
    let folder = std::sync::Arc::clone(&server.dir);
    server.terminate();
    let alone = Case { data: folder.path().to_owned(), ..Case::new("") };
    alone.found().assert("data.folder", "ok", "no server is at work on it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_behind_the_newest_row_is_found() {
    let mut server = Setup::new().start();
    server.document("a", "The quay is old.").await;
    server.terminate();
    let db = rusqlite::Connection::open(server.dir.path().join("ragtime.sqlite")).unwrap();
    db.execute("UPDATE documents SET updated_at = unixepoch() + 9000", []).unwrap();
    drop(db);
    let found = Case { data: server.dir.path().to_owned(), ..Case::new("") }.found();
    found.assert("clock.time", "warn", "s before the newest row of the data folder");
}

#[test]
fn what_is_wrong_with_a_data_folder_is_found() {
    let open = Case::new("").with("ragtime.sqlite-wal", "");
    std::fs::set_permissions(open.data.join("ragtime.sqlite-wal"), Permissions::from_mode(0o644))
        .unwrap();
    open.found().assert("data.permissions", "warn", "ragtime.sqlite-wal");
    let damaged = Case::new("").with("ragtime.sqlite", "This is no database, whatever it is.");
    damaged.found().assert("data.database", "fail", "cannot be read");
    // A file stands where the folder should be; not even root can write below it.
    let blocked = Case::new("").with("file", "");
    let blocked = Case { data: PathBuf::from("/proc/ragtime"), ..blocked };
    blocked.found().assert("disk.sync", "fail", "/proc cannot be written");
}

#[test]
fn models_that_are_missing_or_altered_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let missing = Case::new(&format!("model.dir = '{path}'\n"));
    let settings = missing.settings.replace("model.source = 'none'", "model.source = 'local'");
    let found = Case { settings, ..missing }.found();
    found.assert("models.files", "fail", "does not hold model.safetensors");
    let named = format!("[models.embedding.mine]\ndir = '{path}'\n");
    Case::new(&named).found().assert("models.files", "fail", "the model mine is not in");
    let manifest = "{\"id\":\"a/b\",\"revision\":\"c\",\"files\":{\"config.json\":\"00\"}}";
    std::fs::write(folder.path().join("ragtime-model.json"), manifest).unwrap();
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    Case::new(&named).found().assert("models.files", "fail", "the model mine: ");
    let nonsense = "[models.embedding.mine]\nlanguages = 'en'\n";
    Case::new(nonsense).found().assert("models.settings", "fail", "needs `dir`, or `hub`");
}

#[test]
fn what_is_wrong_with_certificates_is_found() {
    let authority = Authority::new();
    let of = |issued: &Issued, further: &str| {
        let files = Files::of(issued);
        let (certificate, key) = (files.path("tls.crt"), files.path("tls.key"));
        let text = format!(
            "server.public_url = 'https://localhost/rag'\n{further}\n[server.tls]\n\
             certificate_file = '{certificate}'\nkey_file = '{key}'\n"
        );
        (files, text)
    };
    let (files, text) = of(&authority.server(), "");
    let found = Case::new(&text).found();
    found.assert("certificates.files", "ok", "[server.tls] certificate and key match");
    found.assert("certificates.time", "ok", "(CN=localhost) is valid until");
    found.assert("certificates.name", "ok", "the certificate is for localhost");
    std::fs::set_permissions(files.path("tls.key"), Permissions::from_mode(0o644)).unwrap();
    Case::new(&text).found().assert("certificates.key_permissions", "warn", "tls.key");
    files.write("tls.key", &authority.server().key);
    Case::new(&text).found().assert("certificates.files", "fail", "is not that of the certificate");
    for (days, status, words) in [
        ((-9, -1), "fail", "has expired at"),
        ((1, 9), "fail", "is not valid before"),
        ((-80, 2), "warn", "only"),
    ] {
        let (_files, text) = of(&authority.of_days(days), "");
        Case::new(&text).found().assert("certificates.time", status, words);
    }
    let (_files, text) = of(&authority.server(), "");
    let other = text.replace("https://localhost/rag", "https://rag.example");
    Case::new(&other).found().assert("certificates.name", "warn", "is not for rag.example");
}

#[test]
fn settings_that_look_wrong_are_found() {
    for (settings, check, status, words) in [
        ("server.max_bytes_in_flight = 1000000", "contradiction", "fail", "gets 503 for ever"),
        ("swap.drain_timeout_ms = 1000", "contradiction", "warn", "a swap cuts off"),
        ("server.max_requests = 0", "contradiction", "fail", "nothing gets through"),
        ("auth.burst = 1", "budget", "fail", "could ever ask for an answer"),
        ("auth.failures_per_minute = 1000000", "budget", "warn", "hardly throttled"),
        ("server.cors_origins = ['*']", "cors", "warn", "every origin"),
        ("server.trusted_proxies = ['0.0.0.0/0']", "exposure", "fail", "all addresses"),
        ("admin.tls.hsts_max_age_seconds = 9", "hsts", "warn", "without a certificate"),
        ("generator.default = 'openai'", "generator", "warn", "quotes answer"),
        ("log.level = 'debug'", "log", "warn", "may quote documents"),
        ("server.nonsense = 1", "read", "fail", "nonsense"),
    ] {
        Case::new(&format!("{settings}\n")).found().assert(
            &format!("settings.{check}"),
            status,
            words,
        );
    }
    let open = Case::new(
        "auth.bootstrap_key = 'rt_000000000000_0000000000000000000000000000000000000000001'\n",
    );
    open.found().assert("settings.secrets", "warn", "bootstrap_key");
    let public = Case::new("");
    let settings = public.settings.replace("'127.0.0.1:0'", "'0.0.0.0:0'");
    let found = Case { settings, ..public }.found();
    found.assert("settings.exposure", "warn", "server.listen is 0.0.0.0:0, without TLS");
    found.assert("settings.exposure", "warn", "admin.listen is 0.0.0.0:0, without TLS");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let blocked = Case::new("");
    let settings =
        blocked.settings.replacen("127.0.0.1:0", &taken.local_addr().unwrap().to_string(), 1);
    let found = Case { settings, ..blocked }.found();
    found.assert("settings.listen", "fail", "server.listen 127.0.0.1:");
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_are_asked_where_that_is_wanted() {
    // A server of our own speaks OpenAI's API.
    let model = Setup::new().start();
    let settings =
        |url: &str, key: &str| format!("generator.url = '{url}/v1'\ngenerator.api_key = '{key}'\n");
    let online = |settings: &str| Case { flags: vec!["--online"], ..Case::new(settings) };
    let found = online(&settings(&model.url, ADMIN)).found();
    found.assert("endpoints.reachable", "ok", "generator.url answers with 200");
    let found = online(&settings(&model.url, "rt_wrong")).found();
    found.assert("endpoints.reachable", "fail", "generator.url answers with 401");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = settings(&format!("http://{closed}"), ADMIN);
    online(&gone).found().assert("endpoints.reachable", "fail", "cannot be reached");
    // Nobody is asked unless that is said.
    assert!(!Case::new(&gone).found().has("endpoints.reachable"));
    online("").found().assert("endpoints.reachable", "ok", "no endpoints");
}

/// What is found with these settings of `[fleet]`, where others may be asked.
fn online(settings: &str) -> Found {
    let case = Case { flags: vec!["--online"], ..Case::new(settings) };
    tokio::task::block_in_place(|| case.found())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_that_hosts_share_is_asked_where_that_is_wanted() {
    let (postgres, schema) = (Postgres::start(), engines::schema());
    let of =
        |url: &str, schema: &str| format!("fleet.postgres = '{url}'\nfleet.schema = '{schema}'\n");
    let settings = of(&postgres.url(), &schema);
    let quiet = Case::new(&settings).found();
    quiet.assert("fleet.settings", "ok", "fleet.postgres can be used");
    assert!(!quiet.has("fleet.postgres"), "nobody is asked unless that is said");
    let found = online(&settings);
    found.assert("fleet.postgres", "ok", " answers");
    found.assert("fleet.tls", "ok", "does not leave this machine");
    found.assert("fleet.schema", "ok", "there is no fleet yet");
    found.assert("fleet.clock", "ok", "that of this machine");
    found.assert("fleet.durability", "ok", "on PostgreSQL's disk");
    postgres.execute("CREATE ROLE poor LOGIN");
    let poor = postgres.url().replace("user=ragtime", "user=poor");
    online(&of(&poor, &schema)).assert("fleet.schema", "fail", "may not make");
    // Once there is one.
    let host = Setup::new().set("FLEET__POSTGRES", postgres.url()).set("FLEET__SCHEMA", &schema);
    drop(host.start());
    online(&settings).assert("fleet.schema", "ok", "tables of version 1");
    postgres.execute(&format!("UPDATE {schema}.fleet SET version = 99"));
    online(&settings).assert("fleet.schema", "fail", "the tables are of version 99");
    postgres.execute("ALTER SYSTEM SET synchronous_commit = off");
    postgres.execute("SELECT pg_reload_conf()");
    online(&settings).assert("fleet.durability", "fail", "synchronous_commit off");
    postgres.kill();
    online(&settings).assert("fleet.postgres", "fail", "the fleet: postgres:");
    Case::new(&of("postgresql://u:p@h/r?sslcert=x", "ragtime")).found().assert(
        "fleet.settings",
        "fail",
        "sslcert is not known",
    );
    Case::new("fleet.postgres = 'postgresql://h/r'\nfleet.schema = 'No'\n").found().assert(
        "fleet.settings",
        "fail",
        "lower-case letters",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_the_database_and_its_clock_are_looked_at() {
    let (authority, postgres) = (Authority::new(), Postgres::start());
    let files = Files::of(&authority.server());
    let ca = files.write("ca.crt", &authority.pem);
    let port = tls_front::before(postgres.door(), &authority.server(), Begins::WhenAsked);
    let url = format!("postgresql://ragtime@localhost:{port}/postgres?sslmode=verify-full");
    let trusting = format!("fleet.postgres = '{url}'\nfleet.postgres_ca = '{}'\n", ca.display());
    online(&trusting).assert("fleet.tls", "ok", "its name are verified");
    let distrusting = format!("fleet.postgres = '{url}'\n");
    online(&distrusting).assert("fleet.tls", "fail", "authority that is not trusted");
    #[cfg(target_os = "linux")]
    {
        let ahead = Postgres::start_an_hour_ahead();
        let settings = format!("fleet.postgres = '{}'\n", ahead.url());
        online(&settings).assert("fleet.clock", "warn", " s ahead of");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_redis_that_hosts_share_is_asked_where_that_is_wanted() {
    let (server, authority) = (Valkey::start(), Authority::new());
    let settings = format!("fleet.redis = '{}'\n", server.url());
    let quiet = Case::new(&settings).found();
    quiet.assert("fleet.settings", "ok", "fleet.redis can be used");
    assert!(!quiet.has("fleet.redis"));
    online(&settings).assert("fleet.redis", "ok", " answers");
    server.command("CONFIG SET maxmemory 100mb").unwrap();
    server.command("CONFIG SET maxmemory-policy allkeys-lru").unwrap();
    online(&settings).assert("fleet.redis_eviction", "warn", "allkeys-lru");
    let port = tls_front::before(server.socket(), &authority.server(), Begins::AtOnce);
    let distrusting = format!("fleet.redis = 'rediss://localhost:{port}'\n");
    online(&distrusting).assert("fleet.redis", "fail", "authority that is not trusted");
    server.kill();
    online(&settings).assert("fleet.redis", "fail", "cannot be reached");
    Case::new("fleet.redis = 'no URL'\n").found().assert("fleet.settings", "fail", "not the URL");
}
