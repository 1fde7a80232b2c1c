//! All suites against `ragtime serve`, as one program: the harness and what it stands on are
//! compiled and linked once. A suite is a module, and its name selects its tests:
//! `cargo test --workspace --test server swap::`.

mod afternoon;
mod answers;
mod api;
mod architecture;
mod backups;
mod boundary;
mod bounds;
mod budgets;
mod chunking;
mod cli;
mod clients;
mod conditions;
mod console;
mod crash;
mod deploy;
mod disk;
mod doctor;
mod documents;
mod durability;
mod ecosystem;
mod edge;
mod endurance;
mod fair;
mod faults;
mod feeds;
mod fleet;
mod formats;
mod generator;
mod harness;
mod hostile;
mod languages;
mod limits;
mod load;
mod models;
mod multilingual;
mod observe;
mod overload;
mod readme;
mod rights;
mod rollout;
mod sandbox;
mod swap;
mod tls;
mod upgrade;
