//! The long form of `clients`: frameworks that speak OpenAI's API or the Model
//! Context Protocol, each at a day's work. They take minutes to fetch the first
//! time, so they run by
//! `cargo test --workspace --test server ecosystem:: -- --ignored`.

#![allow(clippy::unwrap_used)]

use crate::harness::clients::{Script, make_up_requests, run};
use crate::harness::{Server, Setup};

const DOCUMENT: &str =
    "Ragtime keeps a steady march in the left hand. Scott Joplin wrote the Maple Leaf Rag in 1899.";

/// A server with the embedding model and one document.
async fn server() -> Server {
    let server = Setup::with_model().start();
    server.model().await;
    server.document("joplin", DOCUMENT).await;
    server
}

#[test]
#[ignore = "makes up requests for every route, for some minutes"]
fn made_up_requests_meet_what_the_openapi_document_says() {
    let cases = std::env::var("RAGTIME_CASES_PER_ROUTE").unwrap_or_else(|_| "1000".into());
    make_up_requests(&cases);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "fetches packages for half a minute"]
async fn langchain_works() {
    run(&server().await, Script::Python("langchain", "langchain_client.py"), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "fetches packages for a minute"]
async fn llama_index_works() {
    run(&server().await, Script::Python("llama-index", "llama_index_client.py"), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "fetches packages for half a minute"]
async fn haystack_works() {
    run(&server().await, Script::Python("haystack", "haystack_client.py"), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "fetches packages for half a minute"]
async fn the_agents_sdk_works() {
    run(&server().await, Script::Python("agents", "agents_client.py"), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "fetches Node and its packages"]
async fn the_openai_client_of_node_works() {
    run(&server().await, Script::Node("openai_node.mjs"), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "fetches Node and its packages"]
async fn vercels_ai_sdk_works() {
    run(&server().await, Script::Node("ai_sdk.mjs"), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "fetches Node and its packages"]
async fn the_mcp_client_of_node_works() {
    run(&server().await, Script::Node("mcp_node.mjs"), &[]).await;
}
