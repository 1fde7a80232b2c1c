//! The body of an answer to the operator.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full, StreamBody};

use crate::server::places::Place;

/// Why a body broke off.
type Broken = Box<dyn std::error::Error + Send + Sync>;

/// Written at once, as something goes on, or by the public listener's side.
pub struct AdminBody {
    body: http_body_util::combinators::UnsyncBoxBody<Bytes, Broken>,
    /// The client's place among the requests of its address.
    _place: Option<Place<IpAddr>>,
}

impl AdminBody {
    /// All of it at once.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::relayed(Full::new(bytes.into()))
    }

    /// Piece by piece. What drives the stream ends when the client goes.
    pub fn stream(pieces: impl Stream<Item = Bytes> + Send + 'static) -> Self {
        use futures::StreamExt;
        Self::relayed(StreamBody::new(pieces.map(|piece| Ok::<_, Broken>(Frame::data(piece)))))
    }

    /// As another body has it.
    pub fn relayed<B>(body: B) -> Self
    where
        B: Body<Data = Bytes, Error: Into<Broken>> + Send + 'static,
    {
        Self { body: body.map_err(Into::into).boxed_unsync(), _place: None }
    }

    /// The same, which holds its client's place until it has been sent.
    pub fn holding(self, place: Option<Place<IpAddr>>) -> Self {
        Self { _place: place, ..self }
    }
}

impl Body for AdminBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
