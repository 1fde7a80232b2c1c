//! The generated host side of `wit/`. Only `capability` names these types.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

use crate::capability::error::ImportError;

wasmtime::component::bindgen!({
    path: "../wit",
    world: "ragtime:handler/capabilities",
    imports: {
        "ragtime:auth/principals.[method]principal.identity": store | trappable,
        "ragtime:logging/log.write": store | trappable,
        "ragtime:rate-limit/admission.[method]permit.quota": store | trappable,
        "ragtime:models/assessment@0.1.0.last": store | trappable,
        default: trappable,
    },
    with: {
        "ragtime:auth/principals.principal": crate::capability::auth::Principal,
        "ragtime:rate-limit/admission.permit": crate::capability::rate_limit::Permit,
    },
    trappable_error_type: {
        "ragtime:auth/principals.auth-error" => ImportError<ragtime::auth::principals::AuthError>,
        "ragtime:rate-limit/admission.refusal" => ImportError<ragtime::rate_limit::admission::Refusal>,
        "ragtime:keys/keyring.key-error" => ImportError<ragtime::keys::keyring::KeyError>,
        "ragtime:documents/store.error" => ImportError<ragtime::documents::store::Error>,
        "ragtime:models/embedding@0.1.0.error" => ImportError<ragtime::models0_1_0::embedding::Error>,
        "ragtime:models/generation@0.1.0.error" => ImportError<ragtime::models0_1_0::generation::Error>,
        "ragtime:models/embedding@0.2.0.error" => ImportError<ragtime::models0_2_0::embedding::Error>,
        "ragtime:models/reranking@0.2.0.error" => ImportError<ragtime::models0_2_0::reranking::Error>,
    },
    require_store_data_send: true,
});
