//! Handlers of other origins: written in Python, in Rust from the template, and
//! for WASI 0.2.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

use crate::harness::{ADMIN, Answer, Server, Setup, WASI02, binary, fixture};
use reqwest::Method;
use serde_json::json;

const DOCUMENT: &str =
    "Ragtime keeps a steady march in the left hand. Scott Joplin wrote the Maple Leaf Rag in 1899.";

/// Lays a project out below the target folder, where a second run finds what
/// the first one made, and builds it.
fn project(language: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("handlers");
    std::fs::create_dir_all(&folder).unwrap();
    let dir = folder.join(language);
    let kept = folder.join(format!("{language}-kept"));
    let made = [".venv", "target", "Cargo.lock"];
    std::fs::create_dir_all(&kept).unwrap();
    for name in made {
        let _ = std::fs::rename(dir.join(name), kept.join(name));
    }
    let _ = std::fs::remove_dir_all(&dir);
    let new = binary()
        .args(["guest", "new", language, "--lang", language])
        .current_dir(&folder)
        .output()
        .unwrap();
    assert!(new.status.success(), "{new:?}");
    // The versions of this workspace, so that nothing is fetched twice.
    let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");
    std::fs::copy(lock, kept.join("Cargo.lock")).unwrap();
    for name in made {
        let _ = std::fs::rename(kept.join(name), dir.join(name));
    }
    let build = binary().args(["guest", "build"]).arg(&dir).output().unwrap();
    assert!(build.status.success(), "{}", String::from_utf8_lossy(&build.stderr));
    let printed = String::from_utf8(build.stdout).unwrap();
    let component = dir.join(format!("{language}.wasm"));
    assert_eq!(Path::new(printed.trim()).file_name(), component.file_name());
    component
}

async fn swapped(component: &Path) -> Server {
    let server = Setup::new().start();
    server.document("joplin", DOCUMENT).await;
    let output = binary()
        .args(["guest", "swap"])
        .arg(component)
        .env("RAGTIME_ADMIN", &server.admin_url)
        .env("RAGTIME_KEY", ADMIN)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    server
}

async fn answers_with_a_citation(server: &Server) {
    let question = json!({"query": "Who wrote the Maple Leaf Rag?"});
    let answer = Answer::of(server.request(Method::POST, "/").json(&question)).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/event-stream"));
    let quote = answer.text.split("\"quote\":").nth(1);
    assert!(quote.is_some(), "{answer:?}");
    let quote: String =
        serde_json::Deserializer::from_str(quote.unwrap()).into_iter().next().unwrap().unwrap();
    assert_eq!(quote, "Scott Joplin wrote the Maple Leaf Rag in 1899.");
    assert!(DOCUMENT.contains(&quote) && answer.text.contains("joplin"), "{answer:?}");
    assert!(answer.text.contains("event: done\n"), "{answer:?}");
    let anonymous = Answer::of(server.anonymous(Method::POST, "/").json(&question)).await;
    assert_eq!(anonymous.status, 401, "{anonymous:?}");
    assert_eq!(Answer::of(server.request(Method::GET, "/")).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_in_python_answers_with_citations() {
    answers_with_a_citation(&swapped(&project("python")).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_in_rust_from_the_template_answers_with_citations() {
    answers_with_a_citation(&swapped(&project("rust")).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_for_wasi_0_2_is_swapped_in_and_fails_alone() {
    let server = swapped(&fixture(WASI02)).await;
    let requests = (0..8).map(|number| {
        let path = if number == 3 { "/trap" } else { "/" };
        Answer::of(server.anonymous(Method::GET, path))
    });
    for (number, answer) in futures::future::join_all(requests).await.into_iter().enumerate() {
        match number {
            3 => answer.assert_problem(500, "handler_failed"),
            _ => assert_eq!((answer.status, answer.text.as_str()), (200, "WASI 0.2")),
        }
    }
}

#[test]
fn a_folder_that_is_no_project_is_said_to_be_none() {
    let dir = tempfile::tempdir().unwrap();
    let build = binary().args(["guest", "build"]).arg(dir.path()).output().unwrap();
    let said = String::from_utf8(build.stderr).unwrap();
    assert!(!build.status.success() && said.contains("neither app.py nor Cargo.toml"), "{said}");
    assert!(said.contains("hint: ragtime guest new"), "{said}");
    let again =
        binary().args(["guest", "new", ".", "--lang", "python"]).current_dir(dir.path()).output();
    assert!(!again.unwrap().status.success(), "a folder that exists is not written to");
}
