"""Whether two commits give the same answers: `python -m tests.benchmarks.same_answers --old CHECKOUT [--queries 1000]`.

Random queries with random options, over random libraries made by the old commit and then copied: words, names,
phrases, stored vectors, mixes; kinds, filters, modes, pages, folding, moments. Each commit answers in a process of its
own; a line a query, all of a hit's fields to the last bit, or the error. The first lines that differ are printed.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from tests.tiny import DIM

HERE = Path(__file__).resolve().parents[2]
WORDS = tuple(
    ["red", "green", "boat", "dog", "dogs", "Anna's", "beach", "rain", "IMG", "a", "the", "holidays", "17", "3", "b*"]
)
FILTERS = (
    "size < 40", "size >= 100 or modality = text", "name contains 'o'", "path glob '*/anna/*'", "tag = red",
    "not tag = red and width > 30", "modality in (image, video)", "camera = D3", "taken > 2001", "title is missing",
    "meta.stars >= 3", "folder = '/media/anna'", "duration > 2 and duration < 8", "modality != image",
)  # fmt: skip
KINDS = ("image", "audio", "video", "text")


def filled(folder: Path, chance: Random, count: int) -> None:
    """A library of items of all kinds, with words, tags, groups, copies and several segments."""
    from sqlalchemy import insert

    import mmsearch
    from mmsearch.catalog import Batch, Catalog, NewContent, Placement, layouts
    from mmsearch.catalog.database import writing
    from mmsearch.catalog.tables import Tag
    from mmsearch.core.version import VERSION
    from mmsearch.types import Span
    from tests import tiny

    folder.mkdir()
    space = tiny.space()
    catalog = Catalog.open(folder, VERSION, create=True)
    record = catalog.add_space(space.name, "tests.tiny:space", space.dim, space.fingerprint, layouts.layout_of(space))
    rows = np.random.default_rng(chance.randrange(2**32)).normal(size=(8 * count, DIM)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    endings = {"image": "jpg", "audio": "ogg", "video": "mp4", "text": "txt"}
    made = []
    for first in range(0, count, 100):
        batch = Batch()
        for n in range(first, min(first + 100, count)):
            kind = chance.choice(KINDS)
            kinds = ["image", "audio", "text"] if kind == "video" else [kind]
            cut = [one for one in kinds for _ in range(chance.choice((1, 1, 2, 3)) if kind != "image" else 1)]
            texts = [" ".join(chance.choices(WORDS, k=6)) if one == "text" else None for one in cut]
            spans = [Span(float(i), i + 1.0, text=text) for i, text in enumerate(texts)]
            facts: dict[str, Any] = {"width": n % 64, "duration": float(n % 11), "model": f"D{n % 5}"}
            facts |= {"taken": f"20{n % 10:02}-01-01T00:00:00", "title": chance.choice(WORDS)}
            vectors = rows[[chance.randrange(len(rows)) if chance.random() < 0.9 else 0 for _ in cut]]
            batch.contents.append(NewContent(f"{n:064x}", kind, facts, cut, spans, vectors))
            for _ in range(chance.choice((1, 1, 1, 2))):
                name = f"{chance.choice(WORDS).strip('*')} {chance.choice(WORDS).strip('*')} {n // 2}.{endings[kind]}"
                path = f"/media/{chance.choice(('anna', 'holidays', ''))}/{chance.randrange(3)}-{name}"
                if path not in made:
                    made.append(path)
                    batch.placements.append(Placement(path.encode(), b"/media", f"{n:064x}", n, n * 10**9))
        catalog.commit(batch, record.id)
    with writing(catalog._engine) as connection:
        connection.execute(insert(Tag), [{"content_id": n + 1, "tag": WORDS[n % 3]} for n in range(0, count, 4)])
    catalog.annotate([n + 1 for n in range(0, count, 7)], meta={"stars": 4})
    catalog.close()
    if count % 200:
        return  # one without backgrounds, which is ranked by places
    with mmsearch.open(folder, space="tests.tiny:space") as library, library._context.writing():
        library._context.calibrate(*library._context.embedding())


def asked(chance: Random, items: int) -> dict[str, Any]:
    """One query and its options, as JSON."""
    words = " ".join(chance.choices(WORDS, k=chance.randint(1, 4)))
    words = f'"{words}"' if chance.random() < 0.15 else words
    kind = chance.random()
    query: Any = words if kind < 0.6 else {"like": 1 + chance.randrange(items)}
    if kind > 0.85:
        query = {"vector": [chance.gauss(0, 1) for _ in range(DIM)]}
    options: dict[str, Any] = {"k": chance.choice((1, 3, 10, 10, 50)), "offset": chance.choice((0, 0, 0, 5, 40))}
    if chance.random() < 0.35:
        options["modalities"] = chance.sample(KINDS, chance.randint(1, 3))
    if chance.random() < 0.5:
        options["filter"] = chance.choice(FILTERS)
    options["dedup"] = chance.random() < 0.7
    mode = chance.choice(("hybrid", "hybrid", "vector", "keyword")) if isinstance(query, str) else "hybrid"
    options["mode"] = mode
    options["moments"] = mode != "keyword" and chance.random() < 0.2
    return {"query": query, "options": options}


def answer(folder: Path, seed: int, queries: int, items: int) -> None:
    """Print a line of JSON for each query over the library."""
    import mmsearch
    from mmsearch.errors import MmsearchError
    from mmsearch.types import Query, QueryPart, StoredVector

    chance = Random(seed)
    with mmsearch.open(folder, space="tests.tiny:space", similarity={"image": 0.99, "audio": 0.99}) as library:
        for _ in range(queries):
            ask = asked(chance, items)
            query, options = ask["query"], ask["options"]
            if isinstance(query, dict) and "vector" in query:
                row = np.array(query["vector"], np.float32)
                stored = StoredVector(0, Path("/nothing"), row / np.linalg.norm(row))
                query = Query(mixed=(QueryPart("image", stored),))
            elif isinstance(query, dict):
                query = Query(like=query["like"])
            try:
                found: Any = [asdict(hit) for hit in library.search(query, **options)]
            except MmsearchError as error:
                found = [type(error).__name__, error.message, error.hint]
            print(json.dumps([ask, found], default=repr))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--old", type=Path, help="A checkout of the commit to compare with.")
    parser.add_argument("--queries", type=int, default=1000, help="In all.")
    parser.add_argument("--libraries", type=int, default=10)
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fill", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.fill or given.answer:
        if given.fill:
            filled(given.fill, Random(given.seed), given.items)
        else:
            answer(given.answer, given.seed, given.queries, given.items)
        return 0
    if given.old is None:
        parser.error("name the other commit's checkout: --old CHECKOUT")
    different = 0
    with tempfile.TemporaryDirectory() as place:
        for number in range(given.libraries):
            items = given.items * (16 if number == 0 else 1) + 100 * (number % 2)
            shared = ["--seed", str(given.seed + number), "--items", str(items)]
            shared += ["--queries", str(given.queries // given.libraries)]
            first, second = Path(place) / f"{number}-old", Path(place) / f"{number}-new"
            _run(given.old, ["--fill", str(first), *shared])
            shutil.copytree(first, second)
            old = _run(given.old, ["--answer", str(first), *shared]).splitlines()
            new = _run(HERE, ["--answer", str(second), *shared]).splitlines()
            differing = [(one, other) for one, other in zip(old, new, strict=True) if one != other]
            hits = sum(len(json.loads(line)[1]) for line in new)
            told = f"{len(new)} queries, {hits} hits, {len(differing)} differ"
            print(f"library {number} of {items} items: {told}", flush=True)
            for one, other in differing[:2]:
                print(f"old {one[:2000]}\nnew {other[:2000]}")
            different += len(differing)
    return int(different > 0)


def _run(checkout: Path, arguments: list[str]) -> str:
    """What this script prints when the code of a checkout runs it."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    script = checkout / "tests" / "benchmarks" / "same_answers.py"
    made = not script.exists()
    if made:
        shutil.copy(__file__, script)
    try:
        command = [sys.executable, "-m", "tests.benchmarks.same_answers", *arguments]
        done = subprocess.run(command, cwd=checkout, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout
    finally:
        if made:
            script.unlink()


if __name__ == "__main__":
    raise SystemExit(main())
