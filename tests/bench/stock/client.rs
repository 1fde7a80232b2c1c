//! A client that costs little beside the servers it measures: one thread, HTTP
//! written out once, no parsing beyond the end of a response.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::{Duration, Instant};

use serde_json::json;

/// A request as bytes, without its host.
pub struct Request(Vec<u8>);

/// Words that documents are made of.
const WORDS: [&str; 12] = [
    "syncopation",
    "stride",
    "piano",
    "march",
    "cakewalk",
    "melody",
    "left",
    "hand",
    "tempo",
    "rhythm",
    "Joplin",
    "bass",
];

/// A document's text.
pub fn text(seed: usize) -> String {
    (0..60)
        .map(|at| WORDS[(seed * 7 + at * at + at * seed) % WORDS.len()])
        .collect::<Vec<_>>()
        .join(" ")
}

impl Request {
    /// `GET /livez`
    pub fn live() -> Self {
        Self(b"GET /livez HTTP/1.1\r\nHost: bench\r\n\r\n".to_vec())
    }

    /// The search that is repeated.
    pub fn search(key: &str) -> Self {
        let body = json!({"query": "stride piano", "mode": "lexical", "top_k": 5});
        Self::post("/v1/collections/default/search", key, &body)
    }

    /// Some documents.
    pub fn ingest(key: &str, documents: Range<usize>) -> Self {
        let documents: Vec<_> = documents
            .map(|number| json!({"id": format!("d{number}"), "text": text(number)}))
            .collect();
        let body = json!({ "documents": documents });
        Self::post("/v1/collections/default/documents?wait=indexed", key, &body)
    }

    fn post(path: &str, key: &str, body: &serde_json::Value) -> Self {
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Self([head.as_bytes(), body.as_bytes()].concat())
    }
}

/// Sends a request and expects success.
pub fn once(address: &str, request: &Request) {
    let mut connection = Connection::open(address);
    connection.answer(request);
}

/// Requests a second over so many connections, each of them one after the
/// other.
pub fn rate(address: &str, request: &Request, connections: usize, time: Duration) -> f64 {
    let mut open: Vec<_> = (0..connections).map(|_| Connection::open(address)).collect();
    let started = Instant::now();
    let mut answered = 0;
    // One request is under way on each connection; they are read in turn.
    open.iter_mut().for_each(|connection| connection.send(request));
    while started.elapsed() < time {
        for connection in &mut open {
            connection.receive();
            connection.send(request);
            answered += 1;
        }
    }
    let rate = f64::from(answered) / started.elapsed().as_secs_f64();
    open.iter_mut().for_each(Connection::receive);
    rate
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    fn answer(&mut self, request: &Request) {
        self.send(request);
        self.receive();
    }

    fn send(&mut self, request: &Request) {
        self.stream.write_all(&request.0).unwrap();
    }

    /// Reads one response; anything but success ends the benchmark.
    fn receive(&mut self) {
        self.buffer.clear();
        let mut piece = [0; 16 * 1024];
        loop {
            let read = self.stream.read(&mut piece).unwrap();
            assert!(read > 0, "the server closed: {}", self.text());
            self.buffer.extend_from_slice(&piece[..read]);
            if self.complete() {
                break;
            }
        }
        assert!(self.buffer.starts_with(b"HTTP/1.1 200"), "{}", self.text());
    }

    fn complete(&self) -> bool {
        let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
            return false;
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).to_lowercase();
        match head.split_once("content-length: ") {
            Some((_, rest)) => {
                let length = rest.lines().next().unwrap().trim();
                self.buffer.len() >= end + 4 + length.parse::<usize>().unwrap()
            }
            None => self.buffer.ends_with(b"0\r\n\r\n"),
        }
    }

    fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.buffer)
    }
}
