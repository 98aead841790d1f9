"""An open_clip checkpoint on disk: a folder as the hub has it, found without any network and read without torch.

open_clip_config.json         model_cfg (the architecture) and preprocess_cfg (how pictures are prepared)
open_clip_model.safetensors   or another file of weights, see `WEIGHT_NAMES`
tokenizer.json ...            unless the model reads CLIP's own byte-pair encoding
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmsearch.core import trust
from mmsearch.core.json_text import parse_json
from mmsearch.encoders import model_store
from mmsearch.encoders.model_names import locate_model, split_name
from mmsearch.encoders.open_clip import adapter as adapters
from mmsearch.encoders.open_clip.adapter import Adapter
from mmsearch.encoders.open_clip.tokens import BPE_FILE
from mmsearch.encoders.pixels import Pixels
from mmsearch.encoders.tokenizer import TOKENIZER_FILE, TOKENIZER_FILES
from mmsearch.errors import WeightsError
from mmsearch.types import Modality

CONFIG_FILE = "open_clip_config.json"
WEIGHT_NAMES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "open_clip_model.pth",
    "pytorch_model.bin",
)
"""Best first; otherwise the only *.safetensors."""
_TIMM_NAME = re.compile(r"[\w.-]*")
"""An architecture's; timm takes anything with a colon for an address, in any case."""


@dataclass(frozen=True, slots=True)
class OpenClipCheckpoint:
    """What the config says, checked; the weights are not opened."""

    name: str
    folder: Path
    model: Mapping[str, Any]
    """open_clip's model_cfg: embed_dim, vision_cfg, text_cfg, ..."""
    pixels: Pixels
    dim: int
    context: int
    """Tokens of a text."""
    adapter: Adapter | None = None

    @property
    def modalities(self) -> tuple[Modality, ...]:
        return ("text", "image")

    @property
    def size(self) -> int:
        """Bytes of its weights. Raises: WeightsError if there are none."""
        return self.weights().stat().st_size

    @property
    def text(self) -> Mapping[str, Any]:
        """open_clip's text_cfg."""
        found: Mapping[str, Any] = self.model["text_cfg"]
        return found

    @property
    def architecture(self) -> str:
        """12 hex digits over model_cfg and an adapter's scale: what weights alone don't tell, such as their heads."""
        config = [self.model, self.adapter.scale] if self.adapter else self.model
        return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def reads_bpe(self) -> bool:
        """Whether texts are cut by CLIP's own byte-pair encoding instead of a tokenizer in the folder."""
        return not self.text.get("hf_tokenizer_name")

    def weights(self) -> Path:
        """The file with the weights, safetensors first. Raises: WeightsError if there is none, or no telling which."""
        return self.folder / weights_among({path.name for path in self.folder.glob("*") if path.is_file()}, self.folder)

    def tokenizer(self) -> Path:
        """The folder with the tokenizer's files: its own, or that of the model it names, in the Hugging Face cache.

        Raises: WeightsError if there is none.
        """
        if (self.folder / TOKENIZER_FILE).is_file():
            return self.folder
        if (self.adapter.base if self.adapter else self.name).startswith("hf-hub:"):
            cached = model_store.cached(str(self.text["hf_tokenizer_name"]), TOKENIZER_FILE)
            if cached is not None:
                return cached.parent
        raise WeightsError(
            f"the model {self.name} needs {TOKENIZER_FILE}, and {self.folder} has none",
            hint=f"put the tokenizer of {self.text['hf_tokenizer_name']} there ({', '.join(TOKENIZER_FILES)})",
        )

    def hashes(self, *, text: bool) -> dict[str, str]:
        """File name -> sha256 of what the vectors of one tower depend on. Raises: WeightsError."""
        files = [self.weights()]
        if text:
            files.append(BPE_FILE.locate() if self.reads_bpe else self.tokenizer() / TOKENIZER_FILE)
        found = {file.name: model_store.sha256(file) for file in files}
        return found | self.adapter.hashes(found[files[0].name]) if self.adapter else found


def weights_among(names: Collection[str], place: object) -> str:
    """The file with the weights among those of a place. Raises: WeightsError if there is none, or no telling which."""
    for name in WEIGHT_NAMES:
        if name in names:
            return name
    others = [name for name in names if name.endswith(".safetensors")]
    if len(others) != 1:
        found = f"{len(others)} files of weights, and no telling which" if others else "no weights"
        raise WeightsError(f"{place} holds {found}", hint=f"name the file {WEIGHT_NAMES[0]}")
    return others[0]


def find_open_clip(name: str) -> OpenClipCheckpoint:
    """The checkpoint behind a name. Raises: InvalidInput for a malformed name, WeightsError if it isn't on this
    machine, or its config makes no sense."""
    scheme, rest = split_name(name)
    if scheme == "adapter":
        found = adapters.read_adapter(Path(rest))
        if found.base.partition(":")[0] not in ("open_clip", "hf-hub", "local-dir"):
            raise WeightsError(
                f"the adapter in {rest} is of {found.base!r}, which is no open_clip model", hint="train it again"
            )
        return replace(
            find_open_clip(trust.checked_target(found.base)), name=f"adapter:{found.folder.name}", adapter=found
        )
    return read_open_clip(*locate_model(name, (CONFIG_FILE,)))


def read_open_clip(name: str, folder: Path) -> OpenClipCheckpoint:
    """The checkpoint in a folder. Raises: WeightsError for a config that is missing, broken or makes no sense."""
    path = folder / CONFIG_FILE
    try:
        config = parse_json(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"{path} can't be read: {error}", hint="get the model anew, with the files as they were published"
        ) from error
    try:
        return _checked(name, folder, config["model_cfg"], config["preprocess_cfg"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise WeightsError(
            f"{path} is no open_clip config that can be used: {reason}",
            hint="take the file that was published with the weights: with another one, vectors would be wrong silently",
        ) from error


def _checked(name: str, folder: Path, model: Mapping[str, Any], preprocess: Mapping[str, Any]) -> OpenClipCheckpoint:
    """Raises: KeyError, TypeError, ValueError."""
    vision, text = model["vision_cfg"], model["text_cfg"]
    dim, context = model["embed_dim"], text.get("context_length", 77)
    for what, number in (("embed_dim", dim), ("context_length", context)):
        if not isinstance(number, int) or number < 2:
            raise ValueError(f"{what} = {number!r}")
    if not _TIMM_NAME.fullmatch(str(vision.get("timm_model_name") or "")):
        raise ValueError("its picture tower is named by an address, not by an architecture of timm")
    if "tokenizer_mode" in text or "reduction_mask" in text.get("tokenizer_kwargs", {}):
        raise ValueError("its way of cutting texts into tokens is not supported")
    # Like open_clip, the architecture's size counts; unlike it, a config that contradicts itself is refused.
    size = vision.get("image_size", 224)
    pixels = Pixels.parse(size, preprocess)
    return OpenClipCheckpoint(name, folder, model, pixels, dim, context)
