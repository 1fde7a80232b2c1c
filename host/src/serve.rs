//! Starting and ending a server. Everything that can fail fails before the
//! port is bound.

mod error;
mod first_key;
mod handler;
mod scratch;

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use std::{fs, io};

use ragtime_policy::key::Credential;
use ragtime_store::Store;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::admin::Admin;
use crate::blocking::{Panicked, blocking};
use crate::config::Settings;
use crate::keyring::{Budgets, Keyring};
use crate::model::{self, Embeddings, Rerankers};
use crate::runtime::engine;
use crate::server::clients::Clients;
use crate::server::ingress::{Ingress, Pipeline};
use crate::services::Services;
use crate::tls::{self, Listener};
use crate::{backup, cli, logging, panics, rechunker, server, signal};
pub use error::ServeError;
use first_key::{FIRST_KEY_FILE, first_key, show_first_key};
pub use handler::BUILT_IN_HANDLER;
use handler::Component;
pub use scratch::{Scratch, on_copy, scratch};

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
        Some(reason) => Err(ServeError::RestartNeeded(reason)),
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

/// Fetches the embedding model.
pub fn fetch_model(settings: &Settings) -> Result<(), ServeError> {
    model::fetch(&settings.model)?;
    cli::out::note(&format!("the embedding model is in {}", settings.model.dir.display()));
    Ok(())
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
                fleet: settings.fleet.store(settings.fleet.name_at(settings.server.listen)),
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
    let budgets = Budgets::new(&settings.fleet)?;
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
    keyring.connect_budgets().await?;
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
    // Port 0 is another by now.
    services.store.set_host_name(settings.fleet.name_at(address));
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
