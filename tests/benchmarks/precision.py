"""What less precision costs and saves on a CPU: `python -m tests.benchmarks.precision --shared ../shared [--rounds 5]`.

bf16 is the product's own choice (`--precision bf16`). int8 is torch's dynamic quantisation of linear layers, which the
product doesn't offer: torch declares it deprecated. Speeds are CPU seconds on one thread against fp32, in turn in the
same run, medians; cosines are of each vector to its fp32 self; recall is of words to pictures.
"""

import argparse
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np
import pytest
import torch

from mmsearch.core import registry
from mmsearch.types import Limits, Modality, Prepared, Segment, Space, Vectors
from tests import trained_clip
from tests.benchmarks import vit
from tests.benchmarks.quality import Items, rows, similarity

KINDS = ("fp32", "bf16", "int8")


def spaces(name: str) -> dict[str, Space]:
    """The space in each precision; int8 is made of the fp32 one."""
    made: dict[str, Space] = {
        kind: registry.load_part("spaces", name)("cpu", kind.replace("int8", "fp32")) for kind in KINDS
    }
    for encoder in made["int8"].encoders.values():
        loaded: Any = encoder
        with pytest.MonkeyPatch.context() as patch:
            # What is quantised are torch's own layers.
            patch.setattr("mmsearch.encoders.packed.packs", lambda *_: False)
            model = loaded._loaded()
        module = model[0] if isinstance(model, tuple) else model
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            small = torch.ao.quantization.quantize_dynamic(module, {torch.nn.Linear}, dtype=torch.qint8)  # type: ignore[no-untyped-call]
        for part in small.modules():
            # open_clip asks a weight for its type, which a quantised one has none of.
            if hasattr(part, "get_cast_dtype"):
                part.get_cast_dtype = lambda: torch.float32
        loaded._model = model._replace(module=small) if hasattr(model, "_replace") else (small, *model[1:])
    return made


def inputs(space: Space, modality: Modality, shared: Path, count: int) -> tuple[list[Prepared], list[str]]:
    """The first COCO photos or their captions, prepared, and what the answer to each is called."""
    dev, encoder = shared / "data" / "dev", space.encoders[modality]
    paths = sorted((dev / "coco").glob("*.jpg"))[:count]
    names = [f"coco/{path.name}" for path in paths]
    if modality == "text":
        found = [row for row in rows(dev / "queries" / "text_to_image.tsv") if row["relevant"] in names]
        return [encoder.prepare(Segment("text", row["query"])) for row in found], [row["relevant"] for row in found]
    decoder = registry.load_part("decoders", "image")(space.windowing, Limits())
    return [encoder.prepare(next(decoder.decode(path))) for path in paths], names


def drawings(space: Space, modality: Modality) -> tuple[list[Prepared], list[str]]:
    """Drawn shapes or their captions, for the small CLIP that has learned them."""
    encoder = space.encoders[modality]
    if modality == "text":
        return [encoder.prepare(Segment("text", caption)) for caption in trained_clip.CAPTIONS], list(
            trained_clip.CAPTIONS
        )
    seen = [(caption, 7000 + n) for caption in trained_clip.CAPTIONS for n in range(4)]
    pictures = [encoder.prepare(Segment("image", trained_clip.drawn(*one))) for one in seen]
    return pictures, [caption for caption, _ in seen]


def encoded(space: Space, modality: Modality, prepared: Sequence[Prepared], *, fused: bool) -> tuple[Vectors, float]:
    """The vectors, and the CPU seconds they took."""
    encoder = space.encoders[modality]
    # torch's fused encoder layer doesn't know quantised weights.
    torch.backends.mha.set_fastpath_enabled(fused)
    size, start = encoder.spec.batch_size, process_time()
    vectors = np.concatenate([encoder.encode(prepared[i : i + size]) for i in range(0, len(prepared), size)])
    return vectors, process_time() - start


def recall(words: Vectors, asked: Sequence[str], pictures: Vectors, names: Sequence[str], k: int) -> float:
    """Share of the words whose picture is among the first k."""
    scores = similarity(Items(words, np.arange(len(words))), Items(pictures, np.arange(len(pictures))))
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return float(np.mean([any(names[n] == wanted for n in row) for row, wanted in zip(best, asked, strict=True)]))


def compare(
    title: str, name: str, load: Callable[[Space, Modality], tuple[list[Prepared], list[str]]], rounds: int, k: int
) -> None:
    made = spaces(name)
    given = {modality: load(made["fp32"], modality) for modality in ("text", "image")}
    vectors: dict[tuple[str, str], Vectors] = {}
    spent: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds + 1):
        for modality, (prepared, _) in given.items():
            for kind in KINDS:
                vectors[kind, modality], seconds = encoded(made[kind], modality, prepared, fused=kind != "int8")
                if number:  # the first loads the weights
                    spent.setdefault((kind, modality), []).append(seconds)
    for kind in KINDS:
        found = recall(vectors[kind, "text"], given["text"][1], vectors[kind, "image"], given["image"][1], k)
        cells = []
        for modality in given:
            ratio = median(a / b for a, b in zip(spent["fp32", modality], spent[kind, modality], strict=True))
            cosine = (vectors[kind, modality] * vectors["fp32", modality]).sum(1)
            cells.append(f"{modality} {ratio:.2f} x, cosine {cosine.mean():.4f} (least {cosine.min():.4f})")
        print(f"{title}, {kind}: {'; '.join(cells)}; R@{k} {100 * found:.1f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--only", default="starter,shapes,vit")
    parser.add_argument("--count", type=int, default=60, help="photos")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.backends.quantized.engine = "x86" if "x86" in torch.backends.quantized.supported_engines else "qnnpack"

    def coco(space: Space, modality: Modality) -> tuple[list[Prepared], list[str]]:
        return inputs(space, modality, given.shared, given.count)

    wanted = given.only.split(",")
    if "starter" in wanted:
        compare("starter", "starter", coco, given.rounds, 10)
    if "shapes" in wanted:
        compare("small CLIP, trained on shapes", trained_clip.space(), drawings, given.rounds, 4)
    if "vit" in wanted:
        with tempfile.TemporaryDirectory() as folder:
            compare("ViT-B-32, random weights", vit.save(Path(folder) / "vit"), coco, given.rounds, 10)


if __name__ == "__main__":
    main()
