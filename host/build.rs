//! Builds the default handler and the provider for stock runtimes for
//! `wasm32-wasip2`, so that they can be part of the binary, and beside them the
//! two joined into one component.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

const TARGET: &str = "wasm32-wasip2";
/// Package, name of what it builds, and the variable that says where it is.
const COMPONENTS: [(&str, &str, &str); 2] = [
    ("ragtime-guest", "ragtime_guest.wasm", "RAGTIME_HANDLER"),
    ("ragtime-providers", "ragtime_providers.wasm", "RAGTIME_PROVIDER"),
];

/// Both of them in one, for stock runtimes.
const JOINED: &str = "ragtime_standalone.wasm";

fn main() -> ExitCode {
    // Set in the suite of the stock runtime, which shares files with ours.
    println!("cargo::rustc-check-cfg=cfg(stock, fleet)");
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            for line in message.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    // Asked when it runs: a build script may have been compiled in another
    // checkout that shares this target directory.
    let package = env::var_os("CARGO_MANIFEST_DIR").ok_or("CARGO_MANIFEST_DIR is not set")?;
    let root = Path::new(&package).join("..");
    for path in [
        "guest",
        "wit",
        "host/extractive",
        "host/filter",
        "host/openai",
        "host/plug",
        "host/policy",
        "Cargo.toml",
        "Cargo.lock",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    let out = env::var_os("OUT_DIR").map(PathBuf::from).ok_or("OUT_DIR is not set")?;
    // A target directory of its own: the outer cargo holds the lock of its own,
    // and every profile of the host shares one handler.
    let target_dir = match out
        .ancestors()
        .find(|dir| dir.ends_with("build"))
        .and_then(|dir| dir.ancestors().nth(2))
    {
        Some(target) => target.join("guest"),
        None => out.join("guest"),
    };
    ensure_target()?;
    let packages = COMPONENTS.iter().flat_map(|(package, ..)| ["--package", package]);
    let mut build = cargo(&root, &target_dir, "build");
    build.args(["--release", "--target", TARGET]).args(packages);
    run(build, "the handler or the provider did not build")?;
    let built = target_dir.join(TARGET).join("release");
    for (_, name, variable) in COMPONENTS {
        let (built, component) = (built.join(name), out.join(name));
        fs::copy(&built, &component)
            .map_err(|error| format!("{} was not built: {error}", built.display()))?;
        println!("cargo::rustc-env={variable}={}", component.display());
    }
    let mut join = cargo(&root, &target_dir, "run");
    // What runs once need not be optimised.
    join.args([
        "--config",
        "profile.dev.package.'*'.opt-level=0",
        "--package",
        "ragtime-plug",
        "--",
    ])
    .args(COMPONENTS.map(|(_, name, _)| built.join(name)))
    .arg(built.join(JOINED));
    run(join, "the handler and the provider were not joined")
}

/// A build of its own beside the outer one.
fn cargo(root: &Path, target_dir: &Path, what: &str) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args([what, "--locked", "--target-dir"]).arg(target_dir).current_dir(root);
    // What the outer build knows of its own target must not leak in.
    for name in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CLIPPY_ARGS",
    ] {
        command.env_remove(name);
    }
    command
}

fn run(mut command: Command, otherwise: &str) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("could not run cargo: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{otherwise}:\n{}", String::from_utf8_lossy(&output.stderr)))
}

/// Adds the target with rustup when the toolchain lacks it.
fn ensure_target() -> Result<(), String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let libdir =
        Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    let installed = libdir.is_ok_and(|output| {
        output.status.success()
            && Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
    });
    if installed {
        return Ok(());
    }
    let added = Command::new("rustup").args(["target", "add", TARGET]).status();
    if added.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err(format!(
        "the Rust target {TARGET} is missing and `rustup target add {TARGET}` failed.\n\
         Run that command yourself, or install the target's standard library with your\n\
         system's package manager, and build again."
    ))
}
