//! `ragtime:models/rewriting`

use ragtime_policy::scope::Scope;

use super::generation::{chat, message};
use super::{Permit, Provider, covers};
use crate::bindings::admission::PermitBorrow;
use crate::bindings::rewriting as wit;
use crate::log::log;

impl wit::Guest for Provider {
    async fn rewrite(permit: PermitBorrow<'_>, messages: Vec<wit::Message>) -> Option<String> {
        covers(&permit.get::<Permit>().key, Scope::Read, None).ok()?;
        let messages: Vec<_> = messages.iter().map(message).collect();
        match chat()?.rewrite(&messages).await {
            Ok(question) => question.map(|question| question.text),
            Err(error) => {
                log("warn", "the language model did not rewrite a question", &error.to_string());
                None
            }
        }
    }
}
