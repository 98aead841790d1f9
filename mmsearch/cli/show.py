"""How results look: aligned tables on a terminal, tab-separated lines in a pipe, JSON on request."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from mmsearch.cli import output, surroundings
from mmsearch.cli.cells import Cell
from mmsearch.cli.output import printable
from mmsearch.core.media_paths import is_media_path

if TYPE_CHECKING:
    from mmsearch.evaluate import UnusedPair
    from mmsearch.types import Hit, Modality, Moment, Query

PASSAGE = 160
"""Characters of a passage that a table shows."""

KIND_COLOURS = {"text": "cyan", "image": "green", "audio": "magenta", "video": "blue"}
LEVEL_COLOURS = {"sure": "green", "likely": "yellow", "unlikely": "bright_black"}
STATE_COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


def echo_json(value: Any) -> None:
    """Paths become strings; bytes that are no text stay recognisable as lone surrogates, escaped. All is ASCII."""
    click.echo(json.dumps(value, default=str, indent=2).replace("\x7f", "\\u007f"))


def echo_json_line(value: Any) -> None:
    """The same in one line, at once: for who reads along."""
    click.echo(json.dumps(value, default=str).replace("\x7f", "\\u007f"))


def echo_json_list(values: Iterable[Any]) -> None:
    """The same for a list of any length, a value in memory at a time."""
    opening = "["
    for value in values:
        text = json.dumps(value, default=str, indent=2).replace("\x7f", "\\u007f")
        click.echo(opening + "\n  " + text.replace("\n", "\n  "), nl=False)
        opening = ","
    click.echo("[]" if opening == "[" else "\n]")


def line(text: str, err: bool = False) -> None:
    """Print a line that holds other people's words, such as a path: it stays one line."""
    click.echo(printable(text), err=err)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], wrap: str | tuple[str, ...] = (), empty: str = "none",
    below: Mapping[int, Any] = MappingProxyType({}),
) -> None:  # fmt: skip
    """Print rows: a line of cells with tabs between them into a pipe, an aligned table on a terminal.

    Args:
        wrap: Columns that may be folded where the terminal is too narrow; paths are shortened.
        empty: What a terminal says if there are no rows.
        below: Place of a row -> what a terminal draws below it.
    """
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(printable(cell) for cell in row))
        return
    from mmsearch.cli.table import print_table

    if known := list(rows):
        print_table(columns, known, (wrap,) if isinstance(wrap, str) else wrap, below)
    elif empty:
        click.echo(empty)


def hits(
    found: Sequence["Hit"],
    *,
    ids: bool = False,
    scores: bool = False,
    previews: Mapping[int, Any] = MappingProxyType({}),
) -> None:
    """A row for each, and below it one for each of its moments, if any were asked for.

    A terminal has `levels` above the table, so only a pipe gets a column of them.

    Args:
        scores: Show what the confidence was made of, too.
        previews: Rank -> what a terminal draws below the hit.
    """
    piped = not sys.stdout.isatty()
    rows: list[tuple[str, ...]] = []
    below: dict[int, Any] = {}
    for hit in found:
        numbers = (decimal(hit.cosine, 3), decimal(hit.keyword_score, 2)) if scores else ()
        level = (hit.level or "-",) if piped else ()
        shown = (str(hit.rank), *level, sureness(hit.level, decimal(hit.confidence, 2)), *numbers)
        shown += (kind(hit.modality), shorter(hit.path), where(hit))
        if hit.rank in previews:
            below[len(rows)] = previews[hit.rank]
        rows.append((*shown, str(hit.item_id)) if ids else shown)
        for one in hit.moments:
            numbers = (decimal(one.cosine, 3), "") if scores else ()
            place = " ".join(_place(one, hit.modality))
            moment = ("", *("" for _ in level), decimal(one.confidence, 2), *numbers, "", "", place)
            rows.append((*moment, "") if ids else moment)
    first = ("#", "level", "confidence") if piped else ("#", "confidence")
    columns = (*first, *(("cosine", "words") if scores else ()), "kind", "path", "where")
    table((*columns, "id") if ids else columns, rows, wrap="where", empty="", below=below)


def levels(found: Sequence["Hit"]) -> str:
    """Which places of a list are sure, likely and unlikely, as "Sure: 1 to 3. Likely: 4. Unlikely: 5 to 10."."""
    places: dict[str, list[int]] = {}
    for hit in found:
        if hit.level is not None:
            places.setdefault(hit.level, []).append(hit.rank)
    said = [
        f"{level.capitalize()}: {ranks[0]}{f' to {ranks[-1]}' if len(ranks) > 1 else ''}."
        for level, ranks in places.items()
    ]
    return " ".join(said) or "How sure these are was not measured yet."


def decimal(number: float | None, places: int) -> str:
    """Of a hit; a dash where it has no such number."""
    return "-" if number is None else f"{number:.{places}f}"


def unused(lines: Sequence["UnusedPair"]) -> None:
    """What of a file of pairs or labels could not be used, and why; nothing if all could."""
    if lines:
        click.echo(f"not used: {len(lines)}")
        table(
            ("file", "line", "why"),
            [(shorter(one.file), str(one.line), one.why) for one in lines],
            wrap="why",
        )


def paths(found: Sequence[Path], end: bytes) -> None:
    """One path a line (or a null), byte for byte as the file system has it; fit to be looked at on a terminal."""
    if sys.stdout.isatty():
        for path in found:
            click.echo(printable(str(path)))
        return
    output.write_bytes(b"".join(os.fsencode(path) + end for path in found))


def answer_json(asked: "Query", generation: int, found: Sequence["Hit"], why: Mapping[int, Any]) -> None:
    """What was asked, how sure the best hit is, which state of the library answered, and the hits.

    Args:
        why: Rank -> the explanation of that hit, if any were asked for.
    """
    best = found[0] if found else None
    echo_json(
        {
            "query": [{"modality": one.modality, "value": one.value, "weight": one.weight} for one in asked.parts],
            "level": best.level if best else None,
            "confidence": best.confidence if best else None,
            "generation": generation,
            "hits": [_hit_json(hit, why) for hit in found],
        }
    )


def hits_json_lines(found: Sequence["Hit"], why: Mapping[int, Any]) -> None:
    """The hits as JSON Lines."""
    for hit in found:
        click.echo(json.dumps(_hit_json(hit, why), default=str).replace("\x7f", "\\u007f"))


def _hit_json(hit: "Hit", why: Mapping[int, Any]) -> dict[str, Any]:
    return asdict(hit) | ({"why": why[hit.rank]} if hit.rank in why else {})


def where(hit: "Hit") -> str:
    """The moment, the page and the passage of a hit; of a bundle, which file matched and how many more there are."""
    parts = ["(file is not there)"] if hit.missing else []
    if hit.part is not None and hit.part != hit.path:
        parts.append(hit.part.name)
    parts += _place(hit, hit.modality)
    if hit.members:
        parts.append(f"+{len(hit.members) - 1} file{'s' if len(hit.members) > 2 else ''}")
    if hit.duplicates:
        parts.append(f"+{len(hit.duplicates)} alike")
    return " ".join(parts)


def _place(found: "Hit | Moment", modality: "Modality") -> list[str]:
    parts = []
    if found.start is not None and found.end is not None:
        parts.append(f"{clock(found.start)}-{clock(found.end)}")
        if modality == "video" and found.source is None:
            parts.append({"audio": "sound", "text": "words", "video": "clip"}.get(found.matched or "", "picture"))
    if found.box is not None and not found.passage:
        left, top, right, bottom = (round(100 * edge) for edge in found.box)
        parts.append(f"part {left}-{right} % across, {top}-{bottom} % down")
    if found.place is not None:
        parts.append(found.place)
    elif found.page is not None:
        parts.append(f"p. {found.page}")
    if (found.place is not None or found.page is not None) and found.matched == "image":
        parts.append("picture")
    if found.passage:
        words = " ".join(found.passage.split())
        words = words if len(words) <= PASSAGE else words[: PASSAGE - 1] + "…"
        parts.append(words if found.source is None else f'{found.source} "{words}"')
    return parts


def clock(seconds: float) -> str:
    """1:02:03.4"""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def shorter(path: Path) -> Cell:
    """Relative to the present folder where it lies below it. A terminal gets the shortest way to say it, and a link."""
    if not sys.stdout.isatty():
        return Cell(_below_here(path))
    in_memory = is_media_path(os.fsencode(path))
    return Cell(_below_here(path), link=None if in_memory or not path.is_absolute() else path, short=_shortest(path))


def _below_here(path: Path) -> str:
    here = surroundings.working_folder()
    if not path.is_relative_to(here):
        return str(path)
    below = path.relative_to(here)
    # So begin the paths of media from memory.
    return os.path.join(".", below) if is_media_path(os.fsencode(below)) else str(below)


def _shortest(path: Path) -> str:
    """Of the path from here, from the home folder, and from the root; no more than two folders up."""
    here, home = surroundings.working_folder(), Path.home()
    ways = [_below_here(path)]
    if path.is_absolute() and not path.is_relative_to(here):
        ways += [os.path.relpath(path, here)] if path.is_relative_to(_above(here, 2)) else []
        ways += [os.path.join("~", path.relative_to(home))] if path.is_relative_to(home) else []
    return min(ways, key=len)


def _above(folder: Path, levels: int) -> Path:
    """The folder so many levels up, but not the root itself."""
    above = [folder, *folder.parents][:-1]
    return above[min(levels, len(above) - 1)] if above else folder


def kind(modality: "Modality") -> Cell:
    """A kind of medium in its colour."""
    return Cell(modality, KIND_COLOURS.get(modality, ""))


def state(name: str) -> Cell:
    """What came of a look at something, in its colour."""
    return Cell(name, STATE_COLOURS.get(name, ""))


def sureness(level: str | None, text: str) -> Cell:
    """A confidence in the colour of its level."""
    return Cell(text, LEVEL_COLOURS.get(level or "", ""))


def counted(number: int, noun: str) -> str:
    """1 item, 2 items, 1,000 items"""
    return f"{number:,} {noun if number == 1 else f'{noun}s'}"


def size(count: int) -> str:
    """1.5 MB"""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
