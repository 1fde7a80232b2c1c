//! `/livez`, `/readyz`, `/problems/{code}` and `/warnings/{code}`

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use ragtime_api::extract::WarningCode;
use ragtime_api::problem::{Code, Explanation, Problem};
use ragtime_api::resource::health::{Component, Live, Ready};

use super::RouteResult;
use crate::bindings::readiness::{self, State};
use crate::call::path_parameter;
use crate::reply;

/// `GET /livez`
pub(super) fn live() -> Response {
    reply::json(StatusCode::OK, &Live { status: "ok" })
}

/// `GET /readyz`: 503 when a part does not serve.
pub(super) fn ready() -> Response {
    let components = readiness::check();
    let has = |state: State| components.iter().any(|component| component.state == state);
    let worst = [State::Unready, State::Degraded]
        .into_iter()
        .find(|state| has(*state))
        .unwrap_or(State::Ready);
    let status =
        if worst == State::Unready { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let components = components
        .into_iter()
        .map(|component| Component {
            name: component.name,
            state: word(component.state),
            detail: component.detail,
        })
        .collect();
    reply::json(status, &Ready { status: word(worst), components })
}

fn word(state: State) -> &'static str {
    match state {
        State::Ready => "ready",
        State::Degraded => "degraded",
        State::Unready => "unready",
    }
}

/// `GET /problems/{code}`
pub(super) async fn explain_problem(request: Request) -> RouteResult {
    let code = Code::parse(&code_of(request).await?).ok_or(Code::NotFound)?;
    Ok(reply::json(StatusCode::OK, &Explanation::from(code)))
}

/// `GET /warnings/{code}`
pub(super) async fn explain_warning(request: Request) -> RouteResult {
    let code = WarningCode::parse(&code_of(request).await?).ok_or(Code::NotFound)?;
    Ok(reply::json(StatusCode::OK, &code.entry()))
}

async fn code_of(request: Request) -> Result<String, Problem> {
    let (mut parts, _) = request.into_parts();
    path_parameter(&mut parts, "code").await
}
