//! The pure part of the handler: routes, limits, problems, validation, text
//! extraction, chunking, fusion and the prompt. No I/O, no clock, no bindings;
//! all of it runs in native tests.

pub mod body;
pub mod chunk;
pub mod credential;
pub mod diversity;
pub mod extract;
pub mod fusion;
pub mod json;
pub mod limits;
pub mod mcp;
pub mod openapi;
pub mod parameters;
pub mod precondition;
pub mod problem;
pub mod prompt;
pub mod query_syntax;
pub mod rate;
pub mod records;
pub mod resource;
pub mod routes;
pub mod sse;
pub mod time;
