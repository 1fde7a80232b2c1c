#!/usr/bin/env python3
"""Start to ready with a warm cache, and idle memory with the model loaded.

    cargo build --release && python3 tests/bench/startup.py

Needs nothing but Python's standard library.
"""
import pathlib, statistics, subprocess, sys, tempfile, time, urllib.request

BINARY = pathlib.Path(__file__).parents[2] / "target/release/ragtime"
ADDRESS = "127.0.0.1:18099"
STARTS = 11


def ready(needs_model):
    """Whether the server says that all is ready, the model too if asked."""
    try:
        with urllib.request.urlopen(f"http://{ADDRESS}/readyz", timeout=1) as answer:
            return not needs_model or b'"embedding-model","state":"ready"' in answer.read()
    except OSError:
        return False


def start(folder, needs_model):
    """Starts a server; returns it and the milliseconds until it was ready."""
    began = time.perf_counter()
    server = subprocess.Popen(
        [BINARY, "serve", "--data-dir", folder, "--listen", ADDRESS, "--log-level", "error"],
        stderr=subprocess.DEVNULL,
    )
    while not ready(needs_model):
        if server.poll() is not None:
            sys.exit("the server ended")
        time.sleep(0.0005)
    return server, (time.perf_counter() - began) * 1e3


def stop(server):
    server.terminate()
    server.wait()


with tempfile.TemporaryDirectory() as folder:
    stop(start(folder, True)[0])  # compiles the handler and fills the cache
    for name, needs_model in [("ready to serve", False), ("ready with the model", True)]:
        times = []
        for _ in range(STARTS):
            server, took = start(folder, needs_model)
            times.append(took)
            stop(server)
        print(f"{name:<22} {statistics.median(times):6.0f} ms (median of {STARTS}, slowest {max(times):.0f} ms)")
    server, _ = start(folder, True)
    time.sleep(1)
    status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
    memory = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    print(f"idle memory            {int(memory.split()[1]) / 1024:6.0f} MB")
    stop(server)
