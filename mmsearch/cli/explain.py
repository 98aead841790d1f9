"""How `mmsearch query --explain` says why a result was found."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmsearch.cli import show
from mmsearch.cli.output import printable
from mmsearch.errors import MmsearchError

if TYPE_CHECKING:
    from mmsearch.library import Library
    from mmsearch.search.explanations import Explanation, Region
    from mmsearch.types import Hit, Query

SHOWN = 3
"""Concepts, regions or sentences of a line."""

LEAST = 0.005
"""A drop that is printed: less would read as none."""

QUOTED = 80
"""Characters of a sentence."""


def explained(opened: "Library", query: "Query", hit: "Hit", overlays: Path | None) -> "Explanation | str":
    """Why, or, where the file can't be read any more, why not."""
    stem = printable(hit.path.stem).replace("\\", "_")
    target = None if overlays is None else overlays / f"{hit.rank}-{stem}.png"
    try:
        return opened.explain(query, hit, overlay=target)
    except MmsearchError as error:
        return error.message


def as_json_able(reason: "Explanation | str") -> Any:
    if isinstance(reason, str):
        return reason
    return asdict(replace(reason, picture=None, heat=None)) | {
        "heat": None if reason.heat is None else reason.heat.round(4).tolist()
    }


def print_reasons(found: Sequence["Hit"], why: "Mapping[int, Explanation | str]") -> None:
    """A line or two for each result, after the table."""
    for hit in found:
        reason = why[hit.rank]
        lines = [reason] if isinstance(reason, str) else _lines(reason)
        for line in lines:
            show.line(f"{hit.rank}: {line}")


def _lines(reason: "Explanation") -> list[str]:
    first = [f"found by {' and '.join(reason.by)}"]
    if reason.ties:
        first.append("as " + ", ".join(f"{tie.name} {tie.amount:+.2f}" for tie in reason.ties[:SHOWN]))
    if reason.parts:
        first.append("parts " + ", ".join(f"{part.name} {part.amount:+.2f}" for part in reason.parts))
    lost = [(_place(region), region.drop) for region in reason.regions]
    lost += [(_quoted(cue.text), cue.drop) for cue in reason.cues]
    second = [f"without {what} {-drop:+.2f}" for what, drop in lost[:SHOWN] if drop >= LEAST]
    return ["; ".join(first), *(["; ".join(second)] if second else [])]


def _place(region: "Region") -> str:
    if region.start is not None and region.end is not None:
        return f"{show.clock(region.start)}-{show.clock(region.end)}"
    x, y = ((region.box[i] + region.box[i + 2]) / 2 for i in (0, 1))
    return f"the part {round(100 * x)} % from the left, {round(100 * y)} % from the top"


def _quoted(text: str) -> str:
    words = " ".join(text.split())
    return f'"{words if len(words) <= QUOTED else words[: QUOTED - 1] + "…"}"'
