//! What needs no key.

use super::description::{Content, Description};
use super::{Described, open};
use crate::extract::WarningEntry;
use crate::problem::{Code, Explanation};
use crate::resource::health;

/// What a route does that needs no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// Says that the handler answers.
    Live,
    /// Says how the parts of the host are.
    Ready,
    /// Explains a problem code.
    ExplainProblem,
    /// Explains the code of a warning.
    ExplainWarning,
    /// Describes this API.
    Describe,
    /// Shows the page to try it.
    Playground,
    /// Shows the API as a page.
    Docs,
    /// Serves scripts and styles.
    Asset,
}

/// Their routes and descriptions.
pub(super) const OPERATIONS: &[Described] = &[
    open("/livez", Server::Live, || {
        about("live", "Whether the handler answers").json::<health::Live>(200, "It does.")
    }),
    open("/readyz", Server::Ready, || {
        about("ready", "How the parts of the host are")
            .json::<health::Ready>(200, "Requests are served.")
            .json::<health::Ready>(503, "A part does not serve.")
    }),
    open("/problems/{code}", Server::ExplainProblem, || {
        about("explainProblem", "What a problem's code means")
            .json::<Explanation>(200, "The explanation.")
            .problems(&[Code::NotFound])
    }),
    open("/warnings/{code}", Server::ExplainWarning, || {
        about("explainWarning", "What the code of a document's warning means")
            .json::<WarningEntry>(200, "The explanation.")
            .problems(&[Code::NotFound])
    }),
    open("/openapi.json", Server::Describe, || {
        about("describe", "This document").answer(
            200,
            "The document.",
            vec![Content::Json(|_| schemars::json_schema!({"type": "object"}))],
        )
    }),
    open("/", Server::Playground, || {
        about("playground", "A page to try it").answer(
            200,
            "The page.",
            vec![Content::Text("text/html")],
        )
    }),
    open("/docs", Server::Docs, || {
        about("docs", "This document as a page").answer(
            200,
            "The page.",
            vec![Content::Text("text/html")],
        )
    }),
    open("/assets/{name}", Server::Asset, || {
        about("asset", "Scripts and styles of the pages")
            .answer(
                200,
                "The file.",
                vec![Content::Text("text/css"), Content::Text("text/javascript")],
            )
            .problems(&[Code::NotFound])
    }),
];

fn about(id: &'static str, summary: &'static str) -> Description {
    Description::new(id, "server", summary)
}
