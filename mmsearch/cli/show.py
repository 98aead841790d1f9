"""How results look: aligned tables on a terminal, tab-separated lines in a pipe, JSON on request."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmsearch.cli import output
from mmsearch.cli.output import printable
from mmsearch.core.media_paths import is_media_path

if TYPE_CHECKING:
    from mmsearch.evaluate import UnusedPair
    from mmsearch.types import Hit, Modality, Moment, Query

PASSAGE = 160
"""Characters of a passage that a table shows."""

PATHS = ("path", "file")
"""Columns that stay whole while the others that may be folded have ROOM."""

ROOM, LEAST = 20, 4
"""Characters that a folded column has at least, before other columns are folded too."""


def echo_json(value: Any) -> None:
    """Paths become strings; bytes that are no text stay recognisable as lone surrogates, escaped. All is ASCII."""
    click.echo(json.dumps(value, default=str, indent=2).replace("\x7f", "\\u007f"))


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


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], wrap: str | tuple[str, ...] = ()) -> None:
    """Print rows; `wrap` names the columns that are folded first where the terminal is too narrow."""
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(printable(cell) for cell in row))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(file=output.bar(sys.stdout), highlight=False, markup=False, emoji=False)
    cells = [[printable(cell) for cell in row] for row in rows]
    foldable = _foldable(columns, cells, (wrap,) if isinstance(wrap, str) else wrap, console.width)
    made = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        numeric = column in ("#", "confidence", "cosine", "words")
        made.add_column(column, justify="right" if numeric else "left", overflow="fold", no_wrap=column not in foldable)
    for row in cells:
        made.add_row(*row)
    console.print(made)


def _foldable(columns: Sequence[str], rows: Sequence[Sequence[str]], wrap: Sequence[str], width: int) -> Sequence[str]:
    """Of `wrap` those that are no paths; all of them where these get too little room; then all columns.

    What a column has no room for, and isn't folded, isn't shown.
    """
    from rich.cells import cell_len

    widths = {name: max(map(cell_len, cells)) for name, *cells in zip(columns, columns, *rows, strict=True)}
    room = width - 2 * (len(columns) - 1)
    for names, enough in (([name for name in wrap if name not in PATHS], ROOM), (wrap, LEAST)):
        needed = sum(min(size, enough) if name in names else size for name, size in widths.items())
        if names and needed <= room:
            return names
    return columns


def hits(found: Sequence["Hit"], *, ids: bool = False, scores: bool = False) -> None:
    """A row for each, and below it one for each of its moments, if any were asked for.

    A terminal has `levels` above the table, so only a pipe gets a column of them.

    Args:
        scores: Show what the confidence was made of, too.
    """
    piped = not sys.stdout.isatty()
    rows: list[tuple[str, ...]] = []
    for hit in found:
        numbers = (decimal(hit.cosine, 3), decimal(hit.keyword_score, 2)) if scores else ()
        level = (hit.level or "-",) if piped else ()
        shown = (str(hit.rank), *level, decimal(hit.confidence, 2), *numbers)
        shown += (hit.modality, shorter(hit.path), where(hit))
        rows.append((*shown, str(hit.item_id)) if ids else shown)
        for one in hit.moments:
            numbers = (decimal(one.cosine, 3), "") if scores else ()
            place = " ".join(_place(one, hit.modality))
            below = ("", *("" for _ in level), decimal(one.confidence, 2), *numbers, "", "", place)
            rows.append((*below, "") if ids else below)
    first = ("#", "level", "confidence") if piped else ("#", "confidence")
    columns = (*first, *(("cosine", "words") if scores else ()), "kind", "path", "where")
    table((*columns, "id") if ids else columns, rows, wrap=("path", "where"))


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
            wrap=("file", "why"),
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
        if modality == "video":
            parts.append({"audio": "sound", "text": "words"}.get(found.matched or "", "picture"))
    if found.place is not None:
        parts.append(found.place)
    elif found.page is not None:
        parts.append(f"p. {found.page}")
    if found.place is not None and found.matched == "image":
        parts.append("picture")
    if found.passage:
        words = " ".join(found.passage.split())
        parts.append(words if len(words) <= PASSAGE else words[: PASSAGE - 1] + "…")
    return parts


def clock(seconds: float) -> str:
    """1:02:03.4"""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def shorter(path: Path) -> str:
    """Relative to the present folder where it lies below it."""
    here = Path.cwd()
    if not path.is_relative_to(here):
        return str(path)
    below = path.relative_to(here)
    # So begin the paths of media from memory.
    return os.path.join(".", below) if is_media_path(os.fsencode(below)) else str(below)


def size(count: int) -> str:
    """1.5 MB"""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
