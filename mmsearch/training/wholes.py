"""What a head takes for one thing: a file by itself, or all the files of its bundle; and the vector of it."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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


def of_paths(files: Collection[Path], catalog: Catalog, together: bool) -> dict[Path, Whole]:
    """What each path belongs to, for those that the library has; `together`: with its bundle."""
    known = at_paths(files, catalog)
    if not together:
        return {path: (content,) for path, content in known.items()}
    ids = at_paths(files, catalog, features.items_at)
    with catalog.reading() as snapshot:
        found = of_items(snapshot, {ids[path]: content for path, content in known.items()}, together)
    return {path: found[ids[path]] for path in known}


def of_items(snapshot: Snapshot, items: Mapping[int, int], together: bool) -> dict[int, Whole]:
    """What each item, given with its content, belongs to."""
    found: dict[int, Whole] = {item: (content,) for item, content in items.items()}
    for files in bundle.members(snapshot, items).values() if together else ():
        members = bundles.ordered(files)
        own = tuple(sorted({file.content_id for file in members}))
        found |= {file.item_id: own for file in members if file.item_id in items}
    return found


def contents(wholes: Iterable[Whole]) -> list[int]:
    return sorted({content for whole in wholes for content in whole})


def vectors(wholes: Collection[Whole], fusion: bytes, segments: features.Segments) -> tuple[list[Whole], Vectors]:
    """The wholes that have segments, ascending, and a vector of each, float32 (n, dim), unit rows.

    Args:
        fusion: A fusion's file; if empty, every whole is a single content.
        segments: All of the wholes' contents.

    Raises: WeightsError, InvalidInput for a fused vector that is not a number.
    """
    if not fusion:
        alone, made = profiles(segments)
        return [(content,) for content in alone.tolist()], made
    parts = {whole: part for whole, part in zip(sorted(wholes), _parts(sorted(wholes), segments), strict=True) if part}
    return list(parts), _fused(fusion, list(parts.values()))


def ties(wholes: Sequence[Whole], segments: features.Segments) -> Iterator[tuple[int, int]]:
    """Places of wholes that share a picture or a sound. A text may lie beside many (a licence, an empty form)."""
    telling = {
        content for content, kind in zip(segments.contents.tolist(), segments.kinds, strict=True) if kind != "text"
    }
    first: dict[int, int] = {}
    for at, whole in enumerate(wholes):
        for content in telling.intersection(whole):
            yield first.setdefault(content, at), at


def profiles(segments: features.Segments) -> tuple[Ids, Vectors]:
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
