"""Public data as pairs: the layouts that are known by name. Nothing here is shown to anything that learns."""

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mmsearch.errors import InvalidInput
from mmsearch.evaluate.types import JudgedPairs, Pair

Row = tuple[int, dict[str, str]]
"""Line number and cells."""


def read_dataset(name: str, folder: Path) -> JudgedPairs:
    """The pairs of a dataset in a folder, and the media they need. Raises: InvalidInput."""
    if name not in DATASETS:
        raise InvalidInput(f"unknown dataset {name!r}", hint=f"known: {', '.join(sorted(DATASETS))}")
    # As an ingest writes paths: `..` taken out first, symbolic links left as they are.
    return DATASETS[name](Path(os.path.abspath(folder)))


def flickr8k(folder: Path) -> JudgedPairs:
    """captions.tsv (split, filename, caption) and images/: each caption of the dev split asks for its photo."""
    table = folder / "captions.tsv"
    pairs = [
        Pair(row["caption"], (folder / "images" / row["filename"],), line, table)
        for line, row in _rows(table, "split", "filename", "caption")
        if row["split"] == "dev"
    ]
    return JudgedPairs(table, pairs, media=_media(path for pair in pairs for path in pair.relevant))


def esc10(folder: Path) -> JudgedPairs:
    """queries/text_to_audio.tsv and esc10/: each of the ten class names asks for its clips."""
    table = folder / "queries" / "text_to_audio.tsv"
    return JudgedPairs(table, _written(table, folder, "esc10/"), media=_media([folder / "esc10"]))


def coco(folder: Path) -> JudgedPairs:
    """queries/text_to_image.tsv and coco/: each caption asks for its photo."""
    table = folder / "queries" / "text_to_image.tsv"
    return JudgedPairs(table, _written(table, folder, "coco/"), media=_media([folder / "coco"]))


def stamps(folder: Path) -> JudgedPairs:
    """stamps/images and stamps/sounds: the text of each asks for it, and each of a pair for the other."""
    queries = folder / "queries"
    pairs = [
        *_written(queries / "text_to_image.tsv", folder, "stamps/images/"),
        *_written(queries / "text_to_audio.tsv", folder, "stamps/sounds/"),
    ]
    table = queries / "image_audio_pairs.tsv"
    partners: dict[Path, tuple[int, list[Path]]] = {}
    for line, row in _rows(table, "image", "audio"):
        image, audio = folder / row["image"], folder / row["audio"]
        partners.setdefault(image, (line, []))[1].append(audio)
        partners.setdefault(audio, (line, []))[1].append(image)
    pairs += [Pair(file, tuple(found), line, table) for file, (line, found) in partners.items()]
    return JudgedPairs(queries, pairs, media=_media([folder / "stamps" / "images", folder / "stamps" / "sounds"]))


DATASETS: dict[str, Callable[[Path], JudgedPairs]] = {
    "flickr8k": flickr8k,
    "esc10": esc10,
    "coco": coco,
    "stamps": stamps,
}


def _written(table: Path, folder: Path, prefix: str) -> list[Pair]:
    """The rows of a table of queries whose relevant files all lie in one subfolder."""
    pairs = []
    for line, row in _rows(table, "query", "relevant"):
        names = row["relevant"].split(",")
        if all(name.startswith(prefix) for name in names):
            pairs.append(Pair(row["query"], tuple(folder / name for name in names), line, table))
    return pairs


def _rows(table: Path, *columns: str) -> Iterator[Row]:
    try:
        text = table.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"can't read {table}: {error}", hint="name the folder that holds the dataset") from error
    lines = [line for line in text.split("\n") if line]
    found = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    if any(column not in (found.fieldnames or ()) for column in columns):
        raise InvalidInput(f"{table} has not the columns {', '.join(columns)}")
    for line, row in enumerate(found, 2):
        if any(row[column] is None for column in columns):
            raise InvalidInput(f"{table}, line {line}: too few columns")
        yield line, row


def _media(paths: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(paths))
