"""Pictures of the starter's second version: the whole, and windows of the network's map that say something else.

The classifier is linear after pooling, so that it can be asked about any part of the last map for the price of one pass
(class activation maps: Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016). Which windows
are kept is decided by the classes alone; a region's vector has the whole in it, since words rarely ask for a thing
without what is around it.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.encoders.check import checked_output
from mmsearch.encoders.device import check_torch
from mmsearch.encoders.starter.conse import CONCEPTS
from mmsearch.encoders.starter.image import WEIGHTS, ImageModel, Seen, StarterImage, feature_maps, pooled
from mmsearch.encoders.weights import WeightFile, recorded
from mmsearch.types import EncoderSpec, Prepared, SeenRegion, TextBox, Vectors

if TYPE_CHECKING:
    import torch

    from mmsearch.encoders.starter.captions import Captions

CAPTIONS = WeightFile(
    "mmsearch",
    "encoders/starter/captions_2.safetensors",
    "3250803854f862b0338c4954652ccc411e136aae29589e7fd8444c75308dc885",
    "mmsearch",
)
"""As `image.CAPTIONS`, of this version."""
REGIONS = 3
"""Of a picture, at most."""
# These were chosen on one half of the object words of COCO's labels and on photos of Flickr8k's dev split.
SIDE = 320
"""Pixels of the model's square input: ten cells each way."""
WINDOW = 4
"""Cells of a window's side; there is one at every cell where it fits."""
LEAST = 0.2
"""How much a window must say, at least: what is new in it, times the root of how sure the network is."""
REGION_TOP = 20
"""Classes of a window's vector: of fewer things than a whole photo's."""
WHOLE = 1.0
"""How much of the whole picture's vector is added to a window's."""

Floats = NDArray[np.float32]


_TAG = f"lite2-{SIDE}-whole-bilinear-regions{WINDOW}-{LEAST}-{REGION_TOP}-{WHOLE}"


class RegionImage(StarterImage):
    """Pictures and video frames -> (n, 384), and regions of them."""

    side = SIDE

    @property
    def spec(self) -> EncoderSpec:
        weights = recorded(WEIGHTS, CONCEPTS, CAPTIONS)
        return EncoderSpec("starter-2-image", "image", 384, weights, f"{_TAG}-conse-t2.5-k50-c0.9-captions5", 32)

    def _captions(self, device: "torch.device") -> "Captions | None":
        from mmsearch.encoders.starter import captions

        return captions.load_captions(CAPTIONS.verified()).to(device)

    def encode_regions(self, batch: Sequence[Prepared], most: int) -> tuple[Vectors, list[list[SeenRegion]]]:
        """What `encode` gives, and regions; see `SeesRegions`. Raises: as `encode`."""
        check_torch()
        if not batch:
            return np.zeros((0, self.spec.dim), np.float32), []
        made = self._computed(partial(self._with_regions, most=most), batch, query=False)  # (n, 1 + most, 384 + box)
        rows, boxes = made[..., : self.spec.dim], made[..., self.spec.dim :]
        there = ~np.isnan(rows[..., 0])
        checked_output(rows[there], int(there.sum()), self.spec)
        found = [
            [SeenRegion(as_box(box), row) for row, box in zip(one[1:][here[1:]], place[1:][here[1:]], strict=True)]
            for one, place, here in zip(rows, boxes, there, strict=True)
        ]
        return np.ascontiguousarray(rows[:, 0]), found

    def _with_regions(self, model: ImageModel, batch: Sequence[Prepared], most: int) -> Floats:
        """float32 (n, 1 + most, 384 + 4): the whole, then regions, each with its box; NaN where there is none."""
        maps = feature_maps(model, batch)
        seen = pooled(model, maps)
        whole = self._joined(model, seen)
        made = np.full((len(batch), 1 + most, self.spec.dim + 4), np.nan, np.float32)
        made[:, 0, : self.spec.dim] = whole
        features, said, sure = self._windows(model, maps)
        everywhere = _said(model, seen.logits)
        chosen = [
            (row, place, window)
            for row in range(len(batch))
            for place, window in enumerate(telling(said[row], sure[row], everywhere[row], most), 1)
        ]
        if not chosen:
            return made
        rows, places, windows = (list(some) for some in zip(*chosen, strict=True))
        kept = features[rows, windows]
        joined = self._joined(model, Seen(kept, _classified(model, kept)), REGION_TOP) + WHOLE * whole[rows]
        boxes = [window_box(window, *maps.shape[2:]) for window in windows]
        unit = joined / np.linalg.norm(joined, axis=1, keepdims=True)
        made[rows, places] = np.concatenate([unit, np.array(boxes, np.float32)], axis=1)
        return made

    @staticmethod
    def _windows(model: ImageModel, maps: "torch.Tensor") -> tuple["torch.Tensor", Floats, Floats]:
        """Of every window its features float32 (n, windows, 1280), what it says (n, windows, 384), and how sure it is,
        (n, windows)."""
        import torch

        with torch.inference_mode():
            features = torch.nn.functional.avg_pool2d(maps.float(), WINDOW, stride=1).flatten(2).transpose(1, 2)
            logits = _classified(model, features)
            sure: Floats = logits.softmax(-1).amax(-1).cpu().numpy()
        return features, _said(model, logits), sure


class OpenRegionImage(RegionImage):
    """The same by the classes alone: nothing that captions taught is read."""

    @property
    def spec(self) -> EncoderSpec:
        return EncoderSpec(
            "starter-open-2-image", "image", 384, recorded(WEIGHTS, CONCEPTS), f"{_TAG}-conse-t2.5-k50-c0.6", 32
        )

    def _captions(self, device: "torch.device") -> None:
        return None


def _classified(model: ImageModel, features: "torch.Tensor") -> "torch.Tensor":
    """Logits float32 (..., 1000) of float32 features (..., 1280)."""
    import torch

    network: Any = model.module
    with torch.inference_mode():
        logits: torch.Tensor = network.classifier(features.to(model.dtype)).float()
    return logits


def _said(model: ImageModel, logits: "torch.Tensor") -> Floats:
    """Of logits (..., 1000) the classes' vectors by how likely they are, float32 (..., 384), unit rows."""
    likely: Floats = logits.softmax(-1).cpu().numpy()
    mixed = likely @ model.concepts
    return np.asarray(mixed / np.linalg.norm(mixed, axis=-1, keepdims=True), np.float32)


def as_box(box: Floats) -> TextBox:
    left, top, right, bottom = (round(float(edge), 4) for edge in box)
    return left, top, right, bottom


def telling(said: Floats, sure: Floats, whole: Floats, most: int) -> list[int]:
    """The windows that say something else than the whole picture and than each other, the most telling first.

    Args:
        said: float32 (windows, dim), unit rows: what each shows.
        sure: float32 (windows,), in [0, 1]: how sure that is.
        whole: float32 (dim,), of length 1.
    """
    near, weight = said @ whole, np.sqrt(sure)
    chosen: list[int] = []
    while len(chosen) < most:
        gain = (1 - near) * weight
        best = int(gain.argmax())
        if gain[best] < LEAST:
            break
        chosen.append(best)
        near = np.maximum(near, said @ said[best])
    return chosen


def window_box(window: int, rows: int, columns: int) -> TextBox:
    """Where a window of a map of so many cells lies; windows are counted row by row."""
    y, x = divmod(window, columns - WINDOW + 1)
    return x / columns, y / rows, (x + WINDOW) / columns, (y + WINDOW) / rows
