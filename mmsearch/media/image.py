"""Pictures: everything Pillow reads, and HEIC. Content decides what a file is, by Pillow's own signature functions."""

import io
import re
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from mmsearch.errors import Corrupt, LimitExceeded, MediaError, Unsupported
from mmsearch.media import captions, exif, kinds, motion, panels, panorama, pixels, raw, sniff
from mmsearch.types import Limits, Metadata, Modality, Segment, Span, Windowing

Image.init()
pillow_heif.register_heif_opener()

# Known to Pillow, but drawn by another program (Ghostscript), or identified without being decoded.
_REFUSED = frozenset({"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG", "IPTC", "IMT", "SPIDER", "PCD", "FPX", "MIC"})

# Formats without a signature: the suffix decides, and Pillow checks the header.
_BY_SUFFIX = {".tga": "TGA", ".icb": "TGA", ".vda": "TGA", ".vst": "TGA", ".im": "IM"}

# Signatures so short that a text could begin with them.
_STRICTER = {
    "JPEG": re.compile(rb"\xff\xd8\xff[^\xf7]", re.DOTALL),
    "PSD": re.compile(rb"8BPS\x00\x01"),
    "JPEG2000": re.compile(rb"(?!.{16}ftypmjp2)", re.DOTALL),
    "BMP": re.compile(rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00", re.DOTALL),
    "DIB": re.compile(rb"[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00..", re.DOTALL),
    "PPM": re.compile(rb"P(?:[1-6]\s(?:\s*#[^\n]*\n)*\s*-?\d+\s|[fFy7]\s)"),
    "XBM": re.compile(rb"\s*#define\s+\S*_?width\s+\d+\s+#define\s", re.DOTALL),
    "ICO": re.compile(rb"\x00\x00\x01\x00(?!\x00\x00)"),
    "CUR": re.compile(rb"\x00\x00\x02\x00(?!\x00\x00)"),  # with a count of 0 it is a TGA
    "ICNS": re.compile(rb"icns[\x00-\x08]", re.DOTALL),
}

# Frames of these follow each other in time; those of other formats are layers, thumbnails or the other eye.
_ANIMATED = frozenset({"GIF", "WEBP", "PNG", "AVIF", "FLI"})
_PAGED = frozenset({"TIFF", "DCX"})

# These jump to any frame, and know its time once it is decoded.
_RANDOM_ACCESS = frozenset({"WEBP", "AVIF"})


class ImageDecoder:
    """One segment of a still picture; several of an animated one or of a scan with pages."""

    modality: Modality = "image"

    def __init__(self, windowing: Windowing, limits: Limits) -> None:
        self._windowing = windowing
        self._limits = limits

    def accepts(self, path: Path, head: bytes) -> bool:
        return bool(formats_of(path, head)) or raw.raw_kind(path, head) is not None

    def describe(self, path: Path) -> Metadata:
        """width and height as shown, format, frames, taken, make, model, lens, gps (degrees north and east), and what a
        person wrote into it: title, keywords, people, places, rating."""
        with pixels.guarded(self._limits):
            kind = raw.raw_kind(path, sniff.read_head(path, self._limits))
            if kind is not None:
                with raw.opened_raw(path, kind, self._limits) as picture:
                    return picture.describe()
            return self._described(path)

    def _described(self, path: Path) -> Metadata:
        with _open(path, self._limits) as image:
            facts = captions.written_in(image).facts() | exif.camera_facts(image)
            width, height = image.size
            if exif.orientation(image) >= 5:
                width, height = height, width
            frames = _frame_count(image)
            return {"width": width, "height": height, "format": image.format, **facts} | (
                {"frames": frames} if frames > 1 else {}
            )

    def decode(self, path: Path) -> Generator[Segment, None, Metadata]:
        """uint8 (height, width, 3), sRGB, upright; the shorter side is below twice `image_side` unless it was less.

        A frame of an animation spans its time on the screen. Frames after the first that are damaged are left out.
        Of a file without its last bytes, what is there is shown, as viewers do, and {"cut_off": True} returned; one of
        which most is missing is corrupt.

        The words of the first are what a person wrote into the picture, title and keywords apart. Photos of a collage
        (`media.panels`) or squares out of a panorama (`media.panorama`) follow, and the film of a motion photo with its
        sound (`media.motion`).
        """
        found: Metadata
        with pixels.guarded(self._limits):
            kind = raw.raw_kind(path, sniff.read_head(path, self._limits))
            try:
                if kind is not None:
                    segments, words, found = self._raw(path, kind)
                else:
                    segments, words, found = self._picture(path)
            except Exception as error:
                if kind is not None or not pixels.is_cut_off(error):
                    raise
                segments, words, found = self._rest(path), "", {"cut_off": True}
        yield replace(segments[0], span=replace(segments[0].span, text=words or None))
        yield from segments[1:]
        if kind is None:
            yield from motion.film_segments(path, self._windowing, self._limits)
        return found

    def _picture(self, path: Path) -> tuple[list[Segment], str, Metadata]:
        with _open(path, self._limits) as image:
            segments = self._segments(image)
            # Its decoder needs no end, and misses none.
            cut_off = image.format == "PNG" and not _png_ends(path)
            return segments, captions.written_in(image).words(whole=False), {"cut_off": True} if cut_off else {}

    def _raw(self, path: Path, kind: str) -> tuple[list[Segment], str, Metadata]:
        with raw.opened_raw(path, kind, self._limits) as picture:
            return self._with_parts(picture.shown(self._windowing.image_side)), picture.words(), {}

    def _segments(self, image: Image.Image) -> list[Segment]:
        count = _frame_count(image)
        if count > 1:
            taken = min(self._windowing.animation_frames, count)
            return self._frames(image, [(2 * i + 1) * count // (2 * taken) for i in range(taken)])
        return self._with_parts(pixels.upright_rgb(image, self._windowing.image_side))

    def _rest(self, path: Path) -> list[Segment]:
        """What is left of a picture that is cut off."""
        with pixels.lenient(), _open(path, self._limits, ended=True) as image:
            shown = pixels.upright_rgb(image, self._windowing.image_side)
            pixels.check_mostly_there(image)
        return self._with_parts(shown)

    def _frames(self, image: Image.Image, indexes: list[int]) -> list[Segment]:
        segments: list[Segment] = []
        clock = _Clock()
        paged = image.format in _PAGED
        for index in indexes if image.format in _RANDOM_ACCESS else range(indexes[-1] + 1):
            try:
                image.seek(index)
                if index in indexes:
                    image.load()
                span = Span(page=index + 1) if paged else clock.tick(image)
                if index in indexes:
                    segments.append(Segment("image", pixels.upright_rgb(image, self._windowing.image_side), span))
            except (LimitExceeded, MemoryError):
                raise
            except Exception as error:
                if not segments and index == indexes[-1]:
                    raise pixels.as_media_error(error) from error
                if not paged:
                    break
        return segments or [self._first(image)]

    def _with_parts(self, shown: NDArray[np.uint8]) -> list[Segment]:
        """A picture, and squares along its longer side, or the photos that it is made of where regions are wanted."""
        height, width = shown.shape[:2]
        most = panorama.FEWER if self._windowing.regions else panorama.MOST
        boxes, cut = panorama.boxes(width, height, most), panorama.squares(shown, most)
        if self._windowing.regions and not cut:
            found = panels.panels(shown)
            boxes = [(x / width, y / height, right / width, end / height) for x, y, right, end in found]
            cut = [np.ascontiguousarray(shown[y:end, x:right]) for x, y, right, end in found]
        parts = [Segment("image", one, Span(box=box), part=True) for one, box in zip(cut, boxes, strict=True)]
        return [Segment("image", shown), *parts]

    def _first(self, image: Image.Image) -> Segment:
        image.seek(0)
        return Segment("image", pixels.upright_rgb(image, self._windowing.image_side))


class _Clock:
    """Seconds on the screen, as long as every frame says how long it stays."""

    def __init__(self) -> None:
        self._now: float | None = 0.0

    def tick(self, image: Image.Image) -> Span:
        duration = image.info.get("duration")
        if image.format in _RANDOM_ACCESS:
            self._now = image.info.get("timestamp", 0) / 1000
        if self._now is None or not isinstance(duration, int | float) or not duration >= 0:
            self._now = None
            return Span()
        start, self._now = self._now, self._now + duration / 1000
        return Span(start=round(start, 3), end=round(self._now, 3))


def _frame_count(image: Image.Image) -> int:
    """Frames or pages that can be reached; 1 for formats whose further frames are something else."""
    if image.format not in _ANIMATED | _PAGED:
        return 1
    try:
        return int(getattr(image, "n_frames", 1))
    except LimitExceeded:
        raise
    except Exception:
        # Cut off: what lies before the damage counts.
        count = 1
        with suppress(Exception):
            while True:
                image.seek(count)
                count += 1
        image.seek(0)
        return count


def formats_of(path: Path, head: bytes) -> list[str]:
    """Pillow's names of the formats that the content may be."""
    return list(_formats(path.suffix.lower(), head))


@lru_cache(maxsize=4)
def _formats(suffix: str, head: bytes) -> tuple[str, ...]:
    # One file is asked about three times: by the sniffer, for its facts, for its pixels.
    found = [name for name, (_, accept) in Image.OPEN.items() if accept and _matches(name, accept, head)]
    if not found and suffix in _BY_SUFFIX:
        found = [_BY_SUFFIX[suffix]]
    return tuple(found)


def _matches(name: str, accept: Any, head: bytes) -> bool:
    if name in _REFUSED or (name in _STRICTER and not _STRICTER[name].match(head)):
        return False
    if name in ("HEIF", "AVIF") and kinds.is_picture_track(head):
        return False
    try:
        # A string says why Pillow could not read it.
        return accept(head[:16]) not in (False, None) and not isinstance(accept(head[:16]), str)
    except Exception:
        # Signature functions index into bytes that may not be there.
        return False


def _open(path: Path, limits: Limits, *, ended: bool = False) -> Image.Image:
    """Read the header; `ended` puts an end to a JPEG that has none. Raises: MediaError."""
    with pixels.errors_wrapped():
        formats = formats_of(path, sniff.read_head(path, limits))
        if not formats:
            raise Unsupported("no picture format that can be read")
        try:
            image = Image.open(_ended(path) if ended and "JPEG" in formats else path, formats=formats)
        except UnidentifiedImageError as error:
            raise _refusal(path, formats) from error
    pixels.check_size(image.size, limits)
    return image


def _png_ends(path: Path) -> bool:
    """Whether a PNG has its last block. Each is a length of four bytes, a name of four, the data and a sum of four."""
    with open(path, "rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            if head[4:] == b"IEND":
                return True
            file.seek(int.from_bytes(head[:4], "big") + 4, 1)
    return False


def _ended(path: Path) -> io.BytesIO:
    """A JPEG with the mark of its end: then its decoder shows all that came, also of a progressive one."""
    with open(path, "rb") as file:
        return io.BytesIO(file.read() + b"\xff\xd9")


def _refusal(path: Path, formats: Sequence[str]) -> MediaError:
    """Why no plugin takes a file: a compression or a kind of pixels that isn't in its tables, or damage."""
    for name in formats:
        try:
            with open(path, "rb") as file:
                Image.OPEN[name][0](file, path.name)
        except Exception as error:
            if isinstance(error.__cause__, KeyError):
                return Unsupported(f"a variant of {name} that can't be read")
    return Corrupt("its header is damaged")
