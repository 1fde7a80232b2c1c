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
import argparse, concurrent.futures, http.client, json, sys, tempfile, threading, time

import languages
from latency import at

DOCUMENTS = 1000
BATCH = 100  # documents of one request
LINES = 16  # of a page, so that 8,000 pages have less text than a document may have (8 MiB)
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
        self.connection = http.client.HTTPConnection(
            languages.ADDRESS, timeout=languages.PATIENCE_SECONDS)

    def ask(self, method, path, body, kind="application/json"):
        """Milliseconds until all of an answer was there."""
        headers = {"Authorization": f"Bearer {languages.KEY}", "Content-Type": kind}
        began = time.perf_counter()
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        text = response.read()
        if response.status >= 300:
            sys.exit(f"{method} {path}: {response.status} {text.decode()[:300]}")
        return 1e3 * (time.perf_counter() - began)


def search(until):
    """Milliseconds of each search until something has happened."""
    client, times = Client(), []
    while not until():
        word, other = WORDS[len(times) % 10], WORDS[len(times) * 3 % 7]
        body = {"query": f"the {word} of {other} {len(times) % DOCUMENTS}", "mode": "lexical"}
        times.append(client.ask("POST", "/v1/collections/harbour/search", json.dumps(body)))
    return times


def write(until):
    """Milliseconds until each one-line document was found by search."""
    client, times = Client(), []
    while not until():
        path = f"/v1/collections/notes/documents/note-{len(times)}"
        times.append(client.ask("PUT", path, f"A line about rope {len(times)}.", "text/plain"))
        time.sleep(PAUSE)
    return times


WORK = {"search": search, "one line, until it is found": write}


def measure(lanes, until):
    """What both clients measure at once, when it is there."""
    return {name: lanes.submit(work, until) for name, work in WORK.items()}


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--server", default=languages.RAGTIME)
    arguments.add_argument("--pages", type=int, default=8000)
    arguments.add_argument("--seconds", type=float, default=20)
    arguments = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = languages.serve(arguments.server, folder, "--no-model")
        try:
            run(arguments)
        finally:
            server.terminate()
            server.wait()


def run(arguments):
    client = Client()
    for name in ["harbour", "notes", "large"]:
        client.ask("POST", "/v1/collections", json.dumps({"name": name}))
    documents = [{"id": f"paper-{number}", "text": f"Paper {number} is about " + " ".join(
        WORDS[(number * step + step) % 10] for step in range(1, 60))} for number in range(DOCUMENTS)]
    for start in range(0, DOCUMENTS, BATCH):
        body = json.dumps({"documents": documents[start:start + BATCH]})
        client.ask("POST", "/v1/collections/harbour/documents?wait=indexed", body)
    file, done = pdf(arguments.pages), threading.Event()
    with concurrent.futures.ThreadPoolExecutor(len(WORK)) as lanes:
        end = time.monotonic() + arguments.seconds
        alone = measure(lanes, lambda: time.monotonic() > end)
        concurrent.futures.wait(alone.values())
        loaded = measure(lanes, done.is_set)
        end, sent, taken = time.monotonic() + arguments.seconds, 0, 0.0
        try:
            while sent == 0 or time.monotonic() < end:
                path = f"/v1/collections/large/documents/file-{sent}?wait=durable"
                # The server has closed what was idle so far.
                taken += Client().ask("PUT", path, file, "application/pdf")
                sent += 1
        finally:
            done.set()
    print(f"{sent} PDFs of {arguments.pages} pages, {len(file) / 1e6:.1f} MB, "
          f"{taken / sent / 1e3:.1f} s each until they were stored\n")
    print("| p50 / p99, ms | alone | beside PDFs | p99, ratio |\n|-|-|-|-|")
    for name in WORK:
        one, other = alone[name].result(), loaded[name].result()
        print(f"| {name} | {at(one, 0.5):.1f} / {at(one, 0.99):.1f} | {at(other, 0.5):.1f} / "
              f"{at(other, 0.99):.1f} | {at(other, 0.99) / at(one, 0.99):.1f} |")


if __name__ == "__main__":
    main()
