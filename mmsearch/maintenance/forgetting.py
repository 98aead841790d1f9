"""What is to be forgotten, and the proof that it is: a search of the library's bytes by another process.

The words and paths of what is about to go are noted first. Afterwards those count that no remaining item holds, in
every form in which SQLite could have them: as written, folded, and stemmed as FTS5 does it.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from mmsearch.catalog import Catalog
from mmsearch.catalog.copies import all_copies
from mmsearch.catalog.signs import cut_signs
from mmsearch.catalog.stems import stems
from mmsearch.catalog.traces import holds, terms_held, texts_of_contents, texts_of_items
from mmsearch.catalog.word_candidates import fold_case
from mmsearch.errors import LibraryError

LEAST_BYTES = 6
"""Shorter words are not looked for in bytes: among many vectors some are there by chance."""

EARLIER = "earlier catalog"
"""A copy of this kind is what an upgrade or a restore left."""

SHOWN = 5
"""Words of a file that are told."""

_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from mmsearch.core.byte_search import main; main()"

_WORDS = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Trace:
    """A file of the library that still holds some of what was forgotten."""

    path: Path
    found: tuple[str, ...]
    """A few of the words and paths."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A backup or an export that a library wrote, or its catalog of before an upgrade or a restore, and that is still
    there: it may hold what was forgotten since."""

    path: Path
    kind: str
    """backup, export or earlier catalog."""
    made_at: datetime
    """UTC."""


@dataclass(frozen=True, slots=True)
class ForgettingProof:
    """What a search of every byte of the library's folder found of what was forgotten."""

    words: int
    """Forms of words that were looked for, of 6 bytes at least: of those that no remaining item holds."""
    paths: int
    files: int
    """That were searched."""
    bytes: int
    traces: tuple[Trace, ...]
    """Empty: nothing is left."""


@dataclass(slots=True)
class Noted:
    """Words and paths of what is about to be forgotten."""

    words: set[str] = field(default_factory=set)
    paths: set[bytes] = field(default_factory=set)

    def items(self, catalog: Catalog, items: Iterable[tuple[int, bytes]]) -> None:
        """Note what the catalog holds of items, given by id and path."""
        known = dict(items)
        self.paths.update(known.values())
        with catalog.reading() as snapshot:
            self.texts(texts_of_items(snapshot, list(known)))

    def contents(self, catalog: Catalog, contents: Sequence[int]) -> None:
        """Note what it holds of contents that no item has."""
        with catalog.reading() as snapshot:
            self.texts(texts_of_contents(snapshot, contents))

    def texts(self, texts: Iterable[str]) -> None:
        """Note the words of texts."""
        for one in texts:
            self.words.update(_WORDS.findall(one))


def proof_of(catalog: Catalog, noted: Noted) -> ForgettingProof:
    """Search the library's files for what was noted and no remaining item holds. Raises: LibraryError."""
    catalog.store.check_file(
        "nothing can be proved of a server's files", "ask who runs it: VACUUM, its log, its backups"
    )
    folder = catalog.store.folder
    with catalog.reading() as snapshot:
        held = terms_held(snapshot)
    words = _needles(noted.words, held)
    needles = sorted(words | {os.fsdecode(path) for path in noted.paths if len(path) >= LEAST_BYTES})
    found, files, size = _searched(folder, needles)
    suspect = {word for some in found.values() for word in some}
    with catalog.reading() as snapshot:
        # A part of another word, a key of JSON, a name of this program's own: they say nothing.
        suspect = {
            one for one in suspect if not any(one in term for term in held) and not holds(snapshot, one)
        } - _in_own_source(suspect)
    left = {name: [one for one in some if one in suspect] for name, some in sorted(found.items())}
    traces = tuple(Trace(folder / name, tuple(some[:SHOWN])) for name, some in left.items() if some)
    return ForgettingProof(len(words), len(noted.paths), files, size, traces)


def _in_own_source(words: set[str]) -> set[str]:
    """Those that this program's own modules have in them: its files may hold them whatever was forgotten."""
    found: set[str] = set()
    for path in Path(__file__).resolve().parents[1].rglob("*.py") if words else ():
        source = path.read_text(encoding="utf-8")
        found.update(word for word in words - found if word in source)
    return found


def _needles(words: set[str], held: set[str]) -> set[str]:
    """What to look for: each word that no remaining item holds, as it is written, folded and stemmed."""
    found: set[str] = set()
    stemmed = stems(sorted(words))
    for word in words:
        terms = stemmed.get(word, frozenset())
        if terms and not terms <= held:
            cut = cut_signs(word).strip()
            found.update((word, "".join(fold_case(word)), json.dumps(word)[1:-1], cut, *(terms - held)))
    return {one for one in found if len(os.fsencode(one)) >= LEAST_BYTES}


def _searched(folder: Path, needles: Sequence[str]) -> tuple[dict[str, list[str]], int, int]:
    """File, by its place in the folder -> what it holds; how many files were read; how many bytes.

    By a process of its own: who opens SQLite's files beside SQLite and closes them, gives its locks away.
    """
    if not sys.executable:
        raise LibraryError("nothing can be proved: this Python doesn't know its own executable")
    places = json.dumps([place for place in sys.path if isinstance(place, str)])
    asked = json.dumps({"folder": os.fspath(folder), "needles": needles}).encode()
    done = subprocess.run([sys.executable, "-P", "-c", _BOOT, places], input=asked, capture_output=True, check=False)
    if done.returncode != 0:
        why = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise LibraryError(
            f"the library's files can't be searched: {''.join(why) or done.returncode}",
            hint="what was to be forgotten is forgotten; prove it with: mmsearch prune --prove",
        )
    answer = json.loads(done.stdout)
    return answer["found"], answer["files"], answer["bytes"]


def copies_there(catalog: Catalog) -> list[Copy]:
    """The backups and exports that the library knows it wrote, as far as they are there, and the catalogs of before an
    upgrade or a restore that lie in its folder."""
    found = [Copy(Path(os.fsdecode(one.path)), one.kind, one.made_at) for one in catalog.read(all_copies)]
    return [one for one in found if os.path.lexists(one.path)] + list(_earlier(catalog.path))


def _earlier(catalog: Path) -> Iterator[Copy]:
    for path in sorted(catalog.parent.glob(f"{catalog.name}.*.bak")):
        with suppress(OSError):
            yield Copy(path, EARLIER, datetime.fromtimestamp(path.stat().st_mtime, UTC))
