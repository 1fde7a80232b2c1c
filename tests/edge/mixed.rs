//! Everything that `tests/edge.rs` tries, at once, beside a client that behaves.

use std::sync::Arc;

use super::*;

/// Where the hostile clients are.
const ELSEWHERE: &str = "127.0.0.2";

/// One round of one kind of hostile client. What comes back is of no interest
/// to it; nothing is when the server does not let it in.
async fn hostile(server: &Server, kind: usize, low: &str) -> Option<()> {
    let key = format!("Bearer {low}");
    let keyed = [("authorization", key.as_str())];
    let mut stream = raw::connect_from(ELSEWHERE, &server.url).await?;
    match kind {
        // Takes nothing.
        0 => {
            let mut http2 = Http2::begin(stream, 0).await;
            for number in 0..100 {
                match number % 2 {
                    0 => http2.request("GET", "/openapi.json", &[], true).await,
                    _ => http2.request("GET", "/v1/collections", &keyed, true).await,
                };
            }
            tokio::time::sleep(PAUSE).await;
        }
        1 => {
            stream.write_all(get(&format!("{DOCUMENTS}/long"), low).as_bytes()).await.ok()?;
            tokio::time::sleep(PAUSE).await;
        }
        // Says nothing, or half of something.
        2 => {
            stream.write_all(&raw::PREFACE[..10]).await.ok()?;
            tokio::time::sleep(PAUSE).await;
        }
        3 => {
            stream.write_all(post(SEARCH, Some(low), MIB).as_bytes()).await.ok()?;
            for _ in 0..10 {
                stream.write_all(b" ").await.ok()?;
                tokio::time::sleep(PAUSE / 10).await;
            }
        }
        // Sends what nobody wants.
        4 => {
            stream.write_all(post(DOCUMENTS, None, 30 * MIB).as_bytes()).await.ok()?;
            stream.write_all(&vec![b'x'; MIB]).await.ok()?;
        }
        5 => {
            let body = format!("{{\"query\":\"x\",\"filter\":[{}0]}}", "0,".repeat(500_000));
            stream.write_all(post(SEARCH, Some(low), body.len()).as_bytes()).await.ok()?;
            stream.write_all(body.as_bytes()).await.ok()?;
            first(&mut stream).await;
        }
        // Guesses, asks for too much, and goes away.
        6 => {
            stream.write_all(get("/v1/keys", WRONG).as_bytes()).await.ok()?;
            first(&mut stream).await;
        }
        7 => {
            let mut http2 = Http2::begin(stream, 65_535).await;
            for _ in 0..50 {
                http2.request("GET", "/v1/jobs", &keyed, true).await;
            }
        }
        8 => {
            let body = json!({"query": "a good text", "top_k": 100}).to_string();
            stream.write_all(post(SEARCH, Some(low), body.len()).as_bytes()).await.ok()?;
            stream.write_all(body.as_bytes()).await.ok()?;
            first(&mut stream).await;
        }
        _ => {
            let mut many = vec![stream];
            for _ in 0..20 {
                many.push(raw::connect_from(ELSEWHERE, &server.url).await?);
            }
            tokio::time::sleep(PAUSE / 4).await;
        }
    }
    Some(())
}

const KINDS: usize = 10;

/// How long a hostile client waits before it begins again.
const PAUSE: Duration = Duration::from_millis(200);

/// What a well-behaved client met: latencies in milliseconds, sorted, and errors.
async fn behaved(server: &Server, key: &str, phase: Duration) -> (Vec<f64>, Vec<String>) {
    let (mut latencies, mut errors) = (Vec::new(), Vec::new());
    let (began, mut number) = (Instant::now(), 0);
    while began.elapsed() < phase {
        number += 1;
        let request = match number % 4 {
            0 => server.anonymous(Method::GET, "/v1/collections"),
            1 => server.anonymous(Method::GET, "/livez"),
            2 => {
                let path = format!("{DOCUMENTS}/good{}", number % 64);
                server.anonymous(Method::PUT, &path).json(&json!({"text": "A good text."}))
            }
            _ => server.anonymous(Method::POST, SEARCH).json(&json!({"query": "good text"})),
        };
        let asked = Instant::now();
        match request.bearer_auth(key).send().await {
            Ok(response) => {
                let status = response.status();
                let text = response.text().await;
                if !status.is_success() || text.is_err() {
                    errors.push(format!("{status} {text:?}"));
                }
            }
            Err(error) => errors.push(format!("{error:?}")),
        }
        latencies.push(asked.elapsed().as_secs_f64() * 1e3);
    }
    latencies.sort_by(f64::total_cmp);
    (latencies, errors)
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// Hostile clients at work, until it ends.
struct Attack {
    over: tokio::sync::oneshot::Sender<()>,
    thread: std::thread::JoinHandle<usize>,
}

impl Attack {
    /// Starts `at_once` of them on a thread of the lowest priority. They stand for
    /// other machines: what their own work takes of these processors is not what
    /// the server lets them take.
    fn begin(server: &Arc<Server>, low: &str, at_once: usize) -> Self {
        let (over, ended) = tokio::sync::oneshot::channel();
        let (server, low) = (Arc::clone(server), low.to_owned());
        let work = move || {
            #[cfg(target_os = "linux")]
            rustix::process::setpriority_process(None, 19).unwrap();
            let rounds = std::cell::Cell::new(0);
            let clients = (0..at_once).map(async |number| {
                loop {
                    hostile(&server, number % KINDS, &low).await;
                    rounds.set(rounds.get() + 1);
                    tokio::time::sleep(PAUSE / 20).await;
                }
            });
            let clients = futures::future::join_all(clients);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                tokio::select! {
                    _ = ended => {}
                    _ = clients => {}
                }
            });
            rounds.get()
        };
        Self { over, thread: std::thread::spawn(work) }
    }

    /// Ends them; returns how many rounds they made in all.
    fn end(self) -> usize {
        drop(self.over);
        self.thread.join().unwrap()
    }
}

/// Everything above at once, from another address, without a key and with a key that
/// may only read, beside a client that behaves.
async fn mixed(phase: Duration, at_once: usize) -> f64 {
    let server = Arc::new(
        Setup::new()
            .set("SERVER__SEND_TIMEOUT_MS", 1_000)
            .set("SERVER__HEADER_TIMEOUT_MS", 1_000)
            .set("SERVER__BODY_TIMEOUT_MS", 1_000)
            .set("SERVER__MAX_CONNECTIONS_PER_ADDRESS", 200)
            .set("AUTH__BURST", 1_000_000)
            .set("AUTH__RATE_PER_MINUTE", 1_000_000)
            .set("LOG__LEVEL", "error")
            .start(),
    );
    let document = long_document(&server).await;
    assert!(document.ends_with("long"));
    let modest = json!({"scopes": ["read"], "name": "low", "burst": 60, "rate_per_minute": 600});
    let low = server.key(modest).await;
    let good = json!({"scopes": ["read", "write"], "name": "good", "burst": 100_000,
        "rate_per_minute": 1_000_000});
    let good = server.key(good).await;
    behaved(&server, &good, phase / 8).await;
    let (alone, errors) = behaved(&server, &good, phase / 2).await;
    assert!(errors.is_empty(), "{errors:?}");
    let attack = Attack::begin(&server, &low, at_once);
    let (beside, errors) = behaved(&server, &good, phase).await;
    let rounds = attack.end();
    assert!(errors.is_empty(), "{} errors: {:?}", errors.len(), &errors[..errors.len().min(3)]);
    println!("           requests  p50 ms  p99 ms");
    for (name, times) in [("alone", &alone), ("beside", &beside)] {
        println!(
            "{name:<10} {:>8}  {:>6.1}  {:>6.1}",
            times.len(),
            percentile(times, 50),
            percentile(times, 99)
        );
    }
    println!("{rounds} rounds of attack in {} s", phase.as_secs());
    let metrics = Answer::of(server.admin(Method::GET, "/metrics")).await.text;
    let trapped = !metrics.contains("ragtime_handler_lost_instances_total{cause=\"Trap\"} 0");
    assert!(!trapped, "{:#?}", server.log());
    percentile(&beside, 99) / percentile(&alone, 99)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_it_at_once_and_a_client_that_behaves_meets_no_error() {
    // How long it waits is measured by the long run.
    mixed(Duration::from_secs(4), 2 * KINDS).await;
    harness::survived(
        "All attacks on the edge at once",
        "a client that behaves meets no error, and no instance is lost",
        "nothing",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes and is a measurement: RAGTIME_HOSTILE_SECONDS=120 sets its length"]
async fn a_long_mixed_run_leaves_the_p99_within_three_times() {
    let seconds = std::env::var("RAGTIME_HOSTILE_SECONDS").ok();
    let seconds = seconds.and_then(|seconds| seconds.parse().ok()).unwrap_or(120);
    let ratio = mixed(Duration::from_secs(seconds), 2 * KINDS).await;
    println!("p99 beside the attacks is {ratio:.2} times that of alone");
    assert!(ratio < 3.0, "{ratio}");
}
