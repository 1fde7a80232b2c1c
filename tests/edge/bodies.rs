//! How much of a body is read, and of whose.

use super::*;

#[tokio::test]
async fn no_body_is_read_without_a_key() {
    let server = Setup::new().start();
    well(&server).await;
    let before = resident(&server);
    let length = 30 * MIB;
    let strangers = (0..20).map(|stranger| {
        let url = server.url.clone();
        let key = (stranger % 2 == 0).then_some(WRONG);
        tokio::spawn(async move {
            let mut stream = connect(&url).await;
            stream.write_all(post(DOCUMENTS, key, length).as_bytes()).await.unwrap();
            let piece = vec![b'x'; MIB];
            for _ in 0..length / MIB {
                // The server does not take it, and closes.
                if stream.write_all(&piece).await.is_err() {
                    break;
                }
            }
            stream
        })
    });
    let mut most = 0;
    let all = futures::future::join_all(strangers);
    tokio::pin!(all);
    loop {
        tokio::select! {
            _ = &mut all => break,
            () = tokio::time::sleep(Duration::from_millis(5)) => most = most.max(resident(&server)),
        }
    }
    let grown = most.saturating_sub(before);
    assert!(grown * 8 < 20 * length, "{} MiB for 600 MiB of strangers", grown / MIB);
    // A client that asks first is refused before it sends anything.
    let asks =
        post(DOCUMENTS, None, length).replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n");
    let mut asking = connect(&server.url).await;
    asking.write_all(asks.as_bytes()).await.unwrap();
    let answer = first(&mut asking).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    // A small body is no reason to leave a client without its answer.
    let anonymous = server.anonymous(Method::POST, SEARCH).json(&json!({"query": "x"}));
    Answer::of(anonymous).await.assert_problem(401, "unauthenticated");
    let mut http2 = Http2::open(&server.url, 65_535).await;
    let stream = http2.request("POST", DOCUMENTS, &[("content-length", "31457280")], false).await;
    http2.data(stream, &[b'x'; 16_000]).await;
    http2.until(HEADERS, stream).await.expect("an answer before the body");
    well(&server).await;
    harness::survived(
        "Large bodies of strangers",
        "they are not read: 401",
        "nothing; memory stays within an eighth of what they announce",
    );
}

#[tokio::test]
async fn a_body_is_as_large_as_its_route_and_key_have_use_for() {
    let server = Setup::new().start();
    let low = reader(&server).await;
    let large = json!({"query": "x", "filter": {"field": "a", "in": vec![1; 2 * MIB]}}).to_string();
    let send = |method: Method, path: &str, key: &str, body: &str| {
        let request = server.anonymous(method, path).bearer_auth(key);
        Answer::of(request.header("content-type", "application/json").body(body.to_owned()))
    };
    for path in [SEARCH, "/v1/collections/default/query", "/v1/chat/completions", "/v1/embeddings"]
    {
        send(Method::POST, path, ADMIN, &large).await.assert_problem(413, "body_too_large");
    }
    let document = json!({"text": "word ".repeat(MIB)}).to_string();
    let path = format!("{DOCUMENTS}/a");
    send(Method::PUT, &path, &low, &document).await.assert_problem(413, "body_too_large");
    send(Method::PUT, &path, &low, "{\"text\":\"a\"}").await.assert_problem(403, "scope_required");
    assert_eq!(send(Method::PUT, &path, ADMIN, &document).await.status, 201);
    // A client that asks first is refused before it sends.
    let asks = post(SEARCH, Some(&low), 30 * MIB);
    let asks = asks.replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n");
    let mut asking = connect(&server.url).await;
    asking.write_all(asks.as_bytes()).await.unwrap();
    let answer = first(&mut asking).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn bytes_in_flight_have_one_budget() {
    let server = Setup::new()
        .set("SERVER__MAX_BYTES_IN_FLIGHT", MIB)
        .set("SERVER__MAX_BYTES_IN_FLIGHT_PER_KEY", 3 * MIB / 4)
        // A large body costs more than one unit.
        .set("AUTH__BURST", 1_000_000)
        .start();
    let writer = json!({"name": "w", "scopes": ["read", "write"]});
    let (one, other) = (server.key(writer.clone()).await, server.key(writer).await);
    let begin = async || {
        let mut slow = connect(&server.url).await;
        slow.write_all(post(DOCUMENTS, Some(&one), 2 * MIB).as_bytes()).await.unwrap();
        slow.write_all(&vec![b' '; 700 * 1024]).await.unwrap();
        slow
    };
    let mut slow = begin().await;
    let put = |key: &str, kib: usize| {
        let request = server.anonymous(Method::PUT, &format!("{DOCUMENTS}/a")).bearer_auth(key);
        Answer::of(request.json(&json!({"text": "a".repeat(kib * 1024)})))
    };
    let began = Instant::now();
    let refused = loop {
        let answer = put(&one, 600).await;
        if answer.status == 429 {
            break answer;
        }
        assert!(began.elapsed() < raw::PATIENCE, "{answer:?}");
        // The two met in the budget, and it was the slow one that was refused.
        slow = begin().await;
    };
    refused.assert_problem(429, "too_many_bytes_at_once");
    assert_eq!(refused.header("retry-after"), "1");
    let refused = put(&other, 600).await;
    refused.assert_problem(503, "body_budget_exhausted");
    assert_eq!(refused.header("retry-after"), "1");
    // What is small goes on.
    for key in [&one, &other] {
        assert!([200, 201].contains(&put(key, 32).await.status));
    }
    drop(slow);
    let began = Instant::now();
    while put(&other, 600).await.status != 200 {
        assert!(began.elapsed() < raw::PATIENCE, "the bytes are not given back");
    }
    harness::survived(
        "Bodies that come to more than the budget",
        "429 and 503 with `Retry-After`, small ones go on",
        "nothing",
    );
}

#[tokio::test]
async fn json_of_too_many_values_costs_nobody_an_instance() {
    let server = Setup::new().start();
    let low = reader(&server).await;
    let bodies = [
        format!("{{\"query\":\"x\",\"filter\":[{}0]}}", "0,".repeat(900_000)),
        format!("{{\"query\":\"x\",\"filter\":{}", "[".repeat(2_000_000)),
        format!("{{\"query\":\"x\",\"filter\":{{{}\"a\":0}}}}", "\"a\":[],".repeat(250_000)),
    ];
    let hostile = bodies.iter().cycle().take(24).map(|body| {
        let request = server.anonymous(Method::POST, SEARCH).bearer_auth(&low);
        Answer::of(request.header("content-type", "application/json").body(body.clone()))
    });
    let writes = async {
        for n in 0..40 {
            server.document(&format!("d{n}"), "a neighbour's document").await;
        }
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(hostile), writes);
    for answer in answers {
        assert!(
            [400, 413, 422].contains(&answer.status)
                || answer.body["code"] == "too_many_bytes_at_once",
            "{answer:?}"
        );
    }
    assert!(answers_with(&server, "json_too_complex").await);
    let metrics = Answer::of(server.admin(Method::GET, "/metrics")).await.text;
    assert!(
        !metrics.contains("ragtime_handler_lost_instances_total{cause=\"Trap\"} 1"),
        "{metrics}"
    );
    harness::survived(
        "Filters of a million values, by a key that may read",
        "422, its neighbours' writes go on",
        "nothing",
    );
}
