"""The embedded default space: 384-d, the text space of all-MiniLM-L6-v2. Works with no hub and no network.

`starter-open` is the same without what captions of research-only photos taught about pictures (MODEL_CARD.md) and about
other languages than English (LANGUAGES.md): a space of its own, since its pictures have other vectors.

Each version of them is a space with a name of its own, since vectors of two versions can't be compared: what people
call `starter` is `starter-2` now. `registry.FORMER` leads libraries of the former version to it.
"""

from collections.abc import Mapping

from mmsearch.encoders.starter import audio, caption_map, conse, image, languages, regions, text, universal
from mmsearch.encoders.starter.audio import StarterAudio
from mmsearch.encoders.starter.image import OpenStarterImage, StarterImage
from mmsearch.encoders.starter.regions import REGIONS, OpenRegionImage, RegionImage
from mmsearch.encoders.starter.text import OpenStarterText, SecondStarterText, StarterText
from mmsearch.encoders.weights import WeightFile
from mmsearch.types import Encoder, Modality, Space, Windowing

_OPEN = (text.WEIGHTS, text.TOKENIZER, image.WEIGHTS, audio.WEIGHTS, audio.LABELS, conse.CONCEPTS)
_TAUGHT = (regions.CAPTIONS, caption_map.MAP, languages.MAP, universal.PIECES, universal.WEIGHTS)
FILES: Mapping[str, tuple[WeightFile, ...]] = {"starter": (*_OPEN, *_TAUGHT), "starter-open": _OPEN}
"""Name -> all that the version of now is loaded from."""

FIRST, SECOND = Windowing(), Windowing(shots=1, regions=REGIONS)
"""Windows of each version."""


def second_space(device: str = "auto", precision: str = "auto") -> Space:
    """The space `starter` as it is now. Cheap: nothing is loaded before an encoder's first `encode`.

    Raises: InvalidInput for a device or precision nobody knows.
    """
    words, pictures = SecondStarterText(device, precision), RegionImage(device, precision)
    return _space("starter-2", words, pictures, StarterAudio(device, precision), SECOND)


def second_open_space(device: str = "auto", precision: str = "auto") -> Space:
    """The space `starter-open` as it is now: `starter` without what captions taught. As cheap.

    Raises: InvalidInput for a device or precision nobody knows.
    """
    words, pictures = OpenStarterText(device, precision), OpenRegionImage(device, precision)
    return _space("starter-open-2", words, pictures, StarterAudio(device, precision), SECOND)


def starter_space(device: str = "auto", precision: str = "auto") -> Space:
    """The space `starter` as its first version was, for libraries that have it, and for one release.

    Raises: InvalidInput for a device or precision nobody knows.
    """
    words, pictures = StarterText(device, precision), StarterImage(device, precision)
    return _space("starter", words, pictures, StarterAudio(device, precision), FIRST)


def open_space(device: str = "auto", precision: str = "auto") -> Space:
    """The space `starter-open` as its first version was.

    Raises: InvalidInput for a device or precision nobody knows.
    """
    words, pictures = OpenStarterText(device, precision), OpenStarterImage(device, precision)
    return _space("starter-open", words, pictures, StarterAudio(device, precision), FIRST)


def _space(
    name: str, words: OpenStarterText, pictures: StarterImage, sounds: StarterAudio, windowing: Windowing
) -> Space:
    encoders: dict[Modality, Encoder] = {"text": words, "image": pictures, "audio": sounds}
    return Space(name, 384, windowing, encoders)
