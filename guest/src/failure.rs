//! From the host's errors to problems. What a host says in `other` goes to the
//! log and never to the client.

use ragtime_api::problem::{Code, Problem};

use crate::bindings::embedding;
use crate::bindings::generation;
use crate::bindings::keyring::KeyError;
use crate::bindings::log::{self, Level};
use crate::bindings::principals::AuthError;
use crate::bindings::reranking;
use crate::bindings::store;
use crate::scopes::from_wit;

/// Seconds after which a generator is worth another try: it restarts or its
/// queue empties in that time.
const GENERATOR_RETRY_SECONDS: u32 = 5;

/// Logs what the host said and answers `internal`.
pub(crate) fn internal(call: &str, text: Option<String>) -> Problem {
    report(Level::Error, "host call failed", call, text);
    Code::Internal.into()
}

/// Writes one line to the host's log.
pub(crate) fn report(level: Level, message: &str, call: &str, text: Option<String>) {
    let fields =
        [("call".to_owned(), call.to_owned()), ("error".to_owned(), text.unwrap_or_default())];
    log::write(level, message, &fields);
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Missing => Code::Unauthenticated.into(),
            AuthError::Malformed | AuthError::Unknown => Code::InvalidCredential.into(),
            AuthError::Expired => Code::ExpiredCredential.into(),
            AuthError::Other(text) => internal("authenticate", text),
        }
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        use store::Error;
        match error {
            Error::ScopeRequired(scope) => Self::scope_required(from_wit(scope).name()),
            Error::CollectionForbidden => Code::CollectionForbidden.into(),
            Error::UnknownCollection => Code::UnknownCollection.into(),
            Error::CollectionExists => Code::CollectionExists.into(),
            Error::CollectionProtected => Code::CollectionProtected.into(),
            Error::UnknownDocument => Code::UnknownDocument.into(),
            Error::UnknownJob => Code::UnknownJob.into(),
            Error::PreconditionFailed => Code::PreconditionFailed.into(),
            Error::InvalidCursor => Code::InvalidCursor.into(),
            Error::Invalid(detail) => Self::rule(&detail),
            Error::Busy(seconds) => Self::retry(Code::Busy, seconds),
            Error::Unwritable => Code::StoreUnwritable.into(),
            Error::Other(text) => internal("store", text),
        }
    }
}

impl From<embedding::Error> for Problem {
    fn from(error: embedding::Error) -> Self {
        use embedding::Error;
        match error {
            Error::UnknownModel => Code::UnknownModel.into(),
            Error::Unavailable => Code::EmbeddingUnavailable.into(),
            Error::ScopeRequired => Self::scope_required("read"),
            Error::Invalid(detail) => Self::new(Code::InvalidRequest, detail),
            Error::Other(text) => internal("embedding", text),
        }
    }
}

impl From<reranking::Error> for Problem {
    fn from(error: reranking::Error) -> Self {
        use reranking::Error;
        match error {
            Error::UnknownModel => Code::UnknownReranker.into(),
            Error::Unavailable => Code::RerankingUnavailable.into(),
            Error::ScopeRequired => Self::scope_required("read"),
            Error::Invalid(detail) => Self::new(Code::InvalidRequest, detail),
            Error::Other(text) => internal("rerank", text),
        }
    }
}

impl From<generation::Error> for Problem {
    fn from(error: generation::Error) -> Self {
        use generation::Error;
        match error {
            Error::UnknownGenerator => Code::UnknownGenerator.into(),
            Error::ScopeRequired => Self::scope_required("read"),
            Error::CollectionForbidden => Code::CollectionForbidden.into(),
            Error::UnknownCollection => Code::UnknownCollection.into(),
            Error::Unavailable => Self::retry(Code::GeneratorUnavailable, GENERATOR_RETRY_SECONDS),
            Error::Other(text) => internal("generate", text),
        }
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::ScopeRequired(scope) => Self::scope_required(from_wit(scope).name()),
            KeyError::UnknownKey => Code::UnknownKey.into(),
            KeyError::Invalid(detail) => Self::new(Code::InvalidRequest, detail),
            KeyError::LastAdmin => Code::LastAdminKey.into(),
            KeyError::Unwritable => Code::StoreUnwritable.into(),
            KeyError::Other(text) => internal("keys", text),
        }
    }
}
