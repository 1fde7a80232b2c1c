//! `[server]`

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::Tls;
use crate::network::Network;

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
