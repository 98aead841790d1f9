"""A library of many vectors that were made elsewhere: `mmsearch import`, and what it is like to use afterwards.

    python -m tests.benchmarks.bulk --shared ../shared --work DIR [--count 1000000] [--storage float16] [--index auto]

The folder is written as the chapter of `mmsearch export` describes it (contents.jsonl, items.jsonl, vectors.npy), by
this program and not by mmsearch; vectors and queries are those of `tests.benchmarks.corpus`. The import runs in a
process of its own, and so does each use of the library: its first answer, queries, a commit of a thousand files.
Prints JSON.
"""

import argparse
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

import mmsearch
from mmsearch.catalog import layouts
from mmsearch.core import registry
from tests.benchmarks import corpus, peer_systems

K = 10
QUERIES = 100
AT_ONCE = 20_000


def write_folder(folder: Path, made: corpus.Corpus, storage: str) -> None:
    """A folder that `mmsearch import` takes in."""
    space, count = registry.load_part("spaces", "starter")(), len(made.vectors)
    folder.mkdir(parents=True)
    with (folder / "contents.jsonl").open("w") as contents, (folder / "items.jsonl").open("w") as items:
        for n in range(count):
            facts = {"width": 4000, "height": 3000, "format": "JPEG", "make": "NIKON", "model": f"D{n % 90}"}
            line = {"sha256": f"{n:064x}", "modality": "image", "segments": [{"modality": "image"}], "metadata": facts}
            contents.write(json.dumps(line | {"tags": [], "given": [], "meta": {}}) + "\n")
            place = {"path": str(corpus.path(n)), "root": "/home/someone/Pictures", "sha256": f"{n:064x}"}
            items.write(json.dumps(place | {"size": int(made.places[n]), "mtime_ns": 1}) + "\n")
    rows = np.lib.format.open_memmap(folder / "vectors.npy", "w+", storage, made.vectors.shape)
    for start in range(0, count, AT_ONCE):
        rows[start : start + AT_ONCE] = made.vectors[start : start + AT_ONCE]
    rows.flush()
    names = ("contents.jsonl", "items.jsonl", "vectors.npy")
    described = {"name": space.name, "target": corpus.TARGET, "dim": space.dim, "fingerprint": space.fingerprint}
    manifest = {
        "format": 1, "space": described | {"layout": layouts.layout_of(space), "storage": storage},
        "counts": {"items": count, "contents": count, "segments": count}, "spaces": [], "trained": [], "serving": None,
        "files": {name: _sha256(folder / name) for name in names},
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def taken_in(folder: Path, library: Path, given: argparse.Namespace) -> dict[str, float]:
    """Seconds and CPU seconds of the import, the most memory that it had, and what lies on the disk then."""
    environment = {**os.environ, "MMSEARCH_STORAGE": given.storage, "MMSEARCH_INDEX": given.index}
    command = [sys.executable, "-m", "mmsearch", "import", str(folder), "--library", str(library), "--space", "starter"]
    start = perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    size = sum(path.stat().st_size for path in library.rglob("*") if path.is_file())
    return {
        "import s": perf_counter() - start, "import CPU s": spent.ru_utime + spent.ru_stime,
        "import peak MB": spent.ru_maxrss / 1024, "disk MB": size / 1e6,
    }  # fmt: skip


def use(library: Path, given: argparse.Namespace) -> dict[str, Any]:
    """What the first answers, further ones, and a commit of a thousand files take."""
    made = corpus.load(given.shared, given.work / "corpus", given.count, QUERIES)
    queries = [peer_systems.stored(query) for query in made.queries]
    start, before = perf_counter(), process_time()
    with mmsearch.open(library, space="starter", index=given.index) as opened:
        opened.search(queries[0], K)
        told: dict[str, Any] = {"open and first answer s": perf_counter() - start}
        told["open and first answer CPU s"] = process_time() - before
        told["index"] = [f"{one.preset}, effort {one.search_effort}" for one in opened.index.status()]
        truth = corpus.exact(made.vectors, made.queries, K) + 1
        indexes = opened._context.indexes()
        key = indexes.refresh()[0]
        for name, ask in (
            ("index", lambda n: indexes.search(made.queries[n : n + 1], K)[0][key].ids[0].tolist()),
            ("search", lambda n: [hit.segment_id for hit in opened.search(queries[n], K)]),
        ):
            found: list[list[int]] = []
            spent: list[float] = []
            for _ in range(2):
                found = [_timed(ask, n, spent) for n in range(len(queries))]
            told[f"{name} p50 ms"] = 1e3 * float(np.median(spent[len(queries) :]))
            hits = [len(set(one) & set(right.tolist())) for one, right in zip(found, truth, strict=True)]
            told[f"{name} recall"] = sum(hits) / (K * len(hits))
        told |= _changed(opened, made, queries[0], given.count)
    told["peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return told


def _timed(ask: Any, number: int, spent: list[float]) -> list[int]:
    start = perf_counter()
    found: list[int] = ask(number)
    spent.append(perf_counter() - start)
    return found


def _changed(library: Any, made: corpus.Corpus, query: Any, count: int) -> dict[str, float]:
    context = library._context
    fresh = corpus.Corpus(made.vectors[: corpus.BATCH], made.queries, made.places[: corpus.BATCH])
    (batch,) = corpus.batches(fresh, count)
    start = perf_counter()
    context.catalog().commit(batch, context.embedding()[1].id)
    committed = perf_counter()
    library.search(query, K)
    return {"commit of 1,000 files s": committed - start, "first answer after it s": perf_counter() - committed}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="The corpus is kept here; libraries are removed.")
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--storage", default="float16")
    parser.add_argument("--index", default="auto")
    parser.add_argument("--use", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.use:
        sys.stdout.write(json.dumps(use(given.use, given)))
        return 0
    (given.work / "corpus").mkdir(parents=True, exist_ok=True)
    made = corpus.load(given.shared, given.work / "corpus", given.count, QUERIES)
    folder, library = given.work / "exported", given.work / "library"
    for place in (folder, library):
        shutil.rmtree(place, ignore_errors=True)
    try:
        write_folder(folder, made, given.storage)
        told: dict[str, Any] = {"count": given.count, "storage": given.storage, **taken_in(folder, library, given)}
        command = [sys.executable, "-m", "tests.benchmarks.bulk", *arguments, "--use", str(library)]
        told |= json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    finally:
        for place in (folder, library):
            shutil.rmtree(place, ignore_errors=True)
    sys.stdout.write(json.dumps(told, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
