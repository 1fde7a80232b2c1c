//! Backups: made by the server and by hand, in folders and buckets, kept, cleared away,
//! rehearsed and brought back.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use crate::harness::bucket::S3;
use crate::harness::{self, Answer, Server, Setup, binary};
use reqwest::Method;
use serde_json::{Value, json};

/// How long a state may take to come about on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until it is so.
async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !so().await {
        assert!(started.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A counter or gauge of the server.
async fn metric(server: &Server, name: &str) -> f64 {
    let text = Answer::of(server.admin(Method::GET, "/metrics")).await.text;
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

async fn made(server: &Server) -> f64 {
    metric(server, "ragtime_backups_total{outcome=\"made\"}").await
}

/// The acts of the server's audit log.
async fn acts(server: &Server) -> Vec<String> {
    let audit = Answer::of(server.admin(Method::GET, "/admin/audit")).await;
    let acts = audit.body["acts"].as_array().unwrap();
    acts.iter().map(|act| act["action"].as_str().unwrap().to_owned()).collect()
}

/// What readiness says of the part `backup`.
async fn readiness(server: &Server) -> Value {
    let ready = server.get("/readyz").await;
    assert_eq!(ready.status, 200, "a server without backups serves: {ready:?}");
    let parts = ready.body["components"].as_array().unwrap().clone();
    parts.into_iter().find(|part| part["name"] == "backup").unwrap()
}

/// Folders with a manifest, oldest first.
fn whole(destination: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(destination).into_iter().flatten();
    let folders = entries.map(|entry| entry.unwrap().path());
    let mut whole: Vec<_> = folders.filter(|path| path.join("manifest.json").exists()).collect();
    whole.sort();
    whole
}

fn restore(from: &str, arguments: &[&str], data: &Path) -> Output {
    let mut command = binary();
    command.args(["restore", from, "--no-model", "--data-dir"]).arg(data).args(arguments);
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn scheduled(destination: impl ToString) -> Setup {
    Setup::new()
        .set("BACKUP__DESTINATION", destination)
        .set("BACKUP__INTERVAL_SECONDS", 1)
        .set("BACKUP__MIN_FREE_BYTES", 0)
        .set("BACKUP__MAX_BACKUPS", 2)
}

#[tokio::test]
async fn a_server_backs_itself_up_and_deletes_old_backups_of_its_own_only() {
    let folder = tempfile::tempdir().unwrap();
    let destination = folder.path().join("backups");
    // Of another server, of somebody's hand, and one that only looks like a backup.
    let others = ["other-20200101T000000Z", "notes", "ragtime-20200101T000000Z"];
    for name in others {
        std::fs::create_dir_all(destination.join(name)).unwrap();
        std::fs::write(destination.join(name).join("ragtime.sqlite"), "mine").unwrap();
    }
    let server = scheduled(destination.display()).start();
    server.document("kept", "phoenix").await;
    until("four backups are made", async || made(&server).await >= 4.0).await;
    until("two are left", async || whole(&destination).len() == 2).await;
    for name in others {
        let file = destination.join(name).join("ragtime.sqlite");
        assert_eq!(std::fs::read_to_string(file).unwrap(), "mine");
    }
    assert!(metric(&server, "ragtime_backup_last_success_timestamp_seconds").await > 1.7e9);
    assert_eq!(readiness(&server).await["state"], "ready");
    let acts = acts(&server).await;
    for act in ["backup.create", "backup.delete"] {
        assert!(acts.iter().any(|one| one == act), "{act}: {acts:?}");
    }
    server.logged(&["a backup was made", "\"documents\":1"]).await;
    drop(server);
    let newest = whole(&destination).pop().unwrap();
    let data = folder.path().join("elsewhere");
    let restored = restore(newest.to_str().unwrap(), &[], &data);
    assert!(restored.status.success(), "{}", said(&restored));
    assert!(said(&restored).contains("1 document and 1 handler restored"), "{}", said(&restored));
    // The folder of them all is none, and says which there is.
    let refused = restore(destination.to_str().unwrap(), &[], &folder.path().join("third"));
    assert!(said(&refused).contains(newest.to_str().unwrap()), "{}", said(&refused));
}

#[tokio::test]
async fn a_backup_that_fails_is_told_and_hurts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let destination = folder.path().join("backups");
    std::fs::write(&destination, "a file is in the way").unwrap();
    let server = scheduled(destination.display()).set("BACKUP__RETRY_SECONDS", 1).start();
    server.logged(&["a backup failed", "retry_in_seconds"]).await;
    until("readiness shows it", async || readiness(&server).await["state"] == "degraded").await;
    server.document("kept", "phoenix").await;
    assert_eq!(server.search("phoenix").await, ["kept"]);
    assert!(metric(&server, "ragtime_backups_total{outcome=\"failed\"}").await >= 1.0);
    std::fs::remove_file(&destination).unwrap();
    until("it mends itself", async || readiness(&server).await["state"] == "ready").await;
    assert!(!whole(&destination).is_empty());
    let acts = acts(&server).await;
    assert_eq!(acts.iter().filter(|act| *act == "backup.fail").count(), 1, "{acts:?}");
    harness::survived(
        "A destination of backups that fails",
        "serving goes on, readiness, metrics, log and audit tell, the next try makes one",
        "nothing",
    );
}

#[tokio::test]
async fn a_backup_that_would_take_the_room_of_writes_is_not_begun() {
    let folder = tempfile::tempdir().unwrap();
    let destination = folder.path().join("backups");
    let server =
        scheduled(destination.display()).set("BACKUP__MIN_FREE_BYTES", u64::MAX >> 1).start();
    server.logged(&["a backup failed", "backup.min_free_bytes"]).await;
    assert_eq!(std::fs::read_dir(&destination).map_or(0, Iterator::count), 0);
    server.document("kept", "phoenix").await;
}

#[tokio::test]
async fn what_a_killed_backup_has_left_goes_with_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join("ragtime-20200101T000000Z");
    let mut server = scheduled(folder.path().display()).start();
    until("a backup is made", async || made(&server).await >= 1.0).await;
    assert!(server.terminate().success());
    // As a kill leaves it: the marker, and some of the files.
    let whole = whole(folder.path()).pop().unwrap();
    std::fs::create_dir_all(left.join("handlers")).unwrap();
    std::fs::copy(whole.join("manifest.json"), left.join("incomplete.json")).unwrap();
    std::fs::write(left.join("ragtime.sqlite"), "half").unwrap();
    std::fs::write(left.join("handlers/notes.txt"), "mine").unwrap();
    let begun = folder.path().join("ragtime-20200102T000000Z");
    let copy = begun.join(".ragtime-partial-killed");
    std::fs::create_dir_all(&copy).unwrap();
    std::fs::write(copy.join("lock"), "").unwrap();
    let refused = restore(left.to_str().unwrap(), &[], &folder.path().join("data"));
    assert!(said(&refused).contains("no whole backup"), "{}", said(&refused));
    let server = scheduled(folder.path().display()).start();
    until("a backup is made", async || made(&server).await >= 1.0).await;
    assert!(!begun.exists() && !left.join("ragtime.sqlite").exists());
    assert!(!left.join("incomplete.json").exists());
    assert_eq!(std::fs::read_to_string(left.join("handlers/notes.txt")).unwrap(), "mine");
}

/// A backup of a server with two documents, and the folder that it is in.
async fn backup_of_two() -> (tempfile::TempDir, PathBuf) {
    let server = Setup::new().start();
    server.document("first", "The phoenix rises from its ashes.").await;
    server.document("second", "The griffin guards its gold.").await;
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("monday");
    let mut command = binary();
    command.arg("backup").arg(&backup).arg("--data-dir").arg(server.dir.path());
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", said(&done));
    (folder, backup)
}

/// The rehearsal of a backup, which leaves nothing behind.
fn rehearse(backup: &Path, arguments: &[&str]) -> Output {
    let (temporary, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    harness::compiled::lend(data.path());
    let mut command = binary();
    command.env("TMPDIR", temporary.path()).args(["restore", "--check", "--no-model"]);
    command.arg(backup).arg("--data-dir").arg(data.path()).args(arguments);
    let done = command.output().unwrap();
    for folder in [temporary.path(), data.path()] {
        let left = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left.filter(|name| name != "compiled").collect();
        assert!(left.is_empty(), "{left:?}");
    }
    done
}

#[tokio::test]
async fn a_rehearsal_reads_everything_and_has_a_server_find_a_passage() {
    let (_folder, backup) = backup_of_two().await;
    let done = rehearse(&backup, &[]);
    assert!(done.status.success(), "{}", said(&done));
    let text = said(&done);
    for line in [
        " with the hashes that version 0.",
        "2 texts and 0 vectors read",
        "a server started with the handler ",
        "search in default finds first",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let report: Value = serde_json::from_slice(&rehearse(&backup, &["--json"]).stdout).unwrap();
    assert_eq!((&report["documents"], &report["search"]["found"]), (&json!(2), &json!(true)));
}

#[tokio::test]
async fn a_rehearsal_tells_damage_of_every_kind() {
    let (_folder, backup) = backup_of_two().await;
    let database = backup.join("ragtime.sqlite");
    let whole = std::fs::read(&database).unwrap();
    // A text that SQLite takes for sound, under a manifest that fits.
    let connection = rusqlite::Connection::open(&database).unwrap();
    connection.execute("UPDATE documents SET text = 'altered' WHERE id = 'first'", []).unwrap();
    drop(connection);
    let differs = rehearse(&backup, &[]);
    assert_eq!(differs.status.code(), Some(1), "{}", said(&differs));
    assert!(said(&differs).contains("ragtime.sqlite is not what was written"), "{differs:?}");
    let manifest = backup.join("manifest.json");
    let described = std::fs::read_to_string(&manifest).unwrap();
    std::fs::remove_file(&manifest).unwrap();
    let damaged = rehearse(&backup, &[]);
    assert_eq!(damaged.status.code(), Some(1), "{}", said(&damaged));
    assert!(said(&damaged).contains("lost: the text of \"first\""), "{}", said(&damaged));
    std::fs::write(&database, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(rehearse(&backup, &[]).status.code(), Some(1));
    std::fs::write(&database, &whole).unwrap();
    // As versions before manifests made it.
    let older = rehearse(&backup, &[]);
    assert!(older.status.success() && said(&older).contains("no manifest"), "{}", said(&older));
    // A manifest that leads elsewhere.
    std::fs::write(&manifest, described.replace("handlers/", "handlers/../../")).unwrap();
    let refused = rehearse(&backup, &[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("is no file of a backup"), "{}", said(&refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_takes_backups_and_gives_them_back() {
    let store = S3::start();
    let mut setup = scheduled("s3://backups/nightly").set("BACKUP__PART_BYTES", 5 * 1024 * 1024);
    for (name, value) in &store.environment {
        setup = setup.variable(name, value);
    }
    let mut server = setup.start();
    server.document("kept", "phoenix").await;
    until("four backups are made", async || made(&server).await >= 4.0).await;
    let list = || {
        let mut list = harness::clients::program("s3_list.py", "moto");
        list.envs(store.environment.clone());
        String::from_utf8(list.output().unwrap().stdout).unwrap()
    };
    until("two are left", async || list().matches("manifest.json").count() == 2).await;
    let log = server.log().join("\n");
    assert!(!log.contains(store.secret()), "{log}");
    assert!(server.terminate().success());
    // The end of the server may have cut one off, which counts as none.
    let listed = list();
    let cut_off = |folder: &str| !listed.contains(&format!("{folder}manifest.json"));
    assert!(
        listed.lines().filter_map(|one| one.strip_suffix("incomplete.json")).all(cut_off),
        "{listed}"
    );
    let command = |arguments: &[&str]| {
        let mut command = store.configured(binary());
        command.args(arguments).arg("--no-model").env("RAGTIME_BACKUP__PART_BYTES", "5242880");
        command.output().unwrap()
    };
    let data = server.dir.path().to_str().unwrap();
    // The handler is larger than a part, so it goes in several.
    let component = std::fs::metadata(harness::component("ragtime_guest")).unwrap().len();
    assert!(component > 5 * 1024 * 1024, "{component}");
    let by_hand = command(&["backup", "s3://backups/by-hand", "--data-dir", data]);
    assert!(by_hand.status.success(), "{}", said(&by_hand));
    let again = command(&["backup", "s3://backups/by-hand", "--data-dir", data]);
    assert!(said(&again).contains("there is a backup in s3://backups/by-hand"), "{again:?}");
    let checked = command(&["restore", "s3://backups/by-hand", "--check", "--data-dir", data]);
    assert!(said(&checked).contains("search in default finds kept"), "{}", said(&checked));
    let elsewhere = tempfile::tempdir().unwrap();
    let to = elsewhere.path().join("data");
    let back = command(&["restore", "s3://backups/by-hand", "--data-dir", to.to_str().unwrap()]);
    assert!(back.status.success(), "{}", said(&back));
    let left = std::fs::read_dir(&to).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!left.into_iter().any(|name| name.to_string_lossy().contains("partial")));
    // The newest is named where only its parent was.
    let parent = command(&["restore", "s3://backups/nightly", "--check", "--data-dir", data]);
    assert!(said(&parent).contains("the newest below it is s3://backups/nightly/ragtime-"));
    let mut stranger = store.configured(binary());
    stranger.args(["backup", "s3://backups/other", "--data-dir", data]);
    let refused = stranger.env("AWS_SECRET_ACCESS_KEY", "wrong-secret").output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let text = said(&refused);
    assert!(
        text.contains("hint: the bucket is named by") && !text.contains("wrong-secret"),
        "{text}"
    );
}
