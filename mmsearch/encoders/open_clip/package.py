"""What has to be got of an open_clip model, and whether it is what its name says and works."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from mmsearch.encoders.model_names import split_name
from mmsearch.encoders.open_clip.checkpoint import CONFIG_FILE, OpenClipCheckpoint, weights_among
from mmsearch.encoders.open_clip.model import hf_config
from mmsearch.encoders.open_clip.towers import OpenClipImage, OpenClipText
from mmsearch.encoders.tensors import check_pointer
from mmsearch.encoders.tokenizer import TOKENIZER_FILES
from mmsearch.errors import InvalidInput, WeightsError

_SIZES = (
    ("model_cfg", "embed_dim"),
    ("vision_cfg", "image_size"),
    ("text_cfg", "context_length"),
    ("text_cfg", "vocab_size"),
)
"""What tells models apart that have the same architecture's name by mistake."""


def repository(name: str) -> str:
    """Where the hub keeps a model. Raises: InvalidInput for a malformed name, or a model open_clip knows no such
    place of."""
    scheme, rest = split_name(name)
    if scheme in ("hf-hub", "st"):
        return rest
    import open_clip

    architecture, _, tag = rest.partition("/")
    where = str((open_clip.get_pretrained_cfg(architecture, tag) or {}).get("hf_hub") or "")
    if where.count("/") < 1:
        raise InvalidInput(
            f"open_clip knows no place on the hub for {name}",
            hint="name its repository, hf-hub:OWNER/NAME, or a folder with it: --from FOLDER",
        )
    return "/".join(where.split("/")[:2])


def required_files(names: Collection[str], place: object) -> list[str]:
    """Those files of a repository that the model is made of, the config first and the weights last.

    Raises: WeightsError if some are missing.
    """
    if CONFIG_FILE not in names:
        raise WeightsError(
            f"{place} holds no open_clip model: {CONFIG_FILE} is missing",
            hint="take the files as they were published for open_clip",
        )
    beside = ("config.json", *TOKENIZER_FILES)
    return [CONFIG_FILE, *(name for name in beside if name in names), weights_among(names, place)]


def elsewhere(checkpoint: OpenClipCheckpoint) -> list[Path]:
    """The files of a model that lie in other folders than its own. Raises: WeightsError if some are missing."""
    others = [] if checkpoint.reads_bpe else [checkpoint.tokenizer() / name for name in TOKENIZER_FILES]
    if named := checkpoint.text.get("hf_model_name"):
        others.append(hf_config(checkpoint, str(named)) / "config.json")
    return [path for path in others if path.parent != checkpoint.folder and path.is_file()]


def check_open_clip(checkpoint: OpenClipCheckpoint) -> None:
    """Load it on the CPU and put something through both towers.

    Raises: WeightsError if it is damaged, holds code, contradicts itself, or is another model than its name says.
    """
    _check_name(checkpoint)
    check_pointer(checkpoint.weights())
    OpenClipText(checkpoint, "cpu", "fp32").try_out()
    OpenClipImage(checkpoint, "cpu", "fp32").try_out()


def _check_name(checkpoint: OpenClipCheckpoint) -> None:
    scheme, rest = split_name(checkpoint.name)
    if scheme != "open_clip":
        return
    import open_clip

    published: Mapping[str, Any] = open_clip.get_model_config(rest.partition("/")[0]) or {}
    for part, size in _SIZES:
        there = checkpoint.model if part == "model_cfg" else checkpoint.model[part]
        expected = (published if part == "model_cfg" else published.get(part, {})).get(size)
        if expected is not None and there.get(size, expected) != expected:
            raise WeightsError(
                f"{checkpoint.folder} holds another model than {checkpoint.name}: "
                f"its {size} is {there[size]}, not {expected}",
                hint="name the folder with that model, or say what it is: --space local-dir:FOLDER needs no preparing",
            )
