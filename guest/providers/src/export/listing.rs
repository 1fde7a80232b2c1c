//! `ragtime:documents/listing`

use ragtime_policy::scope::Scope;

use super::documents::{allowed, entries, error_to_wit, summary_to_wit};
use super::{Permit, Provider};
use crate::bindings::admission::PermitBorrow;
use crate::bindings::listing as wit;
use crate::bindings::store::{DocumentSummary, Error};
use crate::library;
use crate::records::Job;
use crate::state::read;

impl wit::Guest for Provider {
    async fn documents(
        permit: PermitBorrow<'_>,
        collection: String,
        range: wit::Range,
    ) -> Result<Vec<DocumentSummary>, Error> {
        allowed(&permit, Scope::Read, Some(&collection))?;
        read(|library| {
            let limit = entries(range.limit as usize)?;
            let (above, below) = (range.above.as_deref(), range.below.as_deref());
            let collection = library.collection(&collection)?;
            let found = collection.between(above, below, range.descending, limit);
            Ok(found.into_iter().map(summary_to_wit).collect())
        })
        .map_err(error_to_wit)
    }

    async fn summaries(
        permit: PermitBorrow<'_>,
        collection: String,
        ids: Vec<String>,
    ) -> Result<Vec<Option<DocumentSummary>>, Error> {
        allowed(&permit, Scope::Read, Some(&collection))?;
        read(|library| {
            entries(ids.len().max(1))?;
            let collection = library.collection(&collection)?;
            Ok(ids.iter().map(|id| collection.document(id).ok().map(summary_to_wit)).collect())
        })
        .map_err(error_to_wit)
    }

    async fn job_items(
        permit: PermitBorrow<'_>,
        job: String,
        first: u32,
        limit: u32,
    ) -> Result<Vec<wit::JobItem>, Error> {
        allowed(&permit, Scope::Write, None)?;
        let record = &permit.get::<Permit>().key.record;
        read(|library| {
            let limit = entries(limit as usize)?;
            match library.job(&job)? {
                found if record.allows_collection(&found.collection) => {
                    Ok(items(found, first, limit))
                }
                // Another tenant's job does not exist, as far as this key goes.
                _ => Err(library::Error::UnknownJob),
            }
        })
        .map_err(error_to_wit)
    }

    async fn bytes(permit: PermitBorrow<'_>, collections: Vec<String>) -> Result<Vec<u64>, Error> {
        for name in &collections {
            allowed(&permit, Scope::Read, Some(name))?;
        }
        read(|library| {
            entries(collections.len().max(1))?;
            collections.iter().map(|name| Ok(library.collection(name)?.bytes())).collect()
        })
        .map_err(error_to_wit)
    }
}

fn items(job: &Job, first: u32, limit: usize) -> Vec<wit::JobItem> {
    let stored = job.stored.iter().map(|(position, id)| wit::JobItem {
        position: *position,
        id: Some(id.clone()),
        fate: wit::Fate::Indexed,
    });
    let failed = job.failed.iter().map(|failure| wit::JobItem {
        position: failure.position,
        id: failure.id.clone(),
        fate: wit::Fate::Failed(failure.reason.clone()),
    });
    let mut items: Vec<_> = stored.chain(failed).filter(|item| item.position >= first).collect();
    items.sort_unstable_by_key(|item| item.position);
    items.truncate(limit);
    items
}
