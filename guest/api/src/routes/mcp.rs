//! The Model Context Protocol.

use serde_json::json;

use super::description::{Content, Description};
use super::{Access, Described, Method, PLAIN_UNITS, READ, Route};
use crate::mcp::Message;
use crate::problem::{Code, Problem};

/// What can be asked for here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the descriptions below say it")]
pub enum Mcp {
    Speak,
}

/// Their routes and descriptions.
pub(super) const OPERATIONS: &[Described] = &[Described {
    route: Route {
        method: Method::Post,
        path: "/mcp",
        access: Access::Messages { scope: READ, least: PLAIN_UNITS, operation: Mcp::Speak },
    },
    describe: speak,
}];

fn speak() -> Description {
    let rpc = || Content::Json(|_| schemars::json_schema!({"type": ["object", "array"]}));
    Description::new("speakMcp", "tools", "The Model Context Protocol, every version since 2024-11-05")
        .body(
            || {
                json!({
                    "type": "object",
                    "description": "A message of JSON-RPC 2.0; in 2025-03-26 also an array of them.",
                    "properties": {
                        "jsonrpc": {"const": "2.0"}, "id": {"type": ["string", "integer"]},
                        "method": {"type": "string"}, "params": {"type": "object"},
                    },
                    "required": ["jsonrpc", "method"],
                })
            },
            r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search", "arguments": {"query": "lift"}}}"#,
            |body| {
                let read = Message::read(body).map(drop);
                read.map_err(|error| Problem::new(Code::InvalidRequest, error.message))
            },
        )
        .answer(200, "The answer to a request.", vec![rpc()])
        .nothing(202, "A notification was taken.")
        .answer(400, "No message, or one that contradicts its headers.", vec![rpc()])
        .answer(404, "No such method (2026-07-28).", vec![rpc()])
        .problems(&[Code::OriginForbidden])
}
