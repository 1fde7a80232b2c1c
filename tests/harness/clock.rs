//! Hosts and databases whose clocks are wrong.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::{Setup, clients, root};

/// The variable that says how many seconds ahead the clock of a process is.
pub(super) const AHEAD: &str = "CLOCK_AHEAD_SECONDS";

/// How to mend it.
const MEND: &str = "a program with another clock takes a C compiler, which Rust links by too: \
    install cc (as Debian's gcc), or name one by CC";

impl Setup {
    /// With a clock that is so many seconds ahead of this machine's.
    pub fn clock_ahead(self, seconds: i64) -> Self {
        let library = shifted_clock();
        self.variable("LD_PRELOAD", library.to_str().unwrap()).variable(AHEAD, &seconds.to_string())
    }
}

/// The library that `tests/fixtures/clock.c` is, made once for each process of tests.
pub(super) fn shifted_clock() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let library = clients::kept("clock.so");
        let new = library.with_extension(std::process::id().to_string());
        std::fs::create_dir_all(library.parent().unwrap()).unwrap();
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let mut command = Command::new(compiler);
        command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&new);
        let made = command.arg(root().join("tests/fixtures/clock.c")).output();
        let made = made.unwrap_or_else(|error| panic!("{MEND}: {error}"));
        assert!(made.status.success(), "{MEND}: {}", String::from_utf8_lossy(&made.stderr));
        std::fs::rename(new, &library).unwrap();
        library
    });
    made.clone()
}
