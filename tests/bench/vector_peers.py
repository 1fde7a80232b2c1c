#!/usr/bin/env python3
"""What else searches vectors, on the vectors of the benchmark of the store.

    pip install numpy hnswlib usearch sqlite-vec lancedb
    RAGTIME_BENCH_EXPORT=DIR cargo bench -p ragtime-store --bench scale
    python3 tests/bench/vector_peers.py DIR [NAME…]

The benchmark writes its rows and queries to DIR (`rows.f32`, `queries.f32`: numbers of
four bytes, 384 to a vector, unless its vectors are of another length) and says how long
they are in `dimensions`. Prints for each peer the vectors added a second on all cores,
and, one query at a time on one core, the latency of the 100 nearest and how many of
the ten nearest are among the first ten. Peers are asked as their documentation does it, with as many
candidates as the 100 need.
"""

import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

DEPTH = 100
RECALL_QUERIES = 100
RECALL_AT = 10
BATCH = 10_000


class Hnswlib:
    """A graph in memory, M = 16."""

    def __init__(self, dimensions, rows, _folder):
        import hnswlib

        self.index = hnswlib.Index(space="ip", dim=dimensions)
        self.index.init_index(max_elements=rows, M=16, ef_construction=200, random_seed=7)
        # A search may not look at fewer candidates than it returns.
        self.index.set_ef(DEPTH)

    def add(self, first, vectors):
        self.index.add_items(vectors, np.arange(first, first + len(vectors)))

    def finish(self):
        pass

    def search(self, query):
        return self.index.knn_query(query, k=DEPTH, num_threads=1)[0][0]


class Usearch:
    """A graph in memory, by default M = 16."""

    def __init__(self, dimensions, _rows, _folder):
        from usearch.index import Index

        self.index = Index(ndim=dimensions, metric="ip", dtype="f32")

    def add(self, first, vectors):
        self.index.add(np.arange(first, first + len(vectors)), vectors)

    def finish(self):
        pass

    def search(self, query):
        return self.index.search(query, DEPTH, threads=1).keys


class SqliteVec:
    """Every vector is compared, in a database on disk."""

    def __init__(self, dimensions, _rows, folder):
        import sqlite_vec

        self.db = sqlite3.connect(folder / "vec.sqlite")
        self.db.enable_load_extension(True)
        sqlite_vec.load(self.db)
        self.db.execute(f"CREATE VIRTUAL TABLE v USING vec0(e float[{dimensions}] distance_metric=cosine)")

    def add(self, first, vectors):
        rows = ((first + place, vector.tobytes()) for place, vector in enumerate(vectors))
        self.db.executemany("INSERT INTO v (rowid, e) VALUES (?, ?)", rows)

    def finish(self):
        self.db.commit()

    def search(self, query):
        rows = self.db.execute(
            "SELECT rowid FROM v WHERE e MATCH ? AND k = ? ORDER BY distance", (query.tobytes(), DEPTH)
        )
        return [row[0] for row in rows]


class Lancedb:
    """Inverted lists over product codes on disk, with exact distances for the best."""

    def __init__(self, dimensions, rows, folder):
        import lancedb
        import pyarrow

        self.rows = rows
        self.pyarrow = pyarrow
        vector = pyarrow.list_(pyarrow.float32(), dimensions)
        schema = pyarrow.schema([("id", pyarrow.int64()), ("vector", vector)])
        self.table = lancedb.connect(folder).create_table("v", schema=schema)
        self.vector = vector

    def add(self, first, vectors):
        values = self.pyarrow.FixedSizeListArray.from_arrays(vectors.ravel(), type=self.vector)
        ids = self.pyarrow.array(np.arange(first, first + len(vectors)))
        self.table.add(self.pyarrow.table({"id": ids, "vector": values}))

    def finish(self):
        self.table.create_index(metric="cosine", index_type="IVF_PQ")

    def search(self, query):
        found = self.table.search(query).metric("cosine").nprobes(32).refine_factor(5)
        return found.limit(DEPTH).select(["id"]).to_arrow()["id"].to_numpy()


PEERS = {"hnswlib": Hnswlib, "usearch": Usearch, "lancedb": Lancedb, "sqlite-vec": SqliteVec}


def nearest(vectors, queries):
    """The ten nearest rows to each query, by comparing all."""
    found = []
    for query in queries:
        similarity = vectors @ query
        best = np.argpartition(-similarity, RECALL_AT)[:RECALL_AT]
        found.append(set(best.tolist()))
    return found


def measure(peer, vectors, queries, expected):
    """Vectors added a second, the times of the queries in ms, and the recall."""
    with tempfile.TemporaryDirectory() as folder:
        index = peer(vectors.shape[1], len(vectors), Path(folder))
        start = time.perf_counter()
        for first in range(0, len(vectors), BATCH):
            index.add(first, np.ascontiguousarray(vectors[first : first + BATCH]))
        index.finish()
        rate = len(vectors) / (time.perf_counter() - start)
        times, right = [], 0
        for place, query in enumerate(queries):
            start = time.perf_counter()
            found = index.search(query)
            times.append((time.perf_counter() - start) * 1e3)
            if place < len(expected):
                right += len(expected[place] & {int(key) for key in found[:RECALL_AT]})
    return rate, times, right / (len(expected) * RECALL_AT)


def main():
    folder = Path(sys.argv[1])
    dimensions = int((folder / "dimensions").read_text())
    vectors = np.memmap(folder / "rows.f32", dtype=np.float32, mode="r").reshape(-1, dimensions)
    queries = np.fromfile(folder / "queries.f32", dtype=np.float32).reshape(-1, dimensions)
    expected = nearest(vectors, queries[:RECALL_QUERIES])
    print(f"{len(vectors)} vectors, {len(queries)} queries of the {DEPTH} nearest")
    print(f"{'':<12}{'added/s':>10}{'p50 ms':>10}{'p99 ms':>10}{'recall@10':>12}")
    for name in sys.argv[2:] or PEERS:
        rate, times, recall = measure(PEERS[name], vectors, queries, expected)
        p50, p99 = np.percentile(times, [50, 99])
        print(f"{name:<12}{rate:>10.0f}{p50:>10.2f}{p99:>10.2f}{recall:>12.3f}", flush=True)


if __name__ == "__main__":
    main()
