//! One suite, two hosts. The tests of the HTTP contract, which other targets
//! run against `ragtime serve`, run here against `wasmtime serve` with handler
//! and provider in one component. What a stock runtime cannot do is listed, with
//! the reasons, in `harness/stock.rs`. Tests of the Ragtime host itself (swaps,
//! faults, load, its commands) are not of the common suite.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::duplicate_mod, reason = "each suite brings the harness")]

#[path = "api.rs"]
mod api;
#[path = "chunking.rs"]
mod chunking;
#[path = "clients.rs"]
mod clients;
#[path = "conditions.rs"]
mod conditions;
#[path = "both/difference.rs"]
mod difference;
#[path = "documents.rs"]
mod documents;
#[path = "durability.rs"]
mod durability;
#[path = "formats.rs"]
mod formats;
#[path = "generator.rs"]
mod generator;
mod harness;
#[path = "multilingual.rs"]
mod multilingual;

#[test]
fn what_a_stock_runtime_cannot_do_is_listed_and_nothing_else_is_left_out() {
    harness::common::leaves_out("stock", harness::stock::CANNOT);
}
