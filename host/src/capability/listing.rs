//! `ragtime:documents/listing`

use ragtime_policy::scope::Scope;
use ragtime_store as store;
use wasmtime::component::{Accessor, Resource};

use super::bindings::ragtime::documents::listing as wit;
use super::call::Call;
use super::documents::{DocumentsResult, entries, summary_to_wit, visible_job};
use super::rate_limit::Permit;
use crate::runtime::state::{Capabilities, CapabilityView};

impl wit::Host for CapabilityView<'_> {}

impl<T: Send + 'static> wit::HostWithStore<T> for Capabilities {
    async fn documents(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        range: wit::Range,
    ) -> DocumentsResult<Vec<wit::DocumentSummary>> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Read, &collection)?;
        call.read(move |call| {
            let range = store::Between {
                limit: entries(range.limit as usize)?,
                above: range.above,
                below: range.below,
                descending: range.descending,
            };
            let documents = call.services.store.documents_between(&collection, &range)?;
            Ok(documents.into_iter().map(summary_to_wit).collect())
        })
        .await
    }

    async fn summaries(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        ids: Vec<String>,
    ) -> DocumentsResult<Vec<Option<wit::DocumentSummary>>> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Read, &collection)?;
        call.read(move |call| {
            entries(ids.len().max(1))?;
            let found = call.services.store.summaries(&collection, &ids)?;
            Ok(found.into_iter().map(|summary| summary.map(summary_to_wit)).collect())
        })
        .await
    }

    async fn job_items(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        job: String,
        first: u32,
        limit: u32,
    ) -> DocumentsResult<Vec<wit::JobItem>> {
        let call = Call::of(accessor, &permit)?.with(Scope::Write)?;
        call.read(move |call| {
            visible_job(call, &job)?;
            let limit = entries(limit as usize)?;
            let items = call.services.store.job_items(&job, first, limit)?;
            Ok(items.into_iter().map(item_to_wit).collect())
        })
        .await
    }

    async fn bytes(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collections: Vec<String>,
    ) -> DocumentsResult<Vec<u64>> {
        let call = Call::of(accessor, &permit)?.with_in_each(Scope::Read, &collections)?;
        call.read(move |call| {
            entries(collections.len().max(1))?;
            collections.iter().map(|name| call.services.store.bytes(name)).collect()
        })
        .await
    }
}

fn item_to_wit(item: store::JobItem) -> wit::JobItem {
    let fate = match item.fate {
        store::Fate::Pending => wit::Fate::Pending,
        store::Fate::Indexed => wit::Fate::Indexed,
        store::Fate::Failed(reason) => wit::Fate::Failed(reason),
    };
    wit::JobItem { position: item.position, id: item.id, fate }
}
