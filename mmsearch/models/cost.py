"""What a model costs on this machine: measured on samples, and kept."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path
from time import perf_counter

from mmsearch.calibration.neutral import neutral_words
from mmsearch.core import registry
from mmsearch.core.arguments import checked_arguments
from mmsearch.encoders.model_store import Memory
from mmsearch.types import Encoder, Limits, Modality, Prepared, Segment, Space

ITEMS, BUDGET_S = 5, 60.0
"""Of each kind, so many samples, unless that takes longer."""
SAMPLES: Mapping[Modality, str] = {"image": "photos", "audio": "sounds", "video": "videos"}
_MEMORY = "cost.json"


@dataclass(frozen=True, slots=True)
class ModelCost:
    """Seconds that a model takes here, decoding included."""

    name: str
    picture: float | None = None
    sound_minute: float | None = None
    video_minute: float | None = None
    passage: float | None = None

    def of(self, holdings: "Holdings") -> float:
        """Seconds for what a library holds; kinds that the model doesn't embed take none."""
        return (
            holdings.pictures * (self.picture or 0)
            + holdings.sound_s / 60 * (self.sound_minute or 0)
            + holdings.video_s / 60 * (self.video_minute or 0)
            + holdings.passages * (self.passage or 0)
        )


@dataclass(frozen=True, slots=True)
class Holdings:
    """How much there is to embed."""

    pictures: int = 0
    sound_s: float = 0.0
    video_s: float = 0.0
    passages: int = 0


@checked_arguments
def measure_cost(name: str, device: str = "auto", precision: str = "auto", again: bool = False) -> ModelCost:
    """What a model that is on this machine costs: by a probe of five samples a kind, or a minute; kept afterwards.

    Args:
        name: As `AvailableModel.name`.
        device: As the setting.
        precision: As the setting.
        again: Measure even if that was done before.

    Raises: UnknownName, WeightsError for a model that isn't here.
    """
    target = registry.target_of("spaces", name)
    key = f"{target} {device} {precision}"
    known = Memory(_MEMORY).read().get(key)
    if isinstance(known, list) and len(known) == 4 and not again:
        return ModelCost(name, *(float(one) if isinstance(one, int | float) else None for one in known))
    space: Space = registry.load_part("spaces", target)(device, precision)
    probed = _Probe(space)
    measured = (probed.pictures(), probed.minute("audio"), probed.minute("video"), probed.passages())
    found = [None if one is None else round(one, 5) for one in measured]
    Memory(_MEMORY).note(key, found)
    return ModelCost(name, *found)


@dataclass(slots=True)
class _Probe:
    """Times the samples of one space."""

    space: Space
    warm: set[Modality] = field(default_factory=set)

    def pictures(self) -> float | None:
        """Seconds a picture."""
        if "image" not in self.space.encoders:
            return None
        seconds, measured = 0.0, 0
        for path in self._samples("image"):
            start = perf_counter()
            segments = self._decoded("image", path)
            decoded = perf_counter() - start
            seconds += decoded + self._encoded(segments)
            measured += 1
            if (measured >= ITEMS and seconds > 1) or seconds > BUDGET_S:
                break
        return seconds / max(measured, 1)

    def minute(self, kind: Modality) -> float | None:
        """Seconds a minute of sounds or videos."""
        if not ({"image", "audio", "video"} if kind == "video" else {kind}) & set(self.space.encoders):
            return None
        seconds = covered = 0.0
        for path in self._samples(kind):
            start = perf_counter()
            segments = self._decoded(kind, path)
            seconds += perf_counter() - start + self._encoded(segments)
            covered += max((one.span.end or 0.0 for one in segments), default=0.0)
            if seconds > BUDGET_S:
                break
        return seconds / covered * 60 if covered else None

    def passages(self) -> float | None:
        """Seconds a passage of a document."""
        if "text" not in self.space.encoders:
            return None
        words, length = neutral_words(), self.space.windowing.passage_words
        texts = [" ".join(" ".join(words[number:]).split()[:length]) for number in range(ITEMS)]
        return self._encoded([Segment("text", text) for text in texts]) / ITEMS

    def _samples(self, kind: Modality) -> Iterator[Path]:
        with as_file(files("mmsearch.resources").joinpath("samples", SAMPLES[kind])) as folder:
            yield from sorted(folder.iterdir())

    def _decoded(self, kind: Modality, path: Path) -> list[Segment]:
        decoder = registry.load_part("decoders", kind)(self.space.windowing, Limits())
        return [one for one in decoder.decode(path) if one.modality in self.space.encoders]

    def _encoded(self, segments: Sequence[Segment]) -> float:
        """Seconds that the encoders take, without the first time, which loads them."""
        seconds = 0.0
        for kind in sorted({one.modality for one in segments}):
            encoder = self.space.encoders[kind]
            prepared = [encoder.prepare(one) for one in segments if one.modality == kind]
            if kind not in self.warm:
                encoder.encode(prepared[:1])
                self.warm.add(kind)
            seconds += _timed(encoder, prepared)
        return seconds


def _timed(encoder: Encoder, prepared: Sequence[Prepared]) -> float:
    start, size = perf_counter(), encoder.spec.batch_size
    for first in range(0, len(prepared), size):
        encoder.encode(prepared[first : first + size])
    return perf_counter() - start
