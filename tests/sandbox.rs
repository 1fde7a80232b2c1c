//! What a handler that means ill can reach.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::harness::{self, Answer, CHEAT, Server, Setup, fixture};
use reqwest::Method;

async fn server() -> Server {
    let mut honest = Setup::new().start();
    honest.document("secret", "the secret").await;
    assert!(honest.terminate().success());
    Setup::again(&honest).argument("--handler").argument(fixture(CHEAT).to_str().unwrap()).start()
}

async fn attempt(server: &Server, name: &str) -> Answer {
    Answer::of(server.anonymous(Method::GET, &format!("/{name}"))).await
}

#[tokio::test]
async fn a_handler_that_skips_authentication_reaches_nothing_by_any_import() {
    let server = server().await;
    for name in
        ["no-credential", "guessed-credential", "files", "environment", "sockets", "requests"]
    {
        let answer = attempt(&server, name).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        assert!(answer.text.starts_with("refused: "), "{name}: {answer:?}");
    }
    assert_eq!(attempt(&server, "environment").await.text, "refused: 0 variables");
    // A handle that the host never gave is a trap, and the trap is contained.
    for name in ["forged-permit", "forged-principal"] {
        attempt(&server, name).await.assert_problem(500, "handler_failed");
    }
    assert_eq!(attempt(&server, "no-credential").await.status, 200);
    harness::survived("A handler that skips authentication", "every import refuses it", "nothing");
}

#[tokio::test]
async fn what_a_handler_keeps_of_a_request_is_worth_nothing_after_it() {
    let server = server().await;
    for name in ["kept-credential", "kept-principal", "kept-permit"] {
        let kept = Answer::of(server.request(Method::GET, "/keep")).await;
        assert!(kept.text.starts_with("kept ref_"), "{kept:?}");
        let secret = harness::ADMIN.rsplit('_').next().unwrap();
        assert!(!kept.text.contains(secret), "the handler saw the client's key");
        let answer = attempt(&server, name).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        assert!(
            answer.text.lines().all(|line| line.starts_with("refused: ")),
            "{name}: {answer:?}"
        );
        let expected = if name == "kept-permit" { 31 } else { 1 };
        assert_eq!(answer.text.lines().count(), expected, "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn a_component_that_is_no_handler_is_refused_before_the_port_is_bound() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("no.wasm");
    std::fs::write(&file, "no component").unwrap();
    let output = harness::binary()
        .args(["serve", "--no-model", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(dir.path())
        .arg("--handler")
        .arg(&file)
        .output()
        .unwrap();
    assert!(!output.status.success());
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("error: the handler cannot be served") && stderr.contains("hint: "),
        "{stderr}"
    );
}
