//! Handlers for tests.

use std::path::PathBuf;
use std::process::Command;

use parking_lot::Mutex;

use super::{binaries, component, root};

/// The handler that is part of the binary.
pub fn built_in() -> Vec<u8> {
    std::fs::read(component("ragtime_guest")).unwrap()
}

/// A component with another hash: with a custom section at its end, which
/// changes nothing else.
pub fn variant(component: &[u8], tag: &str) -> Vec<u8> {
    let name = b"variant";
    let length = 1 + name.len() + tag.len();
    assert!(length < 128 && tag.len() < 100, "one byte of LEB128 each");
    let mut bytes = component.to_vec();
    bytes.extend([0, length as u8, name.len() as u8]);
    bytes.extend(name);
    bytes.extend(tag.as_bytes());
    bytes
}

/// A handler that tests need beside the default one. Its manifest is read when the tests
/// are compiled, so a fixture that is missing fails the build.
#[derive(Debug, Clone, Copy)]
pub struct Fixture {
    manifest: &'static str,
    name: &'static str,
}

macro_rules! fixtures {
    ($($(#[$doc:meta])* $fixture:ident = $name:literal;)*) => {$(
        $(#[$doc])*
        pub const $fixture: Fixture = Fixture {
            manifest: include_str!(concat!("../fixtures/", $name, "/Cargo.toml")),
            name: $name,
        };
    )*};
}

fixtures! {
    /// Tries to get at documents without leave.
    CHEAT = "cheat";
    /// Fails in every way a handler can.
    FAULTY = "faulty";
    /// Speaks WASI 0.2.
    WASI02 = "wasi02";
}

/// The component of a fixture, built on first use.
pub fn fixture(Fixture { manifest, name }: Fixture) -> PathBuf {
    static BUILD: Mutex<()> = Mutex::new(());
    let _one_at_a_time = BUILD.lock();
    let package = format!("ragtime-fixture-{name}");
    assert!(manifest.contains(&format!("name = \"{package}\"")), "{name} has another name");
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--release",
            "--locked",
            "--target",
            "wasm32-wasip2",
            "--package",
            &package,
        ])
        .arg("--target-dir")
        .arg(binaries().parent().unwrap().join("guest"))
        .current_dir(root())
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    component(&package.replace('-', "_"))
}
