"""What is said in a file, as lines with times, and as the subtitles that players take."""

from collections.abc import Sequence

from mmsearch.types import TextLine

SHORTEST_S = 0.2
"""Seconds that a line stands at least."""


def as_srt(lines: Sequence[TextLine]) -> str:
    """SubRip, as most players take it."""
    return "\n".join(
        f"{number}\n{_time(line.start, ',')} --> {_time(_end(line), ',')}\n{_words(line)}\n"
        for number, line in enumerate(lines, 1)
    )


def as_vtt(lines: Sequence[TextLine]) -> str:
    """WebVTT, as browsers take it."""
    escaped = [_words(line).replace("&", "&amp;").replace("<", "&lt;") for line in lines]
    return "WEBVTT\n" + "".join(
        f"\n{_time(line.start, '.')} --> {_time(_end(line), '.')}\n{words}\n"
        for line, words in zip(lines, escaped, strict=True)
    )


def _words(line: TextLine) -> str:
    """In one line: an empty one would end it."""
    return " ".join(line.text.split()).replace("-->", "->")


def _end(line: TextLine) -> float:
    start = line.start or 0.0
    return max(line.end or 0.0, start + SHORTEST_S)


def _time(seconds: float | None, mark: str) -> str:
    """01:02:03,450"""
    thousandths = round(1000 * max(seconds or 0.0, 0.0))
    minutes, rest = divmod(thousandths, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d}{mark}{rest % 1000:03d}"
