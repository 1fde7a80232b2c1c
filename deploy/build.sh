#!/bin/sh
# The build stage of deploy/Dockerfile: `deploy/build.sh FOLDER` puts into FOLDER what the
# image is made of. It needs a Rust toolchain with the target of the handler, and a C compiler.
set -eu

mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."

# Kernels for aarch64 have pages of 4, 16 or 64 KiB. jemalloc serves pages up to the size
# that it was built for.
if [ "$(uname -m)" = aarch64 ]; then
    export JEMALLOC_SYS_WITH_LG_PAGE=16
fi

# The build script of the package builds the handler and embeds it.
cargo build --release --locked --package ragtime
cp "${CARGO_TARGET_DIR:-target}/release/ragtime" LICENSE NOTICE.md "$out/"
mkdir -p "$out/data"
