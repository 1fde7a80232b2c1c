//! One suite, three hosts. The tests of the HTTP contract, which other targets run against
//! `ragtime serve`, run here against another host. Tests of the Ragtime host itself (swaps,
//! faults, load, its commands) are not of the common suite.
//!
//! With `cfg(stock)`, of `tests/stock/`, the host is `wasmtime serve` with handler and
//! provider in one component. With `cfg(fleet)`, of `tests/on_fleet/`, it is two hosts of
//! `ragtime serve` on one PostgreSQL that take turns: each request of a test comes to
//! another host than the one before it, so whatever a test has done must be so on the other
//! host at once. What each host cannot do, or does otherwise, is listed with the reasons in
//! `harness/stock.rs` and `harness/fleet.rs`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod api;
mod chunking;
mod clients;
mod conditions;
#[path = "both/difference.rs"]
mod difference;
mod documents;
mod durability;
mod formats;
mod generator;
mod harness;
mod multilingual;
#[cfg(fleet)]
mod rights;

#[cfg(stock)]
#[test]
fn what_a_stock_runtime_cannot_do_is_listed_and_nothing_else_is_left_out() {
    harness::common::leaves_out("stock", harness::stock::CANNOT);
}

#[cfg(fleet)]
#[test]
fn what_a_fleet_does_otherwise_is_listed_and_nothing_else_is_left_out() {
    harness::common::leaves_out("a fleet", harness::fleet::CANNOT);
}
