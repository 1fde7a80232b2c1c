//! `ragtime:models/measure`: an estimate, as no model counts here.

use ragtime_extractive::estimated_token_starts;

use super::Provider;
use super::embedding::allowed;
use crate::bindings::admission::PermitBorrow;
use crate::bindings::embedding::Error;
use crate::bindings::measure as wit;

impl wit::Guest for Provider {
    async fn tokens(
        permit: PermitBorrow<'_>,
        texts: Vec<wit::Measured>,
    ) -> Result<Vec<Vec<u32>>, Error> {
        allowed(&permit, texts.len())?;
        Ok(texts.iter().map(|one| estimated_token_starts(&one.text)).collect())
    }
}
