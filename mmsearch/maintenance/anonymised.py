"""What an export leaves out that tells whose files these are: an export that others may see.

Nothing is written that is not known to be harmless: of metadata the technical facts alone, of places in files numbers.
Contents get other hashes, by a key that nobody keeps, so that whoever has a file can't tell that it is here by that.
Vectors still tell: see `mmsearch help security`.
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Collection, Mapping
from pathlib import PurePosixPath
from typing import Any, Literal, TypeAlias, get_args

from mmsearch.core.keeping import GPS, PEOPLE, PLACES

Identifying: TypeAlias = Literal["paths", "names", "places", "dates", "texts"]
"""paths: of files and folders. names: titles, people, authors, cameras, tags and own metadata. places: where
media were taken. dates: when they were taken, made and changed. texts: words of passages and of their places."""

ALL: tuple[Identifying, ...] = get_args(Identifying)

HARMLESS = frozenset(
    ("width", "height", "duration", "format", "codec", "audio_codec", "channels", "rate", "bitrate", "fps", "pages",
     "frames", "animated", "cut_off", "scanned", "language", "words", "alpha", "colours")
)  # fmt: skip
"""Keys of metadata that say nothing of people, places or times."""

NAMES = ("title", "keywords", "make", "model", "lens", "artist", "album", "album_artist", "composer", "genre", "rating",
         *PEOPLE)  # fmt: skip
DATES = ("taken", "created", "year", "modified")

_TEXTS = ("text", "place")
"""Of a segment, what is written in it and what its part of a document is called."""

Record: TypeAlias = dict[str, Any]
Reduce: TypeAlias = Callable[[Record], Record]


def unchanged(record: Record) -> Record:
    """Of an export that leaves nothing out."""
    return record


class Anonymised:
    """Takes out of the lines of one export what it is to leave out."""

    def __init__(self, left_out: Collection[Identifying]) -> None:
        self.left_out = frozenset(left_out)
        self._key = secrets.token_bytes(32)
        kept = {GPS, *PLACES} if "places" not in self.left_out else set()
        kept |= set(NAMES) if "names" not in self.left_out else set()
        kept |= set(DATES) if "dates" not in self.left_out else set()
        self._metadata = HARMLESS | kept

    def content(self, record: Record) -> Record:
        """A line of a content."""
        made = {**record, "sha256": self._hashed(record["sha256"]), "metadata": self._facts(record["metadata"])}
        made.pop("evidence", None)
        if "names" in self.left_out:
            made |= {"given": [], "tags": [], "meta": {}}
        if "texts" in self.left_out:
            made["segments"] = [{k: v for k, v in one.items() if k not in _TEXTS} for one in record["segments"]]
        return made

    def item(self, record: Record) -> Record:
        """A line of a path; its size would tell which file it is."""
        hashed, path = self._hashed(record["sha256"]), str(record["path"])
        made = {**record, "sha256": hashed, "size": 0}
        made.pop("kept", None)
        if "paths" in self.left_out:
            own = self._hashed(path)[:32]
            made |= {"path": f"{os.sep}anonymous{os.sep}{own}{_suffix(path)}", "root": f"{os.sep}anonymous"}
        if "dates" in self.left_out:
            made["mtime_ns"] = 0
        return made

    def _facts(self, metadata: Mapping[str, Any]) -> Record:
        return {key: value for key, value in metadata.items() if key in self._metadata}

    def _hashed(self, told: str) -> str:
        return hmac.new(self._key, told.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _suffix(path: str) -> str:
    """Of a file's name, if that is one of few letters: others may be words."""
    suffix = PurePosixPath(path.replace("\\", "/")).suffix.lower()
    return suffix if 1 < len(suffix) <= 5 and suffix[1:].isalnum() and suffix.isascii() else ""
