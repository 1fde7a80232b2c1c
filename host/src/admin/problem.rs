//! What an operator did wrong, or what went wrong (RFC 9457).

use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use ragtime_policy::swap::BeginError;

use super::body::AdminBody;
use crate::keyring::Rejected;
use crate::server::clients::Refused;
use crate::swap::SwapError;

/// When to ask again for a place among those who follow the events: a console that
/// is closed gives its place back with the next thing that is sent to it.
const LISTENER_RETRY_SECONDS: u32 = 15;

/// A problem as the operator sees it.
#[derive(Debug)]
pub struct AdminProblem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    retry_after: Option<u32>,
}

impl AdminProblem {
    fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self { status, code, title, detail: detail.into(), retry_after: None }
    }

    /// No key.
    pub fn unauthenticated() -> Self {
        let detail = "Send a key with the scope admin as Authorization: Bearer KEY.";
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "A key is required", detail)
    }

    /// A key that is none, or not any more.
    fn rejected(why: Rejected) -> Self {
        let (code, title) = match why {
            Rejected::Malformed | Rejected::Unknown => {
                ("invalid_credential", "The key is not valid")
            }
            Rejected::Expired => ("expired_credential", "The key has expired"),
        };
        let detail = "Send a live key with the scope admin.";
        Self::new(StatusCode::UNAUTHORIZED, code, title, detail)
    }

    /// A key that is none, or one of too many such.
    pub fn refused(why: Refused) -> Self {
        match why {
            Refused::Rejected(why) => Self::rejected(why),
            Refused::Throttled { retry_after_seconds } => Self {
                retry_after: Some(retry_after_seconds),
                ..Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too_many_failures",
                    "Too many credentials were not accepted",
                    "Check the key, and try again after Retry-After seconds.",
                )
            },
        }
    }

    /// More requests of one address than there may be.
    pub fn too_many() -> Self {
        Self {
            retry_after: Some(1),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_from_address",
                "The address has too many requests at work",
                "Read the responses, and wait for some of them.",
            )
        }
    }

    /// More than one key.
    pub fn conflicting() -> Self {
        let detail = "Send the key once, as Authorization: Bearer KEY.";
        let title = "Two different keys were sent";
        Self::new(StatusCode::BAD_REQUEST, "conflicting_credentials", title, detail)
    }

    /// A body that takes too long.
    pub fn late() -> Self {
        let title = "The body did not arrive in time";
        Self::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", title, "Send it faster.")
    }

    /// More who follow the events than there may be.
    pub fn too_many_listeners() -> Self {
        let detail = "Close another console, or raise the setting admin.max_event_listeners.";
        Self {
            retry_after: Some(LISTENER_RETRY_SECONDS),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too_many_listeners",
                "Too many follow the events",
                detail,
            )
        }
    }

    /// A key that has been revoked, or may less, while it was used.
    pub fn key_ended() -> Self {
        let detail = "The key was revoked, has expired or lost a right. Sign in with a live one.";
        Self::new(StatusCode::UNAUTHORIZED, "key_ended", "The key has ended", detail)
    }

    /// A key without the scope.
    pub fn forbidden() -> Self {
        let detail = "This needs a key with the scope admin that is not limited to collections.";
        Self::new(StatusCode::FORBIDDEN, "scope_required", "The key lacks a scope", detail)
    }

    /// No such path.
    pub fn not_found() -> Self {
        let detail = "There is the console at /console/, and for programs /metrics and what docs/console.md lists.";
        Self::new(StatusCode::NOT_FOUND, "not_found", "Nothing is here", detail)
    }

    /// A generation that is not there, or not held back.
    pub fn no_generation() -> Self {
        let detail = "GET /admin/guest lists the generations there are.";
        Self::new(StatusCode::NOT_FOUND, "unknown_generation", "No such generation", detail)
    }

    /// A path that has other methods.
    pub fn method_not_allowed() -> Self {
        let detail = "This path has other methods.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Not this way", detail)
    }

    /// A parameter or body that cannot be used.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", "The request is invalid", detail)
    }

    /// More bytes than the limit.
    pub fn too_large(limit: usize) -> Self {
        let detail = format!(
            "The limit is {limit} bytes; for components it is the setting admin.max_component_bytes."
        );
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large", detail)
    }

    /// The body did not arrive.
    pub fn broken() -> Self {
        let detail = "Send the request again.";
        Self::new(StatusCode::BAD_REQUEST, "body_broken", "The body broke off", detail)
    }

    /// The problem as a JSON object.
    pub fn json(&self, request_id: &str, path: &str) -> serde_json::Value {
        serde_json::json!({
            "type": format!("/problems/{}", self.code),
            "title": self.title,
            "status": self.status.as_u16(),
            "detail": self.detail,
            "instance": path,
            "code": self.code,
            "request_id": request_id,
        })
    }

    /// The problem as a response.
    pub fn response(self, request_id: &str, path: &str) -> Response<AdminBody> {
        let body = AdminBody::whole(self.json(request_id, path).to_string());
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"ragtime\""));
        }
        response
    }
}

impl From<SwapError> for AdminProblem {
    fn from(error: SwapError) -> Self {
        let (status, code, title) = match &error {
            SwapError::Begin(BeginError::Busy(_)) => {
                (StatusCode::CONFLICT, "swap_in_progress", "Another swap is on its way")
            }
            SwapError::Begin(BeginError::Changed(_)) => {
                (StatusCode::PRECONDITION_FAILED, "generation_changed", "Another handler serves")
            }
            SwapError::Begin(BeginError::NothingToRestore) => {
                (StatusCode::CONFLICT, "nothing_to_restore", "There is nothing to go back to")
            }
            SwapError::NotKept(_) => {
                (StatusCode::GONE, "component_gone", "The component is not kept any more")
            }
            SwapError::Compile(_) => {
                refused("handler_not_compiled", "The handler does not compile")
            }
            SwapError::Link(_) => {
                refused("handler_not_linked", "The handler does not fit this host")
            }
            SwapError::Probe(_) => refused("handler_probe_failed", "The handler failed its probe"),
            SwapError::Gate(_) => refused("handler_gate_failed", "The handler failed its gate"),
            SwapError::Trial(_) => refused("handler_trial_failed", "The handler failed its trial"),
            SwapError::CalledOff => {
                (StatusCode::CONFLICT, "swap_called_off", "The swap was called off")
            }
            SwapError::Host(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal", "The server failed")
            }
        };
        let detail = match &error {
            SwapError::Host(reason) => {
                tracing::error!(blame = "host", reason, "a swap failed");
                "Tell the operator the request id; the log says what happened.".to_owned()
            }
            // An operator may know what is wrong with his component.
            error => format!("{}. The handler that served before serves on.", detail(error)),
        };
        Self::new(status, code, title, detail)
    }
}

/// The error without what the title says.
fn detail(error: &SwapError) -> String {
    match error {
        SwapError::Compile(why)
        | SwapError::Link(why)
        | SwapError::Probe(why)
        | SwapError::Gate(why)
        | SwapError::Trial(why) => why.clone(),
        error => error.to_string(),
    }
}

fn refused(code: &'static str, title: &'static str) -> (StatusCode, &'static str, &'static str) {
    (StatusCode::UNPROCESSABLE_ENTITY, code, title)
}
