//! One compiled handler and the instances that run it.

mod pool;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lru::LruCache;
use parking_lot::Mutex;
use wasmtime::component::{Component, Linker};
use wasmtime_wasi_http::handler::{
    ExpirationError, InstantiationError, ProxyHandler, ProxyPre, Request, Response,
    TrapOrPanicError,
};

use super::background::Background;
use super::engine::Compiled;
use super::life::Life;
use super::request::RequestContext;
use super::state::InstanceState;
use crate::config::{self, Isolation};
use crate::services::Services;
use crate::telemetry::{Route, Templates};
use pool::{Pool, Use};

/// A handler that can take requests. Replaced as a whole: a request stays on
/// the generation it began on.
pub struct Generation {
    /// Counts up, across restarts too.
    pub id: u64,
    /// Where the component came from, for people.
    pub label: String,
    /// SHA-256 of the component, lower-case hex.
    pub sha256: String,
    /// Size of the component.
    pub bytes: usize,
    /// The interfaces it imports.
    pub imports: BTreeSet<String>,
    /// Its requests, and its end.
    pub life: Arc<Life>,
    /// Its routes, once the handler has described them.
    templates: OnceLock<Templates>,
    shared: ProxyHandler<Pool>,
    /// The same for each tenant, made at its first request.
    tenants: Mutex<LruCache<String, ProxyHandler<Pool>>>,
    isolation: Isolation,
    /// One request per instance: where a request goes whose instance was lost
    /// through no proven fault of its own.
    quarantine: ProxyHandler<Pool>,
    /// One request per instance, with the bounds of heavy requests.
    heavy: ProxyHandler<Pool>,
    background: Arc<Background>,
}

/// What generations are made with.
pub struct GenerationFactory {
    linker: Linker<InstanceState>,
    services: Arc<Services>,
    bounds: config::Handler,
    request_timeout: Duration,
    /// Where requests run that have an instance of their own.
    background: Arc<Background>,
}

/// Why a handler gave no response.
#[derive(Debug, thiserror::Error)]
pub enum HandlerFailure {
    /// Every instance slot is taken.
    #[error("no instance is free")]
    Full,
    /// No response within the deadline.
    #[error("the handler did not answer in time")]
    Deadline,
    /// The instance was lost before it answered, by this request's fault or
    /// another's.
    #[error("the instance was lost")]
    Lost,
    /// The handler returned an error.
    #[error("the handler failed: {0}")]
    Failed(String),
}

impl GenerationFactory {
    /// Generations made here share `services`, the bounds and the threads in the
    /// background.
    ///
    /// # Errors
    ///
    /// When the operating system has no threads for it.
    pub fn new(
        linker: Linker<InstanceState>,
        services: Arc<Services>,
        settings: &config::Settings,
    ) -> std::io::Result<Self> {
        Ok(Self {
            linker,
            services,
            bounds: settings.handler.clone(),
            request_timeout: Duration::from_millis(settings.server.request_timeout_ms),
            background: Arc::new(Background::start()?),
        })
    }

    /// Links a component. Errors name the import that is missing or has another
    /// type.
    pub fn build(&self, id: u64, label: &str, compiled: &Compiled) -> wasmtime::Result<Generation> {
        let component = &compiled.component;
        let life = Arc::new(Life::default());
        Ok(Generation {
            id,
            label: label.to_owned(),
            sha256: compiled.sha256.clone(),
            bytes: compiled.bytes,
            imports: imports(component),
            shared: self.pool(component, &life, &self.bounds, self.shared_use())?,
            tenants: Mutex::new(LruCache::new(MAX_TENANT_POOLS)),
            isolation: self.bounds.isolation,
            quarantine: self.pool(component, &life, &self.bounds, Use::ONCE)?,
            heavy: self.pool(component, &life, &self.bounds.heavy(), Use::ONCE)?,
            background: Arc::clone(&self.background),
            life,
            templates: OnceLock::new(),
        })
    }

    fn shared_use(&self) -> Use {
        Use {
            in_all: self.bounds.max_instance_reuse,
            at_once: self.bounds.max_requests_per_instance,
        }
    }

    fn pool(
        &self,
        component: &Component,
        life: &Arc<Life>,
        bounds: &config::Handler,
        requests: Use,
    ) -> wasmtime::Result<ProxyHandler<Pool>> {
        let pre = self.linker.instantiate_pre(component)?;
        let (pre, at_once) = match wasmtime_wasi_http::p3::bindings::ServicePre::new(pre.clone()) {
            Ok(service) => (ProxyPre::P3(service), requests.at_once),
            // WASI 0.2 has no way to run two requests in one instance at once.
            Err(_) => (ProxyPre::P2(wasmtime_wasi_http::p2::bindings::ProxyPre::new(pre)?), 1),
        };
        Ok(ProxyHandler::new(Pool {
            pre,
            services: Arc::clone(&self.services),
            bounds: bounds.clone(),
            life: Arc::clone(life),
            request_timeout: self.request_timeout,
            requests: Use { at_once, ..requests },
        }))
    }
}

fn imports(component: &Component) -> BTreeSet<String> {
    let ty = component.component_type();
    ty.imports(component.engine()).map(|(name, _)| name.to_owned()).collect()
}

impl Generation {
    /// Notes the paths of its own description of its API.
    pub fn set_paths(&self, paths: &serde_json::Map<String, serde_json::Value>) {
        let _ = self.templates.set(Templates::new(paths));
    }

    /// The template that a path follows, as far as the handler has described its routes.
    pub fn route(&self, path: &str) -> Route {
        self.templates.get().map_or_else(Route::default, |templates| templates.find(path))
    }

    /// Runs a request in an instance shared with those it may share one with.
    pub async fn handle(
        &self,
        context: Arc<RequestContext>,
        request: Request,
    ) -> Result<Response, HandlerFailure> {
        let answer = match self.isolation {
            Isolation::Shared => self.shared.handle(context, request).await,
            Isolation::PerTenant => self.tenant(context.tenant()).handle(context, request).await,
            Isolation::PerRequest => self.quarantine.handle(context, request).await,
        };
        answer.map_err(failure)
    }

    /// The instances of one tenant. Those of a tenant that is forgotten end when
    /// they have no work.
    fn tenant(&self, tenant: &str) -> ProxyHandler<Pool> {
        let mut tenants = self.tenants.lock();
        let fresh = || ProxyHandler::new(self.shared.state().clone());
        tenants.get_or_insert_ref(tenant, fresh).clone()
    }

    /// Runs a request in an instance of its own, in the background.
    pub async fn handle_alone(
        &self,
        context: Arc<RequestContext>,
        request: Request,
    ) -> Result<Response, HandlerFailure> {
        self.in_background(&self.quarantine, context, request).await
    }

    /// Runs a heavy request in an instance of its own, in the background.
    pub async fn handle_heavy(
        &self,
        context: Arc<RequestContext>,
        request: Request,
    ) -> Result<Response, HandlerFailure> {
        self.in_background(&self.heavy, context, request).await
    }

    async fn in_background(
        &self,
        pool: &ProxyHandler<Pool>,
        context: Arc<RequestContext>,
        request: Request,
    ) -> Result<Response, HandlerFailure> {
        let pool = pool.clone();
        let work = async move { pool.handle(context, request).await };
        match self.background.run(work).await {
            Some(answer) => answer.map_err(failure),
            None => Err(HandlerFailure::Failed("the host failed or is at its end".to_owned())),
        }
    }
}

fn failure(error: wasmtime::Error) -> HandlerFailure {
    if error.is::<InstantiationError<Arc<RequestContext>>>() {
        HandlerFailure::Full
    } else if error.is::<ExpirationError>() {
        HandlerFailure::Deadline
    } else if error.is::<TrapOrPanicError>() {
        HandlerFailure::Lost
    } else {
        HandlerFailure::Failed(format!("{error:#}"))
    }
}

/// Tenants of a generation whose instances are distinguished at once. One takes
/// about 1 kB beside its instances.
const MAX_TENANT_POOLS: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();
