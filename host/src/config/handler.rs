//! `[handler]` and `[swap]`

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[swap]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Swap {
    /// How long the replaced handler may finish what it has. Longer than
    /// `server.request_timeout_ms` and `server.stream_timeout_ms` together, so
    /// that a swap cuts nothing off.
    pub drain_timeout_ms: u64,
    /// How long a candidate may take for one of the host's own requests. Its
    /// first one is the slowest.
    pub probe_timeout_ms: u64,
    /// How long compiling a candidate may take. The built-in handler takes some
    /// ten seconds, a Python one some minutes.
    pub compile_timeout_ms: u64,
    /// Memory of the process that compiles it. The built-in handler takes half a
    /// gigabyte, a Python one some two.
    pub max_compile_memory_bytes: u64,
    /// Components to keep for rollbacks.
    pub keep: usize,
    /// Requests below which a trial on live traffic says nothing: with fewer,
    /// two accidents are a tenth of them.
    pub min_requests: u64,
    /// How much the share of failed requests may rise in a trial, 0 to 1.
    pub max_error_increase: f64,
    /// How many times as long 95 % of the responses may take in a trial.
    pub max_latency_ratio: f64,
    /// What is never too long in a trial: below it a ratio of latencies is
    /// noise.
    pub latency_floor_ms: u64,
}

impl Default for Swap {
    fn default() -> Self {
        Self {
            drain_timeout_ms: 360_000,
            probe_timeout_ms: 10_000,
            compile_timeout_ms: 300_000,
            max_compile_memory_bytes: 4 * 1024 * 1024 * 1024,
            keep: 10,
            min_requests: 20,
            max_error_increase: 0.01,
            max_latency_ratio: 2.0,
            latency_floor_ms: 20,
        }
    }
}

/// `[handler]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Handler {
    /// A component to serve instead of the built-in handler.
    pub file: Option<PathBuf>,
    /// Whose requests an instance may see one after the other. A handler could
    /// keep what it saw: with `shared` for any key's later request.
    pub isolation: Isolation,
    /// Instances at once. Instances of one generation share their code, so
    /// this bounds memory, not start-up.
    pub max_instances: u32,
    /// Requests in one instance at once. They share a memory, so a trap costs
    /// all of them a retry.
    pub max_requests_per_instance: usize,
    /// Size of a body from which a request has an instance of its own, as have
    /// those that are no JSON: what is most likely to keep an instance busy or to
    /// exhaust it then costs nobody else a wait or a retry. Questions and most
    /// documents are smaller.
    pub solitary_body_bytes: usize,
    /// Requests that have an instance of their own at once: large bodies, files
    /// to parse, and those whose instance was lost under them. Half of
    /// `max_instances`, and never more than that, so that the other requests
    /// always find an instance.
    pub max_quarantined_requests: usize,
    /// The same for one key. More would share the processors with everybody
    /// else's requests, and be done no sooner; they wait for each other instead.
    pub max_quarantined_requests_per_key: usize,
    /// Requests an instance serves before it is replaced, which bounds what a
    /// leak in the handler can cost.
    pub max_instance_reuse: usize,
    /// How long an instance without work is kept.
    pub idle_timeout_ms: u64,
    /// Memory of one instance: the largest body, its parsed form and its
    /// response, with room for the allocator.
    pub max_memory_bytes: usize,
    /// Memory of all instances together; whose instance would need more fails
    /// alone and is asked to come back. Eight of the largest, or some hundred of
    /// the usual 4 to 30 MiB.
    pub max_total_memory_bytes: usize,
    /// An instance that has grown beyond this takes no further requests: its
    /// memory goes back at its end only. The usual ones stay well below.
    pub max_kept_memory_bytes: usize,
    /// Handles (principals, permits, streams) an instance may hold.
    pub max_handles: usize,
    /// Processor time between two requests of an instance. Chunking the
    /// largest document takes under 2 s.
    pub max_cpu_ms: u64,
    /// Processor time of an instance for one heavy request: a large body or a file.
    /// Parsing a PDF of some thousand pages takes ten seconds and more; it runs on
    /// threads of lower priority, so that nobody else pays for it.
    pub max_heavy_cpu_ms: u64,
    /// Memory of an instance for one heavy request: the largest body, what it unpacks
    /// to, and its chunks.
    pub max_heavy_memory_bytes: usize,
    /// Log lines one request may write; the rest are counted and dropped.
    pub max_log_lines: u32,
    /// Size of one log line; the rest is cut.
    pub max_log_bytes: usize,
}

impl Default for Handler {
    fn default() -> Self {
        Self {
            file: None,
            isolation: Isolation::Shared,
            max_instances: 128,
            max_requests_per_instance: 16,
            solitary_body_bytes: 128 * 1024,
            max_quarantined_requests: 64,
            max_quarantined_requests_per_key: 8,
            max_instance_reuse: 10_000,
            idle_timeout_ms: 10_000,
            max_memory_bytes: 512 * 1024 * 1024,
            max_total_memory_bytes: 4 * 1024 * 1024 * 1024,
            max_kept_memory_bytes: 128 * 1024 * 1024,
            max_handles: 4_096,
            max_cpu_ms: 10_000,
            max_heavy_cpu_ms: 30_000,
            max_heavy_memory_bytes: 512 * 1024 * 1024,
            max_log_lines: 64,
            max_log_bytes: 2_048,
        }
    }
}

impl Handler {
    /// The bounds of an instance for one heavy request.
    pub fn heavy(&self) -> Self {
        Self {
            max_cpu_ms: self.max_heavy_cpu_ms,
            max_memory_bytes: self.max_heavy_memory_bytes,
            ..self.clone()
        }
    }

    /// The most memory that any instance may have.
    pub fn largest_memory_bytes(&self) -> usize {
        self.max_memory_bytes.max(self.max_heavy_memory_bytes)
    }
}

/// Whose requests share the memory of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// Everybody's.
    Shared,
    /// Those of one key; those without a key are a tenant of their own.
    PerTenant,
    /// Nobody's: a new instance for each.
    PerRequest,
}
