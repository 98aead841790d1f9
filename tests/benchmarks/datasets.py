"""Public data as questions with right answers: the layouts that are known by name. Nothing that learns sees them."""

import csv
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from mmsearch.errors import InvalidInput
from mmsearch.evaluate import Evaluation, JudgedPairs, Pair
from mmsearch.evaluate import evaluate as evaluate_pairs
from mmsearch.library import Library

Row = tuple[int, dict[str, str]]
"""Line number and cells."""


class Dataset(NamedTuple):
    """Questions with their right answers, and the media that a library needs for them."""

    judged: JudgedPairs
    media: tuple[Path, ...]


def evaluate_dataset(
    library: Library, name: str, folder: Path, directions: Collection[str] | None = None
) -> Evaluation:
    """Take in a dataset's media and measure a library by its questions. Raises: InvalidInput."""
    dataset = read_dataset(name, folder)
    library.ingest(*dataset.media)
    return evaluate_pairs(dataset.judged, library._context, directions=directions)


def read_dataset(name: str, folder: Path) -> Dataset:
    """The questions of a dataset in a folder. Raises: InvalidInput."""
    if name not in DATASETS:
        raise InvalidInput(f"unknown dataset {name!r}", hint=f"known: {', '.join(sorted(DATASETS))}")
    # As an ingest writes paths: `..` taken out first, symbolic links left as they are.
    return DATASETS[name](Path(os.path.abspath(folder)))


def flickr8k(folder: Path) -> Dataset:
    """captions.tsv (split, filename, caption) and images/: each caption of the dev split asks for its photo."""
    table = folder / "captions.tsv"
    pairs = [
        Pair(row["caption"], (folder / "images" / row["filename"],), line, table)
        for line, row in _rows(table, "split", "filename", "caption")
        if row["split"] == "dev"
    ]
    return Dataset(JudgedPairs(table, pairs), _media(path for pair in pairs for path in pair.relevant))


def esc10(folder: Path) -> Dataset:
    """queries/text_to_audio.tsv and esc10/: each of the ten class names asks for its clips."""
    table = folder / "queries" / "text_to_audio.tsv"
    return Dataset(JudgedPairs(table, _of_subfolder(table, folder, "esc10/")), _media([folder / "esc10"]))


def coco(folder: Path) -> Dataset:
    """queries/text_to_image.tsv and coco/: each caption asks for its photo."""
    table = folder / "queries" / "text_to_image.tsv"
    return Dataset(JudgedPairs(table, _of_subfolder(table, folder, "coco/")), _media([folder / "coco"]))


def stamps(folder: Path) -> Dataset:
    """stamps/images and stamps/sounds: the text of each asks for it, and each of a pair for the other."""
    queries = folder / "queries"
    pairs = [
        *_of_subfolder(queries / "text_to_image.tsv", folder, "stamps/images/"),
        *_of_subfolder(queries / "text_to_audio.tsv", folder, "stamps/sounds/"),
    ]
    table = queries / "image_audio_pairs.tsv"
    partners: dict[Path, tuple[int, list[Path]]] = {}
    for line, row in _rows(table, "image", "audio"):
        image, audio = folder / row["image"], folder / row["audio"]
        partners.setdefault(image, (line, []))[1].append(audio)
        partners.setdefault(audio, (line, []))[1].append(image)
    pairs += [Pair(file, tuple(found), line, table) for file, (line, found) in partners.items()]
    return Dataset(JudgedPairs(queries, pairs), _media([folder / "stamps" / "images", folder / "stamps" / "sounds"]))


DATASETS: dict[str, Callable[[Path], Dataset]] = {
    "flickr8k": flickr8k,
    "esc10": esc10,
    "coco": coco,
    "stamps": stamps,
}


def _of_subfolder(table: Path, folder: Path, prefix: str) -> list[Pair]:
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
