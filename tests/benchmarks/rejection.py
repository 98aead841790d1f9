"""Whether "No confident match" is right, and whether confidence is what it claims to be.

Words about what is in a library are compared with the same words asked of a library without it: every file of a class,
or with any label of the photo, is removed, and the library is measured anew as if it had never been there.
"""

import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import mmsearch
from mmsearch import Hit, Library
from tests.benchmarks.quality import rows

PHRASINGS = ("{}", "the sound of {}", "a recording of {}", "{} noise", "can you hear {}?")
RATES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
ASKED = 0.05
"""The library's default `false_accepts`."""

Sure = NDArray[np.float64]
"""(questions,) the confidence of each question's first hit; 0 where nothing was found."""


class Measured(NamedTuple):
    """First hits' confidence, of questions with an answer and of the same questions without."""

    title: str
    present: Sure
    absent: Sure


def sure(found: Sequence[Sequence[Hit]]) -> Sure:
    return np.array([(hits[0].confidence or 0.0) if hits else 0.0 for hits in found])


def without(library: Library, files: Sequence[Path], folder: Path) -> Library:
    """A copy of a library that has never seen these files."""
    shutil.copytree(library.path, folder)
    copy = mmsearch.open(folder)
    copy.remove(*files)
    with closing(sqlite3.connect(folder / "catalog.sqlite")) as database, database:
        database.execute("DELETE FROM backgrounds")
        (left,) = database.execute("SELECT path FROM items ORDER BY path LIMIT 1").fetchone()
    copy.ingest(Path(left.decode()))  # measures what has no background
    return copy


def words(library: Library, asked: Sequence[str]) -> Sure:
    return sure([library.search(text, 1, mode="vector") for text in asked])


def sounds(dev: Path, folder: Path, space: str) -> Iterator[Measured]:
    """ESC-10's class names in five phrasings, the class there or not; all ten, and by halves."""
    files = sorted((dev / "esc10").iterdir())
    classes = sorted({path.name.split("__")[0] for path in files})
    present, absent = dict[str, Sure](), dict[str, Sure]()
    with mmsearch.open(folder / "esc10", space=space) as library:
        library.ingest(dev / "esc10")
        for name in classes:
            asked = [phrase.format(name.replace("_", " ")) for phrase in PHRASINGS]
            present[name] = words(library, asked)
            own = [path for path in files if path.name.startswith(f"{name}__")]
            with without(library, own, folder / name) as other:
                absent[name] = words(other, asked)
            shutil.rmtree(folder / name)
    halves = {"all ten": classes, "the five looked at": classes[::2], "the other five": classes[1::2]}
    for title, chosen in halves.items():
        yield Measured(
            f"words -> sounds, ESC-10, {title}",
            np.concatenate([present[name] for name in chosen]), np.concatenate([absent[name] for name in chosen]),
        )  # fmt: skip


def photos(dev: Path, folder: Path, space: str) -> Iterator[Measured]:
    """COCO's captions; without: everything that shares a label with the photo."""
    labels = {}
    looked = json.loads(Path(__file__).with_name("coco_labels.json").read_text("utf-8"))
    for line in (dev / "manifest.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        if row["path"].startswith("coco/"):
            labels[dev / row["path"]] = set(row.get("labels") or looked[Path(row["path"]).name])
    captions: dict[Path, list[str]] = {}
    for row in rows(dev / "queries" / "text_to_image.tsv"):
        if row["relevant"].startswith("coco/"):
            captions.setdefault(dev / row["relevant"], []).append(row["query"])
    present, absent = list[Sure](), list[Sure]()
    with mmsearch.open(folder / "coco", space=space) as library:
        library.ingest(dev / "coco")
        for photo, asked in captions.items():
            present.append(words(library, asked))
            like = [path for path in labels if path == photo or labels[path] & labels[photo]]
            with without(library, like, folder / photo.stem) as other:
                absent.append(words(other, asked))
            shutil.rmtree(folder / photo.stem)
    yield Measured("words -> photos, COCO", np.concatenate(present), np.concatenate(absent))


def strangers(dev: Path, folder: Path, space: str) -> Iterator[Measured]:
    """Names of the stamps (animals, tools, food, ...) asked of photos and sounds that are mostly about none of them."""
    asked = sorted({r["query"] for r in rows(dev / "queries" / "text_to_image.tsv") if r["dataset"].startswith("Tux")})
    nothing = np.zeros(0)
    with mmsearch.open(folder / "strangers", space=space) as library:
        library.ingest(dev / "coco", dev / "esc10")
        for title, modalities in (("photos", ("image",)), ("sounds", ("audio",)), ("both in one list", None)):
            found = [library.search(text, 1, mode="vector", modalities=modalities) for text in asked]
            yield Measured(f"stamps' names -> {title}", nothing, sure(found))


def measured(dev: Path, folder: Path, space: str) -> list[Measured]:
    return [one for part in (sounds, photos, strangers) for one in part(dev, folder, space)]


def rejected(one: Measured, rate: float) -> float:
    """False rejects where the threshold lets this share of the questions without an answer pass."""
    return float((one.present <= np.quantile(one.absent, 1 - rate)).mean())


def observed(one: Measured) -> NDArray[np.float64]:
    """Of the questions without an answer, the share that stays at or below each level: the level itself, ideally."""
    return np.array([(one.absent <= level).mean() for level in LEVELS])


def calibration_error(one: Measured) -> float:
    """Mean distance of what confidence claims and what was observed, over the levels."""
    return float(np.abs(observed(one) - LEVELS).mean())


def tables(found: Sequence[Measured]) -> Iterator[str]:
    yield "False rejects at false accepts of:\n"
    yield "| | questions | " + " | ".join(f"{rate:.0%}" for rate in RATES) + " | by default: accepts | rejects |"
    yield "|---|---|" + "---|" * (len(RATES) + 2)
    for one in found:
        if len(one.present):
            rates = " | ".join(f"{rejected(one, rate):.0%}" for rate in RATES)
            accepts, rejects = (one.absent >= 1 - ASKED).mean(), (one.present < 1 - ASKED).mean()
            yield f"| {one.title} | {len(one.present)} | {rates} | {accepts:.0%} | {rejects:.0%} |"
    yield (
        "\nReliability: confidence claims to be the chance that nothing unrelated scores as high, so of the best hits "
        "of questions without an answer a share of c should lie at or below c. Observed, and the mean distance:\n"
    )
    yield "| claimed | questions | " + " | ".join(f"{level:g}" for level in LEVELS) + " | error |"
    yield "|---|---|" + "---|" * (len(LEVELS) + 1)
    for one in found:
        shares = " | ".join(f"{share:.2f}" for share in observed(one))
        yield f"| {one.title} | {len(one.absent)} | {shares} | {calibration_error(one):.3f} |"
    mean = np.mean([calibration_error(one) for one in found if "five" not in one.title])
    yield f"\nMean calibration error, the halves left aside: {mean:.3f}\n"


def plot(found: Sequence[Measured], target: Path) -> None:
    """Reliability, and false rejects against false accepts."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    levels = np.linspace(0, 1, 101)
    left.plot(levels, levels, "k:", linewidth=1)
    for one in found:
        left.plot(levels, [(one.absent <= level).mean() for level in levels], label=one.title)
        if len(one.present):
            right.plot(levels, [rejected(one, rate) for rate in levels], label=one.title)
    left.set(xlabel="confidence claimed", ylabel="share of best hits at or below, nothing there", title="Reliability")
    right.set(xlabel="false accepts", ylabel="false rejects", xlim=(0, 1), ylim=(0, 1), title="No confident match")
    for axes in (left, right):
        axes.legend(fontsize=7)
    figure.savefig(target)
