"""What two contents prove: the kind of change that leads from one to the other, with the method and its figure."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from mmsearch.media.sameness.evidence import Evidence, PictureEvidence
from mmsearch.media.sameness.pictures import BLANK, DRAWN, PictureShape, reduced, related_picture, same_picture
from mmsearch.media.sameness.sounds import same_sound
from mmsearch.types import Modality

Kind: TypeAlias = Literal["copy", "saved again", "resized", "transcoded", "cropped", "recoloured", "burst", "revised"]
KINDS: tuple[Kind, ...] = get_args(Kind)

SAME: frozenset[Kind] = frozenset({"copy", "saved again", "resized", "transcoded"})
"""The same thing, perhaps worse: what a search folds away, and what may be offered for deletion."""

REVISED_FROM = 0.8
"""Share of the runs of words that a text and its revision have in common, at least."""

DOUBTFUL = 8.0
"""Grey levels that two pages, screens or drawings may differ by and be the same for certain: a digit of small type that
another was put for differs by 10 and more, and so does what JPEG leaves of some pages."""

LENGTH_S, LENGTH_SHARE = 0.12, 0.005
"""Seconds, and the share of the whole, that two videos may differ by in length."""
FRAME_CORRELATION = 0.975
"""Of any two frames of two videos, at least."""
FRAME_LEVELS = 20.0
"""What four neighbouring cells of two frames may differ by, in grey levels: the moment may be a frame off."""
USUAL_LEVELS = 8.0
"""And what they differ by in the median frame."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the catalog knows of a content beside its evidence."""

    modality: Modality
    width: int = 0
    height: int = 0
    duration: float | None = None
    """Seconds."""
    taken: str | None = None
    """When a camera took it."""


@dataclass(frozen=True, slots=True)
class Witness:
    """A content as proofs see it."""

    facts: Facts
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Proof:
    """How a content is related to another, the one to keep."""

    kind: Kind
    method: str
    """bytes, pixels, registration, frames, spectrogram, lines or shingles."""
    figure: float
    """Of the method: the largest difference in grey levels (pixels, frames), a correlation (registration), decibels
    (spectrogram), a share of 1 (bytes, lines, shingles)."""


COPY = Proof("copy", "bytes", 1.0)


def same(one: Witness, other: Witness) -> Proof | None:
    """The proof that two contents are the same thing, of a kind in `SAME`; None where there is none, or a doubt."""
    found = prove(one, other, related=False)
    return found if found is not None and found.kind in SAME and not is_doubtful(one, other, found) else None


def is_doubtful(one: Witness, other: Witness, proof: Proof) -> bool:
    """Whether it takes a second look at the files (`mmsearch.media.fine`) to know that they differ in no digit."""
    if proof.method != "pixels" or proof.kind not in SAME or proof.figure <= DOUBTFUL:
        return False
    return any(picture.flat >= DRAWN for witness in (one, other) for picture in witness.evidence.pictures)


def prove(one: Witness, other: Witness, *, related: bool = True) -> Proof | None:
    """How `other` is related to `one`; None where nothing is proved.

    Args:
        related: Whether to look for what only resembles it too: crops, bursts, revisions.
    """
    modality = one.facts.modality
    if modality != other.facts.modality:
        return None
    if modality == "image":
        return _pictures(one, other, related)
    if modality == "audio":
        return _sounds(one, other)
    if modality == "video":
        return _videos(one, other)
    return _texts(one, other, related) if modality == "text" else None


def _pictures(one: Witness, other: Witness, related: bool) -> Proof | None:
    mine, theirs = one.evidence.pictures, other.evidence.pictures
    if not mine or len(mine) != len(theirs):
        return None
    shapes = _shape(one.facts), _shape(other.facts)
    # One picture may be a part of another; of animations each frame must be the same.
    compare = related_picture if related and len(mine) == 1 else same_picture
    found = [compare(a, b, shapes) for a, b in zip(mine, theirs, strict=True)]
    proofs = [proof for proof in found if proof is not None]
    if len(proofs) < len(mine):
        return None
    worst = max(proofs, key=lambda proof: (proof.change == "recoloured", proof.figure))
    if worst.change == "same":
        if _taken_apart(one.facts, other.facts):
            return Proof("burst", "pixels", worst.figure)
        return Proof("saved again" if shapes[0] == shapes[1] else "resized", "pixels", worst.figure)
    method = "pixels" if worst.change == "recoloured" else "registration"
    return Proof(worst.change, method, worst.figure)


def _taken_apart(one: Facts, other: Facts) -> bool:
    """Whether a camera took them at two moments."""
    return one.taken is not None and other.taken is not None and one.taken != other.taken


def _shape(facts: Facts) -> PictureShape:
    return PictureShape(facts.width, facts.height)


def _sounds(one: Witness, other: Witness) -> Proof | None:
    if one.evidence.sound is None or other.evidence.sound is None:
        return None
    found = same_sound(one.evidence.sound, other.evidence.sound)
    return None if found is None else Proof("transcoded", "spectrogram", found.figure)


def _videos(one: Witness, other: Witness) -> Proof | None:
    mine, theirs = one.evidence, other.evidence
    if not mine.pictures or len(mine.pictures) != len(theirs.pictures):
        return None
    lengths = one.facts.duration, other.facts.duration
    if lengths[0] is None or lengths[1] is None:
        return None
    if abs(lengths[0] - lengths[1]) > LENGTH_S + LENGTH_SHARE * max(lengths[0], lengths[1]):
        return None
    if (mine.sound is None) != (theirs.sound is None):
        return None
    if mine.sound is not None and theirs.sound is not None and same_sound(mine.sound, theirs.sound) is None:
        return None
    figures = [_frames(a, b) for a, b in zip(mine.pictures, theirs.pictures, strict=True)]
    known = [figure for figure in figures if figure is not None]
    if len(known) < len(figures) or not any(known):
        return None
    middle = sorted(known)[len(known) // 2]
    return Proof("transcoded", "frames", middle) if middle <= USUAL_LEVELS else None


def _frames(one: PictureEvidence, other: PictureEvidence) -> float | None:
    """The largest difference of two frames, in grey levels; 0 if both are blank; None if they are others."""
    a, b = reduced(one.grey, one.side), reduced(other.grey, one.side)
    spread = float(a.std()), float(b.std())
    if max(spread) <= BLANK:
        return 0.0 if abs(float(a.mean()) - float(b.mean())) <= 16 else None
    x, y = a.ravel() - a.mean(), b.ravel() - b.mean()
    if float(x @ y) < FRAME_CORRELATION * float(np.sqrt(float(x @ x) * float(y @ y))):
        return None
    rest = a - b
    rest -= rest.mean()
    worst = float(np.abs(rest[1:, 1:] + rest[:-1, 1:] + rest[1:, :-1] + rest[:-1, :-1]).max()) / 4
    return worst if worst <= FRAME_LEVELS else None


def _texts(one: Witness, other: Witness, related: bool) -> Proof | None:
    a, b = one.evidence.text, other.evidence.text
    if a is None or b is None:
        return None
    if a.digest == b.digest:
        return Proof("saved again", "lines", 1.0)
    if not related or not a.shingles or not b.shingles:
        return None
    common = float((a.minhash == b.minhash).mean())
    return Proof("revised", "shingles", common) if common >= REVISED_FROM else None
