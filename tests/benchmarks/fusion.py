"""What files that belong together are ranked by: `python -m tests.benchmarks.fusion --shared DIR`.

The Tux Paint stamps are laid out as bundles with numbers for names: picture and caption, and the sound where there is
one. All are in one library. A question is never a file's very content, and never the caption's text where the caption
can be found:

- names: the stamp's upstream file name as words, all of them, many next to the caption ("blackbird", "A blackbird.");
- other words: those names that have a word the caption has not ("tophat", "A top hat.");
- sound, picture, caption: of the stamps that have a sound, one of the three asks for the two others, and its kind is
  left out of what is searched.

Right is a bundle of the same group in the manifest (the same animal or thing). Without fusion files are counted, of
which up to three are the same bundle's. Keywords and folding are off. The weights are the setting's default; nothing
was tuned on these figures.
"""

import argparse
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmsearch
from mmsearch.core.config import FUSIONS
from mmsearch.library import Library
from mmsearch.types import Query

DEPTHS = (1, 5, 10)
SMALL = frozenset(["a", "an", "and", "at", "in", "of", "on", "the", "to", "with"])


@dataclass(frozen=True)
class Stamp:
    """One thing: its number, its group, and what there is of it."""

    number: str
    group: str
    name: str
    caption: str
    image: Path
    sound: Path | None


@dataclass(frozen=True)
class Question:
    value: str | Path
    group: str


def stamps(dev: Path) -> list[Stamp]:
    rows: list[dict[str, Any]] = [json.loads(line) for line in (dev / "manifest.jsonl").read_text("utf-8").splitlines()]
    sounds = {row["pair"]: dev / row["path"] for row in rows if row["modality"] == "audio" and row.get("pair")}
    pictures = sorted((row for row in rows if row["path"].startswith("stamps/images/")), key=lambda row: row["path"])
    return [
        Stamp(
            f"{number:03d}", row["group"], _words(Path(row["path"]).stem.split("__")[1]), row["captions"][0],
            dev / row["path"], sounds.get(row["path"]),
        )
        for number, row in enumerate(pictures)
    ]  # fmt: skip


def _words(name: str) -> str:
    return " ".join(re.sub(r"[_\W\d]+", " ", name).split())


def _told(text: str) -> set[str]:
    return {word.rstrip("s") for word in re.findall(r"[a-z]+", text.lower())} - SMALL


def lay_out(found: Sequence[Stamp], folder: Path) -> None:
    for stamp in found:
        shutil.copy(stamp.image, folder / f"{stamp.number}{stamp.image.suffix}")
        (folder / f"{stamp.number}.txt").write_text(stamp.caption, "utf-8")
        if stamp.sound:
            shutil.copy(stamp.sound, folder / f"{stamp.number}{stamp.sound.suffix}")


def tasks(found: Sequence[Stamp]) -> dict[str, tuple[tuple[str, ...] | None, list[Question]]]:
    """Title -> the kinds that are searched, and the questions."""
    whole = [stamp for stamp in found if stamp.sound]
    new = [stamp for stamp in found if _told(stamp.name) - _told(stamp.caption)]
    return {
        "names": (None, [Question(stamp.name, stamp.group) for stamp in found if stamp.name]),
        "other words": (None, [Question(stamp.name, stamp.group) for stamp in new]),
        "sound": (("image", "text"), [Question(stamp.sound, stamp.group) for stamp in whole if stamp.sound]),
        "picture": (("text", "audio"), [Question(stamp.image, stamp.group) for stamp in whole]),
        "caption": (("image", "audio"), [Question(stamp.caption, stamp.group) for stamp in whole]),
    }


def rank(library: Library, question: Question, modalities: Sequence[str] | None, groups: dict[str, str]) -> int:
    """Of the first right result; one beyond the last depth if it is not among them."""
    asked: Any = Query(text=question.value) if isinstance(question.value, str) else question.value
    hits = library.search(asked, DEPTHS[-1], modalities=modalities, mode="vector", dedup=False)
    right = (hit.rank for hit in hits if groups[hit.path.stem] == question.group)
    return next(right, DEPTHS[-1] + 1)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--space", default="starter")
    chosen = parser.parse_args(arguments)
    found = stamps(chosen.shared.resolve() / "data" / "dev")
    groups = {stamp.number: stamp.group for stamp in found}
    with tempfile.TemporaryDirectory() as folder:
        media = Path(folder) / "media"
        media.mkdir()
        lay_out(found, media)
        with mmsearch.open(Path(folder) / "library", space=chosen.space) as library:
            library.ingest(media)
        for title, (modalities, questions) in tasks(found).items():
            for fusion in FUSIONS:
                with mmsearch.open(Path(folder) / "library", fusion=fusion) as library:
                    best = [rank(library, question, modalities, groups) for question in questions]
                recalls = " / ".join(f"{sum(r <= k for r in best) / len(best):6.1%}" for k in DEPTHS)
                sys.stdout.write(f"{title:<12} {fusion:<9} R@1/5/10 {recalls}  ({len(best)})\n")
                sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
