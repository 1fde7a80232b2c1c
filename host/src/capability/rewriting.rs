//! `ragtime:models/rewriting`

use ragtime_policy::scope::Scope;
use wasmtime::component::{Accessor, Resource};

use super::bindings::ragtime::models0_1_0::rewriting as wit;
use super::call::Call;
use super::error::{Denied, ImportError};
use super::generation::message;
use super::rate_limit::Permit;
use crate::runtime::state::{Capabilities, CapabilityView};
use crate::telemetry::Rewriting;

impl wit::Host for CapabilityView<'_> {}

impl<T: Send + 'static> wit::HostWithStore<T> for Capabilities {
    async fn rewrite(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        messages: Vec<wit::Message>,
    ) -> wasmtime::Result<Option<String>> {
        match Call::of::<_, Denied>(accessor, &permit) {
            Ok(call) => Ok(rewritten(call, &messages).await),
            Err(ImportError::Error(_)) => Ok(None),
            Err(ImportError::Trap(trap)) => Err(trap),
        }
    }
}

async fn rewritten(call: Call, messages: &[wit::Message]) -> Option<String> {
    call.permit.allows(Scope::Read).ok()?;
    let model = call.services.generators.rewriter()?;
    call.pay_for_search().await.ok()?;
    let messages: Vec<_> = messages.iter().map(message).collect();
    let metrics = &call.services.telemetry.metrics;
    // One that is dropped was cancelled by its client.
    let rewritten = call.until_gone(model.rewrite(&messages, &call.request.trace)).await;
    match rewritten {
        Ok(Ok(Some(question))) => {
            metrics.tokens(model.name(), question.input_tokens, question.output_tokens);
            metrics.rewrote(Rewriting::Rewritten);
            Some(question.text)
        }
        Ok(Ok(None)) => None,
        Ok(Err(error)) => {
            tracing::warn!(request_id = call.request.id, %error, "the language model did not rewrite a question");
            metrics.rewrote(Rewriting::Failed);
            None
        }
        Err(_gone) => {
            metrics.rewrote(Rewriting::Cancelled);
            None
        }
    }
}
