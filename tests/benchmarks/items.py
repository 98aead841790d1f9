"""Items one by one, listed and counted; and many searches at once against a loop.

    python -m tests.benchmarks.items [--items 100000] [--queries 256] [--repeat 3] [--folder KEEP]

A library of one-picture items, made without files, of which one in ten has a tag, own metadata, or both. `search_many`
and a loop of `search` ask the same words in turns; it is an error where their answers differ.
"""

import argparse
import resource
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

import mmsearch
from mmsearch.catalog.database import writing
from mmsearch.catalog.meta import set_meta
from mmsearch.catalog.tags import add_tags
from mmsearch.library import Library
from mmsearch.types import Hit
from tests.benchmarks import corpus
from tests.benchmarks.speed import clustered

DIM = 384

THINGS = ("dog", "beach", "train", "cup", "boat", "street", "tree", "kite", "bread", "lamp", "tower", "snow")


def fill(folder: Path, count: int) -> None:
    """Contents n + 1; every tenth has a tag, every tenth and the next one a number."""
    folder.mkdir(parents=True, exist_ok=True)
    vectors = clustered(count, DIM)
    corpus.fill(folder, corpus.Corpus(vectors, vectors[:1], np.arange(count)))
    with mmsearch.open(folder) as library:
        tenth = list(range(1, count + 1, 10))
        with writing(library._context.catalog()._engine) as connection:
            add_tags(connection, tenth, ["tenth"])
            for value in range(100):
                set_meta(
                    connection, [content + shift for content in tenth[value::100] for shift in (0, 1)], {"n": value}
                )
        library.search("anything")  # publishes the index


def seconds(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return perf_counter() - start


def looked_at(library: Library, count: int, repeat: int) -> None:
    ids = np.random.default_rng(1).integers(1, count, 300).tolist()
    paths = [corpus.path(number) for number in ids]
    known: dict[str, list[Any]] = {"id": ids, "path": paths}
    for name, those in known.items():
        library.get(those[0])
        print(f"get by {name}: p50 {1e3 * median(seconds(lambda one=one: library.get(one)) for one in those):.2f} ms")  # type: ignore[misc]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    asked: dict[str, Any] = {
        "everything": None, "tag = tenth": "tag = tenth", "meta.n >= 50": "meta.n >= 50",
        "not meta.n = 7 and width > 1000": "not meta.n = 7 and width > 1000", "meta.n = 7": "meta.n = 7",
    }  # fmt: skip
    for name, where in asked.items():
        counted = [seconds(lambda where=where: library.count(where)) for _ in range(repeat)]  # type: ignore[misc]
        listed = [seconds(lambda where=where: sum(1 for _ in library.items(where))) for _ in range(repeat)]  # type: ignore[misc]
        found = library.count(where)
        first = [seconds(lambda where=where: next(iter(library.items(where)))) for _ in range(repeat)]  # type: ignore[misc]
        print(
            f"{name}: {found} items, count {1e3 * median(counted):.0f} ms, all {median(listed):.2f} s "
            f"({1e6 * median(listed) / max(found, 1):.0f} us each), the first {1e3 * median(first):.1f} ms"
        )
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"memory grew by {grown / 1024:.0f} MB while all were listed")


def words(count: int) -> list[str]:
    return [f"a {THINGS[n % 12]} beside a {THINGS[n // 12 % 12]} number {n}" for n in range(count)]


def same(one: Sequence[Hit], other: Sequence[Hit]) -> bool:
    """The same files in the same order; a batch may add up float32 in another order."""
    return [hit.path for hit in one] == [hit.path for hit in other] and np.allclose(
        [hit.cosine or 0 for hit in one], [hit.cosine or 0 for hit in other], atol=1e-5
    )


def many(library: Library, queries: Sequence[str], repeat: int, **options: Any) -> bool:
    library.search_many(queries[:2], **options), library.search(queries[0], **options)
    batched, looped, equal = [], [], True
    for _ in range(repeat):
        start = perf_counter()
        together = library.search_many(queries, **options)
        middle = perf_counter()
        one_by_one = [library.search(query, **options) for query in queries]
        batched.append(middle - start)
        looped.append(perf_counter() - middle)
        equal = equal and all(same(a, b) for a, b in zip(together, one_by_one, strict=True))
    each = 1e3 / len(queries)
    print(
        f"{len(queries)} searches {options}: together {each * median(batched):.1f} ms each, in a loop "
        f"{each * median(looped):.1f} ms each, "
        f"ratio {median(a / b for a, b in zip(batched, looped, strict=True)):.2f}, "
        f"answers {'the same' if equal else 'DIFFER'}"
    )
    return equal


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=256)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        folder = asked.folder or Path(place) / "library"
        if not (folder / "catalog.sqlite").exists():
            fill(folder, asked.items)
        with mmsearch.open(folder) as library:
            looked_at(library, asked.items, asked.repeat)
            queries = words(asked.queries)
            equal = [
                many(library, queries, asked.repeat, **options)
                for options in ({"mode": "vector", "dedup": False}, {"dedup": False}, {}, {"filter": "tag = tenth"})
            ]
    return 0 if all(equal) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
