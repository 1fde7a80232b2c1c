//! `ragtime:models/assessment`

use ragtime_openai::chat::Ending;

use super::{Permit, Provider};
use crate::bindings::admission::PermitBorrow;
use crate::bindings::assessment as wit;

impl wit::Guest for Provider {
    fn last(permit: PermitBorrow<'_>) -> Option<wit::Assessed> {
        let assessed = permit.get::<Permit>().assessed.borrow().clone()?;
        let statement = |(text, supported)| wit::Statement { text, supported };
        Some(wit::Assessed {
            confidence: assessed.confidence,
            ending: match assessed.ending {
                Ending::Stop => wit::Ending::Stop,
                Ending::Length => wit::Ending::Length,
                Ending::Filtered => wit::Ending::Filtered,
            },
            statements: assessed.statements.into_iter().map(statement).collect(),
        })
    }
}
