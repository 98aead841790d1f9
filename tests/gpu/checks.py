"""The checks, each of which measures one promise and returns rows of the report."""

import importlib.util
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mmsearch.context.encoding import dealt_space
from mmsearch.core import registry
from mmsearch.core.config import Settings
from mmsearch.encoders.device import PRECISIONS as TORCH_PRECISIONS
from mmsearch.testing.encoders import SEGMENTS
from mmsearch.types import Encoder, Modality, Prepared, Space

CLOSE, SHARE, FLAT = 0.999, 0.9, 64 * 2**20
"""Cosine to the CPU's vectors; end to end to the bare forward pass; bytes that memory may grow by."""
PRECISIONS = ("fp32", "bf16", "fp16")
NEARLY = 0.001
"""Cosine by which a model of sentence-transformers may lose more than the library's own does in the same precision:
random weights amplify what is rounded, so how much that is says nothing of trained ones."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Where the checks run, and how much of each."""

    device: str = "cuda"
    batches: int = 1000
    pictures: int = 32
    full: bool = True
    """Whether EmbeddingGemma 2 is made in its real size (1.5 GB)."""

    @property
    def on_gpu(self) -> bool:
        return self.device.startswith("cuda")


SMALL = Trial("cpu", batches=20, pictures=4, full=False)
"""Shows on any machine that the checks themselves are whole; no figure of it counts."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report."""

    check: str
    subject: str
    figure: str
    holds: bool


def has_sentence_models() -> bool:
    return importlib.util.find_spec("transformers.models.embedding_gemma2") is not None


def names() -> Iterator[tuple[str, str]]:
    """(what it is called, name of the space) of each small model, made with random weights."""
    from tests import clip, huggingface, sentence

    yield "starter", "starter"
    yield from ((f"open_clip {kind}", clip.space(kind)) for kind in ("clip", "siglip"))
    yield from ((f"transformers {kind}", huggingface.space(kind)) for kind in ("clap", "pe"))
    for variant in sentence.VARIANTS if has_sentence_models() else ():
        yield f"sentence-transformers {variant}", sentence.space(variant)


def opened(name: str, device: str, precision: str) -> Space:
    made: Space = registry.load_part("spaces", name)(device, precision)
    return made


def prepared(encoder: Encoder, kind: Modality) -> list[Prepared]:
    return [encoder.prepare(one) for one in SEGMENTS[kind]()]


def same_as_the_cpu(trial: Trial) -> Iterator[Row]:
    """Every encoder in every precision that its model takes, against fp32 on the CPU."""
    if not has_sentence_models():
        yield Row("as on the CPU", "sentence-transformers", "transformers lacks embedding_gemma2", False)
    for called, name in names():
        for kind, reference in opened(name, "cpu", "fp32").encoders.items():
            inputs = prepared(reference, kind)
            expected = reference.encode(inputs)
            for precision in PRECISIONS:
                if precision == "fp16" and ("gemma" in called or not trial.on_gpu):
                    continue  # refused: it gives NaN; and few CPUs compute in it
                made = opened(name, trial.device, precision).encoders[kind].encode(inputs)
                least, subject = float((made * expected).sum(1).min()), f"{called} {kind} {precision}"
                if precision == "fp32" or not called.startswith("sentence"):
                    yield Row("as on the CPU", subject, f"cosine {least:.5f}", least >= CLOSE)
                    continue
                own = by_the_library(called.split()[-1], kind, inputs, trial.device, precision)
                bare, alike = (float((own * other).sum(1).min()) for other in (expected, made))
                figure = f"cosine {least:.5f}, the library's own {bare:.5f}"
                yield Row("as on the CPU", subject, figure, least >= min(CLOSE, bare - NEARLY))
                yield Row("as the library", subject, f"cosine {alike:.5f}", alike >= CLOSE)


def by_the_library(variant: str, kind: Modality, inputs: Sequence[Prepared], device: str, precision: str) -> Any:
    """Vectors of the suite's inputs by sentence-transformers alone, in this precision, in the same batches."""
    from tests import sentence
    from tests.benchmarks.full_size import given

    model = sentence.library_model(variant, device, TORCH_PRECISIONS[precision])
    if "video" in sentence.TAKES[variant]:
        model[0].processing_kwargs = {"video": {"do_sample_frames": False}}
    listed = []
    for one, made in zip(SEGMENTS[kind](), inputs, strict=True):
        if kind == "text":
            listed.append({"text": json.loads(made.tobytes())[1] or " "})
        else:
            listed.append({kind: given(kind, one if kind == "video" else replace(one, data=made))})
    size = 1 if variant == "clip" and kind == "image" else len(listed)
    vectors = model.encode_document(listed, batch_size=size, show_progress_bar=False, convert_to_tensor=True).float()
    return (vectors / vectors.norm(dim=1, keepdim=True)).cpu().numpy()


def memory_held(trial: Trial) -> int:
    """Bytes: of the GPU by tensors, or of this process."""
    import torch

    if trial.on_gpu:
        torch.cuda.synchronize()
        return int(torch.cuda.memory_allocated())
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()


def memory_stays(trial: Trial, encode: Callable[[], Any]) -> int:
    """Bytes that many batches leave behind."""
    for _ in range(10):
        encode()
    before = memory_held(trial)
    for _ in range(trial.batches):
        encode()
    return memory_held(trial) - before


def memory_is_flat(trial: Trial) -> Iterator[Row]:
    """Over a thousand batches of each kind of the smallest EmbeddingGemma 2."""
    from tests import sentence

    for kind, encoder in opened(sentence.space("gemma"), trial.device, "bf16").encoders.items():
        inputs = prepared(encoder, kind)[:2]

        def encode(encoder: Encoder = encoder, inputs: Sequence[Prepared] = inputs) -> None:
            encoder.encode(inputs)

        grown = memory_stays(trial, encode)
        figure = f"{grown / 2**20:.1f} MiB more after {trial.batches} batches"
        yield Row("memory is flat", f"gemma {kind}", figure, grown < FLAT)


def more_than_fits(trial: Trial) -> Iterator[Row]:
    """A batch for which memory doesn't suffice is halved until it does: real memory on a GPU, a refusal made up for
    more than four at once elsewhere."""
    encoder: Any = opened("starter", trial.device, "fp32").encoders["image"]
    inputs = prepared(encoder, "image") * (40 if trial.on_gpu else 2)
    expected = encoder.encode(inputs)
    sizes: list[int] = []
    forward = encoder._forward

    def seen(model: Any, batch: Sequence[Prepared]) -> Any:
        sizes.append(len(batch))
        if not trial.on_gpu and len(batch) > 4:
            raise MemoryError("out of memory")
        return forward(model, batch)

    encoder._forward = seen
    if trial.on_gpu:
        import torch

        share = 1.2 * torch.cuda.memory_allocated() / int(torch.cuda.mem_get_info()[1]) + 0.001
        torch.cuda.set_per_process_memory_fraction(min(1.0, share))
        try:
            made = encoder.encode(inputs)
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
    else:
        made = encoder.encode(inputs)
    least = float((made * expected).sum(1).min())
    figure = f"cosine {least:.5f}, batches of {max(sizes)} to {min(sizes)}"
    yield Row("out of memory", "starter image", figure, least >= CLOSE and max(sizes) > min(sizes))


def as_quick_as_the_library(trial: Trial) -> Iterator[Row]:
    """Encoders of the small EmbeddingGemma 2 end to end, against the library's own `encode` of the same inputs."""
    from PIL import Image

    from tests import sentence

    model = sentence.library_model("gemma").to(trial.device)
    encoder = opened(sentence.space("gemma"), trial.device, "fp32").encoders["image"]
    pixels = np.random.default_rng(1).integers(0, 256, (trial.pictures, 300, 400, 3), np.uint8)
    ours, bare = in_turn(
        lambda: encoder.encode(list(pixels)),
        lambda: model.encode([Image.fromarray(one) for one in pixels], show_progress_bar=False),
    )
    yield Row("as quick as the library", "gemma image", f"{bare / ours:.2f} of its speed", bare / ours >= SHARE)


def as_quick_as_the_forward_pass(trial: Trial) -> Iterator[Row]:
    """The starter's and open_clip's pictures, against their network alone with its inputs in the device's memory."""
    from tests import clip

    for called, name in (("starter", "starter"), ("open_clip clip", clip.space("clip"))):
        encoder: Any = opened(name, trial.device, "fp32").encoders["image"]
        inputs = prepared(encoder, "image") * trial.pictures
        encoder.encode(inputs)
        ours, bare = in_turn(partial(encoder.encode, inputs), partial(encoder._forward, encoder._loaded(), inputs))
        yield Row("as quick as its network", called, f"{bare / ours:.2f} of its speed", bare / ours >= SHARE)


def in_turn(one: Callable[[], Any], other: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of each: the least of five, after one that warms up."""
    times: list[tuple[float, float]] = []
    for _ in range(6):
        times.append((_seconds(one), _seconds(other)))
    return min(row[0] for row in times[1:]), min(row[1] for row in times[1:])


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def full_size_gemma(trial: Trial) -> Iterator[Row]:
    """EmbeddingGemma 2 in its real size, random weights, bfloat16: finite vectors, items a second, memory."""
    from tests import sentence
    from tests.benchmarks.full_size import given, model_folder, shared_model

    with tempfile.TemporaryDirectory() as place:
        name = f"st:{model_folder(Path(place))}" if trial.full else sentence.space("gemma")
        for kind, encoder in opened(name, trial.device, "bf16").encoders.items():
            segments = SEGMENTS[kind]() * (8 if trial.full else 1)
            inputs = [encoder.prepare(one) for one in segments]
            vectors = encoder.encode(inputs)
            lengths = np.linalg.norm(vectors, axis=1)
            yield Row("full size", f"{kind} in bf16", "finite, of length 1", bool(np.allclose(lengths, 1, atol=1e-3)))
            if kind == "text":
                continue  # each input has a prompt of its own title
            model = shared_model(encoder)
            # Pictures as they are prepared: the suite's are too slender and too small for the library.
            alike = zip(segments, inputs, strict=True)
            listed = [given(kind, replace(one, data=made) if kind == "image" else one) for one, made in alike]
            bare_encode = partial(model.encode_document, listed, batch_size=16, show_progress_bar=False)
            ours, bare = in_turn(partial(encoder.encode, inputs), bare_encode)
            figure = f"{len(inputs) / ours:.1f}/s, {bare / ours:.2f} of the library's speed"
            yield Row("full size", kind, figure, bare / ours >= SHARE)
        yield Row("full size", "memory", f"{memory_held(trial) / 2**30:.2f} GiB", True)


def two_processes(trial: Trial) -> Iterator[Row]:
    """Two encoder processes on one device, batches dealt out, against one on the CPU."""
    for kind in ("image", "audio"):
        space = opened("starter", "cpu", "fp32")
        inputs = prepared(space.encoders[kind], kind)
        expected = space.encoders[kind].encode(inputs)
        with dealt_space(space, registry.target_of("spaces", "starter"), _two(trial)) as dealt:
            made = dealt.encoders[kind].encode(inputs)
        least = float((made * expected).sum(1).min())
        yield Row("two encoder processes", f"starter {kind}", f"cosine {least:.5f}", least >= CLOSE)


def _two(trial: Trial) -> Settings:
    return Settings(device=f"{trial.device}+{trial.device}", precision="fp32")


def faiss_contracts(trial: Trial) -> Iterator[Row]:
    """The contract suite of indexes on FAISS's GPU, and on what stands in its place; elsewhere on that alone."""
    pytest = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:randomly", "-p", "no:cacheprovider"]
    command = [*pytest, "-k", "GPU", "tests/contracts/test_index_contract.py"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    last = (run.stdout.strip().splitlines() or ["nothing was printed"])[-1]
    passed = int(found[1]) if (found := re.search(r"(\d+) passed", last)) else 0
    whole = passed > 0 and not (trial.on_gpu and "skipped" in last)
    yield Row("FAISS's contracts", "on a GPU and its stand-in", last.strip("= "), run.returncode == 0 and whole)


CHECKS = (
    same_as_the_cpu, memory_is_flat, more_than_fits, as_quick_as_the_library, as_quick_as_the_forward_pass,
    full_size_gemma, two_processes, faiss_contracts,
)  # fmt: skip
