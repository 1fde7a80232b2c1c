//! `ragtime:models/assessment`

use ragtime_openai::chat::Ending;
use wasmtime::component::{Access, Resource};

use super::bindings::ragtime::models0_1_0::assessment as wit;
use super::call::current;
use super::rate_limit::Permit;
use crate::generator::Assessed;
use crate::runtime::state::{Capabilities, CapabilityView};

impl wit::Host for CapabilityView<'_> {}

impl<T: 'static> wit::HostWithStore<T> for Capabilities {
    fn last(
        mut access: Access<'_, T, Self>,
        permit: Resource<Permit>,
    ) -> wasmtime::Result<Option<wit::Assessed>> {
        let current = current(&mut access)?;
        let permit = access.get().table.get(&permit)?;
        let request = current.filter(|current| permit.owner.is(current));
        Ok(request.and_then(|request| request.assessed()).map(to_wit))
    }
}

fn to_wit(assessed: Assessed) -> wit::Assessed {
    let statement = |(text, supported)| wit::Statement { text, supported };
    wit::Assessed {
        confidence: assessed.confidence,
        ending: match assessed.ending {
            Ending::Stop => wit::Ending::Stop,
            Ending::Length => wit::Ending::Length,
            Ending::Filtered => wit::Ending::Filtered,
        },
        statements: assessed.statements.into_iter().map(statement).collect(),
    }
}
