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

use std::collections::BTreeSet;
use std::process::Command;

/// The tests of this binary that the common suite has.
fn listed(arguments: &[&str]) -> BTreeSet<String> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--list", "--format", "terse"])
        .args(arguments)
        .output()
        .unwrap();
    let names = String::from_utf8(output.stdout).unwrap();
    let names = names.lines().filter_map(|line| line.strip_suffix(": test"));
    names.filter(|name| name.contains("::")).map(str::to_owned).collect()
}

#[test]
fn what_a_stock_runtime_cannot_do_is_listed_and_nothing_else_is_left_out() {
    let left_out = listed(&["--ignored"]);
    let cannot: BTreeSet<_> =
        harness::stock::CANNOT.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(left_out, cannot);
    let all = listed(&[]);
    let both: Vec<_> = all.difference(&left_out).map(String::as_str).collect();
    println!("on both hosts:\n  {}", both.join("\n  "));
    for (name, reason) in harness::stock::CANNOT {
        println!("not on stock: {name}: {reason}");
    }
    assert!(both.len() > left_out.len(), "a common suite is mostly common");
}
