//! The tools: what they take, what they answer, what they cost.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::{ErrorKind, Request, RpcError, Version};
use crate::diversity::Diversity;
use crate::json::{Faults, Field, Fields, Json, Location, Member, Text, object};
use crate::limits;
use crate::problem::Problem;
use crate::resource::documents::Document;
use crate::resource::query::QueryResponse;
use crate::resource::rules;
use crate::resource::search::{self, Mode, SearchRequest, SearchResponse};
use crate::routes::{ANSWER_UNITS, PLAIN_UNITS};

/// The collection of a call that names none.
const DEFAULT_COLLECTION: &str = "default";

/// A tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Finds passages.
    Search,
    /// Answers with citations.
    Answer,
    /// Reads a document.
    GetDocument,
}

/// A call of a tool, checked.
#[derive(Debug, PartialEq)]
pub enum Call {
    /// Finds passages.
    Search {
        /// Where.
        collection: String,
        /// What.
        request: SearchRequest,
    },
    /// Answers with citations.
    Answer {
        /// From where.
        collection: String,
        /// The question.
        question: String,
        /// Sources to answer from.
        top_k: u32,
        /// A filter on metadata, as JSON.
        filter: Option<String>,
        /// How many of the best passages are reranked, if any.
        rerank: Option<u32>,
    },
    /// Reads a document.
    GetDocument {
        /// Where.
        collection: String,
        /// Which.
        id: String,
    },
}

const COLLECTION: Member<Text> =
    Text::optional("collection", &rules::COLLECTION, "Where the documents are. Default: default.");
const SEARCH: &[Field] = &[
    COLLECTION.field(),
    search::TERMS.field(),
    search::TOP_K.field(),
    search::FILTER.field(),
    search::RERANK.field(),
];
const ANSWER_FIELDS: &[Field] = &[
    COLLECTION.field(),
    search::QUERY.field(),
    search::TOP_K.field(),
    search::FILTER.field(),
    search::RERANK.field(),
];
const ID: Member<Text> = Text::required("id", &rules::DOCUMENT_ID, "The document's id.");
const GET_DOCUMENT: &[Field] = &[COLLECTION.field(), ID.field()];

impl Tool {
    const ALL: [Self; 3] = [Self::Search, Self::Answer, Self::GetDocument];

    fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Answer => "answer",
            Self::GetDocument => "get_document",
        }
    }

    fn of(request: &Request<'_>) -> Option<Self> {
        let name = request.text("name")?;
        Self::ALL.into_iter().find(|tool| tool.name() == name)
    }

    fn fields(self) -> &'static [Field] {
        match self {
            Self::Search => SEARCH,
            Self::Answer => ANSWER_FIELDS,
            Self::GetDocument => GET_DOCUMENT,
        }
    }

    fn described(self) -> Value {
        let (title, description, output) = match self {
            Self::Search => (
                "Search",
                "Finds passages of the documents, best first.",
                output::<SearchResponse<'_>>(),
            ),
            Self::Answer => (
                "Answer",
                "Answers a question from the documents, with citations that are exact quotes.",
                output::<QueryResponse<'_>>(),
            ),
            Self::GetDocument => ("Get document", "Reads a document.", output::<Document<'_>>()),
        };
        let mut input = object(self.fields());
        inline(&mut input);
        json!({
            "name": self.name(), "title": title, "description": description,
            "inputSchema": input, "outputSchema": output,
            "annotations": {"readOnlyHint": true, "openWorldHint": false},
        })
    }
}

/// Every tool, as `tools/list` answers it.
pub fn list() -> Vec<Value> {
    Tool::ALL.into_iter().map(Tool::described).collect()
}

/// Units of a key's budget that a message costs: what the route of the same
/// work costs.
pub fn cost(request: &Request<'_>) -> u32 {
    let answers = request.method == "tools/call" && Tool::of(request) == Some(Tool::Answer);
    if answers { ANSWER_UNITS } else { PLAIN_UNITS }
}

fn output<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    without_formats(&mut schema);
    schema
}

/// JSON Schema knows no formats of numbers; those of OpenAPI have clients warn at
/// every call.
fn without_formats(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let of_number = matches!(
                members.get("format").and_then(Value::as_str),
                Some(
                    "uint"
                        | "uint8"
                        | "uint16"
                        | "uint32"
                        | "uint64"
                        | "int32"
                        | "int64"
                        | "float"
                        | "double"
                )
            );
            if of_number {
                members.remove("format");
            }
            members.values_mut().for_each(without_formats);
        }
        Value::Array(items) => items.iter_mut().for_each(without_formats),
        _ => {}
    }
}

/// Puts something plain in the place of references into the OpenAPI document,
/// which a client of tools does not have.
fn inline(schema: &mut Value) {
    match schema {
        Value::Object(members) if members.contains_key("$ref") => {
            members.remove("$ref");
            members.insert("type".into(), "object".into());
        }
        Value::Object(members) => members.values_mut().for_each(inline),
        Value::Array(items) => items.iter_mut().for_each(inline),
        _ => {}
    }
}

/// Reads a call. The inner error is for the model that made the call, which may
/// do better.
///
/// # Errors
///
/// `InvalidParams` where there is no such tool.
pub fn read(request: &mut Request<'_>) -> Result<Result<Call, Problem>, RpcError> {
    let Some(tool) = Tool::of(request) else {
        let known = Tool::ALL.map(Tool::name).join(", ");
        return Err(RpcError::new(
            ErrorKind::InvalidParams,
            format!("no such tool; there are {known}"),
        ));
    };
    let arguments = request.take("arguments").unwrap_or(Json::Object(Vec::new()));
    let mut faults = Faults::default();
    let call = arguments_of(tool, arguments, &mut faults);
    Ok(faults.finish(call))
}

fn arguments_of(tool: Tool, arguments: Json<'_>, faults: &mut Faults) -> Option<Call> {
    let mut fields = Fields::open(arguments, Location::Root, tool.fields(), faults)?;
    let collection = fields.string(COLLECTION, faults);
    let collection = collection.map_or_else(|| DEFAULT_COLLECTION.to_owned(), Into::into);
    if tool == Tool::GetDocument {
        let id = fields.string(ID, faults)?.into();
        return Some(Call::GetDocument { collection, id });
    }
    let asked = if tool == Tool::Answer { search::QUERY } else { search::TERMS };
    let query = fields.string(asked, faults);
    let top_k = fields.integer(search::TOP_K, faults);
    let filter = fields.tree(search::FILTER, faults);
    let rerank = search::rerank(&mut fields, faults);
    let query = query?.into();
    Some(match tool {
        Tool::Answer => Call::Answer {
            collection,
            question: query,
            top_k: top_k.unwrap_or(limits::DEFAULT_QUERY_TOP_K),
            filter,
            rerank,
        },
        _ => Call::Search {
            collection,
            request: SearchRequest {
                query,
                top_k: top_k.unwrap_or(limits::DEFAULT_SEARCH_TOP_K),
                mode: Mode::Hybrid,
                filter,
                min_score: None,
                explain: false,
                highlight: false,
                per_document: true,
                diversity: Diversity::default(),
                rerank,
            },
        },
    })
}

/// The result of a call: JSON as text and as structure.
pub fn result(output: Result<&str, &str>, version: Version) -> Value {
    let (Ok(text) | Err(text)) = output;
    let mut result = json!({
        "content": [{"type": "text", "text": text}], "isError": output.is_err(),
    });
    if let Some(members) = result.as_object_mut() {
        if let Ok(structure) =
            output.and_then(|text| serde_json::from_str::<Value>(text).map_err(|_| text))
        {
            members.insert("structuredContent".into(), structure);
        }
        if !version.is_initialized() {
            members.insert("resultType".into(), "complete".into());
        }
    }
    result
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::mcp::Message;

    fn request(params: &str) -> Request<'_> {
        let Message::Request(request) = Message::read(params.as_bytes()).unwrap() else {
            unreachable!()
        };
        request
    }

    #[test]
    fn every_tool_takes_and_answers_objects_that_need_nothing_else() {
        for tool in list() {
            assert_eq!(tool["inputSchema"]["type"], "object");
            assert_eq!(tool["outputSchema"]["type"], "object");
            assert!(!tool.to_string().contains("$ref"), "{tool}");
            assert!(!tool.to_string().contains(r#""format":"uint"#), "{tool}");
        }
    }

    #[test]
    fn an_answer_costs_more_than_a_search() {
        let named = |name: &str| {
            cost(&request(&format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}"}}}}"#
            )))
        };
        assert!(named("answer") > named("search"));
    }

    #[test]
    fn faults_are_for_the_model_and_a_missing_tool_for_the_client() {
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{"top_k":0}}}"#;
        let problem = read(&mut request(body)).unwrap().unwrap_err();
        let pointers: Vec<_> = problem.faults.iter().filter_map(|f| f.pointer.as_deref()).collect();
        assert_eq!(pointers, ["#/query", "#/top_k"]);
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rm"}}"#;
        assert_eq!(read(&mut request(body)).unwrap_err().kind, ErrorKind::InvalidParams);
    }

    #[test]
    fn a_result_is_text_and_structure() {
        let result = result(Ok(r#"{"id":"a"}"#), Version::SelfContained);
        assert_eq!(result["structuredContent"]["id"], "a");
        assert_eq!(
            (&result["isError"], &result["resultType"]),
            (&json!(false), &json!("complete"))
        );
    }
}
