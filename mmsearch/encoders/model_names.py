"""What models are called, and the folders those names stand for. Asks no network.

`local-dir:PATH` is a folder laid out as on the Hugging Face hub; `hf-hub:OWNER/NAME` and `open_clip:ARCH/PRETRAINED`
are folders that were prepared (`config.models_folder`), and the first also one in the hub's cache; `adapter:PATH` is
one of these with an adapter that lies in a folder of its own (see `open_clip.adapter`). `st:OWNER/NAME` and
`st-dir:PATH` are the same for sentence-transformers' models.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from mmsearch.core.config import models_folder
from mmsearch.encoders import model_store
from mmsearch.errors import InvalidInput, WeightsError

_NAMES = {
    "hf-hub": re.compile(r"hf-hub:[\w.-]+/[\w.-]+"),
    "open_clip": re.compile(r"open_clip:[\w.@-]+/[\w.-]+"),
    "local-dir": re.compile(r"local-dir:.+", re.DOTALL),
    "adapter": re.compile(r"adapter:.+", re.DOTALL),
    "st": re.compile(r"st:[\w.-]+/[\w.-]+"),
    "st-dir": re.compile(r"st-dir:.+", re.DOTALL),
}


def split_name(name: str) -> tuple[str, str]:
    """Scheme and rest of a model's name. Raises: InvalidInput for a malformed one."""
    scheme, _, rest = name.partition(":")
    if scheme not in _NAMES or not _NAMES[scheme].fullmatch(name):
        raise InvalidInput(
            f"{name!r} names no model",
            hint="known: open_clip:ARCH/PRETRAINED, hf-hub:OWNER/NAME, st:OWNER/NAME, st:PATH, local-dir:PATH, "
            "adapter:PATH",
        )
    return scheme, rest


def locate_model(name: str, configs: Sequence[str]) -> tuple[str, Path]:
    """What to call a model, and its folder: one that holds one of the config files.

    Raises: InvalidInput for a malformed name, WeightsError if the model isn't on this machine.
    """
    scheme, rest = split_name(name)
    if scheme in ("local-dir", "st-dir"):
        folder = Path(rest)
        if not _holds(folder, configs):
            raise WeightsError(
                f"there is no model in {folder}: {' or '.join(configs)} is missing",
                hint="name the folder that holds the config and the weights, or put it back",
            )
        return f"{scheme}:{folder.name}", folder
    prepared = models_folder() / model_store.folder_name(name)
    if _holds(prepared, configs):
        return name, prepared
    for config in configs if scheme in ("hf-hub", "st") else ():
        if (cached := model_store.cached(rest, config)) is not None:
            return name, cached.parent
    raise WeightsError(
        f"the model {name} is not on this machine, and nothing is downloaded by itself",
        hint=f"mmsearch prepare {name}   (without a network: with --from FOLDER)",
    )


def _holds(folder: Path, names: Sequence[str]) -> bool:
    return any((folder / name).is_file() for name in names)
