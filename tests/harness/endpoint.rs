//! An endpoint that embeds and reranks: a fake on the loopback that does what each test
//! wants.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::double::listen;
use super::model::request;

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Behaviour {
    /// As it should.
    Works,
    /// Accepts and says nothing.
    Silent,
    /// Accepts, and answers when it is told to behave otherwise.
    Held,
    /// Refuses, perhaps saying after how many seconds to come back.
    Status(u16, Option<u64>),
    /// Refuses once so, then works.
    Once(u16, u64),
    /// Vectors of another length than before.
    WrongLength,
    /// Vectors of what is no number.
    NotANumber,
    /// Half of an answer.
    DiesHalfWay,
    /// Fewer vectors than texts.
    TooFew,
}

/// The fake.
pub struct Endpoint {
    /// The base of its API.
    pub url: String,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    behaviour: Behaviour,
    asked: Vec<(String, Value)>,
}

impl Endpoint {
    /// Listens on the loopback, and works.
    pub async fn start() -> Self {
        let shared = Shared { behaviour: Behaviour::Works, asked: Vec::new() };
        let shared = Arc::new(Mutex::new(shared));
        let kept = Arc::clone(&shared);
        let url = listen(move |stream| serve(stream, Arc::clone(&kept))).await + "/v1";
        Self { url, shared }
    }

    /// Behaves so from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.lock().behaviour = behaviour;
    }

    /// The bodies of what it was asked.
    pub fn asked(&self) -> Vec<Value> {
        self.shared.lock().asked.iter().map(|(_, body)| body.clone()).collect()
    }

    /// The heads of what it was asked.
    pub fn heads(&self) -> Vec<String> {
        self.shared.lock().asked.iter().map(|(head, _)| head.clone()).collect()
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Mutex<Shared>>) {
    let (head, body) = request(&mut stream).await;
    let behaviour = {
        let mut shared = shared.lock();
        shared.asked.push((head.clone(), body.clone()));
        let behaviour = shared.behaviour;
        if let Behaviour::Once(..) = behaviour {
            shared.behaviour = Behaviour::Works;
        }
        behaviour
    };
    let behaviour = match behaviour {
        Behaviour::Held => released(&shared).await,
        other => other,
    };
    let answer = match head.contains("/rerank") {
        true => ranked(&body),
        false => embedded(&body, behaviour),
    };
    let refused = |status: u16, after: Option<u64>| {
        let after = after.map(|after| format!("retry-after: {after}\r\n")).unwrap_or_default();
        format!("HTTP/1.1 {status} No\r\n{after}content-length: 0\r\nconnection: close\r\n\r\n")
    };
    let response = match behaviour {
        Behaviour::Silent => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            return;
        }
        Behaviour::Status(status, after) => refused(status, after),
        Behaviour::Once(status, after) => refused(status, Some(after)),
        Behaviour::DiesHalfWay => format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{}",
            answer.len(),
            answer.get(..answer.len() / 2).unwrap_or_default()
        ),
        Behaviour::Held
        | Behaviour::Works
        | Behaviour::WrongLength
        | Behaviour::NotANumber
        | Behaviour::TooFew => {
            let length = answer.len();
            format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}"
            )
        }
    };
    let _ = stream.write_all(response.as_bytes()).await;
}

/// How it behaves once it is not held any more.
async fn released(shared: &Mutex<Shared>) -> Behaviour {
    loop {
        let behaviour = shared.lock().behaviour;
        if behaviour != Behaviour::Held {
            return behaviour;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Vectors of the counts of some letters: texts with the same ones are near.
fn embedded(body: &Value, behaviour: Behaviour) -> String {
    let texts: Vec<_> = match &body["input"] {
        Value::Array(texts) => texts.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    let few = usize::from(behaviour == Behaviour::TooFew);
    let vectors = texts.iter().enumerate().skip(few).map(|(index, text)| {
        let counts = "abcdefghijklmnop".chars().map(|one| text.matches(one).count() as f64 + 0.1);
        let mut counts: Vec<Value> = counts.map(|count| json!(count)).collect();
        match behaviour {
            Behaviour::WrongLength => counts.push(json!(1.0)),
            Behaviour::NotANumber => counts = vec![json!(1e300); counts.len()],
            _ => {}
        }
        json!({"object": "embedding", "index": index, "embedding": counts})
    });
    json!({"object": "list", "data": vectors.collect::<Vec<_>>(), "model": body["model"]})
        .to_string()
}

/// Finds each better than the one before it, in the shape that was asked.
fn ranked(body: &Value) -> String {
    let count = |name: &str| body[name].as_array().map(Vec::len);
    let scores = |count: usize, name: &str| -> Vec<Value> {
        (0..count).map(|at| json!({"index": at, name: (at + 1) as f64 / 10.0})).collect()
    };
    match count("texts") {
        Some(count) => json!(scores(count, "score")).to_string(),
        None => {
            let count = count("documents").unwrap_or(0);
            json!({"id": "r", "results": scores(count, "relevance_score")}).to_string()
        }
    }
}
