"""What a person or a program wrote about a medium, whatever the format: inside it or in a sidecar."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from mmsearch.core.keeping import Keeping
from mmsearch.types import Metadata

MOST = 10_000
"""Values kept; digital asset managers write some hundreds of keywords."""

LONGEST = 200
"""Characters of a keyword, a name or a title."""

LONGEST_TEXT = 10 * MOST
"""Characters of a description."""


class Policy:
    """What this process keeps of what it reads: a decode worker is told as it begins."""

    keeping = Keeping()


@dataclass(frozen=True, slots=True)
class Written:
    """What is not known is empty or None."""

    title: str = ""
    described: tuple[str, ...] = ()
    """Descriptions, captions and comments."""
    keywords: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    taken: str | None = None
    """When the picture was taken, in ISO 8601 or something like it."""
    rating: float | None = None
    """1 to 5 stars; 0 for none, -1 for rejected."""
    gps: list[float] | None = None
    """[latitude, longitude] in degrees."""

    def facts(self) -> Metadata:
        """For the catalog: what is known, without the descriptions."""
        known = {
            "title": self.title,
            "keywords": list(self.keywords),
            "people": list(self.people),
            "places": list(self.places),
            "taken": self.taken,
            "rating": self.rating,
            "gps": self.gps,
        }
        return Policy.keeping.kept({name: value for name, value in known.items() if value not in (None, "", [])})

    def words(self, *, whole: bool = True) -> str:
        """A text to search, a line each for title, descriptions, keywords, people and places.

        Args:
            whole: With title and keywords, which a picture's title and tags hold already.
        """
        keeping = Policy.keeping
        people, places = self.people * keeping.people, self.places * (keeping.places == "exact")
        lines = [*self.described, ", ".join(people), ", ".join(places)]
        if whole:
            lines = [self.title, *self.described, ", ".join(self.keywords * keeping.tags), *lines[-2:]]
        return "\n".join(unique(lines))

    def completed(self, other: "Written") -> "Written":
        """With the other's lists behind one's own, and what only the other knows."""
        made: dict[str, Any] = {}
        for field in fields(self):
            own, more = getattr(self, field.name), getattr(other, field.name)
            known = own not in (None, "", ())
            made[field.name] = unique([*own, *more]) if isinstance(own, tuple) else own if known else more
        return Written(**made)


def unique(values: Iterable[str]) -> tuple[str, ...]:
    """Each once, without empty ones."""
    return tuple(value for value in dict.fromkeys(values) if value)


def clean(text: str) -> str:
    """One line of characters that can be printed."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
