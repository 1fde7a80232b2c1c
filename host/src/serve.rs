//! Starting and ending a server. Everything that can fail fails before the
//! port is bound.

mod handler;

use std::ffi::OsStr;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use std::{fs, io};

use ragtime_policy::bucket::{LEAST_BURST, Limits};
use ragtime_policy::key::Credential;
use ragtime_policy::scope::{Scope, Scopes};
use ragtime_store::{OpenError, Store};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::admin::Admin;
use crate::backup;
use crate::blocking::{Panicked, blocking};
use crate::config::{self, ConfigError, Secret, Settings};
use crate::keyring::{self, Actor, Budgets, Change, Keyring, KeyringError, NewKey};
use crate::model::{self, Embeddings, Rerankers};
use crate::panics;
use crate::runtime::engine;
use crate::server;
use crate::server::clients::Clients;
use crate::server::ingress::{Ingress, Pipeline};
use crate::services::Services;
use crate::tls::{self, Listener};
use crate::{cli, logging, rechunker, signal};
pub use handler::BUILT_IN_HANDLER;
use handler::Component;

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The settings cannot be read.
    #[error("the settings cannot be used: {0}")]
    Config(#[from] ConfigError),
    /// The log level cannot be understood.
    #[error(transparent)]
    Log(#[from] logging::InvalidLevel),
    /// The store cannot be opened.
    #[error("the store cannot be opened: {0}")]
    Open(#[from] OpenError),
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(#[from] ragtime_store::Error),
    /// The first key could not be made.
    #[error("the first key could not be made: {0}")]
    Key(#[from] KeyringError),
    /// The settings of a model.
    #[error(transparent)]
    Models(#[from] crate::config::InvalidModel),
    /// A model that cannot be waited for.
    #[error(transparent)]
    ModelStart(#[from] model::StartError),
    /// A listener cannot speak TLS.
    #[error(transparent)]
    Tls(#[from] tls::StartError),
    /// `auth.bootstrap_key` is not a key.
    #[error("auth.bootstrap_key is not of the form rt_ID_SECRET")]
    BootstrapKey,
    /// `auth.burst` never pays for an answer.
    #[error(
        "auth.burst is {0} and must be at least {LEAST_BURST}, which is what an answer costs: no \
         key with it could ever ask for one"
    )]
    Burst(u32),
    /// `auth.rate_per_minute` gives nothing back.
    #[error("auth.rate_per_minute must be at least 1, or what a key has spent never comes back")]
    Rate,
    /// The handler's file cannot be read.
    #[error("the handler {path} cannot be read: {error}")]
    HandlerFile {
        /// The file.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// The handler does not compile, or asks for what the host does not have.
    #[error("the handler cannot be served: {0:#}")]
    Handler(wasmtime::Error),
    /// The handler that served last is not where it was kept.
    #[error("the handler that served last, {0}, is not kept any more")]
    HandlerGone(String),
    /// The engine cannot start.
    #[error("the WebAssembly engine cannot start: {0:#}")]
    Engine(wasmtime::Error),
    /// The port is taken, or not ours to take.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The client for the language model cannot be set up.
    #[error("the client for generator.url cannot be set up: {0}")]
    Generator(#[from] reqwest::Error),
    /// The handler that served last cannot be read.
    #[error("the handler that served last cannot be read: {0}")]
    Handlers(#[from] crate::swap::SwapError),
    /// The embedding model could not be fetched.
    #[error("the embedding model could not be fetched: {0}")]
    Model(#[from] ragtime_embed::files::FetchError),
    /// The Redis of the fleet cannot be used.
    #[error("fleet.redis is not the URL of a Redis: {0}")]
    Redis(redis::RedisError),
    /// Backups are wanted, and cannot be made by the settings.
    #[error("backups cannot be made: {0}")]
    Backup(#[from] backup::BackupError),
    /// The host of a fleet cannot go on with what it has.
    #[error("this host has to be started again: {0}")]
    StartedAnew(String),
    /// A step of the start panicked.
    #[error(transparent)]
    Panicked(#[from] Panicked),
    /// The operating system refused something else.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ServeError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Config(_) => Some("ragtime.example.toml lists every setting with its default"),
            Self::Open(OpenError::Fleet(_) | OpenError::NotOfFleet | OpenError::OfFleet) => {
                Some("docs/fleet.md says what hosts of a fleet need")
            }
            Self::Open(_) => Some("set data.dir (or --data-dir) to a folder this user may write"),
            Self::Tls(start) => Some(start.error.hint()),
            Self::Handler(_) => Some("the world a handler targets is in wit/world.wit"),
            Self::StartedAnew(_) => Some("start it again: it takes what the others have"),
            Self::HandlerGone(_) => Some(
                "--handler FILE.wasm serves another, --handler built-in the one in this binary",
            ),
            Self::Listen { .. } => {
                Some("port 0 takes a free port: --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0")
            }
            _ => None,
        }
    }
}

/// A server whose port is bound.
struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    ingress: Arc<Ingress>,
    admin_listener: TcpListener,
    admin_address: SocketAddr,
    admin: Arc<Admin>,
    services: Arc<Services>,
    settings: Arc<Settings>,
    /// Shown once, on the first start.
    first_key: Option<Credential>,
}

/// Serves until SIGTERM or Ctrl-C.
pub async fn run(settings: Settings) -> Result<(), ServeError> {
    let started = Instant::now();
    logging::start(&settings.log)?;
    let bound = bind(settings).await?;
    warn_of_exposure(&bound);
    cli::out::note(&format!(
        "Ragtime is ready on {} after {} ms",
        bound.url(Listener::Server, bound.address),
        started.elapsed().as_millis()
    ));
    let admin = bound.url(Listener::Admin, bound.admin_address);
    cli::out::note(&format!("The admin API is on {admin}"));
    cli::out::note(&format!("The console is on {admin}/console/"));
    if let Some(key) = &bound.first_key {
        show_first_key(key, &bound.settings.data.dir)?;
    }
    match bound.serve(signal::stopped()).await {
        Some(reason) => Err(ServeError::StartedAnew(reason)),
        None => Ok(()),
    }
}

/// Keys travel as they are, so without TLS whoever is on the way can read them.
fn warn_of_exposure(bound: &Bound) {
    let beyond = |listener, address: SocketAddr| {
        !address.ip().to_canonical().is_loopback() && bound.services.tls.of(listener).is_none()
    };
    if beyond(Listener::Server, bound.address) && bound.settings.server.trusted_proxies.is_empty() {
        tracing::warn!(
            address = %bound.address,
            "the server listens beyond this machine without TLS: set server.tls, or put a proxy \
             with TLS in front and name it in server.trusted_proxies, or listen on 127.0.0.1"
        );
    }
    if beyond(Listener::Admin, bound.admin_address) {
        tracing::warn!(
            address = %bound.admin_address,
            "the admin API listens beyond this machine without TLS: set admin.tls, or listen on \
             127.0.0.1 unless the network between is trusted"
        );
    }
}

/// Where the first key is put that nobody is there to see.
const FIRST_KEY_FILE: &str = "first-key";

/// Shows the first key to a person. A pipe or a file may be anybody's log, which
/// is kept and sent on: there the key goes into a file of its own.
fn show_first_key(key: &Credential, folder: &Path) -> io::Result<()> {
    if io::stderr().is_terminal() {
        cli::out::note("This admin key is shown once; only its hash is kept:");
        cli::out::note(&format!("  export RAGTIME_KEY={}", key.expose()));
        return Ok(());
    }
    let path = folder.join(FIRST_KEY_FILE);
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&path)?;
    writeln!(file, "{}", key.expose())?;
    file.sync_all()?;
    cli::out::note(&format!(
        "The first admin key is in {}: take it, and delete the file; only its hash is kept.",
        path.display()
    ));
    Ok(())
}

/// Fetches the embedding model.
pub fn fetch_model(settings: &Settings) -> Result<(), ServeError> {
    model::fetch(&settings.model)?;
    cli::out::note(&format!("the embedding model is in {}", settings.model.dir.display()));
    Ok(())
}

/// A server in a temporary folder, for measurements.
pub struct Scratch {
    /// Where it listens.
    pub url: String,
    /// Its admin key.
    pub key: String,
    /// What it serves from.
    pub services: Arc<Services>,
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<()>,
    _folder: Option<tempfile::TempDir>,
}

/// Starts a server in a temporary folder, on a free port of the loopback.
pub async fn scratch(mut settings: Settings) -> Result<Scratch, ServeError> {
    let folder = tempfile::tempdir()?;
    settings.data.dir = folder.path().to_owned();
    // Comparing modes takes the model, so here it is worth waiting for.
    let model = settings.model.clone();
    blocking(move || model::fetch(&model))
        .await?
        .map_or_else(|error| cli::out::note(&format!("lexical only: {error}")), |_| ());
    Ok(Scratch { _folder: Some(folder), ..start_scratch(settings).await? })
}

/// Starts a server on a copy of a data folder, on a free port of the loopback.
pub async fn on_copy(mut settings: Settings, data: &Path) -> Result<Scratch, ServeError> {
    settings.data.dir = data.to_owned();
    start_scratch(settings).await
}

async fn start_scratch(mut settings: Settings) -> Result<Scratch, ServeError> {
    settings.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.admin.listen = settings.server.listen;
    // A measurement is no host of a fleet.
    settings.fleet = config::Fleet::default();
    settings.server.tls = config::Tls::default();
    settings.admin.tls = config::Tls::default();
    settings.log.level = "warn".into();
    // A measurement must not measure the budget.
    settings.auth.rate_per_minute = u32::MAX;
    settings.auth.burst = u32::MAX;
    settings.auth.bootstrap_key = None;
    settings.backup.destination = None;
    logging::start(&settings.log)?;
    let bound = bind(settings).await?;
    let services = Arc::clone(&bound.services);
    services.embeddings.decided().await;
    let key = match &bound.first_key {
        Some(key) => key.expose(),
        // The keys of a copy are known by their hashes alone.
        None => {
            services.keyring.issue(Actor::Operator, admin_key(&bound.settings)).await?.1.expose()
        }
    };
    let url = format!("http://{}", bound.address);
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(async {
        // A measurement is no host of a fleet, and ends when its process is asked to.
        let _ = bound
            .serve(async {
                let _ = stopped.await;
            })
            .await;
    });
    Ok(Scratch { url, key, services, stop, served, _folder: None })
}

impl Scratch {
    /// Ends the server and removes its folder.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.served.await;
    }
}

impl Bound {
    /// Where a listener is reached.
    fn url(&self, listener: Listener, address: SocketAddr) -> String {
        let scheme = if self.services.tls.of(listener).is_some() { "https" } else { "http" };
        format!("{scheme}://{address}")
    }

    /// Returns why the server ended, if nobody asked it to.
    async fn serve(self, stop: impl Future<Output = ()>) -> Option<String> {
        let mut ended = None;
        let services = Arc::clone(&self.services);
        let (stop_admin, admin_stopped) = oneshot::channel();
        let stop = async {
            tokio::select! {
                () = stop => {}
                reason = services.store.ended() => ended = Some(reason),
            }
            services.start_draining();
            let _ = stop_admin.send(());
            tracing::info!("shutting down: no new connections, requests in flight finish");
        };
        let limits = &self.settings.server;
        let tls = |listener| self.services.tls.of(listener);
        self.services.tls.watch();
        tokio::join!(
            server::serve(self.listener, self.ingress, tls(Listener::Server), limits, stop),
            server::serve(self.admin_listener, self.admin, tls(Listener::Admin), limits, async {
                let _ = admin_stopped.await;
            }),
        );
        self.services.telemetry.flush().await;
        self.services.keyring.write_spent().await;
        self.services.store.close().await;
        ended
    }
}

/// What a server reads from its folder before it listens.
struct Opened {
    engine: wasmtime::Engine,
    first: handler::First,
    store: Store,
    keyring: Keyring,
}

/// Opens the store, and compiles the handler beside it. Blocking.
fn open(settings: &Settings, embeddings: &Embeddings) -> Result<Opened, ServeError> {
    let (started, store) = std::thread::scope(|scope| {
        // Compiling and opening the store have nothing to do with each other,
        // as long as the handler is the one that is most likely.
        let started = scope.spawn(|| start_engine(settings));
        let store = Store::open(
            &settings.data.dir,
            ragtime_store::Settings {
                models: embeddings.names(),
                default_model: embeddings.default_name().map(str::to_owned),
                fleet: settings.fleet.store(&settings.server.listen.to_string()),
                ..settings.data.store()
            },
        );
        (started.join(), store)
    });
    let store = store?;
    let (engine, likely) = match started {
        Ok(started) => started?,
        Err(_) => return Err(Panicked.into()),
    };
    let first = handler::first(&engine, likely, &store, settings)?;
    let budgets = Budgets::new(&settings.fleet).map_err(ServeError::Redis)?;
    let keyring = Keyring::open(store.clone(), budgets)?;
    Ok(Opened { engine, first, store, keyring })
}

async fn bind(settings: Settings) -> Result<Bound, ServeError> {
    let settings = Arc::new(settings);
    let of_settings = Arc::clone(&settings);
    let tls = blocking(move || tls::Prepared::read(&of_settings)).await??;
    backup::check(&settings.backup)?;
    let folder = settings.data.dir.clone();
    make_private(&folder)?;
    let embeddings = Arc::new(Embeddings::new(&settings)?);
    let (of_settings, of_models) = (Arc::clone(&settings), Arc::clone(&embeddings));
    let opened = blocking(move || open(&of_settings, &of_models)).await??;
    let Opened { engine, first, store, keyring } = opened;
    model::start(&settings, &embeddings, &store)?;
    let rerankers = Rerankers::start(&settings.models)?;
    let models = (embeddings, rerankers);
    let services = Arc::new(Services::new(store, keyring, models, tls, &settings)?);
    panics::watch(Arc::clone(&services.telemetry));
    let (routing, swaps) = handler::serve(engine, first, &services, &settings).await?;
    tokio::spawn(rechunker::run(Arc::clone(&routing), Arc::clone(&services)));
    tokio::spawn(backup::keep_backups(Arc::clone(&services), folder, settings.backup.clone()));
    let first_key = first_key(&services.keyring, &settings).await?;
    let clients = Arc::new(Clients::new(Arc::clone(&services), &settings));
    let pipeline = Pipeline::new(routing, &services, Arc::clone(&clients), &settings);
    let ingress = Arc::new(Ingress::new(pipeline, &settings.server.cors_origins));
    let admin = Admin::new(swaps, Arc::clone(&services), clients, Arc::clone(&ingress), &settings);
    tokio::spawn(admin.pulse().run());
    tokio::spawn(Arc::clone(&services).write_spent());
    let admin = Arc::new(admin);
    let (admin_listener, admin_address) = listen(settings.admin.listen).await?;
    let (listener, address) = listen(settings.server.listen).await?;
    Ok(Bound {
        listener,
        address,
        ingress,
        admin_listener,
        admin_address,
        admin,
        services,
        settings,
        first_key,
    })
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let refused = |error| ServeError::Listen { address, error };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    Ok((listener, address))
}

/// The folder holds documents and key hashes: nobody else's business. What older
/// versions left open to others in a folder that was there is closed; the folder
/// itself may be shared with other things, and stays as it is.
fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    #[cfg(unix)]
    for entry in fs::read_dir(folder)?.flatten() {
        if is_ours(&entry.file_name()) {
            close_to_others(&entry.path());
        }
    }
    Ok(())
}

/// Whether a server makes what has this name in its folder.
pub fn is_ours(name: &OsStr) -> bool {
    OURS.iter().any(|ours| name.to_string_lossy().starts_with(ours))
}

/// What the names begin with of that which a server makes in its folder.
const OURS: [&str; 6] = ["ragtime.sqlite", "index", "handlers", "compiled", "lock", FIRST_KEY_FILE];

/// Takes every right of others from a file or folder.
#[cfg(unix)]
fn close_to_others(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let Ok(found) = fs::symlink_metadata(path) else { return };
    let mode = found.permissions().mode();
    if found.is_symlink() || mode & 0o077 == 0 {
        return;
    }
    if let Err(error) = fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7700)) {
        tracing::warn!(%error, file = ?path.file_name(), "a file in the data folder is open to others");
    }
}

fn start_engine(settings: &Settings) -> Result<(wasmtime::Engine, Component), ServeError> {
    let engine = engine::start(&settings.handler).map_err(ServeError::Engine)?;
    let likely = Component::of_settings(&engine, settings)?;
    Ok((engine, likely))
}

/// On the first start there has to be a key, or nobody could make one. It is
/// returned when it was made here and nobody else knows it.
async fn first_key(
    keyring: &Keyring,
    settings: &Settings,
) -> Result<Option<Credential>, ServeError> {
    if settings.auth.burst < LEAST_BURST {
        return Err(ServeError::Burst(settings.auth.burst));
    }
    if settings.auth.rate_per_minute == 0 {
        return Err(ServeError::Rate);
    }
    let given = settings.auth.bootstrap_key.as_ref().map(Secret::expose);
    let given = given.map(Credential::parse).transpose().map_err(|_| ServeError::BootstrapKey)?;
    if !keyring.is_empty() {
        if let Some(given) = given {
            raise_budget(keyring, &given, settings).await?;
        }
        return Ok(None);
    }
    let new = admin_key(settings);
    match given {
        Some(credential) => {
            keyring.add_first(&credential, new).await?;
            Ok(None)
        }
        None => {
            let credential = keyring::random_credential().map_err(KeyringError::from)?;
            let made = keyring.add_first(&credential, new).await?;
            Ok(made.then_some(credential))
        }
    }
}

/// A key that may do everything.
fn admin_key(settings: &Settings) -> NewKey {
    NewKey {
        name: "first".into(),
        scopes: [Scope::Read, Scope::Write, Scope::Admin].into_iter().collect::<Scopes>(),
        collections: None,
        expires_at: None,
        limits: Limits {
            rate_per_minute: settings.auth.rate_per_minute,
            burst: settings.auth.burst,
        },
    }
}

/// Nobody grants more than they have, so an operator who allows more by the
/// settings needs a key that has it: the one of the settings, as long as it is
/// live and unlimited.
async fn raise_budget(
    keyring: &Keyring,
    given: &Credential,
    settings: &Settings,
) -> Result<(), ServeError> {
    let (rate_per_minute, burst) = (settings.auth.rate_per_minute, settings.auth.burst);
    let Ok(key) = keyring.authenticate(&given.expose()) else { return Ok(()) };
    let record = &key.record;
    let lower = record.rate_per_minute < rate_per_minute || record.burst < burst;
    if !record.is_unlimited() || !lower {
        return Ok(());
    }
    let change = Change {
        rate_per_minute: Some(rate_per_minute.max(record.rate_per_minute)),
        burst: Some(burst.max(record.burst)),
        ..Change::default()
    };
    keyring.update(Actor::Operator, record.id.as_str(), change).await?;
    Ok(())
}
