# Shortcuts for who works on Ragtime; `just` is not needed for any of it. The gate is
# `.ci/run`. A test compares its commands with those of `lint` and `test`.

# Show the recipes
default:
    @just --list

# Build the server
build:
    cargo build --release

# Serve
serve *arguments:
    cargo run --release -- serve {{arguments}}

# Run all tests
test *arguments:
    cargo test --workspace {{arguments}}

# Compare the format, and run the lints of host and handler
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo clippy --package ragtime-guest --package ragtime-providers --package ragtime-fixture-cheat --package ragtime-fixture-faulty --package ragtime-fixture-wasi02 --target wasm32-wasip2 --target-dir target/guest --release --locked -- -D warnings

# Run the gate: format, lints, all tests
gate:
    .ci/run

# Compare licenses, sources and bans (cargo-deny; its advisories take a network)
deny:
    cargo deny check

# Write guest/openapi.json and the table of docs/operation.md anew
bless: bless-openapi bless-survived

# Write guest/openapi.json anew, after a change of the API
bless-openapi:
    RAGTIME_BLESS=1 cargo test -p ragtime-api the_written_document_is_that_of_this_api

# Write the table of what was survived anew, after a run of all tests
bless-survived:
    RAGTIME_BLESS=1 cargo test --workspace --test server the_table_of_what_was_survived

# Measure the start, the handlers, the store, and Ragtime beside stock and native
bench: bench-startup bench-handlers bench-store bench-stock

# Measure start and idle memory
bench-startup:
    cargo build --release && python3 tests/bench/startup.py

# Measure the templates of handlers
bench-handlers:
    cargo build --release && python3 tests/bench/handlers.py

# Measure the store alone, by default with 100,000 chunks
bench-store rows="100000":
    RAGTIME_BENCH_ROWS={{rows}} cargo bench -p ragtime-store --bench scale

# Measure Ragtime beside stock wasmtime serve and a native program
bench-stock:
    cargo build --release --workspace && cargo bench --workspace --bench stock

# Measure more requests than the server can serve
overload:
    cargo test --release --workspace --test server overload:: -- --ignored --nocapture

# Measure swaps under load
load:
    cargo test --release --workspace --test server a_hundred_swaps -- --ignored --nocapture

# Mixed traffic with swaps and kills, for half an hour by default
endurance seconds="1800":
    RAGTIME_ENDURANCE_SECONDS={{seconds}} cargo test --release --workspace --test server endurance:: -- --ignored --nocapture

# A long mix of attacks at the edge beside a client that behaves
hostile seconds="40":
    RAGTIME_HOSTILE_SECONDS={{seconds}} cargo test --workspace --test server a_long_mixed -- --ignored --nocapture

# Fuzz every parser for so many seconds each (cargo-fuzz)
fuzz seconds="60":
    tests/fuzz/run {{seconds}}

# Fuzz the boundary between handler and host
fuzz-boundary seconds="600":
    RAGTIME_FUZZ_SECONDS={{seconds}} cargo test --release --workspace --test server boundary:: -- --nocapture

# Try the clients of others, which are fetched from their registries
clients:
    cargo test --workspace --test server ecosystem:: -- --ignored --skip made_up

# Make up requests for every route from the OpenAPI document
schemathesis cases="450":
    RAGTIME_CASES_PER_ROUTE={{cases}} cargo test --workspace --test server made_up -- --ignored

# Hold the files under deploy/ and the workflows against schemas and linters
deploy *arguments:
    deploy/check.sh {{arguments}}

# Have systemd-analyze verify the unit
deploy-unit:
    cargo test --workspace --test server deploy:: -- --ignored
