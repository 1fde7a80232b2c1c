//! Handlers that mean ill, and what the ingress lets them do.

use super::*;

#[tokio::test]
async fn a_write_that_was_begun_has_an_answer_that_says_so() {
    let server =
        Setup::new().argument("--handler").argument(fixture(CHEAT).to_str().unwrap()).start();
    let send = |method: Method, key: &str| {
        let request = server.request(method, "/put-and-trap");
        Answer::of(request.header("idempotency-key", key.to_owned()).json(&json!({})))
    };
    send(Method::POST, "k").await.assert_problem(500, "change_interrupted");
    // Sent again it is not done again, and the answer does not say that it is new.
    send(Method::POST, "k").await.assert_problem(409, "idempotency_response_not_kept");
    send(Method::POST, "other").await.assert_problem(500, "change_interrupted");
    // A PUT means the same the second time, so the server has sent it again.
    send(Method::PUT, "put").await.assert_problem(500, "change_interrupted");
    let metrics = Answer::of(server.admin(Method::GET, "/metrics")).await.text;
    let replays = metrics.lines().find(|line| line.starts_with("ragtime_handler_replays_total"));
    assert_eq!(replays.map(|line| line.ends_with(" 1")), Some(true), "{metrics}");
}

#[tokio::test]
async fn a_handler_that_asks_for_nothing_gets_little() {
    let server = Setup::new().start();
    let key = server
        .key(json!({"name": "r", "scopes": ["read"], "burst": 20, "rate_per_minute": 1}))
        .await;
    server.swap(std::fs::read(fixture(CHEAT)).unwrap(), "").await;
    let greedy = server.anonymous(Method::GET, "/search-on-and-on").bearer_auth(&key);
    let answer = Answer::of(greedy).await;
    // One unit for the request with its first searches, and 19 for one each.
    assert!(answer.text.starts_with("27 searches, then Error::Busy"), "{answer:?}");
    assert!(answer.header("ratelimit").contains("r=0"), "{answer:?}");
    harness::survived(
        "A handler that searches on and on for one unit",
        "each search beyond the first few costs one",
        "nothing",
    );
}

#[tokio::test]
async fn what_overran_is_not_tried_again() {
    let server = Setup::new()
        .argument("--handler")
        .argument(fixture(FAULTY).to_str().unwrap())
        .set("HANDLER__MAX_CPU_MS", 200)
        .start();
    let waits = (0..4).map(|_| Answer::of(server.anonymous(Method::GET, "/wait")));
    let spins = Answer::of(server.anonymous(Method::GET, "/spin"));
    let (others, spun) = tokio::join!(futures::future::join_all(waits), spins);
    spun.assert_problem(504, "handler_timeout");
    assert!(others.iter().all(|other| other.status == 200), "{others:?}");
    let metrics = Answer::of(server.admin(Method::GET, "/metrics")).await.text;
    let overruns = metrics.lines().find(|line| line.contains("cause=\"Overrun\""));
    assert!(overruns.is_some_and(|line| line.ends_with(" 1")), "{metrics}");
}

#[tokio::test]
async fn a_handler_sets_no_header_that_is_the_hosts() {
    let server =
        Setup::new().argument("--handler").argument(fixture(FAULTY).to_str().unwrap()).start();
    let answer = Answer::of(server.request(Method::GET, "/headers")).await;
    assert_eq!((answer.status, answer.header("x-version")), (200, "faulty-version-0"));
    for name in [
        "set-cookie",
        "access-control-allow-origin",
        "server",
        "ratelimit",
        "ratelimit-policy",
        "x-accel-redirect",
        "strict-transport-security",
    ] {
        assert_eq!(answer.header(name), "", "{name}");
    }
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn a_flood_of_log_lines_after_the_response_is_clamped() {
    let server = Setup::new()
        .argument("--handler")
        .argument(fixture(FAULTY).to_str().unwrap())
        .set("HANDLER__MAX_LOG_LINES", 10)
        .start();
    assert_eq!(Answer::of(server.anonymous(Method::GET, "/flood-late")).await.status, 200);
    server.logged(&["further log lines are dropped"]).await;
    let lines = server.log().into_iter().filter(|line| line.contains("xxxxxxxx")).count();
    assert_eq!(lines, 10);
}
