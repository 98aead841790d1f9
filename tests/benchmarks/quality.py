"""How well the starter space finds things: `python -m tests.benchmarks.quality --shared ../shared [--only NAME ...]`.

Every file goes through the real decoder and encoder; similarity is the best cosine over an item's segments, and ranks
count ties against us.
Flickr8k's dev split chose between recipes of the picture encoder's learned part, with COCO and the stamps in view (see
TRAINING.md); the words of the Tux Paint stamps' sounds chose the sound encoder's prompts and centring, and the stamp
pairs share those sounds. ESC-10 was used to choose nothing.
"""

import argparse
import csv
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmsearch.core import registry
from mmsearch.evaluate import metrics
from mmsearch.types import Limits, Modality, SeesRegions, Segment, Space, Vectors

Scores = NDArray[np.float32]
"""(queries, items), cosines."""
Relevant = NDArray[np.bool_]
"""(queries, items)."""


class Items(NamedTuple):
    """The segments of some files: row i of `vectors` belongs to file `owners[i]`, and owners ascend."""

    vectors: Vectors
    owners: NDArray[np.int64]


def embed(space: Space, modality: Modality, paths: Sequence[Path]) -> Items:
    """Decode, prepare and encode files of one modality; behind a photo the regions that it has."""
    decoder = registry.load_part("decoders", modality)(space.windowing, Limits())
    encoder = space.encoders[modality]
    prepared, owners = [], []
    for owner, path in enumerate(paths):
        for segment in decoder.decode(path):
            prepared.append(encoder.prepare(segment))
            owners.append(owner)
    size = encoder.spec.batch_size
    batches = [prepared[start : start + size] for start in range(0, len(prepared), size)]
    most = space.windowing.regions
    if not (most and isinstance(encoder, SeesRegions)):
        return Items(np.concatenate([encoder.encode(batch) for batch in batches]), np.array(owners))
    looked = [encoder.encode_regions(batch, most) for batch in batches]
    regions = [some for _, found in looked for some in found]
    # A file of several segments is no photo, or a panorama: its squares are regions enough.
    alone = Counter(owners)
    rows = [row for whole, _ in looked for row in whole]
    made = [
        [row, *(one.vector for one in some if alone[owner] == 1)]
        for row, some, owner in zip(rows, regions, owners, strict=True)
    ]
    counts = [len(some) for some in made]
    return Items(np.stack([row for some in made for row in some]), np.repeat(owners, counts))


def whole(photos: Items) -> Items:
    """The photos without their regions: a picture that is a query has none."""
    first = _firsts(photos.owners)
    return Items(photos.vectors[first], photos.owners[first])


def embed_words(space: Space, texts: Sequence[str]) -> Items:
    encoder = space.encoders["text"]
    prepared = [encoder.prepare(Segment("text", text)) for text in texts]
    return Items(encoder.encode(prepared, query=True), np.arange(len(texts)))


def similarity(queries: Items, items: Items) -> Scores:
    """Of every query and item, the best cosine of their segments."""
    scores = queries.vectors @ items.vectors.T
    by_item = np.maximum.reduceat(scores, _firsts(items.owners), axis=1)
    return np.asarray(np.maximum.reduceat(by_item, _firsts(queries.owners), axis=0), np.float32)


def _firsts(owners: NDArray[np.int64]) -> NDArray[np.intp]:
    return np.flatnonzero(np.r_[True, owners[1:] != owners[:-1]])


def recalls(title: str, scores: Scores, relevant: Relevant) -> str:
    found = ranked(scores, relevant)
    values = " / ".join(f"{100 * np.mean([metrics.success_at(ranks, k) for ranks in found]):.1f}" for k in (1, 5, 10))
    return f"{title:<44} R@1/5/10 {values} %   ({scores.shape[0]} queries, {scores.shape[1]} items)"


def ranked(scores: Scores, relevant: Relevant) -> list[tuple[int, ...]]:
    """Of every query, where its relevant items stand."""
    return [metrics.ranks(row, wanted) for row, wanted in zip(scores, relevant, strict=True)]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def words_to_sound(space: Space, shared: Path) -> Iterable[str]:
    """ESC-10: the ten class names against all clips."""
    dev = shared / "data" / "dev"
    queries = [row for row in rows(dev / "queries" / "text_to_audio.tsv") if row["dataset"] == "ESC-10"]
    files = sorted((dev / "esc10").iterdir())
    scores = similarity(embed_words(space, [row["query"] for row in queries]), embed(space, "audio", files))
    names = [f"esc10/{path.name}" for path in files]
    relevant = np.array([[name in row["relevant"].split(",") for name in names] for row in queries])
    found = np.mean([metrics.average_precision(ranks) for ranks in ranked(scores, relevant)])
    yield f"{'words -> sound, ESC-10':<44} mAP {found:.3f}   ({len(queries)} queries, {len(files)} items; target 0.88)"


def words_to_image(space: Space, shared: Path) -> Iterable[str]:
    """Flickr8k's dev split: each caption against all photos."""
    folder = shared / "data" / "flickr8k"
    captions = [row for row in rows(folder / "captions.tsv") if row["split"] == "dev"]
    names = sorted({row["filename"] for row in captions})
    photos = embed(space, "image", [folder / "images" / name for name in names])
    asked = embed_words(space, [row["caption"] for row in captions])
    scores = similarity(asked, photos)
    relevant = np.array([row["filename"] for row in captions])[:, None] == np.array(names)[None, :]
    yield recalls("words -> image, Flickr8k dev (target R@10 24)", scores, relevant)
    yield recalls("image -> words, Flickr8k dev, any caption", similarity(whole(photos), asked), relevant.T)


def words_to_image_dev(space: Space, shared: Path) -> Iterable[str]:
    """COCO captions against the COCO photos, and the stamps' texts against the stamps."""
    dev = shared / "data" / "dev"
    for title, prefix in (("COCO", "coco/"), ("stamps", "stamps/")):
        queries = [r for r in rows(dev / "queries" / "text_to_image.tsv") if r["relevant"].startswith(prefix)]
        names = sorted({name for row in queries for name in row["relevant"].split(",")})
        photos = embed(space, "image", [dev / name for name in names])
        scores = similarity(embed_words(space, [row["query"] for row in queries]), photos)
        relevant = np.array([[name in row["relevant"].split(",") for name in names] for row in queries])
        yield recalls(f"words -> image, {title}", scores, relevant)


def objects(space: Space, shared: Path) -> Iterable[str]:
    """The names of the objects in the COCO photos, against these photos."""
    dev = shared / "data" / "dev"
    with (dev / "manifest.jsonl").open(encoding="utf-8") as file:
        seen = {row["path"]: row["labels"] for row in map(json.loads, file) if row["path"].startswith("coco/")}
    names = sorted({label for labels in seen.values() for label in labels})
    scores = similarity(embed_words(space, names), embed(space, "image", [dev / path for path in seen]))
    relevant = np.array([[name in labels for labels in seen.values()] for name in names])
    yield recalls("object words -> image, COCO", scores, relevant)
    found = np.mean([metrics.average_precision(ranks) for ranks in ranked(scores, relevant)])
    yield f"{'object words -> image, COCO':<44} mAP {found:.3f}"


def image_and_sound(space: Space, shared: Path) -> Iterable[str]:
    """The stamps' pictures and sounds, each way."""
    dev = shared / "data" / "dev"
    pairs = rows(dev / "queries" / "image_audio_pairs.tsv")
    pictures, sounds = (sorted({row[kind] for row in pairs}) for kind in ("image", "audio"))
    relevant = np.zeros((len(pictures), len(sounds)), np.bool_)
    for row in pairs:
        relevant[pictures.index(row["image"]), sounds.index(row["audio"])] = True
    seen, heard = [dev / name for name in pictures], embed(space, "audio", [dev / name for name in sounds])
    shown = embed(space, "image", seen)
    yield recalls("picture -> sound, stamp pairs", similarity(whole(shown), heard), relevant)
    yield recalls("sound -> picture, stamp pairs", similarity(heard, shown), relevant.T)


MEASURES: dict[str, Callable[[Space, Path], Iterable[str]]] = {
    "esc10": words_to_sound,
    "flickr8k": words_to_image,
    "dev": words_to_image_dev,
    "objects": objects,
    "pairs": image_and_sound,
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--only", nargs="+", choices=list(MEASURES), default=list(MEASURES))
    parser.add_argument("--space", default="starter")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    space: Space = registry.load_part("spaces", options.space)(options.device)
    for name in options.only:
        start = time.perf_counter()
        for line in MEASURES[name](space, options.shared):
            sys.stdout.write(line + "\n")
        sys.stdout.write(f"  [{name}: {time.perf_counter() - start:.0f} s]\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
