//! `ragtime:models/embedding`: no model, and an estimate of tokens.

use ragtime_extractive::estimated_token_starts;
use ragtime_policy::scope::Scope;

use super::{Permit, Provider, covers};
use crate::bindings::admission::PermitBorrow;
use crate::bindings::embedding as wit;

/// Texts of one call, as the host allows.
const MAX_TEXTS: usize = 1_024;

impl wit::Guest for Provider {
    fn current() -> Option<wit::Model> {
        None
    }

    async fn embed(
        permit: PermitBorrow<'_>,
        texts: Vec<String>,
    ) -> Result<Vec<Vec<f32>>, wit::Error> {
        allowed(&permit, texts.len())?;
        Err(wit::Error::Unavailable)
    }

    async fn tokens(
        permit: PermitBorrow<'_>,
        texts: Vec<String>,
    ) -> Result<Vec<Vec<u32>>, wit::Error> {
        allowed(&permit, texts.len())?;
        Ok(texts.iter().map(|text| estimated_token_starts(text)).collect())
    }
}

fn allowed(permit: &PermitBorrow<'_>, texts: usize) -> Result<(), wit::Error> {
    let key = &permit.get::<Permit>().key;
    if covers(key, Scope::Read, None).is_err() && covers(key, Scope::Write, None).is_err() {
        return Err(wit::Error::ScopeRequired);
    }
    match texts {
        0..=MAX_TEXTS => Ok(()),
        _ => Err(wit::Error::Invalid(format!("at most {MAX_TEXTS} texts in one call"))),
    }
}
