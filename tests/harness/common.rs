//! The common suite: what other targets run against one `ragtime serve`, compiled for
//! another host.

#![allow(clippy::print_stdout, reason = "who runs the suite sees what is left out")]

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

/// Asserts that these tests, of which each has its reason, are left out on this host, and
/// nothing else is.
pub fn leaves_out(host: &str, cannot: &[(&str, &str)]) {
    let left_out = listed(&["--ignored"]);
    let named: BTreeSet<_> = cannot.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(left_out, named);
    let all = listed(&[]);
    let both: Vec<_> = all.difference(&left_out).map(String::as_str).collect();
    println!("on both hosts:\n  {}", both.join("\n  "));
    for (name, reason) in cannot {
        println!("not on {host}: {name}: {reason}");
    }
    assert!(both.len() > left_out.len(), "a common suite is mostly common");
}
