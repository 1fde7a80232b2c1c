//! A browser: the one of the machine, or one that is fetched.

use std::path::PathBuf;
use std::process::Command;

use super::clients::{kept, node, once, packages};

/// Names under which a Chromium is installed.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Said when there is no browser to be had.
const MEND: &str = "this test drives Chromium. Name one in RAGTIME_TEST_CHROMIUM, or install \
    one (Debian: apt-get install chromium), or let it be fetched: from npm as the package \
    @sparticuz/chromium, on x86-64 Linux, which takes a network or a mirror that \
    NPM_CONFIG_REGISTRY names, and the library libnss3";

/// Chromium, and what it needs to start.
pub struct Chromium {
    pub program: PathBuf,
    /// The variables that it is started with.
    pub environment: Vec<(&'static str, PathBuf)>,
}

impl Chromium {
    /// The one that RAGTIME_TEST_CHROMIUM names, one on the path, one that is fetched from
    /// npm, or one that root installs from Debian.
    pub fn find() -> Self {
        if let Some(named) = std::env::var_os("RAGTIME_TEST_CHROMIUM") {
            let named = Self::plain(named.into());
            assert!(named.starts(), "RAGTIME_TEST_CHROMIUM is {:?}; {MEND}", named.program);
            return named;
        }
        let ways = [Self::on_path, Self::fetched, Self::installed];
        ways.iter().find_map(|way| way()).unwrap_or_else(|| panic!("no Chromium; {MEND}"))
    }

    fn plain(program: PathBuf) -> Self {
        Self { program, environment: Vec::new() }
    }

    fn on_path() -> Option<Self> {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths)
            .flat_map(|folder| NAMES.map(|name| folder.join(name)))
            .filter(|program| program.is_file())
            .map(Self::plain)
            .find(Self::starts)
    }

    /// The package carries libraries of its own for machines without them, and a font.
    fn fetched() -> Option<Self> {
        if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            return None;
        }
        let folder = unpacked();
        let fonts = ("FONTCONFIG_PATH", folder.clone());
        let libraries = ("LD_LIBRARY_PATH", folder.join("lib"));
        let with = |environment| Self { program: folder.join("chromium"), environment };
        [with(vec![fonts.clone()]), with(vec![fonts, libraries])].into_iter().find(Self::starts)
    }

    /// Of Debian, for root alone: nobody else can install anything.
    fn installed() -> Option<Self> {
        let apt = |arguments: &[&str]| {
            let mut apt = Command::new("apt-get");
            let done = apt.env("DEBIAN_FRONTEND", "noninteractive").args(arguments).output();
            done.is_ok_and(|done| done.status.success())
        };
        let install = ["install", "-y", "--no-install-recommends", "chromium"];
        (apt(&["update"]) && apt(&install)).then(Self::on_path).flatten()
    }

    /// Whether it starts here: it may lack a library.
    fn starts(&self) -> bool {
        let mut command = Command::new(&self.program);
        command.arg("--version").envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.output().is_ok_and(|said| said.status.success())
    }
}

/// The folder of the Chromium that npm has.
fn unpacked() -> PathBuf {
    let folder = kept("chromium");
    let packages = packages("browser");
    once(&folder, &packages.join("package-lock.json"), || {
        let unpack = packages.join("unpack.mjs");
        let done = Command::new(node().join("node")).arg(unpack).arg(&folder).output().unwrap();
        assert!(done.status.success(), "{}; {MEND}", String::from_utf8_lossy(&done.stderr));
    });
    folder
}
