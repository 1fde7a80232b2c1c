#!/usr/bin/env python3
"""Memory that is given back, and speed, with one allocator and another.

    cargo build --release --no-default-features
    python3 tests/bench/allocators.py [NAME=LIBRARY.so ...]

Built so, the program has the C library's allocator, which is the first row, and each
library takes its place (`LD_PRELOAD`). `RAGTIME_BINARY` measures another program.
Rows of the same run are comparable, others are not. Needs nothing but Python's
standard library.
"""
import concurrent.futures, http.client, json, os, pathlib, statistics, subprocess, sys
import tempfile, time, urllib.request

BINARY = pathlib.Path(os.environ.get("RAGTIME_BINARY", pathlib.Path(__file__).parents[2] / "target/release/ragtime"))
ADDRESS = "127.0.0.1:18098"
KEY = "rt_000000000000_0000000000000000000000000000000000000000001"
DOCUMENTS = "/v1/collections/default/documents"
LARGE = json.dumps({"text": "word after word of a long text. " * 200_000}).encode()
SMALL = json.dumps({"text": "A phoenix rises from its ashes. " * 40}).encode()
QUERY = json.dumps({"query": "phoenix ashes", "mode": "lexical"}).encode()
ROUNDS = 3


def start(folder, library):
    environment = {
        **os.environ,
        "RAGTIME_AUTH__BOOTSTRAP_KEY": KEY,
        "RAGTIME_AUTH__BURST": "100000000",
        "RAGTIME_AUTH__RATE_PER_MINUTE": "100000000",
        "RAGTIME_ADMIN__LISTEN": "127.0.0.1:0",
        "RAGTIME_HANDLER__IDLE_TIMEOUT_MS": "500",
    }
    if library:
        environment["LD_PRELOAD"] = library
    arguments = ["serve", "--no-model", "--data-dir", folder, "--listen", ADDRESS, "--log-level", "error"]
    server = subprocess.Popen([BINARY, *arguments], stderr=subprocess.DEVNULL, env=environment)
    while True:
        if server.poll() is not None:
            sys.exit("the server ended")
        try:
            with urllib.request.urlopen(f"http://{ADDRESS}/readyz", timeout=1):
                return server
        except OSError:
            time.sleep(0.01)


def resident(server):
    status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def ask(connection, method, path, body=None):
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def put(number):
    connection = http.client.HTTPConnection(ADDRESS)
    assert ask(connection, "PUT", f"{DOCUMENTS}/large{number}", LARGE) in (200, 201)


def speed(method, path, body, seconds=4.0):
    """Requests a second of 8 connections, and the p99 in milliseconds."""
    def run(_):
        connection, took = http.client.HTTPConnection(ADDRESS), []
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            assert ask(connection, method, path, body) == 200
            took.append((time.perf_counter() - began) * 1e3)
        return took
    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        took = sorted(sum(clients.map(run, range(8)), []))
    return len(took) / seconds, took[len(took) * 99 // 100]


def measure(library):
    with tempfile.TemporaryDirectory() as folder:
        server = start(folder, library)
        connection = http.client.HTTPConnection(ADDRESS)
        for number in range(200):
            ask(connection, "PUT", f"{DOCUMENTS}/small{number}?wait=durable", SMALL)
        ask(connection, "POST", "/v1/collections/default/search", QUERY)
        time.sleep(3)
        before = resident(server)
        with concurrent.futures.ThreadPoolExecutor(4) as clients:
            list(clients.map(put, range(4)))
        for number in range(4):
            connection = http.client.HTTPConnection(ADDRESS)
            ask(connection, "DELETE", f"{DOCUMENTS}/large{number}")
        time.sleep(15)
        after = resident(server)
        livez, _ = speed("GET", "/livez", None)
        search, p99 = speed("POST", "/v1/collections/default/search", QUERY)
        server.terminate()
        server.wait()
        return before, after, livez, search, p99


allocators = {"as built": None} | dict(argument.split("=", 1) for argument in sys.argv[1:])
runs = {name: [] for name in allocators}
for _ in range(ROUNDS):
    for name, library in allocators.items():
        runs[name].append(measure(library))
print("| allocator | MB at rest | MB after | /livez a second | searches a second | p99 ms |")
print("|---|---|---|---|---|---|")
for name, rows in runs.items():
    before, after, livez, search, p99 = (statistics.median(column) for column in zip(*rows))
    print(f"| {name} | {before:.0f} | {after:.0f} | {livez:.0f} | {search:.0f} | {p99:.1f} |")
