//! Instances of one component: how each is made, what it takes, and when it ends.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio_util::sync::WaitForCancellationFutureOwned;
use wasmtime::component::GuestTaskId;
use wasmtime::{AsContextMut, CallHook, Store, StoreContextMut, UpdateDeadline};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};

use crate::config;
use crate::runtime::engine::TICK;
use crate::runtime::life::Life;
use crate::runtime::lost::{self, Cause};
use crate::runtime::memory::Held;
use crate::runtime::request::{Fate, RequestContext};
use crate::runtime::state::InstanceState;
use crate::services::Services;
use crate::telemetry::Lost;

/// The requests that an instance takes.
#[derive(Clone, Copy)]
pub(super) struct Use {
    /// From its beginning to its end.
    pub(super) in_all: usize,
    pub(super) at_once: usize,
}

impl Use {
    /// One request, and never another.
    pub(super) const ONCE: Self = Self { in_all: 1, at_once: 1 };
}

/// Makes instances of one component.
pub(super) struct Pool {
    pub(super) pre: ProxyPre<InstanceState>,
    pub(super) services: Arc<Services>,
    pub(super) bounds: config::Handler,
    pub(super) life: Arc<Life>,
    pub(super) request_timeout: Duration,
    pub(super) requests: Use,
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
pub(super) struct Expiration {
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
        let mut requests = self.0.lock();
        requests.retain(|request| request.strong_count() > 0);
        requests.push(Arc::downgrade(request));
    }

    /// Whether some client still waits for something.
    fn any(&self) -> bool {
        self.0.lock().iter().any(|request| request.strong_count() > 0)
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
pub(super) struct Worker {
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
