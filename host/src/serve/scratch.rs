//! Servers in folders that are thrown away, for measurements and rehearsals.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::bind;
use super::error::ServeError;
use super::first_key::admin_key;
use crate::blocking::blocking;
use crate::config::{self, Settings};
use crate::keyring::Actor;
use crate::model;
use crate::services::Services;
use crate::{cli, logging};

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
