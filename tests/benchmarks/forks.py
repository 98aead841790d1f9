"""What forked children of a process that has searched answer, with the real weights of the starter.

    python -m tests.benchmarks.forks [--queries 10000] [--children 8]

The parent asks by words and by text files, and goes on asking in two threads while it forks. Each child asks by words
and by text files in turns; every answer is compared with the parent's of before. A child of a parent that never ran
torch asks by a picture, and children of one that did must be refused at once. Prints JSON; its exit code is 1 if
anything is not as README says.
"""

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import threading
import warnings
from collections import Counter
from pathlib import Path
from time import perf_counter
from typing import Any

import mmsearch
from mmsearch.errors import Forked
from mmsearch.library import Library

SAMPLES = Path(mmsearch.__file__).parent / "resources" / "samples"
PICTURE = SAMPLES / "photos" / "dog-at-a-laptop.jpg"
WORDS = (
    "a dog", "bread rising overnight", "birds by the water", "tools in a shop", "a storm at sea", "a leaking pump",
    "pizza on a table", "how to bake with rye",
)  # fmt: skip
FORK = multiprocessing.get_context("fork")
PATIENCE_S = 600.0


def asked(library: Library, folder: Path, number: int) -> str:
    """The first hit's name, of words or of a text file with the same words, in turns."""
    word = number // 2 % len(WORDS)
    query = library.interpret(str(folder / f"{word}.txt")) if number % 2 else WORDS[word]
    return library.search(query, k=1)[0].path.name


def by_picture(library: Library) -> str:
    return library.search(mmsearch.Query(image=PICTURE), k=1)[0].path.name


def words_in_child(library: Library, folder: Path, right: list[str], queries: int, pipe: Any) -> None:
    counts: Counter[str] = Counter()
    for number in range(queries):
        try:
            found = asked(library, folder, number)
        except Exception as error:
            counts[f"error: {error!r}"[:200]] += 1
        else:
            counts["right" if found == right[number % len(right)] else "wrong"] += 1
    pipe.send(counts)


def picture_in_child(library: Library, pipe: Any) -> None:
    start = perf_counter()
    try:
        said = by_picture(library)
    except Forked as error:
        said = f"refused: {bool(error.hint)}"
    pipe.send((said, perf_counter() - start))


def in_children(children: int, work: Any, *arguments: Any) -> list[Any]:
    """What each child sent; None for one that hangs."""
    pipes, processes = [], []
    for _ in range(children):
        ours, theirs = FORK.Pipe()
        process = FORK.Process(target=work, args=(*arguments, theirs))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        pipes.append(ours)
        processes.append(process)
    said = [pipe.recv() if pipe.poll(PATIENCE_S) else None for pipe in pipes]
    for process in processes:
        process.join(1)
        process.kill()
    return said


def measured(place: Path, queries: int, children: int) -> dict[str, Any]:
    folder = place / "queries"
    folder.mkdir()
    for number, words in enumerate(WORDS):
        (folder / f"{number}.txt").write_text(words)
    # In another process: an ingest runs torch.
    command = [sys.executable, "-m", "mmsearch", "ingest", str(SAMPLES / "notes"), str(SAMPLES / "photos")]
    subprocess.run([*command, "--library", str(place / "library"), "--space", "starter"], check=True)
    with mmsearch.open(place / "library") as library:
        right = [asked(library, folder, number) for number in range(2 * len(WORDS))]
        pictures = in_children(1, picture_in_child, library)
        enough = threading.Event()
        own: Counter[str] = Counter()

        def on_and_on() -> None:
            number = 0
            while not enough.is_set():
                own["right" if asked(library, folder, number) == right[number % len(right)] else "wrong"] += 1
                number += 1

        threads = [threading.Thread(target=on_and_on, daemon=True) for _ in range(2)]
        for thread in threads:
            thread.start()
        start = perf_counter()
        said = in_children(children, words_in_child, library, folder, right, queries // children)
        seconds = perf_counter() - start
        enough.set()
        for thread in threads:
            thread.join()
        hangs = sum(one is None for one in said)
        counts = sum((one for one in said if one is not None), Counter[str]())
        before = by_picture(library)
        refused = in_children(children, picture_in_child, library)
    return {
        "children": children,
        "asked": queries // children * children,
        "answers": dict(counts),
        "hangs": hangs,
        "seconds": round(seconds, 1),
        "the parent meanwhile": dict(own),
        "by a picture, torch not run before": [one and [one[0] == before, round(one[1], 2)] for one in pictures],
        "refused where torch ran": [one and [one[0], round(one[1], 3)] for one in refused],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--children", type=int, default=8)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found = measured(Path(place), chosen.queries, chosen.children)
    print(json.dumps(found, indent=1))
    answers = found["answers"]
    fine = answers.get("right", 0) >= 0.999 * found["asked"] and not answers.get("wrong") and not found["hangs"]
    fine = fine and found["by a picture, torch not run before"][0][0] is True
    sys.exit(not (fine and all(one and one[0] == "refused: True" for one in found["refused where torch ran"])))


if __name__ == "__main__":
    main()
