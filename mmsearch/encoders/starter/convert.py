"""Make the package data of the starter space from the originals.

    python -m mmsearch.encoders.starter.convert yamnet.tflite yamnet_labels.json OUTDIR

writes yamnet.safetensors, yamnet_labels.json and concepts.safetensors. It needs `ai-edge-litert` (a development
dependency) to read the TFLite file, and open_clip for ImageNet's class names.
"""

import hashlib
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmsearch.encoders.starter.audio import PROMPTS as AUDIO_PROMPTS
from mmsearch.encoders.starter.image import PROMPTS as IMAGE_PROMPTS
from mmsearch.encoders.starter.text import StarterText
from mmsearch.errors import InvalidInput
from mmsearch.types import Segment

TFLITE_SHA256 = "10c95ea3eb9a7bb4cb8bddf6feb023250381008177ac162ce169694d05c317de"

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str]) -> int:
    """Run the three conversions. Returns an exit code."""
    ours = logging.getLogger("mmsearch")
    ours.addHandler(logging.StreamHandler())
    ours.setLevel(logging.INFO)
    if len(arguments) != 3:
        _log.error("usage: python -m mmsearch.encoders.starter.convert yamnet.tflite yamnet_labels.json OUTDIR")
        return 2
    from safetensors.numpy import save_file

    tflite, labels, folder = (Path(argument) for argument in arguments)
    names = json.loads(labels.read_text("utf-8"))
    save_file(yamnet(tflite), folder / "yamnet.safetensors")
    (folder / "yamnet_labels.json").write_text(json.dumps(names, indent=0, ensure_ascii=False) + "\n", "utf-8")
    save_file(
        {"imagenet": named(imagenet_names(), IMAGE_PROMPTS), "audioset": named(names, AUDIO_PROMPTS)},
        folder / "concepts.safetensors",
    )
    # safetensors writes files only their owner may read.
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)
    for path in [*sorted(folder.glob("*.safetensors")), folder / "yamnet_labels.json"]:
        _log.info("%s  %s", hashlib.sha256(path.read_bytes()).hexdigest(), path.name)
    return 0


def yamnet(tflite: Path) -> dict[str, NDArray[Any]]:
    """The quantised tensors, exactly, in torch's layout: NAME.weight int8, .bias int32 and a float32 scale of each.

    Raises: InvalidInput if the file isn't the published one.
    """
    from ai_edge_litert.interpreter import Interpreter

    digest = hashlib.sha256(tflite.read_bytes()).hexdigest()
    if digest != TFLITE_SHA256:
        raise InvalidInput(f"{tflite} is not the published yamnet.tflite: sha256 {digest}")
    interpreter = Interpreter(str(tflite))
    interpreter.allocate_tensors()
    details = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    # The spectrogram's mel product is a FULLY_CONNECTED too, but a float one.
    layers = [
        op
        for op in interpreter._get_ops_details()
        if op["op_name"] in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
        and details[op["inputs"][1]]["dtype"] is np.int8
    ]
    tensors: dict[str, NDArray[Any]] = {}
    for index, op in enumerate(layers):
        name = "head" if op["op_name"] == "FULLY_CONNECTED" else f"conv{index:02d}"
        for part, tensor in zip(("weight", "bias"), op["inputs"][1:3], strict=True):
            scales = details[tensor]["quantization_parameters"]["scales"]
            tensors[f"{name}.{part}"] = _torch_layout(interpreter.get_tensor(tensor), op["op_name"], part)
            tensors[f"{name}.{part}_scale"] = np.ascontiguousarray(scales, np.float32)
    return tensors


def _torch_layout(values: NDArray[Any], op: str, part: str) -> NDArray[Any]:
    if part == "bias" or op == "FULLY_CONNECTED":
        return values.copy()
    # TFLite: (out, h, w, in), and (1, h, w, channels) for a depthwise one. Torch: (out, in, h, w), (channels, 1, h, w).
    axes = (3, 0, 1, 2) if op == "DEPTHWISE_CONV_2D" else (0, 3, 1, 2)
    return np.ascontiguousarray(values.transpose(axes))


def imagenet_names() -> list[str]:
    """open_clip's names of the 1,000 ImageNet classes, in class order."""
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

    return list(IMAGENET_CLASSNAMES)


def named(names: Sequence[str], prompts: Sequence[str]) -> NDArray[np.float16]:
    """float16 (len(names), 384), unit rows: the mean of each name's vectors over the prompts."""
    encoder = StarterText("cpu", "fp32")
    total = np.zeros((len(names), encoder.spec.dim), np.float64)
    for prompt in prompts:
        total += encoder.encode([encoder.prepare(Segment("text", prompt.format(name))) for name in names])
    return np.asarray(total / np.linalg.norm(total, axis=1, keepdims=True), np.float16)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
