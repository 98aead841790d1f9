"""The embedded default space: 384-d, the text space of all-MiniLM-L6-v2. Works with no hub and no network.

`starter-open` is the same without what captions of research-only photos taught about pictures (MODEL_CARD.md) and about
other languages than English (LANGUAGES.md): a space of its own, since its pictures have other vectors.
"""

from collections.abc import Mapping

from mmsearch.encoders.starter import audio, conse, image, languages, text, universal
from mmsearch.encoders.starter.audio import StarterAudio
from mmsearch.encoders.starter.image import OpenStarterImage, StarterImage
from mmsearch.encoders.starter.text import OpenStarterText, StarterText
from mmsearch.encoders.weights import WeightFile
from mmsearch.types import Encoder, Modality, Space, Windowing

_OPEN = (text.WEIGHTS, text.TOKENIZER, image.WEIGHTS, audio.WEIGHTS, audio.LABELS, conse.CONCEPTS)
_TAUGHT = (image.CAPTIONS, languages.MAP, universal.PIECES, universal.WEIGHTS)
FILES: Mapping[str, tuple[WeightFile, ...]] = {"starter": (*_OPEN, *_TAUGHT), "starter-open": _OPEN}
"""Space -> all that it is loaded from."""


def starter_space(device: str = "auto", precision: str = "auto") -> Space:
    """The space `starter`. Cheap: nothing is loaded before an encoder's first `encode`.

    Raises: InvalidInput for a device or precision nobody knows.
    """
    return _space("starter", StarterText(device, precision), StarterImage(device, precision), device, precision)


def open_space(device: str = "auto", precision: str = "auto") -> Space:
    """The space `starter-open`: `starter` without what captions taught. As cheap.

    Raises: InvalidInput for a device or precision nobody knows.
    """
    words, pictures = OpenStarterText(device, precision), OpenStarterImage(device, precision)
    return _space("starter-open", words, pictures, device, precision)


def _space(name: str, words: OpenStarterText, pictures: StarterImage, device: str, precision: str) -> Space:
    encoders: dict[Modality, Encoder] = {
        "text": words,
        "image": pictures,
        "audio": StarterAudio(device, precision),
    }
    return Space(name, 384, Windowing(), encoders)
