//! Has a generation answer a request: on trial, in a shared instance or in one of its
//! own, and once more when the instance was lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Response;
use tokio::time::timeout;
use wasmtime_wasi_http::WasiBody;

use super::handler_request::HandlerRequest;
use super::handler_response::HandlerResponse;
use super::problem::Problem;
use super::quarantine::Quarantine;
use super::rescue::{Rescue, Run, may_repeat, rescue};
use crate::config;
use crate::runtime::generation::{Generation, HandlerFailure};
use crate::runtime::request::{Fate, RequestContext};
use crate::runtime::routing::{Choice, Routing};
use crate::telemetry::Telemetry;

/// How long to wait before asking again for an instance when all are taken.
const INSTANCE_RETRY: Duration = Duration::from_millis(10);

/// The longest response that is taken whole before its head goes out: answers
/// and searches are some kilobytes, and long texts had better begin at once.
const MAX_WHOLE_BYTES: usize = 64 * 1024;

/// The longest response to a request without a key that is taken whole: all that such
/// a request gets is shorter.
const MAX_WHOLE_OPEN_BYTES: usize = 1024 * 1024;

/// Hands requests to generations.
pub struct Dispatcher {
    routing: Arc<Routing>,
    telemetry: Arc<Telemetry>,
    quarantine: Quarantine,
    queue_timeout: Duration,
    request_timeout: Duration,
    heavy_bytes: usize,
}

/// The instance that a request runs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instance {
    /// Other requests may be at work in it.
    Shared,
    /// Nobody else's request is ever in it: for second runs.
    Own,
    /// Nobody else's request is ever in it, and it has the bounds of heavy requests.
    Heavy,
}

impl Dispatcher {
    /// A dispatcher to what `routing` says, within the limits of the settings.
    pub fn new(
        routing: Arc<Routing>,
        telemetry: Arc<Telemetry>,
        settings: &config::Settings,
    ) -> Self {
        Self {
            routing,
            telemetry,
            quarantine: Quarantine::new(&settings.handler),
            queue_timeout: Duration::from_millis(settings.server.queue_timeout_ms),
            request_timeout: Duration::from_millis(settings.server.request_timeout_ms),
            heavy_bytes: settings.handler.solitary_body_bytes,
        }
    }

    /// Runs the request where it was sent. When that is a candidate, notes how the
    /// candidate did; a request that it loses without having changed something is
    /// answered by the active generation.
    ///
    /// # Errors
    ///
    /// Why no handler answered.
    pub async fn dispatch(
        &self,
        choice: Choice,
        context: &Arc<RequestContext>,
        request: &HandlerRequest,
    ) -> Result<(HandlerResponse, Choice), Problem> {
        let Some(arm) = choice.arm() else {
            let response = self.run(&choice.generation, context, request).await?;
            return Ok((response, choice));
        };
        let started = Instant::now();
        let answer = self.run(&choice.generation, context, request).await;
        let failed = match &answer {
            Ok(response) => response.head().0.is_server_error(),
            Err(problem) => problem.is_the_handlers(),
        };
        arm.note(started.elapsed(), failed);
        match choice.fallback(&self.routing).filter(|_| failed && !context.wrote()) {
            Some(fallback) => {
                context.set_fate(Fate::Running);
                let response = self.run(&fallback.generation, context, request).await?;
                Ok((response, fallback))
            }
            None => Ok((answer?, choice)),
        }
    }

    /// Runs the request in one generation, as often as [`rescue`] says.
    async fn run(
        &self,
        generation: &Generation,
        context: &Arc<RequestContext>,
        request: &HandlerRequest,
    ) -> Result<HandlerResponse, Problem> {
        let mut is_second = false;
        let mut instance = if request.is_heavy(self.heavy_bytes) {
            Instance::Heavy
        } else if context.is_quarantined() {
            Instance::Own
        } else {
            Instance::Shared
        };
        if instance != Instance::Shared {
            // Parsing takes seconds, and so does the wait for others' to end.
            self.quarantine(context, self.request_timeout).await?;
        }
        let give_up = Instant::now() + self.queue_timeout;
        loop {
            let failure = match self.run_once(instance, generation, context, request).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            let fate = match failure {
                HandlerFailure::Lost => context.fate_of_lost().await,
                HandlerFailure::Full | HandlerFailure::Deadline | HandlerFailure::Failed(_) => {
                    context.fate()
                }
            };
            let run = Run {
                may_wait: Instant::now() < give_up,
                is_second,
                is_to_blame: instance != Instance::Shared || context.is_to_blame(),
                wrote: context.wrote(),
                may_repeat: may_repeat(context, request.parts()),
                fate,
            };
            match rescue(&failure, run) {
                Rescue::Wait => tokio::time::sleep(INSTANCE_RETRY).await,
                Rescue::RunApart => {
                    self.quarantine(context, self.queue_timeout).await?;
                    context.set_fate(Fate::Running);
                    self.telemetry.metrics.rerun();
                    is_second = true;
                    if instance == Instance::Shared {
                        instance = Instance::Own;
                    }
                }
                Rescue::Refuse(problem) => {
                    log(&failure, context);
                    return Err(problem);
                }
            }
        }
    }

    async fn run_once(
        &self,
        instance: Instance,
        generation: &Generation,
        context: &Arc<RequestContext>,
        request: &HandlerRequest,
    ) -> Result<HandlerResponse, HandlerFailure> {
        let (own, copy) = (Arc::clone(context), request.copy());
        let response = match instance {
            Instance::Shared => generation.handle(own, copy).await?,
            Instance::Own => generation.handle_alone(own, copy).await?,
            Instance::Heavy => generation.handle_heavy(own, copy).await?,
        };
        self.whole_if_short(context, request, response).await
    }

    async fn whole_if_short(
        &self,
        context: &RequestContext,
        request: &HandlerRequest,
        response: Response<WasiBody>,
    ) -> Result<HandlerResponse, HandlerFailure> {
        let most = if context.tenant().is_empty() { MAX_WHOLE_OPEN_BYTES } else { MAX_WHOLE_BYTES };
        let whole = HandlerResponse::of(&request.parts().method, response, most);
        timeout(self.request_timeout, whole).await.unwrap_or(Err(HandlerFailure::Deadline))
    }

    /// Waits up to `max_wait` until the request may run apart, unless it may already.
    async fn quarantine(
        &self,
        context: &RequestContext,
        max_wait: Duration,
    ) -> Result<(), Problem> {
        if !context.is_quarantined() {
            context.quarantine(self.quarantine.enter(context.tenant(), max_wait).await?);
        }
        Ok(())
    }
}

/// Writes down what a handler itself says of its failure; the others are logged where an
/// instance is lost.
fn log(failure: &HandlerFailure, context: &RequestContext) {
    if let HandlerFailure::Failed(reason) = failure {
        tracing::error!(blame = "guest", request_id = context.id, reason, "the handler failed");
    }
}
