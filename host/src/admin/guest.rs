//! `/admin/guest`: which handler serves, and replacing it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::header::{ACCEPT, CONTENT_TYPE, ETAG, IF_MATCH};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use ragtime_policy::swap::GenerationKind;
use ragtime_store::Deployment;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::body::AdminBody;
use super::problem::AdminProblem;
use super::{Admin, Answered, MAX_JSON_BYTES, event, json, whole};
use crate::swap::{Decision, Gates, Order, Outcome, Share, Step, SwapError, Swaps, ask};

/// Entries of the history in one answer.
const MAX_PAGE: usize = 100;
/// How long a trial may last: a day shows every hour's traffic.
const MAX_TRIAL: Duration = Duration::from_secs(24 * 3600);
/// How long a trial lasts when nobody says.
const DEFAULT_TRIAL: Duration = Duration::from_secs(60);
/// How long a request to a candidate may take.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(60);
/// A label is for people.
const MAX_LABEL_CHARS: usize = 200;
/// Steps that wait to be sent. A swap has fewer.
const STEPS: usize = 16;

impl Admin {
    /// Which handlers there are, with the active generation as the entity tag.
    pub(super) fn list(&self) -> Answered {
        let active = self.swaps.active().id;
        Ok(tagged(json(StatusCode::OK, &overview(&self.swaps)), active))
    }

    /// Replaces the handler by the component in the body.
    pub(super) async fn swap(&self, request: Request<Incoming>, actor: String) -> Answered {
        let (parts, body) = request.into_parts();
        // First, or a client that is still sending would not see what is wrong.
        let component = whole(body, self.settings.max_component_bytes).await?;
        let query = Query::of(&parts.uri)?;
        let expected = if_match(&parts.headers)?;
        if component.is_empty() {
            return Err(AdminProblem::invalid("The body is a component: send its bytes."));
        }
        let order = Order {
            kind: GenerationKind::Swap,
            component: Some(Arc::from(component.as_ref())),
            label: query.label,
            expected,
            actor,
            gates: query.gates,
        };
        self.run(order, &parts.headers).await
    }

    /// Brings the component back that served before.
    pub(super) async fn rollback(&self, request: Request<Incoming>, actor: String) -> Answered {
        let expected = if_match(request.headers())?;
        let order = Order {
            kind: GenerationKind::Rollback,
            component: None,
            label: String::new(),
            expected,
            actor,
            gates: Gates::default(),
        };
        self.run(order, request.headers()).await
    }

    /// Answers at the end of the swap, or step by step to who accepts events.
    async fn run(&self, order: Order, headers: &HeaderMap) -> Answered {
        let events = headers
            .get(ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("text/event-stream"));
        if events {
            return Ok(stream_steps(Arc::clone(&self.swaps), order));
        }
        if order.gates.hold {
            return Err(AdminProblem::invalid(
                "hold needs Accept: text/event-stream, or nobody would learn of the candidate.",
            ));
        }
        let outcome = self.swaps.run(order, |_| {}).await?;
        let body = outcome_json(&outcome);
        Ok(tagged(json(StatusCode::OK, &body), self.swaps.active().id))
    }

    /// What became of handlers, newest first.
    pub(super) fn history(&self, uri: &Uri) -> Answered {
        let (before, limit) = page(uri)?;
        let (found, next) = tokio::task::block_in_place(|| self.swaps.history(before, limit))
            .map_err(SwapError::from)?;
        let entries: Vec<_> = found.into_iter().map(entry).collect();
        Ok(json(StatusCode::OK, &json!({"history": entries, "next": next})))
    }

    /// Lets a candidate that is held back go on, or not.
    pub(super) async fn decide(&self, id: &str, request: Request<Incoming>) -> Answered {
        let id = generation(id)?;
        let body = whole(request.into_body(), MAX_JSON_BYTES).await?;
        let wrong = || AdminProblem::invalid("The body is {\"pass\": true or false, …}.");
        let report: Map<String, Value> = serde_json::from_slice(&body).map_err(|_| wrong())?;
        let pass = report.get("pass").and_then(Value::as_bool).ok_or_else(wrong)?;
        let decision = Decision { pass, report: Value::Object(report) };
        if !self.swaps.decide(id, decision) {
            return Err(AdminProblem::no_generation());
        }
        Ok(json(StatusCode::OK, &json!({"generation": id, "pass": pass})))
    }

    /// Runs a request on one generation, whichever serves. It can read and
    /// write nothing, and costs no key anything.
    pub(super) async fn forward(&self, id: &str, request: Request<Incoming>) -> Answered {
        let generation =
            self.swaps.find(generation(id)?).ok_or_else(AdminProblem::no_generation)?;
        let (mut parts, body) = request.into_parts();
        let body = whole(body, MAX_JSON_BYTES).await?;
        // Behind `/admin/guest/{id}/request`.
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let rest = path.splitn(6, '/').nth(5).unwrap_or_default();
        parts.uri = format!("/{rest}").parse().map_err(|_| AdminProblem::not_found())?;
        let reply = ask(&generation, &parts, body, FORWARD_TIMEOUT).await;
        let reply = reply.map_err(|lost| SwapError::Probe(lost.to_string()))?;
        let mut response = Response::new(AdminBody::whole(reply.body));
        *response.status_mut() = reply.status;
        if let Some(media_type) = reply.headers.get(CONTENT_TYPE) {
            response.headers_mut().insert(CONTENT_TYPE, media_type.clone());
        }
        Ok(response)
    }
}

/// The generations that have not gone, with the active one and the one before it.
pub(super) fn overview(swaps: &Swaps) -> Value {
    let generations: Vec<_> = swaps
        .list()
        .into_iter()
        .map(|(one, state)| {
            json!({
                "generation": one.id, "state": state.name(), "label": one.label,
                "sha256": one.sha256, "bytes": one.bytes, "imports": one.imports,
                "requests": one.life.requests(), "in_flight": one.life.in_flight(),
            })
        })
        .collect();
    let (active, previous) = (swaps.active().id, swaps.previous());
    json!({"active": active, "previous": previous, "generations": generations})
}

/// What a swap is asked to do, from the query string.
#[derive(Default)]
struct Query {
    label: String,
    gates: Gates,
}

impl Query {
    fn of(uri: &Uri) -> Result<Self, AdminProblem> {
        let (mut label, mut gates) = ("unnamed".to_owned(), Gates::default());
        let (mut shadow, mut canary, mut duration) = (None, None, DEFAULT_TRIAL);
        for (name, value) in pairs(uri) {
            match name.as_str() {
                "label" => label = value.chars().take(MAX_LABEL_CHARS).collect(),
                "dry_run" => gates.dry_run = flag(&name, &value)?,
                "hold" => gates.hold = flag(&name, &value)?,
                "shadow" => shadow = Some(percent(&name, &value)?),
                "canary" => canary = Some(percent(&name, &value)?),
                "for" => {
                    let seconds = value.parse().map_err(|_| not_a_number(&name))?;
                    duration = Duration::from_secs(seconds).min(MAX_TRIAL);
                }
                _ => return Err(unknown(&name)),
            }
        }
        let share = |percent| Share { percent, duration };
        gates.shadow = shadow.map(share);
        gates.canary = canary.map(share);
        Ok(Self { label, gates })
    }
}

/// `before` and `limit` of a query string.
pub(super) fn page(uri: &Uri) -> Result<(Option<u64>, usize), AdminProblem> {
    let (mut before, mut limit) = (None, 20);
    for (name, value) in pairs(uri) {
        let number = || value.parse::<u64>().map_err(|_| not_a_number(&name));
        match name.as_str() {
            "before" => before = Some(number()?),
            "limit" => limit = usize::try_from(number()?).unwrap_or(MAX_PAGE),
            _ => return Err(unknown(&name)),
        }
    }
    Ok((before, limit.clamp(1, MAX_PAGE)))
}

fn pairs(uri: &Uri) -> Vec<(String, String)> {
    let query = uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

fn unknown(name: &str) -> AdminProblem {
    AdminProblem::invalid(format!("There is no parameter {name:?}."))
}

fn not_a_number(name: &str) -> AdminProblem {
    AdminProblem::invalid(format!("{name} is a whole number."))
}

fn flag(name: &str, value: &str) -> Result<bool, AdminProblem> {
    value.parse().map_err(|_| AdminProblem::invalid(format!("{name} is true or false.")))
}

fn percent(name: &str, value: &str) -> Result<u8, AdminProblem> {
    let percent = value.parse().ok().filter(|percent| (1..=100).contains(percent));
    percent.ok_or_else(|| AdminProblem::invalid(format!("{name} is a percentage, 1 to 100.")))
}

fn generation(id: &str) -> Result<u64, AdminProblem> {
    id.parse().map_err(|_| AdminProblem::no_generation())
}

/// The generation that the caller believes to be active (RFC 9110 section
/// 13.1.1).
fn if_match(headers: &HeaderMap) -> Result<Option<u64>, AdminProblem> {
    let Some(tag) = headers.get(IF_MATCH) else { return Ok(None) };
    let tag = tag.to_str().unwrap_or_default().trim();
    if tag == "*" {
        return Ok(None);
    }
    let id = tag.trim_matches('"').parse();
    id.map(Some)
        .map_err(|_| AdminProblem::invalid("If-Match is the entity tag of GET /admin/guest."))
}

fn tagged(mut response: Response<AdminBody>, active: u64) -> Response<AdminBody> {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{active}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

fn outcome_json(outcome: &Outcome) -> Value {
    json!({
        "generation": outcome.generation,
        "outcome": if outcome.active { "active" } else { "dry-run" },
        "steps": outcome.report,
    })
}

fn entry(one: Deployment) -> Value {
    let steps: Value = serde_json::from_str(&one.report).unwrap_or_default();
    json!({
        "generation": one.id, "kind": one.kind, "label": one.label, "sha256": one.sha256,
        "bytes": one.bytes, "at": one.at, "took_ms": one.took_ms, "key": one.actor,
        "outcome": if one.active { "active" } else { "refused" },
        "stage": one.stage, "reason": one.reason, "steps": steps,
    })
}

/// The swap as server-sent events: a `step` for each, and `done` or `error` at
/// the end. Driven by whoever reads: gone, the swap is called off.
fn stream_steps(swaps: Arc<Swaps>, order: Order) -> Response<AdminBody> {
    let (sender, steps) = mpsc::channel::<Step>(STEPS);
    let run = Box::pin(async move {
        // A swap has fewer steps than there is room for.
        let report = move |step| drop(sender.try_send(step));
        swaps.run(order, report).await
    });
    let events = stream::unfold((Some(run), steps), |(run, mut steps)| async move {
        let mut run = run?;
        tokio::select! {
            biased;
            Some(step) = steps.recv() => {
                let data = json!({"step": step.name, "detail": step.detail});
                Some((event("step", &data.to_string()), (Some(run), steps)))
            }
            outcome = &mut run => {
                let mut last = Vec::new();
                while let Ok(step) = steps.try_recv() {
                    let data = json!({"step": step.name, "detail": step.detail});
                    last.extend(event("step", &data.to_string()));
                }
                let (name, data) = match outcome {
                    Ok(outcome) => ("done", outcome_json(&outcome)),
                    Err(error) => ("error", AdminProblem::from(error).json("", "/admin/guest")),
                };
                last.extend(event(name, &data.to_string()));
                Some((Bytes::from(last), (None, steps)))
            }
        }
    });
    super::event_stream(events)
}
