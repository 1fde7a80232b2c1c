//! The problems that the host answers itself, before or in place of a handler
//! (RFC 9457).

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

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
    /// The server is shutting down.
    Draining,
    /// The handler did not answer in time.
    HandlerTimeout,
    /// The handler failed.
    HandlerFailed,
}

/// Seconds after which a refused request is worth another try.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

impl Problem {
    /// Status, code, title and what to do.
    fn parts(self) -> (StatusCode, &'static str, &'static str, &'static str) {
        match self {
            Self::BodyTooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                "The body is too large",
                "Send smaller batches. The limit is the setting server.max_body_bytes.",
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
            Self::Draining => (
                StatusCode::SERVICE_UNAVAILABLE,
                "draining",
                "The server is shutting down",
                "Try again after Retry-After seconds; another instance may answer.",
            ),
            Self::HandlerTimeout => (
                StatusCode::GATEWAY_TIMEOUT,
                "handler_timeout",
                "The handler did not answer in time",
                "Try again, or ask for less at once. The limit is the setting server.request_timeout_ms.",
            ),
            Self::HandlerFailed => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "handler_failed",
                "The handler failed",
                "Tell the operator the request id; the log says what happened.",
            ),
        }
    }

    /// Whether the handler is to blame.
    pub fn is_the_handlers(self) -> bool {
        matches!(self, Self::HandlerTimeout | Self::HandlerFailed)
    }

    /// The stable code.
    pub fn code(self) -> &'static str {
        self.parts().1
    }

    /// The problem as a JSON object.
    pub fn json(self, request_id: &str, path: &str) -> String {
        let (status, code, title, detail) = self.parts();
        serde_json::json!({
            "type": format!("/problems/{code}"),
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
            "instance": path,
            "code": code,
            "request_id": request_id,
        })
        .to_string()
    }

    /// The problem as a response.
    pub fn response(self, request_id: &str, path: &str) -> Response<Full<Bytes>> {
        let status = self.parts().0;
        let mut response = Response::new(Full::from(self.json(request_id, path)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        response
    }
}
