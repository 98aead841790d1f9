"""The encoders of one model: what decoders deliver, handed to the library as arrays and never as a string to look up.

sentence-transformers takes a string that looks like an address or a path for the medium there, and fetches it. So every
input is a dict that says what it is: {"text": ...}, {"image": ...}.
"""

import io
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmsearch.encoders.check import checked_output
from mmsearch.encoders.device import check_torch, out_of_memory
from mmsearch.encoders.explaining import Box
from mmsearch.encoders.lazy import LazyEncoder
from mmsearch.encoders.sentence.checkpoint import VERSION, SentenceCheckpoint
from mmsearch.encoders.sentence.model import HINT, SharedModel, load_model, quiet
from mmsearch.encoders.tokenizer import whole
from mmsearch.errors import InvalidInput, WeightsError
from mmsearch.types import EncoderSpec, Modality, Prepared, Segment, Vectors

if TYPE_CHECKING:
    import torch

HALF = {"embedding_gemma2": "it gives NaN in fp16"}
"""model_type -> why it does not run in fp16."""
UNTITLED = "title: none"
"""What the document prompt of EmbeddingGemma says where it knows no title."""
LONGEST_TITLE = 200
MOST_SLENDER = 24
"""Width to height, or the other way round, of a picture, at most: processors give up on more."""


class Asked(NamedTuple):
    """One input, and whether it is a query."""

    prepared: Prepared
    query: bool


class Models:
    """The models of a space by where they run. Thread safety: any number of threads."""

    def __init__(self, checkpoint: SentenceCheckpoint) -> None:
        self._checkpoint = checkpoint
        self._lock = threading.Lock()
        self._shared: dict[str, SharedModel] = {}

    def on(self, device: "torch.device", dtype: "torch.dtype") -> SharedModel:
        with self._lock:
            key = f"{device} {dtype}"
            if key not in self._shared:
                self._shared = {}  # where one moved to the CPU, its place on the GPU is wanted
                self._shared[key] = SharedModel(
                    lambda kinds: load_model(self._checkpoint, kinds, device, dtype), self._checkpoint.modalities
                )
            return self._shared[key]


class SentenceEncoder(LazyEncoder[SharedModel]):
    """One kind of input of a model."""

    batch_size = 16

    def __init__(
        self,
        checkpoint: SentenceCheckpoint,
        modality: Modality,
        device: str = "auto",
        precision: str = "auto",
        models: Models | None = None,
    ) -> None:
        """Raises: InvalidInput for a precision that the model gives no numbers in."""
        super().__init__(device, precision)
        if precision == "fp16" and checkpoint.kind in HALF:
            raise InvalidInput(
                f"{checkpoint.name} doesn't run in fp16: {HALF[checkpoint.kind]}", hint="take bf16, fp32 or auto"
            )
        self.checkpoint = checkpoint
        self.modality = modality
        self._models = models or Models(checkpoint)
        self._spec: EncoderSpec | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.checkpoint, self.modality, self.device, self.precision)

    @property
    def spec(self) -> EncoderSpec:
        """Its first use hashes the weights, unless that was done before. Raises: WeightsError."""
        if self._spec is None:
            name, made = f"{self.checkpoint.name}-{self.modality}", self.checkpoint
            tag = f"st-{VERSION}-{made.digest}{made.options}"
            self._spec = EncoderSpec(name, self.modality, made.dim, made.hashes(), tag, self.batch_size)
        return self._spec

    def prepare(self, segment: Segment) -> Prepared:
        """The model's input for one segment. Raises: InvalidInput for another modality."""
        # Not by the spec: decode workers prepare, and need not hash the weights.
        if segment.modality != self.modality:
            raise InvalidInput(f"{self.checkpoint.name} takes {self.modality} here, not {segment.modality}")
        return _PREPARE[self.modality](self.checkpoint, segment)

    def _prepare(self, data: Any, rate: int | None) -> Prepared:
        return self.prepare(Segment(self.modality, data, rate=rate))

    def encode(self, batch: Sequence[Prepared], *, query: bool = False) -> Vectors:
        """float32 (len(batch), dim), rows of L2 norm 1, in input order, as the library's `encode_query` or
        `encode_document` gives them.

        Raises: InvalidInput if the device isn't there, WeightsError, EncodeError, Forked.
        """
        asked: Any = [Asked(one, query) for one in batch]
        return super().encode(asked, query=query)

    def try_out(self) -> None:
        """Load the weights and put something through them. Raises: WeightsError."""
        self._loaded()

    def _load(self, device: "torch.device", dtype: "torch.dtype") -> SharedModel:
        import torch

        if dtype == torch.float16 and self.precision == "auto":
            dtype = torch.bfloat16  # what such models are published in
        shared = self._models.on(device, dtype)
        try:
            self._embedded(shared, [_trial(self.checkpoint, self.modality)], query=False)
        except (RuntimeError, ValueError, IndexError, TypeError, KeyError, AttributeError) as error:
            if out_of_memory(error):
                raise
            raise WeightsError(
                f"{self.checkpoint.name} doesn't take {self.modality} as its config says: {str(error)[:300]}", hint=HINT
            ) from error
        return shared

    def _forward(self, model: SharedModel, batch: Sequence[Any]) -> NDArray[np.float32]:
        inputs = [_input(self.checkpoint, self.modality, one.prepared) for one in batch]
        return self._embedded(model, inputs, query=batch[0].query)

    def _at_once(self, count: int) -> int:
        """Without a chat template EmbeddingGemma's processor takes several pictures for those of one input."""
        return 1 if self.modality == "image" and not self.checkpoint.joins else count

    def _embedded(self, shared: SharedModel, inputs: Sequence["_Input"], *, query: bool) -> NDArray[np.float32]:
        vectors = np.empty((len(inputs), self.checkpoint.dim), np.float32)
        with shared.lock, quiet():
            model = shared.of(self.modality)
            reserved = _reserved(model)
            for (prompt, _), rows in _alike(self.checkpoint, inputs, query).items():
                given = [_harmless(inputs[row].given, reserved) for row in rows]
                made = (model.encode_query if query else model.encode_document)(
                    given,
                    prompt=prompt,
                    batch_size=self._at_once(len(given)),
                    show_progress_bar=False,
                    truncate_dim=self.checkpoint.options.dimensions,
                    normalize_embeddings=True,
                    convert_to_tensor=True,
                )
                vectors[rows] = self._unit(made)
        return vectors

    def _unit(self, made: "torch.Tensor") -> NDArray[np.float32]:
        """float32 rows of length 1, which in bfloat16 they are not quite. Raises: WeightsError for another width."""
        from torch.nn import functional as F

        if made.shape[1] != self.checkpoint.dim:
            raise WeightsError(
                f"{self.checkpoint.name} gives {made.shape[1]} numbers, not the {self.checkpoint.dim} it says",
                hint=HINT,
            )
        rows: NDArray[np.float32] = F.normalize(made.float(), dim=1).cpu().numpy()
        return rows


class MediaEncoder(SentenceEncoder):
    """Pictures or sounds."""

    def occluded(self, prepared: Prepared, box: Box) -> Prepared:
        """A copy of a picture with the box grey, or of a sound silent within its times."""
        hidden = prepared.copy()
        if self.modality == "audio":
            hidden[round(box[0] * len(hidden)) : round(box[2] * len(hidden))] = 0
        elif self.modality == "image":
            high, wide = hidden.shape[:2]
            left, top, right, bottom = box
            hidden[round(top * high) : round(bottom * high), round(left * wide) : round(right * wide)] = 128
        return hidden


class ClipEncoder(SentenceEncoder):
    """Clips of videos."""

    batch_size = 4
    """Each is eight pictures. With four of EmbeddingGemma 2 at once an ingest took 6.3 GB; more were not measured."""


class TextEncoder(SentenceEncoder):
    """Passages and queries; and several kinds as one input, for models that take that."""

    @property
    def joins(self) -> tuple[Modality, ...]:
        """The kinds that may stand beside each other in one input; none if the model takes one at a time."""
        return self.checkpoint.modalities if self.checkpoint.joins else ()

    def encode_joint(self, parts: Mapping[Modality, Prepared]) -> Vectors:
        """float32 (1, dim), of length 1: what the model makes of several kinds together, as a query.

        Raises: InvalidInput for kinds it doesn't take together, and as `encode`.
        """
        check_torch()
        if not set(parts) <= set(self.joins):
            raise InvalidInput(
                f"{self.checkpoint.name} doesn't take {' and '.join(sorted(parts))} as one input",
                hint="--compose vector adds up their vectors",
            )
        given: dict[str, Any] = {}
        for kind, prepared in parts.items():
            made = _input(self.checkpoint, kind, prepared).given
            # A sound of its own stands in the place of a clip's.
            given |= {one: value for one, value in made.items() if one == kind or one not in parts}
        shared = self._loaded()
        with shared.lock:
            for kind in parts:
                shared.of(kind)
        return checked_output(self._embedded(shared, [_Input(given, "")], query=True), 1, self.spec)


class _Input(NamedTuple):
    given: dict[str, Any]
    """What the library is handed: the kind, and a decoded value."""
    title: str


def _text(_: SentenceCheckpoint, segment: Segment) -> Prepared:
    """uint8 (n,): JSON of [title, text]."""
    title = " ".join((segment.title or "").split())[:LONGEST_TITLE]
    return np.frombuffer(json.dumps([whole(title), whole(segment.data)]).encode(), np.uint8)


def _picture(checkpoint: SentenceCheckpoint, segment: Segment) -> Prepared:
    """uint8 (h, w, 3), as it was decoded; what is too slender for a processor is squeezed, what is tiny enlarged."""
    pixels = np.asarray(segment.data)
    high, wide = pixels.shape[:2]
    least = 28
    longest = MOST_SLENDER * max(least, min(high, wide))
    size = (min(max(high, least), longest), min(max(wide, least), longest))
    if size == (high, wide):
        return pixels
    # Resizing is preprocessing, so PIL is used here too, though media owns it for decoding.
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def _sound(checkpoint: SentenceCheckpoint, segment: Segment) -> Prepared:
    """float32 (n,), a tenth of a second at least. Raises: InvalidInput for another rate."""
    rate = checkpoint.windowing.audio_rate
    if segment.rate != rate:
        raise InvalidInput(f"{checkpoint.name} takes sound at {rate} Hz, not {segment.rate}")
    wave = np.asarray(segment.data, np.float32)
    return np.pad(wave, (0, max(0, rate // 10 - len(wave))))


def _clip(checkpoint: SentenceCheckpoint, segment: Segment) -> Prepared:
    """uint8 (n,): frames (frames, height, width, 3), frames a second and the sound, as NumPy writes arrays."""
    frames = np.asarray(segment.data)
    length = (segment.span.end or 0.0) - (segment.span.start or 0.0)
    written = io.BytesIO()
    np.save(written, frames, allow_pickle=False)
    np.save(written, np.float64(len(frames) / length if length > 0 else 1.0), allow_pickle=False)
    sound: Prepared = np.zeros(0, np.float32)
    if segment.sound is not None and checkpoint.windowing.clip_sound:
        sound = _sound(checkpoint, replace(segment, data=segment.sound))
    np.save(written, sound, allow_pickle=False)
    return np.frombuffer(written.getvalue(), np.uint8)


_PREPARE = {"text": _text, "image": _picture, "audio": _sound, "video": _clip}


def _input(checkpoint: SentenceCheckpoint, kind: Modality, prepared: Prepared) -> _Input:
    """What the library takes: decoded, and named by its kind."""
    if kind == "text":
        title, text = json.loads(prepared.tobytes())
        # Of no words some tokenizers make nothing at all.
        return _Input({"text": text or " "}, title)
    if kind == "image":
        from PIL import Image

        return _Input({"image": Image.fromarray(prepared)}, "")
    if kind == "audio":
        return _Input({"audio": {"array": prepared, "sampling_rate": checkpoint.windowing.audio_rate}}, "")
    read = io.BytesIO(prepared.tobytes())
    frames, fps = np.load(read, allow_pickle=False), float(np.load(read, allow_pickle=False))
    sound = np.load(read, allow_pickle=False)
    told = {"fps": fps, "total_num_frames": len(frames), "frames_indices": list(range(len(frames)))}
    video = {"array": np.ascontiguousarray(frames.transpose(0, 3, 1, 2)), "video_metadata": told}
    beside = _input(checkpoint, "audio", sound).given if len(sound) else {}
    return _Input({"video": video, **beside}, "")


def _trial(checkpoint: SentenceCheckpoint, kind: Modality) -> _Input:
    """Any input."""
    if kind == "text":
        return _Input({"text": "a"}, "")
    if kind == "audio":
        return _input(checkpoint, kind, np.zeros(checkpoint.windowing.audio_rate, np.float32))
    if kind == "image":
        return _input(checkpoint, kind, np.zeros((64, 64, 3), np.uint8))
    rate = checkpoint.windowing.audio_rate
    sound = np.zeros(rate, np.float32) if checkpoint.windowing.clip_sound else None
    clip = Segment("video", np.zeros((2, 64, 64, 3), np.uint8), rate=rate, sound=sound)
    return _input(checkpoint, kind, _clip(checkpoint, clip))


def _alike(
    checkpoint: SentenceCheckpoint, inputs: Sequence[_Input], query: bool
) -> dict[tuple[str, frozenset[str]], list[int]]:
    """Rows by what stands before them, and by the kinds in one input, of which a batch mixes none. The title of a
    document goes into a prompt that has a place for it."""
    prompt = checkpoint.prompts["query" if query else "document"]
    groups: dict[tuple[str, frozenset[str]], list[int]] = {}
    for row, one in enumerate(inputs):
        titled = prompt.replace(UNTITLED, f"title: {one.title}", 1) if one.title and not query else prompt
        groups.setdefault((titled, frozenset(one.given)), []).append(row)
    return groups


def _reserved(model: Any) -> list[str]:
    """Words that mean something to the model, longest first."""
    tokenizer = model.tokenizer
    words = set(getattr(tokenizer, "all_special_tokens", None) or ())
    words |= {
        str(token) for token in (getattr(tokenizer, "added_tokens_decoder", None) or {}).values() if token.special
    }
    return sorted((word for word in words if word), key=len, reverse=True)


def _harmless(given: dict[str, Any], reserved: Sequence[str]) -> dict[str, Any]:
    """An input whose words are words: "<|image|>" in a text stands for no picture."""
    text = given.get("text", "")
    if not any(word in text for word in reserved):
        return given
    for word in reserved:
        text = text.replace(word, f"{word[:1]} {word[1:]}")
    return {**given, "text": text}
