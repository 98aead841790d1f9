"""Which files belong together, by their paths alone: same folder, same stem."""

import os
import re

MEDIA = frozenset(
    b"3fr 3g2 3gp aac aif aiff arw avi avif bmp cr2 cr3 crw dng erf flac flv gif heic heif iiq jfif jpe jpeg jpg jxl "
    b"m2ts m4a m4v mkv mov mp3 mp4 mpeg mpg mts nef nrw oga ogg ogv opus orf pef png raf rw2 rwl sr2 srf srw tif tiff "
    b"wav webm webp wma wmv x3f".split()
)
"""Suffixes that another one may follow: IMG_1.jpg.xmp is about IMG_1.jpg. Part of what a library has stored: a change
is a migration."""

RAW = frozenset(b"3fr arw cr2 cr3 crw dng erf iiq nef nrw orf pef raf rw2 rwl sr2 srf srw x3f".split())
"""Suffixes of pictures as the sensor saw them."""

SIDECARS = frozenset((b"xmp", b"json"))
"""Suffixes of files that only speak about another one."""

ALONE = b"/"
"""Ends the key of a file that belongs to none: no stem ends so."""

# Google Takeout writes IMG_1.jpg.json or IMG_1.jpg.supplemental-metadata.json, cut off where the name grows too long,
# and for IMG_1(1).jpg IMG_1.jpg(1).json.
_TAKEOUT = re.compile(rb"(.+)\.(\w+)(?:\.(s[a-z-]*))?(\(\d+\))?\.json", re.DOTALL)
_SUPPLEMENTAL = b"supplemental-metadata"

_SEPARATOR = os.fsencode(os.sep)


def group_key(path: bytes) -> bytes:
    """Folder and stem of a path; equal for files that belong together. A file without suffix stays alone."""
    folder, separator, name = path.rpartition(_SEPARATOR)
    stem = _stem(name)
    return folder + separator + stem if stem else path + ALONE


def suffix(path: bytes) -> bytes:
    """What follows the last dot, in lower case."""
    return path.rpartition(_SEPARATOR)[2].rpartition(b".")[2].lower()


def _stem(name: bytes) -> bytes:
    """The name up to its last dot, and up to the one before if that makes a medium's name; empty if there is none."""
    takeout = _TAKEOUT.fullmatch(name)
    if takeout and takeout[2].lower() in MEDIA and _SUPPLEMENTAL.startswith(takeout[3] or b""):
        return takeout[1] + (takeout[4] or b"")
    stem, dot, last = name.rpartition(b".")
    if not stem or not last:
        return b""
    inner, dot, kind = stem.rpartition(b".")
    return inner if dot and inner and kind.lower() in MEDIA else stem
