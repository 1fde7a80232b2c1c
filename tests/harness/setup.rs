//! How a server is started.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use reqwest::Client;
use tempfile::TempDir;

#[cfg(fleet)]
use super::fleet;
use super::{ADMIN, READY, Server, binary, client, compiled, stock};

/// How to start one.
pub struct Setup {
    pub(super) dir: Arc<TempDir>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    host: Host,
    listen: String,
    limit: Option<&'static str>,
    pub(super) client: Option<Client>,
}

/// What runs the handler.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// `ragtime serve`.
    Ragtime,
    /// `wasmtime serve`, with the provider in the component.
    Stock,
    /// Hosts of `ragtime serve` on one PostgreSQL, which take turns.
    #[cfg(fleet)]
    Fleet,
}

impl Host {
    /// What the suite is about.
    pub(super) const OF_SUITE: Self = {
        #[cfg(stock)]
        let host = Self::Stock;
        #[cfg(fleet)]
        let host = Self::Fleet;
        #[cfg(not(any(stock, fleet)))]
        let host = Self::Ragtime;
        host
    };
}

impl Setup {
    /// In a new folder, without the embedding model: most tests are not about
    /// it and start faster.
    pub fn new() -> Self {
        Self::with_model().argument("--no-model")
    }

    /// In a new folder, with the embedding model.
    pub fn with_model() -> Self {
        Self {
            dir: Arc::new(tempfile::tempdir().unwrap()),
            arguments: Vec::new(),
            environment: vec![
                ("RAGTIME_AUTH__BOOTSTRAP_KEY".into(), ADMIN.into()),
                ("RAGTIME_ADMIN__LISTEN".into(), "127.0.0.1:0".into()),
            ],
            host: Host::OF_SUITE,
            listen: "127.0.0.1:0".into(),
            limit: None,
            client: None,
        }
    }

    /// At this address, rather than at a free port.
    pub fn listen(self, address: &str) -> Self {
        Self { listen: address.to_owned(), ..self }
    }

    /// On this host, whichever suite it is.
    pub fn on(self, host: Host) -> Self {
        Self { host, ..self }
    }

    /// In the folder of another server, which has ended.
    pub fn again(server: &Server) -> Self {
        Self::new().in_folder_of(server)
    }

    /// The same in the folder of another server, which has ended.
    pub fn in_folder_of(self, server: &Server) -> Self {
        Self { dir: Arc::clone(&server.dir), ..self }
    }

    /// The same with the embedding model.
    pub fn with_model_again(server: &Server) -> Self {
        Self::with_model().in_folder_of(server)
    }

    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Without a setting that the harness gives, as `RAGTIME_AUTH__BOOTSTRAP_KEY`.
    pub fn without(mut self, variable: &str) -> Self {
        self.environment.retain(|(name, _)| name != variable);
        self
    }

    /// A setting, as `SERVER__LISTEN`.
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.push((format!("RAGTIME_{name}"), value.to_string()));
        self
    }

    /// The first key spends what it likes: a test of something else does not end with its
    /// budget.
    pub fn without_budget(self) -> Self {
        self.set("AUTH__RATE_PER_MINUTE", u32::MAX).set("AUTH__BURST", u32::MAX)
    }

    /// The folder that its data will be in.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// A variable of the environment that is no setting.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a limit of `ulimit`, as `-n 64`. A file that grows too large is an
    /// error of its writer rather than the end of the process.
    pub fn limited(self, limit: &'static str) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// With a client that takes certificates of this authority, in PEM.
    pub fn trusting(self, authority: &str) -> Self {
        let authority = reqwest::Certificate::from_pem(authority.as_bytes()).unwrap();
        Self { client: Some(client(|client| client.tls_certs_only([authority]))), ..self }
    }

    /// Starts the server and waits until it takes requests.
    pub fn start(mut self) -> Server {
        let log = Arc::default();
        let started = match self.host {
            Host::Ragtime => vec![self.ragtime(self.dir.path(), &[], &log)],
            Host::Stock => {
                let mut command = stock::command(self.dir.path(), &self.environment);
                vec![Starting::spawn(Host::Stock, &mut command, &log)]
            }
            #[cfg(fleet)]
            Host::Fleet => self.hosts(&log),
        };
        let mut started: Vec<_> = started.into_iter().map(Starting::ready).collect();
        if self.host != Host::Stock {
            compiled::keep(&self.folders()[0]);
        }
        let (url, admin_url) = match self.host {
            Host::Ragtime | Host::Stock => {
                let host = &mut started[0];
                (std::mem::take(&mut host.url), std::mem::take(&mut host.admin_url))
            }
            #[cfg(fleet)]
            Host::Fleet => {
                let by = |url: fn(&Started) -> &str| fleet::turns(started.iter().map(url));
                (by(|host| &host.url), by(|host| &host.admin_url))
            }
        };
        let client = self.client.take().unwrap_or_else(|| client(|client| client));
        let children = started.into_iter().map(|host| host.child).collect();
        Server { children, url, admin_url, dir: self.dir, log, client }
    }
}

/// A server that has begun to start.
struct Starting {
    host: Host,
    child: Child,
    /// What it has said, and nobody else.
    pub(super) log: Arc<Mutex<Vec<String>>>,
}

/// A server that takes requests.
struct Started {
    child: Child,
    pub(super) url: String,
    pub(super) admin_url: String,
}

impl Starting {
    /// Starts it; what it says goes to `log` too.
    fn spawn(host: Host, command: &mut Command, log: &Arc<Mutex<Vec<String>>>) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let own = Arc::new(Mutex::new(Vec::new()));
        let (kept, shared) = (Arc::clone(&own), Arc::clone(log));
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| {
                shared.lock().push(line.clone());
                kept.lock().push(line);
            });
        });
        Self { host, child, log: own }
    }

    fn ready(mut self) -> Started {
        let started = Instant::now();
        loop {
            if let Some((url, admin_url)) = self.host.urls(&self.log.lock()) {
                return Started { child: self.child, url, admin_url };
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the server ended with {status}: {:#?}", self.log.lock());
            }
            assert!(started.elapsed() < READY, "not ready: {:#?}", self.log.lock());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Setup {
    /// Begins to start a host in this folder, with these settings beside its own.
    fn ragtime(
        &self,
        folder: &Path,
        settings: &[(String, String)],
        log: &Arc<Mutex<Vec<String>>>,
    ) -> Starting {
        compiled::lend(folder);
        let mut command = binary();
        if let Some(limit) = self.limit {
            let mut shell = Command::new("sh");
            shell.args(["-c", "trap '' XFSZ; ulimit $0; exec \"$@\"", limit]);
            shell.arg(command.get_program());
            for (name, _) in command.get_envs() {
                shell.env_remove(name);
            }
            command = shell;
        }
        command
            .args(["serve", "--listen", &self.listen, "--log-format", "json", "--data-dir"])
            .arg(folder)
            .args(&self.arguments)
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        Starting::spawn(Host::Ragtime, &mut command, log)
    }

    /// Begins to start the hosts of a fleet.
    #[cfg(fleet)]
    fn hosts(&self, log: &Arc<Mutex<Vec<String>>>) -> Vec<Starting> {
        let settings = fleet::settings(self.dir.path());
        let folders = self.folders();
        folders.iter().map(|folder| self.ragtime(folder, &settings, log)).collect()
    }

    fn folders(&self) -> Vec<PathBuf> {
        folders(self.host, self.dir.path())
    }
}

/// The data folders of a server whose folder this is.
pub(super) fn folders(host: Host, dir: &Path) -> Vec<PathBuf> {
    match host {
        Host::Ragtime | Host::Stock => vec![dir.to_owned()],
        #[cfg(fleet)]
        Host::Fleet => fleet::folders(dir),
    }
}

impl Host {
    /// Where the server that logged this serves, and its admin API.
    fn urls(self, log: &[String]) -> Option<(String, String)> {
        let said = |words: &str| {
            log.iter()
                .find_map(|line| Some(line.strip_prefix(words)?.split(' ').next()?.to_owned()))
        };
        match self {
            #[cfg(fleet)]
            Self::Fleet => None,
            Self::Ragtime => said("Ragtime is ready on ").zip(said("The admin API is on ")),
            Self::Stock => {
                let url = said("Serving HTTP on ")?;
                Some((url.trim_end_matches('/').to_owned(), String::new()))
            }
        }
    }
}
