"""Evidence: what a content looks, sounds or reads like, small enough to be kept for each; and its bytes.

    version, then parts: kind, fields, size of the deflated array, the array
    P   a picture or a frame: a grey copy, its colours, how much of it is flat
    S   a sound: a spectrogram
    T   a text: the hash of its lines, and its MinHash

What is read back may be anything (a damaged catalog, a stranger's export): it makes sense as a whole or is no evidence.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

VERSION = 1
"""Evidence of two versions is not compared: what makes it would give other values."""

LARGEST = 128 * 1024
"""Bytes that evidence of one content has at most, whatever it is."""

BANDS = 20
"""Of a spectrogram."""
COLOURS = 16
"""Side of the copy that colours are compared in."""
HASHES = 64
"""Values of a MinHash."""

_SIDES = (32, 96, 256)
_STEP = 4
"""Grey levels that count as one: what JPEG changes more than that anyway."""
_PICTURE, _SOUND, _TEXT = struct.Struct("<HfB"), struct.Struct("<Iff"), struct.Struct("<16sI")
_SIZE = struct.Struct("<I")
_MOST_FRAMES = 4096


@dataclass(frozen=True, eq=False)
class PictureEvidence:
    """A picture, or a frame of a video."""

    grey: NDArray[np.uint8]
    """(side, side): the picture stretched to a square."""
    colours: NDArray[np.int8]
    """(2, 16, 16): blue and red chroma around 0; (2, 0, 0) where they are not kept."""
    flat: float
    """Share of it that is flat, in [0, 1]: of photos little, of pages and drawings most."""

    @property
    def side(self) -> int:
        return int(self.grey.shape[0])

    @cached_property
    def coarse(self) -> NDArray[np.float32]:
        """(64,): the means of eighths, without their mean, of length 1, or 0 where all are equal."""
        part = self.side // 8
        means = self.grey.reshape(8, part, 8, part).mean(axis=(1, 3), dtype=np.float32).ravel()
        means -= means.mean()
        length = float(np.sqrt(means @ means))
        return np.asarray(means / length if length > 1e-3 else means * 0, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class SoundEvidence:
    """A sound."""

    levels: NDArray[np.uint8]
    """(frames, bands): quarters of a decibel above the floor."""
    hop_s: float
    """Seconds from one frame to the next."""
    duration_s: float
    """Seconds that were decoded."""


@dataclass(frozen=True, slots=True, eq=False)
class TextEvidence:
    """A text."""

    digest: bytes
    """Of its lines, without what is at their ends; 16 bytes."""
    shingles: int
    """Runs of words that it has."""
    minhash: NDArray[np.uint32]
    """(64,)"""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """All that is kept of one content."""

    pictures: tuple[PictureEvidence, ...] = ()
    sound: SoundEvidence | None = None
    text: TextEvidence | None = None

    def __bool__(self) -> bool:
        return bool(self.pictures or self.sound or self.text)


def pack(evidence: Evidence) -> bytes:
    """The bytes that `unpack` reads, `LARGEST` at most; what would be larger is no evidence."""
    parts = [bytes([VERSION])]
    for one in evidence.pictures:
        levels = (one.grey + np.uint16(_STEP // 2)) // _STEP
        body = _predicted(levels.astype(np.uint8)).tobytes() + one.colours.tobytes()
        parts += _part(b"P", _PICTURE.pack(one.side, one.flat, one.colours.shape[1]), body)
    if evidence.sound is not None:
        heard = evidence.sound
        body = np.diff(heard.levels, axis=0, prepend=np.zeros((1, BANDS), np.uint8)).tobytes()
        parts += _part(b"S", _SOUND.pack(len(heard.levels), heard.hop_s, heard.duration_s), body)
    if evidence.text is not None:
        written = evidence.text
        parts += _part(b"T", _TEXT.pack(written.digest, written.shingles), written.minhash.astype("<u4").tobytes())
    made = b"".join(parts)
    return made if len(made) <= LARGEST else bytes([VERSION])


def unpack(data: bytes) -> Evidence | None:
    """What `pack` made; None for what it did not make, or another version of it."""
    if not data or data[0] != VERSION or len(data) > LARGEST:
        return None
    pictures: list[PictureEvidence] = []
    sound, text = None, None
    try:
        for kind, fields, body in _parts(memoryview(data)[1:]):
            if kind == b"P":
                pictures.append(_picture(fields, body))
            elif kind == b"S":
                sound = _sound(fields, body)
            else:
                text = _text(fields, body)
    except (ValueError, struct.error, zlib.error):
        return None
    return Evidence(tuple(pictures), sound, text)


def _part(kind: bytes, fields: bytes, body: bytes) -> list[bytes]:
    deflated = zlib.compress(body, 6)
    return [kind, fields, _SIZE.pack(len(deflated)), deflated]


def _parts(rest: memoryview) -> Iterator[tuple[bytes, tuple[Any, ...], bytes]]:
    layouts = {b"P": _PICTURE, b"S": _SOUND, b"T": _TEXT}
    while rest:
        layout = layouts.get(kind := bytes(rest[:1]))
        if layout is None:
            raise ValueError("no such part")
        fields = layout.unpack(rest[1 : 1 + layout.size])
        (size,) = _SIZE.unpack(rest[1 + layout.size : (start := 1 + layout.size + _SIZE.size)])
        inflater = zlib.decompressobj()
        body = inflater.decompress(bytes(rest[start : start + size]), _wanted(kind, fields) + 1)
        yield kind, fields, body
        rest = rest[start + size :]


def _wanted(kind: bytes, fields: tuple[Any, ...]) -> int:
    """Bytes that a part's array must have."""
    if kind == b"P":
        return int(fields[0]) ** 2 + 2 * int(fields[2]) ** 2
    if kind == b"S":
        return int(fields[0]) * BANDS if fields[0] <= _MOST_FRAMES else 0
    return HASHES * 4


def _picture(fields: tuple[Any, ...], body: bytes) -> PictureEvidence:
    side, flat, colours = fields
    if side not in _SIDES or colours not in (0, COLOURS) or not 0 <= flat <= 1 or len(body) != _wanted(b"P", fields):
        raise ValueError("no picture")
    levels = _restored(np.frombuffer(body, np.uint8, side * side).reshape(side, side))
    grey = np.minimum(levels.astype(np.uint16) * _STEP, 255).astype(np.uint8)
    return PictureEvidence(grey, np.frombuffer(body, np.int8, -1, side * side).reshape(2, colours, colours), flat)


def _sound(fields: tuple[Any, ...], body: bytes) -> SoundEvidence:
    frames, hop_s, duration_s = fields
    sensible = math.isfinite(duration_s) and math.isfinite(hop_s) and hop_s > 0 and duration_s >= 0
    if not sensible or not 0 < frames <= _MOST_FRAMES or len(body) != frames * BANDS:
        raise ValueError("no sound")
    steps = np.frombuffer(body, np.uint8).reshape(frames, BANDS)
    return SoundEvidence(np.cumsum(steps, axis=0, dtype=np.uint8), hop_s, duration_s)


def _text(fields: tuple[Any, ...], body: bytes) -> TextEvidence:
    digest, shingles = fields
    if len(body) != HASHES * 4:
        raise ValueError("no text")
    return TextEvidence(digest, shingles, np.frombuffer(body, "<u4").astype(np.uint32))


def _predicted(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Each level less the one above it less the two before it: what deflates well, and comes back exactly."""
    across = np.diff(levels, axis=1, prepend=np.zeros((len(levels), 1), np.uint8))
    return np.diff(across, axis=0, prepend=np.zeros((1, levels.shape[1]), np.uint8))


def _restored(steps: NDArray[np.uint8]) -> NDArray[np.uint8]:
    across: NDArray[np.uint8] = np.cumsum(steps, axis=0, dtype=np.uint8)
    return np.cumsum(across, axis=1, dtype=np.uint8)
