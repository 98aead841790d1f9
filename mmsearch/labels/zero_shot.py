"""Zero-shot labels: of some names, the one that each item is nearest to, or none of them.

Which name is decided within the item, by cosine, with a prompt that suits its kind ("the sound of ..."), as usual for
zero-shot classification (Radford et al., "CLIP", ICML 2021). Whether any of them fits is decided by the bare name's
score against the background of neutral words, which are bare too: see `mmsearch.calibration`.
"""

import math
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mmsearch.calibration import ScoreCalibrator
from mmsearch.catalog import Catalog, ListKey, NewTag, Snapshot
from mmsearch.catalog.lists import list_changes, list_keys
from mmsearch.catalog.segments import contents_of_segments, resolve_segments
from mmsearch.catalog.selections import selected_segments
from mmsearch.core.filters.ast import Filter
from mmsearch.errors import InvalidInput, LibraryError, NoSharedSpace
from mmsearch.types import Ids, Label, Modality, Segment, Space, Vectors

PROMPTS: Mapping[Modality, str] = {"image": "a photo of a {}", "audio": "the sound of {}"}
"""Segment modality -> the sentence a name stands in while names are compared; the bare name for others."""

TOLD = {("image", "text"), ("audio", "text")}
"""Lists of what is written in pictures and said in recordings: a name is given for what is seen and heard."""

LONGEST = 200
"""Characters of a name."""

Scores: TypeAlias = NDArray[np.float32]


@dataclass(slots=True)
class _Seen:
    """What one content's segments of one list gave so far."""

    prompted: Scores
    """(labels,) best cosine of each name in its sentence."""
    bare: Scores
    """(labels,) best cosine of each name alone."""
    segment: int
    """Any of its segments."""
    count: int = 0


@dataclass(frozen=True, slots=True)
class _Choice:
    """A content's nearest names."""

    segment: int
    best: int
    second: int
    confidence: float


def checked_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names without blanks around them. Raises: InvalidInput for fewer than two, or any that is empty, endless,
    unprintable or there twice."""
    clean = tuple(" ".join(name.split()) for name in names)
    if not all(clean):
        raise InvalidInput("an empty name among the labels", hint="remove the extra comma")
    if long := next((name for name in clean if len(name) > LONGEST), None):
        raise InvalidInput(f"a label of {len(long)} characters: {long[:40]}…", hint=f"at most {LONGEST}")
    if broken := next((name for name in clean if not name.isprintable()), None):
        raise InvalidInput(
            f"the label {broken!r} contains characters that cannot be printed", hint="write it in letters"
        )
    count = Counter(name.casefold() for name in clean)
    if twice := next((name for name in clean if count[name.casefold()] > 1), None):
        raise InvalidInput(f"the label {twice!r} is named twice", hint="name each once")
    if len(clean) < 2:
        raise InvalidInput(
            "labels are told apart from each other: at least two names are needed",
            hint='add what else it could be, such as "cat,dog,something else"; or search for the one',
        )
    return clean


def label_zero_shot(
    names: Sequence[str],
    space: Space,
    catalog: Catalog,
    calibrator_of: Callable[[str, Vectors], ScoreCalibrator],
    *,
    modalities: Collection[Modality] | None = None,
    filter: Filter | None = None,
    min_confidence: float,
) -> tuple[list[Label], list[NewTag]]:
    """Every matching present item with its label, by path; and the tags that say the same.

    Args:
        names: Checked ones.
        calibrator_of: Of a name and its vector, float32 (1, dim), what is known about its scores.
        min_confidence: Confidence in [0, 1] below which none of the names is said to fit.

    Raises: NoSharedSpace if the space has no words, LibraryError if the library was never calibrated.
    """
    if "text" not in space.encoders:
        raise NoSharedSpace(
            f"the model {space.name!r} knows no words, which labels need", hint="choose another: mmsearch models"
        )
    with catalog.reading() as snapshot:
        keys = [
            key
            for key in list_keys(snapshot, space.name)
            if (modalities is None or key.item in modalities) and (key.item, key.segment) not in TOLD
        ]
        chosen: dict[int, _Choice] = {}
        for key in keys:
            for content, choice in _choices(snapshot, key, names, space, calibrator_of, filter):
                known = chosen.get(content)
                # A video is in two lists, its frames and its sound: what is surer counts.
                if known is None or choice.confidence > known.confidence:
                    chosen[content] = choice
        segments = np.array(sorted(choice.segment for choice in chosen.values()), np.int64)
        found = resolve_segments(snapshot, segments, filter)
    labelled = [
        _labelled(Path(os.fsdecode(one.path)), one.modality, chosen[one.content_id], names, min_confidence)
        for one in sorted(found, key=lambda one: one.path)
    ]
    tags = {
        one.content_id: NewTag(one.content_id, names[choice.best], choice.confidence)
        for one in found
        if (choice := chosen[one.content_id]).confidence >= min_confidence
    }
    looked_at = {one.content_id: NewTag(one.content_id, None, 0.0) for one in found}
    return labelled, [(looked_at | tags)[content] for content in sorted(looked_at)]


def _labelled(path: Path, modality: Modality, choice: _Choice, names: Sequence[str], min_confidence: float) -> Label:
    fits = choice.confidence >= min_confidence
    return Label(
        path=path,
        modality=modality,
        label=names[choice.best] if fits else None,
        confidence=choice.confidence,
        runner_up=names[choice.second if fits else choice.best],
    )


def _choices(
    snapshot: Snapshot,
    key: ListKey,
    names: Sequence[str],
    space: Space,
    calibrator_of: Callable[[str, Vectors], ScoreCalibrator],
    filter: Filter | None,
) -> Iterator[tuple[int, _Choice]]:
    """Of every content of a list, what it is nearest to."""
    ids = None if filter is None else selected_segments(snapshot, filter, key)
    if ids is not None and not len(ids):
        return
    bare, prompted = _vectors(space, names, "{}"), _vectors(space, names, PROMPTS.get(key.segment, "{}"))
    calibrators = [calibrator_of(name, bare[place : place + 1]) for place, name in enumerate(names)]
    null_distributions = [one.null_distribution([key]) for one in calibrators if one.covers([key])]
    for content, seen in _scored(snapshot, key, space.dim, bare, prompted, ids).items():
        if not null_distributions:
            raise LibraryError("the library has not measured its scores yet", hint="finish an ingest: mmsearch ingest")
        best, second = np.lexsort((-seen.bare, -seen.prompted))[:2].tolist()
        tail = calibrators[best].tail(key, float(seen.bare[best]))
        confidence = null_distributions[best].confidence(tail, seen.count * len(names))
        yield content, _Choice(seen.segment, best, second, confidence if math.isfinite(confidence) else 0.0)


def _vectors(space: Space, names: Sequence[str], prompt: str) -> Vectors:
    """float32 (names, dim), unit rows."""
    encoder = space.encoders["text"]
    prepared = [encoder.prepare(Segment("text", prompt.format(name))) for name in names]
    size = encoder.spec.batch_size
    return np.concatenate([encoder.encode(prepared[i : i + size], query=True) for i in range(0, len(prepared), size)])


def _scored(
    snapshot: Snapshot, key: ListKey, dim: int, bare: Vectors, prompted: Vectors, ids: Ids | None
) -> dict[int, _Seen]:
    """Content id -> its best scores; vectors are read in chunks, whatever the list's length. `ids`: only these."""
    seen: dict[int, _Seen] = {}
    for change in list_changes(snapshot, key, dim, -1):
        rows = np.arange(len(change.ids)) if ids is None else np.flatnonzero(np.isin(change.ids, ids))
        owners = contents_of_segments(snapshot, change.ids[rows])
        plain, framed = change.vectors[rows] @ bare.T, change.vectors[rows] @ prompted.T  # (rows, names)
        for row, segment in enumerate(change.ids[rows].tolist()):
            one = seen.setdefault(owners[segment], _Seen(framed[row], plain[row], segment))
            one.prompted = np.maximum(one.prompted, framed[row])
            one.bare = np.maximum(one.bare, plain[row])
            one.count += 1
    return seen
