//! A web site on the loopback, whose pages each test writes.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::double::listen;

/// What a path is answered with.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// A page of this type.
    pub fn of(media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type", media_type.to_owned())];
        Self { status: 200, headers, body: body.into() }
    }

    pub fn html(body: &str) -> Self {
        Self::of("text/html; charset=utf-8", body)
    }

    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

/// The site.
pub struct Site {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    pages: Mutex<BTreeMap<String, Reply>>,
    asked: Mutex<Vec<String>>,
}

impl Site {
    pub async fn start() -> Self {
        let shared = Arc::<Shared>::default();
        let kept = Arc::clone(&shared);
        let url = listen(move |stream| serve(stream, Arc::clone(&kept))).await;
        Self { url, shared }
    }

    /// From now on the path is answered so.
    pub fn page(&self, path: &str, reply: Reply) {
        self.shared.pages.lock().insert(path.to_owned(), reply);
    }

    /// From now on there is no such page.
    pub fn remove(&self, path: &str) {
        self.shared.pages.lock().remove(path);
    }

    /// A sitemap of these paths.
    pub fn sitemap(&self, path: &str, pages: &[&str]) {
        let url = |page: &&str| format!("<url><loc>{}{page}</loc></url>", self.url);
        let pages: String = pages.iter().map(url).collect();
        let namespace = "http://www.sitemaps.org/schemas/sitemap/0.9";
        let xml = format!("<?xml version=\"1.0\"?><urlset xmlns=\"{namespace}\">{pages}</urlset>");
        self.page(path, Reply::of("application/xml", xml));
    }

    /// The paths that were asked for since the last asking, with the status of each.
    pub fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.asked.lock())
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let found = shared.pages.lock().get(&path).cloned();
    let mut reply = found.unwrap_or_else(|| Reply::status(404));
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
        line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned())
    };
    let known = header("if-none-match:");
    if reply.headers.iter().any(|(name, value)| *name == "etag" && Some(value) == known.as_ref()) {
        reply = Reply { status: 304, body: Vec::new(), ..reply };
    }
    shared.asked.lock().push(format!("{} {path}", reply.status));
    let headers: String =
        reply.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!(
        "HTTP/1.1 {} Said\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n",
        reply.status,
        reply.body.len()
    );
    let _ = stream.write_all(&[head.as_bytes(), &reply.body].concat()).await;
}
