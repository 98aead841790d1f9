"""What a model costs on this machine: measured on samples, and kept."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from importlib.resources import as_file, files
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

from mmsearch.calibration.neutral import neutral_words
from mmsearch.core import registry
from mmsearch.core.arguments import checked_arguments
from mmsearch.encoders.model_store import Memory
from mmsearch.models.holdings import Holdings
from mmsearch.types import Encoder, Limits, Modality, Prepared, SeesRegions, Segment, Space

ITEMS, BUDGET_S = 5, 60.0
"""Of each kind, so many samples, unless that takes longer."""
ROUNDS = 3
"""Of all pictures, unless that takes longer than the budget."""
SAMPLES: Mapping[Modality, str] = {"image": "photos", "audio": "sounds", "video": "videos"}
_MEMORY = "cost.json"
_NUMBERS = 9


@dataclass(frozen=True, slots=True)
class ModelCost:
    """Seconds that a model takes here, decoding included."""

    name: str
    picture: float | None = None
    sound_minute: float | None = None
    """Of a long sound, whose windows overlap."""
    video_minute: float | None = None
    """Of a long take; of a film with many cuts it is more."""
    passage: float | None = None
    window_s: float = 0.0
    overlap: float = 1.0
    """How often a second of a long sound is embedded."""
    video_least: float = 0.0
    """Minutes that a video costs at least, however short."""
    passage_words: float = 0
    """Words of a passage as this model's documents are cut; neighbours share `passage_overlap` of them."""
    passage_overlap: float = 0

    def of(self, holdings: Holdings) -> float:
        """Seconds for what a library holds; kinds that the model doesn't embed take none."""
        videos = max(holdings.video_s / 60, holdings.videos * self.video_least)
        return (
            holdings.pictures * (self.picture or 0)
            + self._sound_minutes(holdings) * (self.sound_minute or 0)
            + videos * (self.video_minute or 0)
            + holdings.passages_of(int(self.passage_words), int(self.passage_overlap)) * (self.passage or 0)
        )

    def _sound_minutes(self, holdings: Holdings) -> float:
        """Minutes of long sounds that would cost as much."""
        if not holdings.sounds:
            return holdings.sound_s / 60
        mean = holdings.sound_s / holdings.sounds
        embedded = max(mean, self.overlap * mean - self.window_s * (self.overlap - 1))
        return holdings.sounds * embedded / self.overlap / 60


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
    if not again and (known := known_cost(name, device, precision)) is not None:
        return known
    target = registry.target_of("spaces", name)
    measured = _Probe(registry.load_part("spaces", target)(device, precision)).cost(name)
    numbers: list[Any] = [None if one is None else round(one, 5) for one in astuple(measured)[1:]]
    Memory(_MEMORY).note(f"{target} {device} {precision}", numbers)
    return ModelCost(name, *numbers)


def known_cost(name: str, device: str = "auto", precision: str = "auto") -> ModelCost | None:
    """What `measure_cost` has kept; None if nothing. Raises: UnknownName."""
    known = Memory(_MEMORY).read().get(f"{registry.target_of('spaces', name)} {device} {precision}")
    if not isinstance(known, list) or len(known) != _NUMBERS:
        return None
    numbers: list[Any] = [float(one) if isinstance(one, int | float) else None for one in known]
    return ModelCost(name, *numbers)


@dataclass(slots=True)
class _Probe:
    """Times the samples of one space."""

    space: Space
    warm: set[Modality] = field(default_factory=set)

    def cost(self, name: str) -> ModelCost:
        windowing = self.space.windowing
        overlap = windowing.audio_window_s / windowing.audio_hop_s
        sound = self.kind("audio") if "audio" in self.space.encoders else None
        video = self.kind("video") if {"image", "audio", "video"} & set(self.space.encoders) else None
        return ModelCost(
            name,
            self.picture() if "image" in self.space.encoders else None,
            None if sound is None else 60 * (sound.decoding + overlap * sound.second),
            None if video is None else self._video_minute(video, overlap),
            self.passages(),
            windowing.audio_window_s,
            overlap,
            windowing.min_frames / windowing.frames_per_minute,
            windowing.passage_words,
            windowing.passage_overlap,
        )

    def _video_minute(self, video: "_Kind", overlap: float) -> float:
        """The samples are short: a minute of a long take has fewer frames and clips, and more of its sound twice."""
        windowing = self.space.windowing
        clips = windowing.frames_per_minute if windowing.shots or not windowing.clip_s else 60 / windowing.clip_s
        moments = windowing.frames_per_minute * video.each("image") + clips * video.each("video")
        return moments + 60 * (video.decoding + overlap * video.second)

    def kind(self, kind: Modality) -> "_Kind":
        """The samples of a kind of files, until there are enough."""
        found = _Kind()
        for path in islice(self._samples(kind), 1):
            self._decoded(kind, path)  # imports what decodes
        for path in self._samples(kind):
            start = perf_counter()
            segments = self._decoded(kind, path)
            found.decode_s += perf_counter() - start
            found.covered += max((one.span.end or 0.0 for one in segments), default=0.0)
            for modality in sorted({one.modality for one in segments}):
                alike = [one for one in segments if one.modality == modality]
                found.add(modality, alike, self._encoded(modality, alike))
            if found.decode_s + sum(found.encode_s.values()) > BUDGET_S:
                break
        return found

    def picture(self) -> float:
        """Seconds of one: in batches as an ingest has them, where that takes no longer than the budget. The least of
        some rounds, since what else runs here, and the first large batch, only add."""
        paths = list(self._samples("image"))
        few = self._together(paths[:ITEMS])
        rounds = min(ROUNDS, int(BUDGET_S / (few * len(paths))))
        return min(self._together(paths) for _ in range(rounds)) if rounds else few

    def _together(self, paths: Sequence[Path]) -> float:
        """Seconds a file of pictures that are encoded together."""
        start = perf_counter()
        segments = [one for path in paths for one in self._decoded("image", path)]
        decoded = perf_counter() - start
        return (decoded + self._encoded("image", segments)) / len(paths)

    def passages(self) -> float | None:
        """Seconds a passage of a document."""
        if "text" not in self.space.encoders:
            return None
        words, length = neutral_words(), self.space.windowing.passage_words
        texts = [" ".join(" ".join(words[number:]).split()[:length]) for number in range(ITEMS)]
        return self._encoded("text", [Segment("text", text) for text in texts]) / ITEMS

    def _samples(self, kind: Modality) -> Iterator[Path]:
        with as_file(files("mmsearch.resources").joinpath("samples", SAMPLES[kind])) as folder:
            yield from sorted(folder.iterdir())

    def _decoded(self, kind: Modality, path: Path) -> list[Segment]:
        decoder = registry.load_part("decoders", kind)(self.space.windowing, Limits())
        return [one for one in decoder.decode(path) if one.modality in self.space.encoders]

    def _encoded(self, kind: Modality, segments: Sequence[Segment]) -> float:
        """Seconds that an encoder takes, without the first time, which loads it."""
        encoder = self.space.encoders[kind]
        prepared = [encoder.prepare(one) for one in segments]
        if kind not in self.warm:
            encoder.encode(prepared[:1])
            self.warm.add(kind)
        return _timed(encoder, prepared, self.space.windowing.regions if kind == "image" else 0)


@dataclass(slots=True)
class _Kind:
    """What the samples of one kind of files took."""

    covered: float = 0.0
    """Seconds of sounds and videos."""
    decode_s: float = 0.0
    encode_s: dict[Modality, float] = field(default_factory=dict)
    segments: dict[Modality, int] = field(default_factory=dict)
    heard: float = 0.0
    """Seconds of all windows of sound."""

    def add(self, modality: Modality, segments: Sequence[Segment], seconds: float) -> None:
        self.encode_s[modality] = self.encode_s.get(modality, 0.0) + seconds
        self.segments[modality] = self.segments.get(modality, 0) + len(segments)
        if modality == "audio":
            self.heard += sum(len(one.data) / (one.rate or 1) for one in segments)

    def each(self, modality: Modality) -> float:
        """Seconds to encode a segment; 0 if there was none."""
        return self.encode_s.get(modality, 0.0) / max(self.segments.get(modality, 0), 1)

    @property
    def decoding(self) -> float:
        """Seconds to decode a second."""
        return self.decode_s / self.covered if self.covered else 0.0

    @property
    def second(self) -> float:
        """Seconds to encode a second of sound."""
        return self.encode_s.get("audio", 0.0) / self.heard if self.heard else 0.0


def _timed(encoder: Encoder, prepared: Sequence[Prepared], regions: int) -> float:
    start, size = perf_counter(), encoder.spec.batch_size
    for first in range(0, len(prepared), size):
        batch = prepared[first : first + size]
        if regions and isinstance(encoder, SeesRegions):
            encoder.encode_regions(batch, regions)
        else:
            encoder.encode(batch)
    return perf_counter() - start
