//! `ragtime:documents/details`

use ragtime_policy::scope::Scope;
use ragtime_store as store;
use ragtime_text::Language;
use wasmtime::component::{Accessor, Resource};

use super::bindings::ragtime::documents::details as wit;
use super::call::Call;
use super::documents::{DocumentsResult, bounded, document_from_wit, ingest, put};
use super::rate_limit::Permit;
use crate::runtime::state::{Capabilities, CapabilityView};

impl wit::Host for CapabilityView<'_> {}

impl<T: Send + 'static> wit::HostWithStore<T> for Capabilities {
    async fn put(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        document: wit::DetailedInput,
        condition: wit::Condition,
        wait: wit::Wait,
    ) -> DocumentsResult<wit::PutResult> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Write, &collection)?;
        put(call, collection, detailed_from_wit(document), condition, wait).await
    }

    async fn ingest(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        documents: Vec<wit::DetailedInput>,
        failures: Vec<wit::Failure>,
        wait: wit::Wait,
    ) -> DocumentsResult<wit::Job> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Write, &collection)?;
        let documents = documents.into_iter().map(detailed_from_wit).collect();
        ingest(call, collection, documents, failures, wait).await
    }

    async fn of_documents(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        collection: String,
        ids: Vec<String>,
    ) -> DocumentsResult<Vec<wit::Details>> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Read, &collection)?;
        call.read(move |call| {
            bounded(&ids)?;
            let details = call.services.store.details(&collection, &ids)?;
            Ok(details.into_iter().map(details_to_wit).collect())
        })
        .await
    }

    async fn collection_settings_of(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        names: Vec<String>,
    ) -> DocumentsResult<Vec<wit::CollectionSettings>> {
        let call = Call::of(accessor, &permit)?.with_in_each(Scope::Read, &names)?;
        call.read(move |call| {
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
        .await
    }

    async fn set_collection_prompt(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        name: String,
        prompt: wit::Prompt,
    ) -> DocumentsResult<()> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Write, &name)?.writing();
        let wit::Prompt { system, template } = prompt;
        let prompt = store::Prompt { system, template };
        Ok(call.services.store.set_collection_prompt(&name, prompt).await?)
    }

    async fn set_collection_language(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        name: String,
        language: Option<String>,
    ) -> DocumentsResult<()> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Write, &name)?;
        let language = language.as_deref().map(language_from_wit).transpose()?;
        let call = call.writing();
        Ok(call.services.store.set_collection_language(&name, language).await?)
    }

    async fn of_jobs(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        ids: Vec<String>,
    ) -> DocumentsResult<Vec<wit::JobWarnings>> {
        let call = Call::of(accessor, &permit)?.with(Scope::Write)?;
        call.read(move |call| {
            bounded(&ids)?;
            let key = &call.permit.key().record;
            let seen = |collection: &str| key.allows_collection(collection);
            let of = |id: &String| call.services.store.job_warnings(id, seen);
            ids.iter().map(|id| Ok(job_warnings_to_wit(of(id)?))).collect()
        })
        .await
    }
}

fn language_from_wit(tag: &str) -> Result<Language, store::Error> {
    Language::parse(tag).ok_or_else(|| store::Error::Invalid("a language is a BCP 47 tag".into()))
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
