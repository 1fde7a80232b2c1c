//! `ragtime:documents/details`

use ragtime_policy::scope::Scope;
use ragtime_store as store;
use ragtime_text::Language;
use wasmtime::component::{Accessor, Resource};

use super::bindings::ragtime::documents::details as wit;
use super::call;
use super::documents::{
    allowed, allowed_in_all, bounded, document_from_wit, error_to_wit, ingest, put, read,
};
use super::rate_limit::Permit;
use crate::runtime::state::{Capabilities, CapabilityView};

type Answer<R> = wasmtime::Result<Result<R, wit::Error>>;

impl wit::Host for CapabilityView<'_> {}

impl<T: Send + 'static> wit::HostWithStore<T> for Capabilities {
    async fn put(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        document: wit::DetailedInput,
        condition: wit::Condition,
        wait: wit::Wait,
    ) -> Answer<wit::PutResult> {
        let call = match allowed(call(accessor, &permit)?, Scope::Write, Some(&collection)) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        Ok(put(call, collection, detailed_from_wit(document), condition, wait).await)
    }

    async fn ingest(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        documents: Vec<wit::DetailedInput>,
        failures: Vec<wit::Failure>,
        wait: wit::Wait,
    ) -> Answer<wit::Job> {
        let call = match allowed(call(accessor, &permit)?, Scope::Write, Some(&collection)) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        let documents = documents.into_iter().map(detailed_from_wit).collect();
        Ok(ingest(call, collection, documents, failures, wait).await)
    }

    async fn of_documents(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        ids: Vec<String>,
    ) -> Answer<Vec<wit::Details>> {
        let call = match allowed(call(accessor, &permit)?, Scope::Read, Some(&collection)) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        Ok(read(call, move |call| {
            bounded(&ids)?;
            let details = call.services.store.details(&collection, &ids)?;
            Ok(details.into_iter().map(details_to_wit).collect())
        })
        .await)
    }

    async fn collection_settings_of(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        names: Vec<String>,
    ) -> Answer<Vec<wit::CollectionSettings>> {
        let call = match allowed_in_all(call(accessor, &permit)?, &names) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        Ok(read(call, move |call| {
            bounded(&names)?;
            let settings = call.services.store.collection_settings(&names)?;
            let of = |(language, prompt): (Option<Language>, store::Prompt)| {
                let store::Prompt { system, template } = prompt;
                wit::CollectionSettings {
                    language: language.map(|one| one.code().to_owned()),
                    prompt: wit::Prompt { system, template },
                }
            };
            Ok(settings.into_iter().map(of).collect())
        })
        .await)
    }

    async fn set_collection_prompt(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        name: String,
        prompt: wit::Prompt,
    ) -> Answer<()> {
        let call = match allowed(call(accessor, &permit)?, Scope::Write, Some(&name)) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        let wit::Prompt { system, template } = prompt;
        call.request.set_wrote();
        let prompt = store::Prompt { system, template };
        let set = call.services.store.set_collection_prompt(&name, prompt).await;
        Ok(set.map_err(error_to_wit))
    }

    async fn set_collection_language(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        name: String,
        language: Option<String>,
    ) -> Answer<()> {
        let call = match allowed(call(accessor, &permit)?, Scope::Write, Some(&name)) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        let language = match language.as_deref().map(Language::parse) {
            None => None,
            Some(Some(language)) => Some(language),
            Some(None) => {
                let error = store::Error::Invalid("a language is a BCP 47 tag".into());
                return Ok(Err(error_to_wit(error)));
            }
        };
        call.request.set_wrote();
        let set = call.services.store.set_collection_language(&name, language).await;
        Ok(set.map_err(error_to_wit))
    }

    async fn of_jobs(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        ids: Vec<String>,
    ) -> Answer<Vec<wit::JobWarnings>> {
        let call = match allowed(call(accessor, &permit)?, Scope::Write, None) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        Ok(read(call, move |call| {
            bounded(&ids)?;
            let key = &call.permit.key().record;
            let seen = |collection: &str| key.allows_collection(collection);
            let of = |id: &String| call.services.store.job_warnings(id, seen);
            ids.iter().map(|id| Ok(job_warnings_to_wit(of(id)?))).collect()
        })
        .await)
    }
}

fn detailed_from_wit(input: wit::DetailedInput) -> store::NewDocument {
    let warnings = input.details.warnings.into_iter().map(warning_from_wit).collect();
    let details = store::Details {
        language: input.details.language,
        file_name: input.details.file_name,
        warnings,
    };
    document_from_wit(input.document, details)
}

fn warning_from_wit(warning: wit::Warning) -> store::Warning {
    store::Warning { code: warning.code, page: warning.page, detail: warning.detail }
}

fn warning_to_wit(warning: store::Warning) -> wit::Warning {
    wit::Warning { code: warning.code, page: warning.page, detail: warning.detail }
}

fn details_to_wit(details: store::Details) -> wit::Details {
    wit::Details {
        language: details.language,
        file_name: details.file_name,
        warnings: details.warnings.into_iter().map(warning_to_wit).collect(),
    }
}

fn job_warnings_to_wit(warnings: store::JobWarnings) -> wit::JobWarnings {
    let item = |item: store::JobWarning| wit::JobWarning {
        position: item.position,
        id: item.id,
        warning: warning_to_wit(item.warning),
    };
    wit::JobWarnings {
        items: warnings.items.into_iter().map(item).collect(),
        total: warnings.total,
    }
}
