"""The embedded default space: 384-d, the text space of all-MiniLM-L6-v2. Works with no hub and no network."""

from mmsearch.encoders.starter import audio, conse, image, text
from mmsearch.encoders.starter.audio import StarterAudio
from mmsearch.encoders.starter.image import StarterImage
from mmsearch.encoders.starter.text import StarterText
from mmsearch.types import Encoder, Modality, Space, Windowing

FILES = (text.WEIGHTS, text.TOKENIZER, image.WEIGHTS, image.CAPTIONS, audio.WEIGHTS, audio.LABELS, conse.CONCEPTS)
"""All that it is loaded from."""


def starter_space(device: str = "auto", precision: str = "auto") -> Space:
    """The starter space. Cheap: nothing is loaded before an encoder's first `encode`.

    Raises: InvalidInput for a device or precision nobody knows.
    """
    encoders: dict[Modality, Encoder] = {
        "text": StarterText(device, precision),
        "image": StarterImage(device, precision),
        "audio": StarterAudio(device, precision),
    }
    return Space("starter", 384, Windowing(), encoders)
