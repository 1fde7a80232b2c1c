//! What a handler imports, as exports, generated from the contract in `wit/`.

#![allow(unsafe_code, missing_docs, unreachable_pub, clippy::all, reason = "generated code")]

wit_bindgen::generate!({
    inline: "
        package ragtime:standalone@0.1.0;
        world provider {
            export ragtime:auth/principals@0.1.0;
            export ragtime:rate-limit/admission@0.1.0;
            export ragtime:logging/log@0.1.0;
            export ragtime:health/readiness@0.1.0;
            export ragtime:keys/keyring@0.1.0;
            export ragtime:documents/store@0.1.0;
            export ragtime:documents/details@0.1.0;
            export ragtime:documents/listing@0.1.0;
            export ragtime:retrieval/search@0.1.0;
            export ragtime:models/embedding@0.1.0;
            export ragtime:models/measure@0.1.0;
            export ragtime:models/generation@0.1.0;
            export ragtime:models/assessment@0.1.0;
            export ragtime:models/rewriting@0.1.0;
            export ragtime:models/embedding@0.2.0;
            export ragtime:models/collections@0.2.0;
            export ragtime:models/reranking@0.2.0;
        }
    ",
    path: "../../wit",
    world: "ragtime:standalone/provider",
    generate_all,
    pub_export_macro: true,
    export_macro_name: "export_provider",
});

pub(crate) use exports::ragtime::auth::principals;
pub(crate) use exports::ragtime::documents::{details, listing, store};
pub(crate) use exports::ragtime::health::readiness;
pub(crate) use exports::ragtime::keys::keyring;
pub(crate) use exports::ragtime::logging::log;
pub(crate) use exports::ragtime::models0_1_0::{
    assessment, embedding, generation, measure, rewriting,
};
pub(crate) use exports::ragtime::models0_2_0 as named;
pub(crate) use exports::ragtime::rate_limit::admission;
pub(crate) use exports::ragtime::retrieval::search;
