//! The stock runtime: `wasmtime serve` with handler and provider in one
//! component, and what that cannot do.

use std::path::Path;
use std::process::Command;

use super::{binaries, component};

const KEYS: &str = "keys are set in the settings and cannot be made over the API";
const MODEL: &str = "it has no embedding model of its own";
const COMMANDS: &str = "the data folder is no Ragtime store, so no command works on it";
const EDGE: &str = "no edge with settings stands before the handler";
const LOG: &str = "it keeps no access log";
const GONE: &str = "a component learns of a client that went away at its next write only";
const IDLE: &str = "it works while a request is there only";
const METRICS: &str = "it has no listener for metrics";
const SWAP: &str = "a handler is fixed when the component is made";

/// The tests of the common suite that do not run on a stock runtime, and why.
/// Each has `#[cfg_attr(stock, ignore)]`; `tests/both.rs` holds the two against
/// each other.
pub const CANNOT: &[(&str, &str)] = &[
    ("api::a_body_over_the_limit_is_refused", EDGE),
    ("api::a_key_that_spends_its_budget_is_told_when_to_come_back", KEYS),
    ("api::all_three_modes_and_answers_work_with_the_model", MODEL),
    ("api::every_request_leaves_one_line_without_secrets_or_texts", LOG),
    ("api::keys_are_made_used_rotated_and_revoked", KEYS),
    ("api::shutting_down_waits_for_no_idle_connection", EDGE),
    ("chunking::a_handler_that_fails_at_cutting_holds_up_nothing", SWAP),
    ("chunking::what_is_cut_anew_in_the_background_is_found_all_the_time", IDLE),
    ("chunking::what_was_cut_by_estimate_is_cut_anew_when_the_model_is_there", MODEL),
    ("clients::a_key_reaches_the_files_and_stores_of_its_collections_and_scopes_alone", KEYS),
    ("clients::a_tool_costs_what_it_does_and_needs_the_key_of_its_work", KEYS),
    ("clients::the_openai_client_embeds_with_the_model", MODEL),
    ("durability::a_backup_made_while_serving_comes_back_with_handler_and_keys", SWAP),
    ("durability::a_check_is_clean_after_use_and_says_what_is_not", COMMANDS),
    ("durability::keys_survive_and_the_first_key_is_made_once", KEYS),
    ("durability::no_secret_is_in_any_file", KEYS),
    ("generator::a_client_that_goes_away_ends_the_models_work", GONE),
    ("generator::a_client_that_goes_away_ends_the_rewriting", GONE),
    ("generator::a_stream_whose_key_is_revoked_ends_with_the_model_behind_it", KEYS),
    ("generator::the_share_of_supported_statements_is_a_metric", METRICS),
];

/// `wasmtime serve` with a data folder and settings.
pub(super) fn command(data: &Path, settings: &[(String, String)]) -> Command {
    let mut command = Command::new(binaries().join("stock-wasmtime"));
    command
        .args(["serve", "-Scli", "--addr", "127.0.0.1:0", "--dir"])
        .arg(format!("{}::/data", data.display()))
        .args(settings.iter().map(|(name, value)| format!("--env={name}={value}")))
        .arg(component("ragtime_standalone"));
    command
}
