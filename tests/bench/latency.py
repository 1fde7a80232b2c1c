#!/usr/bin/env python3
"""How long an answer made of quotes takes beside its search, over HTTP.

    cargo build --release && python3 tests/bench/latency.py FOLDER [LANGUAGE ...]

FOLDER is that of `languages.py`, whose server and documents are used. One client asks
one question after another over one connection. Every second question is searched for,
the others are answered, so that no answer finds its question's vector made already;
both take ten passages.

    --server PATH      the program to measure instead of target/release/ragtime
    --questions N      ask N questions of each language, picked by a fixed shuffle
"""
import http.client, json, sys, tempfile, time

import languages

PASSAGES = 10  # as `query` takes by default


def timed(connection, path, body):
    """Milliseconds until the whole response is there."""
    headers = {"Authorization": f"Bearer {languages.KEY}", "Content-Type": "application/json"}
    began = time.perf_counter()
    connection.request("POST", path, json.dumps(body), headers)
    response = connection.getresponse()
    text = response.read()
    taken = 1e3 * (time.perf_counter() - began)
    if response.status != 200:
        sys.exit(f"POST {path}: {response.status} {text.decode()}")
    return taken


def at(times, share):
    times = sorted(times)
    return times[min(len(times) - 1, int(len(times) * share))]


def measure(path, limit):
    language = path.stem.removeprefix("xquad.")
    documents, questions = languages.read(path, limit)
    collection = f"{language}-all"
    languages.put(collection, documents)
    root = f"/v1/collections/{collection}"
    connection = http.client.HTTPConnection(languages.ADDRESS)
    times = {"search": [], "query": []}
    for number, (question, _, _) in enumerate(questions):
        kind = "search" if number % 2 else "query"
        body = {"query": question, "top_k": PASSAGES}
        body |= {"mode": "hybrid"} if kind == "search" else {"generator": "extractive"}
        times[kind].append(timed(connection, f"{root}/{kind}", body))
    search, query = times["search"], times["query"]
    ratios = [at(query, share) / at(search, share) for share in (0.5, 0.99)]
    print(f"| {language} | {at(search, 0.5):.1f} / {at(search, 0.99):.1f} "
          f"| {at(query, 0.5):.1f} / {at(query, 0.99):.1f} "
          f"| {ratios[0]:.1f} / {ratios[1]:.1f} |", flush=True)


def main():
    arguments, files = languages.read_arguments(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        server = languages.serve(arguments.server, folder)
        try:
            print("| | search p50 / p99, ms | query p50 / p99, ms | query : search |\n|-|-|-|-|")
            for path in files:
                measure(path, arguments.questions)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
