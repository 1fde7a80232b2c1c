//! The problems that the host answers itself, before or in place of a handler
//! (RFC 9457).

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use ragtime_policy::problem::{Code, Entry, is_for_openai, openai_type};
use ragtime_store::fleet::NotCurrent;
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
    /// The database that the hosts share does not answer.
    DatabaseUnreachable,
    /// This host has not caught up with the others.
    HostBehind,
    /// This host does not have the handler that the others serve.
    HandlerNotHere,
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
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<OpenAiError<'a>>,
    instance: &'a str,
    request_id: &'a str,
    status: u16,
    title: &'static str,
    #[serde(rename = "type")]
    location: String,
}

/// The error as clients of OpenAI's API know it.
#[derive(Serialize)]
struct OpenAiError<'a> {
    code: &'static str,
    message: &'a str,
    param: (),
    #[serde(rename = "type")]
    kind: &'static str,
}

/// Seconds after which a refused request is worth another try.
const RETRY_AFTER_SECONDS: u32 = 1;

/// What to do about an occurrence.
enum Advice {
    /// What the catalogue says.
    Catalogued,
    /// What the catalogue says, and this: the setting that is the limit.
    Further(&'static str),
    /// This alone, as the catalogue's advice would be wrong.
    Own(&'static str),
}

impl From<NotCurrent> for Problem {
    fn from(reason: NotCurrent) -> Self {
        match reason {
            NotCurrent::Unreachable => Self::DatabaseUnreachable,
            NotCurrent::Behind => Self::HostBehind,
        }
    }
}

impl Problem {
    /// The code that the catalogue has for it, and what to do.
    fn parts(self) -> (Code, Advice) {
        use Advice::{Catalogued, Further, Own};
        match self {
            Self::BodyTooLarge => (
                Code::BodyTooLarge,
                Further(
                    "The limit is the setting server.max_body_bytes where documents are sent by a key that may write, server.max_json_bytes elsewhere.",
                ),
            ),
            Self::BodyTimeout => {
                (Code::BodyTimeout, Further("The limit is the setting server.body_timeout_ms."))
            }
            Self::BodyBroken => (Code::BodyBroken, Catalogued),
            Self::Overloaded => (Code::Overloaded, Catalogued),
            Self::NoInstance => (Code::NoInstance, Catalogued),
            Self::NoMemory => (
                Code::NoMemory,
                Further("The limit is the setting handler.max_total_memory_bytes."),
            ),
            Self::Draining => (Code::Draining, Catalogued),
            Self::EncodedBody => (Code::UnsupportedEncoding, Catalogued),
            Self::InvalidHost => (Code::InvalidHost, Catalogued),
            Self::TooManyFailures { .. } => (Code::TooManyFailures, Catalogued),
            Self::TooManyAtOnce => {
                (Code::TooManyAtOnce, Further("The limit is the setting auth.max_concurrent."))
            }
            Self::TooManyOfAddress => (
                Code::TooManyFromAddress,
                Further("The limit is the setting server.max_requests_per_address."),
            ),
            Self::TooManyBytes => (
                Code::TooManyBytesAtOnce,
                Further("The limit is the setting server.max_bytes_in_flight_per_key."),
            ),
            Self::NoBytesLeft => (
                Code::BodyBudgetExhausted,
                Further("The limit is the setting server.max_bytes_in_flight."),
            ),
            Self::SeveralCredentials => (Code::ConflictingCredentials, Catalogued),
            Self::KeyEnded => (
                Code::InvalidCredential,
                Own("It was revoked, has expired or lost a right while the response was sent."),
            ),
            Self::Interrupted => (Code::ChangeInterrupted, Catalogued),
            Self::InvalidDeadline => (Code::InvalidDeadline, Catalogued),
            Self::DeadlineExceeded => (Code::DeadlineExceeded, Catalogued),
            Self::InvalidIdempotencyKey => (Code::InvalidIdempotencyKey, Catalogued),
            Self::IdempotencyInProgress => (Code::IdempotencyInProgress, Catalogued),
            Self::IdempotencyKeyReused => (Code::IdempotencyKeyReused, Catalogued),
            Self::IdempotencyResponseNotKept => (Code::IdempotencyResponseNotKept, Catalogued),
            Self::ScopeRequired => (
                Code::ScopeRequired,
                Own(
                    "The request was done before, with a scope that the key does not have any more.",
                ),
            ),
            Self::CollectionForbidden => (
                Code::CollectionForbidden,
                Own(
                    "The request was done before, in a collection that the key does not reach any more.",
                ),
            ),
            Self::RateLimited { .. } => {
                (Code::RateLimited, Further("A repetition costs what its request did."))
            }
            Self::Unavailable => (Code::Unavailable, Catalogued),
            Self::DatabaseUnreachable => (Code::DatabaseUnreachable, Catalogued),
            Self::HandlerNotHere => (Code::HandlerNotHere, Catalogued),
            Self::HostBehind => {
                (Code::HostBehind, Further("The limit is the setting fleet.wait_ms."))
            }
            Self::HandlerTimeout => (
                Code::HandlerTimeout,
                Further("The limit is the setting server.request_timeout_ms."),
            ),
            Self::HandlerOverran => (
                Code::HandlerTimeout,
                Own(
                    "The handler used up its processor time. Ask for less at once, or send a smaller file. The limit is the setting handler.max_cpu_ms, and handler.max_heavy_cpu_ms for files and large bodies.",
                ),
            ),
            Self::HandlerOutgrew => (
                Code::HandlerFailed,
                Own(
                    "The handler needed too much memory. Ask for less at once, or send a smaller file. The limit is the setting handler.max_memory_bytes, and handler.max_heavy_memory_bytes for files and large bodies.",
                ),
            ),
            Self::HandlerFailed => (Code::HandlerFailed, Catalogued),
            Self::TlsRequired => (Code::TlsRequired, Catalogued),
        }
    }

    /// The catalogue's entry.
    fn entry(self) -> Entry {
        self.parts().0.entry()
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
                (other.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER_SECONDS)
            }
        }
    }

    /// The stable code.
    pub fn code(self) -> &'static str {
        self.entry().code
    }

    /// The status of the response.
    fn status(self) -> StatusCode {
        StatusCode::from_u16(self.entry().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The problem as a JSON object.
    pub fn json(self, request_id: &str, path: &str) -> String {
        let (kind, advice) = self.parts();
        let Entry { code, status, title, detail } = kind.entry();
        let detail = match advice {
            Advice::Catalogued => Cow::Borrowed(detail),
            Advice::Further(more) => Cow::Owned(format!("{detail} {more}")),
            Advice::Own(other) => Cow::Borrowed(other),
        };
        let detail = detail.as_ref();
        let error = OpenAiError { code, message: detail, param: (), kind: openai_type(status) };
        let members = Members {
            code,
            detail,
            error: is_for_openai(path).then_some(error),
            instance: path,
            request_id,
            status,
            title,
            location: kind.location(),
        };
        // Numbers and text become JSON without fail.
        serde_json::to_string(&members).unwrap_or_default()
    }

    /// The problem as a response.
    pub fn response(self, request_id: &str, path: &str) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(self.json(request_id, path)));
        *response.status_mut() = self.status();
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
        let json_for = |path| {
            serde_json::from_str::<serde_json::Value>(&Problem::Overloaded.json("r-1", path))
                .unwrap()
        };
        assert_eq!(json_for("/v1/responses").pointer("/error/type").unwrap(), "server_error");
        assert!(json_for("/v1/collections/a").get("error").is_none());
    }
}
