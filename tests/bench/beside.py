#!/usr/bin/env python3
"""How long searches and one-line documents take beside a large PDF, over HTTP.

    cargo build --release && python3 tests/bench/beside.py

One client searches a thousand documents by their words, one search after another and one
connection for all; another writes a document of one line each tenth of a second and waits
until search finds it. Both do so first alone, then while PDFs of `--pages` pages are sent
to a third collection, one after another: their parsing is what the figures are about. The
server runs without a model, so nothing waits for vectors.

    --server PATH      the program to measure instead of target/release/ragtime
    --pages N          pages of each PDF (default 8000)
    --seconds N        for so long alone, and beside PDFs at least (default 20)
"""
import argparse, http.client, json, pathlib, subprocess, sys, tempfile, threading, time

BINARY = pathlib.Path(__file__).parents[2] / "target/release/ragtime"
ADDRESS = "127.0.0.1:18096"
KEY = "rt_000000000000_0000000000000000000000000000000000000000001"
DOCUMENTS = 1000
BATCH = 100  # documents of one request
LINES = 40  # of a page; more do not fit on it
WORDS = ["tide", "gate", "lock", "weir", "sluice", "canal", "keeper", "barge", "quay", "rope"]
PAUSE = 0.1  # seconds between one-line documents


def pdf(pages):
    """A file of so many pages of text."""
    parts, offsets, length = [b"%PDF-1.4\n"], [], 9

    def put(content):
        nonlocal length
        offsets.append(length)
        whole = b"%d 0 obj\n%b\nendobj\n" % (len(offsets), content)
        parts.append(whole)
        length += len(whole)

    put(b"<< /Type /Catalog /Pages 2 0 R >>")
    kids = b" ".join(b"%d 0 R" % (4 + 2 * page) for page in range(pages))
    put(b"<< /Type /Pages /Count %d /Kids [%b] >>" % (pages, kids))
    put(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
    for page in range(pages):
        put(b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % (5 + 2 * page))
        lines = (f"(On page {page} line {line} tells of the {WORDS[(page * 7 + line * line) % 10]}.) '"
                 for line in range(LINES))
        text = ("BT /F1 12 Tf 14 TL 72 740 Td\n" + "\n".join(lines) + "\nET").encode()
        put(b"<< /Length %d >>\nstream\n%b\nendstream" % (len(text), text))
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(offsets) + 1
    parts.append(b"xref\n0 %d\n0000000000 65535 f \n%b" % (size, table))
    parts.append(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, length))
    return b"".join(parts)


class Client:
    """Requests over one connection."""

    def __init__(self):
        self.connection = http.client.HTTPConnection(ADDRESS, timeout=600)

    def ask(self, method, path, body, kind="application/json"):
        """The status of an answer, and the milliseconds until all of it was there."""
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": kind}
        began = time.perf_counter()
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        text = response.read()
        if response.status >= 300:
            sys.exit(f"{method} {path}: {response.status} {text.decode()[:300]}")
        return response.status, 1e3 * (time.perf_counter() - began)


def search(until):
    """Milliseconds of each search until something has happened."""
    client, times = Client(), []
    while not until():
        word, other = WORDS[len(times) % 10], WORDS[len(times) * 3 % 7]
        body = {"query": f"the {word} of {other} {len(times) % DOCUMENTS}", "mode": "lexical"}
        times.append(client.ask("POST", "/v1/collections/harbour/search", json.dumps(body))[1])
    return times


def write(until):
    """Milliseconds until each one-line document was found by search."""
    client, times = Client(), []
    while not until():
        path = f"/v1/collections/notes/documents/note-{len(times)}"
        taken = client.ask("PUT", path, f"A line about rope {len(times)}.", "text/plain")
        times.append(taken[1])
        time.sleep(PAUSE)
    return times


def beside(work, until):
    """What two clients measure at once."""
    found = {}
    threads = [threading.Thread(target=lambda name=name, run=run: found.update({name: run(until)}))
               for name, run in work.items()]
    for thread in threads:
        thread.start()
    return threads, found


def at(times, share):
    times = sorted(times)
    return times[min(len(times) - 1, int(len(times) * share))]


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--server", default=BINARY)
    arguments.add_argument("--pages", type=int, default=8000)
    arguments.add_argument("--seconds", type=float, default=20)
    arguments = arguments.parse_args()
    work = {"search": search, "one line, until it is found": write}
    with tempfile.TemporaryDirectory() as folder:
        command = [arguments.server, "serve", "--no-model", "--data-dir", folder,
                   "--listen", ADDRESS, "--log-level", "error"]
        server = subprocess.Popen(command, stderr=subprocess.DEVNULL,
                                  env={"RAGTIME_AUTH__BOOTSTRAP_KEY": KEY,
                                       "RAGTIME_AUTH__BURST": "1000000",
                                       "RAGTIME_AUTH__RATE_PER_MINUTE": "100000000"})
        try:
            run(arguments, work)
        finally:
            server.terminate()
            server.wait()


def run(arguments, work):
    for _ in range(600):
        try:
            connection = http.client.HTTPConnection(ADDRESS, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                break
        except OSError:
            pass
        time.sleep(0.1)
    client = Client()
    for name in ["harbour", "notes", "large"]:
        client.ask("POST", "/v1/collections", json.dumps({"name": name}))
    documents = [{"id": f"paper-{number}", "text": f"Paper {number} is about " + " ".join(
        WORDS[(number * step + step) % 10] for step in range(1, 60))} for number in range(DOCUMENTS)]
    for start in range(0, DOCUMENTS, BATCH):
        body = json.dumps({"documents": documents[start:start + BATCH]})
        client.ask("POST", "/v1/collections/harbour/documents?wait=indexed", body)
    end = time.monotonic() + arguments.seconds
    threads, alone = beside(work, lambda: time.monotonic() > end)
    for thread in threads:
        thread.join()
    file, done = pdf(arguments.pages), threading.Event()
    threads, loaded = beside(work, done.is_set)
    end, sent, taken = time.monotonic() + arguments.seconds, 0, 0.0
    while sent == 0 or time.monotonic() < end:
        path = f"/v1/collections/large/documents/file-{sent}?wait=durable"
        taken += client.ask("PUT", path, file, "application/pdf")[1]
        sent += 1
    done.set()
    for thread in threads:
        thread.join()
    print(f"{sent} PDFs of {arguments.pages} pages, {len(file) / 1e6:.1f} MB, "
          f"{taken / sent / 1e3:.1f} s each until they were stored\n")
    print("| p50 / p99, ms | alone | beside PDFs | p99, ratio |\n|-|-|-|-|")
    for name in work:
        one, other = alone[name], loaded[name]
        print(f"| {name} | {at(one, 0.5):.1f} / {at(one, 0.99):.1f} | {at(other, 0.5):.1f} / "
              f"{at(other, 0.99):.1f} | {at(other, 0.99) / at(one, 0.99):.1f} |")


if __name__ == "__main__":
    main()
