//! The body of an answer to the operator.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, StreamBody};

use crate::server::places::Place;

/// Written at once, or as something goes on.
pub struct AdminBody {
    body: http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>,
    /// The client's place among the requests of its address.
    _place: Option<Place<IpAddr>>,
}

impl AdminBody {
    /// All of it at once.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self { body: Full::new(bytes.into()).boxed_unsync(), _place: None }
    }

    /// Piece by piece. What drives the stream ends when the client goes.
    pub fn stream(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        use futures::StreamExt;
        let pieces = pieces.map(|piece| Ok(Frame::data(piece)));
        Self { body: StreamBody::new(pieces).boxed_unsync(), _place: None }
    }

    /// The same, which holds its client's place until it has been sent.
    pub fn holding(self, place: Option<Place<IpAddr>>) -> Self {
        Self { _place: place, ..self }
    }
}

impl Body for AdminBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
