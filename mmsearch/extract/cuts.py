"""From lines, as a model gave them, to the segments that are searched: gates first, then cuts.

Lines that follow each other closely are joined, to about half a minute or sixty words, so that a segment says enough to
be found by its meaning; neighbours share their line in between. A pause, another page or another part of a video ends
a segment, so that it begins where what was said begins.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from mmsearch.core.spoken_numbers import with_numbers
from mmsearch.types import Span, TextBox, TextLine

CUT = "3"
"""Changed with whatever below changes the segments of the same lines: they are cut anew, and no model runs."""

LONGEST_S, MOST_WORDS = 30.0, 60
"""Of a segment of several lines."""

PAUSE_S = 1.0
"""Seconds without a word that end a segment."""

LEAST_LOGPROB, MOST_COMPRESSION = -1.0, 2.4
"""Gates of speech: the mean log probability of a line's tokens; how well it can be compressed, as loops can (Radford et
al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2023, section 4.5)."""

LEAST_SCORE = 0.8
"""Gate of written text: the mean probability of a line's characters."""

_MISREAD = re.compile(r"\b0(?=[^\W\d_x][^\W\d_]{3,}\b)")
"""A nought before letters alone: a capital O, which looks the same. Not that of "0xface"."""

_WORD, _CHARACTER = re.compile(r"\w\w"), re.compile(r"\w")
"""A line has one in it: of what is written, since single letters are mostly read into ornaments; of what is said."""


def passes(line: TextLine) -> bool:
    """Whether a line is worth being found. A score that the model didn't give is no hurdle."""
    scores = line.scores
    return (
        scores.get("logprob", 0.0) > LEAST_LOGPROB
        and scores.get("compression", 0.0) < MOST_COMPRESSION
        and scores.get("score", 1.0) >= LEAST_SCORE
        and (_WORD if "score" in scores else _CHARACTER).search(line.text) is not None
    )


def cut_lines(lines: Sequence[TextLine], source: str) -> list[Span]:
    """The segments of a content, in order; none if no line passes."""
    kept = [line for line in lines if passes(line)]
    return [
        _joined(part, source)
        for _, group in groupby(kept, key=_place)
        for run in _runs(list(group))
        for part in _parts(run)
    ]


def _place(line: TextLine) -> tuple[object, ...]:
    """What lines of one segment have in common: a page, or what a frame shows; of speech nothing."""
    return (line.page, line.start, line.end) if line.box is not None else (line.page,)


def _runs(lines: Sequence[TextLine]) -> Iterator[list[TextLine]]:
    """Lines without a pause between them."""
    run: list[TextLine] = []
    for line in lines:
        if run and _gap(run[-1], line) >= PAUSE_S:
            yield run
            run = []
        run.append(line)
    if run:
        yield run


def _gap(one: TextLine, later: TextLine) -> float:
    """Seconds from the end of one line to the next; 0 for what stands in a picture."""
    if one.end is None or later.start is None or later.box is not None:
        return 0.0
    return abs(later.start - one.end)


def _parts(run: Sequence[TextLine]) -> Iterator[Sequence[TextLine]]:
    """Some lines after some, each but the first beginning with the last line before, if there is room for it."""
    first = 0
    while first < len(run):
        end = first + 1
        while end < len(run) and _fits(run[first : end + 1]):
            end += 1
        yield run[first:end]
        if end == len(run):
            return
        first = end - 1 if end - 1 > first and _fits(run[end - 1 : end + 1]) else end


def _fits(lines: Sequence[TextLine]) -> bool:
    words = sum(len(line.text.split()) for line in lines)
    return words <= MOST_WORDS and (lines[-1].end or 0.0) - (lines[0].start or 0.0) <= LONGEST_S


def _joined(lines: Sequence[TextLine], source: str) -> Span:
    boxes = [line.box for line in lines if line.box is not None]
    return Span(
        start=lines[0].start,
        end=None if lines[-1].end is None else max(line.end or 0.0 for line in lines),
        page=lines[0].page,
        text=" ".join(
            " ".join(with_numbers(line.text, line.language) if source == "said" else _read(line.text)) for line in lines
        ),
        source=source,
        box=around(boxes) if boxes else None,
    )


def _read(text: str) -> list[str]:
    return _MISREAD.sub("O", text).split()


def around(boxes: Sequence[TextBox]) -> TextBox:
    """The smallest box around some, as the catalog keeps one."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    left, top, right, bottom = (round(one, 4) for one in (min(lefts), min(tops), max(rights), max(bottoms)))
    return left, top, right, bottom
