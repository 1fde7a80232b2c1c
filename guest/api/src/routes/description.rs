//! What an operation takes and answers, as the OpenAPI document has it.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use crate::problem::{Code, Problem};

/// What an operation takes and answers.
pub(crate) struct Description {
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    /// What else there is to say.
    pub(crate) note: &'static str,
    pub(crate) tag: &'static str,
    pub(crate) query: &'static [Query],
    pub(crate) body: Option<Body>,
    pub(crate) answers: Vec<ResponseDescription>,
    /// The problems that this route has beside those of its kind.
    pub(crate) problems: &'static [Code],
}

/// A parameter of the query string.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query {
    /// Its name.
    pub(crate) name: &'static str,
    /// One sentence.
    pub(crate) description: &'static str,
    /// As JSON Schema.
    pub(crate) schema: fn() -> Value,
}

/// A media type and its JSON Schema.
pub(crate) type MediaType = (&'static str, fn() -> Value);

/// A request body.
pub(crate) struct Body {
    pub(crate) required: bool,
    pub(crate) media_types: Vec<MediaType>,
    /// In JSON; passes `read`.
    pub(crate) example: &'static str,
    #[cfg_attr(not(test), expect(dead_code, reason = "the test of the examples reads with it"))]
    pub(crate) read: fn(&[u8]) -> Result<(), Problem>,
}

/// A response.
pub(crate) struct ResponseDescription {
    pub(crate) status: u16,
    pub(crate) description: &'static str,
    pub(crate) headers: &'static [Place],
    pub(crate) content: Vec<Content>,
}

/// The body of a response.
pub(crate) enum Content {
    /// JSON of a type.
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// Text of a media type.
    Text(&'static str),
}

/// A header of a response.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    RequestId,
    RateLimit,
    RateLimitPolicy,
    RetryAfter,
    Challenge,
    Location,
    Etag,
}

impl Place {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::RequestId => "X-Request-Id",
            Self::RateLimit => "RateLimit",
            Self::RateLimitPolicy => "RateLimit-Policy",
            Self::RetryAfter => "Retry-After",
            Self::Challenge => "WWW-Authenticate",
            Self::Location => "Location",
            Self::Etag => "ETag",
        }
    }

    pub(crate) fn header(self) -> Value {
        let description = match self {
            Self::RequestId => "The request's id, which stands in the server's log.",
            Self::RateLimit => "What is left of the key's budget.",
            Self::RateLimitPolicy => "What the key's budget is.",
            Self::RetryAfter => "Seconds after which another try makes sense.",
            Self::Challenge => "How to authenticate (RFC 6750).",
            Self::Location => "Where what was made can be found.",
            Self::Etag => "The version of the document.",
        };
        let kind = if matches!(self, Self::RetryAfter) { "integer" } else { "string" };
        json!({"description": description, "schema": {"type": kind}})
    }
}

impl Description {
    pub(crate) fn new(id: &'static str, tag: &'static str, summary: &'static str) -> Self {
        let (query, problems): (&[_], &[_]) = (&[], &[]);
        Self { id, summary, note: "", tag, query, body: None, answers: Vec::new(), problems }
    }

    pub(crate) fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }

    pub(crate) fn query(self, query: &'static [Query]) -> Self {
        Self { query, ..self }
    }

    pub(crate) fn problems(self, problems: &'static [Code]) -> Self {
        Self { problems, ..self }
    }

    pub(crate) fn body(
        self,
        schema: fn() -> Value,
        example: &'static str,
        read: fn(&[u8]) -> Result<(), Problem>,
    ) -> Self {
        let media_types: Vec<MediaType> = vec![("application/json", schema)];
        Self { body: Some(Body { required: true, media_types, example, read }), ..self }
    }

    /// The body may also be of these media types.
    pub(crate) fn or_as(mut self, media_types: &[MediaType]) -> Self {
        if let Some(body) = &mut self.body {
            body.media_types.extend(media_types);
        }
        self
    }

    /// The body may be left out.
    pub(crate) fn with_optional_body(mut self) -> Self {
        if let Some(body) = &mut self.body {
            body.required = false;
        }
        self
    }

    pub(crate) fn answer(
        mut self,
        status: u16,
        description: &'static str,
        content: Vec<Content>,
    ) -> Self {
        self.answers.push(ResponseDescription { status, description, headers: &[], content });
        self
    }

    pub(crate) fn json<T: JsonSchema>(self, status: u16, description: &'static str) -> Self {
        self.answer(status, description, vec![json_of::<T>()])
    }

    pub(crate) fn nothing(self, status: u16, description: &'static str) -> Self {
        self.answer(status, description, Vec::new())
    }

    /// Headers of the response described last.
    pub(crate) fn headers(mut self, headers: &'static [Place]) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers = headers;
        }
        self
    }
}

pub(crate) fn json_of<T: JsonSchema>() -> Content {
    Content::Json(|schemas| schemas.subschema_for::<T>())
}

/// The schema of an object with these members and no others.
macro_rules! fields {
    ($fields:expr) => {{
        const FIELDS: &[crate::json::Field] = $fields;
        || crate::json::object(FIELDS)
    }};
}
pub(crate) use fields;

/// The schema of the bytes of a file.
pub(crate) fn binary() -> Value {
    json!({"type": "string", "format": "binary"})
}
