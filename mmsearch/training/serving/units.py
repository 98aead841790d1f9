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
    found = catalog.read(units_of_items, contents, together)
    return {path: found[item.item_id] for path, item in known.items()}


def units_of_items(snapshot: Snapshot, items: Mapping[int, int], together: bool) -> dict[int, Unit]:
    """What each item, given with its content, belongs to."""
    found: dict[int, Unit] = {item: (content,) for item, content in items.items()}
    for files in group_members(snapshot, items).values() if together else ():
        members = group_rules.ordered_group(files)
        own = tuple(sorted({file.content_id for file in members}))
        found |= {file.item_id: own for file in members if file.item_id in items}
    return found


def contents_of_units(wholes: Iterable[Unit]) -> list[int]:
    return sorted({content for whole in wholes for content in whole})


def unit_vectors(wholes: Collection[Unit], fusion: bytes, segments: SegmentVectors) -> tuple[list[Unit], Vectors]:
    """The wholes that have segments, ascending, and a vector of each, float32 (n, dim), unit rows.

    Args:
        fusion: A fusion's file; if empty, every whole is a single content.
        segments: All of the wholes' contents.

    Raises: WeightsError, InvalidInput for a fused vector that is not a number.
    """
    if not fusion:
        alone, made = content_directions(segments)
        return [(content,) for content in alone.tolist()], made
    parts = {whole: part for whole, part in zip(sorted(wholes), _parts(sorted(wholes), segments), strict=True) if part}
    return list(parts), _fused(fusion, list(parts.values()))


def shared_media(wholes: Sequence[Unit], segments: SegmentVectors) -> Iterator[tuple[int, int]]:
    """Places of wholes that share a picture or a sound. A text may lie beside many (a licence, an empty form)."""
    telling = {
        content for content, kind in zip(segments.contents.tolist(), segments.kinds, strict=True) if kind != "text"
    }
    first: dict[int, int] = {}
    for at, whole in enumerate(wholes):
        for content in telling.intersection(whole):
            yield first.setdefault(content, at), at


def content_directions(segments: SegmentVectors) -> tuple[Ids, Vectors]:
    """One vector of each content, as of a query's file: the modalities' mean directions, added up, to length 1.

    Returns content ids, ascending, and float32 (n, dim).
    """
    alone, owners = np.unique(segments.contents, return_inverse=True)
    whole = np.zeros((len(alone), segments.vectors.shape[1]), np.float32)
    kinds = np.array(segments.kinds)
    for kind in sorted(set(segments.kinds)):
        own = kinds == kind
        sums = np.zeros_like(whole)
        np.add.at(sums, owners[own], segments.vectors[own])
        whole += _unit(sums)
    return alone, _unit(whole)


def _parts(wholes: Sequence[Unit], found: SegmentVectors) -> Iterator[dict[Modality, Vectors]]:
    rows: dict[int, list[int]] = defaultdict(list)
    for row, content in enumerate(found.contents.tolist()):
        rows[content].append(row)
    for whole in wholes:
        own: dict[Modality, list[int]] = defaultdict(list)
        for row in (row for content in whole for row in rows[content]):
            own[found.kinds[row]].append(row)
        yield {kind: found.vectors[some] for kind, some in own.items()}


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
