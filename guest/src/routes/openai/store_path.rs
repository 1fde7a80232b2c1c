//! The store that a path names, and its errors.

use ragtime_api::problem::{Code, Problem};
use ragtime_api::resource::openai::stores as api;

use crate::bindings::store;
use crate::call::Call;

/// The collection of the store that the path names.
pub(super) async fn collection(call: &mut Call) -> Result<String, Problem> {
    let id = call.id().await?;
    api::collection(&id).map(str::to_owned).ok_or_else(|| Code::UnknownVectorStore.into())
}

/// A collection that is missing is a store that is missing.
pub(super) fn unknown(error: store::Error) -> Problem {
    match error {
        store::Error::UnknownCollection => Code::UnknownVectorStore.into(),
        store::Error::UnknownDocument => Code::UnknownFile.into(),
        error => error.into(),
    }
}
