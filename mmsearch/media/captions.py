"""What a person wrote inside a picture: in XMP, in IPTC's model, and in EXIF as Windows writes it."""

import re
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from PIL import Image

from mmsearch.media import exif
from mmsearch.media.iptc import read_iptc
from mmsearch.media.plaintext import decoded_text
from mmsearch.media.written import LONGEST, LONGEST_TEXT, Written, clean, unique
from mmsearch.media.xmp import read_xmp

LARGEST = 4 * 2**20
"""Bytes of XMP; programs write some kilobytes, and some a few megabytes of their own history."""

_XMP, _IPTC, _PHOTOSHOP = 700, 33723, {"xmp": 1060, "iptc": 1028}
"""Tags of TIFF; numbers of Photoshop's resources."""

_DESCRIPTION, _COMMENT, _RATING = 0x010E, 0x9286, 0x4746
_XP_TITLE, _XP_COMMENT, _XP_KEYWORDS, _XP_SUBJECT = 0x9C9B, 0x9C9C, 0x9C9E, 0x9C9F
"""UTF-16; keywords are parted by semicolons."""

_BY_ITSELF = re.compile(
    r"(\w+ )*digital (still )?camera|sony dsc|samsung|exif[_ ]jpeg.*|default|untitled|dcim.*|hdrpl|dav|\W*",
    re.IGNORECASE,
)
"""What cameras write as a description of every picture."""


def written_in(image: Image.Image) -> Written:
    """What an opened picture says; what is damaged of it is left out."""
    written = Written()
    main: Any = {}
    camera: Any = {}
    with suppress(Exception):
        main, camera, _ = exif.directories(image)
    with suppress(Exception):
        written = read_written(_packet(image), _block(image), main, camera)
    return written.completed(_of_png(image.info)) if image.format == "PNG" and image.info else written


def read_tags(main: Any, camera: Any) -> Written:
    """What the directories of a TIFF say: EXIF's, in which XMP and IPTC have a tag."""
    order = ">" if getattr(main, "endian", "<") == ">" else "<"
    return read_written(main.get(_XMP), block_of(main.get(_IPTC), order), main, camera)


def read_written(packet: bytes | str | None, block: bytes | None, main: Any, camera: Any) -> Written:
    """What XMP, else IPTC, else EXIF says.

    Args:
        packet: XMP.
        block: IPTC's data sets.
        main, camera: EXIF's directories.
    """
    readers: list[Callable[[], Written]] = []
    if packet:
        readers.append(lambda: _of_xmp(packet))
    if block:
        readers.append(lambda: read_iptc(block[:LARGEST]))
    if main or camera:
        readers.append(lambda: _of_exif(main, camera))
    written = Written()
    for reader in readers:
        # Whatever a block of metadata has wrong, its picture can be seen.
        with suppress(Exception):
            written = written.completed(reader())
    return written


def _of_xmp(packet: bytes | str) -> Written:
    if len(packet) > LARGEST:
        return Written()
    text = packet if isinstance(packet, str) else decoded_text(packet.rstrip(b"\0"))
    return read_xmp(text.strip().strip("\0\ufeff"))


def _of_exif(main: Any, camera: Any) -> Written:
    described = [_ascii(main.get(_DESCRIPTION)), _wide(main.get(_XP_COMMENT)), _comment(camera.get(_COMMENT))]
    stars = main.get(_RATING)
    return Written(
        title=(_wide(main.get(_XP_TITLE)) or _wide(main.get(_XP_SUBJECT)))[:LONGEST],
        described=unique(text[:LONGEST_TEXT] for text in described if not _BY_ITSELF.fullmatch(text[:LONGEST])),
        keywords=unique(word.strip()[:LONGEST] for word in _wide(main.get(_XP_KEYWORDS)).split(";")),
        rating=float(stars) if isinstance(stars, int) and 0 < stars <= 5 else None,
    )


def _of_png(info: Any) -> Written:
    """The texts that PNG itself has a name for."""
    named = {name: clean(info[name]) for name in ("Title", "Description") if isinstance(info.get(name), str)}
    return Written(
        title=named.get("Title", "")[:LONGEST], described=unique([named.get("Description", "")[:LONGEST_TEXT]])
    )


def _packet(image: Image.Image) -> bytes | str | None:
    info: Any = image.info
    found = info.get("xmp") or info.get("XML:com.adobe.xmp") or _resource(image, "xmp")
    return found if isinstance(found, bytes | str) else None


def _block(image: Image.Image) -> bytes | None:
    tags: Any = getattr(image, "tag_v2", None)
    found = _resource(image, "iptc") if tags is None else tags.get(_IPTC)
    return block_of(found, "<" if tags is None or tags.prefix == b"II" else ">")


def block_of(value: Any, order: str) -> bytes | None:
    """IPTC's bytes; Photoshop has TIFF believe that they are whole numbers of four.

    Args:
        order: "<" or ">", of the file.
    """
    if isinstance(value, tuple) and value and all(isinstance(one, int) and 0 <= one < 2**32 for one in value):
        return struct.pack(f"{order}{len(value)}I", *value)
    return value if isinstance(value, bytes) else None


def _resource(image: Image.Image, name: str) -> bytes | None:
    """One of Photoshop's blocks, in its own format or in a JPEG."""
    number = _PHOTOSHOP[name]
    found: Any = image.info.get("photoshop")
    data = found.get(number) if isinstance(found, dict) else None
    for known, _, value in getattr(image, "resources", ()):
        if known == number:
            data = value
    return data if isinstance(data, bytes) else None


def _ascii(value: Any) -> str:
    """EXIF has ASCII, and programs write UTF-8, which Pillow reads as Latin-1."""
    if not isinstance(value, str):
        return ""
    with suppress(UnicodeError):
        value = value.encode("latin-1").decode("utf-8")
    return clean(value)


def _wide(value: Any) -> str:
    if isinstance(value, tuple):
        value = bytes(value)
    return clean(value.decode("utf-16-le", "replace").partition("\0")[0]) if isinstance(value, bytes) else ""


def _comment(value: Any) -> str:
    """Eight bytes that say its encoding, then the text; UTF-16 in either order."""
    if not isinstance(value, bytes):
        return ""
    code, text = value[:8].rstrip(b"\0 "), value[8:]
    if code == b"UNICODE":
        zeros = text[1::2].count(0), text[::2].count(0)
        return clean(text.decode("utf-16-le" if zeros[0] >= zeros[1] else "utf-16-be", "replace").partition("\0")[0])
    return clean(text.decode("utf-8", "replace").partition("\0")[0]) if code in (b"ASCII", b"") else ""
