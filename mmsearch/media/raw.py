"""Pictures as a camera's sensor saw them: shown by the largest preview that the camera made, else from the sensor.

LibRaw reads them, by the package of the extra `raw`. What it does not know yet, a new camera's TIFF, is shown by its
preview all the same. The sensor's own picture is only developed, at half size, where no preview is large enough.
"""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmsearch.errors import OutOfMemory, Unsupported
from mmsearch.media import captions, exif, kinds, pixels, tiff
from mmsearch.types import Limits, Metadata

_TIFF = (b"II*\0", b"MM\0*")
_ODD_TIFF = (b"IIU\0", b"IIRO", b"IIRS", b"MMOR")
"""TIFF under other names: Panasonic's and Olympus'."""

_HEAD = 2**20
"""Bytes within which a camera writes what it knows of a picture, and the most that EXIF is read from."""

_LARGEST, _PREVIEWS = 256 * 2**20, 8
"""Bytes of a preview; previews that are looked at, from the longest."""

_LEAST_BITS = 1 / 16
"""Of a file, for each pixel of the sensor. Huffman codes take one at least; of what is missing LibRaw makes noise."""

_CROPPED = 0.8
"""Of the sensor's sides, what a crop that the camera names has at least; less is a zoom, or damage."""


def raw_kind(path: Path, head: bytes) -> str | None:
    """What kind of raw picture a file is; None if it is none."""
    if head[:4] not in _TIFF:
        kind = kinds.kind_of(head)
        return kind if kind is not None and "raw picture" in kind else None
    if head[8:10] == b"CR":
        return "a Canon raw picture (CR2)"
    if head[8:12] in (b"IIII", b"MMMM"):
        return "a Phase One raw picture (IIQ)"
    with suppress(OSError):
        if tiff.layout_of(path).raw:
            suffix = path.suffix[1:].upper()
            return f"a camera's raw picture ({suffix})" if suffix else "a camera's raw picture"
    return None


class RawPicture:
    """One file, for as long as `opened_raw` holds it open."""

    def __init__(self, path: Path, kind: str, file: Any, limits: Limits) -> None:
        self._path = path
        self._kind = kind
        self._file = file
        """LibRaw's; None of what it does not know."""
        self._limits = limits
        self._layout = tiff.layout_of(path)
        self._exif = _directories(path)
        self.size = self._size()
        """Width and height of the sensor's picture, as stored."""
        pixels.check_size(self.size, limits)
        self._preview = self._largest_preview()

    def describe(self) -> Metadata:
        """As `ImageDecoder.describe`; the format is RAW."""
        main, camera, place = self._exif
        facts = captions.read_tags(main, camera).facts() | exif.exif_facts(main, camera, place)
        if not facts.get("taken") and self._preview is not None:
            with self._opened_preview() as preview:
                facts = captions.written_in(preview).facts() | exif.camera_facts(preview) | facts
        width, height = self.size if self._orientation() < 5 else self.size[::-1]
        return {"width": width, "height": height, "format": "RAW", **facts}

    def words(self) -> str:
        """What a person wrote into it, title and keywords apart."""
        main, camera, _ = self._exif
        return captions.read_tags(main, camera).words(whole=False)

    def shown(self, side: int) -> NDArray[np.uint8]:
        """uint8 (height, width, 3), sRGB, upright, as `pixels.upright_rgb` makes pictures.

        Raises: Unsupported, LimitExceeded, OutOfMemory.
        """
        preview_side = min(self._preview[1]) if self._preview is not None else 0
        if preview_side < min(side, min(self.size) // 2):
            try:
                return self._developed(side)
            except Unsupported:
                # Never a thumbnail in silence.
                if preview_side < side // 2:
                    raise
        with self._opened_preview() as preview:
            own = exif.orientation(preview)
            turn = self._orientation() if own == 1 and self._lies(preview.size) else 1
            return pixels.turned_array(pixels.upright_rgb(preview, side), turn)

    def _developed(self, side: int) -> NDArray[np.uint8]:
        packed = min(self._path.stat().st_size, self._layout.packed or math.inf)
        if self._file is None or 8 * packed < _LEAST_BITS * self.size[0] * self.size[1]:
            raise self._unread()
        with _errors_wrapped(self._unread()):
            developed = self._file.postprocess(half_size=True, use_camera_wb=True, user_flip=0, output_bps=8)
        if not developed.any():
            raise self._unread()  # LibRaw takes zeros for what is missing
        picture = Image.fromarray(np.ascontiguousarray(developed))
        return pixels.turned_array(pixels.upright_rgb(picture, side), self._orientation())

    def _unread(self) -> Unsupported:
        """LibRaw itself can't tell damage from what it doesn't know."""
        return Unsupported(f"{self._kind}: cut off, or of a variant that LibRaw can't read, and without a preview")

    def _lies(self, size: tuple[int, int]) -> bool:
        """Whether a preview lies as the sensor's picture does, and is not turned already."""
        return self._orientation() < 5 or (size[0] >= size[1]) == (self.size[0] >= self.size[1])

    def _size(self) -> tuple[int, int]:
        if self._file is None:
            return self._layout.size or self._sizes_of_previews()
        sizes = self._file.sizes
        whole, crop = (sizes.width, sizes.height), (sizes.crop_width, sizes.crop_height)
        named = all(_CROPPED * side <= part <= side for part, side in zip(crop, whole, strict=True))
        return crop if named else whole

    def _sizes_of_previews(self) -> tuple[int, int]:
        found = self._largest_preview()
        if found is None:
            raise self._unread()
        return found[1]

    def _largest_preview(self) -> tuple[bytes, tuple[int, int]] | None:
        """The encoded preview with most pixels, and its size."""
        found: tuple[bytes, tuple[int, int]] | None = None
        for data in self._previews():
            # One that can't be read is no preview.
            with suppress(Exception), Image.open(io.BytesIO(data), formats=["JPEG", "BMP", "TIFF"]) as preview:
                size = preview.size
                if found is None or size[0] * size[1] > found[1][0] * found[1][1]:
                    pixels.check_size(size, self._limits)
                    found = data, size
        return found

    def _previews(self) -> Iterator[bytes]:
        with open(self._path, "rb") as file:
            for offset, length in self._layout.previews[:_PREVIEWS]:
                file.seek(offset)
                data = file.read(min(length, _LARGEST))
                if not _is_lossless(data):
                    yield data
        if self._file is not None:
            # LibRaw puts a turn of its own into what it hands out: the file's own bytes come first.
            with suppress(Exception):
                thumb = self._file.extract_thumb()
                yield thumb.data if isinstance(thumb.data, bytes) else _as_bitmap(thumb.data)

    @contextmanager
    def _opened_preview(self) -> Iterator[Image.Image]:
        if self._preview is None:
            raise self._unread()
        with Image.open(io.BytesIO(self._preview[0]), formats=["JPEG", "BMP", "TIFF"]) as preview:
            yield preview

    def _orientation(self) -> int:
        value = self._exif[0].get(0x0112)
        if isinstance(value, int) and 1 <= value <= 8:
            return value
        return 1 if self._file is None else {3: 3, 5: 8, 6: 6}.get(self._file.sizes.flip, 1)


@contextmanager
def opened_raw(path: Path, kind: str, limits: Limits) -> Iterator[RawPicture]:
    """Raises: Unsupported without the extra, and for what neither LibRaw nor a preview shows; LimitExceeded."""
    try:
        import rawpy
    except ImportError as error:
        raise Unsupported(
            f"{kind}: it is read with the extra raw (pip install 'mmsearch[raw]')",
            hint="pip install 'mmsearch[raw]', then: mmsearch failures --retry unsupported",
        ) from error
    with rawpy.RawPy() as file:
        try:
            _open(file, path)
        except rawpy.LibRawError as error:
            if not tiff.layout_of(path).previews:
                raise Unsupported(f"{kind}: LibRaw can't read it ({_said(error)})") from error
            yield RawPicture(path, kind, None, limits)
            return
        yield RawPicture(path, kind, file, limits)


@contextmanager
def _errors_wrapped(unread: Unsupported) -> Iterator[None]:
    import rawpy

    try:
        yield
    except (rawpy.LibRawUnsufficientMemoryError, MemoryError) as error:
        raise OutOfMemory("out of memory") from error
    except (rawpy.LibRawError, rawpy.NotSupportedError) as error:
        raise unread from error


def _said(error: Exception) -> str:
    told = error.args[0] if error.args else ""
    return told.decode("utf-8", "replace") if isinstance(told, bytes) else str(told)


def _open(file: Any, path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        # LibRaw takes names in UTF-8 alone.
        with open(path, "rb") as opened:
            file.open_buffer(opened)
        return
    file.open_file(str(path))


def _directories(path: Path) -> tuple[Any, Any, Any]:
    """EXIF's main directory, the camera's and the place's; empty where there is none."""
    with suppress(Exception), open(path, "rb") as file:
        magic = file.read(12)
        file.seek(0)
        if magic[:4] in _TIFF:
            return exif.directories_of(_loaded(file))
        head = file.read(_HEAD)
        if magic[:4] in _ODD_TIFF:
            return exif.directories_of(_loaded(io.BytesIO(_TIFF[magic[:2] == b"MM"] + head[4:])))
        if magic[4:11] == b"ftypcrx":
            return _of_canon(head)
    return {}, {}, {}


def _is_lossless(data: bytes) -> bool:
    """Whether a JPEG is of the lossless kind, in which sensors' pictures are packed, and no viewer reads."""
    at = 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xda":
        if data[at + 1] in (0xC3, 0xC7, 0xCB, 0xCF):
            return True
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def _loaded(file: Any) -> Image.Exif:
    main = Image.Exif()
    main.load_from_fp(file)
    return main


def _of_canon(head: bytes) -> tuple[Any, Any, Any]:
    """CR3 is an MP4, with each directory of EXIF in a box of its own."""
    found: list[Any] = []
    for name in (b"CMT1", b"CMT2", b"CMT4"):
        at = head.find(name)
        length = int.from_bytes(head[at - 4 : at], "big") if at >= 4 else 0
        found.append(_loaded(io.BytesIO(head[at + 4 : at - 4 + length])) if length else {})
    return found[0], found[1], found[2]


def _as_bitmap(thumb: NDArray[np.uint8]) -> bytes:
    data = io.BytesIO()
    Image.fromarray(thumb).save(data, "BMP")
    return data.getvalue()
