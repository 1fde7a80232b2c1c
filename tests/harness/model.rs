//! A language model behind an OpenAI-compatible API: a fake on the loopback that says
//! what each test wants.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::double::listen;

/// How the model behaves.
#[derive(Clone)]
pub enum Behaviour {
    Says(&'static [&'static str]),
    Status(u16),
    /// Accepts and says nothing.
    Silent,
    Raw(&'static str),
    /// Says a piece and no more, and reports when the connection closes.
    Stalls(Arc<tokio::sync::Notify>),
    FailsFirst(u16, &'static [&'static str]),
    /// Says so much and stops for this reason.
    Stops(&'static str, &'static [&'static str]),
    /// Asked to rewrite a question it says the first, and the second as an answer.
    Rewrites(&'static [&'static str], &'static [&'static str]),
    /// Asked to rewrite a question it is silent.
    RewritesNever,
}

pub struct Model {
    /// The base of its API.
    pub url: String,
    /// What it was asked: head and body.
    pub asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Model {
    /// Listens on the loopback.
    pub async fn start(behaviour: Behaviour) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        let serve = move |stream| serve(stream, behaviour.clone(), Arc::clone(&kept));
        let url = listen(serve).await + "/v1";
        Self { url, asked }
    }

    /// How often it was asked.
    pub fn times_asked(&self) -> usize {
        self.asked.lock().len()
    }
}

async fn serve(
    mut stream: TcpStream,
    behaviour: Behaviour,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
) {
    let (head, body) = request(&mut stream).await;
    let rules = body["messages"][0]["content"].as_str().unwrap_or_default();
    let rewriting = rules.starts_with("You turn the last question");
    let first = {
        let mut asked = asked.lock();
        asked.push((head, body));
        asked.len() == 1
    };
    match behaviour {
        Behaviour::Says(pieces) => say(&mut stream, pieces, "stop").await,
        Behaviour::Stops(reason, pieces) => say(&mut stream, pieces, reason).await,
        Behaviour::FailsFirst(status, _) if first => refuse(&mut stream, status).await,
        Behaviour::FailsFirst(_, pieces) => say(&mut stream, pieces, "stop").await,
        Behaviour::Rewrites(question, _) if rewriting => say(&mut stream, question, "stop").await,
        Behaviour::Rewrites(_, answer) => say(&mut stream, answer, "stop").await,
        Behaviour::RewritesNever if !rewriting => say(&mut stream, &["No."], "stop").await,
        Behaviour::RewritesNever => tokio::time::sleep(Duration::from_secs(60)).await,
        Behaviour::Status(status) => refuse(&mut stream, status).await,
        Behaviour::Silent => tokio::time::sleep(Duration::from_secs(60)).await,
        Behaviour::Raw(body) => {
            let _ = stream.write_all(format!("{HEAD}{body}").as_bytes()).await;
        }
        Behaviour::Stalls(closed) => {
            let piece = chunk("one ");
            let _ = stream.write_all(format!("{HEAD}{piece}").as_bytes()).await;
            let mut byte = [0];
            let _ = stream.read(&mut byte).await;
            closed.notify_one();
        }
    }
}

const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

/// A whole request: its head, and its body as JSON.
pub async fn request(stream: &mut TcpStream) -> (String, Value) {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 65536];
        let read = stream.read(&mut buffer).await.unwrap();
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && let Ok(body) = serde_json::from_str(body)
        {
            return (head.to_owned(), body);
        }
        assert!(read > 0, "no whole request: {text}");
    }
}

fn chunk(text: &str) -> String {
    format!("data: {}\n\n", json!({"choices": [{"delta": {"content": text}}]}))
}

async fn say(stream: &mut TcpStream, pieces: &[&str], reason: &str) {
    let mut out = HEAD.to_owned();
    pieces.iter().for_each(|piece| out.push_str(&chunk(piece)));
    let end = json!({"choices": [{"delta": {}, "finish_reason": reason}]});
    out.push_str(&format!("data: {end}\n\n"));
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 50, "completion_tokens": 7}});
    out.push_str(&format!("data: {usage}\n\ndata: [DONE]\n\n"));
    let _ = stream.write_all(out.as_bytes()).await;
}

async fn refuse(stream: &mut TcpStream, status: u16) {
    let head = format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).await;
}
