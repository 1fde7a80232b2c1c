#!/usr/bin/env python3
"""How fast the template in Python answers beside the one in Rust.

    cargo build --release && python3 tests/bench/handlers.py

Both are laid out, built and swapped into one server, which holds this
repository's pages. Needs Python's standard library, and fetches what
componentize-py and cargo need.
"""
import json, os, pathlib, statistics, subprocess, tempfile, time, urllib.request

ROOT = pathlib.Path(__file__).parents[2]
RAGTIME = ROOT / "target/release/ragtime"
KEY = "rt_000000000000_0000000000000000000000000000000000000000001"
SERVER, ADMIN = "127.0.0.1:18097", "127.0.0.1:18098"
REQUESTS = 200
ENVIRONMENT = os.environ | {
    "RAGTIME_SERVER": f"http://{SERVER}",
    "RAGTIME_ADMIN": f"http://{ADMIN}",
    "RAGTIME_KEY": KEY,
    "RAGTIME_AUTH__BOOTSTRAP_KEY": KEY,
    # The key's budget is not what is measured.
    "RAGTIME_AUTH__BURST": "1000000",
    "RAGTIME_AUTH__RATE_PER_MINUTE": "1000000",
}


def run(folder, *arguments):
    subprocess.run([RAGTIME, *arguments], cwd=folder, env=ENVIRONMENT, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ask():
    """Milliseconds from the question to the last event."""
    body = json.dumps({"query": "What does a handler without a permit reach?"}).encode()
    request = urllib.request.Request(f"http://{SERVER}/", body, {"Authorization": f"Bearer {KEY}"})
    began = time.perf_counter()
    with urllib.request.urlopen(request) as answer:
        assert b"event: done" in answer.read()
    return (time.perf_counter() - began) * 1e3


def measure(folder, language):
    run(folder, "guest", "new", language, "--lang", language)
    began = time.perf_counter()
    run(folder, "guest", "build", language)
    built = time.perf_counter() - began
    component = folder / language / f"{language}.wasm"
    began = time.perf_counter()
    run(folder, "guest", "swap", component)
    swapped = time.perf_counter() - began
    times = [ask() for _ in range(REQUESTS)]
    size = component.stat().st_size / 1e6
    print(f"{language:7} {size:5.1f} MB, built in {built:3.0f} s, swapped in {swapped:4.1f} s, "
          f"answers in {statistics.median(times):5.2f} ms (median of {REQUESTS})")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        server = subprocess.Popen(
            [RAGTIME, "serve", "--data-dir", folder / "data", "--listen", SERVER,
             "--admin-listen", ADMIN, "--log-level", "error"],
            env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
        next(line for line in server.stderr if "ready" in line)
        try:
            run(ROOT, "ingest", "README.md", "ARCHITECTURE.md")
            for language in ("rust", "python"):
                measure(folder, language)
        finally:
            server.terminate()
            server.wait()


main()
