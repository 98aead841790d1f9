"""Pictures as a checkpoint wants them prepared, with Pillow and numpy alone.

Written after open_clip's `image_transform` for inference; what a config doesn't say is what open_clip assumes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MODES = ("shortest", "longest", "squash")
FILTERS = ("bicubic", "bilinear", "random")
""""random" is a word of training; open_clip takes bicubic for it otherwise."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """How a picture becomes the model's input."""

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    """Of RGB in [0, 1]."""
    interpolation: str
    mode: str
    """shortest: fill the frame and crop the rest; longest: fit into it and pad; squash: whatever the proportions."""
    fill: int = 0
    """Grey value of the padding."""

    @classmethod
    def parse(cls, size: Any, config: Mapping[str, Any]) -> "Pixels":
        """From the architecture's image size and open_clip's preprocess_cfg. Raises: KeyError, TypeError, ValueError.

        Mean and std have no default: assuming them is how pictures came to be prepared wrongly, unnoticed.
        """
        height, width = _pair(size)
        if config.get("size") is not None and _pair(config["size"]) != (height, width):
            raise ValueError(f"the model takes {height}x{width} pixels, the preprocessing makes {config['size']}")
        interpolation, mode = config.get("interpolation") or "bicubic", config.get("resize_mode") or "shortest"
        if interpolation not in FILTERS or mode not in MODES or config.get("mode", "RGB") != "RGB":
            raise ValueError(f"unknown preprocessing: {interpolation}, {mode}, {config.get('mode', 'RGB')}")
        mean, std = _three(config["mean"]), _three(config["std"])
        if min(std) <= 0:
            raise ValueError(f"std = {std}")
        return cls(height, width, mean, std, interpolation, mode, int(config.get("fill_color", 0)))

    @property
    def tag(self) -> str:
        """Says all of it, for the fingerprint."""
        numbers = ",".join(f"{number:g}" for number in (*self.mean, *self.std))
        return f"{self.height}x{self.width}-{self.interpolation}-{self.mode}-{self.fill}-{numbers}"

    def prepare(self, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 (height, width, 3) of an sRGB picture uint8 (h, w, 3)."""
        # Resizing is preprocessing, so PIL is used here too, though media owns it for decoding.
        from PIL import Image

        picture = Image.fromarray(data)
        if self.mode == "squash":
            return np.asarray(self._resized(picture, self.height, self.width))
        high, wide = picture.height / self.height, picture.width / self.width
        if self.mode == "longest":
            return self._framed(self._scaled(picture, max(high, wide)))
        if self.height == self.width:
            short, long = sorted(picture.size)
            # torchvision cuts off where the other branches round.
            other = int(self.height * long / short)
            size = (other, self.height) if picture.height >= picture.width else (self.height, other)
            return self._framed(self._resized(picture, *size))
        return self._framed(self._scaled(picture, min(high, wide)))

    def _scaled(self, picture: Any, ratio: float) -> Any:
        return self._resized(picture, round(picture.height / ratio), round(picture.width / ratio))

    def _resized(self, picture: Any, height: int, width: int) -> Any:
        from PIL import Image

        # For frames that aren't square open_clip forgets to hand on the filter, and the model was evaluated so.
        forgotten = self.mode == "shortest" and self.height != self.width
        linear = self.interpolation == "bilinear" and not forgotten
        filter_ = Image.Resampling.BILINEAR if linear else Image.Resampling.BICUBIC
        # torchvision leaves a picture alone that has its size already, and so does Pillow.
        return picture.resize((max(width, 1), max(height, 1)), filter_)

    def _framed(self, picture: Any) -> NDArray[np.uint8]:
        """The middle of the picture, padded where it is smaller than the frame."""
        pixels = np.asarray(picture)
        high, wide = pixels.shape[:2]
        missing = (max(self.height - high, 0), max(self.width - wide, 0))
        if any(missing):
            edges = [(lost // 2, lost - lost // 2) for lost in missing]
            pixels = np.pad(pixels, [*edges, (0, 0)], constant_values=self.fill)
        top, left = round((pixels.shape[0] - self.height) / 2), round((pixels.shape[1] - self.width) / 2)
        return np.ascontiguousarray(pixels[top : top + self.height, left : left + self.width])


def _pair(size: Any) -> tuple[int, int]:
    height, width = size if isinstance(size, list | tuple) else (size, size)
    if not (isinstance(height, int) and isinstance(width, int) and 0 < height <= 4096 and 0 < width <= 4096):
        raise ValueError(f"image_size = {size!r}")
    return height, width


def _three(numbers: Any) -> tuple[float, float, float]:
    red, green, blue = numbers if isinstance(numbers, list | tuple) else (numbers,) * 3
    values = (float(red), float(green), float(blue))
    if not np.isfinite(values).all():
        raise ValueError(f"mean or std = {numbers!r}")
    return values
