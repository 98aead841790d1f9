"""Subtitles: what is said in a film, line by line, with the time at which it is shown. Of files (SubRip, WebVTT,
SubStation Alpha) and of the text tracks inside containers.

They are read leniently, as players do, a line of the file at a time; what makes no sense is left out, and nothing of it
is an error.
"""

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import av
from av.container import InputContainer

from mmsearch.errors import MediaError
from mmsearch.media import plaintext, timeline
from mmsearch.media.clock import Clock
from mmsearch.types import Segment, Span

MOST = 4096
"""Lines of a track that are found by themselves, more than any film has; of more, neighbours are taken together."""

TRACKS = 8
"""Tracks of a container that are read."""

LONGEST = 1000
"""Characters of a line."""

_HEAD = 4096
"""Characters within which a file shows what it is."""

_TIME = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})[,.](\d{1,3})"
_TIMING = re.compile(rf"[ \t]*{_TIME}[ \t]*-->[ \t]*{_TIME}", re.ASCII)
_SUBRIP = re.compile(r"\s*(?:\d+[ \t]*\r?\n[ \t]*)?\d{1,3}:\d{1,2}:\d{1,2}[,.]\d{1,3}[ \t]*-->", re.ASCII)
_SCRIPT = re.compile(r"\s*\[Script Info\]", re.IGNORECASE)
_CLOCK = re.compile(r"\s*(\d{1,3}):(\d{1,2}):(\d{1,2})[.:,](\d{1,3})\s*", re.ASCII)

_TAG = re.compile(r"<[^<>]{0,500}>")
_OVERRIDE = re.compile(r"\{\\[^{}]{0,500}\}")
_DRAWING = re.compile(r"\{[^{}]{0,500}\\p[1-9][^{}]{0,500}\}")
_COUNTER = re.compile(r"\s*\d+\s*")
_LETTER = re.compile(r"[^\W_]")

_PLAIN = frozenset({"subrip", "srt", "text", "webvtt", "mov_text"})
_SCRIPTS = frozenset({"ass", "ssa"})
_FIELDS = ("readorder", "layer", "style", "name", "marginl", "marginr", "marginv", "effect", "text")
"""Of a line of a script inside a container, which keeps its times outside."""


@dataclass(frozen=True, slots=True)
class Line:
    """Words that are shown together, without markup."""

    start: float
    """Seconds."""
    end: float
    text: str


def are_subtitles(text: str) -> bool:
    """Whether a text, whole or its beginning, is of a kind that `lines_of` reads."""
    if text.startswith("WEBVTT"):
        return text[6:7] in ("", " ", "\t", "\n", "\r")
    return _SUBRIP.match(text, 0, _HEAD) is not None or _SCRIPT.match(text, 0, _HEAD) is not None


def lines_of(text: str) -> list[Line]:
    """The lines of a whole subtitle file, by their times; `MOST` at most."""
    found = _script(text) if _SCRIPT.match(text, 0, _HEAD) else _cues(text)
    return bounded(tidy(found))


def subtitle_segments(lines: Iterable[Line], begin: int = 0) -> Iterator[Segment]:
    """A segment of each line. Offsets count the characters of all lines, one below the other.

    Args:
        begin: Characters before the first.
    """
    for line in lines:
        end = begin + len(line.text)
        yield Segment("text", line.text, Span(line.start, line.end, None, begin, end, line.text))
        begin = end + 1


def text_tracks(container: InputContainer) -> list[Any]:
    """Its tracks of text, not of pictures of text, `TRACKS` at most: the default one first."""
    known = [one for one in container.streams.subtitles if _codec(one) in _PLAIN | _SCRIPTS]
    return sorted(known, key=lambda one: not one.disposition & av.stream.Disposition.default)[:TRACKS]


def embedded_segments(container: InputContainer, clock: Clock, origin: float) -> Iterator[Segment]:
    """The lines of an opened file's text tracks, track after track, each line once.

    Args:
        origin: Seconds on the clock that count as 0.
    """
    tracks = text_tracks(container)
    found: dict[int, list[Line]] = {stream.index: [] for stream in tracks}
    for packet in timeline.packets(container, tracks, clock):
        base, text = packet.time_base, _words(packet)
        if text and packet.pts is not None and base:
            start = max(0.0, float(packet.pts * base) - origin)
            found[packet.stream.index].append(Line(start, start + float((packet.duration or 0) * base), text))
    seen, begin = set[tuple[int, str]](), 0
    for lines in found.values():
        fresh = [line for line in tidy(lines) if (round(line.start), line.text) not in seen]
        seen.update((round(line.start), line.text) for line in fresh)
        for segment in subtitle_segments(bounded(fresh), begin):
            begin = (segment.span.char_end or 0) + 1
            yield replace(segment, part=True)


def _codec(stream: Any) -> str:
    return "" if stream.codec_context is None else str(stream.codec_context.name)


def _words(packet: Any) -> str:
    """What a packet of a text track says, with its markup."""
    data, codec = bytes(packet), _codec(packet.stream)
    if codec == "mov_text":
        data = data[2 : 2 + int.from_bytes(data[:2], "big")]
    try:
        text = plaintext.decoded_text(data) if data.strip(b"\0") else ""
    except MediaError:
        return ""
    if codec in _SCRIPTS:
        fields = text.split(",", len(_FIELDS) - 1)
        return _plain_script(fields[-1]) if len(fields) == len(_FIELDS) else ""
    return text


def tidy(lines: Iterable[Line]) -> list[Line]:
    """The lines in order of time without markup, and without what a line repeats of the one before it, as captions do
    that roll, and layers of one line."""
    made: list[Line] = []
    before: set[str] = set()
    for line in sorted(lines, key=lambda one: (one.start, one.end)):
        rows = [row for row in map(_plain, line.text.split("\n")) if row]
        touches = bool(made) and line.start <= made[-1].end + 0.05
        fresh = [row for row in rows if row not in before] if touches else rows
        text = " ".join(fresh)[:LONGEST]
        before = set(rows) or before
        if _LETTER.search(text):
            made.append(Line(round(line.start, 3), round(max(line.start, line.end), 3), text))
        elif touches and rows and not fresh:
            made[-1] = replace(made[-1], end=round(max(made[-1].end, line.end), 3))
    return made


def bounded(lines: list[Line]) -> list[Line]:
    """`MOST` lines at most: of more, as many neighbours as it takes are one."""
    each = -(-len(lines) // MOST)
    if each <= 1:
        return lines
    groups = [lines[at : at + each] for at in range(0, len(lines), each)]
    return [
        Line(some[0].start, max(line.end for line in some), " ".join(line.text for line in some)) for some in groups
    ]


def _plain(row: str) -> str:
    """A row without markup and entities."""
    if "<" in row:
        row = _TAG.sub("", row)
    if "{" in row:
        row = _OVERRIDE.sub("", row)
    if "&" in row:
        row = html.unescape(row)
    return " ".join("".join(c if c.isprintable() else " " for c in row).split())


def _plain_script(text: str) -> str:
    """The text of a line of a script; empty where it draws."""
    if _DRAWING.search(text):
        return ""
    return text.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")


def _cues(text: str) -> Iterator[Line]:
    """Of SubRip and WebVTT. In SubRip a blank row may stand within a line, in WebVTT notes stand between them."""
    web = text.startswith("WEBVTT")
    timing: re.Match[str] | None = None
    rows: list[str] = []
    for row in text.splitlines():
        found = _TIMING.match(row) if "-->" in row else None
        if found is None:
            if web and not row.strip() and rows:
                yield from _cue(timing, rows)
                timing, rows = None, []
            elif timing is not None and (rows or row.strip()) and len(rows) < MOST:
                rows.append(row)
            continue
        # What stands above a time in SubRip is its number.
        if not web and rows and _COUNTER.fullmatch(rows[-1]):
            rows.pop()
        yield from _cue(timing, rows)
        timing, rows = found, []
    yield from _cue(timing, rows)


def _cue(timing: re.Match[str] | None, rows: list[str]) -> Iterator[Line]:
    if timing is not None and rows:
        yield Line(_seconds(*timing.groups()[:4]), _seconds(*timing.groups()[4:]), "\n".join(rows))


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str) -> float:
    return 3600 * int(hours or 0) + 60 * int(minutes) + int(seconds) + float(f"0.{fraction}")


def _script(text: str) -> Iterator[Line]:
    """Of SubStation Alpha: the events, by the columns that it names."""
    columns = ["layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text"]
    for row in text.splitlines():
        kind, _, rest = row.partition(":")
        name = kind.strip().lower()
        if name == "format" and "text" in rest.lower() and "start" in rest.lower():
            columns = [column.strip().lower() for column in rest.split(",")]
        elif name == "dialogue":
            values = dict(zip(columns, rest.split(",", len(columns) - 1), strict=False))
            times = [_CLOCK.fullmatch(values.get(one, "")) for one in ("start", "end")]
            if times[0] and times[1]:
                start, end = (_seconds(*time.groups()) for time in times if time)
                yield Line(start, end, _plain_script(values.get("text", "")))
