//! `ragtime:models/collections@0.2.0`

use ragtime_policy::scope::Scope;
use ragtime_store as store;
use wasmtime::component::{Accessor, Resource};

use crate::capability::bindings::ragtime::documents::store::Error;
use crate::capability::bindings::ragtime::models0_2_0::collections as wit;
use crate::capability::call;
use crate::capability::documents::{allowed, allowed_in_all, bounded, error_to_wit, read};
use crate::capability::rate_limit::Permit;
use crate::runtime::state::{Capabilities, CapabilityView};

type Answer<R> = wasmtime::Result<Result<R, Error>>;

impl wit::Host for CapabilityView<'_> {}

impl<T: Send + 'static> wit::HostWithStore<T> for Capabilities {
    async fn embedded_by(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        names: Vec<String>,
    ) -> Answer<Vec<wit::Embedded>> {
        let call = match allowed_in_all(call(accessor, &permit)?, &names) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        Ok(read(call, move |call| {
            bounded(&names)?;
            let of = |models: store::CollectionModels| wit::Embedded {
                chosen: models.chosen,
                serving: models.serving,
                next: models.next,
                next_chunks: models.next_made,
            };
            Ok(call.services.store.collection_models(&names)?.into_iter().map(of).collect())
        })
        .await)
    }

    async fn set_embedding_model(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        name: String,
        model: Option<String>,
    ) -> Answer<()> {
        let call = match allowed(call(accessor, &permit)?, Scope::Write, Some(&name)) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        call.request.set_wrote();
        let set = call.services.store.set_collection_model(&name, model).await;
        call.services.recut.notify_one();
        Ok(set.map_err(error_to_wit))
    }
}
