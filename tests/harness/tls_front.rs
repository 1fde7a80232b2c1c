//! TLS in front of a server that listens on a local socket, as a proxy has it: what the
//! binaries of a wheel lack, and what lets a test choose the certificate.

use std::net::TcpListener as Bound;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;

use super::certificates::Issued;

/// How a client says that it wants TLS.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// By beginning with it.
    AtOnce,
    /// By asking for it as PostgreSQL's clients do.
    WhenAsked,
}

/// How many bytes PostgreSQL's clients ask with (its protocol's `SSLRequest`), and what says yes.
const QUESTION: usize = 8;
const YES: &[u8] = b"S";

/// Carries what comes by TLS to a local socket for as long as the test's runtime lives. The
/// port of the loopback that it does so at.
pub fn before(socket: PathBuf, issued: &Issued, begins: Begins) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = vec![CertificateDer::from(issued.der.clone())];
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let bound = Bound::bind(("127.0.0.1", 0)).unwrap();
    bound.set_nonblocking(true).unwrap();
    let port = bound.local_addr().unwrap().port();
    let listener = TcpListener::from_std(bound).unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(carry(client, acceptor.clone(), socket.clone(), begins));
        }
    });
    port
}

/// A client that refuses the certificate ends it, and so does one that has had enough.
async fn carry(
    mut client: TcpStream,
    acceptor: TlsAcceptor,
    socket: PathBuf,
    begins: Begins,
) -> std::io::Result<()> {
    if begins == Begins::WhenAsked {
        client.read_exact(&mut [0; QUESTION]).await?;
        client.write_all(YES).await?;
    }
    let mut client = acceptor.accept(client).await?;
    let mut server = UnixStream::connect(socket).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}
