"""Whether explanations are true: `python -m tests.benchmarks.faithfulness --shared ../shared`.

What an explanation names is removed, and so is something random of the same size; told is the ratio of the mean score
drops. So that it is no tautology, things are removed in another way than the explanation used to find them:

- picture: the first region, blurred beyond recognition (it was found with grey patches); COCO photos, a
  caption each.
- sound, concepts: the concept that adds most, taken out of the sum and the rest normalised; against a random
  other one.
- sound, seconds: the first region, filled with faint noise (it was found with silence); ESC-10 clips, their
  class names.
- text: the first sentence named, replaced by one that says nothing (it was found by leaving it out); passages made of
  six captions of as many COCO photos, asked for with another caption of one of them.
"""

import argparse
import csv
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

import mmsearch
from mmsearch.encoders.explaining import Box
from mmsearch.library import Library
from mmsearch.types import Hit, Prepared, Segment

NOTHING = "It is as it was."
Drops = list[tuple[float, float]]
"""(named, random) of each item."""


def blurred(prepared: Prepared, box: Box) -> Prepared:
    picture = Image.fromarray(prepared)
    width, height = picture.size
    pixels = (round(box[0] * width), round(box[1] * height), round(box[2] * width), round(box[3] * height))
    picture.paste(picture.filter(ImageFilter.GaussianBlur(25)).crop(pixels), pixels)
    return np.asarray(picture)


def hissing(prepared: Prepared, box: Box) -> Prepared:
    changed = prepared.copy()
    start, stop = round(box[0] * len(changed)), round(box[2] * len(changed))
    changed[start:stop] = np.random.default_rng(0).normal(0, 0.003, stop - start)
    return changed


def moved(box: Box, rng: np.random.Generator, across: bool) -> Box:
    """A box of the same size somewhere else; `across`: moved in time only."""
    width, height = box[2] - box[0], box[3] - box[1]
    left = rng.uniform(0, 1 - width)
    top = box[1] if across else rng.uniform(0, 1 - height)
    return left, top, left + width, top + height


def removed(
    library: Library, query: str, hit: Hit, change: Callable[[Prepared, Box], Prepared], rng: np.random.Generator
) -> tuple[float, float] | None:
    """Drops of the named region and of a random one; None if nothing is named."""
    from mmsearch.search.explain import _segment

    found = library.explain(query, hit)
    if not found.regions:
        return None
    space, _ = library._context.embedding()
    vector = words(library, [query])[0].astype(np.float64)
    prepared, own, *_ = _segment(
        vector, hit, space.encoders[hit.matched or ""], library._context.query_decoding(), hit.path
    )
    boxes = [found.regions[0].box, moved(found.regions[0].box, rng, hit.matched == "audio")]
    without = space.encoders[hit.matched or ""].encode([change(prepared, box) for box in boxes])
    named, other = float(vector @ own) - without @ vector
    return float(named), float(other)


def concept_removed(library: Library, query: str, hit: Hit, rng: np.random.Generator) -> tuple[float, float]:
    from mmsearch.search.explain import _segment

    space, _ = library._context.embedding()
    encoder = space.encoders["audio"]
    vector = words(library, [query])[0].astype(np.float64)
    prepared, own, *_ = _segment(vector, hit, encoder, library._context.query_decoding(), hit.path)
    parts = encoder.concepts(prepared)  # type: ignore[attr-defined]
    amounts = [weight * float(vector @ one) for _, weight, one in parts]
    best = int(np.argmax(amounts))
    other = int(rng.choice([i for i in range(len(parts)) if i != best]))

    def score(left_out: int) -> float:
        rest = sum(weight * one for i, (_, weight, one) in enumerate(parts) if i != left_out)
        return float(vector @ rest / np.linalg.norm(rest))

    return float(vector @ own) - score(best), float(vector @ own) - score(other)


def words(library: Library, texts: Sequence[str]) -> NDArray[np.float32]:
    encoder = library._context.embedding()[0].encoders["text"]
    return encoder.encode([encoder.prepare(Segment("text", text)) for text in texts])


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def told(name: str, drops: Drops) -> str:
    named, other = np.array(drops).mean(axis=0)
    wins = np.mean([a > b for a, b in drops])
    ratio = f"ratio {named / other:.1f}" if other > 0 else "no ratio: random ones don't lower it"
    return (
        f"{name:<18} {len(drops):>3} items, mean drop {named:.4f} named, {other:.4f} random, "
        f"{ratio}, named is larger in {wins:.0%}\n"
    )


def pictures(library: Library, shared: Path, count: int) -> Drops:
    rng, drops = np.random.default_rng(1), Drops()
    asked: dict[str, str] = {}
    for row in table(shared / "queries" / "text_to_image.tsv"):
        if row["relevant"].startswith("coco/"):
            asked.setdefault(Path(row["relevant"]).name, row["query"])
    for name, query in list(asked.items())[:count]:
        hit = library.search(query, 1, filter=f"name = '{name}'", mode="vector")[0]
        if (pair := removed(library, query, hit, blurred, rng)) is not None:
            drops.append(pair)
    return drops


def sounds(library: Library, shared: Path, count: int) -> tuple[Drops, Drops]:
    rng, seconds, concepts = np.random.default_rng(2), Drops(), Drops()
    rows = [r for r in table(shared / "queries" / "text_to_audio.tsv") if r["dataset"] == "ESC-10"]
    pairs = [(row["query"], Path(name).name) for row in rows for name in row["relevant"].split(",")]
    for query, name in pairs[:: max(len(pairs) // count, 1)][:count]:
        hit = library.search(query, 1, filter=f"name = '{name}'", mode="vector")[0]
        if (pair := removed(library, query, hit, hissing, rng)) is not None:
            seconds.append(pair)
        concepts.append(concept_removed(library, query, hit, rng))
    return seconds, concepts


def texts(library: Library, shared: Path, count: int) -> Drops:
    rng, drops = np.random.default_rng(3), Drops()
    captions: dict[str, list[str]] = {}
    for row in table(shared / "queries" / "text_to_image.tsv"):
        if row["relevant"].startswith("coco/"):
            captions.setdefault(row["relevant"], []).append(row["query"].strip().rstrip(".") + ".")
    several = list(captions.values())
    for i in range(min(count, len(several))):
        chosen = [several[(i + 7 * n) % len(several)][0] for n in range(6)]
        rng.shuffle(chosen)
        query, passage = several[i][1], " ".join(chosen)
        hit = replace(Hit(1, Path("made"), "text", 0.0), passage=passage, matched="text")
        named = library.explain(query, hit).cues[0].text
        other = str(rng.choice([sentence for sentence in chosen if sentence != named]))
        changed = [passage, passage.replace(named, NOTHING), passage.replace(other, NOTHING)]
        whole, without, random = words(library, changed) @ words(library, [query])[0]
        drops.append((float(whole - without), float(whole - random)))
    return drops


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--count", type=int, default=60, help="items of each kind")
    options = parser.parse_args(arguments)
    dev = options.shared / "data" / "dev"
    with tempfile.TemporaryDirectory() as folder, mmsearch.open(Path(folder) / "library") as library:
        library.ingest(dev / "coco", dev / "esc10")
        sys.stdout.write(told("text", texts(library, dev, options.count)))
        seconds, concepts = sounds(library, dev, options.count)
        sys.stdout.write(told("sound, concepts", concepts) + told("sound, seconds", seconds))
        sys.stdout.flush()
        sys.stdout.write(told("picture", pictures(library, dev, options.count)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
