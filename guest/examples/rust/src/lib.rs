//! A RAG handler: POST a question, get an answer with citations, as events.
//!
//! The order is in the types: a credential becomes a principal, a principal and
//! a cost become a permit, and all that touches documents or models takes the
//! permit.
#![cfg(target_arch = "wasm32")]

use serde_json::{Value, json};
use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response};
use wasip3::http_compat::BodyWriter;
use wit_bindgen::StreamWriter;

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "ragtime:handler/capabilities", generate_all });
}

use bindings::ragtime::auth::principals::authenticate;
use bindings::ragtime::models0_1_0::generation::{self, Event};
use bindings::ragtime::rate_limit::admission::{Permit, admit};
use bindings::ragtime::retrieval::search::{self, CitationRequest, Legs, Passage, Query};

const COLLECTION: &str = "default";
const SOURCES: usize = 6;

struct Handler;

wasip3::http::service::export!(Handler);

impl wasip3::exports::http::handler::Guest for Handler {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        if !matches!(request.get_method(), Method::Post) {
            return reply(404, json!({"title": "POST a question"}));
        }
        let credential = request.get_headers().get("authorization").into_iter().next();
        let credential = credential.and_then(|value| String::from_utf8(value).ok());
        let credential = credential.map(|value| value.trim_start_matches("Bearer ").to_owned());
        let principal = match authenticate(credential).await {
            Ok(principal) => principal,
            Err(error) => return reply(401, json!({"title": format!("{error:?}")})),
        };
        let permit = match admit(&principal, 4).await {
            Ok(permit) => permit,
            Err(refusal) => return reply(429, json!({"title": format!("{refusal:?}")})),
        };
        let body: Value = serde_json::from_slice(&body(request).await).unwrap_or_default();
        let Some(question) = body["query"].as_str().map(str::to_owned) else {
            return reply(400, json!({"title": "the body is {\"query\": \"…\"}"}));
        };
        respond(200, "text/event-stream", async move |mut writer| {
            if let Err(error) = answer(&permit, question, &mut writer).await {
                send(&mut writer, "error", json!({"title": error})).await;
            }
            writer
        })
    }
}

/// Writes the answer piece by piece, each quote with its source.
async fn answer(
    permit: &Permit,
    question: String,
    writer: &mut StreamWriter<u8>,
) -> Result<(), String> {
    let query = Query {
        collection: COLLECTION.into(),
        text: question.clone(),
        legs: Legs::LEXICAL | Legs::VECTOR,
        depth: 50,
        filter: None,
        required: vec![],
        excluded: vec![],
        feedback: vec![],
    };
    let mut found = search::find_candidates(permit, query).await.map_err(text)?.items;
    let score = |one: &search::Candidate| {
        one.lexical.unwrap_or(0.0) / 20.0 + one.vector.unwrap_or(0.0)
    };
    found.sort_by(|a, b| score(b).total_cmp(&score(a)));
    let chunks: Vec<u64> = found.iter().take(SOURCES).map(|one| one.chunk).collect();
    let passages =
        search::passages(permit, COLLECTION.into(), chunks.clone()).await.map_err(text)?;
    let request = generation::Request {
        generator: Some("extractive".into()),
        collection: COLLECTION.into(),
        question,
        chunks,
        messages: vec![],
    };
    let mut events = generation::generate(permit, request).await.map_err(text)?;
    while let Some(event) = events.next().await {
        relay(permit, &passages, event, writer).await?;
    }
    Ok(())
}

async fn relay(
    permit: &Permit,
    passages: &[Passage],
    event: Event,
    writer: &mut StreamWriter<u8>,
) -> Result<(), String> {
    match event {
        Event::Delta(text) => send(writer, "delta", json!({"text": text})).await,
        Event::Done(end) => send(writer, "done", json!({"abstained": end.abstained})).await,
        Event::Failed(_) => return Err("the generator broke off".into()),
        Event::Quote(quoted) => {
            let Some(passage) = passages.get(quoted.source as usize) else { return Ok(()) };
            let document_id = passage.document_id.clone();
            let request = CitationRequest { document_id, span: quoted.span };
            for one in search::cite(permit, COLLECTION.into(), vec![request]).await.map_err(text)? {
                let citation = json!({"document_id": one.document_id, "quote": one.quote});
                send(writer, "citation", citation).await;
            }
        }
    }
    Ok(())
}

async fn send(writer: &mut StreamWriter<u8>, name: &str, data: Value) {
    // What is left over is for a client that has gone.
    let _ = writer.write_all(format!("event: {name}\ndata: {data}\n\n").into_bytes()).await;
}

async fn body(request: Request) -> Vec<u8> {
    let (_, done) = wasip3::wit_future::new(|| Ok(()));
    let (contents, _trailers) = Request::consume_body(request, done);
    contents.collect().await
}

fn reply(status: u16, body: Value) -> Result<Response, ErrorCode> {
    respond(status, "application/json", async move |mut writer: StreamWriter<u8>| {
        let _ = writer.write_all(body.to_string().into_bytes()).await;
        writer
    })
}

fn respond<W>(status: u16, media_type: &str, write: W) -> Result<Response, ErrorCode>
where
    W: AsyncFnOnce(StreamWriter<u8>) -> StreamWriter<u8> + 'static,
{
    let headers = Fields::new();
    let _ = headers.append("content-type", media_type.as_bytes());
    let (writer, contents, trailers) = BodyWriter::new();
    let (response, _sent) = Response::new(headers, Some(contents), trailers);
    let _ = response.set_status_code(status);
    wit_bindgen::spawn_local(async move {
        drop(write(writer.stream_writer).await);
        let _ = writer.result_writer.write(Ok(None)).await;
    });
    Ok(response)
}

fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
