//! Metrics in the Prometheus text format, by the names of OpenTelemetry's
//! semantic conventions where there are some.

mod labels;
mod scraped;

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use labels::{
    AnswerLabels, BackupLabels, DocumentLabels, LostLabels, ProblemLabels, RejectedLabels,
    RequestLabels, RewriteLabels, StatementLabels, SwapLabels, TlsFailureLabels, TlsReloadLabels,
    TokenLabels, WarningLabels,
};
pub use labels::{Lost, Rewriting};
pub use scraped::{CertificateSnapshot, ModelSnapshot, Snapshot};
use scraped::{Scraped, add};

use super::route::Route;
use super::window::Window;
use ragtime_policy::clock::since_epoch;

/// In seconds, from an empty request to the longest answer. Those of
/// `http.server.request.duration` in the semantic conventions, with finer ones
/// below and coarser ones above.
const SECONDS: [f64; 16] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    60.0,
];
/// In tokens; those of `gen_ai.client.token.usage` up to what fits a context.
const TOKENS: [f64; 10] =
    [1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262_144.0];

type ByRequest = Family<RequestLabels, Histogram, fn() -> Histogram>;
type ByGeneration<L> = Family<L, Histogram, fn() -> Histogram>;

/// All of them.
pub struct Metrics {
    registry: Registry,
    requests: ByRequest,
    active: Gauge,
    queue: Histogram,
    problems: Family<ProblemLabels, Counter>,
    instances: Gauge,
    lost: Family<LostLabels, Counter>,
    reruns: Counter,
    swaps: Family<SwapLabels, Counter>,
    rejected: Family<RejectedLabels, Counter>,
    limited: Counter,
    documents: Family<DocumentLabels, Counter>,
    warnings: Family<WarningLabels, Counter>,
    /// The codes that are labels.
    warning_codes: Mutex<BTreeSet<String>>,
    tokens: ByGeneration<TokenLabels>,
    answers: ByGeneration<AnswerLabels>,
    statements: Family<StatementLabels, Counter>,
    rewrites: Family<RewriteLabels, Counter>,
    tls_failures: Family<TlsFailureLabels, Counter>,
    tls_reloads: Family<TlsReloadLabels, Counter>,
    backups: Family<BackupLabels, Counter>,
    /// What happened since the last sample for the charts.
    pub window: Window,
    /// Panics of the host.
    pub panics: Counter,
    /// Spans that were not exported.
    pub dropped_spans: Counter,
    scraped: Scraped,
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

fn tokens() -> Histogram {
    Histogram::new(TOKENS)
}

/// Codes of warnings that are labels; those that come later are `other`. The
/// handler makes them up, and each label is a series for ever.
const MAX_WARNING_CODES: usize = 64;

/// What became of a document.
const STORED: &str = "stored";
const FAILED: &str = "failed";
/// What became of a backup that did not fail.
const MADE: &str = "made";

/// What became of a certificate that replaced another.
const TAKEN: &str = "taken";
const REFUSED: &str = "refused";

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let r = &mut registry;
        let requests = ByRequest::new_with_constructor(seconds);
        let what = "From the head of a request to the end of its response";
        r.register_with_unit("http_server_request_duration", what, Unit::Seconds, requests.clone());
        let started: Gauge<f64, AtomicU64> = Gauge::default();
        started.set(since_epoch().as_secs_f64());
        let what = "When the process started, since the Unix epoch";
        r.register_with_unit("process_start_time", what, Unit::Seconds, started);
        let queue = seconds();
        let what = "How long requests waited for a slot";
        r.register_with_unit("ragtime_queue_duration", what, Unit::Seconds, queue.clone());
        let tokens = Family::new_with_constructor(tokens as fn() -> Histogram);
        r.register("gen_ai_client_token_usage", "Tokens of prompts and answers", tokens.clone());
        let answers = Family::new_with_constructor(seconds as fn() -> Histogram);
        let what = "How long answers took to be generated";
        r.register_with_unit(
            "gen_ai_client_operation_duration",
            what,
            Unit::Seconds,
            answers.clone(),
        );
        let all = Self {
            active: add(r, "http_server_active_requests", "Requests at work"),
            problems: add(
                r,
                "ragtime_problems",
                "Requests the host answered in the handler's place",
            ),
            instances: add(r, "ragtime_handler_instances", "Instances of handlers"),
            lost: add(r, "ragtime_handler_lost_instances", "Instances that trapped or overran"),
            reruns: add(r, "ragtime_handler_replays", "Requests run again on a fresh instance"),
            swaps: add(r, "ragtime_swaps", "Swaps of the handler that have ended"),
            rejected: add(r, "ragtime_auth_rejected", "Credentials that were not accepted"),
            limited: add(r, "ragtime_rate_limited", "Requests over their key's budget"),
            documents: add(r, "ragtime_ingested_documents", "Documents that came in"),
            warnings: add(
                r,
                "ragtime_document_warnings",
                "Warnings of documents that came in, by what was left out or guessed",
            ),
            warning_codes: Mutex::default(),
            statements: add(
                r,
                "ragtime_statements",
                "Statements of language models that name sources, by whether one says so too",
            ),
            rewrites: add(
                r,
                "ragtime_rewrites",
                "Questions that a language model was asked to make understood alone",
            ),
            tls_failures: add(
                r,
                "ragtime_tls_handshake_failures",
                "Connections that came to no handshake, by listener and reason",
            ),
            tls_reloads: add(
                r,
                "ragtime_tls_reloads",
                "Certificates that were replaced, by whether the new one could be used",
            ),
            backups: add(r, "ragtime_backups", "Backups that the server made by itself"),
            panics: add(r, "ragtime_panics", "Panics of the host, each a bug"),
            dropped_spans: add(r, "ragtime_spans_dropped", "Spans that were not exported"),
            scraped: Scraped::register(r),
            window: Window::new(),
            requests,
            queue,
            tokens,
            answers,
            registry,
        };
        all.begin_series();
        all
    }

    /// A series that begins with its first event hides that event from
    /// `increase` and `rate`, so those that alerts are made of begin at zero.
    fn begin_series(&self) {
        for cause in [Lost::Trap, Lost::Overrun, Lost::Panic] {
            drop(self.lost.get_or_create(&LostLabels { cause }));
        }
        for reason in ["malformed", "unknown", "expired"] {
            drop(self.rejected.get_or_create(&RejectedLabels { reason }));
        }
        for (kind, outcome) in [
            ("swap", "active"),
            ("swap", "refused"),
            ("rollback", "active"),
            ("rollback", "refused"),
        ] {
            drop(self.swaps.get_or_create(&SwapLabels { kind: kind.to_owned(), outcome }));
        }
        for outcome in [STORED, FAILED] {
            drop(self.documents.get_or_create(&DocumentLabels { outcome }));
        }
        for outcome in [MADE, FAILED] {
            drop(self.backups.get_or_create(&BackupLabels { outcome }));
        }
        for code in ["overloaded", "no_instance", "handler_failed", "handler_timeout"] {
            drop(self.problems.get_or_create(&ProblemLabels { code }));
        }
    }

    /// Documents have come in: so many are on disk, so many could not be taken.
    pub fn documents(&self, stored: usize, failed: usize) {
        for (outcome, count) in [(STORED, stored), (FAILED, failed)] {
            self.documents.get_or_create(&DocumentLabels { outcome }).inc_by(count as u64);
        }
    }

    /// Documents that have come in carried these warnings.
    pub fn warned(&self, codes: impl IntoIterator<Item = String>) {
        let mut known = self.warning_codes.lock();
        for code in codes {
            let room = known.len() < MAX_WARNING_CODES;
            let code = match known.contains(&code) || (room && known.insert(code.clone())) {
                true => code,
                false => "other".to_owned(),
            };
            self.warnings.get_or_create(&WarningLabels { code }).inc();
        }
    }

    /// A listener speaks TLS.
    pub fn begin_tls(&self, listener: &'static str) {
        for reason in ["timeout", "plain_http", "failed"] {
            drop(self.tls_failures.get_or_create(&TlsFailureLabels { listener, reason }));
        }
        for outcome in [TAKEN, REFUSED] {
            drop(self.tls_reloads.get_or_create(&TlsReloadLabels { listener, outcome }));
        }
    }

    /// A client did not come to speak TLS.
    pub fn tls_failed(&self, listener: &'static str, reason: &'static str) {
        self.tls_failures.get_or_create(&TlsFailureLabels { listener, reason }).inc();
    }

    /// A certificate was replaced.
    pub fn tls_reloaded(&self, listener: &'static str, taken: bool) {
        let outcome = if taken { TAKEN } else { REFUSED };
        self.tls_reloads.get_or_create(&TlsReloadLabels { listener, outcome }).inc();
    }

    /// A request has come in.
    pub fn request_started(&self) {
        self.active.inc();
    }

    /// A request has ended.
    pub fn request_ended(&self, method: &http::Method, route: Route, status: u16, took: Duration) {
        self.active.dec();
        let labels = RequestLabels {
            http_request_method: method_label(method),
            http_route: route,
            http_response_status_code: status,
        };
        self.requests.get_or_create(&labels).observe(took.as_secs_f64());
        self.window.request(status, took);
    }

    /// A request has left the admission queue.
    pub fn queued(&self, waited: Duration) {
        self.queue.observe(waited.as_secs_f64());
    }

    /// The host has answered in the handler's place.
    pub fn problem(&self, code: &'static str) {
        self.problems.get_or_create(&ProblemLabels { code }).inc();
    }

    /// Counts an instance until the guard is dropped.
    pub fn instance(&self) -> Alive {
        self.instances.inc();
        Alive(self.instances.clone())
    }

    /// An instance was lost.
    pub fn instance_lost(&self, cause: Lost) {
        self.lost.get_or_create(&LostLabels { cause }).inc();
    }

    /// A request runs a second time.
    pub fn rerun(&self) {
        self.reruns.inc();
    }

    /// A swap has ended.
    pub fn swapped(&self, kind: &str, active: bool) {
        let outcome = if active { "active" } else { "refused" };
        self.swaps.get_or_create(&SwapLabels { kind: kind.to_owned(), outcome }).inc();
    }

    /// A credential was not accepted.
    pub fn rejected(&self, reason: &'static str) {
        self.rejected.get_or_create(&RejectedLabels { reason }).inc();
    }

    /// A request was over its key's budget.
    pub fn rate_limited(&self) {
        self.limited.inc();
    }

    /// An answer has ended.
    pub fn answered(&self, generator: &'static str, outcome: &'static str, took: Duration) {
        let labels = AnswerLabels { gen_ai_provider_name: generator, outcome };
        self.answers.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// A statement that names sources was made.
    pub fn stated(&self, generator: &'static str, supported: bool) {
        let supported = if supported { "true" } else { "false" };
        let labels = StatementLabels { gen_ai_provider_name: generator, supported };
        self.statements.get_or_create(&labels).inc();
    }

    /// A backup of the server's own was made, or failed.
    pub fn backed_up(&self, made: bool) {
        let outcome = if made { MADE } else { FAILED };
        self.backups.get_or_create(&BackupLabels { outcome }).inc();
    }

    /// A question was rewritten, or was not.
    pub fn rewrote(&self, outcome: Rewriting) {
        self.rewrites.get_or_create(&RewriteLabels { outcome }).inc();
    }

    /// The tokens of an answer or of a question that was rewritten.
    pub fn tokens(&self, generator: &'static str, input: u32, output: u32) {
        for (kind, count) in [("input", input), ("output", output)] {
            let labels = TokenLabels { gen_ai_provider_name: generator, gen_ai_token_type: kind };
            self.tokens.get_or_create(&labels).observe(f64::from(count));
        }
        self.window.tokens(input, output);
    }

    /// Requests at work.
    pub fn at_work(&self) -> u64 {
        u64::try_from(self.active.get()).unwrap_or_default()
    }

    /// Everything, in the Prometheus text format.
    pub fn text(&self, snapshot: &Snapshot) -> String {
        self.scraped.set(snapshot);
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

/// A method of RFC 9110 or RFC 5789, else `_OTHER` as the semantic conventions
/// have it.
fn method_label(method: &http::Method) -> &'static str {
    const KNOWN: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER")
}

/// An instance, for as long as it lives.
pub struct Alive(Gauge);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    #[test]
    fn the_text_has_the_names_of_the_conventions() {
        let metrics = Metrics::new();
        metrics.request_started();
        let paths = [("/v1/jobs/{id}".to_owned(), serde_json::Value::Null)].into_iter().collect();
        let route = super::super::Templates::new(&paths).find("/v1/jobs/7");
        metrics.request_ended(&Method::GET, route, 200, Duration::from_millis(3));
        let text = metrics.text(&Snapshot::default());
        let line = "http_server_request_duration_seconds_count{http_request_method=\"GET\",\
                    http_route=\"/v1/jobs/{id}\",http_response_status_code=\"200\"} 1";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("http_server_active_requests 0"), "{text}");
        assert!(text.contains("ragtime_rate_limited_total 0"), "{text}");
    }

    #[test]
    fn a_handler_that_makes_up_codes_does_not_make_up_series() {
        let metrics = Metrics::new();
        metrics.warned((0..MAX_WARNING_CODES + 9).map(|number| format!("code_{number}")));
        metrics.warned(["code_3".to_owned()]);
        let text = metrics.text(&Snapshot::default());
        let series = text.lines().filter(|line| line.starts_with("ragtime_document_warnings_"));
        assert_eq!(series.count(), MAX_WARNING_CODES + 1, "{text}");
        assert!(text.contains("ragtime_document_warnings_total{code=\"other\"} 9\n"), "{text}");
        assert!(text.contains("ragtime_document_warnings_total{code=\"code_3\"} 2\n"), "{text}");
    }

    #[test]
    fn a_method_that_a_client_makes_up_is_no_label() {
        assert_eq!(method_label(&Method::from_bytes(b"BREW").unwrap_or_default()), "_OTHER");
    }
}
