"""Spaces of open_clip's models: words and pictures, videos by their frames, no sound.

`open_clip:ARCH/PRETRAINED` and `hf-hub:OWNER/NAME` are models that were prepared, `local-dir:PATH` any folder laid
out like them (see `checkpoint`).
"""

from mmsearch.encoders.open_clip.checkpoint import OpenClipCheckpoint
from mmsearch.encoders.open_clip.towers import OpenClipImage, OpenClipText
from mmsearch.types import Encoder, Modality, Space, Windowing

WORDS_PER_TOKEN = 0.55
"""English takes 1.3 tokens a word, other languages more: a passage should fit, since models don't see the rest."""


def open_clip_space(checkpoint: OpenClipCheckpoint, device: str, precision: str) -> Space:
    """The space of one model; its weights are not read."""
    encoders: dict[Modality, Encoder] = {
        "text": OpenClipText(checkpoint, device, precision),
        "image": OpenClipImage(checkpoint, device, precision),
    }
    return Space(checkpoint.name, checkpoint.dim, _windowing(checkpoint), encoders)


def _windowing(checkpoint: OpenClipCheckpoint) -> Windowing:
    words = max(int(checkpoint.context * WORDS_PER_TOKEN), 1)
    # An eighth more than the model sees: a picture that its decoder reduced is resized once more.
    side = max(checkpoint.pixels.height, checkpoint.pixels.width) * 9 // 8
    return Windowing(image_side=side, passage_words=words, passage_overlap=words // 5)
