//! What a handler answered, as far as its response has come.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::response::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use wasmtime_wasi_http::WasiBody;

use crate::runtime::generation::HandlerFailure;

/// The response of a handler.
pub enum HandlerResponse {
    /// All of it is there: the handler is done.
    Whole(Parts, Bytes),
    /// Its body comes piece by piece.
    Stream(Response<WasiBody>),
}

impl HandlerResponse {
    /// Takes a response whole before its head goes out, where it has no body or
    /// says that its body is of up to `most` bytes. An instance that is lost
    /// meanwhile costs a second run, and not half an answer; and a client that
    /// does not read holds up no handler.
    ///
    /// # Errors
    ///
    /// [`HandlerFailure::Lost`] when the body breaks off.
    pub async fn of(
        method: &Method,
        response: Response<WasiBody>,
        most: usize,
    ) -> Result<Self, HandlerFailure> {
        let (head, body) = response.into_parts();
        // Nobody asks for these bodies (RFC 9110 sections 9.3.2, 15.3.5 and
        // 15.4.5), whatever length the head says.
        let bodiless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&head.status);
        if method == Method::HEAD || bodiless {
            return Ok(Self::Whole(head, Bytes::new()));
        }
        let length = head.headers.get(CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if length.is_none_or(|length| length > most) {
            return Ok(Self::Stream(Response::from_parts(head, body)));
        }
        let whole = Limited::new(body, most).collect().await;
        let whole = whole.map_err(|_| HandlerFailure::Lost)?.to_bytes();
        // A body that is another than its head says would break the connection.
        if length != Some(whole.len()) {
            return Err(HandlerFailure::Lost);
        }
        Ok(Self::Whole(head, whole))
    }

    /// The head.
    pub fn head(&self) -> (StatusCode, &http::HeaderMap) {
        match self {
            Self::Whole(head, _) => (head.status, &head.headers),
            Self::Stream(response) => (response.status(), response.headers()),
        }
    }
}
