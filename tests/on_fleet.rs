//! The suite of one server, on a fleet. The tests of the HTTP contract, which other targets
//! run against one `ragtime serve`, run here against two hosts on one PostgreSQL that take
//! turns: each request of a test comes to another host than the one before it. So whatever
//! a test has done must be so on the other host at once. What several hosts do otherwise
//! is listed, with the reasons, in `harness/fleet.rs`.

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
#[allow(dead_code, reason = "each suite uses a part")]
#[path = "harness/engines.rs"]
mod engines;
#[path = "formats.rs"]
mod formats;
#[path = "generator.rs"]
mod generator;
mod harness;
#[path = "multilingual.rs"]
mod multilingual;
#[path = "rights.rs"]
mod rights;
#[allow(dead_code, reason = "each suite uses a part")]
#[path = "harness/valkey.rs"]
mod valkey;

#[test]
fn what_a_fleet_does_otherwise_is_listed_and_nothing_else_is_left_out() {
    harness::common::leaves_out("a fleet", harness::fleet::CANNOT);
}
