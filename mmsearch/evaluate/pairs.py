"""Reading PAIRS.tsv: questions and their right answers, and every line that is neither."""

import mimetypes
import os
from collections.abc import Iterator
from pathlib import Path

from mmsearch.core.paths import path_in_table
from mmsearch.errors import InvalidInput
from mmsearch.evaluate.types import JudgedPairs, Pair, UnusedPair

COLUMNS = ("query", "relevant")
MEDIA_TYPES = ("image", "audio", "video", "text")

_NAMES = mimetypes.MimeTypes()
"""Python's own table: the system's would make the same file mean different things on two machines."""


def read_pairs(path: Path) -> JudgedPairs:
    """The pairs of a file with the header query<TAB>relevant; further columns are left alone.

    `relevant` is a comma-separated list of paths, relative to the file's folder or absolute. Lines with the same query
    are one question. A query that names a file there is that file; one that merely looks like a file's name is a
    missing file, not words.

    Raises: InvalidInput for a file that can't be read or has no such header.
    """
    path = Path(os.path.abspath(path))
    lines = read_tsv(path)
    header = [name.strip() for name in lines[0].split("\t")] if lines else []
    if any(name not in header for name in COLUMNS):
        raise InvalidInput(
            f"{path.name} does not begin with the header query<TAB>relevant",
            hint="mmsearch help training shows such a file",
        )
    asked: dict[str | Path, Pair] = {}
    unused: list[UnusedPair] = []
    query_at, relevant_at = (header.index(name) for name in COLUMNS)
    for number, line in enumerate(lines[1:], 2):
        found = _row(line.split("\t"), query_at, relevant_at, path.parent)
        if isinstance(found, str):
            unused.append(UnusedPair(path, number, found))
            continue
        query, relevant = found
        known = asked.get(query)
        new = [file for file in dict.fromkeys(relevant) if known is None or file not in known.relevant]
        if known is not None and not new:
            unused.append(UnusedPair(path, number, f"duplicate of line {known.line}"))
            continue
        if len(new) < len(relevant):
            unused.append(UnusedPair(path, number, "the same file twice; counted once"))
        first, before = (known.line, known.relevant) if known else (number, ())
        asked[query] = Pair(query, (*before, *new), first, path)
    return JudgedPairs(path, tuple(asked.values()), tuple(unused))


def read_tsv(path: Path) -> list[str]:
    """The lines of a UTF-8 file. Raises: InvalidInput."""
    try:
        # Not splitlines: a caption may hold a form feed or a Unicode line separator.
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InvalidInput(f"can't read {path}: {error.strerror or error}", hint="name a TSV file") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8: {error}", hint="save it as UTF-8 text") from error
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines[:-1] if lines[-1] == "" else lines


def _row(cells: list[str], query_at: int, relevant_at: int, folder: Path) -> tuple[str | Path, list[Path]] | str:
    """The query and its relevant files, or why there are none."""
    if not any(cell.strip() for cell in cells):
        return "empty line"
    if len(cells) <= max(query_at, relevant_at):
        return "too few columns"
    query, relevant = cells[query_at].strip(), list(_files(cells[relevant_at], folder))
    if not query:
        return "no query"
    if not relevant:
        return "no relevant files"
    file = _file(query, folder)
    if file is None and _looks_like_a_file(query):
        return f"no such query file: {query}"
    return file or query, relevant


def _files(cell: str, folder: Path) -> Iterator[Path]:
    for part in cell.split(","):
        if part.strip():
            yield path_in_table(part.strip(), folder)


def _file(query: str, folder: Path) -> Path | None:
    try:
        path = path_in_table(query, folder)
        return path if path.is_file() else None
    except (OSError, ValueError):  # too long for a name, or a null byte
        return None


def _looks_like_a_file(query: str) -> bool:
    kind = _NAMES.guess_type(query)[0] or ""
    return os.path.isabs(query) or kind.startswith(MEDIA_TYPES) or kind == "application/pdf"
