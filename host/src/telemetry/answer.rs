//! What is recorded of an answer: how long it took, its tokens, its span.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use serde_json::json;

use super::trace::{Span, SpanKind, TraceContext};
use super::{Telemetry, start_of};

/// An answer on its way. One that is dropped was cancelled.
pub struct Answering {
    telemetry: Arc<Telemetry>,
    context: TraceContext,
    generator: &'static str,
    started: Instant,
    outcome: &'static str,
    usage: Option<(u32, u32)>,
}

impl Answering {
    /// An answer by `generator` in the request that stands at `trace`.
    pub fn new(telemetry: &Arc<Telemetry>, trace: &TraceContext, generator: &'static str) -> Self {
        Self {
            telemetry: Arc::clone(telemetry),
            context: trace.child(),
            generator,
            started: Instant::now(),
            outcome: "cancelled",
            usage: None,
        }
    }

    /// Its place in the trace, to be passed on.
    pub fn context(&self) -> &TraceContext {
        &self.context
    }

    /// It is complete, with tokens in and out, and the statements that name sources,
    /// with whether one of these says so too.
    pub fn complete(mut self, input: u32, output: u32, statements: &[(String, bool)]) {
        for (_, supported) in statements {
            self.telemetry.metrics.stated(self.generator, *supported);
        }
        self.outcome = "complete";
        self.usage = Some((input, output));
    }

    /// It failed.
    pub fn fail(mut self) {
        self.outcome = "failed";
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        let metrics = &self.telemetry.metrics;
        metrics.answered(self.generator, self.outcome, took);
        if let Some((input, output)) = self.usage {
            metrics.tokens(self.generator, input, output);
        }
        self.telemetry.export(&self.context, || {
            let mut attributes = vec![
                ("gen_ai.operation.name", json!("chat")),
                ("gen_ai.provider.name", json!(self.generator)),
            ];
            if let Some((input, output)) = self.usage {
                attributes.push(("gen_ai.usage.input_tokens", json!(input)));
                attributes.push(("gen_ai.usage.output_tokens", json!(output)));
            }
            Span {
                context: self.context,
                name: format!("chat {}", self.generator),
                kind: SpanKind::Client,
                started: start_of(took),
                ended: SystemTime::now(),
                attributes,
                failed: self.outcome == "failed",
            }
        });
    }
}
