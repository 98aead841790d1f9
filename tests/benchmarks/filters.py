"""Filters: recall against brute force and time against the unfiltered query, in one run.

    python -m tests.benchmarks.filters [--items 100000] [--queries 20] [--folder KEEP]

A library of one-segment items, made through `Catalog.commit`, is asked with filters that 1, 0.1, 0.01 and 0.0001 of
the items match: by a number, by a date, by a path, by a tag, and by several of them. Each query is what
`mmsearch.search.vector` does beyond embedding: the nearest segments that match, as paths. "first": the
first query with a filter after a commit, which resolves it, by the clock and of the CPU. Vectors are searched as the
product itself chooses for so many, index and effort; it is an error where recall under a filter is below the setting's.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert

from mmsearch.catalog import Batch, Catalog, ListKey, NewContent, Placement
from mmsearch.catalog.commits import next_generation
from mmsearch.catalog.database import writing
from mmsearch.catalog.segments import resolve_segments
from mmsearch.catalog.selections import selected_segments
from mmsearch.catalog.spaces import active_space
from mmsearch.catalog.tables import Tag
from mmsearch.core.config import Settings
from mmsearch.core.filters.ast import Filter
from mmsearch.core.filters.parser import parse
from mmsearch.core.version import VERSION
from mmsearch.indexing.lists import Lists
from mmsearch.indexing.tuning import IndexTuner
from mmsearch.search.ranking import SPARE_SEGMENTS
from mmsearch.types import EncoderSpec, Prepared, Segment, Space, Span, Vectors, Windowing
from tests.benchmarks.speed import clustered

DIM = 384
K = 10
RECALL = Settings().recall
QUERIES = 100
KEY = ListKey("bench", "image", "image")
SHARES = (1.0, 0.1, 0.01, 0.0001)
START = datetime(2000, 1, 1)


def fill(folder: Path, vectors: Vectors, places: NDArray[np.int64]) -> Catalog:
    """Item n has place places[n] in every order that is asked for: the first tenth by duration, date, path, tag."""
    count = len(vectors)
    catalog = Catalog.open(folder, VERSION, create=True)
    space = catalog.add_space("bench", "none", DIM, "none")
    for start in range(0, count, 5000):
        batch = Batch()
        for n in range(start, min(start + 5000, count)):
            at = int(places[n])
            facts = {
                "duration": at / 4, "width": 4000, "height": 3000, "taken": (START + timedelta(minutes=at)).isoformat(),
                "make": "NIKON", "model": f"D{at % 90}", "lens": "50mm f/1.8", "gps": [47.0 + at / count, 8.5],
                "format": "JPEG", "frames": 1,
            }  # fmt: skip
            batch.contents.append(NewContent(f"{n:064x}", "image", facts, ["image"], [Span()], vectors[n : n + 1]))
            path = f"/home/someone/Pictures/{band(at, count)}/holidays at the sea/IMG_{at:06d}.jpg"
            batch.placements.append(Placement(path.encode(), b"/home/someone/Pictures", f"{n:064x}", at, at * 10**9))
        catalog.commit(batch, space.id)
    tags = [{"content_id": n + 1, "tag": band(int(at), count)} for n, at in enumerate(places)]
    with writing(catalog._engine) as connection:
        connection.execute(insert(Tag), tags)
    return catalog


def band(at: int, count: int) -> str:
    """The narrowest share that a place belongs to."""
    return next(f"share-{share}" for share in reversed(SHARES) if at < share * count)


def asked(share: float, count: int) -> dict[str, Filter]:
    """Filters that the first `share` of all places match."""
    bands = [f"share-{other}" for other in SHARES if other <= share]
    until = (START + timedelta(minutes=share * count - 1)).isoformat()
    texts = {
        "duration": f"duration < {share * count / 4}",
        "taken": f"taken <= {until}",
        "path": " or ".join(f"path glob '*/{b}/*'" for b in bands),
        "name": f"name glob 'IMG_*' and size < {share * count}",
        "tag": f"tag in ({', '.join(bands)})",
        "mixed": f"modality = image and width >= 1000 and not camera is missing and name glob '*.jpg' "
        f"and within(46.9, 8, {47.0 + share - 0.5 / count}, 9)",
    }
    return {name: parse(text) for name, text in texts.items()}


def best(vectors: Vectors, ids: NDArray[np.int64], query: Vectors) -> list[int]:
    """Brute force: the K best of the rows with these ids (row = id - 1), in float64."""
    scores = (vectors[ids - 1].astype(np.float64) @ query[0].astype(np.float64)).astype(np.float32)
    return [int(i) for i in ids[np.lexsort((ids, -scores))[:K]]]


def answer(catalog: Catalog, indexes: Lists, query: Vectors, where: Filter | None) -> list[int]:
    near, _ = indexes.search(query, K * SPARE_SEGMENTS, filter=where)
    with catalog.reading() as snapshot:
        shown = {found.segment_id for found in resolve_segments(snapshot, near[KEY].ids[0], where)}
    return [i for i in near[KEY].ids[0].tolist() if i in shown][:K]


def timed(work: Callable[[], object]) -> float:
    start = perf_counter()
    work()
    return 1e3 * (perf_counter() - start)


def _first(catalog: Catalog, indexes: Lists, query: Vectors, where: Filter) -> tuple[float, float]:
    """Milliseconds of a filter's first query after somebody's commit, by the clock and of the CPU."""
    with writing(catalog._engine) as connection:
        next_generation(connection)
    wall, cpu = perf_counter(), process_time()
    answer(catalog, indexes, query, where)
    return 1e3 * (perf_counter() - wall), 1e3 * (process_time() - cpu)


class _NoEncoder:
    """Of a space whose vectors were made up: neutral words are vectors near none of them."""

    spec = EncoderSpec("made-up", "text", DIM, {}, "1", 64)

    def prepare(self, segment: Segment) -> Prepared:
        return np.array([len(str(segment.data))])

    def encode(self, batch: Sequence[Prepared], *, query: bool = False) -> Vectors:
        return clustered(len(batch), DIM)


def _space() -> Space:
    return Space("bench", DIM, Windowing(), {"text": _NoEncoder()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=20, help=f"Up to {QUERIES}.")
    parser.add_argument("--folder", type=Path, help="Keep the library here, or use the one that is here.")
    given = parser.parse_args()
    # As many whatever is asked, so that a library that was kept stays the one these vectors are of.
    drawn = clustered(given.items + QUERIES, DIM)
    vectors, queries = drawn[: given.items], drawn[given.items :][: given.queries]
    places = np.random.default_rng(1).permutation(given.items)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        known = (folder / "catalog.sqlite").exists()
        catalog = Catalog.open(folder, VERSION) if known else fill(folder, vectors, places)
        measure(catalog, folder, vectors, queries, places)
        catalog.close()


def measure(catalog: Catalog, folder: Path, vectors: Vectors, queries: Vectors, places: NDArray[np.int64]) -> None:
    space = catalog.read(active_space)
    assert space is not None
    indexes = Lists(catalog, folder / "indexes", space, "auto")
    answer(catalog, indexes, queries[:1], None)
    for made in IndexTuner(catalog, indexes, _space(), space, RECALL).build_outgrown():
        print(f"{made.preset}, effort {made.search_effort}, recall {dict(made.recall)}, built in {made.seconds:.0f} s")
    print(f"{len(vectors)} items, {len(queries)} queries; ms are medians; x: against the unfiltered query beside it")
    print("share   filter    recall@10  unfiltered ms  filtered ms     x  selection alone ms  first ms  of CPU")
    wrong = 0
    for share in SHARES:
        ids = np.flatnonzero(places < share * len(places)).astype(np.int64) + 1
        for name, where in asked(share, len(places)).items():
            plain, chosen, alone, hits = [], [], [], 0
            first = _first(catalog, indexes, queries[:1], where)
            for n in range(len(queries)):
                query = queries[n : n + 1]
                expected = best(vectors, ids, query)
                plain.append(timed(lambda query=query: answer(catalog, indexes, query, None)))  # type: ignore[misc]
                chosen.append(timed(lambda query=query, filter=where: answer(catalog, indexes, query, filter)))  # type: ignore[misc]
                found = answer(catalog, indexes, query, where)
                hits += len(set(found) & set(expected))
            with catalog.reading() as snapshot:
                for _ in range(3):
                    alone.append(timed(lambda where=where: selected_segments(snapshot, where, KEY)))  # type: ignore[misc]
            recall = hits / (len(queries) * min(K, len(ids)))
            wrong += recall < RECALL
            print(
                f"{share:<7g} {name:9} {recall:9.3f} {median(plain):14.1f} {median(chosen):12.1f}"
                f" {median(chosen) / median(plain):5.2f} {median(alone):19.1f} {first[0]:9.1f} {first[1]:7.1f}",
                flush=True,
            )
    if wrong:
        sys.exit(f"under {wrong} filters recall is below {RECALL}")


if __name__ == "__main__":
    main()
