"""What a camera wrote beside the pixels."""

import math
import re
from contextlib import suppress
from typing import Any

from PIL import ExifTags, Image

from mmsearch.media.dates import written_time
from mmsearch.types import Metadata

_LENGTH = 200


def orientation(image: Image.Image) -> int:
    """The EXIF (or XMP) orientation, 1 to 8; 1 where there is none or it is nonsense.

    Formats whose decoder turns the picture by itself (TIFF, HEIC) report 1 once they are loaded.
    """
    with suppress(Exception):
        value = _exif(image).get(ExifTags.Base.Orientation, 1)
        if isinstance(value, int) and 1 <= value <= 8:
            return value
    return 1


def camera_facts(image: Image.Image) -> Metadata:
    """taken (ISO 8601), make, model, lens, gps [latitude, longitude] in degrees; what is broken is left out."""
    with suppress(Exception):
        return exif_facts(*directories(image))
    return {}


def directories(image: Image.Image) -> tuple[Any, Any, Any]:
    """Tags and values of the main directory, of the camera's and of the place's; what is broken is empty."""
    return directories_of(_exif(image))


def directories_of(main: Image.Exif) -> tuple[Any, Any, Any]:
    """The same of EXIF itself."""
    camera: dict[int, Any] = {}
    place: dict[int, Any] = {}
    with suppress(Exception):
        camera = main.get_ifd(ExifTags.IFD.Exif)
    with suppress(Exception):
        place = main.get_ifd(ExifTags.IFD.GPSInfo)
    return main, camera, place


def exif_facts(main: Any, camera: Any, place: Any) -> Metadata:
    """What `camera_facts` gives, of three directories."""
    facts = {
        "taken": _taken(camera, main),
        "make": _text(main.get(ExifTags.Base.Make)),
        "model": _text(main.get(ExifTags.Base.Model)),
        "lens": _text(camera.get(ExifTags.Base.LensModel)),
        "gps": _position(place),
    }
    return {name: value for name, value in facts.items() if value}


def _exif(image: Image.Image) -> Image.Exif:
    # Pillow decodes a whole PNG only to look for a block behind the pixels: not for the sake of a header.
    if image.format == "PNG" and not {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"} & image.info.keys():
        return Image.Exif()
    return image.getexif()


def _taken(camera: Any, main: Any) -> str | None:
    tags = ExifTags.Base
    for value, zone in (
        (camera.get(tags.DateTimeOriginal), camera.get(tags.OffsetTimeOriginal)),
        (camera.get(tags.DateTimeDigitized), camera.get(tags.OffsetTimeDigitized)),
        (main.get(tags.DateTime), camera.get(tags.OffsetTime)),
    ):
        moment = written_time(str(value))
        if moment is not None:
            offset = str(zone).strip("\x00 ")
            told = len(moment) == len("2019-06-30T12:34:56") and re.fullmatch(r"[+-]\d\d:\d\d", offset)
            return moment + (offset if told else "")
    return None


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    return "".join(c for c in value if c.isprintable()).strip()[:_LENGTH] or None


def _position(place: Any) -> list[float] | None:
    tags = ExifTags.GPS
    latitude = _degrees(place.get(tags.GPSLatitude), place.get(tags.GPSLatitudeRef), "S", 90)
    longitude = _degrees(place.get(tags.GPSLongitude), place.get(tags.GPSLongitudeRef), "W", 180)
    return position(latitude, longitude)


def position(latitude: float | None, longitude: float | None) -> list[float] | None:
    """[latitude, longitude] in degrees; None where one is missing, and for 0, 0: what is written without a fix."""
    if latitude is None or longitude is None or not (latitude or longitude):
        return None
    return [latitude, longitude] if abs(latitude) <= 90 and abs(longitude) <= 180 else None


def _degrees(value: Any, reference: Any, negative: str, limit: int) -> float | None:
    """Degrees, minutes and seconds as one signed number."""
    with suppress(TypeError, ValueError, ZeroDivisionError):
        degrees, minutes, seconds = (float(part) for part in value)
        angle = degrees + minutes / 60 + seconds / 3600
        sign = -1 if str(reference).strip("\x00 ").upper() == negative else 1
        return round(sign * angle, 6) if math.isfinite(angle) and abs(angle) <= limit else None
    return None
