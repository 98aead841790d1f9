"""What is kept of what media tell of people and places: the settings `keep_...`, and what they make of metadata.

Faces are never identified: nothing here knows whose a face is, and people are those whom a file names in words.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple, TypeAlias

Places: TypeAlias = Literal["exact", "rounded", "none"]

DEGREE_DECIMALS = 1
"""Decimals of a degree that a rounded place has: about 11 km."""

CAMERA = ("make", "model", "lens")
PEOPLE = ("people", "author", "from", "to")
PLACES = ("places",)
TAGS = ("keywords",)
GPS = "gps"


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is kept."""

    places: Places = "exact"
    """Where it was taken: as it is told, rounded to a tenth of a degree (and places by name not at all), or not."""
    camera: bool = True
    people: bool = True
    """Names of people: who is in a picture, who wrote or sent a document."""
    tags: bool = True
    """Keywords that files and sidecars bring."""
    names: bool = True
    """Words of file names and folders, for searches."""

    @property
    def everything(self) -> bool:
        """Whether all that a file tells is kept, so that it may be handed out as it is."""
        return self.places == "exact" and self.camera and self.people and self.tags

    def left_out(self) -> frozenset[str]:
        """The keys of metadata that are not kept, but for the place in degrees."""
        out: tuple[str, ...] = () if self.places == "exact" else PLACES
        out += () if self.camera else CAMERA
        out += () if self.people else PEOPLE
        return frozenset(out + (() if self.tags else TAGS))

    def kept(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """What of metadata is kept."""
        out = self.left_out()
        found = {key: value for key, value in metadata.items() if key not in out}
        if GPS in found and self.places != "exact":
            place = self.place(found.pop(GPS))
            found.update({} if place is None else {GPS: place})
        return found

    def place(self, told: Any) -> list[float] | None:
        """What is kept of latitude and longitude in degrees; None where there is nothing."""
        if self.places == "none" or not isinstance(told, list | tuple) or len(told) != 2:
            return None
        if self.places == "exact":
            return list(told)
        degrees = [one for one in told if isinstance(one, int | float) and not isinstance(one, bool)]
        return [round(one, DEGREE_DECIMALS) for one in degrees] if len(degrees) == 2 else None

    def lost_texts(self, metadata: Mapping[str, Any]) -> Iterable[str]:
        """Texts of metadata that are not kept: no passage may hold them."""
        for key in self.left_out() & metadata.keys():
            value = metadata[key]
            yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str) and one)
        place = metadata.get(GPS)
        if self.places != "exact" and isinstance(place, list) and self.place(place) != place:
            yield "{:g}, {:g}".format(*place)


class KeptFacts(NamedTuple):
    """How many contents tell what."""

    contents: int
    gps: int
    """Where they were taken, in degrees."""
    places: int
    """That by name."""
    camera: int
    people: int
    tags: int
    """Keywords of their own."""
    names: int
    """Files whose names can be searched for."""


class Reduced(NamedTuple):
    """What was changed."""

    contents: int
    """Whose facts were cut."""
    tags: int
    passages: int
    """That held a name or a place: their words are gone, those of sidecars and documents with their vectors."""
    names: int
    """Files whose names were taken into searches, or out of them."""


def keeping_of(told: Mapping[str, Any]) -> Keeping:
    """As it went over a pipe."""
    return Keeping(**{one.name: told[one.name] for one in fields(Keeping) if one.name in told})
