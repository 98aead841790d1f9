"""From LABELS.tsv to examples: the files that somebody named, as vectors, split into training and validation."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmsearch.catalog import Catalog, SpaceRecord
from mmsearch.catalog.embeddings import segment_vectors
from mmsearch.core.paths import path_in_table
from mmsearch.errors import InvalidInput
from mmsearch.evaluate import UnusedPair
from mmsearch.evaluate.pairs import read_tsv
from mmsearch.training import head_task, splits
from mmsearch.training.examples import HELD_BACK, absence
from mmsearch.training.serving import units

COLUMNS = ("path", "label")


@dataclass(frozen=True, slots=True)
class LabelRow:
    """A line that names a file."""

    path: Path
    """Absolute."""
    label: str
    """Empty: none of the others."""
    line: int


@dataclass(frozen=True, slots=True, eq=False)
class LabelledExamples:
    """Examples, and what could not be one."""

    examples: head_task.LabelledVectors
    classes: tuple[str, ...]
    splits: Mapping[str, int]
    unused: tuple[UnusedPair, ...]
    warnings: tuple[str, ...]


def read_labels(path: Path) -> tuple[list[LabelRow], list[UnusedPair]]:
    """The rows of a file with the header path<TAB>label, and the lines that are none; further columns are left alone.

    Paths are relative to the file's folder or absolute. Names that differ only in case or blanks are one.

    Raises: InvalidInput for a file that can't be read or has no such header.
    """
    path = Path(os.path.abspath(path))
    lines = read_tsv(path)
    header = [name.strip() for name in lines[0].split("\t")] if lines else []
    if any(name not in header for name in COLUMNS):
        raise InvalidInput(
            f"{path.name} does not begin with the header path<TAB>label",
            hint="mmsearch help training shows such a file",
        )
    rows: list[LabelRow] = []
    unused: list[UnusedPair] = []
    spelled: dict[str, str] = {"": ""}
    seen: dict[Path, LabelRow] = {}
    path_at, label_at = (header.index(name) for name in COLUMNS)
    for number, line in enumerate(lines[1:], 2):
        cells = line.split("\t")
        if len(cells) <= max(path_at, label_at) or not cells[path_at].strip():
            unused.append(UnusedPair(path, number, "no path and label" if line.strip() else "empty line"))
            continue
        name = " ".join(cells[label_at].split())
        file = path_in_table(cells[path_at].strip(), path.parent)
        row = LabelRow(file, spelled.setdefault(name.casefold(), name), number)
        if (known := seen.setdefault(file, row)) is not row:
            unused.append(UnusedPair(path, number, _again(row, known, "file")))
            continue
        rows.append(row)
    return rows, unused


def gather_labelled(
    source: Path, catalog: Catalog, record: SpaceRecord, seed: int, fusion: bytes = b""
) -> LabelledExamples:
    """What the library knows of the named files; with a fusion's file, of the bundles they belong to.

    Raises: InvalidInput if fewer than two names have examples, or a vector is not a number.
    """
    rows, unused = read_labels(source)
    known = units.units_of_paths({row.path for row in rows}, catalog, together=bool(fusion))
    unused += [UnusedPair(source, row.line, absence(row.path)) for row in rows if row.path not in known]
    by_unit: dict[units.Unit, LabelRow] = {}
    for row in rows:
        if row.path in known and (other := by_unit.setdefault(known[row.path], row)) is not row:
            unused.append(
                UnusedPair(source, row.line, _again(row, other, "bundle" if len(known[row.path]) > 1 else "file"))
            )
    classes = tuple(sorted({row.label for row in by_unit.values() if row.label}))
    if len(classes) < 2:
        first = f"; line {unused[0].line}: {unused[0].why}" if unused else ""
        raise InvalidInput(
            f"{source.name} gives {len(classes)} names to files of the library; a classifier needs at least two{first}",
            hint="name what else there is, and ingest the files first",
        )
    with catalog.reading() as snapshot:
        segments = segment_vectors(snapshot, record, units.contents_of_units(by_unit))
    examples, vectors = units.unit_vectors(by_unit, fusion, segments)
    if not np.isfinite(vectors).all():
        lines = [by_unit[examples[at]].line for at in np.flatnonzero(~np.isfinite(vectors).all(axis=1)).tolist()]
        raise InvalidInput(
            f"lines of {source.name} lead to vectors that are not numbers: {', '.join(map(str, sorted(lines)[:5]))}",
            hint="remove these files from the library and ingest them again",
        )
    number = {name: at for at, name in enumerate(classes)} | {"": -1}
    labels = np.array([number[by_unit[example].label] for example in examples], np.int64)
    grouped = splits.split_groups(len(examples), ties=units.shared_media(examples, segments), vectors=vectors)
    held = head_task.split_classes(labels, grouped, HELD_BACK, seed)
    judged = held & (labels >= 0)
    counts = {"training examples": int((~held).sum()), "validation examples": int(judged.sum())}
    counts |= {"examples of none": int((labels < 0).sum()), "groups": int(grouped.max()) + 1}
    labelled = head_task.LabelledVectors(vectors, labels, held)
    return LabelledExamples(labelled, classes, counts, tuple(unused), _warnings(int(judged.sum())))


def _again(row: LabelRow, first: LabelRow, what: str) -> str:
    if row.label == first.label:
        return f"the same {what} as on line {first.line}"
    return f"the same {what} as on line {first.line}, where it is {first.label or 'none of these'!r}"


def _warnings(judged: int) -> tuple[str, ...]:
    if not judged:
        return ("too few examples for validation: its quality is unknown, and its confidence is not calibrated",)
    if judged < head_task.ENOUGH:
        return (f"only {judged} examples were held out: the figures and the confidence of labels are rough",)
    return ()
