//! `ragtime:models/collections@0.2.0`

use ragtime_policy::scope::Scope;
use ragtime_store as store;
use wasmtime::component::{Accessor, Resource};

use crate::capability::bindings::ragtime::models0_2_0::collections as wit;
use crate::capability::call::Call;
use crate::capability::documents::{DocumentsResult, bounded};
use crate::capability::rate_limit::Permit;
use crate::runtime::state::{Capabilities, CapabilityView};

impl wit::Host for CapabilityView<'_> {}

impl<T: Send + 'static> wit::HostWithStore<T> for Capabilities {
    async fn embedded_by(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        names: Vec<String>,
    ) -> DocumentsResult<Vec<wit::Embedded>> {
        let call = Call::of(accessor, &permit)?.with_in_each(Scope::Read, &names)?;
        call.read(move |call| {
            bounded(&names)?;
            let of = |models: store::CollectionModels| wit::Embedded {
                chosen: models.chosen,
                serving: models.serving,
                next: models.next,
                next_chunks: models.next_made,
            };
            Ok(call.services.store.collection_models(&names)?.into_iter().map(of).collect())
        })
        .await
    }

    async fn set_embedding_model(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        name: String,
        model: Option<String>,
    ) -> DocumentsResult<()> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Write, &name)?.writing();
        let set = call.services.store.set_collection_model(&name, model).await;
        call.services.rechunk.notify_one();
        Ok(set?)
    }
}
