"""EPUB 2 and 3: the chapters of a book in their order, each under its name in the table of contents."""

import posixpath
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar
from urllib.parse import unquote

from mmsearch.errors import Corrupt, Unsupported
from mmsearch.media import html, plaintext
from mmsearch.media.documents.archive import Archive
from mmsearch.media.documents.facts import Properties, known
from mmsearch.media.documents.parts import Part, label
from mmsearch.media.documents.xml import attribute
from mmsearch.types import Metadata

MOST = 5000
"""Files of a book, and entries of its table of contents."""

_PAGES = frozenset({"application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document"})
_PICTURE = re.compile(r"<(?:img|image)\b[^>]{0,2000}?(?:src|href)\s*=\s*[\"']([^\"'>]{1,1000})", re.IGNORECASE)
_LINK = re.compile(r"<a\b[^>]{0,2000}?href\s*=\s*[\"']([^\"'>]{1,1000})[^>]{0,2000}>(.{0,1000}?)</a>", re.I | re.DOTALL)
_HEADING = re.compile(r"<h[1-3]\b[^>]{0,1000}>(.{0,2000}?)</h[1-3]\s*>", re.IGNORECASE | re.DOTALL)


class _Package(Properties):
    """The facts of a book, its files, and the order in which they are read."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, str] = {}
        """Id -> href of the pages."""
        self.order: list[str] = []
        self.contents: list[str] = []
        """hrefs of tables of contents, the newer kind first."""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        super().start(name, attributes)
        if name == "item" and len(self.files) < MOST:
            kind, href = attributes.get("media-type", ""), unquote(attributes.get("href", ""))
            if kind in _PAGES:
                self.files[attributes.get("id", "")] = href
            if "nav" in attributes.get("properties", "").split():
                self.contents.insert(0, href)
            elif kind == "application/x-dtbncx+xml":
                self.contents.append(href)
        elif name == "itemref" and len(self.order) < MOST:
            self.order.append(attributes.get("idref", ""))


@dataclass(slots=True)
class _Names:
    """The entries of a table of contents of EPUB 2, (href, name)."""

    found: list[tuple[str, str]] = field(default_factory=list)
    _name: list[str] = field(default_factory=list)
    _taking: bool = False

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "navPoint":
            self._name = []
        elif name == "text":
            self._taking = True
        elif name == "content" and len(self.found) < MOST:
            self.found.append((attributes.get("src", ""), "".join(self._name)))

    def end(self, name: str) -> None:
        if name == "text":
            self._taking = False

    def text(self, data: str) -> None:
        if self._taking:
            self._name.append(data)


class Book:
    tells_facts: ClassVar[bool] = False

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._root = _root(archive)
        self._folder = posixpath.dirname(self._root)
        self._package = _Package()
        archive.parse(self._root, self._package)

    def facts(self) -> Metadata:
        values = self._package.values
        # What a book is about, a word or two each.
        return known({**values, "subject": (), "keywords": values.get("subject", ())})

    def parts(self) -> Iterator[Part]:
        locked, entries = self._locked(), self._entries()
        names = [self._package.files[one] for one in self._package.order if one in self._package.files]
        self._archive.check_room(map(self._inside, names))
        number, name = 0, ""
        for href in names:
            path = self._inside(href)
            if path in locked:
                raise Unsupported("a book that is protected (DRM)")
            if path not in self._archive:
                continue
            with suppress(Corrupt, Unsupported):
                source = plaintext.decoded_text(self._archive.read(path))
                for own, piece in _pieces(source, entries.get(path, [])):
                    name = own or name or _heading(piece)
                    part = self._part(piece, path, number + 1, name)
                    if part.text or part.pictures:
                        number += 1
                        yield part

    def _part(self, source: str, path: str, number: int, name: str) -> Part:
        folder = posixpath.dirname(path)
        found = [unquote(one) for one in _PICTURE.findall(source) if ":" not in one]
        pictures = dict.fromkeys(posixpath.normpath(posixpath.join(folder, one)) for one in found)
        return Part(
            html.html_text(source), number, f"chapter {name or number}",
            pictures=[partial(self._archive.picture, one) for one in pictures if one in self._archive],
        )  # fmt: skip

    def _inside(self, href: str) -> str:
        return posixpath.normpath(posixpath.join(self._folder, href)).lstrip("/")

    def _entries(self) -> dict[str, list[tuple[str, str]]]:
        """File -> (id within it, or nothing; name) of what the table of contents lists."""
        found: dict[str, list[tuple[str, str]]] = {}
        for href in self._package.contents:
            path = self._inside(href)
            for target, name in self._listed(path) if path in self._archive else ():
                file, _, place = unquote(target).partition("#")
                at = posixpath.normpath(posixpath.join(posixpath.dirname(path), file))
                if label(name):
                    found.setdefault(at, []).append((place, label(name)))
            if found:
                break
        return found

    def _listed(self, path: str) -> list[tuple[str, str]]:
        with suppress(Corrupt, Unsupported):
            if not path.lower().endswith(".ncx"):
                source = plaintext.decoded_text(self._archive.read(path))
                return [(href, html.html_text(words)) for href, words in _LINK.findall(source)[:MOST]]
            names = _Names()
            self._archive.parse(path, names)
            return names.found
        return []

    def _locked(self) -> set[str]:
        """Files that are encrypted: in free books that is a font at most."""
        found: set[str] = set()

        class _Locks(Properties):
            def start(self, name: str, attributes: Mapping[str, str]) -> None:
                super().start(name, attributes)
                if name == "CipherReference":
                    found.add(unquote(attributes.get("URI", "")))

        if "META-INF/encryption.xml" in self._archive:
            with suppress(Corrupt):
                self._archive.parse("META-INF/encryption.xml", _Locks())
        return found


def _root(archive: Archive) -> str:
    """The file that describes the book. Raises: Corrupt."""
    found: list[str] = []

    class _Roots(Properties):
        def start(self, name: str, attributes: Mapping[str, str]) -> None:
            super().start(name, attributes)
            if name == "rootfile":
                found.append(unquote(attribute(attributes, "full-path") or ""))

    archive.parse("META-INF/container.xml", _Roots())
    root = next((name for name in found if name in archive), None)
    if root is None:
        raise Corrupt("a book without a list of what is in it")
    return root


def _pieces(source: str, entries: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """(name, HTML) of the chapters of a file; the name is empty where the one before goes on."""
    if len(entries) == 1:
        yield entries[0][1], source
        return
    cuts: list[tuple[int, str]] = []
    ids = dict(reversed(entries))
    for match in re.finditer(r"<[a-zA-Z][^<>]{0,1000}?\b(?:id|name)\s*=\s*[\"']([^\"'<>]{1,200})[\"']", source):
        name = ids.pop(match[1], None)
        if name:
            cuts.append((match.start(), name))
    start = next((name for place, name in entries if not place), "")
    ends = [at for at, _ in cuts] + [len(source)]
    if source[: ends[0]].strip():
        yield start, source[: ends[0]]
    for (at, name), end in zip(cuts, ends[1:], strict=True):
        yield name, source[at:end]


def _heading(source: str) -> str:
    found = _HEADING.search(source)
    return label(html.html_text(found[1])) if found else label(html.html_title(source) or "")
