"""How well pictures and sounds of two spaces meet that only words connect, against one space that has both.

    python -m tests.benchmarks.connection --shared ../shared [--texts FILE]

writes CONNECTION.md beside this file. Needs the package wordllama (`pip install 'mmsearch[bench]'`); see `heard`.
"""

import argparse
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import mmsearch
from mmsearch.core import registry
from mmsearch.encoders import connection
from mmsearch.evaluate import metrics
from mmsearch.types import Space
from tests.benchmarks.quality import Items, Relevant, Scores, embed, embed_words, ranked, rows, similarity

HEARD = "tests.benchmarks.heard:space"
SEEDS = (0, 1, 2)
REPORT = Path(__file__).with_name("CONNECTION.md")
HEAD = """# Pictures and sounds that only words connect

`python -m tests.benchmarks.connection --shared DIR` wrote this. One space has words and sounds (wordllama's 256
dimensions, `heard.py`), the other words and pictures (starter); `mmsearch connect` learned from words alone, with the
packaged texts. The 48 pairs are stamps with their sounds. "Direct" is starter, which has both in one space.

| R@1 / 5 / 10, % | picture to sound | sound to picture | seconds |
|---|---|---|---|
"""


def told(scores: Scores, relevant: Relevant) -> str:
    found = ranked(scores, relevant)
    return " / ".join(f"{100 * np.mean([metrics.success_at(ranks, k) for ranks in found]):.1f}" for k in (1, 5, 10))


def pairs(shared: Path) -> tuple[list[Path], list[Path], Relevant]:
    dev = shared / "data" / "dev"
    links = rows(dev / "queries" / "image_audio_pairs.tsv")
    pictures, sounds = (sorted({row[kind] for row in links}) for kind in ("image", "audio"))
    relevant = np.zeros((len(pictures), len(sounds)), np.bool_)
    for row in links:
        relevant[pictures.index(row["image"]), sounds.index(row["audio"])] = True
    return [dev / name for name in pictures], [dev / name for name in sounds], relevant


def crossed(space: Space, pictures: Sequence[Path], sounds: Sequence[Path]) -> tuple[Items, Items]:
    return embed(space, "image", pictures), embed(space, "audio", sounds)


def lines(shared: Path, texts: Sequence[str] | None) -> Iterator[str]:
    pictures, sounds, relevant = pairs(shared)
    starter, heard = (
        registry.load_part("spaces", "starter")("cpu", "fp32"),
        registry.load_part("spaces", HEARD)("cpu", "fp32"),
    )
    direct = similarity(*crossed(starter, pictures, sounds))
    yield f"| direct: starter | {told(direct, relevant)} | {told(direct.T, relevant.T)} | |"
    tables = []
    for seed in SEEDS:
        start = time.perf_counter()
        made = mmsearch.connect(HEARD, "starter", f"seed-{seed}", texts, seed=seed)
        seconds = time.perf_counter() - start
        joined = registry.load_part("spaces", made.space)("cpu", "fp32")
        found = similarity(*crossed(joined, pictures, sounds))
        tables.append(found)
        yield f"| connected, seed {seed} | {told(found, relevant)} | {told(found.T, relevant.T)} | {seconds:.0f} |"
    again = mmsearch.connect(HEARD, "starter", "again", texts, seed=SEEDS[0])
    same = _digest(again.path) == _digest(connection.connection_folder(f"seed-{SEEDS[0]}"))
    chance = [100 * k / len(sounds) for k in (1, 5, 10)]
    yield f"| chance | {' / '.join(f'{one:.1f}' for one in chance)} | the same | |"
    yield ""
    yield f"Learned again with seed {SEEDS[0]}: {'the same bytes' if same else 'OTHER BYTES'}."
    words = ["a dog barking", "rain", "a church bell", "a steam train", "people laughing"]
    alone, both = (
        similarity(embed_words(one, words), embed(one, "audio", sounds)).argsort(axis=1) for one in (heard, joined)
    )
    like = "exactly as" if np.array_equal(alone, both) else "NOT AS"
    yield f"Words order the sounds {like} the space of sounds does by itself."


def _digest(folder: Path) -> str:
    return hashlib.sha256((folder / connection.FILE).read_bytes()).hexdigest()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--texts", type=Path)
    options = parser.parse_args(arguments)
    texts = options.texts.read_text("utf-8").splitlines() if options.texts else None
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MMSEARCH_MODELS"] = folder
        report = HEAD + "\n".join(lines(options.shared, texts)) + "\n"
    REPORT.write_text(report, "utf-8")
    sys.stdout.write(report)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
