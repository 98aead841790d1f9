"""When something was taken, as cameras, phones and names of files write it."""

import re
from contextlib import suppress
from datetime import datetime

_WRITTEN = re.compile(
    r"(\d{4})[:/.-](\d\d)[:/.-](\d\d)(?:[T ]+(\d\d):(\d\d):(\d\d)(?:[.,]\d+)?)?\s*(Z|[+-]\d\d:?\d\d)?", re.ASCII
)
_NAMED = re.compile(
    r"(?<!\d)((?:19|20)\d\d)([-_.]?)(\d\d)\2(\d\d)"
    r"(?:(?:[-_ .T]|\s+at\s+)(\d\d)([-_.:]?)(\d\d)\6(\d\d)(?:\d{3})?)?(?!\d)",
    re.ASCII,
)
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)([+-]\d{4})?)?", re.ASCII)

EARLIEST = 1980
"""Before it there were no digital cameras: clocks that were never set say 1904 or 1970."""


def written_time(text: str) -> str | None:
    """A moment as EXIF has it (2019:06:30 12:34:56), or with dashes or slashes, as ISO 8601; None for what is none."""
    found = _WRITTEN.fullmatch(text.strip("\x00 "))
    return _moment(*found.groups()[:6], zone=found[7] or "") if found and found[4] else None


def compact_time(text: str) -> str | None:
    """A day or a moment as IPTC has it (20190630, 20190630123456+0200), as ISO 8601; None for what is none."""
    found = _COMPACT.fullmatch(text)
    return _moment(*found.groups()[:6], zone=found[7] or "") if found else None


def time_in_name(name: str) -> str | None:
    """The moment, or the day, in a name such as IMG-20240501-WA0001.jpg or Screenshot 2024-05-01 at 12.34.56.png, as
    ISO 8601."""
    found = _NAMED.search(name)
    if found is None:
        return None
    year, _, month, day, hour, _, minute, second = found.groups()
    day_only = _moment(year, month, day, None, None, None)
    if day_only is None or int(year) < EARLIEST:
        return None
    return (_moment(year, month, day, hour, minute, second) if hour else None) or day_only


def _moment(*parts: str | None, zone: str = "") -> str | None:
    numbers = [int(part) for part in parts if part is not None]
    with suppress(ValueError):
        moment = datetime(*numbers)  # type: ignore[arg-type]
        return (moment.isoformat() if len(numbers) > 3 else moment.date().isoformat()) + zone
    return None
