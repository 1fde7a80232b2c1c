//! The problems of a route, by status.

use std::collections::BTreeMap;

use ragtime_policy::problem::is_for_openai;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::headers;
use crate::problem::{Body, Code};
use crate::routes::description::{Description, Place};
use crate::routes::{Access, Method, Route};

/// What any request may meet: those of the host, and a query string that is
/// not known.
const ALWAYS: &[Code] = &[
    Code::BodyTooLarge,
    Code::BodyBroken,
    Code::BodyTimeout,
    Code::Overloaded,
    Code::NoInstance,
    Code::NoMemory,
    Code::Draining,
    Code::DatabaseUnreachable,
    Code::HostBehind,
    Code::HandlerNotHere,
    Code::HandlerTimeout,
    Code::HandlerFailed,
    Code::Internal,
    Code::UnsupportedEncoding,
    Code::InvalidHost,
    Code::TooManyFailures,
    Code::TooManyFromAddress,
    Code::InvalidDeadline,
    Code::DeadlineExceeded,
];
const KEYED: &[Code] = &[
    Code::Unauthenticated,
    Code::InvalidCredential,
    Code::ExpiredCredential,
    Code::ConflictingCredentials,
    Code::ScopeRequired,
    Code::RateLimited,
    Code::TooManyAtOnce,
    Code::TooManyBytesAtOnce,
    Code::BodyBudgetExhausted,
];
/// What is wrong with a request, on our own routes and on those of OpenAI's API.
const INVALID: &[Code] = &[Code::ValidationFailed, Code::InvalidRequest];
const INVALID_OF_OPENAI: &[Code] = &[Code::InvalidValue];
/// Of requests that may carry an `Idempotency-Key`.
const CHANGING: &[Code] = &[
    Code::InvalidIdempotencyKey,
    Code::IdempotencyInProgress,
    Code::IdempotencyKeyReused,
    Code::IdempotencyResponseNotKept,
    Code::Unavailable,
    Code::StoreUnwritable,
    Code::ChangeInterrupted,
];
const IN_COLLECTION: &[Code] = &[Code::CollectionForbidden, Code::UnknownCollection];
const WITH_BODY: &[Code] =
    &[Code::UnsupportedMediaType, Code::MalformedJson, Code::InvalidUtf8, Code::JsonTooComplex];

/// A response for each status that the problems of a route have.
pub(super) fn responses(
    route: &Route,
    description: &Description,
    schemas: &mut SchemaGenerator,
) -> Map<String, Value> {
    let keyed = !matches!(route.access, Access::Open(_));
    let openai = is_for_openai(route.path);
    let in_collection = route.path.contains("{collection}");
    let groups = [
        (true, ALWAYS),
        (keyed, KEYED),
        (keyed && !openai, INVALID),
        (keyed && openai, INVALID_OF_OPENAI),
        (keyed && route.method != Method::Get, CHANGING),
        (in_collection, IN_COLLECTION),
        (description.body.is_some(), WITH_BODY),
        (true, description.problems),
    ];
    let mut by_status = BTreeMap::<u16, Vec<Code>>::new();
    for code in groups.iter().filter(|(applies, _)| *applies).flat_map(|(_, codes)| *codes) {
        by_status.entry(code.entry().status).or_default().push(*code);
    }
    let schema = schemas.subschema_for::<Body<'_>>().to_value();
    by_status
        .into_iter()
        .map(|(status, codes)| (status.to_string(), response(status, &codes, keyed, &schema)))
        .collect()
}

fn response(status: u16, codes: &[Code], keyed: bool, schema: &Value) -> Value {
    let said: Vec<_> = codes
        .iter()
        .map(|code| format!("`{}`: {}.", code.entry().code, code.entry().title))
        .collect();
    let mut response = json!({
        "description": said.join(" "),
        "headers": headers(keyed && !matches!(status, 401 | 408)),
        "content": {"application/problem+json": {"schema": schema}},
    });
    let extra = match status {
        401 | 403 => Some(Place::Challenge),
        429 | 503 => Some(Place::RetryAfter),
        _ => None,
    };
    if let Some(place) = extra {
        response["headers"][place.name()] = place.header();
    }
    response
}
