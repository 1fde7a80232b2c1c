"""Ragtime beside what else people reach for, on one corpus and one machine.

    pip install sentence-transformers chromadb lancedb bm25s PyStemmer onnx onnxruntime onnxscript
    cargo build --release && python3 tests/bench/peers.py DIR

DIR is a folder in BEIR's layout. Each peer runs in a process of its own, one
after the other, over the same documents and queries, with the same weights
(all-MiniLM-L6-v2; `--model` names a folder that has them). Ragtime is asked
over HTTP, the others are called in their process.
"""

import argparse
import base64
import csv
import http.client
import json
import math
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEY = "rt_000000000000_0000000000000000000000000000000000000000001"
TOP = 10
# Texts that are embedded at once where the caller chooses.
BATCH = 32


def load(folder):
    lines = lambda name: map(json.loads, open(folder / name, encoding="utf-8"))
    documents = [(d["_id"], d.get("title") or "", d["text"]) for d in lines("corpus.jsonl")]
    documents = [one for one in documents if one[2].strip()]
    queries = [(q["_id"], q["text"]) for q in lines("queries.jsonl")]
    judged = {}
    with open(folder / "qrels" / "test.tsv", newline="", encoding="utf-8") as file:
        for query, document, grade in list(csv.reader(file, delimiter="\t"))[1:]:
            judged.setdefault(query, {})[document] = max(int(grade), 0)
    return documents, [one for one in queries if any(judged.get(one[0], {}).values())], judged


def ndcg(found, grades):
    gain = lambda grade, place: (2**grade - 1) / math.log2(place + 2)
    best = sorted(grades.values(), reverse=True)[:TOP]
    ideal = sum(gain(grade, place) for place, grade in enumerate(best))
    return sum(gain(grades.get(one, 0), place) for place, one in enumerate(found[:TOP])) / ideal


def whole(title, text):
    return f"{title}\n{text}" if title else text


class Embedder:
    """sentence-transformers on all cores, as it comes."""

    def __init__(self, model):
        from sentence_transformers import SentenceTransformer

        self.model = SentenceTransformer(model, device="cpu")

    def __call__(self, texts):
        return self.model.encode(texts, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)


class Script:
    """The script that many begin with: vectors in an array, bm25s beside it."""

    def __init__(self, model, _):
        import Stemmer

        self.embed, self.stemmer = Embedder(model), Stemmer.Stemmer("english")

    def ingest(self, documents):
        import bm25s

        texts = [whole(title, text) for _, title, text in documents]
        self.ids = [one for one, _, _ in documents]
        self.vectors = self.embed(texts)
        self.words = bm25s.BM25()
        tokens = bm25s.tokenize(texts, stopwords="en", stemmer=self.stemmer, show_progress=False)
        self.words.index(tokens, show_progress=False)

    def search(self, query):
        import bm25s
        import numpy

        scale = lambda scores: (scores - scores.min()) / (numpy.ptp(scores) or 1)
        tokens = bm25s.tokenize(query, stopwords="en", stemmer=self.stemmer, show_progress=False, return_ids=False)
        lexical = self.words.get_scores(tokens[0]) if tokens[0] else numpy.zeros(len(self.ids))
        scores = scale(self.vectors @ self.embed([query])[0]) + scale(lexical)
        return [self.ids[place] for place in numpy.argsort(-scores)[:TOP]]


class Chroma:
    """chromadb on disk; it searches by vectors."""

    def __init__(self, model, folder):
        import chromadb

        self.embed = Embedder(model)
        client = chromadb.PersistentClient(folder, settings=chromadb.Settings(anonymized_telemetry=False))
        self.collection = client.create_collection("corpus", configuration={"hnsw": {"space": "cosine"}})

    def ingest(self, documents):
        for start in range(0, len(documents), 1000):
            part = documents[start : start + 1000]
            texts = [whole(title, text) for _, title, text in part]
            ids = [one for one, _, _ in part]
            self.collection.add(ids=ids, documents=texts, embeddings=self.embed(texts))

    def search(self, query):
        return self.collection.query(query_embeddings=self.embed([query]), n_results=TOP)["ids"][0]


class Lance:
    """lancedb on disk, hybrid with its own reranker."""

    def __init__(self, model, folder):
        import lancedb

        self.embed, self.db = Embedder(model), lancedb.connect(folder)

    def ingest(self, documents):
        from lancedb.index import FTS
        from lancedb.rerankers import RRFReranker

        texts = [whole(title, text) for _, title, text in documents]
        rows = [
            {"id": one[0], "text": text, "vector": vector}
            for one, text, vector in zip(documents, texts, self.embed(texts))
        ]
        self.table = self.db.create_table("corpus", rows)
        self.table.create_index("text", config=FTS(stem=True, remove_stop_words=True))
        self.rerank = RRFReranker()

    def search(self, query):
        words = re.sub(r"\W+", " ", query)
        search = self.table.search(query_type="hybrid").vector(self.embed([query])[0]).text(words)
        rows = search.metric("cosine").rerank(self.rerank).limit(TOP).to_list()
        return [row["id"] for row in rows]


class Ragtime:
    """The server, over HTTP."""

    def __init__(self, model, folder):
        command = [ROOT / "target/release/ragtime", "serve", "--data-dir", folder]
        command += ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
        ample = str(2**31)
        settings = {"RAGTIME_AUTH__BOOTSTRAP_KEY": KEY, "RAGTIME_LOG__LEVEL": "warn"}
        settings |= {"RAGTIME_AUTH__BURST": ample, "RAGTIME_AUTH__RATE_PER_MINUTE": ample}
        self.server = subprocess.Popen(command, env=os.environ | settings, stderr=subprocess.PIPE, text=True)
        said = iter(self.server.stderr.readline, "")
        address = next(line.split()[4] for line in said if line.startswith("Ragtime is ready on"))
        self.connection = http.client.HTTPConnection(address.removeprefix("http://"))
        while '"embedding-model","state":"ready"' not in self.call("GET", "/readyz", None, str):
            time.sleep(0.05)

    def call(self, method, path, body, read=json.loads):
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        self.connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = self.connection.getresponse()
        text = response.read().decode()
        assert response.status < 300, text
        return read(text)

    def ingest(self, documents):
        for start in range(0, len(documents), 2000):
            part = [
                {"id": one, "title": title, "text": text} if title else {"id": one, "text": text}
                for one, title, text in documents[start : start + 2000]
            ]
            path = "/v1/collections/default/documents?wait=indexed"
            assert not self.call("POST", path, {"documents": part})["failed"]

    def search(self, query):
        body = {"query": query, "top_k": TOP}
        found = self.call("POST", "/v1/collections/default/search", body)
        return [result["document_id"] for result in found["results"]]

    def vectors(self, texts):
        body = {"model": "all-MiniLM-L6-v2", "input": texts, "encoding_format": "base64"}
        found = self.call("POST", "/v1/embeddings", body)
        return [base64.b64decode(one["embedding"]) for one in found["data"]]

    def memory(self):
        return resident(self.server.pid)

    def close(self):
        self.server.terminate()


class Onnx:
    """ONNX Runtime, f32, the graph as PyTorch exports it. Vectors only."""

    def __init__(self, model, folder):
        import onnxruntime
        import torch
        from transformers import AutoModel, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(model)
        network = AutoModel.from_pretrained(model, attn_implementation="eager").eval()

        class Hidden(torch.nn.Module):
            def forward(self, ids, mask):
                return network(input_ids=ids, attention_mask=mask).last_hidden_state

        example = self.tokenizer(["one", "two words"], padding=True, return_tensors="pt")
        file = os.path.join(folder, "model.onnx")
        axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=512)}
        torch.onnx.export(
            Hidden(),
            (example["input_ids"], example["attention_mask"]),
            file,
            input_names=["ids", "mask"],
            output_names=["out"],
            dynamic_shapes={"ids": axes, "mask": axes},
            dynamo=True,
            verbose=False,
        )
        self.session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

    def vectors(self, texts):
        import numpy

        tokens = self.tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="np")
        given = {"ids": tokens["input_ids"], "mask": tokens["attention_mask"]}
        hidden = self.session.run(["out"], given)[0]
        mask = given["mask"][..., None].astype(numpy.float32)
        mean = (hidden * mask).sum(1) / mask.sum(1)
        return mean / numpy.linalg.norm(mean, axis=1, keepdims=True)


PEERS = {"ragtime": Ragtime, "script": Script, "chromadb": Chroma, "lancedb": Lance, "onnxruntime": Onnx}


def resident(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024


def run(name, folder, model):
    """What one peer does, as a JSON object."""
    documents, queries, judged = load(folder)
    figures = {"peer": name}
    with tempfile.TemporaryDirectory() as place:
        peer = PEERS[name](model, place)
        if hasattr(peer, "vectors"):
            texts = sorted((whole(title, text) for _, title, text in documents), key=len)[:1024]
            peer.vectors(texts[:BATCH])
            size = 256 if name == "ragtime" else BATCH
            started = time.perf_counter()
            for start in range(0, len(texts), size):
                peer.vectors(texts[start : start + size])
            figures["texts embedded a second"] = len(texts) / (time.perf_counter() - started)
        if hasattr(peer, "ingest"):
            started = time.perf_counter()
            peer.ingest(documents)
            figures["documents a second"] = len(documents) / (time.perf_counter() - started)
            peer.search(queries[0][1])
            took, scores = [], []
            for number, query in queries:
                started = time.perf_counter()
                found = peer.search(query)
                took.append(1e3 * (time.perf_counter() - started))
                scores.append(ndcg(found, judged[number]))
            figures["query, p50 ms"] = statistics.median(took)
            figures["query, p99 ms"] = statistics.quantiles(took, n=100)[98]
            figures["memory, MB"] = peer.memory() if hasattr(peer, "memory") else resident(os.getpid())
            figures["nDCG@10"] = statistics.mean(scores)
        if hasattr(peer, "close"):
            peer.close()
    return figures


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("folder", type=pathlib.Path)
    arguments.add_argument("--model", default="sentence-transformers/all-MiniLM-L6-v2")
    arguments.add_argument("--peer", choices=PEERS, help="this one alone, as JSON")
    given = arguments.parse_args()
    if given.peer:
        print(json.dumps(run(given.peer, given.folder, given.model)))
        return
    results = []
    for name in PEERS:
        command = [sys.executable, __file__, str(given.folder), "--model", given.model, "--peer", name]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            print(f"{name} failed: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            continue
        results.append(json.loads(done.stdout.strip().splitlines()[-1]))
    rows = [row for row in dict.fromkeys(key for one in results for key in one) if row != "peer"]
    print("| | " + " | ".join(one["peer"] for one in results) + " |")
    print("|---" * (len(results) + 1) + "|")
    for row in rows:
        cell = lambda one: f"{one[row]:.3f}" if row == "nDCG@10" else f"{one[row]:.1f}"
        print(f"| {row} | " + " | ".join(cell(one) if row in one else "" for one in results) + " |")


if __name__ == "__main__":
    main()
