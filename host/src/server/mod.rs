//! The HTTP server: a bound listener plus a future that ends it. What becomes of a
//! client's request is in [`ingress`].

pub mod clients;
mod connection;
pub mod credential;
pub mod ingress;
pub mod places;
mod secure;

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::tls::Endpoint;
use crate::{config, network};
use clients::Peer;
use connection::{Bounds, Connection, Streams, Verdict, Watched};
use places::{Place, Places};

/// Streams of one HTTP/2 connection at once (RFC 9113 section 6.5.2 asks for
/// at least 100).
const MAX_HTTP2_STREAMS: u32 = 128;

/// The smallest buffer hyper accepts for HTTP/1.
const MIN_HTTP1_BUFFER: usize = 8192;

/// How long to wait before accepting again when the process is out of file
/// descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// How often refused connections are logged.
const WARNING_INTERVAL: Duration = Duration::from_secs(1);

/// What stands behind a listener.
pub trait Respond: Send + Sync + 'static {
    /// The body of its responses.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static;

    /// Whether every response has to end within `server.stream_timeout_ms`.
    const ENDS: bool;

    /// Answers one request. Never fails: what goes wrong becomes a problem.
    fn answer(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// A listener at work.
struct Listening<A> {
    service: Arc<A>,
    builder: auto::Builder<Streams>,
    bounds: Bounds,
    draining: CancellationToken,
    /// Without it the listener speaks plain HTTP.
    tls: Option<Arc<Endpoint>>,
}

/// Serves until `shutdown` resolves, then lets requests in flight finish
/// within the drain deadline. Idle connections close at once.
pub async fn serve<A: Respond>(
    listener: TcpListener,
    service: Arc<A>,
    tls: Option<Arc<Endpoint>>,
    limits: &config::Server,
    shutdown: impl Future<Output = ()>,
) {
    let all = u32::try_from(limits.max_connections).unwrap_or(u32::MAX);
    let connections = Arc::new(Semaphore::new(all as usize));
    let draining = CancellationToken::new();
    let listening = Arc::new(Listening {
        service,
        builder: connection_builder(limits),
        bounds: Bounds::new(limits, A::ENDS),
        draining: draining.clone(),
        tls,
    });
    let mut gate = Gate::new(limits);
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &connections) => accepted,
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let Some(entered) = gate.admit(&peer) else { continue };
                let listening = Arc::clone(&listening);
                tokio::spawn(async move {
                    listening.connection(stream, peer).await;
                    drop((place, entered));
                });
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
    drop(listener);
    draining.cancel();
    let deadline = Duration::from_millis(limits.drain_timeout_ms);
    // Every connection gives its place back when it ends.
    if tokio::time::timeout(deadline, connections.acquire_many(all)).await.is_err() {
        tracing::warn!("requests were still in flight at the drain deadline");
    }
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> io::Result<(TcpStream, Peer, OwnedSemaphorePermit)> {
    let place = Arc::clone(connections).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    Ok((stream, Peer(address), place))
}

/// Bounds the connections of each address.
struct Gate {
    places: Arc<Places<IpAddr>>,
    trusted: Vec<network::Network>,
    refused: u64,
    warned_at: Option<Instant>,
}

impl Gate {
    fn new(limits: &config::Server) -> Self {
        Self {
            places: Places::new(limits.max_connections_per_address),
            trusted: limits.trusted_proxies.clone(),
            refused: 0,
            warned_at: None,
        }
    }

    /// A place among the connections of its address. A trusted proxy needs none:
    /// its connections are many clients'.
    fn admit(&mut self, peer: &Peer) -> Option<Option<Place<IpAddr>>> {
        let address = peer.0.ip();
        if self.trusted.iter().any(|network| network.contains(address)) {
            return Some(None);
        }
        let place = self.places.take(network::client(address));
        if place.is_none() {
            self.refused += 1;
            if self.warned_at.is_none_or(|at| at.elapsed() > WARNING_INTERVAL) {
                tracing::warn!(
                    refused = self.refused,
                    %address,
                    "connections of one address were closed: it has too many"
                );
                (self.warned_at, self.refused) = (Some(Instant::now()), 0);
            }
        }
        place.map(Some)
    }
}

impl<A: Respond> Listening<A> {
    /// Serves one connection until it ends, or has to.
    async fn connection(&self, stream: TcpStream, peer: Peer) {
        // Small writes of an event stream must not wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else {
            return self.requests(stream, peer, Scheme::HTTP).await;
        };
        let secured = tokio::select! {
            () = self.draining.cancelled() => return,
            secured = secure::accept(stream, tls) => secured,
        };
        if let Ok(secured) = secured {
            // On the heap: only some listeners need it, and every connection pays for it.
            Box::pin(self.requests(secured, peer, Scheme::HTTPS)).await;
        }
    }

    /// Serves the requests of one connection.
    async fn requests<S>(&self, stream: S, peer: Peer, scheme: Scheme)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let state = Connection::new();
        let hsts = self.tls.as_ref().and_then(|tls| tls.hsts.clone());
        let answer = service_fn(|mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(scheme.clone());
            let (service, work, hsts) = (Arc::clone(&self.service), state.begin(), hsts.clone());
            async move {
                let version = request.version();
                let mut response = service.answer(request).await;
                own(response.headers_mut(), hsts);
                Ok::<_, Infallible>(response.map(|body| Watched::new(body, work, version)))
            }
        });
        let mut connection = pin!(self.builder.serve_connection(TokioIo::new(stream), answer));
        let mut ending = false;
        loop {
            let verdict = tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended early");
                    }
                    return;
                }
                () = self.draining.cancelled(), if !ending => Verdict::Idle,
                verdict = state.watch(&self.bounds) => verdict,
            };
            // One that has had its time to say good-bye is not waited for.
            if verdict == Verdict::Dead || (ending && !self.draining.is_cancelled()) {
                tracing::debug!(peer = %peer.0, "a connection was closed: nobody uses it");
                return;
            }
            ending = true;
            connection.as_mut().graceful_shutdown();
        }
    }
}

/// Sets the headers that every response of a listener has.
fn own(headers: &mut HeaderMap, hsts: Option<HeaderValue>) {
    // What a response is must not be a browser's guess.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.extend(hsts.map(|hsts| (STRICT_TRANSPORT_SECURITY, hsts)));
}

fn connection_builder(limits: &config::Server) -> auto::Builder<Streams> {
    let header_timeout = Duration::from_millis(limits.header_timeout_ms);
    let mut builder = auto::Builder::new(Streams);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(limits.max_header_bytes.max(MIN_HTTP1_BUFFER))
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_HTTP2_STREAMS)
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(header_timeout))
        .keep_alive_timeout(header_timeout);
    builder
}
