//! `ragtime:documents/details`

use ragtime_policy::details::{Details, JobWarning, JobWarnings, Prompt, Warning};
use ragtime_policy::scope::Scope;
use ragtime_text::Language;

use super::documents::{allowed, document_from_wit, error_to_wit, ingest, put};
use super::{Permit, Provider};
use crate::bindings::admission::PermitBorrow;
use crate::bindings::details as wit;
use crate::bindings::store::Error;
use crate::records::{Commit, Document};
use crate::state::{read, write};

/// Documents or jobs asked about at once, so that one call cannot fill a
/// handler's memory.
const MAX_IDS: usize = 1_000;

impl wit::Guest for Provider {
    async fn put(
        permit: PermitBorrow<'_>,
        collection: String,
        document: wit::DetailedInput,
        condition: wit::Condition,
        _: wit::Wait,
    ) -> Result<wit::PutResult, Error> {
        allowed(&permit, Scope::Write, Some(&collection))?;
        put(collection, detailed_from_wit(document), condition).await
    }

    async fn ingest(
        permit: PermitBorrow<'_>,
        collection: String,
        documents: Vec<wit::DetailedInput>,
        failures: Vec<wit::Failure>,
        _: wit::Wait,
    ) -> Result<wit::Job, Error> {
        allowed(&permit, Scope::Write, Some(&collection))?;
        ingest(collection, documents.into_iter().map(detailed_from_wit).collect(), failures).await
    }

    async fn of_documents(
        permit: PermitBorrow<'_>,
        collection: String,
        ids: Vec<String>,
    ) -> Result<Vec<wit::Details>, Error> {
        allowed(&permit, Scope::Read, Some(&collection))?;
        bounded(&ids)?;
        read(|library| {
            let collection = library.collection(&collection)?;
            let of = |id: &String| {
                let Ok(document) = collection.document(id) else { return Details::default() };
                let language = collection.language_of_document(id);
                let language = language.map(|language| language.code().to_owned());
                // What it came with is answered as it was sent.
                let language = document.details.language.clone().or(language);
                Details { language, ..document.details.clone() }
            };
            Ok(ids.iter().map(of).map(details_to_wit).collect())
        })
        .map_err(error_to_wit)
    }

    async fn collection_settings_of(
        permit: PermitBorrow<'_>,
        names: Vec<String>,
    ) -> Result<Vec<wit::CollectionSettings>, Error> {
        allowed(&permit, Scope::Read, None)?;
        bounded(&names)?;
        let record = &permit.get::<Permit>().key.record;
        if !names.iter().all(|name| record.allows_collection(name)) {
            return Err(Error::CollectionForbidden);
        }
        read(|library| {
            let of = |name: &String| {
                let found = library.collection(name).ok();
                let Prompt { system, template } =
                    found.map(|found| found.prompt.clone()).unwrap_or_default();
                wit::CollectionSettings {
                    language: found.and_then(|found| Some(found.language?.code().to_owned())),
                    prompt: wit::Prompt { system, template },
                }
            };
            Ok(names.iter().map(of).collect())
        })
        .map_err(error_to_wit)
    }

    async fn set_collection_prompt(
        permit: PermitBorrow<'_>,
        name: String,
        prompt: wit::Prompt,
    ) -> Result<(), Error> {
        allowed(&permit, Scope::Write, Some(&name))?;
        let wit::Prompt { system, template } = prompt;
        let prompt = Prompt { system, template };
        prompt.check().map_err(Error::Invalid)?;
        write(|library| {
            library.collection(&name)?;
            let commit = Commit::Prompt { collection: name.clone(), prompt: prompt.clone() };
            Ok((Some(commit), ()))
        })
        .map_err(error_to_wit)
    }

    async fn set_collection_language(
        permit: PermitBorrow<'_>,
        name: String,
        language: Option<String>,
    ) -> Result<(), Error> {
        allowed(&permit, Scope::Write, Some(&name))?;
        if language.as_deref().is_some_and(|tag| Language::parse(tag).is_none()) {
            return Err(Error::Invalid("a language is a BCP 47 tag".into()));
        }
        write(|library| {
            library.collection(&name)?;
            let commit = Commit::Language { collection: name.clone(), language: language.clone() };
            Ok((Some(commit), ()))
        })
        .map_err(error_to_wit)
    }

    async fn of_jobs(
        permit: PermitBorrow<'_>,
        ids: Vec<String>,
    ) -> Result<Vec<wit::JobWarnings>, Error> {
        allowed(&permit, Scope::Write, None)?;
        bounded(&ids)?;
        let record = &permit.get::<Permit>().key.record;
        read(|library| {
            let of = |id: &String| match library.job(id) {
                Ok(job) if record.allows_collection(&job.collection) => job.warnings.clone(),
                // Another tenant's job does not exist, as far as this key goes.
                _ => JobWarnings::default(),
            };
            Ok(ids.iter().map(of).map(job_warnings_to_wit).collect())
        })
        .map_err(error_to_wit)
    }
}

fn bounded(ids: &[String]) -> Result<(), Error> {
    match ids.len() <= MAX_IDS {
        true => Ok(()),
        false => Err(Error::Invalid(format!("at most {MAX_IDS} ids are taken at once"))),
    }
}

fn detailed_from_wit(input: wit::DetailedInput) -> Document {
    let warning = |warning: wit::Warning| Warning {
        code: warning.code,
        page: warning.page,
        detail: warning.detail,
    };
    let details = Details {
        language: input.details.language,
        file_name: input.details.file_name,
        warnings: input.details.warnings.into_iter().map(warning).collect(),
    };
    document_from_wit(input.document, details)
}

fn warning_to_wit(warning: Warning) -> wit::Warning {
    wit::Warning { code: warning.code, page: warning.page, detail: warning.detail }
}

fn details_to_wit(details: Details) -> wit::Details {
    wit::Details {
        language: details.language,
        file_name: details.file_name,
        warnings: details.warnings.into_iter().map(warning_to_wit).collect(),
    }
}

fn job_warnings_to_wit(warnings: JobWarnings) -> wit::JobWarnings {
    let item = |item: JobWarning| wit::JobWarning {
        position: item.position,
        id: item.id,
        warning: warning_to_wit(item.warning),
    };
    wit::JobWarnings {
        items: warnings.items.into_iter().map(item).collect(),
        total: warnings.total,
    }
}
