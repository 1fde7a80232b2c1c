//! From the table of routes to an axum application.

use std::cell::OnceCell;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{MethodFilter, on};
use http::StatusCode;
use ragtime_api::problem::Code;
use ragtime_api::rate::Quota;
use ragtime_api::routes::{Access, Cost, Mcp, Method, Operation, ROUTES, Route, Scope};
use tower_service::Service;

use crate::call::{Call, Origin};
use crate::gate::{self, Refused};
use crate::routes::mcp::Asked;
use crate::{reply, request_id, routes};

thread_local! {
    /// Built once for each instance of the component.
    static ROUTER: OnceCell<Router> = const { OnceCell::new() };
}

/// Answers one request.
pub(crate) async fn serve(mut request: Request) -> Response {
    let id = request_id::ensure(request.headers_mut());
    let mut router = ROUTER.with(|router| router.get_or_init(router_of_table).clone());
    let mut response = match router.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    response.headers_mut().insert(request_id::HEADER, id);
    response
}

fn router_of_table() -> Router {
    let add = |router: Router, route: &'static Route| {
        router.route(
            route.path,
            on(filter(route.method), move |request: Request| dispatch(route, request)),
        )
    };
    ROUTES.iter().fold(Router::new(), add).method_not_allowed_fallback(method_not_allowed).fallback(
        async |request: Request| reply::problem(Code::NotFound.into(), &Origin::of(&request)),
    )
}

fn filter(method: Method) -> MethodFilter {
    match method {
        // axum answers HEAD with it.
        Method::Get => MethodFilter::GET,
        Method::Post => MethodFilter::POST,
        Method::Put => MethodFilter::PUT,
        Method::Patch => MethodFilter::PATCH,
        Method::Delete => MethodFilter::DELETE,
    }
}

/// axum adds `Allow`.
async fn method_not_allowed(request: Request) -> Response {
    if request.method() == http::Method::OPTIONS {
        return reply::empty(StatusCode::NO_CONTENT);
    }
    reply::problem(Code::MethodNotAllowed.into(), &Origin::of(&request))
}

/// The one place where a problem becomes a response.
async fn dispatch(route: &'static Route, request: Request) -> Response {
    let origin = Origin::of(&request);
    let (answer, quota) = match route.access {
        Access::Open(operation) => (routes::open(operation, request).await, None),
        Access::Key { scope, cost, operation } => {
            charged(keyed(request, scope, cost, operation).await)
        }
        Access::Messages { scope, least, operation } => {
            charged(messages(request, scope, least, operation).await)
        }
    };
    let mut response = answer.unwrap_or_else(|problem| reply::problem(problem, &origin));
    if let Some(url) = &origin.public_url {
        reply::complete_location(&mut response, url);
    }
    if let Some(quota) = quota {
        reply::add_quota(response.headers_mut(), &quota);
    }
    response
}

/// What a route answered a caller, and what is left of the caller's budget.
type Charged = (routes::RouteResult, Quota);

fn charged(served: Result<Charged, Refused>) -> (routes::RouteResult, Option<Quota>) {
    match served {
        Ok((answer, quota)) => (answer, Some(quota)),
        Err(refused) => (Err(refused.problem), refused.quota),
    }
}

/// Serves a route for a caller that passes the gate.
async fn keyed(
    request: Request,
    scope: Option<Scope>,
    cost: Cost,
    operation: Operation,
) -> Result<Charged, Refused> {
    let principal = gate::authenticate(request.headers(), scope).await?;
    let (permit, quota) = gate::admit(&principal, cost.least()).await?;
    let call = Call::new(principal, permit, cost, request);
    Ok((routes::keyed(operation, call).await, quota))
}

/// Serves a route whose cost stands in the body, so that the body is read before the
/// caller passes the gate.
async fn messages(
    request: Request,
    scope: Option<Scope>,
    least: u32,
    operation: Mcp,
) -> Result<Charged, Refused> {
    let principal = gate::authenticate(request.headers(), scope).await?;
    match operation {
        Mcp::Speak => Asked::read(request).await?.serve(&principal, least).await,
    }
}
