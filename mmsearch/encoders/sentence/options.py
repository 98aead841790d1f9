"""What may be chosen of a model, written behind its name: "st:OWNER/NAME,dimensions=256,max_soft_tokens=70"."""

from collections.abc import Callable
from dataclasses import dataclass, fields

from mmsearch.errors import InvalidInput
from mmsearch.types import Modality

KNOWN = "dimensions=N, max_soft_tokens=N, clip_frames=N, clip_sound=0, without=image+audio+video"
FEWEST_DIMENSIONS = 8
MOST_FRAMES = 64


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """All of them change vectors: each is part of the space's name, and so of its fingerprint."""

    dimensions: int | None = None
    """Vectors are cut to so many numbers, and their length made 1 again (Matryoshka)."""
    max_soft_tokens: int | None = None
    """Of a picture: fewer are quicker, more see more."""
    clip_frames: int | None = None
    """Frames of a video's clip, at most; 0: videos by their frames."""
    clip_sound: int | None = None
    """0: clips are seen and not heard, although the model takes both as one."""
    without: tuple[Modality, ...] = ()
    """Kinds that are not embedded, and whose towers are not loaded."""

    @classmethod
    def parse(cls, text: str) -> "ModelOptions":
        """Of what stands behind a name: "" or ",key=value,...". Raises: InvalidInput."""
        given: dict[str, int | tuple[Modality, ...]] = {}
        for part in text.split(",")[1:]:
            key, _, value = part.partition("=")
            if key not in _READ or key in given:
                raise InvalidInput(f"a model has no option {part!r}, or it is there twice", hint=f"known: {KNOWN}")
            given[key] = _READ[key](value)
        return cls(**given)  # type: ignore[arg-type]

    def __str__(self) -> str:
        """As `parse` takes it, in one order, without what is left as it is."""
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        chosen = {key: value for key, value in said.items() if value not in (None, ())}
        return "".join(
            f",{key}={'+'.join(value) if isinstance(value, tuple) else value}" for key, value in chosen.items()
        )


def _number(value: str) -> int:
    if not value.isascii() or not value.isdecimal() or len(value) > 6:
        raise InvalidInput(f"{value!r} is no number that a model's option can be", hint=f"known: {KNOWN}")
    return int(value)


def _dimensions(value: str) -> int:
    if (number := _number(value)) < FEWEST_DIMENSIONS:
        raise InvalidInput(f"{number} dimensions tell nothing apart", hint=f"take {FEWEST_DIMENSIONS} or more")
    return number


def _frames(value: str) -> int:
    if (number := _number(value)) == 1 or number > MOST_FRAMES:
        raise InvalidInput(f"a clip of {number} frames", hint=f"take 2 to {MOST_FRAMES}, or 0: no clips, frames alone")
    return number


def _off(value: str) -> int:
    if value != "0":
        raise InvalidInput(f"clip_sound={value}", hint="take clip_sound=0, or leave it out: clips have their sound")
    return 0


def _kinds(value: str) -> tuple[Modality, ...]:
    kinds = tuple(sorted(set(value.split("+"))))
    if not set(kinds) <= {"image", "audio", "video"}:
        raise InvalidInput(f"without={value} leaves out what no model can", hint=f"known: {KNOWN}")
    return kinds


_READ: dict[str, Callable[[str], int | tuple[Modality, ...]]] = {
    "dimensions": _dimensions,
    "max_soft_tokens": _number,
    "clip_frames": _frames,
    "clip_sound": _off,
    "without": _kinds,
}
