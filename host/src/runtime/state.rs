//! What the host keeps beside one instance of a handler.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use wasmtime::component::{GuestTaskId, HasData, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use super::memory::MemoryLimits;
use super::request::RequestContext;
use crate::config;
use crate::services::Services;
use crate::telemetry::{Alive, Telemetry};

/// The store data of an instance: a WASI context with nothing in it, the
/// resources handed out, and the requests at work.
pub struct InstanceState {
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: NoOutgoingCalls,
    table: ResourceTable,
    /// Bounds of memory.
    pub limits: MemoryLimits,
    services: Arc<Services>,
    requests: HashMap<GuestTaskId, Weak<RequestContext>>,
    /// Epoch ticks spent in the handler since it last took a request.
    pub busy_ticks: u64,
    /// Log lines of no request since then: of work that goes on after its
    /// response.
    stray_log_lines: u32,
    _alive: Alive,
}

impl InstanceState {
    /// A state with no files, no environment, no network and no clock but time.
    pub fn new(services: Arc<Services>, bounds: &config::Handler) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(bounds.max_handles);
        Self {
            wasi: WasiCtxBuilder::new().build(),
            http: WasiHttpCtx::new(),
            hooks: NoOutgoingCalls,
            table,
            limits: MemoryLimits::new(Arc::clone(&services.memory), bounds.max_memory_bytes),
            _alive: services.telemetry.metrics.instance(),
            services,
            requests: HashMap::new(),
            busy_ticks: 0,
            stray_log_lines: 0,
        }
    }

    /// Ties a request to the task that works on it.
    pub fn begin(&mut self, task: GuestTaskId, request: &Arc<RequestContext>) {
        self.requests.retain(|_, request| request.strong_count() > 0);
        self.requests.insert(task, Arc::downgrade(request));
        self.busy_ticks = 0;
        self.stray_log_lines = 0;
    }

    /// Whether the server is going away, and instances with it.
    pub fn draining(&self) -> bool {
        self.services.draining()
    }

    /// What an operator sees.
    pub fn telemetry(&self) -> &Telemetry {
        &self.services.telemetry
    }

    /// The requests at work.
    pub fn requests(&self) -> impl Iterator<Item = Arc<RequestContext>> {
        self.requests.values().filter_map(Weak::upgrade)
    }

    /// What the capabilities work with.
    pub fn capabilities(&mut self) -> CapabilityView<'_> {
        CapabilityView {
            table: &mut self.table,
            services: &self.services,
            requests: &self.requests,
            stray_log_lines: &mut self.stray_log_lines,
        }
    }
}

/// What a capability may touch of an instance.
pub struct CapabilityView<'a> {
    /// Principals and permits handed out.
    pub table: &'a mut ResourceTable,
    /// What is shared by all instances.
    pub services: &'a Arc<Services>,
    requests: &'a HashMap<GuestTaskId, Weak<RequestContext>>,
    stray_log_lines: &'a mut u32,
}

impl CapabilityView<'_> {
    /// The request of one of these tasks.
    pub fn request_of(&self, tasks: &[GuestTaskId]) -> Option<Arc<RequestContext>> {
        tasks.iter().find_map(|task| self.requests.get(task)?.upgrade())
    }

    /// Counts a log line that belongs to no request, and returns how many came
    /// before it since the instance last took one.
    pub fn count_stray_log_line(&mut self) -> u32 {
        let before = *self.stray_log_lines;
        *self.stray_log_lines = before.saturating_add(1);
        before
    }
}

/// Marks the capabilities' access to [`InstanceState`].
pub struct Capabilities;

impl HasData for Capabilities {
    type Data<'a> = CapabilityView<'a>;
}

impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for InstanceState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.hooks, table: &mut self.table, ctx: &mut self.http }
    }
}

/// A handler reaches nothing by itself: every outgoing request is denied.
struct NoOutgoingCalls;

type Outgoing = (http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl WasiHttpHooks for NoOutgoingCalls {
    fn send_request(
        &mut self,
        _request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _done: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Outgoing, Error>> + Send> {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }
}
