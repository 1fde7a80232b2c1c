#!/usr/bin/env python3
"""hnswlib on vectors of the kind that `cargo bench -p ragtime-store` makes.

    pip install numpy hnswlib
    python tests/bench/hnswlib_peer.py [ROWS]

Prints vectors added per second, latency of a top-100 search and recall@10
against the exact scan, on all cores for adding and one query at a time.
"""

import sys
import time

import hnswlib
import numpy as np

DIMENSIONS = 384
ROWS_PER_CLUSTER = 100
SPREAD = 0.8
DEPTH = 100
QUERIES = 500
RECALL_QUERIES = 100
RECALL_AT = 10


def unit(values):
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def directions(rng, count):
    return unit(rng.random((count, DIMENSIONS), dtype=np.float32) - np.float32(0.5))


def around(rng, centres, count):
    chosen = centres[rng.integers(len(centres), size=count)]
    return unit(chosen + np.float32(SPREAD) * directions(rng, count))


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    rng = np.random.default_rng(7)
    centres = directions(rng, max(1, rows // ROWS_PER_CLUSTER))
    vectors = around(rng, centres, rows)
    queries = around(rng, centres, QUERIES)

    index = hnswlib.Index(space="ip", dim=DIMENSIONS)
    index.init_index(max_elements=rows, M=16, ef_construction=200, random_seed=7)
    start = time.perf_counter()
    index.add_items(vectors)
    rate = rows / (time.perf_counter() - start)

    # The search may not look at fewer candidates than it returns.
    index.set_ef(DEPTH)
    times = []
    for query in queries:
        start = time.perf_counter()
        index.knn_query(query, k=DEPTH, num_threads=1)
        times.append((time.perf_counter() - start) * 1e3)

    right = 0
    for query in queries[:RECALL_QUERIES]:
        nearest = np.argpartition(-(vectors @ query), RECALL_AT)[:RECALL_AT]
        found = index.knn_query(query, k=DEPTH, num_threads=1)[0][0][:RECALL_AT]
        right += len(set(nearest) & set(found))

    print(f"{'vectors':<28}{rows}")
    print(f"{'added, vectors/s':<28}{rate:.0f}")
    print(f"{'vector, p50 / p99 ms':<28}{np.percentile(times, 50):.2f} / {np.percentile(times, 99):.2f}")
    print(f"{'vector recall@10':<28}{right / (RECALL_QUERIES * RECALL_AT):.3f}")


if __name__ == "__main__":
    main()
