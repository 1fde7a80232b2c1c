//! The generated host side of `wit/`. Only `capability` names these types.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]

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
    require_store_data_send: true,
});
