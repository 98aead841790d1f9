"""Sidecars: what a person or a program wrote about the medium beside it, as XMP or as Google Takeout's JSON.

XMP is RDF in XML (ISO 16684-1). It is read with the standard library's Expat, event by event, no tree: a document type
is refused, and with it every entity that could be expanded or fetched, and so is deep nesting.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from xml.parsers import expat

from mmsearch.errors import Corrupt, LimitExceeded
from mmsearch.media.exif import position
from mmsearch.types import Metadata

DEEPEST = 64
"""Elements inside each other; what programs write stays below 20."""

MOST = 10_000
"""Values kept; digital asset managers write some hundreds of keywords."""

LONGEST = 200
"""Characters of a keyword, a name or a title."""

_HEAD = 4096
"""Characters within which a sidecar shows what it is."""

_XMP = re.compile(r"<\?xpacket\b|<(?:\w+:)?x[am]pmeta\b")
_TAKEOUT = re.compile(r'\s*\{\s*"title"\s*:(?=.*"(?:photoTakenTime|geoData)"\s*:)', re.DOTALL)

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns# "
_XML = "http://www.w3.org/XML/1998/namespace "
_DC = "http://purl.org/dc/elements/1.1/ "
_XAP = "http://ns.adobe.com/xap/1.0/ "
_EXIF = "http://ns.adobe.com/exif/1.0/ "
_PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/ "
_CORE = "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/ "
_EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/ "

_TITLES = (f"{_DC}title", f"{_PHOTOSHOP}Headline")
_DESCRIPTIONS = (f"{_DC}description", f"{_EXIF}UserComment", "http://ns.adobe.com/tiff/1.0/ ImageDescription")
_KEYWORDS = (f"{_DC}subject",)
_TREES = ("http://ns.adobe.com/lightroom/1.0/ hierarchicalSubject", "http://www.digikam.org/ns/1.0/ TagsList")
"""Keywords with the ones above them: Places|Europe|Oslo, Places/Europe/Oslo."""
_PEOPLE = (
    f"{_EXT}PersonInImage",
    "http://www.metadataworkinggroup.com/schemas/regions/ Name",
    "http://ns.microsoft.com/photo/1.2/t/Region# PersonDisplayName",
)
_PLACES = (
    f"{_CORE}Location",
    *(f"{_PHOTOSHOP}{name}" for name in ("City", "State", "Country")),
    *(f"{_EXT}{name}" for name in ("Sublocation", "City", "ProvinceState", "CountryName")),
)
_TAKEN = (f"{_EXIF}DateTimeOriginal", f"{_PHOTOSHOP}DateCreated", f"{_XAP}CreateDate")


@dataclass(frozen=True, slots=True)
class Sidecar:
    """The words to search, which may be none, and the facts."""

    words: str
    metadata: Metadata


def is_sidecar(text: str) -> bool:
    """Whether a text, whole or its beginning, is of a kind that `read` knows."""
    return _is_xmp(text) or _TAKEOUT.match(text, 0, _HEAD) is not None


def read_sidecar(text: str) -> Sidecar:
    """A whole sidecar. Raises: Corrupt, LimitExceeded."""
    return _xmp(text) if _is_xmp(text) else _takeout(text)


def _is_xmp(text: str) -> bool:
    return text[:_HEAD].lstrip().startswith("<") and _XMP.search(text, 0, _HEAD) is not None


def _xmp(text: str) -> Sidecar:
    properties = _properties(text)
    title = _first(properties, _TITLES)
    described = _all(properties, _DESCRIPTIONS, 10 * MOST)
    leaves = [re.split(r"[|/]", path)[-1] for path in _all(properties, _TREES)]
    rating = _number(_first(properties, (f"{_XAP}Rating",)))
    latitude = _degrees(_first(properties, (f"{_EXIF}GPSLatitude",)), 90)
    longitude = _degrees(_first(properties, (f"{_EXIF}GPSLongitude",)), 180)
    return _sidecar(
        title=title,
        described=described,
        keywords=_unique([*_all(properties, _KEYWORDS), *leaves]),
        people=_all(properties, _PEOPLE),
        places=_all(properties, _PLACES),
        taken=_first(properties, _TAKEN),
        rating=rating,
        gps=position(latitude, longitude),
    )


def _sidecar(*, title: str, described: Sequence[str], places: Sequence[str], **facts: Any) -> Sidecar:
    people, keywords = facts["people"], facts["keywords"]
    lines = [title, *described, ", ".join(keywords), ", ".join(people), ", ".join(places)]
    known = {"sidecar": True, "title": title, "places": list(places), **facts}
    metadata = {name: value for name, value in known.items() if value not in (None, "", [])}
    return Sidecar("\n".join(_unique(lines)), metadata)


class _Reader:
    """Collects an XMP packet's properties: the text of each, and of each element of its lists and structures."""

    def __init__(self) -> None:
        self.properties: dict[str, list[str]] = defaultdict(list)
        self._count = 0
        self._stack: list[tuple[str, list[str], bool]] = []
        """(name of the property, its text so far, whether it stands first in its list) for each open element."""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if len(self._stack) >= DEEPEST:
            raise LimitExceeded(f"XML nested deeper than {DEEPEST}")
        # The elements of a list speak for the property around it; so do the fields of a structure for themselves.
        own = self._stack[-1][0] if name.startswith(_RDF) and self._stack else name
        default = attributes.get(f"{_XML}lang") == "x-default"
        self._stack.append((own, [], default))
        for key, value in attributes.items():
            if not key.startswith((_RDF, _XML)):
                self._keep(key, value)

    def text(self, data: str) -> None:
        if self._stack:
            self._stack[-1][1].append(data)

    def end(self, name: str) -> None:
        own, pieces, default = self._stack.pop()
        self._keep(own, "".join(pieces), first=default)

    def _keep(self, name: str, value: str, first: bool = False) -> None:
        clean = " ".join("".join(c if c.isprintable() else " " for c in value).split())
        if clean and self._count < MOST:
            self._count += 1
            self.properties[name].insert(0 if first else len(self.properties[name]), clean)


def _properties(text: str) -> Mapping[str, Sequence[str]]:
    """Property (namespace, space, name) -> its values in order, the default language first."""
    # By now it is UTF-8, whatever it says of itself.
    reader, parser = _Reader(), expat.ParserCreate("utf-8", " ")

    def refused(*_: object) -> None:
        raise Corrupt("a sidecar with a document type: entities are not expanded")

    parser.StartDoctypeDeclHandler = refused
    parser.EntityDeclHandler = refused
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(text.encode("utf-8", "replace"), True)
    except expat.ExpatError as error:
        raise Corrupt(f"its XML is damaged: {error}") from error
    return reader.properties


def _takeout(text: str) -> Sidecar:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Corrupt(f"its JSON is damaged: {error}") from error
    facts: dict[str, Any] = document if isinstance(document, dict) else {}
    taken, gps = None, None
    with suppress(TypeError, ValueError, KeyError, OverflowError, OSError):
        taken = datetime.fromtimestamp(int(facts["photoTakenTime"]["timestamp"]), UTC).isoformat()
    with suppress(TypeError, ValueError, KeyError, OverflowError):
        place = float(facts["geoData"]["latitude"]), float(facts["geoData"]["longitude"])
        gps = position(*place)
    people = facts.get("people")
    named = [person.get("name") for person in people if isinstance(person, dict)] if isinstance(people, list) else []
    described = _text(facts.get("description"))
    return _sidecar(
        title="",  # the file's name
        described=[described],
        keywords=[],
        people=_unique(_text(name)[:LONGEST] for name in named[:MOST]),
        places=[],
        taken=taken,
        rating=None,
        gps=gps,
    )


def _text(value: object) -> str:
    """A string of JSON, in which half a character may stand; empty for what is none."""
    return value.encode("utf-8", "replace").decode("utf-8").strip() if isinstance(value, str) else ""


def _all(properties: Mapping[str, Sequence[str]], names: Iterable[str], length: int = LONGEST) -> list[str]:
    return _unique(value[:length] for name in names for value in properties.get(name, ()))


def _first(properties: Mapping[str, Sequence[str]], names: Iterable[str]) -> str:
    return next(iter(_all(properties, names)), "")


def _unique(values: Iterable[str]) -> list[str]:
    return [value for value in dict.fromkeys(values) if value]


def _number(value: str) -> float | None:
    with suppress(ValueError):
        return float(value) if re.fullmatch(r"-?\d{1,2}(\.\d+)?", value) else None
    return None


def _degrees(value: str, limit: int) -> float | None:
    """59,54.5N or 59,54,30N, degrees and minutes or seconds too, as a signed number."""
    match = re.fullmatch(r"(\d+),(\d+(?:\.\d+)?)(?:,(\d+(?:\.\d+)?))?([NSEW])", value)
    if match is None:
        return None
    angle = int(match[1]) + float(match[2]) / 60 + float(match[3] or 0) / 3600
    return round(-angle if match[4] in "SW" else angle, 6) if angle <= limit else None
