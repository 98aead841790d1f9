"""What a head takes for one thing: a file by itself, or all the files of its bundle; and the vector of it."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from mmsearch import bundles
from mmsearch.catalog import Catalog, Snapshot, bundle, features
from mmsearch.encoders.fusion import fused, items, restore
from mmsearch.training.examples import at_paths
from mmsearch.types import Ids, Modality, Vectors

AT_ONCE = 1 << 16
"""Segments fused at once, with those that only fill up: a long video is not to make every item as long."""

Whole: TypeAlias = tuple[int, ...]
"""Contents, ascending."""

Segments: TypeAlias = Callable[[Sequence[int]], features.Segments]
"""Every segment of some contents."""


def of_paths(files: Collection[Path], catalog: Catalog, together: bool) -> dict[Path, Whole]:
    """What each path belongs to, for those that the library has; `together`: with its bundle."""
    contents = at_paths(files, catalog)
    if not together:
        return {path: (content,) for path, content in contents.items()}
    ids = at_paths(files, catalog, features.items_at)
    with catalog.reading() as snapshot:
        found = of_items(snapshot, {ids[path]: content for path, content in contents.items()}, together)
    return {path: found[ids[path]] for path in contents}


def of_items(snapshot: Snapshot, contents: Mapping[int, int], together: bool) -> dict[int, Whole]:
    """What each item, given with its content, belongs to."""
    found: dict[int, Whole] = {item: (content,) for item, content in contents.items()}
    for files in bundle.members(snapshot, contents).values() if together else ():
        members = bundles.ordered(files)
        own = tuple(sorted({file.content_id for file in members}))
        found |= {file.item_id: own for file in members if file.item_id in contents}
    return found


def vectors(wholes: Collection[Whole], fusion: bytes, segments: Segments) -> tuple[list[Whole], Vectors]:
    """The wholes that have segments, ascending, and a vector of each, float32 (n, dim), unit rows.

    Args:
        fusion: A fusion's file; if empty, every whole is a single content.

    Raises: WeightsError, InvalidInput for a fused vector that is not a number.
    """
    found = segments(sorted({content for whole in wholes for content in whole}))
    if not fusion:
        contents, made = profiles(found)
        return [(content,) for content in contents.tolist()], made
    parts = {whole: part for whole, part in zip(sorted(wholes), _parts(sorted(wholes), found), strict=True) if part}
    return list(parts), _fused(fusion, list(parts.values()))


def profiles(segments: features.Segments) -> tuple[Ids, Vectors]:
    """One vector of each content, as of a query's file: the modalities' mean directions, added up, to length 1.

    Returns content ids, ascending, and float32 (n, dim).
    """
    contents, owners = np.unique(segments.contents, return_inverse=True)
    whole = np.zeros((len(contents), segments.vectors.shape[1]), np.float32)
    kinds = np.array(segments.kinds)
    for kind in sorted(set(segments.kinds)):
        own = kinds == kind
        sums = np.zeros_like(whole)
        np.add.at(sums, owners[own], segments.vectors[own])
        whole += _unit(sums)
    return contents, _unit(whole)


def _parts(wholes: Sequence[Whole], found: features.Segments) -> Iterator[dict[Modality, Vectors]]:
    rows: dict[int, list[int]] = defaultdict(list)
    for row, content in enumerate(found.contents.tolist()):
        rows[content].append(row)
    for whole in wholes:
        own: dict[Modality, list[int]] = defaultdict(list)
        for row in (row for content in whole for row in rows[content]):
            own[found.kinds[row]].append(row)
        yield {kind: found.vectors[some] for kind, some in own.items()}


def _fused(fusion: bytes, parts: Sequence[Mapping[Modality, Vectors]]) -> Vectors:
    module, facts = restore(fusion)
    made = np.zeros((len(parts), facts.dim), np.float32)
    for some in _batches([sum(map(len, part.values())) for part in parts]):
        made[some] = fused(module, items([parts[at] for at in some], facts.modalities))
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
