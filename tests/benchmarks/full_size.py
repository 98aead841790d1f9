"""EmbeddingGemma 2 in its real size with random weights: what is measured with it is speed and memory, not sense.

    python -m tests.benchmarks.full_size --shared ../shared --cache DIR [--only photos,sounds,clips,memory,words,int8]

DIR keeps the model (1.5 GB, made once); delete it afterwards. Every ratio is the library's own `encode_document` of
the decoded inputs against an ingest of the files into a library, in turn, by the same model in the same process:
by the wall, and by CPU seconds, those of the decode workers included. Parts run in processes of their own.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch

import mmsearch
from mmsearch.core import registry
from mmsearch.encoders.sentence.encoders import SentenceEncoder
from mmsearch.library import Library
from mmsearch.types import Encoder, Limits, Modality, Segment, Space
from tests import sentence
from tests.benchmarks.speed import copies

PARTS = ("photos", "sounds", "clips", "memory", "words", "int8")
MEDIA: Mapping[str, tuple[Modality, str]] = {
    "photos": ("image", "coco/*.jpg"), "sounds": ("audio", "esc10/*.ogg"), "clips": ("video", "videos/mdn_f*.mp4"),
}  # fmt: skip
_TICKS = os.sysconf("SC_CLK_TCK")


def model_folder(cache: Path) -> Path:
    """The model's folder, made unless it is there: 744 M parameters in bfloat16."""
    folder = cache / "embeddinggemma-2-random"
    if not (folder / "modules.json").is_file():
        cache.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(1)
        model, processor = sentence.gemma(full=True)
        sentence.assemble(folder, "gemma", model.to(torch.bfloat16), processor, 768)
        shutil.rmtree(folder.with_name(f"{folder.name}-plain"))
    return folder


def workers_cpu() -> float:
    """CPU seconds of this process' children, those that are done and those that are not (Linux)."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = used.ru_utime + used.ru_stime
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            said = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(said[1]) == os.getpid():
            spent += (int(said[11]) + int(said[12])) / _TICKS
    return spent


def spent(work: Callable[[], object]) -> tuple[float, float]:
    """(seconds of the wall, CPU seconds with those of the workers)."""
    start, before = perf_counter(), process_time() + workers_cpu()
    work()
    return perf_counter() - start, process_time() + workers_cpu() - before


def given(kind: Modality, one: Segment) -> Any:
    """One segment as the library itself takes it."""
    if kind == "image":
        from PIL import Image

        return Image.fromarray(np.asarray(one.data))
    if kind == "audio":
        return {"array": one.data, "sampling_rate": one.rate}
    frames = np.asarray(one.data)
    fps = len(frames) / ((one.span.end or 0) - (one.span.start or 0))
    told = {"fps": fps, "total_num_frames": len(frames), "frames_indices": list(range(len(frames)))}
    video = {"array": np.ascontiguousarray(frames.transpose(0, 3, 1, 2)), "video_metadata": told}
    if one.sound is None:
        return video
    return {"video": video, "audio": {"array": one.sound, "sampling_rate": one.rate}}


def decoded(space: Space, paths: Sequence[Path], modality: Modality) -> dict[Modality, list[Any]]:
    decoder = registry.load_part("decoders", modality)(space.windowing, Limits())
    inputs: dict[Modality, list[Any]] = {}
    for path in paths:
        for one in decoder.decode(path):
            inputs.setdefault(one.modality, []).append(given(one.modality, one))
    return inputs


def shared_model(encoder: Encoder) -> Any:
    """The library's model that an encoder uses, with the towers of its kind."""
    assert isinstance(encoder, SentenceEncoder)
    return encoder._loaded().of(encoder.modality)


def _library(place: Path, name: str) -> Library:
    """Without what else reads pictures and listens, where that is installed."""
    return mmsearch.open(place / "library", space=name, ocr="off", speech="off")


def end_to_end(part: str, name: str, shared: Path, count: int, repeat: int) -> dict[str, Any]:
    """Files a second by an ingest, against the library's own `encode_document` of what was decoded."""
    modality, pattern = MEDIA[part]
    originals = sorted((shared / "data" / "dev").glob(pattern))
    with tempfile.TemporaryDirectory() as place, _library(Path(place), name) as library:
        copies(originals[:count], count, Path(place) / "media")
        files = sorted((Path(place) / "media").iterdir())
        first = copies(originals[-1:], 1, Path(place) / "first")
        library.ingest(first[0])  # loads the weights and starts the workers
        space, _ = library._context.embedding()
        inputs = decoded(space, files, modality)
        model = shared_model(space.encoders[modality])

        def bare() -> None:
            for kind, listed in inputs.items():
                model.encode_document(listed, batch_size=space.encoders[kind].spec.batch_size, show_progress_bar=False)

        found: list[tuple[float, float, float, float]] = []
        for _ in range(repeat):
            alone, whole = spent(bare), spent(lambda: library.ingest(Path(place) / "media"))
            found.append((*alone, *whole))
            library.remove(Path(place) / "media")
    wall, cpu = ([row[at] / row[at + 2] for row in found] for at in (0, 1))
    return {
        "part": part, "files": count, "inputs": {kind: len(listed) for kind, listed in inputs.items()},
        "files_per_s": round(count / median(row[2] for row in found), 3),
        "cpu_s_per_file": round(median(row[3] for row in found) / count, 2),
        "wall_ratio": [round(one, 3) for one in sorted(wall)], "cpu_ratio": [round(one, 3) for one in sorted(cpu)],
        "runs (bare wall, bare CPU, ingest wall, ingest CPU)": [[round(one, 1) for one in row] for row in found],
        "peak_mb": peak_mb(),
    }  # fmt: skip


def peak_mb() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def memory(name: str) -> dict[str, Any]:
    """The largest resident set of a process that embeds one input of each kind, one after the other."""
    from mmsearch.testing.encoders import SEGMENTS

    space: Space = registry.load_part("spaces", name)("cpu", "auto")
    found = {}
    for kind, encoder in space.encoders.items():
        encoder.encode([encoder.prepare(SEGMENTS[kind]()[0])])
        found[f"peak_mb, {kind} too"] = peak_mb()
    return {"part": "memory", **found}


def words(name: str) -> dict[str, Any]:
    """A words query in a new process: what is loaded for it, and how long that takes."""
    start = perf_counter()
    space: Space = registry.load_part("spaces", name)("cpu", "auto")
    encoder = space.encoders["text"]
    encoder.encode([encoder.prepare(Segment("text", "a dog barks"))], query=True)
    model = shared_model(space.encoders["text"])[0].model
    loaded = sum(parameter.numel() for parameter in model.parameters())
    towers = [tower for tower in ("vision_tower", "audio_tower") if getattr(model, tower) is not None]
    return {
        "part": "words", "loaded_parameters_m": round(loaded / 1e6), "other_towers": towers,
        "seconds": round(perf_counter() - start, 1), "cpu_s": round(process_time(), 1), "peak_mb": peak_mb(),
    }  # fmt: skip


def int8(name: str, shared: Path, count: int, repeat: int) -> dict[str, Any]:
    """Kinds of numbers on a CPU: CPU seconds an input, and the cosine to fp32's vectors."""
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, Int8WeightOnlyConfig, quantize_

    found: dict[str, Any] = {"part": "int8"}
    reference: dict[str, Any] = {}
    ways: dict[str, tuple[str, Any]] = {
        "fp32": ("fp32", None), "bf16": ("bf16", None), "int8 weights": ("fp32", Int8WeightOnlyConfig()),
        "int8 weights and activations": ("fp32", Int8DynamicActivationInt8WeightConfig()),
    }  # fmt: skip
    for way, (precision, config) in ways.items():
        space: Space = registry.load_part("spaces", name)("cpu", precision)
        media = {
            kind: decoded(space, sorted((shared / "data" / "dev").glob(pattern))[:count], kind)[kind]
            for kind, pattern in (MEDIA["photos"], MEDIA["sounds"])
        }
        media["text"] = [{"text": "the wind over the hills, and what it carries " * 12}] * count
        model = shared_model(space.encoders["image"])
        if config is not None:
            quantize_(model[0].model, config)
        for kind, listed in media.items():
            vectors = model.encode_document(listed, batch_size=1, show_progress_bar=False)
            reference.setdefault(kind, vectors)
            once = partial(model.encode_document, listed, batch_size=1, show_progress_bar=False)
            times = [spent(once)[1] for _ in range(repeat)]
            found[f"{way}, {kind}"] = {
                "cpu_s": round(min(times) / len(listed), 3),
                "cosine": round(float((vectors * reference[kind]).sum(1).min()), 4),
            }
        found[f"{way}, weights"] = f"{weights_mb(model)} MB"
    return found


def weights_mb(model: Any) -> int:
    """Of tensors as they lie in memory."""
    sizes: list[int] = [
        sum(inner.numel() * inner.element_size() for inner in _inner(tensor)) for tensor in model.state_dict().values()
    ]
    return round(sum(sizes) / 1e6)


def _inner(tensor: Any) -> list[Any]:
    """What a tensor of torchao's is made of; a plain one itself."""
    if not hasattr(tensor, "__tensor_flatten__"):
        return [tensor]
    return [getattr(tensor, name) for name in tensor.__tensor_flatten__()[0] if getattr(tensor, name) is not None]


def run(part: str, name: str, shared: Path, count: int, repeat: int) -> dict[str, Any]:
    if part in MEDIA:
        return end_to_end(part, name, shared, count, repeat)
    return {"memory": lambda: memory(name), "words": lambda: words(name)}.get(
        part, lambda: int8(name, shared, count, repeat)
    )()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--options", default=",max_soft_tokens=70", help="behind the model's name")
    parser.add_argument("--count", type=int, default=4, help="files of a kind")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    name = f"st:{model_folder(chosen.cache)}{chosen.options}"
    if chosen.part:
        print(json.dumps(run(chosen.part, name, chosen.shared, chosen.count, chosen.repeat)))
        return
    for part in chosen.only.split(","):
        command = [sys.executable, "-m", "tests.benchmarks.full_size", "--part", part, *sys.argv[1:]]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        for key, value in json.loads(said.splitlines()[-1]).items():
            print(f"{key}: {value}", flush=True)


if __name__ == "__main__":
    main()
