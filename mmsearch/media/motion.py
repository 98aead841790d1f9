"""The film behind a still: what phones call a motion photo is a JPEG or HEIC with an MP4 after it, or in a box of it.

Google's older and newer XMP, Samsung's trailer and others' each say in their own way where it is, and edits leave them
saying what is no longer so: the film is found by how every MP4 begins.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from mmsearch.errors import LimitExceeded, MediaError
from mmsearch.media import audio, timeline, video
from mmsearch.media import container as files
from mmsearch.types import Limits, Segment, Span, Windowing

LARGEST = 256 * 2**20
"""Bytes of a picture that is looked through; with its film it has some ten megabytes."""

LONGEST_S = 60.0
"""Of a film that somebody would call a moving photo; they last up to three seconds, some phones' a little longer."""

_BEGINNING = re.compile(rb"\0\0[\0-\x01].ftyp(?:mp4[12v]|iso[m2-9]|avc1|MSNV|qt  |3g[p2].|M4V |mmp4|dash)", re.DOTALL)


def film_in(path: Path) -> bytes | None:
    """The film of a motion photo; None if it has none."""
    with open(path, "rb") as file:
        head = file.read(12)
        if not head.startswith(b"\xff\xd8\xff") and head[4:8] != b"ftyp":
            return None
        file.seek(0)
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        return None
    at = data.find(b"ftyp", 12)  # a HEIC itself begins with one
    while at >= 4:
        if _BEGINNING.match(data, at - 4):
            return data[at - 4 :]
        at = data.find(b"ftyp", at + 4)
    return None


def film_segments(path: Path, windowing: Windowing, limits: Limits) -> Iterator[Segment]:
    """`min_frames` frames at most, evenly spaced in time, and the windows of its sound, on the film's clock; nothing
    where there is no film, or none that can be read."""
    film = film_in(path)
    if film is None:
        return
    for part in (_frames, _sound):
        # A still with a damaged film is a still.
        with suppress(MediaError), files.opened_bytes(film) as container:
            length = files.duration(container)
            if length is not None and length <= min(LONGEST_S, limits.duration_s):
                yield from part(path, container, length, windowing, limits)


def _frames(path: Path, container: Any, length: float, windowing: Windowing, limits: Limits) -> Iterator[Segment]:
    stream = files.picture_stream(container)
    if stream is None:
        return
    if stream.codec_context.width * stream.codec_context.height > limits.pixels:
        raise LimitExceeded("frames of too many pixels")
    start, count = timeline.origin(container), windowing.min_frames
    step = length / count
    taken = 0
    for frame in timeline.frames(container, stream):
        if timeline.since(frame, start) >= (taken + 0.5) * step and frame.width * frame.height <= limits.pixels:
            span = Span(start=round(taken * step, 3), end=round((taken + 1) * step, 3))
            yield Segment("image", video.upright_rgb(frame, windowing.image_side), span, part=True)
            taken += 1
        if taken == count:
            return


def _sound(path: Path, container: Any, length: float, windowing: Windowing, limits: Limits) -> Iterator[Segment]:
    if not container.streams.audio:
        return
    for segment in audio.sound_segments(path, container, windowing, limits, timeline.origin(container)):
        yield Segment(segment.modality, segment.data, segment.span, segment.rate, part=True)
