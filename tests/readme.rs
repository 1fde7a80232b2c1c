//! The README and the pages that it leads to, executed: every shell block that
//! talks to a server, in order.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::process::Command;

use crate::harness::{self, ADMIN, Setup};

const README: &str = include_str!("../README.md");

/// What is executed, in order: a page may use what those before it have made.
const PAGES: [&str; 6] = [
    README,
    include_str!("../docs/api.md"),
    include_str!("../docs/handlers.md"),
    include_str!("../docs/operation.md"),
    include_str!("../docs/console.md"),
    include_str!("../docs/models.md"),
];

/// Where the table stands of what was survived.
const OPERATION: &str = "docs/operation.md";

/// Code blocks with their language.
fn blocks() -> Vec<(&'static str, &'static str)> {
    PAGES.into_iter().flat_map(blocks_of).collect()
}

fn blocks_of(page: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut rest = page;
    let mut blocks = Vec::new();
    while let Some((_, after)) = rest.split_once("\n```") {
        let (language, after) = after.split_once('\n').unwrap();
        let (code, after) = after.split_once("\n```").unwrap();
        blocks.push((language, code));
        rest = after;
    }
    blocks
}

/// A folder that looks like the repository and that blocks may write into.
fn working_copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    for entry in std::fs::read_dir(root).unwrap().map(Result::unwrap) {
        let to = folder.path().join(entry.file_name());
        std::os::unix::fs::symlink(entry.path().canonicalize().unwrap(), to).unwrap();
    }
    folder
}

/// The table is what the harness wrote down in its last runs. After a change:
/// run the whole suite, then this test with `RAGTIME_BLESS=1`.
#[test]
fn the_table_of_what_was_survived_is_the_harnesss() {
    let mut rows: Vec<_> = std::fs::read_dir(harness::reports())
        .into_iter()
        .flatten()
        .map(|report| std::fs::read_to_string(report.unwrap().path()).unwrap())
        .collect();
    rows.sort();
    let page = std::fs::read_to_string(harness::root().join(OPERATION)).unwrap();
    let (before, rest) = page.split_once("| tried | survived | lost |\n|---|---|---|\n").unwrap();
    let (table, after) = rest.split_once("\n\n").unwrap();
    if std::env::var_os("RAGTIME_BLESS").is_some() {
        let head = "| tried | survived | lost |\n|---|---|---|\n";
        let written = [before, head, rows.concat().trim_end(), "\n\n", after].concat();
        std::fs::write(harness::root().join(OPERATION), written).unwrap();
        return;
    }
    let shown: Vec<_> = table.lines().collect();
    for row in &rows {
        assert!(shown.contains(&row.trim_end()), "{OPERATION} does not have: {row}");
    }
    // A row that no test can have written.
    let sources: String = walkdir::WalkDir::new(harness::root().join("tests"))
        .into_iter()
        .filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok())
        .collect();
    for row in shown {
        let tried = row.trim_start_matches("| ").split(" | ").next().unwrap();
        assert!(sources.contains(&format!("\"{tried}\"")), "no test has tried: {row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quick_start_works_as_written() {
    let server = Setup::with_model().start();
    server.model().await;
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_ragtime")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let (blocks, folder) = (blocks(), working_copy());
    let mut executed = 0;
    for (place, (_, code)) in
        blocks.iter().enumerate().filter(|(_, (language, _))| *language == "sh")
    {
        if code.lines().any(|line| {
            line.starts_with("cargo ")
                || line.contains("ragtime serve")
                || line.contains("ragtime eval")
        }) {
            continue;
        }
        let output = Command::new("sh")
            .args(["-euc", code])
            .current_dir(folder.path())
            .env("RAGTIME_DATA__DIR", server.dir.path())
            .env("PATH", &path)
            .env("RAGTIME_SERVER", &server.url)
            .env("RAGTIME_ADMIN", &server.admin_url)
            .env("RAGTIME_KEY", ADMIN)
            .output()
            .unwrap();
        assert!(output.status.success(), "{code}\n{output:?}");
        let printed = String::from_utf8(output.stdout).unwrap();
        // A text block behind shows what is printed, with … for what varies.
        if let Some(("text", shown)) = blocks.get(place + 1) {
            for piece in shown.split('…').map(str::trim).filter(|piece| !piece.is_empty()) {
                assert!(printed.contains(piece), "{code}\nprinted\n{printed}\nand not\n{piece}");
            }
        }
        executed += 1;
    }
    assert!(executed >= 3);
}

#[test]
fn the_gate_runs_the_test_command_of_the_readme() {
    let gate = include_str!("../.ci/run");
    assert!(
        README.contains("cargo test --workspace\n")
            && gate.lines().last() == Some("cargo test --workspace")
    );
    assert!(README.contains("cargo run --release -- serve\n"));
}
