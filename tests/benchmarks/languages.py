"""What is found in which language: `python -m tests.benchmarks.languages --shared ../shared [--only NAME ...]`.

| measure | what is asked |
|---|---|
| photos | the captions of Flickr8k's dev photos in English, and their human translations into German and French |
| stamps | the texts of the Tux Paint stamps in English and 18 languages |
| english | all English questions of the development data, with and without the other languages |
| confidence | how sure the answers to the first are, and how often they are then right |

The map's training (`mmsearch.training.starter.languages`) and its threshold were chosen on the captions of every other
photo ("chosen on"), with the English stamps in view; the other half ("held out") chose nothing.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import mmsearch
from mmsearch.core import registry
from mmsearch.encoders.queries import prepared_query
from mmsearch.types import Segment, Space
from tests.benchmarks.quality import Items, embed, rows, similarity

PHOTOS = ("en", "de", "fr")
MOST = 300
"""Photos of the library in which confidence is measured."""


def embed_queries(space: Space, texts: Sequence[str]) -> Items:
    """As a search embeds them."""
    encoder = space.encoders["text"]
    vectors = [encoder.encode([prepared_query(encoder, text)], query=True) for text in texts]
    return Items(np.concatenate(vectors), np.arange(len(texts)))


def embed_english(space: Space, texts: Sequence[str]) -> Items:
    """As a search embedded them before it knew other languages."""
    encoder = space.encoders["text"]
    vectors = [encoder.encode([encoder.prepare(Segment("text", text))], query=True) for text in texts]
    return Items(np.concatenate(vectors), np.arange(len(texts)))


def found(queries: Items, items: Items, names: Sequence[str], relevant: Sequence[str]) -> NDArray[np.bool_]:
    """(queries,), whether one of the relevant items, by commas, is among the first ten; ties count against us."""
    places = {name: place for place, name in enumerate(names)}
    best = [[places[name] for name in some.split(",")] for some in relevant]
    scores = similarity(queries, items)
    return np.array([(row >= row[some].max()).sum() <= 10 for row, some in zip(scores, best, strict=True)])


def measure_photos(space: Space, shared: Path) -> Iterator[str]:
    folder = shared / "data" / "flickr8k"
    asked = rows(folder / "captions_multilingual_dev.tsv")
    names = [row["filename"] for row in rows(folder / "captions.tsv") if row["split"] == "dev"]
    names = sorted(set(names))
    photos = embed(space, "image", [folder / "images" / name for name in names])
    held = np.arange(len(asked)) % 2 == 1
    base: dict[str, dict[str, float]] = {}
    for language in PHOTOS:
        texts, answers = [row[language] for row in asked], [row["filename"] for row in asked]
        now, before = (
            found(embedded(space, texts), photos, names, answers) for embedded in (embed_queries, embed_english)
        )
        shares = {"chosen on": 100 * now[~held].mean(), "held out": 100 * now[held].mean()}
        base.setdefault("en", shares)
        told = ", ".join(f"{part} {one:.1f} % ({one / base['en'][part]:.2f} x English)" for part, one in shares.items())
        yield f"{language} R@10 among {len(names)} photos: {told}; held out, without {100 * before[held].mean():.1f} %"


def measure_stamps(space: Space, shared: Path) -> Iterator[str]:
    dev = shared / "data" / "dev"
    asked = rows(dev / "queries" / "text_to_image_i18n.tsv")
    names = [f"stamps/images/{path.name}" for path in sorted((dev / "stamps" / "images").iterdir())]
    pictures = embed(space, "image", [dev / name for name in names])
    answers = [row["relevant"] for row in asked]
    now, before = (
        found(embedded(space, [row["query"] for row in asked]), pictures, names, answers)
        for embedded in (embed_queries, embed_english)
    )
    languages = np.array([row["lang"] for row in asked])
    for language in sorted(set(languages.tolist())):
        mine = languages == language
        yield f"{language:<6} R@10 {100 * now[mine].mean():.1f} %, without {100 * before[mine].mean():.1f} %"
    times = now.mean() / before.mean()
    yield f"all    R@10 {100 * now.mean():.1f} %, without {100 * before.mean():.1f} %, {times:.1f} times"


def measure_english(space: Space, shared: Path) -> Iterator[str]:
    dev = shared / "data" / "dev"
    for table, kind, folders in (
        ("text_to_image.tsv", "image", ("stamps/images", "coco")),
        ("text_to_audio.tsv", "audio", ("stamps/sounds", "esc10")),
    ):
        for folder in folders:
            names = [f"{folder}/{path.name}" for path in sorted((dev / folder).iterdir())]
            asked = [row for row in rows(dev / "queries" / table) if row["relevant"].startswith(f"{folder}/")]
            items = embed(space, kind, [dev / name for name in names])
            now, before = (
                found(
                    embedded(space, [row["query"] for row in asked]), items, names, [row["relevant"] for row in asked]
                )
                for embedded in (embed_queries, embed_english)
            )
            yield f"en {folder:<14} R@10 {100 * now.mean():.1f} %, without {100 * before.mean():.1f} %  ({len(asked)})"


def measure_confidence(space: Space, shared: Path) -> Iterator[str]:
    folder = shared / "data" / "flickr8k"
    asked = rows(folder / "captions_multilingual_dev.tsv")[1::2][:MOST]
    with tempfile.TemporaryDirectory() as made, mmsearch.open(Path(made) / "library", space=space.name) as library:
        library.ingest(*(folder / "images" / row["filename"] for row in asked))
        for language in PHOTOS:
            told: Counter[str] = Counter()
            right: Counter[str] = Counter()
            for row in asked:
                for hit in library.search(mmsearch.Query(text=row[language]), 1, mode="vector", dedup=False):
                    told[str(hit.level)] += 1
                    right[str(hit.level)] += hit.path.name == row["filename"]
            levels = ", ".join(
                f"{level} {told[level]} ({right[level]} right)" for level in ("sure", "likely", "unlikely")
            )
            yield f"{language} of {len(asked)} first answers: {levels}"


MEASURES: dict[str, Callable[[Space, Path], Iterator[str]]] = {
    "photos": measure_photos,
    "stamps": measure_stamps,
    "english": measure_english,
    "confidence": measure_confidence,
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--only", nargs="+", choices=list(MEASURES), default=list(MEASURES))
    options = parser.parse_args(arguments)
    space: Space = registry.load_part("spaces", "starter")("auto")
    for name in options.only:
        for line in MEASURES[name](space, options.shared):
            sys.stdout.write(f"{name:<10} {line}\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
