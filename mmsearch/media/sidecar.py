"""Sidecars: what a person or a program wrote about the medium beside it, as XMP or as Google Takeout's JSON."""

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mmsearch.errors import Corrupt
from mmsearch.media.exif import position
from mmsearch.media.written import LONGEST, MOST, Policy, Written, unique
from mmsearch.media.xmp import read_xmp
from mmsearch.types import Metadata

_HEAD = 4096
"""Characters within which a sidecar shows what it is."""

_XMP = re.compile(r"<\?xpacket\b|<(?:\w+:)?x[am]pmeta\b")
_TAKEOUT = re.compile(r'\s*\{\s*"title"\s*:(?=.*"(?:photoTakenTime|geoData)"\s*:)', re.DOTALL)


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
    written = read_xmp(text) if _is_xmp(text) else _takeout(text)
    return Sidecar(written.words() or _numbers(written), {"sidecar": True, **written.facts()})


def _numbers(written: Written) -> str:
    """When, where and how many stars, for a sidecar without words: a file without any text would not be taken in."""
    gps = Policy.keeping.place(written.gps)
    place = "" if gps is None else "{:g}, {:g}".format(*gps)
    stars = f"rated {written.rating:g}" if written.rating else ""
    return "\n".join(unique([written.taken or "", place, stars]))


def _is_xmp(text: str) -> bool:
    return text[:_HEAD].lstrip().startswith("<") and _XMP.search(text, 0, _HEAD) is not None


def _takeout(text: str) -> Written:
    """Its title is the file's name."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Corrupt(f"its JSON is damaged: {error}") from error
    facts: dict[str, Any] = document if isinstance(document, dict) else {}
    taken = None
    with suppress(TypeError, ValueError, KeyError, OverflowError, OSError):
        taken = datetime.fromtimestamp(int(facts["photoTakenTime"]["timestamp"]), UTC).isoformat()
    people = facts.get("people")
    named = [person.get("name") for person in people if isinstance(person, dict)] if isinstance(people, list) else []
    return Written(
        described=unique([_text(facts.get("description"))]),
        people=unique(_text(name)[:LONGEST] for name in named[:MOST]),
        taken=taken,
        # What somebody set on the map, else what the camera had.
        gps=_place(facts.get("geoData")) or _place(facts.get("geoDataExif")),
    )


def _place(value: Any) -> list[float] | None:
    with suppress(TypeError, ValueError, KeyError, OverflowError):
        return position(float(value["latitude"]), float(value["longitude"]))
    return None


def _text(value: object) -> str:
    """A string of JSON, in which half a character may stand; empty for what is none."""
    return value.encode("utf-8", "replace").decode("utf-8").strip() if isinstance(value, str) else ""
