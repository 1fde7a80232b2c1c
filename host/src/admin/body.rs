//! The body of an answer to the operator.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, StreamBody};

/// Written at once, or as something goes on.
pub struct AdminBody(http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>);

impl AdminBody {
    /// All of it at once.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self(Full::new(bytes.into()).boxed_unsync())
    }

    /// Piece by piece. What drives the stream ends when the client goes.
    pub fn stream(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        use futures::StreamExt;
        Self(StreamBody::new(pieces.map(|piece| Ok(Frame::data(piece)))).boxed_unsync())
    }
}

impl Body for AdminBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
