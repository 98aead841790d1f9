"""XMP: RDF in XML (ISO 16684-1), inside media and beside them.

It is read with the standard library's Expat, event by event, no tree: a document type is refused, and with it every
entity that could be expanded or fetched, and so is deep nesting.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from xml.parsers import expat

from mmsearch.errors import Corrupt, LimitExceeded
from mmsearch.media.exif import position
from mmsearch.media.written import LONGEST, LONGEST_TEXT, MOST, Written, clean, unique

DEEPEST = 64
"""Elements inside each other; what programs write stays below 20."""

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


def read_xmp(text: str) -> Written:
    """What a packet says. Raises: Corrupt, LimitExceeded."""
    properties = _properties(text)
    leaves = [re.split(r"[|/]", path)[-1] for path in _all(properties, _TREES)]
    latitude = _degrees(_first(properties, (f"{_EXIF}GPSLatitude",)), 90)
    longitude = _degrees(_first(properties, (f"{_EXIF}GPSLongitude",)), 180)
    return Written(
        title=_first(properties, _TITLES),
        described=_all(properties, _DESCRIPTIONS, LONGEST_TEXT),
        keywords=unique([*_all(properties, _KEYWORDS), *leaves]),
        people=_all(properties, _PEOPLE),
        places=_all(properties, _PLACES),
        taken=_first(properties, _TAKEN) or None,
        rating=_number(_first(properties, (f"{_XAP}Rating",))),
        gps=position(latitude, longitude),
    )


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
        text = clean(value)
        if text and self._count < MOST:
            self._count += 1
            self.properties[name].insert(0 if first else len(self.properties[name]), text)


def _properties(text: str) -> Mapping[str, Sequence[str]]:
    """Property (namespace, space, name) -> its values in order, the default language first."""
    # By now it is UTF-8, whatever it says of itself.
    reader, parser = _Reader(), expat.ParserCreate("utf-8", " ")

    def refused(*_: object) -> None:
        raise Corrupt("XMP with a document type: entities are not expanded")

    parser.StartDoctypeDeclHandler = refused
    parser.EntityDeclHandler = refused
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(text.encode("utf-8", "replace"), True)
    except expat.ExpatError as error:
        raise Corrupt(f"its XMP is damaged: {error}") from error
    return reader.properties


def _all(properties: Mapping[str, Sequence[str]], names: Iterable[str], length: int = LONGEST) -> tuple[str, ...]:
    return unique(value[:length] for name in names for value in properties.get(name, ()))


def _first(properties: Mapping[str, Sequence[str]], names: Iterable[str]) -> str:
    return next(iter(_all(properties, names)), "")


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
