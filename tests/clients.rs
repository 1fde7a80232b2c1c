//! The official Python clients of the APIs that this server speaks.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod harness;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use harness::{ADMIN, Server, Setup};

const DOCUMENT: &str =
    "Ragtime keeps a steady march in the left hand. Scott Joplin wrote the Maple Leaf Rag in 1899.";

fn folder() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/clients")).to_owned()
}

/// A Python with the clients, below the target folder, where a second run finds
/// what the first one made.
fn python() -> PathBuf {
    static INSTALL: Mutex<()> = Mutex::new(());
    let _one_at_a_time = INSTALL.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    let python = venv.join("bin/python");
    let (wanted, installed) = (folder().join("requirements.txt"), venv.join("installed.txt"));
    let wanted_text = std::fs::read_to_string(&wanted).unwrap();
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == wanted_text) {
        return python;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv));
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    run(Command::new(&python).args(pip).arg(&wanted));
    std::fs::write(installed, wanted_text).unwrap();
    python
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let (said, wrong) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{said}\n{wrong}");
}

async fn drive(server: &Server, script: &str, arguments: &[&str]) {
    server.document("joplin", DOCUMENT).await;
    let mut command = Command::new(python());
    command
        .arg(folder().join(script))
        .args(arguments)
        .env("SERVER", &server.url)
        .env("KEY", ADMIN)
        .env("no_proxy", "127.0.0.1");
    tokio::task::spawn_blocking(move || run(&mut command)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openai_client_chats_and_lists_models() {
    drive(&Setup::new().start(), "openai_client.py", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openai_client_embeds_with_the_model() {
    let server = Setup::with_model().start();
    server.model().await;
    drive(&server, "openai_client.py", &["model"]).await;
}
