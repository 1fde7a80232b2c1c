//! What an operator did wrong, or what went wrong (RFC 9457).

use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use ragtime_policy::problem::{Code, Entry};
use ragtime_policy::swap::BeginError;
use ragtime_store::fleet::NotCurrent;

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
    code: Code,
    detail: String,
    retry_after: Option<u32>,
}

impl AdminProblem {
    fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after: None }
    }

    /// A problem of which the catalogue says all there is to say.
    fn plain(code: Code) -> Self {
        Self::new(code, code.entry().detail)
    }

    /// No key.
    pub fn unauthenticated() -> Self {
        let detail = "Send a key with the scope admin as Authorization: Bearer KEY.";
        Self::new(Code::Unauthenticated, detail)
    }

    /// A key that is none, or not any more.
    fn rejected(why: Rejected) -> Self {
        let code = match why {
            Rejected::Malformed | Rejected::Unknown => Code::InvalidCredential,
            Rejected::Expired => Code::ExpiredCredential,
        };
        Self::new(code, "Send a live key with the scope admin.")
    }

    /// A key that is none, or one of too many such.
    pub fn refused(why: Refused) -> Self {
        match why {
            Refused::Rejected(why) => Self::rejected(why),
            Refused::Throttled { retry_after_seconds } => Self {
                retry_after: Some(retry_after_seconds),
                ..Self::plain(Code::TooManyFailures)
            },
        }
    }

    /// More requests of one address than there may be.
    pub fn too_many() -> Self {
        Self { retry_after: Some(1), ..Self::plain(Code::TooManyFromAddress) }
    }

    /// A host that does not know what the others have done.
    pub fn not_current(why: NotCurrent) -> Self {
        let code = match why {
            NotCurrent::Unreachable => Code::DatabaseUnreachable,
            NotCurrent::Behind => Code::HostBehind,
        };
        Self { retry_after: Some(1), ..Self::plain(code) }
    }

    /// More than one key.
    pub fn conflicting() -> Self {
        let detail = "Send the key once, as Authorization: Bearer KEY.";
        Self::new(Code::ConflictingCredentials, detail)
    }

    /// A body that takes too long.
    pub fn late() -> Self {
        Self::plain(Code::BodyTimeout)
    }

    /// More who follow the events than there may be.
    pub fn too_many_listeners() -> Self {
        Self { retry_after: Some(LISTENER_RETRY_SECONDS), ..Self::plain(Code::TooManyListeners) }
    }

    /// A key that has been revoked, or may less, while it was used.
    pub fn key_ended() -> Self {
        Self::plain(Code::KeyEnded)
    }

    /// A key without the scope.
    pub fn forbidden() -> Self {
        let detail = "This needs a key with the scope admin that is not limited to collections.";
        Self::new(Code::ScopeRequired, detail)
    }

    /// No such path.
    pub fn not_found() -> Self {
        let detail = "There is the console at /console/, and for programs /metrics and what docs/console.md lists.";
        Self::new(Code::NotFound, detail)
    }

    /// A generation that is not there, or not held back.
    pub fn no_generation() -> Self {
        Self::plain(Code::UnknownGeneration)
    }

    /// A path that has other methods.
    pub fn method_not_allowed() -> Self {
        Self::new(Code::MethodNotAllowed, "This path has other methods.")
    }

    /// A parameter or body that cannot be used.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, detail)
    }

    /// More bytes than the limit.
    pub fn too_large(limit: usize) -> Self {
        let detail = format!(
            "The limit is {limit} bytes; for components it is the setting admin.max_component_bytes."
        );
        Self::new(Code::BodyTooLarge, detail)
    }

    /// The body did not arrive.
    pub fn broken() -> Self {
        Self::plain(Code::BodyBroken)
    }

    /// Status and title. `invalid_request` is here whatever cannot be read, for which
    /// the HTTP API has codes of its own.
    fn status_and_title(&self) -> (StatusCode, &'static str) {
        let Entry { status, title, .. } = self.code.entry();
        if self.code == Code::InvalidRequest {
            return (StatusCode::BAD_REQUEST, "The request is invalid");
        }
        (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), title)
    }

    /// The problem as a JSON object.
    pub fn json(&self, request_id: &str, path: &str) -> serde_json::Value {
        let (status, title) = self.status_and_title();
        serde_json::json!({
            "type": self.code.location(),
            "title": title,
            "status": status.as_u16(),
            "detail": self.detail,
            "instance": path,
            "code": self.code.entry().code,
            "request_id": request_id,
        })
    }

    /// The problem as a response.
    pub fn response(self, request_id: &str, path: &str) -> Response<AdminBody> {
        let (status, _) = self.status_and_title();
        let body = AdminBody::whole(self.json(request_id, path).to_string());
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"ragtime\""));
        }
        response
    }
}

impl From<SwapError> for AdminProblem {
    fn from(error: SwapError) -> Self {
        let code = match &error {
            SwapError::Begin(BeginError::Busy(_)) => Code::SwapInProgress,
            SwapError::Begin(BeginError::Changed(_)) => Code::GenerationChanged,
            SwapError::Begin(BeginError::NothingToRestore) => Code::NothingToRestore,
            SwapError::NotKept(_) => Code::ComponentGone,
            SwapError::Compile(_) => Code::HandlerNotCompiled,
            SwapError::Link(_) => Code::HandlerNotLinked,
            SwapError::Probe(_) => Code::HandlerProbeFailed,
            SwapError::Gate(_) => Code::HandlerGateFailed,
            SwapError::Trial(_) => Code::HandlerTrialFailed,
            SwapError::Fleet(_) => Code::HandlerRefusedByHost,
            SwapError::CalledOff => Code::SwapCalledOff,
            SwapError::Host(_) => Code::Internal,
        };
        let detail = match &error {
            SwapError::Host(reason) => {
                tracing::error!(blame = "host", reason, "a swap failed");
                "Tell the operator the request id; the log says what happened.".to_owned()
            }
            // An operator may know what is wrong with his component.
            error => format!("{}. The handler that served before serves on.", detail(error)),
        };
        Self::new(code, detail)
    }
}

/// The error without what the title says.
fn detail(error: &SwapError) -> String {
    match error {
        SwapError::Compile(why)
        | SwapError::Link(why)
        | SwapError::Probe(why)
        | SwapError::Gate(why)
        | SwapError::Trial(why)
        | SwapError::Fleet(why) => why.clone(),
        error => error.to_string(),
    }
}
