//! What a search costs without a sandbox: an axum program on the same store,
//! the same budgets, the same validation and the same ranking.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use parking_lot::Mutex;
use ragtime_api::fusion::{self, Ranking};
use ragtime_api::rate::Quota;
use ragtime_api::resource::health::Live;
use ragtime_api::resource::search::{self as api, SearchResponse, SearchResult};
use ragtime_api::resource::{Span, raw};
use ragtime_api::{credential, json, limits};
use ragtime_policy::bucket::{Decision, Limits, TokenBucket};
use ragtime_policy::chunking::ChunkingSpec;
use ragtime_policy::key::{Credential, SecretDigest};
use ragtime_store::{CandidateQuery, Details, NewChunk, NewDocument, Passage, Settings, Store};

use super::client::text;
use super::{DOCUMENTS, KEY};

/// The argument that makes the benchmark this server.
pub const COMMAND: &str = "native";

struct Shared {
    store: Store,
    digest: SecretDigest,
    bucket: Mutex<TokenBucket>,
    started: Instant,
}

/// Serves until it is killed.
pub fn serve(data: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(data, Settings::default()).unwrap();
        let (_, seq) = store.ingest("default", documents(), Vec::new()).await.unwrap();
        store.wait_searchable(seq).await;
        let limits = Limits { rate_per_minute: u32::MAX, burst: u32::MAX };
        let shared = Arc::new(Shared {
            store,
            digest: Credential::parse(KEY).unwrap().digest(),
            bucket: Mutex::new(TokenBucket::new(limits, Duration::ZERO)),
            started: Instant::now(),
        });
        let app = axum::Router::new()
            .route("/livez", get(async || json_of(&Live { status: "ok" })))
            .route("/v1/collections/default/search", post(search))
            .with_state(shared);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        eprintln!("http://{}", listener.local_addr().unwrap());
        axum::serve(listener, app).await.unwrap();
    });
}

fn documents() -> Vec<NewDocument> {
    (0..DOCUMENTS)
        .map(|number| {
            let text = text(number);
            let chunks =
                vec![NewChunk { span: 0..text.len() as u64, headings: Vec::new(), page: None }];
            NewDocument {
                id: Some(format!("d{number}")),
                title: None,
                text,
                media_type: "text/plain".into(),
                metadata: "{}".into(),
                chunks,
                cut: ChunkingSpec::default(),
                outline: String::new(),
                details: Details::default(),
            }
        })
        .collect()
}

async fn search(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, StatusCode> {
    let started = Instant::now();
    let quota = admit(&shared, &headers)?;
    let request = api::read(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let found = tokio::task::spawn_blocking(move || find(&shared.store, &request))
        .await
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let results = found.iter().map(|(passage, score)| result(passage, *score)).collect();
    let took_ms = started.elapsed().as_millis() as u64;
    let mut response = json_of(&SearchResponse {
        results,
        mode: "lexical",
        degraded: false,
        reranked: None,
        took_ms,
    });
    let policy = quota.policy_header().parse().unwrap();
    response.headers_mut().insert(HeaderName::from_static("ratelimit-policy"), policy);
    let state = quota.state_header().parse().unwrap();
    response.headers_mut().insert(HeaderName::from_static("ratelimit"), state);
    Ok(response)
}

fn admit(shared: &Shared, headers: &HeaderMap) -> Result<Quota, StatusCode> {
    let given = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
    let given = credential::find(given, None).ok().flatten().ok_or(StatusCode::UNAUTHORIZED)?;
    let given = Credential::parse(given).map_err(|_| StatusCode::UNAUTHORIZED)?;
    if !shared.digest.verify(&given) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let mut bucket = shared.bucket.lock();
    match bucket.try_take(shared.started.elapsed(), 1) {
        Decision::Admitted(quota) => Ok(Quota {
            policy: "perkey".into(),
            limit: quota.limit,
            window_seconds: quota.window_seconds,
            remaining: quota.remaining,
            reset_seconds: quota.reset_seconds,
        }),
        _ => Err(StatusCode::TOO_MANY_REQUESTS),
    }
}

fn find(store: &Store, request: &api::SearchRequest) -> Vec<(Passage, f64)> {
    let depth = limits::depth(request.top_k) as usize;
    let query = CandidateQuery::by_words(&request.query, depth);
    let candidates: Vec<_> = store
        .candidates("default", &query)
        .unwrap()
        .into_iter()
        .map(|found| fusion::Candidate {
            chunk: found.chunk,
            document: found.document,
            lexical: found.lexical,
            vector: found.vector,
        })
        .collect();
    let ranking = Ranking {
        mode: request.mode,
        vector_weight: Ranking::EQUAL,
        per_document: request.per_document,
        top_k: request.top_k as usize,
        min_score: request.min_score,
        depth,
    };
    let ranked = fusion::rank(&candidates, &ranking);
    let chunks: Vec<_> = ranked.iter().map(|ranked| ranked.chunk).collect();
    let passages = store.passages("default", &chunks).unwrap();
    passages.into_iter().zip(ranked.iter().map(|ranked| ranked.score)).collect()
}

fn result(passage: &Passage, score: f64) -> SearchResult<'_> {
    SearchResult {
        document_id: &passage.document_id,
        chunk_id: passage.chunk.to_string(),
        score,
        title: passage.title.as_deref(),
        headings: &passage.headings,
        page: passage.page,
        text: &passage.text,
        span: Span { start: passage.span.start, end: passage.span.end },
        metadata: raw(&passage.metadata),
        highlights: None,
        explain: None,
    }
}

fn json_of(body: &impl serde::Serialize) -> Response {
    ([(CONTENT_TYPE, "application/json")], json::encode(body)).into_response()
}
