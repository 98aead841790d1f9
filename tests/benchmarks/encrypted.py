"""What encryption costs, from end to end: the same ingests and searches of a plain and of an encrypted library.

    python -m tests.benchmarks.encrypted --photos DIR --captions FILE [--count 100] [--texts 400] [--turns 3]

Photos of a folder and captions as text files (the last column of a TSV file) are taken in by `starter`, in turns by a
plain and by an encrypted library, each time by a process of its own; then it searches for other captions, and another
process opens the library and searches once. Medians of CPU (with decode workers) and wall; their ratio is speed.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import mmsearch

KINDS = ("plain", "encrypted")
SEARCHES = 100


def cpu() -> float:
    """Seconds of this process and of those that it ended."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def lay(folder: Path, photos: Path, captions: Path, count: int, texts: int) -> list[str]:
    """Fill a folder. Returns what to search for."""
    folder.mkdir()
    for path in sorted(photos.glob("*.jpg"))[:count]:
        (folder / path.name).symlink_to(path)
    lines = [line.rpartition("\t")[2] for line in captions.read_text("utf-8").splitlines()[1:]]
    for number, line in enumerate(lines[:texts]):
        (folder / f"{number}.txt").write_text(line + "\n", "utf-8")
    return lines[texts : texts + SEARCHES]


def ingested(kind: str, library: Path, media: Path, queries: list[str]) -> dict[str, float]:
    """Of an ingest, and of searches in the same process, in seconds."""
    secret = {"encrypt": f"file:{library}.key"} if kind == "encrypted" else {}
    found: dict[str, float] = {}
    with mmsearch.open(library, speech="off", ocr="off", **secret) as opened:
        began, used = perf_counter(), cpu()
        report = opened.ingest(media, follow_links=True)
        opened.close()
        found["ingest wall"], found["ingest cpu"] = perf_counter() - began, cpu() - used
        assert not report.failed, report
        for query in queries[:10]:
            opened.search(query, 10)
        began, used = perf_counter(), cpu()
        for query in queries:
            opened.search(query, 10)
        found["search wall"], found["search cpu"] = perf_counter() - began, cpu() - used
    return found


def reopened(library: Path, query: str) -> dict[str, float]:
    """Of opening a library and its first search."""
    began, used = perf_counter(), cpu()
    with mmsearch.open(library) as opened:
        opened.search(query, 10)
    return {"first search wall": perf_counter() - began, "first search cpu": cpu() - used}


def in_a_process(*arguments: str) -> dict[str, float]:
    """What a part of this module tells."""
    done = subprocess.run([sys.executable, "-m", __spec__.name, *arguments], stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout.decode().splitlines()[-1]))


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--captions", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--texts", type=int, default=400)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.part:
        what, *rest = asked.part
        if what == "first":
            print(json.dumps(reopened(Path(rest[0]), rest[1])))
        else:
            kind, library, media, queries = rest
            print(json.dumps(ingested(kind, Path(library), Path(media), json.loads(Path(queries).read_text("utf-8")))))
        return
    with tempfile.TemporaryDirectory(prefix="mmsearch-encrypted-") as made:
        folder = Path(made)
        queries = lay(folder / "media", asked.photos, asked.captions, asked.count, asked.texts)
        (folder / "queries.json").write_text(json.dumps(queries), "utf-8")
        times: dict[str, dict[str, list[float]]] = {kind: {} for kind in KINDS}
        for turn in range(asked.turns):
            for kind in KINDS if turn % 2 == 0 else KINDS[::-1]:
                library = folder / f"{kind}-{turn}"
                place = map(str, (library, folder / "media", folder / "queries.json"))
                told = in_a_process("--part", "ingest", kind, *place)
                told |= in_a_process("--part", "first", str(library), queries[0])
                for name, value in told.items():
                    times[kind].setdefault(name, []).append(value)
    print("| | plain s | encrypted s | speed |\n|---|---|---|---|")
    for name in times["plain"]:
        plain, encrypted = (median(times[kind][name]) for kind in KINDS)
        print(f"| {name} | {plain:.2f} | {encrypted:.2f} | {plain / encrypted:.2f} |")


if __name__ == "__main__":
    main()
