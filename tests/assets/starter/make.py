"""Make the golden values beside this file from the two original models. See README.md here.

python -m tests.assets.starter.make ../shared FOLDER, where FOLDER holds `pip install --target FOLDER --no-deps
efficientnet-lite-pytorch`: the code the EfficientNet-Lite2 checkpoint was published with.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mmsearch.core import registry
from mmsearch.encoders.starter import image, starter_space
from mmsearch.encoders.starter.audioset import FRAME, HOP
from mmsearch.types import Limits, Segment

HERE = Path(__file__).parent
PHOTOS = ("dog-at-a-laptop", "elephant-and-keeper", "cat-in-a-banana-tree")
SOUNDS = ("dog_bark__1-32318-A", "rooster__1-34119-A", "rain__1-17367-A")
SAMPLES = 35_000


def main(arguments: Sequence[str]) -> int:
    shared, original = Path(arguments[0]), arguments[1]
    save(HERE / "yamnet.npz", sounds(shared))
    sys.path.insert(0, original)
    save(HERE / "lite2.npz", photos())
    return 0


def save(path: Path, arrays: dict[str, Any]) -> None:
    np.savez_compressed(path, **arrays)


def sounds(shared: Path) -> dict[str, NDArray[Any]]:
    """Of each clip its first samples, int16 at 16 kHz, and the TFLite's scores of the frames, float32 (frames, 521)."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(shared / "models" / "yamnet.tflite"))
    interpreter.allocate_tensors()
    made: dict[str, NDArray[Any]] = {}
    for name in SOUNDS:
        decoder = registry.load_part("decoders", "audio")(starter_space().windowing, Limits())
        data: NDArray[np.float32] = next(iter(decoder.decode(shared / "data/dev/esc10" / f"{name}.ogg"))).data
        wave = (data[:SAMPLES] * 32767).round().astype(np.int16)
        prepared = (
            starter_space().encoders["audio"].prepare(Segment("audio", wave.astype(np.float32) / 32768, rate=16_000))
        )
        rows = []
        for start in range(0, len(prepared) - FRAME + 1, HOP):
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], prepared[start : start + FRAME])
            interpreter.invoke()
            rows.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
        made |= {name: wave, f"{name}:scores": np.stack(rows)}
    return made


def photos() -> dict[str, NDArray[Any]]:
    """Of each photo 160 pixels of width, uint8 (h, w, 3), and the original network's logits, float32 (1000,)."""
    import torch
    from efficientnet_lite_pytorch import EfficientNet  # type: ignore[import-not-found, unused-ignore]

    network = EfficientNet.from_name("efficientnet-lite2")
    network.load_state_dict(torch.load(image.WEIGHTS.verified(), weights_only=True))
    network.eval()
    made: dict[str, NDArray[Any]] = {}
    folder = HERE.parents[2] / "mmsearch" / "resources" / "samples" / "photos"
    for name in PHOTOS:
        photo = Image.open(folder / f"{name}.jpg").convert("RGB")
        pixels = np.asarray(photo.resize((160, round(160 * photo.height / photo.width)), Image.Resampling.BICUBIC))
        prepared = starter_space().encoders["image"].prepare(Segment("image", pixels))
        with torch.inference_mode():
            batch = torch.from_numpy(prepared.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
            made |= {name: pixels, f"{name}:logits": network(batch)[0].numpy()}
    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
