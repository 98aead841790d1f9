"""What a head takes for one thing: a file by itself, or all the files of its bundle; and the vector of it."""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from mmsearch.catalog import Catalog, Snapshot, group_rules
from mmsearch.catalog.embeddings import SegmentVectors
from mmsearch.catalog.file_groups import group_members
from mmsearch.catalog.items import ItemAtPath, present_items_at
from mmsearch.encoders.fusion import fused_vectors, fusion_items, restore_fusion
from mmsearch.types import Ids, Modality, Vectors

AT_ONCE = 1 << 16
"""Segments fused at once, with those that only fill up: a long video is not to make every item as long."""

Unit: TypeAlias = tuple[int, ...]
"""Contents, ascending."""


def units_of_paths(files: Collection[Path], catalog: Catalog, together: bool) -> dict[Path, Unit]:
    """What each path belongs to, for those that the library has; `together`: with its bundle."""
    known = items_at_paths(files, catalog)
    if not together:
        return {path: (item.content_id,) for path, item in known.items()}
    contents = {item.item_id: item.content_id for item in known.values()}
    by_item = catalog.read(units_of_items, contents, together)
    return {path: by_item[item.item_id] for path, item in known.items()}


def units_of_items(snapshot: Snapshot, items: Mapping[int, int], together: bool) -> dict[int, Unit]:
    """What each item, given with its content, belongs to."""
    by_item: dict[int, Unit] = {item: (content,) for item, content in items.items()}
    for files in group_members(snapshot, items).values() if together else ():
        members = group_rules.ordered_group(files)
        own = tuple(sorted({file.content_id for file in members}))
        by_item |= {file.item_id: own for file in members if file.item_id in items}
    return by_item


def contents_of_units(units: Iterable[Unit]) -> list[int]:
    return sorted({content for unit in units for content in unit})


def unit_vectors(units: Collection[Unit], fusion: bytes, segments: SegmentVectors) -> tuple[list[Unit], Vectors]:
    """The units that have segments, ascending, and a vector of each, float32 (n, dim), unit rows.

    Args:
        fusion: A fusion's file; if empty, every unit is a single content.
        segments: All of the units' contents.

    Raises: WeightsError, InvalidInput for a fused vector that is not a number.
    """
    if not fusion:
        alone, made = content_directions(segments)
        return [(content,) for content in alone.tolist()], made
    ordered = sorted(units)
    members = zip(ordered, _vectors_by_modality(ordered, segments), strict=True)
    parts = {unit: vectors for unit, vectors in members if vectors}
    return list(parts), _fused(fusion, list(parts.values()))


def shared_media(units: Sequence[Unit], segments: SegmentVectors) -> Iterator[tuple[int, int]]:
    """Places of units that share a picture or a sound. A text may lie beside many (a licence, an empty form)."""
    telling = {
        content for content, kind in zip(segments.contents.tolist(), segments.kinds, strict=True) if kind != "text"
    }
    first: dict[int, int] = {}
    for at, unit in enumerate(units):
        for content in telling.intersection(unit):
            yield first.setdefault(content, at), at


def content_directions(segments: SegmentVectors) -> tuple[Ids, Vectors]:
    """One vector of each content, as of a query's file: the modalities' mean directions, added up, to length 1.

    Returns content ids, ascending, and float32 (n, dim).
    """
    alone, owners = np.unique(segments.contents, return_inverse=True)
    directions = np.zeros((len(alone), segments.vectors.shape[1]), np.float32)
    kinds = np.array(segments.kinds)
    for kind in sorted(set(segments.kinds)):
        own = kinds == kind
        sums = np.zeros_like(directions)
        np.add.at(sums, owners[own], segments.vectors[own])
        directions += _unit(sums)
    return alone, _unit(directions)


def _vectors_by_modality(units: Sequence[Unit], segments: SegmentVectors) -> Iterator[dict[Modality, Vectors]]:
    rows: dict[int, list[int]] = defaultdict(list)
    for row, content in enumerate(segments.contents.tolist()):
        rows[content].append(row)
    for unit in units:
        own: dict[Modality, list[int]] = defaultdict(list)
        for row in (row for content in unit for row in rows[content]):
            own[segments.kinds[row]].append(row)
        yield {kind: segments.vectors[some] for kind, some in own.items()}


def _fused(fusion: bytes, parts: Sequence[Mapping[Modality, Vectors]]) -> Vectors:
    module, facts = restore_fusion(fusion)
    made = np.zeros((len(parts), facts.dim), np.float32)
    for some in _batches([sum(map(len, part.values())) for part in parts]):
        made[some] = fused_vectors(module, fusion_items([parts[at] for at in some], facts.modalities))
    return made


def _batches(sizes: Sequence[int]) -> Iterator[list[int]]:
    """Places, those of like sizes together."""
    batch: list[int] = []
    for at in np.argsort(sizes, kind="stable").tolist():
        if batch and (len(batch) + 1) * sizes[at] > AT_ONCE:
            yield batch
            batch = []
        batch.append(at)
    if batch:
        yield batch


def _unit(rows: Vectors) -> Vectors:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)


def items_at_paths(files: Collection[Path], catalog: Catalog) -> dict[Path, ItemAtPath]:
    """What the library has at these paths, as they are written or with symbolic links followed."""
    names = {path: (os.fsencode(path), os.fsencode(os.path.realpath(path))) for path in files}
    at = catalog.read(present_items_at, sorted({name for both in names.values() for name in both}))
    return {path: at[name] for path, both in names.items() for name in reversed(both) if name in at}
