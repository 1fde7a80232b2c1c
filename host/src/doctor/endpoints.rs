//! Endpoints of models and collectors, which are others' machines.

use std::time::Duration;

use futures::future::join_all;
use reqwest::StatusCode;

use super::Finding;
use crate::config::{Secret, Settings};
use crate::upstream;

const CHECK: &str = "endpoints.reachable";

/// How long one may take to answer a small question.
const TIMEOUT_MS: u64 = 10_000;

/// One that the settings name.
struct Endpoint<'a> {
    /// The setting.
    name: String,
    /// What is asked.
    url: String,
    api_key: Option<&'a Secret>,
    /// Whether `url` is one that has an answer: others say 404 or 405 to a question.
    answers: bool,
}

/// Asks each of them something that costs nothing.
pub async fn judge(settings: &Settings) -> Vec<Finding> {
    let endpoints = all(settings);
    if endpoints.is_empty() {
        return vec![Finding::ok(CHECK, "the settings name no endpoints")];
    }
    join_all(endpoints.iter().map(ask)).await
}

fn all(settings: &Settings) -> Vec<Endpoint<'_>> {
    // Every API of OpenAI's kind lists its models.
    let of_openai = |name: String, base: &str, api_key| {
        let url = format!("{}/models", base.trim_end_matches('/'));
        Endpoint { name, url, api_key, answers: true }
    };
    let other = |name: String, url: &str, api_key| Endpoint {
        name,
        url: url.to_owned(),
        api_key,
        answers: false,
    };
    let generator = &settings.generator;
    let models = &settings.models;
    let mut all = Vec::new();
    if let Some(url) = &generator.url {
        all.push(of_openai("generator.url".into(), url, generator.api_key.as_ref()));
    }
    for (name, model) in &models.generation {
        let setting = format!("models.generation.{name}.url");
        all.push(of_openai(setting, &model.url, model.api_key.as_ref()));
    }
    for (name, model) in &models.embedding {
        let setting = format!("models.embedding.{name}.url");
        let url = model.url.iter();
        all.extend(url.map(|url| of_openai(setting.clone(), url, model.api_key.as_ref())));
    }
    for (name, model) in &models.reranking {
        let setting = format!("models.reranking.{name}.url");
        let url = model.url.iter();
        all.extend(url.map(|url| other(setting.clone(), url, model.api_key.as_ref())));
    }
    if let Some(url) = &settings.telemetry.otlp_endpoint {
        all.push(other("telemetry.otlp_endpoint".into(), url, None));
    }
    all
}

async fn ask(endpoint: &Endpoint<'_>) -> Finding {
    let answered = match upstream::client(&endpoint.url, TIMEOUT_MS) {
        Ok(client) => {
            let mut request = client.get(&endpoint.url).timeout(Duration::from_millis(TIMEOUT_MS));
            if let Some(key) = endpoint.api_key {
                request = request.bearer_auth(key.expose());
            }
            request.send().await
        }
        Err(error) => Err(error),
    };
    match answered {
        Ok(response) => judged(&endpoint.name, endpoint.answers, response.status()),
        Err(error) => Finding::fail(
            CHECK,
            format!("{} cannot be reached: {}", endpoint.name, upstream::cause(error)),
            "start it, correct the URL, or open the way to it",
        ),
    }
}

fn judged(name: &str, answers: bool, status: StatusCode) -> Finding {
    let found = format!("{name} answers with {status}");
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Finding::fail(CHECK, found, "set the api_key beside it to one that it accepts")
        }
        status if status.is_server_error() => {
            Finding::warn(CHECK, found, "look at its log; until it is well quotes or words answer")
        }
        StatusCode::NOT_FOUND if answers => Finding::warn(
            CHECK,
            found,
            "the base of an API of OpenAI's kind mostly ends in /v1; some have no list of models",
        ),
        _ => Finding::ok(CHECK, found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn an_answer_says_how_an_endpoint_is() {
        let status = |code, answers| {
            judged("x", answers, StatusCode::from_u16(code).unwrap_or_default()).status
        };
        assert_eq!(status(200, true), Status::Ok);
        assert_eq!(status(405, false), Status::Ok);
        assert_eq!(status(404, false), Status::Ok);
        assert_eq!(status(404, true), Status::Warn);
        assert_eq!(status(503, true), Status::Warn);
        assert_eq!(status(401, true), Status::Fail);
    }
}
