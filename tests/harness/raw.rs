//! Clients that speak HTTP by hand, and so can do what a library would not.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::Server;

/// How long a client waits for an answer: longer than any limit that a test
/// sets.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What an HTTP/2 connection begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection to a listener by its URL.
pub async fn connect(url: &str) -> TcpStream {
    TcpStream::connect(authority(url)).await.unwrap()
}

/// What a URL without a path names.
fn authority(url: &str) -> &str {
    url.split_once("://").unwrap().1
}

/// One that takes as little as a socket can before it is read.
pub async fn connect_narrow(url: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(1).unwrap();
    socket.connect(authority(url).parse().unwrap()).await.unwrap()
}

/// One from an address of the loopback that other clients do not have; none when
/// the server has enough of it.
pub async fn connect_from(address: &str, url: &str) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(1).unwrap();
    socket.bind(format!("{address}:0").parse().unwrap()).ok()?;
    socket.connect(authority(url).parse().unwrap()).await.ok()
}

/// All that comes until the server closes.
pub async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
    // A reset is an end too.
    let _ = read.expect("the server closes the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends bytes and returns all that comes back until the server closes.
pub async fn exchange(url: &str, bytes: &[u8]) -> String {
    let mut stream = connect(url).await;
    // The server may have closed before all of it is sent.
    let _ = stream.write_all(bytes).await;
    rest(&mut stream).await
}

/// The first bytes that come.
pub async fn first(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut bytes = [0; 1_024];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut bytes)).await.expect("an answer");
    String::from_utf8_lossy(&bytes[..read.unwrap_or(0)]).into_owned()
}

/// Resident memory of a server, in bytes.
pub fn resident(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1_024
}

/// An HTTP/2 connection (RFC 9113) of a client that takes what it wants to.
pub struct Http2<S = TcpStream> {
    pub stream: S,
    next: u32,
}

/// A frame, as far as tests look at it.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RESET: u8 = 3;
pub const GOAWAY: u8 = 7;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

impl Http2 {
    /// Begins one whose streams may each send `window` bytes.
    pub async fn open(url: &str, window: u32) -> Self {
        Self::begin(connect(url).await, window).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http2<S> {
    /// The same on a connection that is there. A server that has closed it is no
    /// fault here.
    pub async fn begin(stream: S, window: u32) -> Self {
        let mut begun = Self { stream, next: 1 };
        let _ = begun.stream.write_all(PREFACE).await;
        // SETTINGS_INITIAL_WINDOW_SIZE is 4.
        let settings = [&[0, 4][..], &window.to_be_bytes()].concat();
        begun.send(SETTINGS, 0, 0, &settings).await;
        begun
    }

    /// Sends the head of a request, and says on which stream. `ends` when it has
    /// no body.
    pub async fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        ends: bool,
    ) -> u32 {
        let pseudo =
            [(":method", method), (":scheme", "http"), (":path", path), (":authority", "x")];
        let block: Vec<u8> =
            pseudo.iter().chain(headers).flat_map(|(name, value)| literal(name, value)).collect();
        let (stream, flags) = (self.next, END_HEADERS | if ends { END_STREAM } else { 0 });
        self.next += 2;
        self.send(HEADERS, flags, stream, &block).await;
        stream
    }

    /// Sends a piece of a body. A server that has closed is no fault here.
    pub async fn data(&mut self, stream: u32, bytes: &[u8]) {
        self.send(DATA, 0, stream, bytes).await;
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = (payload.len() as u32).to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        let _ = self.stream.write_all(&[&head, payload].concat()).await;
    }

    /// The next frame; none when the server has closed. Answers what keeps the
    /// connection alive, as a patient attacker does.
    pub async fn frame(&mut self) -> Option<Frame> {
        loop {
            let mut head = [0; 9];
            let read = tokio::time::timeout(PATIENCE, self.stream.read_exact(&mut head)).await;
            read.expect("a frame or an end").ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload).await.ok()?;
            match (head[3], head[4] & ACK) {
                (PING, 0) => self.send(PING, ACK, 0, &payload).await,
                (SETTINGS, 0) => self.send(SETTINGS, ACK, 0, &[]).await,
                (kind, _) => return Some(Frame { kind, flags: head[4], stream, payload }),
            }
        }
    }

    /// Reads until a frame of this kind on this stream, or the end.
    pub async fn until(&mut self, kind: u8, stream: u32) -> Option<Frame> {
        loop {
            let frame = self.frame().await?;
            if (frame.kind, frame.stream) == (kind, stream) {
                return Some(frame);
            }
        }
    }

    /// Reads until the server closes.
    pub async fn until_closed(&mut self) {
        while self.frame().await.is_some() {}
    }
}

/// A header that is in no table (RFC 7541 section 6.2.2).
fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        bytes.extend(length(text.len()));
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// A number with a prefix of seven bits (RFC 7541 section 5.1).
fn length(number: usize) -> Vec<u8> {
    if number < 127 {
        return vec![number as u8];
    }
    let (mut bytes, mut rest) = (vec![127], number - 127);
    while rest >= 128 {
        bytes.push((rest % 128) as u8 | 0x80);
        rest /= 128;
    }
    bytes.push(rest as u8);
    bytes
}
