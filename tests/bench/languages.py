#!/usr/bin/env python3
"""How well texts of each language are found, quoted and declined, over HTTP.

    cargo build --release && python3 tests/bench/languages.py FOLDER [LANGUAGE ...]

FOLDER holds one file for each language in the form of SQuAD, named after it
(`de.json` or `xquad.de.json`). XQuAD is meant (CC BY-SA 4.0,
https://github.com/google-deepmind/xquad): the same 240 paragraphs and 1,190
questions in each language. Without LANGUAGE, all that are in FOLDER.

    --server PATH      the program to measure instead of target/release/ragtime
    --questions N      ask N questions of each language, picked by a fixed shuffle
    --curve            also how many are declined by each threshold
    --cost             also bytes on disk, and documents and searches a second

The server is started here, with the model that it finds. Each paragraph is a
document. Columns:

  lexical, hybrid   the share of questions whose paragraph is first
  mode              what a hybrid search was for most questions: lexical where the
                    model has no vote
  holds             the share of questions answered with a quote that holds the answer
  declined own      of questions asked of the half of the paragraphs that has theirs
  declined other    of the same questions asked of the half that has not

The last two are what the server does as it comes. The curve is made by `ragtime
eval --answers` on the same halves: answerable / unanswerable declined where the best
sentence scores less than the threshold.
"""
import argparse, collections, concurrent.futures, json, os, pathlib, random, subprocess, sys
import tempfile, time, urllib.error, urllib.request

RAGTIME = pathlib.Path(__file__).parents[2] / "target/release/ragtime"
ADDRESS, ADMIN = "127.0.0.1:18097", "127.0.0.1:18098"
KEY = "rt_000000000000_0000000000000000000000000000000000000000001"
BATCH = 24  # documents in one request, so that none comes near its deadline
LANES = 4
THRESHOLDS = [twentieth / 20 for twentieth in range(2, 14)]
PATIENCE_SECONDS = 600


def ask(method, path, body=None):
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    body = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{ADDRESS}{path}", body, headers, method=method)
    while True:
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            if error.code not in (429, 503):
                sys.exit(f"{method} {path}: {error.code} {error.read().decode()}")
            time.sleep(float(error.headers.get("Retry-After") or 1))


def in_lanes(work, items):
    with concurrent.futures.ThreadPoolExecutor(LANES) as lanes:
        return list(lanes.map(work, items))


def read(path, limit):
    """Documents, and questions with their document and answers."""
    documents, questions = {}, []
    for number, article in enumerate(json.loads(path.read_text("utf-8"))["data"]):
        for place, paragraph in enumerate(article["paragraphs"]):
            name = f"{number}-{place}"
            documents[name] = paragraph["context"]
            questions += [(one["question"], name, [answer["text"] for answer in one["answers"]])
                          for one in paragraph["qas"]]
    random.Random(1).shuffle(questions)
    return documents, questions[:limit]


def put(collection, documents):
    ask("POST", "/v1/collections", {"name": collection})
    items = [{"id": name, "text": text} for name, text in documents.items()]
    jobs = [ask("POST", f"/v1/collections/{collection}/documents",
                {"documents": items[start:start + BATCH]})["job_id"]
            for start in range(0, len(items), BATCH)]
    while any(ask("GET", f"/v1/jobs/{job}")["state"] != "done" for job in jobs):
        time.sleep(0.02)


def first(collection, mode):
    def is_first(question):
        found = ask("POST", f"/v1/collections/{collection}/search",
                    {"query": question[0], "mode": mode, "top_k": 5})
        results = found["results"]
        return bool(results) and results[0]["document_id"] == question[1], found["mode"]
    return is_first


def answered(collection):
    def outcome(question):
        answer = ask("POST", f"/v1/collections/{collection}/query",
                     {"query": question[0], "generator": "extractive"})
        quotes = [one["quote"] for one in answer["citations"]]
        holds = any(text in quote for text in question[2] for quote in quotes)
        return answer["abstained"], holds
    return outcome


def halves(documents):
    """Every second paragraph in one half, so that both know every subject."""
    names = list(documents)
    return [{name: documents[name] for name in names[start::2]} for start in (0, 1)]


def declined(language, documents, questions):
    """Shares of the questions that are declined by their own half and by the other."""
    own, other = [], []
    for number, half in enumerate(halves(documents)):
        collection = f"{language}-half-{number}"
        put(collection, half)
        outcomes = in_lanes(answered(collection), questions)
        for question, (abstained, _) in zip(questions, outcomes):
            (own if question[1] in half else other).append(abstained)
    return share(own), share(other)


def lay_out(folder, half, questions):
    """A half in the layout of BEIR, for `ragtime eval`."""
    (folder / "qrels").mkdir(parents=True)
    mine = [(f"q{place}", one) for place, one in enumerate(questions) if one[1] in half]
    lines = lambda records: "".join(json.dumps(one) + "\n" for one in records)
    (folder / "corpus.jsonl").write_text(
        lines({"_id": name, "title": "", "text": text} for name, text in half.items()))
    (folder / "queries.jsonl").write_text(
        lines({"_id": name, "text": one[0]} for name, one in mine))
    judged = "".join(f"{name}\t{one[1]}\t1\n" for name, one in mine)
    (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)


def curve(program, documents, questions):
    """Shares declined of answerable and unanswerable questions by threshold."""
    with tempfile.TemporaryDirectory() as folder:
        sides = [pathlib.Path(folder) / str(number) for number in (0, 1)]
        for side, half in zip(sides, halves(documents)):
            lay_out(side, half, questions)
        points = collections.defaultdict(list)
        for side, other in (sides, sides[::-1]):
            made = subprocess.run(
                [program, "eval", side, "--answers", other, "--questions", "0", "--json",
                 "--server", f"http://{ADDRESS}", "--key", KEY],
                check=True, capture_output=True, text=True)
            for point in json.loads(made.stdout)["curve"]:
                points[round(point["threshold"], 2)].append(point)
    return {threshold: (1 - mean(both, "coverage"), 1 - mean(both, "false_answers"))
            for threshold, both in points.items()}


def mean(points, name):
    return sum(point[name] for point in points) / len(points)


def share(flags):
    return sum(flags) / max(1, len(flags))


def size(folder):
    return sum(path.stat().st_size for path in pathlib.Path(folder).rglob("*") if path.is_file())


def cost(folder, language, documents, questions):
    """Bytes of text and of its index, documents and searches a second, one by one."""
    collection = f"{language}-cost"
    before, began = lexical_bytes(folder), time.perf_counter()
    put(collection, documents)
    taken = time.perf_counter() - began
    times = []
    for question in questions:
        began = time.perf_counter()
        first(collection, "lexical")(question)
        times.append(time.perf_counter() - began)
    times.sort()
    text = sum(len(one.encode()) for one in documents.values())
    return (text, lexical_bytes(folder) - before, len(documents) / taken,
            1e3 * times[len(times) // 2], 1e3 * times[int(len(times) * 0.99)])


def lexical_bytes(folder):
    return size(pathlib.Path(folder) / "index")


def measure(arguments, folder, path):
    language = path.stem.removeprefix("xquad.")
    documents, questions = read(path, arguments.questions)
    collection = f"{language}-all"
    put(collection, documents)
    lexical = share([hit for hit, _ in in_lanes(first(collection, "lexical"), questions)])
    hybrid = in_lanes(first(collection, "hybrid"), questions)
    mode, _ = collections.Counter(mode for _, mode in hybrid).most_common(1)[0]
    holds = share([holds for _, holds in in_lanes(answered(collection), questions)])
    own, other = declined(language, documents, questions)
    print(f"| {language} | {lexical:.3f} | {share([hit for hit, _ in hybrid]):.3f} | {mode} "
          f"| {holds:.3f} | {own:.3f} | {other:.3f} |", flush=True)
    drawn = curve(arguments.server, documents, questions) if arguments.curve else None
    spent = cost(folder, language, documents, questions) if arguments.cost else None
    return language, drawn, spent


def print_curves(measured):
    print("\n| | " + " | ".join(f"{one:.2f}" for one in THRESHOLDS) + " |\n|" + "-|" * 13)
    for language, drawn, _ in measured:
        points = (drawn.get(round(one, 2), (0, 0)) for one in THRESHOLDS)
        print(f"| {language} | " + " | ".join(f"{a:.2f}/{b:.2f}" for a, b in points) + " |")


def print_costs(measured):
    print("\n| | text, bytes | lexical index, bytes | documents a second | search p50 / p99, ms |"
          "\n|-|-|-|-|-|")
    for language, _, (text, index, speed, median, slow) in measured:
        print(f"| {language} | {text} | {index} | {speed:.0f} | {median:.1f} / {slow:.1f} |")


def serve(program, folder, *arguments):
    environment = os.environ | {
        "RAGTIME_AUTH__BOOTSTRAP_KEY": KEY, "RAGTIME_ADMIN__LISTEN": ADMIN,
        "RAGTIME_AUTH__BURST": "1000000", "RAGTIME_AUTH__RATE_PER_MINUTE": "1000000"}
    server = subprocess.Popen(
        [program, "serve", "--data-dir", folder, "--listen", ADDRESS, "--log-level", "error",
         *arguments],
        env=environment, stderr=subprocess.PIPE, text=True)
    while True:
        try:
            with urllib.request.urlopen(f"http://{ADDRESS}/readyz", timeout=1) as answer:
                # It serves words before its model is loaded, and is not measured then.
                parts = json.loads(answer.read())["components"]
                if not any("on its way" in (part.get("detail") or "") for part in parts):
                    return server
        except OSError:
            pass
        if server.poll() is not None:
            sys.exit(f"the server ended: {server.stderr.read()}")
        time.sleep(0.05)


def read_arguments(usage, *flags):
    """What the command line says, and the files of FOLDER that it asks for."""
    parser = argparse.ArgumentParser(description=usage,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("languages", nargs="*")
    parser.add_argument("--server", type=pathlib.Path, default=RAGTIME)
    parser.add_argument("--questions", type=int)
    for flag in flags:
        parser.add_argument(flag, action="store_true")
    arguments = parser.parse_args()
    files = [path for path in sorted(arguments.folder.glob("*.json"))
             if not arguments.languages or path.stem.removeprefix("xquad.") in arguments.languages]
    if not files:
        sys.exit(usage)
    return arguments, files


def main():
    arguments, files = read_arguments(__doc__, "--curve", "--cost")
    with tempfile.TemporaryDirectory() as folder:
        server = serve(arguments.server, folder)
        try:
            print("| | lexical | hybrid | mode | holds | declined own | declined other |\n"
                  "|-|-|-|-|-|-|-|", flush=True)
            measured = [measure(arguments, folder, path) for path in files]
        finally:
            server.terminate()
            server.wait()
    if arguments.curve:
        print_curves(measured)
    if arguments.cost:
        print_costs(measured)


if __name__ == "__main__":
    main()
