"""From any Pillow image to an upright, opaque, colour-managed 8-bit array of useful size."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile, ImageFilter, UnidentifiedImageError

from mmsearch.core import forks
from mmsearch.errors import Corrupt, LimitExceeded, MediaError, OutOfMemory, Unsupported
from mmsearch.media import exif, sniff
from mmsearch.types import Limits

_SAMPLED, _NEARLY_WHITE = 128, 235
"""Places looked at across and down; the mean grey level of what is opaque, from which a white ground would hide it."""

_CUT_OFF = ("truncated", "broken data stream", "end of file")
"""What Pillow and its plugins say of a file that ends too early."""

_MOST_MISSING = 0.5

_LOCK = forks.ForkSafeLock()


@contextmanager
def guarded(limits: Limits) -> Iterator[None]:
    """Pillow's own bomb check at our limit (frames inside a file are checked by it too); its warnings kept quiet.

    Foreign exceptions inside become MediaErrors.
    """
    # The limit and the warning filters are Pillow's and Python's globals.
    with _LOCK, errors_wrapped(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, limits.pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


@contextmanager
def errors_wrapped() -> Iterator[None]:
    """Whatever Pillow raises over a file becomes a MediaError."""
    try:
        yield
    except Exception as error:
        raise as_media_error(error) from error


def as_media_error(error: Exception) -> MediaError:
    """The failure class of an exception out of Pillow: its plugins raise nearly anything over a damaged file."""
    if isinstance(error, MediaError):
        return error
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return LimitExceeded("more pixels than the limit")
    if isinstance(error, MemoryError):
        return OutOfMemory("out of memory")
    if isinstance(error, UnidentifiedImageError):
        return Corrupt("its header is damaged")
    if isinstance(error, NotImplementedError):
        return Unsupported(str(error) or "a variant that can't be read")
    if isinstance(error, OSError) and error.errno is not None:
        return sniff.from_os_error(error)
    if "not supported" in str(error).lower() or "unsupported" in str(error).lower():
        return Unsupported(str(error))
    return Corrupt(str(error) or type(error).__name__)


def is_cut_off(error: Exception) -> bool:
    """Whether Pillow's reason is that the file ends too early; its warnings are no reason."""
    return isinstance(error, OSError | ValueError) and any(words in str(error).lower() for words in _CUT_OFF)


@contextmanager
def lenient() -> Iterator[None]:
    """Inside `guarded`: what a file has of a picture is shown, the rest stays grey or black."""
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def check_mostly_there(image: Image.Image) -> None:
    """Raises: Corrupt if more than half of a decoded picture, from either end, is what its decoder leaves for rows that
    did not come (some formats begin at the bottom)."""
    blank = 128 if image.format in ("JPEG", "MPO") else 0
    rows = np.asarray(image.resize((64, 256), Image.Resampling.NEAREST)).reshape(256, -1)
    there = np.flatnonzero((rows != blank).any(axis=1))
    if not there.size or max(there[0], len(rows) - 1 - there[-1]) > _MOST_MISSING * len(rows):
        raise Corrupt("cut off: most of the picture is missing")


def check_size(size: tuple[int, int], limits: Limits) -> None:
    """Raises: LimitExceeded, Corrupt (no pixels at all)."""
    width, height = size
    if width <= 0 or height <= 0:
        raise Corrupt(f"a picture of {width} x {height} pixels")
    if width * height > limits.pixels:
        raise LimitExceeded(f"{width} x {height} pixels, the limit is {limits.pixels:,}")


def upright_rgb(image: Image.Image, side: int) -> NDArray[np.uint8]:
    """uint8 (height, width, 3), sRGB. Only whole-number reductions, so that the encoder's own resize sees clean pixels:
    the shorter side ends in [side, 2 side), or as it was if it was shorter. Decodes the image if that is still to do.
    """
    shorter = min(image.size)
    if image.format in ("JPEG", "MPO") and shorter > side:
        # The decoder itself can leave out frequencies: 12 megapixels then take a fraction of the time.
        image.draft(image.mode, (image.width * side // shorter, image.height * side // shorter))
    image.load()
    turn = exif.orientation(image)
    profile = image.info.get("icc_profile")
    factor = min(image.size) // side
    if factor >= 2 and image.mode in ("RGB", "RGBA", "L", "LA", "CMYK") and "transparency" not in image.info:
        # Reduced first: a copy of 200 megapixels in another mode would need another gigabyte.
        flat = _eight_bit(image.reduce(factor))
    else:
        flat = _eight_bit(image)
        flat = flat.reduce(factor) if factor >= 2 else flat
    return np.asarray(_turned(_to_srgb(flat, profile), turn))


def _eight_bit(image: Image.Image) -> Image.Image:
    """Mode L, RGB, CMYK or LAB, alpha on a ground."""
    if image.mode in ("RGB", "L", "CMYK", "LAB") and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return Image.fromarray(scaled(np.asarray(image)))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        flat = Image.new("RGB", layer.size, _ground(layer))
        flat.paste(layer, mask=layer.getchannel("A"))
        return flat
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _ground(layer: Image.Image) -> str:
    """What a picture with transparent parts can be seen against: white, or grey for what is white itself."""
    sampled = np.asarray(layer.resize((_SAMPLED, _SAMPLED), Image.Resampling.NEAREST), np.float32).reshape(-1, 4)
    alpha = sampled[:, 3]
    if not alpha.any() or alpha.mean() > 250:
        return "white"
    grey = sampled[:, :3].mean(axis=1)
    return "#505050" if float(grey @ alpha) / float(alpha.sum()) > _NEARLY_WHITE else "white"


def scaled(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Grey levels of 16 or 32 bits, or floats, (h, w) -> uint8, the whole range kept.

    16 bits: divided by 257. 32-bit integers: as the smallest of 8, 16 and 31 bits that holds them. Floats: [0, 1] or
    [0, 255] if they lie in it, otherwise from their own least to their greatest; what is not finite is black.
    """
    low, factor = 0.0, 1 / 257
    if values.dtype.kind == "f":
        low, high = _range(values)
        factor = 1.0
        if low < 0 or high > 255:
            factor = 255 / (high - low)
        else:
            low, factor = 0.0, 255.0 if high <= 1 else 1.0
    elif values.dtype != np.uint16:
        high = int(values.max())
        factor = 1.0 if high <= 255 else 1 / 257 if high <= 65535 else 255 / (2**31 - 1)
    out = np.empty(values.shape, np.uint8)
    # In strips: the intermediate values are eight times as large as the picture.
    for top in range(0, len(values), 256):
        strip = values[top : top + 256]
        if strip.dtype.kind == "f":
            strip = (np.nan_to_num(strip.astype(np.float64), nan=low, posinf=low, neginf=low) - low) * factor
        else:
            strip = strip * np.float32(factor)
        out[top : top + 256] = np.rint(np.clip(strip, 0, 255))
    return out


def _range(values: NDArray[Any]) -> tuple[float, float]:
    """The least and the greatest finite value."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Mode RGB, through the embedded profile if it has a usable one."""
    if image.mode == "LAB" or profile:
        try:
            transform = _transform(profile if image.mode != "LAB" else None, image.mode)
            converted = ImageCms.applyTransform(image, transform) if transform else None
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            # A profile that is broken or for another kind of pixels: most viewers ignore it too.
            pass
    return image if image.mode == "RGB" else image.convert("RGB")


@lru_cache(maxsize=16)
def _transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """None: the pixels are sRGB already."""
    if profile is None:
        source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    else:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if mode == "RGB" and "sRGB" in ImageCms.getProfileDescription(source):
            return None
    target = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    return ImageCms.buildTransform(source, target, mode, "RGB")


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def turned_array(shown: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Pixels, uint8 (height, width, 3), turned as an EXIF orientation says."""
    return shown if orientation == 1 else np.asarray(_turned(Image.fromarray(shown), orientation))


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def blurred(picture: NDArray[np.uint8], deviation: float) -> NDArray[np.uint8]:
    """A copy of uint8 (height, width, 3), blurred by a Gaussian of so many pixels, as lenses and hands do."""
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(deviation)))
