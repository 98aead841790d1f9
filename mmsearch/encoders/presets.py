"""Models with short names: the facts about them, readable without loading anything.

What each name stands for is in the registry's table of spaces, and nowhere else.
"""

from dataclasses import dataclass

from mmsearch.core import registry
from mmsearch.types import Modality


@dataclass(frozen=True, slots=True)
class ModelPreset:
    """A model one may choose by name."""

    name: str
    summary: str
    """What it is good for, in a line."""
    modalities: tuple[Modality, ...]
    """Segment modalities it embeds; videos by their frames ("image") and their sound ("audio")."""
    dim: int
    bytes: int
    """Of its weights, in float32; what is downloaded may be half of it."""
    languages: str
    licence: str
    """SPDX identifier, or the licence's own name."""
    non_commercial: bool = False
    repository: str | None = None
    """Where its publishers keep it on the Hugging Face hub; None: it comes with the installation."""
    dimensions: tuple[int, ...] = ()
    """What its vectors may be cut to, by its publishers' word (Matryoshka)."""
    unverified: str = ""
    """Where these facts are from, if nothing of them was measured."""

    @property
    def target(self) -> str:
        """What the registry knows it by: "open_clip:ARCH/PRETRAINED", "module:attribute"."""
        return registry.target_of("spaces", self.name)


_SEEN, _HEARD = ("text", "image"), ("text", "audio")
_BY_CARD = "all by its card"

MODEL_PRESETS: tuple[ModelPreset, ...] = (
    ModelPreset(
        "starter",
        "works at once, for sounds too; the only one for words in documents at length",
        ("text", "image", "audio"),
        384,
        159_785_848,
        "16 in queries, English in texts",
        "Apache-2.0, taught in part by research-only photos",
    ),
    ModelPreset(
        "starter-open",
        "starter without what research-only photos taught: finds fewer photos by words",
        ("text", "image", "audio"),
        384,
        120_565_249,
        "English",
        "Apache-2.0",
    ),
    ModelPreset(
        "embeddinggemma-2",
        "recommended: words, pictures, sounds and videos in one space",
        (*_SEEN, "audio", "video"),
        768,
        2_960_000_000,
        "over 100",
        "Apache-2.0",
        repository="google/embeddinggemma-2",
        dimensions=(128, 256, 512),
        unverified=_BY_CARD,
    ),
    ModelPreset(
        "embeddinggemma-2-text-image",
        "the same without sounds, which are then not loaded",
        (*_SEEN, "video"),
        768,
        1_760_000_000,
        "over 100",
        "Apache-2.0",
        repository="google/embeddinggemma-2",
        dimensions=(128, 256, 512),
        unverified=_BY_CARD,
    ),
    ModelPreset(
        "qwen3-vl-embedding-2b",
        "words, pictures, screens and videos; wants a GPU",
        (*_SEEN, "video"),
        2048,
        8_380_000_000,
        "over 30",
        "Apache-2.0",
        repository="Qwen/Qwen3-VL-Embedding-2B",
        unverified=_BY_CARD,
    ),
    ModelPreset(
        "qwen3-vl-embedding-8b",
        "the same, larger; wants a large GPU",
        (*_SEEN, "video"),
        4096,
        32_600_000_000,
        "over 30",
        "Apache-2.0",
        repository="Qwen/Qwen3-VL-Embedding-8B",
        unverified=_BY_CARD,
    ),
    ModelPreset(
        "mobileclip2-s2",
        "small and quick, good on a CPU",
        _SEEN,
        512,
        397_472_148,
        "English",
        "Apple Machine Learning Research Model License",
        non_commercial=True,
        repository="timm/MobileCLIP2-S2-OpenCLIP",
    ),
    ModelPreset(
        "clip-vit-b-32",
        "quick, the least work per picture of the ViTs",
        _SEEN,
        512,
        605_109_252,
        "English",
        "MIT",
        repository="laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K",
    ),
    ModelPreset(
        "siglip2-b-16",
        "much better than starter at a bearable price",
        _SEEN,
        768,
        1_500_751_880,
        "over 100, English best",
        "Apache-2.0",
        repository="timm/ViT-B-16-SigLIP2",
    ),
    ModelPreset(
        "siglip2-so400m-14",
        "the best, and slow without a GPU",
        _SEEN,
        1152,
        4_544_033_992,
        "over 100, English best",
        "Apache-2.0",
        repository="timm/ViT-SO400M-14-SigLIP2-378",
    ),
    ModelPreset(
        "siglip-i18n-b-16",
        "trained on captions in many languages",
        _SEEN,
        768,
        1_482_504_200,
        "over 100",
        "Apache-2.0",
        repository="timm/ViT-B-16-SigLIP-i18n-256",
    ),
    ModelPreset(
        "clap-htsat",
        "sounds by words, and sounds alike",
        _HEARD,
        512,
        614_373_520,
        "English",
        "Apache-2.0",
        repository="laion/clap-htsat-unfused",
    ),
    ModelPreset(
        "clap-general",
        "the same, larger: music and speech too",
        _HEARD,
        512,
        776_254_096,
        "English",
        "Apache-2.0",
        repository="laion/larger_clap_general",
    ),
    ModelPreset(
        "pe-av-large",
        "words, pictures and sounds in one space; slow without a GPU",
        (*_SEEN, "audio"),
        3072,
        5_834_991_416,
        "English",
        "Apache-2.0",
        repository="facebook/pe-av-large",
    ),
)


def find_preset(target: str) -> ModelPreset | None:
    """The facts about the model that the registry knows by this name, whatever its options, if it is one of these."""
    exact = next((preset for preset in MODEL_PRESETS if preset.target == target), None)
    plain = registry.split_options(target)[0]
    return exact or next((preset for preset in MODEL_PRESETS if preset.target == plain), None)
