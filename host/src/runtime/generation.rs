//! One compiled handler and the instances that run it.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use lru::LruCache;
use tokio_util::sync::WaitForCancellationFutureOwned;
use wasmtime::component::{Component, GuestTaskId, Linker};
use wasmtime::{AsContextMut, CallHook, Store, StoreContextMut, UpdateDeadline};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{
    ExpirationError, HandlerState, Instance, InstantiationError, ProxyHandler, ProxyPre, Request,
    Response, ShouldAccept, TrapOrPanicError, WorkerExpiration, WorkerState, WorkerStatus,
};

use super::background::Background;
use super::engine::{Compiled, TICK};
use super::life::Life;
use super::lost::{self, Cause};
use super::memory::Held;
use super::request::{Fate, RequestContext};
use super::state::InstanceState;
use crate::config::{self, Isolation};
use crate::services::Services;
use crate::telemetry::{Lost, Route, Templates};

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
        let mut tenants = self.tenants.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
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

/// The requests that an instance takes.
#[derive(Clone, Copy)]
struct Use {
    /// From its beginning to its end.
    in_all: usize,
    at_once: usize,
}

impl Use {
    /// One request, and never another.
    const ONCE: Self = Self { in_all: 1, at_once: 1 };
}

/// Makes instances of one component.
struct Pool {
    pre: ProxyPre<InstanceState>,
    services: Arc<Services>,
    bounds: config::Handler,
    life: Arc<Life>,
    request_timeout: Duration,
    requests: Use,
}

impl Clone for Pool {
    fn clone(&self) -> Self {
        let pre = match &self.pre {
            ProxyPre::P2(pre) => ProxyPre::P2(pre.clone()),
            ProxyPre::P3(pre) => ProxyPre::P3(pre.clone()),
        };
        Self {
            pre,
            services: Arc::clone(&self.services),
            bounds: self.bounds.clone(),
            life: Arc::clone(&self.life),
            ..*self
        }
    }
}

impl HandlerState for Pool {
    type StoreData = InstanceState;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<InstanceState, Expiration, Worker>> {
        let engine = match &self.pre {
            ProxyPre::P2(pre) => pre.engine(),
            ProxyPre::P3(pre) => pre.engine(),
        };
        let state = InstanceState::new(Arc::clone(&self.services), &self.bounds);
        let held = state.limits.held();
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.limits);
        let tick = u64::try_from(TICK.as_millis()).unwrap_or(1).max(1);
        let most_ticks = self.bounds.max_cpu_ms / tick;
        store.epoch_deadline_callback(move |mut store| {
            let state = store.data_mut();
            state.busy_ticks += 1;
            if state.busy_ticks > most_ticks {
                blame_running(&mut store);
                return Ok(UpdateDeadline::Interrupt);
            }
            Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        // A tick counts when it finds the handler at work, not when it passed while
        // the handler waited: a stream that wakes for a moment at each token is no
        // busy one.
        store.call_hook(|mut store, transition| {
            match transition {
                CallHook::CallingWasm => store.set_epoch_deadline(1),
                CallHook::ReturningFromWasm
                | CallHook::CallingHost
                | CallHook::ReturningFromHost => {}
            }
            Ok(())
        });
        let proxy = self.pre.instantiate_async(store.as_context_mut()).await?;
        let requests = Arc::new(Requests::default());
        Ok(Instance {
            store,
            proxy,
            view: WasiHttpView::http,
            expiration: Expiration {
                idle: Duration::from_millis(self.bounds.idle_timeout_ms),
                request: self.request_timeout,
                sleep: Box::pin(tokio::time::sleep(self.request_timeout)),
                retired: Box::pin(self.life.retired.entered()),
                overdue: Box::pin(self.life.overdue.entered()),
                life: Arc::clone(&self.life),
                waker: None,
                requests: Arc::clone(&requests),
            },
            state: Worker {
                requests,
                most: self.requests,
                request_timeout: self.request_timeout,
                held,
                max_kept_memory_bytes: self.bounds.max_kept_memory_bytes,
            },
        })
    }
}

/// Notes which request the instance works on at this moment.
fn blame_running(store: &mut StoreContextMut<'_, InstanceState>) {
    let tasks: Vec<_> = match store.async_call_stack() {
        Ok(tasks) => tasks.collect(),
        // Nobody is to blame, and each runs again by itself.
        Err(_) => return,
    };
    if let Some(request) = store.data_mut().capabilities().request_of(&tasks) {
        request.set_to_blame();
    }
}

/// Ends instances that have no work, whose event loop a busy handler keeps from
/// noticing a deadline, or whose generation has ended.
struct Expiration {
    idle: Duration,
    request: Duration,
    sleep: Pin<Box<tokio::time::Sleep>>,
    retired: Pin<Box<WaitForCancellationFutureOwned>>,
    overdue: Pin<Box<WaitForCancellationFutureOwned>>,
    life: Arc<Life>,
    /// The one that `retired` and `overdue` will wake.
    waker: Option<Waker>,
    requests: Arc<Requests>,
}

impl Expiration {
    /// Has the ends of the generation's life wake `cx`.
    fn register(&mut self, cx: &mut Context<'_>) {
        if self.waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            let _ = self.retired.as_mut().poll(cx);
            let _ = self.overdue.as_mut().poll(cx);
            self.waker = Some(cx.waker().clone());
        }
    }

    /// Resolves at `deadline`. An alarm that is set for an earlier time is left
    /// as it is, and set again when it rings: deadlines move with every request,
    /// and few are ever met.
    fn poll_until(&mut self, deadline: tokio::time::Instant, cx: &mut Context<'_>) -> Poll<()> {
        if deadline < self.sleep.deadline() {
            self.sleep.as_mut().reset(deadline);
        }
        while self.sleep.as_mut().poll(cx).is_ready() {
            if self.sleep.deadline() >= deadline {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

/// The requests of an instance, those that have been answered included.
#[derive(Default)]
struct Requests(Mutex<Vec<Weak<RequestContext>>>);

impl Requests {
    fn begin(&self, request: &Arc<RequestContext>) {
        let mut requests = self.lock();
        requests.retain(|request| request.strong_count() > 0);
        requests.push(Arc::downgrade(request));
    }

    /// Whether some client still waits for something.
    fn any(&self) -> bool {
        self.lock().iter().any(|request| request.strong_count() > 0)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<RequestContext>>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl WorkerExpiration for Expiration {
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        status: WorkerStatus,
        start: Instant,
    ) -> Poll<()> {
        self.register(cx);
        if self.life.overdue.is_entered()
            || status == WorkerStatus::Idle && self.life.retired.is_entered()
        {
            return Poll::Ready(());
        }
        let allowed = match status {
            WorkerStatus::Idle => self.idle,
            WorkerStatus::Requests => self.request,
            // Nobody waits any more for what the handler still does.
            WorkerStatus::PostReturn if !self.requests.any() => self.idle,
            // A response is on its way out; the ingress bounds how long it takes.
            // Look again whether it has arrived.
            WorkerStatus::PostReturn => start.elapsed() + self.idle,
        };
        self.poll_until((start + allowed).into(), cx)
    }
}

/// The rules of one instance.
struct Worker {
    requests: Arc<Requests>,
    most: Use,
    request_timeout: Duration,
    held: Arc<Held>,
    max_kept_memory_bytes: usize,
}

impl WorkerState for Worker {
    type StoreData = InstanceState;
    type RequestData = Arc<RequestContext>;

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        // A linear memory never shrinks: only an instance's end gives it back.
        if total >= self.most.in_all || self.held.bytes() > self.max_kept_memory_bytes {
            ShouldAccept::Never
        } else if concurrent >= self.most.at_once {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        mut store: StoreContextMut<'_, InstanceState>,
        request: Arc<RequestContext>,
        task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        request.set_handler_deadline(Instant::now() + self.request_timeout);
        store.data_mut().begin(task, &request);
        self.requests.begin(&request);
        Box::pin(tokio::time::sleep(self.request_timeout))
    }

    fn drop(&self, store: Store<InstanceState>, result: Result<(), wasmtime::Error>) {
        if let Err(error) = result {
            let requests: Vec<_> = store.data().requests().collect();
            if let [request] = requests.as_slice() {
                request.set_to_blame();
            }
            let cause = lost::cause(&error);
            let fate = match cause {
                Cause::Interrupted => Fate::Overran,
                Cause::Outlived => Fate::TimedOut,
                Cause::Trapped | Cause::Panicked if self.held.is_starved() => Fate::Starved,
                Cause::Trapped | Cause::Panicked if self.held.is_outgrown() => Fate::Outgrew,
                Cause::Trapped | Cause::Panicked => Fate::Trapped,
            };
            for request in &requests {
                request.set_fate(fate);
            }
            // At the end of the process instances go as they are.
            if requests.is_empty() && store.data().draining() {
                return;
            }
            let lost = Lost::from(cause);
            let blame = if lost == Lost::Panic { "host" } else { "guest" };
            store.data().telemetry().metrics.instance_lost(lost);
            let ids: Vec<_> = requests.iter().map(|request| request.id.as_str()).collect();
            // The chain below the first line may quote what the handler said.
            tracing::error!(blame, requests = ids.join(","), error = %error, "an instance was lost");
            tracing::debug!(error = ?error, "an instance was lost");
        }
    }
}
