"""What DOCX, PPTX and XLSX share (ECMA-376 part 2): files that name each other by relations."""

import posixpath
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import ClassVar, NamedTuple
from urllib.parse import unquote

from mmsearch.errors import Corrupt
from mmsearch.media.documents.archive import Archive
from mmsearch.media.documents.facts import read_properties
from mmsearch.media.documents.xml import attribute
from mmsearch.types import Metadata

MOST = 20_000
"""Relations of a file; a sheet of links has one for each."""


class Relation(NamedTuple):
    kind: str
    """The last part of its type: "image", "slide", "notesSlide", ..."""
    target: str
    """A file of the package."""


class _Relations:
    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.found: dict[str, Relation] = {}

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name != "Relationship" or attribute(attributes, "TargetMode") == "External" or len(self.found) >= MOST:
            return
        target = unquote(attribute(attributes, "Target") or "").replace("\\", "/")
        kind = (attribute(attributes, "Type") or "").rpartition("/")[2]
        inside = posixpath.normpath(posixpath.join("/", self._folder, target)).lstrip("/")
        self.found[attribute(attributes, "Id") or ""] = Relation(kind, inside)

    def end(self, name: str) -> None:
        pass

    def text(self, data: str) -> None:
        pass


def relations(archive: Archive, name: str) -> dict[str, Relation]:
    """Id -> relation of a file to others of the package, in order; links to elsewhere are left out."""
    folder, _, file = name.rpartition("/")
    reader = _Relations(folder)
    with suppress(Corrupt):
        archive.parse(posixpath.join(folder, "_rels", f"{file}.rels"), reader)
    return reader.found


def related(known: Mapping[str, Relation], *kinds: str) -> Iterator[str]:
    """The files of some kinds, each once."""
    yield from dict.fromkeys(one.target for one in known.values() if one.kind in kinds)


def main_file(archive: Archive) -> str | None:
    """The file that a package is about."""
    return next(related(relations(archive, ""), "officeDocument"), None)


def package_facts(archive: Archive) -> Metadata:
    """As `facts.known` has them. Raises: LimitExceeded."""
    name = next(related(relations(archive, ""), "core-properties"), "docProps/core.xml")
    return read_properties(archive, name)


class OfficePackage:
    """What reads a DOCX, PPTX or XLSX begins with: its files, the main one, and what it says of itself."""

    tells_facts: ClassVar[bool] = False

    def __init__(self, archive: Archive, main: str) -> None:
        self._archive = archive
        self._main = main

    def facts(self) -> Metadata:
        return package_facts(self._archive)
