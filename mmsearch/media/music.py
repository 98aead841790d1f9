"""What sounds and films say of themselves: title, artist, album and the rest, whatever their container calls them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from av.container import InputContainer

from mmsearch.types import Metadata

_NAMES = {
    "title": "title", "com.apple.quicktime.title": "title", "com.apple.quicktime.displayname": "title",
    "artist": "artist", "com.apple.quicktime.artist": "artist", "performer": "artist",
    "com.apple.quicktime.author": "artist", "author": "artist",
    "album": "album", "com.apple.quicktime.album": "album",
    "album_artist": "album_artist", "albumartist": "album_artist", "album artist": "album_artist",
    "composer": "composer", "com.apple.quicktime.composer": "composer",
    "genre": "genre", "com.apple.quicktime.genre": "genre",
    "track": "track", "tracknumber": "track", "part_number": "track",
    "date": "date", "year": "date", "com.apple.quicktime.year": "date", "date_released": "date",
    "date_recorded": "date", "originaldate": "date", "originalyear": "date",
}  # fmt: skip
"""What containers call them, in lower case; of two names of one fact the first that the file has counts."""

_LONGEST = 200
_NUMBERED_GENRE = re.compile(r"(?:\(\d{1,3}\))+(?=[^(])")
_YEAR = re.compile(r"(?<!\d)(?:1[0-9]|20)\d\d(?!\d)", re.ASCII)


def music_facts(container: InputContainer) -> Metadata:
    """title, artist, album, album_artist, composer, genre and date as texts; track and year as whole numbers."""
    facts: Metadata = {}
    for tags in _sources(container):
        for name, value in tags.items():
            ours = _NAMES.get(name.lower())
            text = "".join(c if c.isprintable() else " " for c in str(value))
            text = " ".join(text.split())[:_LONGEST]
            if ours and text:
                facts.setdefault(ours, text)
    if "genre" in facts:
        facts["genre"] = _NUMBERED_GENRE.sub("", facts["genre"])
    track = re.match(r"\d{1,4}", facts.pop("track", ""), re.ASCII)
    year = _YEAR.search(facts.get("date", ""))
    if track and int(track[0]):
        facts["track"] = int(track[0])
    if year:
        facts["year"] = int(year[0])
    return facts


def _sources(container: InputContainer) -> Iterator[Mapping[str, Any]]:
    """A file's own tags; in Ogg those of its first stream. Of other containers, a stream's are about a track."""
    yield container.metadata
    if container.format.name == "ogg":
        yield from (stream.metadata for stream in list(container.streams)[:1])
