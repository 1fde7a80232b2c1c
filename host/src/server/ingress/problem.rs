//! The problems that the host answers itself, before or in place of a handler
//! (RFC 9457).

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

/// Why the host answered in the handler's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The body is over the limit.
    BodyTooLarge,
    /// The body took too long to arrive.
    BodyTimeout,
    /// The body broke off or was not framed as announced.
    BodyBroken,
    /// Too many requests are waiting.
    Overloaded,
    /// Every instance is busy.
    NoInstance,
    /// The memory of all instances is spent.
    NoMemory,
    /// The server is shutting down.
    Draining,
    /// `Host` is missing, given twice or no name of a host.
    InvalidHost,
    /// The body is encoded in a way that is not known here.
    EncodedBody,
    /// Too many credentials from this address were not accepted.
    TooManyFailures {
        /// When the next one is looked at.
        retry_after_seconds: u32,
    },
    /// The key has as many requests at work as it may.
    TooManyAtOnce,
    /// The address has as many requests at work as it may.
    TooManyOfAddress,
    /// The bodies of the key's requests come to too many bytes.
    TooManyBytes,
    /// The bodies of all requests come to too many bytes.
    NoBytesLeft,
    /// More than one credential of a kind.
    SeveralCredentials,
    /// The key was revoked, has expired or lost a right while its response was
    /// sent.
    KeyEnded,
    /// The handler was lost after it had changed something.
    Interrupted,
    /// `Request-Timeout` is no time.
    InvalidDeadline,
    /// The client's own deadline has passed.
    DeadlineExceeded,
    /// `Idempotency-Key` is none.
    InvalidIdempotencyKey,
    /// A request of the same key is at work.
    IdempotencyInProgress,
    /// The key was another request's.
    IdempotencyKeyReused,
    /// The request was done, and its response is not kept.
    IdempotencyResponseNotKept,
    /// The key lacks a scope that it had when the response was kept.
    ScopeRequired,
    /// The key does not reach a collection that it reached then.
    CollectionForbidden,
    /// The key's budget is spent.
    RateLimited {
        /// When there is enough again.
        retry_after_seconds: u32,
    },
    /// Something on the host failed that will be well again.
    Unavailable,
    /// The handler did not answer in time.
    HandlerTimeout,
    /// The handler used up its processor time.
    HandlerOverran,
    /// The handler needed more memory than one instance may have.
    HandlerOutgrew,
    /// The handler failed.
    HandlerFailed,
    /// The client speaks plain HTTP, and the listener TLS.
    TlsRequired,
}

/// The members of a problem (RFC 9457 section 3), and what else clients look for.
#[derive(Serialize)]
struct Members<'a> {
    code: &'static str,
    detail: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<OpenAiError>,
    instance: &'a str,
    request_id: &'a str,
    status: u16,
    title: &'static str,
    #[serde(rename = "type")]
    kind: String,
}

/// The error as clients of OpenAI's API know it.
#[derive(Serialize)]
struct OpenAiError {
    code: &'static str,
    message: &'static str,
    param: (),
    #[serde(rename = "type")]
    kind: &'static str,
}

/// Seconds after which a refused request is worth another try.
const RETRY_AFTER_SECONDS: u32 = 1;

/// Whether clients of OpenAI's API call this path: what is below `/v1/` and not
/// of this server's own families of routes. They show `error` and nothing else.
fn of_openai(path: &str) -> bool {
    let family = path.strip_prefix("/v1/").and_then(|rest| rest.split('/').next());
    family.is_some_and(|family| !["collections", "jobs", "keys"].contains(&family))
}

impl Problem {
    /// Status, code, title and what to do.
    fn parts(self) -> (StatusCode, &'static str, &'static str, &'static str) {
        match self {
            Self::BodyTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "The body is too large",
                "Send smaller batches. The limit is the setting server.max_body_bytes where documents are sent by a key that may write, server.max_json_bytes elsewhere.",
            ),
            Self::BodyTimeout => (
                StatusCode::REQUEST_TIMEOUT,
                "body_timeout",
                "The body did not arrive in time",
                "Send it faster or in smaller pieces. The limit is the setting server.body_timeout_ms.",
            ),
            Self::BodyBroken => (
                StatusCode::BAD_REQUEST,
                "body_broken",
                "The body broke off",
                "Send the request again.",
            ),
            Self::Overloaded => (
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "The server has too much to do",
                "Try again after Retry-After seconds.",
            ),
            Self::NoInstance => (
                StatusCode::SERVICE_UNAVAILABLE,
                "no_instance",
                "Every handler instance is busy",
                "Try again after Retry-After seconds.",
            ),
            Self::NoMemory => (
                StatusCode::SERVICE_UNAVAILABLE,
                "no_memory",
                "The handlers' memory is spent",
                "Try again after Retry-After seconds, or ask for less at once. The limit is the setting handler.max_total_memory_bytes.",
            ),
            Self::Draining => (
                StatusCode::SERVICE_UNAVAILABLE,
                "draining",
                "The server is shutting down",
                "Try again after Retry-After seconds; another instance may answer.",
            ),
            Self::EncodedBody => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_encoding",
                "The body is encoded",
                "Send it without Content-Encoding, or as gzip.",
            ),
            Self::InvalidHost => (
                StatusCode::BAD_REQUEST,
                "invalid_host",
                "Host is missing or not one name",
                "Send the header Host once, with the name of the server and its port.",
            ),
            Self::TooManyFailures { .. } => (
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_failures",
                "Too many credentials were not accepted",
                "Check the key, and try again after Retry-After seconds.",
            ),
            Self::TooManyAtOnce => (
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_at_once",
                "The key has too many requests at work",
                "Wait for some of them. The limit is the setting auth.max_concurrent.",
            ),
            Self::TooManyOfAddress => (
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_from_address",
                "The address has too many requests at work",
                "Read the responses, and wait for some of them. The limit is the setting server.max_requests_per_address.",
            ),
            Self::TooManyBytes => (
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_bytes_at_once",
                "The key sends too many bytes at once",
                "Send fewer large bodies at once. The limit is the setting server.max_bytes_in_flight_per_key.",
            ),
            Self::NoBytesLeft => (
                StatusCode::SERVICE_UNAVAILABLE,
                "body_budget_exhausted",
                "The server holds too many bytes",
                "Try again after Retry-After seconds. The limit is the setting server.max_bytes_in_flight.",
            ),
            Self::SeveralCredentials => (
                StatusCode::BAD_REQUEST,
                "conflicting_credentials",
                "Two different keys were sent",
                "Send the key once: as Authorization: Bearer KEY or as X-API-Key: KEY.",
            ),
            Self::KeyEnded => (
                StatusCode::UNAUTHORIZED,
                "invalid_credential",
                "The key is not valid",
                "It was revoked, has expired or lost a right while the response was sent.",
            ),
            Self::Interrupted => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "change_interrupted",
                "The change was begun, and its answer was lost",
                "Look at what it changed before it is sent again. A PUT or DELETE may be sent again as it is.",
            ),
            Self::InvalidDeadline => (
                StatusCode::BAD_REQUEST,
                "invalid_deadline",
                "Request-Timeout is invalid",
                "Send a number of seconds above 0, as in Request-Timeout: 2.5.",
            ),
            Self::DeadlineExceeded => (
                StatusCode::GATEWAY_TIMEOUT,
                "deadline_exceeded",
                "The deadline has passed",
                "Allow more time in Request-Timeout, or ask for less at once.",
            ),
            Self::InvalidIdempotencyKey => (
                StatusCode::BAD_REQUEST,
                "invalid_idempotency_key",
                "Idempotency-Key is invalid",
                "Send 1 to 255 visible ASCII characters, for example a UUID.",
            ),
            Self::IdempotencyInProgress => (
                StatusCode::CONFLICT,
                "idempotency_in_progress",
                "The same request is at work",
                "Try again after Retry-After seconds.",
            ),
            Self::IdempotencyKeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "The Idempotency-Key was another request's",
                "Use a new key for a new request, and the same bytes for a repetition.",
            ),
            Self::IdempotencyResponseNotKept => (
                StatusCode::CONFLICT,
                "idempotency_response_not_kept",
                "The request was done before",
                "Its response held a secret or was too large to keep. Look at what it made.",
            ),
            Self::ScopeRequired => (
                StatusCode::FORBIDDEN,
                "scope_required",
                "The key lacks a scope",
                "The request was done before, with a scope that the key does not have any more.",
            ),
            Self::CollectionForbidden => (
                StatusCode::FORBIDDEN,
                "collection_forbidden",
                "The key is limited to other collections",
                "The request was done before, in a collection that the key does not reach any more.",
            ),
            Self::RateLimited { .. } => (
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limited",
                "The key's budget is spent",
                "Try again after Retry-After seconds. A repetition costs what its request did.",
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "The server cannot do this now",
                "Try again after Retry-After seconds.",
            ),
            Self::HandlerTimeout => (
                StatusCode::GATEWAY_TIMEOUT,
                "handler_timeout",
                "The handler did not answer in time",
                "Try again, or ask for less at once. The limit is the setting server.request_timeout_ms.",
            ),
            Self::HandlerOverran => (
                StatusCode::GATEWAY_TIMEOUT,
                "handler_timeout",
                "The handler used up its processor time",
                "Ask for less at once, or send a smaller file. The limit is the setting handler.max_cpu_ms, and handler.max_heavy_cpu_ms for files and large bodies.",
            ),
            Self::HandlerOutgrew => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "handler_failed",
                "The handler needed too much memory",
                "Ask for less at once, or send a smaller file. The limit is the setting handler.max_memory_bytes, and handler.max_heavy_memory_bytes for files and large bodies.",
            ),
            Self::HandlerFailed => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "handler_failed",
                "The handler failed",
                "Tell the operator the request id; the log says what happened.",
            ),
            Self::TlsRequired => (
                StatusCode::BAD_REQUEST,
                "tls_required",
                "The server speaks TLS here",
                "Call it by https:// instead of http://.",
            ),
        }
    }

    /// Whether the handler is to blame.
    pub fn is_the_handlers(self) -> bool {
        matches!(
            self,
            Self::HandlerTimeout
                | Self::HandlerOverran
                | Self::HandlerOutgrew
                | Self::HandlerFailed
                | Self::Interrupted
        )
    }

    /// After how many seconds another try makes sense, if one does.
    fn retry_after_seconds(self) -> Option<u32> {
        match self {
            Self::TooManyFailures { retry_after_seconds }
            | Self::RateLimited { retry_after_seconds } => Some(retry_after_seconds),
            Self::TooManyAtOnce
            | Self::TooManyOfAddress
            | Self::TooManyBytes
            | Self::IdempotencyInProgress => Some(RETRY_AFTER_SECONDS),
            other => {
                (other.parts().0 == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER_SECONDS)
            }
        }
    }

    /// The stable code.
    pub fn code(self) -> &'static str {
        self.parts().1
    }

    /// The problem as a JSON object.
    pub fn json(self, request_id: &str, path: &str) -> String {
        let (status, code, title, detail) = self.parts();
        let kind = match status.as_u16() {
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        let error = OpenAiError { code, message: detail, param: (), kind };
        let members = Members {
            code,
            detail,
            error: of_openai(path).then_some(error),
            instance: path,
            request_id,
            status: status.as_u16(),
            title,
            kind: format!("/problems/{code}"),
        };
        // Numbers and text become JSON without fail.
        serde_json::to_string(&members).unwrap_or_default()
    }

    /// The problem as a response.
    pub fn response(self, request_id: &str, path: &str) -> Response<Full<Bytes>> {
        let status = self.parts().0;
        let mut response = Response::new(Full::from(self.json(request_id, path)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_seconds() {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self == Self::EncodedBody {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, identity"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn clients_of_openai_find_the_error_where_they_look() {
        let told = |path| {
            serde_json::from_str::<serde_json::Value>(&Problem::Overloaded.json("r-1", path))
                .unwrap()
        };
        assert_eq!(told("/v1/responses").pointer("/error/type").unwrap(), "server_error");
        assert!(told("/v1/collections/a").get("error").is_none());
    }
}
