#!/usr/bin/env bash
# Made-up requests against every route, with a key and without one: what the
# OpenAPI document does not say must not happen.
#
#   cargo test --workspace --test server made_up -- --ignored    # fetches it
#   tests/clients/schemathesis.sh [CASES_PER_ROUTE]
set -euo pipefail
cd "$(dirname "$0")/../.."

cases=${1:-900}
ragtime=${RAGTIME:-target/release/ragtime}
schemathesis=${SCHEMATHESIS:-schemathesis}
config=$PWD/tests/clients/schemathesis.toml
key=rt_000000000000_0000000000000000000000000000000000000000000
work=$(mktemp -d)
trap 'kill $server 2>/dev/null || true; rm -rf "$work"' EXIT

# Budgets are tested elsewhere; here they would hide everything else.
export RAGTIME_AUTH__RATE_PER_MINUTE=100000000 RAGTIME_AUTH__BURST=100000000
export RAGTIME_AUTH__FAILURE_BURST=100000000
# A tiny reranker, so that there is one.
export RAGTIME_MODELS__RERANKING__SMALL__DIR=$PWD/host/embed/tests/golden/bert-reranker
RAGTIME_AUTH__BOOTSTRAP_KEY=$key "$ragtime" serve --listen 127.0.0.1:0 \
  --data-dir "$work/data" 2>"$work/log" &
server=$!
until url=$(sed -n 's/^Ragtime is ready on \([^ ]*\).*/\1/p' "$work/log"); [ -n "$url" ]; do
  kill -0 $server
  sleep 0.1
done

run() {
  (cd "$work" && "$schemathesis" --config-file "$config" run "$url/openapi.json" --max-examples "$cases" \
    --phases examples,coverage,fuzzing --workers 1 --suppress-health-check all \
    --request-timeout 60 --continue-on-failure "$@")
}

export SCHEMATHESIS_HOOKS=schemathesis_hooks PYTHONPATH=$PWD/tests/clients
echo "without a key"
failed=0
run --checks only_401 || failed=1
echo "with a key"
run --checks all --exclude-checks only_401 --header "Authorization: Bearer $key" --header "X-API-Key: $key" || failed=1
exit $failed
