"""Index presets: what each takes, and how much of the truth it finds, with scores by its codes and by true vectors.

    python -m tests.benchmarks.presets --shared ../shared --cache DIR [--pictures 50000] [--sounds 20000]

writes a table of pictures, asked for by words and by pictures, and one of sounds, asked for by words and by sounds;
into DIR/presets.md, too. A preset searches with the least effort that finds 95 % of the ten nearest with both kinds of
query; time is the median of one query at a time in one thread, scores by true vectors included, which here lie in
memory: from a library they come out of the catalog. CPU seconds are those of building.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmsearch.calibration import neutral
from mmsearch.core import registry
from mmsearch.types import Ids, Vectors
from mmsearch.vectors import ann, presets
from mmsearch.vectors.ann import AnnIndex
from mmsearch.vectors.layered import LayeredIndex
from tests.benchmarks import corpus
from tests.benchmarks.embedded import Embedder

TARGET = 0.95
TEN = 10
QUERIES = 200
"""Of each kind."""

CHUNK = 8192


@dataclass(frozen=True)
class List:
    """Vectors and queries of two kinds."""

    name: str
    vectors: Vectors
    queries: Mapping[str, Vectors]

    @property
    def ids(self) -> Ids:
        return np.arange(len(self.vectors), dtype=np.int64)


def pictures(shared: Path, cache: Path, count: int) -> List:
    made = corpus.load(shared, cache, count, 2 * QUERIES)
    return List("pictures", np.array(made.vectors), {"image": made.queries[::2], "text": made.queries[1::2]})


def sounds(shared: Path, cache: Path, count: int) -> List:
    """Vectors of ESC-10's windows, moved along differences of their own neighbours; queries by neutral words, and by
    windows that took no part."""
    space = registry.load_part("spaces", "starter")()
    files = sorted((shared / "data" / "dev" / "esc10").glob("*.ogg"))
    windows = Embedder(space, cache).files("audio", files).vectors
    asked, base = windows[::5], np.delete(windows, np.s_[::5], axis=0)
    cosines = base @ base.T
    np.fill_diagonal(cosines, -1)
    near = np.argsort(-cosines, axis=1)[:, : corpus.NEAR]
    words = neutral.neutral_vectors(space)["text"][:QUERIES]
    return List(
        "sounds", corpus._moved(base, near, count, np.random.default_rng(0)), {"audio": asked[:QUERIES], "text": words}
    )


def _chunks(listed: List) -> Iterator[tuple[Ids, Vectors]]:
    for start in range(0, len(listed.vectors), CHUNK):
        yield listed.ids[start : start + CHUNK], listed.vectors[start : start + CHUNK]


def _recall(found: Ids, truth: Ids) -> float:
    return float(np.mean([len(set(one) & set(other)) / TEN for one, other in zip(found, truth, strict=True)]))


def _rescored(made: AnnIndex, listed: List) -> Callable[[Vectors], Ids]:
    index = LayeredIndex(made.dim, made)
    return lambda queries: index.search(queries, TEN, fetch=lambda ids: listed.vectors[ids]).ids


def row(preset: presets.IndexPreset, listed: List, truth: Mapping[str, Ids]) -> list[str]:
    start, dim = time.process_time(), listed.vectors.shape[1]
    some = np.unique(
        np.linspace(0, len(listed.vectors) - 1, ann.sample_size(preset, len(listed.vectors))).astype(np.int64)
    )
    made = ann.build_ann(preset, listed.vectors[some], len(listed.vectors), _chunks(listed), TARGET)
    spent = time.process_time() - start
    for effort in preset.search_efforts:
        tried = made.with_facts(search_effort=effort)
        recall = {kind: _recall(_rescored(tried, listed)(rows), truth[kind]) for kind, rows in listed.queries.items()}
        if min(recall.values()) >= TARGET:
            break
    by_codes = {
        kind: _recall(tried.propose(rows, TEN, tried.facts.search_effort), truth[kind])
        for kind, rows in listed.queries.items()
    }
    search, times = _rescored(tried, listed), []
    for query in np.concatenate(list(listed.queries.values())):
        began = time.perf_counter()
        search(query[np.newaxis])
        times.append(time.perf_counter() - began)
    shares = [f"{found[kind]:.3f}" for kind in listed.queries for found in (recall, by_codes)]
    size = preset.bytes_per_vector(dim)
    return [
        preset.name,
        str(size),
        f"{spent:.0f}",
        str(tried.facts.search_effort),
        f"{np.median(times) * 1e3:.2f}",
        *shares,
    ]


def table(listed: List, chosen: Sequence[presets.IndexPreset]) -> Iterator[str]:
    truth = {kind: corpus.exact(listed.vectors, rows, TEN) for kind, rows in listed.queries.items()}
    kinds = [f"{kind}: {way}" for kind in listed.queries for way in ("true scores", "by codes")]
    columns = ["preset", "bytes a vector", "CPU s to build", "effort", "ms a query", *kinds]
    yield f"\n{len(listed.vectors):,} {listed.name}; recall@10 of queries by\n"
    yield "| " + " | ".join(columns) + " |"
    yield "|---" * len(columns) + "|"
    for preset in chosen:
        yield "| " + " | ".join(row(preset, listed, truth)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=50_000)
    parser.add_argument("--sounds", type=int, default=20_000)
    parser.add_argument("--only", action="append", help="A preset's name.")
    given = parser.parse_args()
    chosen = [one for one in presets.PRESETS if not one.exact and (not given.only or one.name in given.only)]
    lists = [(pictures, given.pictures), (sounds, given.sounds)]
    with (given.cache / "presets.md").open("w", encoding="utf-8") as file:
        for make, count in lists:
            for line in table(make(given.shared, given.cache, count), chosen) if count else ():
                print(line, flush=True)
                print(line, file=file, flush=True)


if __name__ == "__main__":
    main()
