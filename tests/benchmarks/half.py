"""What float16 storage loses, on real vectors: how far they turn, and which of the ten nearest change.

    python -m tests.benchmarks.half --shared ../shared [--folder KEEP]

COCO photos, ESC-10 clips and the stamps are ingested into a library of float32; every vector, and every caption of
COCO, then asks each list twice: with the vectors as they are, and as float16 storage gives them back.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import mmsearch
from mmsearch.catalog import blobs
from mmsearch.catalog.lists import list_changes, list_keys
from mmsearch.library import Library
from mmsearch.types import Vectors

K = 10


def lists(library: Library) -> dict[str, Vectors]:
    """Name of a list -> its vectors, float32 (n, dim)."""
    catalog, (_, record) = library._context.catalog(), library._context.embedding()
    found = {}
    with catalog.reading() as snapshot:
        for key in list_keys(snapshot, record.name):
            parts = [change.vectors for change in list_changes(snapshot, key, record.dim, -1)]
            found[f"{key.item}/{key.segment}"] = np.concatenate(parts)
    return found


def nearest(queries: Vectors, rows: Vectors) -> NDArray[np.int64]:
    """(q, K) places, by (-score, place)."""
    scores = queries.astype(np.float64) @ rows.astype(np.float64).T
    return np.argsort(-scores, axis=1, kind="stable")[:, :K]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    dev = given.shared / "data" / "dev"
    with (
        tempfile.TemporaryDirectory() as temporary,
        mmsearch.open(given.folder or temporary, space="starter") as library,
    ):
        library.ingest(dev / "coco", dev / "esc10", dev / "stamps")
        full = lists(library)
    print("list          vectors  1 - cosine: mean      most  score off by: most  recall@10 of float32's ten")
    everything = np.concatenate(list(full.values()))
    for name, rows in full.items():
        half = blobs.decode(blobs.encode(rows, "float16"), rows.shape[1])
        turned = 1 - np.einsum("ij,ij->i", rows.astype(np.float64), half.astype(np.float64))
        off = np.abs(everything.astype(np.float64) @ (rows.astype(np.float64) - half).T).max()
        if len(rows) <= K:
            continue
        first, second = nearest(everything, rows), nearest(everything, half)
        kept = np.mean([len(set(a) & set(b)) / K for a, b in zip(first.tolist(), second.tolist(), strict=True)])
        print(f"{name:12} {len(rows):8} {turned.mean():17.1e} {turned.max():9.1e} {off:19.1e} {kept:27.4f}")


if __name__ == "__main__":
    main()
