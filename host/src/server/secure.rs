//! The beginning of a connection on a listener that speaks TLS.

use std::io;
use std::time::Duration;

use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::ingress::problem::Problem;
use crate::tls::Endpoint;

/// What a record of a handshake begins with (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

/// The most that is read of a request in plain HTTP once it has been answered, so that
/// the answer is not lost to a reset.
const MAX_DISCARDED_BYTES: u64 = 64 * 1024;

/// Why a connection came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// The client took too long.
    #[error("the client did not finish its handshake within {0:?}")]
    Late(Duration),
    /// The client spoke plain HTTP, and got an answer that says so.
    #[error("the client spoke plain HTTP")]
    Plain,
    /// The two did not agree, or the connection broke off.
    #[error(transparent)]
    Failed(#[from] io::Error),
}

impl HandshakeError {
    /// A label of metrics.
    fn reason(&self) -> &'static str {
        match self {
            Self::Late(_) => "timeout",
            Self::Plain => "plain_http",
            Self::Failed(_) => "failed",
        }
    }
}

/// Has the handshake with a client, within its time.
pub(super) async fn accept(
    stream: TcpStream,
    endpoint: &Endpoint,
) -> Result<TlsStream<TcpStream>, HandshakeError> {
    let limit = endpoint.handshake_timeout;
    let began = tokio::time::timeout(limit, begin(stream, endpoint)).await;
    began.unwrap_or(Err(HandshakeError::Late(limit))).inspect_err(|error| {
        // Scanners do this all day, so the error is counted rather than logged.
        tracing::debug!(%error, "a client did not come to speak TLS");
        endpoint.telemetry.metrics.tls_failed(endpoint.listener.name(), error.reason());
    })
}

async fn begin(
    mut stream: TcpStream,
    endpoint: &Endpoint,
) -> Result<TlsStream<TcpStream>, HandshakeError> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first != [HANDSHAKE] {
        answer_plain_http(&mut stream).await?;
        return Err(HandshakeError::Plain);
    }
    Ok(TlsAcceptor::from(endpoint.config()).accept(stream).await?)
}

/// Answers whoever speaks plain HTTP here; a client that speaks something else still
/// cannot mistake it.
async fn answer_plain_http(stream: &mut TcpStream) -> io::Result<()> {
    let id = uuid::Uuid::now_v7().to_string();
    let (status, body) = (StatusCode::BAD_REQUEST, Problem::TlsRequired.json(&id, "/"));
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
         x-request-id: {id}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    stream.shutdown().await?;
    let mut rest = stream.take(MAX_DISCARDED_BYTES);
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    Ok(())
}
