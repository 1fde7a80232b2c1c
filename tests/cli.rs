//! The command line, as a person uses it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};

use crate::harness::{ADMIN, Server, Setup, binary};

fn ragtime(server: &Server, arguments: &[&str]) -> Output {
    binary()
        .args(arguments)
        .env("RAGTIME_SERVER", &server.url)
        .env("RAGTIME_KEY", ADMIN)
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_ingested_searched_and_asked() {
    let server = Setup::new().start();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("lift.md", "# Lift\n\nLift is the force that holds an aircraft in the air.");
    write("drag.txt", "Drag is the force that slows an aircraft down.");
    write("page.html", "<title>Thrust</title><p>Thrust moves it forward.</p>");
    let path = folder.path().to_str().unwrap();
    let done = ragtime(&server, &["ingest", path, "--collection", "flight"]);
    assert!(done.status.success(), "{done:?}");
    assert!(stderr(&done).contains("3 documents searchable, 0 failed"), "{done:?}");
    let again = ragtime(&server, &["ingest", path, "--collection", "flight"]);
    assert!(again.status.success() && stdout(&again).is_empty(), "{again:?}");

    let found = ragtime(&server, &["search", "forces", "--collection", "flight"]);
    assert!(
        stdout(&found).contains("Lift (lift.md)") && stdout(&found).contains("drag.txt"),
        "{found:?}"
    );
    let asked = ragtime(
        &server,
        &["query", "What force holds an aircraft in the air?", "--collection", "flight"],
    );
    let expected = "Lift is the force that holds an aircraft in the air. [1]";
    assert!(
        stdout(&asked).contains(expected) && stdout(&asked).contains("[1] Lift (lift.md), bytes "),
        "{asked:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_document_fails_alone_and_is_named() {
    let server = Setup::new().start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("d.ndjson");
    std::fs::write(
        &file,
        "{\"id\":\"ok\",\"text\":\"fine\"}\n{\"id\":\"empty\",\"text\":\"\"}\nbroken\n",
    )
    .unwrap();
    let done = ragtime(&server, &["ingest", file.to_str().unwrap()]);
    assert_eq!(done.status.code(), Some(3), "{done:?}");
    let said = stderr(&done);
    assert!(said.contains("failed: empty: ") && said.contains("failed: d.ndjson:3: "), "{said}");
    assert!(said.contains("1 documents searchable, 2 failed"), "{said}");
    assert_eq!(server.search("fine").await, ["ok"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_became_of_an_ingestion_is_there_for_programs() {
    let server = Setup::new().start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("d.ndjson");
    std::fs::write(&file, "{\"id\":\"ok\",\"text\":\"fine\"}\n{\"id\":\"empty\",\"text\":\"\"}\n")
        .unwrap();
    let done = ragtime(&server, &["ingest", file.to_str().unwrap(), "--json"]);
    assert!(!done.status.success(), "{done:?}");
    let report: serde_json::Value = serde_json::from_str(stdout(&done)).unwrap();
    assert_eq!((&report["indexed"], &report["pending"]), (&1.into(), &0.into()), "{report}");
    assert!(report["failed"][0].as_str().unwrap().contains("empty"), "{report}");
    assert_eq!(report["failed"].as_array().unwrap().len(), 1, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_searched_as_its_people_keep_it() {
    let server = Setup::new().start();
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        (".gitignore", "build/\n"),
        (".git/notes.txt", "hidden"),
        ("build/made.md", "ignored"),
        ("drafts/plan.md", "excluded"),
        ("photo.png", "no text"),
        ("quay.md", "The quay was finished in 2019."),
        ("latin.txt", "latin"),
    ] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    std::fs::write(folder.path().join("latin.txt"), b"Der K\xe4se f\xfcr M\xfcller.").unwrap();
    let path = folder.path().to_str().unwrap();
    let done = ragtime(&server, &["ingest", path, "--exclude", "drafts/"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let said = stderr(&done);
    for line in [
        "skipped 2 hidden; --hidden takes them: .git, .gitignore\n",
        "skipped 1 left out by .gitignore or .ignore; --no-ignore takes them: build\n",
        "skipped 1 left out by --include or --exclude: drafts\n",
        "skipped 1 of no kind that can be read, by their names: photo.png\n",
        "2 files: 1 .md, 1 .txt\n",
        "warning: latin.txt: encoding_guessed: ",
        "2 documents searchable, 0 failed\n",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert_eq!(server.search("Müller").await, ["latin.txt"]);
    let all = ["ingest", path, "--hidden", "--no-ignore", "--include", "*.txt"];
    let done = ragtime(&server, &all);
    assert!(stderr(&done).contains("2 files: 2 .txt\n"), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_changed_what_is_shown() {
    let server = Setup::new().start();
    ragtime(&server, &["keys", "create", "--name", "reader"]);
    let shown = binary()
        .args(["keys", "audit"])
        .envs([("RAGTIME_ADMIN", server.admin_url.as_str()), ("RAGTIME_KEY", ADMIN)])
        .output()
        .unwrap();
    let line = stdout(&shown);
    assert!(line.contains("  000000000000  key.issue") && line.contains("\"reader\""), "{shown:?}");
    assert_eq!(line.lines().count(), 1, "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_may_be_relative() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = binary()
        .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--no-model"])
        .args(["--data-dir", "data"])
        .current_dir(folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(server.stderr.take().unwrap()).lines();
    let said: Vec<_> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.starts_with("Ragtime is ready on "))
        .collect();
    let status = server.try_wait().unwrap();
    assert!(status.is_none(), "{status:?}: {said:?}");
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(folder.path().join("data/ragtime.sqlite").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_managed() {
    let server = Setup::new().start();
    let made = ragtime(&server, &["keys", "create", "--name", "reader"]);
    assert!(made.status.success(), "{made:?}");
    let key = stdout(&made).trim();
    assert!(key.starts_with("rt_") && key.lines().count() == 1);
    let id = key.split('_').nth(1).unwrap();
    assert!(stdout(&ragtime(&server, &["keys", "list"])).contains(id));
    assert!(ragtime(&server, &["keys", "revoke", id]).status.success());
    assert!(!stdout(&ragtime(&server, &["keys", "list"])).contains(id));
}

#[tokio::test(flavor = "multi_thread")]
async fn retrieval_is_measured_on_a_folder_in_beir_layout() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("qrels")).unwrap();
    write(
        "corpus.jsonl",
        "{\"_id\":\"a\",\"title\":\"\",\"text\":\"apple pie\"}\n{\"_id\":\"b\",\"title\":\"\",\"text\":\"banana bread\"}\n",
    );
    write(
        "queries.jsonl",
        "{\"_id\":\"1\",\"text\":\"apples\"}\n{\"_id\":\"2\",\"text\":\"bananas\"}\n",
    );
    write("qrels/test.tsv", "query-id\tcorpus-id\tscore\n1\ta\t1\n2\ta\t1\n");
    let measured = binary().args(["eval", "--json"]).arg(folder.path()).output().unwrap();
    assert!(measured.status.success(), "{measured:?}");
    let figures: serde_json::Value = serde_json::from_str(stdout(&measured)).unwrap();
    // The first query finds its document, the second only the other.
    assert_eq!(figures["modes"]["lexical"]["ndcg_at_10"], 0.5, "{figures}");
    assert_eq!(figures["documents"], 2);
}

#[test]
fn what_is_wrong_is_said_with_what_to_do() {
    let no_key = binary().args(["search", "x"]).output().unwrap();
    assert_eq!(
        stderr(&no_key),
        "error: no key\nhint: set RAGTIME_KEY to a key; the first start of the server prints one\n"
    );
    let nobody = binary()
        .args(["search", "x", "--server", "http://127.0.0.1:1", "--key", "k"])
        .output()
        .unwrap();
    assert!(stderr(&nobody).contains("hint: is the server running?"), "{nobody:?}");
    let setting = binary().args(["config"]).env("RAGTIME_SERVER__LISTEN_ON", "x").output().unwrap();
    assert!(!setting.status.success() && stderr(&setting).contains("listen_on"), "{setting:?}");
}

#[test]
fn help_lists_every_command() {
    let help = binary().arg("--help").output().unwrap();
    insta::assert_snapshot!(stdout(&help));
}

#[test]
fn shells_and_man_are_told_every_command() {
    let run = |arguments: &[&str]| binary().args(arguments).output().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]);
        assert!(script.status.success(), "{script:?}");
        for word in ["ingest", "mcp", "data-dir"] {
            assert!(stdout(&script).contains(word), "{shell} {word}");
        }
    }
    let page = run(&["man"]);
    assert!(stdout(&page).contains(".TH ragtime 1"), "{page:?}");
    let folder = tempfile::tempdir().unwrap();
    let all = run(&["man", "--out", folder.path().to_str().unwrap()]);
    assert!(all.status.success(), "{all:?}");
    for page in ["ragtime.1", "ragtime-ingest.1", "ragtime-keys-create.1"] {
        assert!(folder.path().join(page).exists(), "{page}");
    }
}

#[test]
fn a_mistyped_command_is_answered_with_the_near_one_and_status_2() {
    for (typed, near) in [("serch", "'search'"), ("injest", "'ingest'")] {
        let output = binary().arg(typed).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(stderr(&output).contains(near), "{output:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_printed_by_every_command_that_prints_data() {
    let server = Setup::new().start();
    let parsed = |output: &Output| -> serde_json::Value {
        assert!(output.status.success(), "{output:?}");
        serde_json::from_str(stdout(output)).unwrap()
    };
    let made = ragtime(&server, &["keys", "create", "--name", "j", "--json"]);
    let made = parsed(&made);
    assert!(made["credential"].as_str().unwrap().starts_with("rt_"), "{made}");
    let keys = parsed(&ragtime(&server, &["keys", "list", "--json"]));
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2, "{keys}");
    let id = made["id"].as_str().or(made["key"]["id"].as_str()).unwrap();
    let changed = parsed(&ragtime(&server, &["keys", "update", id, "--name", "k", "--json"]));
    assert_eq!(changed["name"], "k");
    assert_eq!(parsed(&ragtime(&server, &["keys", "self", "--json"]))["id"], keys["keys"][0]["id"]);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let mut command = binary();
    command
        .args(["config", "--json", "--data-dir", data])
        .env("RAGTIME_AUTH__BOOTSTRAP_KEY", ADMIN);
    let config = parsed(&command.output().unwrap());
    assert_eq!(config["data"]["dir"], data);
    assert_eq!(config["auth"]["bootstrap_key"], "[secret]", "{config}");
}
