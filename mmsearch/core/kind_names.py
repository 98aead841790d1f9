"""What people call the kinds of media: messages say a picture and sounds, where the code says a modality."""

from collections.abc import Iterable, Mapping

from mmsearch.types import Modality

_NAMES: Mapping[Modality, tuple[str, str]] = {
    "image": ("picture", "pictures"),
    "audio": ("sound", "sounds"),
    "video": ("video", "videos"),
    "text": ("text", "texts"),
}


def kind_name(modality: Modality, count: int = 1) -> str:
    """One of a kind, or several; a kind of another package has its own name."""
    one, several = _NAMES.get(modality, (modality, modality))
    return one if count == 1 else several


def kind_names(modalities: Iterable[Modality], joined: str = "and") -> str:
    """Several kinds in words: "pictures, sounds and texts"."""
    *first, last = [kind_name(modality, 2) for modality in sorted(modalities)] or ["nothing"]
    return f"{', '.join(first)} {joined} {last}" if first else last
