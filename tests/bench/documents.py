#!/usr/bin/env python3
"""How much of the text of PDF files arrives, and how fast, beside other readers.

    pip install pypdfium2 pymupdf pypdf pdf_oxide markitdown[pdf]
    cargo build --release && python3 tests/bench/documents.py FOLDER

Every reader gets the same files. What it finds is compared with what pdfium
finds: the share of pdfium's words that it has (recall), the share of its own
words that pdfium has (precision), and the share of pdfium's pairs of neighbours
that are neighbours in it too, which tells of order and of words glued together.
A word is `\\w+` of the text in NFKC and lower case. Files are averaged, those in
which pdfium finds fewer than ten words are left out; a reader that fails on a
file or says that it has no text has 0 there.

Ragtime runs without its model. It reads each file in its sandbox, asked over
HTTP, and has it on disk before it answers. The other readers run in this
process. Readers that are not installed are passed over. `RAGTIME=PATH` measures
another binary.
"""
import collections, importlib.metadata, json, os, pathlib, re, subprocess, sys, tempfile, time
import unicodedata, urllib.error, urllib.request

RAGTIME = os.environ.get("RAGTIME", pathlib.Path(__file__).parents[2] / "target/release/ragtime")
ADDRESS = "127.0.0.1:18096"
KEY = "rt_000000000000_0000000000000000000000000000000000000000001"
MOST_BYTES = 30_000_000
FEWEST_WORDS = 10


def words(text):
    return re.findall(r"\w+", unicodedata.normalize("NFKC", text).replace("\u00ad", "").lower())


def pdfium(path):
    import pypdfium2
    with pypdfium2.PdfDocument(path) as document:
        return "\n".join(page.get_textpage().get_text_range() for page in document)


def pages(path):
    import pypdfium2
    with pypdfium2.PdfDocument(path) as document:
        return len(document)


def pymupdf():
    import pymupdf
    return lambda path: "\n".join(page.get_text() for page in pymupdf.open(path))


def pypdf():
    import pypdf
    return lambda path: "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)


def pdf_oxide():
    from pdf_oxide import PdfDocument

    def read(path):
        document = PdfDocument(str(path))
        return "\n".join(document.extract_text(page) for page in range(document.page_count()))
    return read


def markitdown():
    from markitdown import MarkItDown
    converter = MarkItDown()
    return lambda path: converter.convert(str(path)).text_content


def ask(method, path, body=None):
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/pdf"}
    request = urllib.request.Request(f"http://{ADDRESS}{path}", body, headers, method=method)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.loads(answer.read() or b"null")


def ragtime(path):
    ask("PUT", "/v1/collections/default/documents/measured?wait=durable", path.read_bytes())
    return ask("GET", "/v1/collections/default/documents/measured")["text"]


def compare(wanted, found):
    """Recall, precision and the share of pairs."""
    shared = sum((collections.Counter(wanted) & collections.Counter(found)).values())
    pairs = [collections.Counter(zip(side, side[1:])) for side in (wanted, found)]
    kept = sum((pairs[0] & pairs[1]).values())
    return (shared / len(wanted), shared / max(1, len(found)),
            kept / max(1, sum(pairs[0].values())))


def measure(name, read, files):
    scores, failed, seconds, count = [], 0, 0.0, 0
    for path, (wanted, number) in files.items():
        began = time.perf_counter()
        try:
            found = words(read(path))
        except Exception:  # whatever a reader raises, it has not read the file
            found, failed = [], failed + bool(wanted)
        seconds += time.perf_counter() - began
        count += number
        if len(wanted) >= FEWEST_WORDS:
            scores.append(compare(wanted, found))
    recall, precision, pairs = (sum(column) / len(scores) for column in zip(*scores))
    whole = sum(score[0] >= 0.99 for score in scores)
    print(f"| {name} | {recall:.3f} | {precision:.3f} | {pairs:.3f} | {whole} of {len(scores)} "
          f"| {failed} | {count / seconds:.0f} |", flush=True)


def served(files):
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "RAGTIME_AUTH__BOOTSTRAP_KEY": KEY, "RAGTIME_ADMIN__LISTEN": "127.0.0.1:18097",
            # The key's budget is not what is measured.
            "RAGTIME_AUTH__BURST": "1000000", "RAGTIME_AUTH__RATE_PER_MINUTE": "1000000"}
        server = subprocess.Popen(
            [RAGTIME, "serve", "--no-model", "--data-dir", folder, "--listen", ADDRESS, "--log-level", "error"],
            env=environment, stderr=subprocess.PIPE, text=True)
        try:
            while True:
                try:
                    urllib.request.urlopen(f"http://{ADDRESS}/readyz", timeout=1).close()
                    break
                except OSError:
                    if server.poll() is not None:
                        sys.exit(f"the server ended: {server.stderr.read()}")
                    time.sleep(0.05)
            measure("Ragtime, in its sandbox", ragtime, files)
        finally:
            server.terminate()
            server.wait()


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else sys.exit(__doc__))
    files = {}
    for path in sorted(folder.rglob("*.pdf")):
        if path.stat().st_size <= MOST_BYTES:
            try:
                files[path] = (words(pdfium(path)), pages(path))
            except Exception:  # pdfium cannot open it, so there is no reference
                continue
    print("| reader | recall | precision | pairs | files at 0.99 | failed | pages a second |\n"
          "|---|---|---|---|---|---|---|", flush=True)
    served(files)
    for make in (pymupdf, pypdf, pdf_oxide, markitdown):
        try:
            read = make()
        except ImportError:
            print(f"| {make.__name__} is not installed | | | | | | |", flush=True)
            continue
        measure(f"{make.__name__} {importlib.metadata.version(make.__name__)}", read, files)


main()
